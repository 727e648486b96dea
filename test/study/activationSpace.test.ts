import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { activationSpaceRows, readSpaces, writeSpaces } from "../../src/study/stages/activationSpace.js";
import type { ReadSet } from "../../src/study/stages/clusters.js";

const folder = await mkdtemp(join(tmpdir(), "nullscope-spaces-"));
afterAll(() => rm(folder, { recursive: true }));

/** Eight activations of one block in three dimensions; rows 0, 1, 4, 5 are the first half of a world with one branch. */
function sets(first: readonly number[], second: readonly number[]): ReadSet[] {
  const block = Float32Array.from([first, first, second, second, first, first, second, second].flat());
  return ["safe", "unsafe"].map(
    (set) => ({ set, means: [{ count: 8, width: 3, blocks: [block] }] }) as unknown as ReadSet,
  );
}

test("the second half after tuning is compared with the first half before, and so is the null", async () => {
  const shape = { blocks: 1, branches: 1 };
  // Before tuning the halves are 30 degrees apart, after it the second half is 90 degrees from the first one of before.
  const before = sets([2, 0, 0], [Math.cos(Math.PI / 6), Math.sin(Math.PI / 6), 0]);
  const after = sets([0, 1, 0], [0, 0, 5]);
  await writeSpaces(folder, before, shape);
  const spaceOf = await readSpaces(folder);
  const own = activationSpaceRows(before, { ...shape, spaceOf }, { checkpoint: "instruct", seed: 0 });
  const all = (rows: typeof own) => rows.filter((row) => row.metric === "sin-theta-all" && row.set === "unsafe")[0]!;
  expect(all(own)).toMatchObject({ block: 1, n: 4, value: expect.closeTo(0.5, 6), chance: all(own).value });
  const tuned = activationSpaceRows(after, { ...shape, spaceOf, before: own }, { checkpoint: "x", seed: 0 });
  expect(all(tuned)).toMatchObject({ value: expect.closeTo(1, 6), chance: all(own).value });
  expect(tuned.filter((row) => row.metric === "sin-theta" && row.set === "safe")).toMatchObject([
    { index: 1, value: expect.closeTo(1, 6), chance: expect.closeTo(0.5, 6) },
  ]);
});
