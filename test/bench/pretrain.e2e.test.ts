import { expect, test } from "vitest";
import { run } from "../../bench/pretrain.mjs";

test("bench pretrain runs to its table, without a peer too", async () => {
  const { columns, rows } = await run({ repeats: 1 });
  expect(columns).toEqual(["work", "ours", "peer", "ratio"]);
  expect(rows).toEqual([
    { work: "64 x 29, width 64, 3 blocks, 4 heads", ours: expect.any(Number), peer: null, ratio: null },
  ]);
});
