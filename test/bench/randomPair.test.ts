import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pairBytes, SHAPE, writeRandomPair } from "../../bench/lib/randomPair.mjs";
import { openHuggingFace } from "../../src/checkpoint/huggingFace.js";

test("the pair of the audit's benchmark is two valid Llamas: weights of 0.02, and a change of a tenth of that in the blocks alone", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nullscope-pair-"));
  try {
    const shape = { width: 64, mlp: 172, heads: 4, vocabulary: 100, blocks: 32 };
    const dirs = await writeRandomPair(folder, 2, shape);
    const [base, tuned] = [await openHuggingFace(dirs.base), await openHuggingFace(dirs.tuned)];
    expect(base.config).toMatchObject({ family: "llama", blocks: 2, width: 64, mlp: 172 });
    let bytes = 0;
    for (const [name, { begin, end }] of base.tensors) {
      bytes += 2 * (end - begin);
      const [w, st] = [await base.readFloats(name), await tuned.readFloats(name)];
      const spread = (values: ArrayLike<number>) =>
        Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0) / values.length);
      const change = spread(Array.from(st, (x, i) => x - w[i]!));
      if (name.includes("norm")) expect([w[0], change]).toEqual([1, 0]);
      else {
        expect(spread(w) / 0.02).toBeCloseTo(1, 1);
        if (name.includes(".layers.")) expect(change / 0.002).toBeCloseTo(1, 1);
        else expect(change).toBe(0);
      }
    }
    expect(pairBytes(2, shape)).toBe(bytes);
    await base.close();
    await tuned.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a block of the true shape takes 0.8 GB in both", () => {
  expect((pairBytes(2, SHAPE) - pairBytes(1, SHAPE)) / 1e9).toBeCloseTo(0.81, 2);
});
