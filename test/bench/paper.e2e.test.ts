import { expect, test } from "vitest";
import { run } from "../../bench/paper.mjs";

test("bench paper goes through every kind of training of a study, and sums what they take", async () => {
  const { title, rows } = await run({ device: "cpu", preset: "smoke", repeats: 1, turnSeconds: 0.1 });
  expect(title).toMatch(/^Trainings of smoke \(64 x 21, width 64, 2 blocks, 4 heads\) on cpu/);
  const trainings = rows.filter(({ steps }) => steps !== undefined);
  expect(trainings.map(({ training, steps }) => [training, steps])).toEqual([
    ["pretrain", 1100],
    ["tune ssft", 300], // two rates of 150 steps
    ["tune dpo", 300],
    ["tune unlearning", 300],
    ["tune continue", 150],
    ["tune shuffled", 150],
  ]);
  for (const { steps, stepsPerSecond, hours } of trainings)
    expect(hours).toBeCloseTo(steps! / stepsPerSecond! / 3600, 12);
  const hoursOf = (name: string) => rows.find(({ training }) => training === name)!.hours;
  const trained = trainings.reduce((sum, { hours }) => sum + hours, 0);
  expect(hoursOf("the whole study")).toBeCloseTo(trained + hoursOf("everything else, estimated"), 12);
});
