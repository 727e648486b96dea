import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeDelta, encodeDelta, readDelta, writeDelta } from "../../src/checkpoint/delta.js";
import { parseSafetensors } from "../../src/checkpoint/safetensors.js";
import { fillNormal, randomKey, uint32 } from "../../src/random/index.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-delta-"));
});
afterAll(() => rm(folder, { recursive: true }));

const bits = (values: Float32Array) => Array.from(new Uint32Array(values.slice().buffer));
const fromBits = (values: readonly number[]) => new Float32Array(Uint32Array.from(values).buffer);
const normal = (step: number, length: number) => {
  const out = new Float32Array(length);
  fillNormal(randomKey(7, "delta"), step, out);
  return out;
};

describe("differences of weights", () => {
  test("any two vectors of bit patterns come back bit for bit, NaNs, infinities and negative zeros included", () => {
    const patterns = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0, max: 0xffffffff })),
    );
    fc.assert(
      fc.property(patterns, (pairs) => {
        const [before, after] = [fromBits(pairs.map(([a]) => a)), fromBits(pairs.map(([, b]) => b))];
        expect(bits(decodeDelta(before, encodeDelta(before, after)))).toEqual(pairs.map(([, b]) => b >>> 0));
      }),
    );
  });

  test("a view into a larger array is taken as it is", () => {
    const all = normal(0, 30);
    const [before, after] = [all.subarray(3, 13), all.subarray(17, 27)];
    expect(bits(decodeDelta(before, encodeDelta(before, after)))).toEqual(bits(after));
  });

  test("weights after small steps take less than they would whole, and equal ones next to nothing", () => {
    const before = normal(1, 50_000);
    const step = normal(2, 50_000);
    const after = before.map((weight, i) => weight + 1e-4 * step[i]!);
    expect(encodeDelta(before, after).length).toBeLessThan(0.75 * after.byteLength);
    expect(encodeDelta(before, before).length).toBeLessThan(500);
  });

  test("files: the difference where it is smaller, else the weights themselves; both come back", async () => {
    const before = normal(1, 20_000);
    for (const [encoding, after] of [
      ["xor-planes-zlib", before.map((weight) => weight * (1 + 1e-5))],
      ["plain", fromBits(Array.from({ length: 20_000 }, (_, i) => uint32(randomKey(7, "noise"), 0, i)))],
    ] as const) {
      const path = join(folder, `${encoding}.safetensors`);
      await writeDelta(path, before, after);
      const { metadata } = parseSafetensors(await readFile(path));
      expect(metadata.get("encoding")).toBe(encoding);
      expect(bits(await readDelta(path, before))).toEqual(bits(after));
    }
  });

  test("lengths that differ, damage and files of other weights are refused", async () => {
    const before = normal(1, 1000);
    expect(() => encodeDelta(before, normal(1, 999))).toThrow(RangeError);
    const delta = encodeDelta(before, normal(2, 1000));
    expect(() => decodeDelta(before.subarray(1), delta)).toThrow(/is damaged|not the 3996/);
    expect(() => decodeDelta(normal(1, 1001), delta)).toThrow("holds 4000 bytes, not the 4004");
    expect(() => decodeDelta(before, delta.subarray(0, delta.length / 2), "x.safetensors")).toThrow(
      /x\.safetensors is damaged .*run the study again/,
    );
    const path = join(folder, "other.safetensors");
    await writeDelta(
      path,
      before,
      before.map((x) => x + 1),
    );
    await expect(readDelta(path, normal(1, 10))).rejects.toThrow(path);
    await writeFile(path, "nonsense");
    await expect(readDelta(path, before)).rejects.toThrow(path);
    await expect(readDelta(join(folder, "absent"), before)).rejects.toThrow("cannot be read (ENOENT)");
  });
});
