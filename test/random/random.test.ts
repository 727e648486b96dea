import { describe, expect, it } from "vitest";
import {
  categorical,
  createStream,
  fillNormal,
  fillUniform,
  integer,
  multiplyHigh,
  normal,
  permutation,
  philox,
  randomKey,
  uniform,
} from "../../src/random/index.js";

/** Random123's published known answers for philox4x32-10: counter, key, output. */
const KNOWN_ANSWERS = [
  ["00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
  ["ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"],
  ["243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"],
] as const;

const hex = (text: string) => text.split(" ").map((word) => Number.parseInt(word, 16));

describe("philox", () => {
  it.each(KNOWN_ANSWERS)("gives the published answer for counter %s", (counter, key, expected) => {
    const out = new Uint32Array(6);
    const [c0, c1, c2, c3] = hex(counter);
    const [k0, k1] = hex(key);
    philox(c0!, c1!, c2!, c3!, k0!, k1!, out, 1);
    expect([...out]).toEqual([0, ...hex(expected), 0]);
  });

  it("multiplies as 64-bit integers do", () => {
    for (const a of [0, 1, 0xffff, 0x10000, 0xd2511f53, 0xffffffff])
      for (const b of [0, 1, 0xfffe, 0x8000_0000, 0xcd9e8d57, 0xffffffff])
        expect(multiplyHigh(a, b)).toBe(Number((BigInt(a) * BigInt(b)) >> 32n));
  });
});

describe("draws", () => {
  const key = randomKey(7, "test");

  it("depend on seed, purpose, step and index, and on nothing else", () => {
    const value = uniform(key, 3, 11);
    uniform(key, 9, 9);
    expect(uniform(randomKey(7, "test"), 3, 11)).toBe(value);
    const others = [
      uniform(randomKey(8, "test"), 3, 11),
      uniform(randomKey(7, "other"), 3, 11),
      uniform(key, 4, 11),
      uniform(key, 3, 12),
      uniform(key, 3 + 2 ** 32, 11),
      uniform(key, 3, 11 + 2 ** 35),
    ];
    expect(new Set([value, ...others]).size).toBe(7);
  });

  it("refuse a seed that is not a whole number", () => {
    expect(() => randomKey(0.5, "test")).toThrow(RangeError);
    expect(() => randomKey(Number.NaN, "test")).toThrow(RangeError);
  });

  it("fill an array with the numbers that single draws give, whatever its length", () => {
    const uniforms = new Float64Array(10);
    const normals = new Float64Array(7);
    fillUniform(key, 2, uniforms);
    fillNormal(key, 2, normals);
    for (const [index, value] of uniforms.entries()) expect(value).toBe(uniform(key, 2, index));
    for (const [index, value] of normals.entries()) expect(value).toBe(normal(key, 2, index));
  });

  it("keep 32-bit uniforms below one", () => {
    const out = new Float32Array(100_000);
    fillUniform(key, 0, out);
    expect(Math.max(...out.subarray(0, 50_000), ...out.subarray(50_000))).toBeLessThan(1);
    const mean = out.reduce((sum, value) => sum + value, 0) / out.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / out.length)); // five standard errors
  });

  it("give normals of mean 0, variance 1 and kurtosis 3", () => {
    const out = new Float64Array(200_000);
    fillNormal(key, 1, out);
    const moment = (power: number) => out.reduce((sum, value) => sum + value ** power, 0) / out.length;
    // Five standard errors of each moment: sqrt(1/n), sqrt(2/n), sqrt(96/n).
    expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / out.length));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / out.length));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / out.length));
  });

  it("give integers without modulo bias, where taking the remainder would show", () => {
    // With bound = 3 * 2^30 a remainder would give the lowest third twice as often as the others.
    const bound = 3 * 2 ** 30;
    const thirds = [0, 0, 0];
    const n = 30_000;
    for (let index = 0; index < n; index++) thirds[Math.floor(integer(key, 5, index, bound) / 2 ** 30)]!++;
    for (const count of thirds) expect(Math.abs(count - n / 3)).toBeLessThan(5 * Math.sqrt((n * 2) / 9));
    expect(() => integer(key, 0, 0, 0)).toThrow(RangeError);
    expect(integer(key, 0, 0, 1)).toBe(0);
  });

  it("draw categories by their weights and never one of weight 0", () => {
    const counts = [0, 0, 0, 0];
    const n = 20_000;
    for (let index = 0; index < n; index++) counts[categorical(key, 0, index, [1, 0, 3, 0])]!++;
    expect(counts[1]! + counts[3]!).toBe(0);
    expect(Math.abs(counts[0]! - n / 4)).toBeLessThan(5 * Math.sqrt((n * 3) / 16));
    expect(() => categorical(key, 0, 0, [0, 0])).toThrow(RangeError);
    expect(() => categorical(key, 0, 0, [1, Number.NaN])).toThrow(RangeError);
  });

  it("permute: every element once, every order equally often", () => {
    const counts = new Map<string, number>();
    const n = 24_000;
    for (let step = 0; step < n; step++) {
      const order = permutation(key, step, 4).join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    for (const [order, count] of counts) {
      expect([...order].sort().join("")).toBe("0123");
      expect(Math.abs(count - n / 24)).toBeLessThan(5 * Math.sqrt(n / 24));
    }
  });

  it("stream the same words that are addressed one by one", () => {
    const stream = createStream(key, 6);
    for (let index = 0; index < 9; index++) expect(stream.uniform()).toBe(uniform(key, 6, index));
    for (let draw = 0; draw < 1000; draw++) expect(stream.integer(7)).toBeLessThan(7);
  });
});
