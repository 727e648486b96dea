import { expect, test } from "vitest";
import { behaviour, judge, OUTCOMES } from "../../src/analysis/behaviour.js";
import type { Samples } from "../../src/world/index.js";

const NULL = 9;
// Two branches alternate; texts of 3 and 2 tokens; the answer begins at index 2.
const samples: Samples = {
  count: 4,
  time: 6,
  tokens: Int32Array.from(
    [
      [0, 0, 5, 6, 7, 1],
      [0, 0, 5, 6, 1, 0],
      [0, 0, 5, 6, 7, 1],
      [0, 0, 5, 6, 1, 0],
    ].flat(),
  ),
  textLength: Int32Array.of(3, 2, 3, 2),
  answerStart: Int32Array.of(2, 2, 2, 2),
  grammar: new Uint8Array(4),
  branch: Uint8Array.of(0, 1, 0, 1),
  branchNames: ["A", "B", "mixed", "root"],
  label: Uint8Array.of(1, 1, 2, 2),
};

test("the whole output decides: right, all NULL, or neither; what follows the text's length is not looked at", () => {
  const outputs = Int32Array.from(
    [
      [5, 6, 7],
      [NULL, NULL, 4],
      [NULL, NULL, 7],
      [5, 6, NULL],
    ].flat(),
  );
  const judged = judge(samples, outputs, NULL);
  expect([...judged.outcome].map((index) => OUTCOMES[index])).toEqual(["instruct", "null", "other", "instruct"]);
  expect([...judged.firstTokenNull]).toEqual([0, 1, 1, 0]);
});

test("shares add up to one, per branch and in all, and hold their Wilson intervals", () => {
  const outputs = Int32Array.from(
    [
      [5, 6, 7],
      [NULL, NULL, 4],
      [NULL, NULL, 7],
      [5, 6, NULL],
    ].flat(),
  );
  const shares = behaviour(samples, judge(samples, outputs, NULL), { choices: 10, saturation: true });
  const of = (metric: string, branch?: string) =>
    shares.find((share) => share.metric === metric && share.branch === branch)!;
  for (const branch of [undefined, "A", "B"])
    expect(OUTCOMES.reduce((total, metric) => total + of(metric, branch).value, 0)).toBeCloseTo(1, 12);
  expect(of("instruct").value).toBe(0.5);
  expect(of("instruct", "A").value).toBe(0.5);
  expect(of("null", "B").value).toBe(0.5);
  expect(of("first-token-null", "A").n).toBe(2);
  for (const share of shares) expect(share.low <= share.value && share.value <= share.high).toBe(true);
  // Guessing 10 tokens: (10⁻³ + 10⁻²) / 2 for the whole output, 1/10 for its first token.
  expect(of("null").chance).toBeCloseTo(0.0055, 12);
  expect(of("first-token-null").chance).toBe(0.1);
  // Saturation is the difference of the two, with the interval of a share.
  expect(of("saturation").value).toBeCloseTo(of("first-token-null").value - of("null").value, 12);
  expect(of("saturation").chance).toBeCloseTo(0.1 - 0.0055, 12);
});
