import { describe, expect, test } from "vitest";
import type { Vectors } from "../../src/analysis/clusters.js";
import { fitProbe, type Labelled, predictProbe, probeAccuracy } from "../../src/analysis/probes.js";
import { createStream, fillNormal, permutation, randomKey } from "../../src/random/index.js";

const width = 6;

/** n points of unit noise around -centre (label 0) or +centre (label 1) on the first axis; a share of them is labelled 1. */
function labelled(n: number, centre: number, purpose: string, ones = 0.5): Labelled {
  const data = new Float32Array(n * width);
  fillNormal(randomKey(1, purpose), 0, data);
  const labels = Uint8Array.from({ length: n }, (_, row) => Number(row < ones * n));
  for (const [row, label] of labels.entries()) data[row * width]! += label === 1 ? centre : -centre;
  return { vectors: { data, width }, labels };
}

const options = () => ({
  key: randomKey(3, "permutations"),
  random: createStream(randomKey(3, "bootstrap"), 0).uniform,
});

describe("held-out accuracy", () => {
  test("of two Gaussian clouds is Bayes' own, the normal distribution's share below their half distance", () => {
    // Phi(1) = 0.8413; two standard errors of 4,000 held-out samples are 0.0116, and 2,000 training samples cost less than 0.002.
    const found = probeAccuracy(labelled(2000, 1, "train"), labelled(4000, 1, "test"), options())!;
    expect(Math.abs(found.value - 0.8413)).toBeLessThan(0.014);
    expect(found.n).toBe(4000);
    expect(found.low).toBeLessThan(0.8413);
    expect(found.high).toBeGreaterThan(0.8413);
    expect(found.high - found.low).toBeLessThan(0.03);
    expect(Math.abs(found.chance - 0.5)).toBeLessThan(0.08);
  });

  test("is 1 for clouds far apart, and one half where there is nothing to find", () => {
    expect(probeAccuracy(labelled(100, 10, "train"), labelled(100, 10, "test"), options())!.value).toBe(1);
    const nothing = probeAccuracy(labelled(1000, 0, "train"), labelled(4000, 0, "test"), options())!;
    expect(Math.abs(nothing.value - 0.5)).toBeLessThan(0.03);
  });

  test("is balanced: with one label in ten, nothing to find is one half still, not nine tenths", () => {
    const nothing = probeAccuracy(labelled(2000, 0, "train", 0.1), labelled(4000, 0, "test", 0.1), options())!;
    expect(Math.abs(nothing.value - 0.5)).toBeLessThan(0.05);
    const found = probeAccuracy(labelled(2000, 1, "train", 0.1), labelled(4000, 1, "test", 0.1), options())!;
    expect(Math.abs(found.value - 0.8413)).toBeLessThan(0.03);
  });

  test("counts both classes the same: all of 90 zeros and half of 10 ones told right are three quarters", () => {
    const test = { vectors: { data: new Float32Array(100 * width), width }, labels: new Uint8Array(100).fill(1, 90) };
    for (let row = 0; row < 100; row++) test.vectors.data[row * width] = row < 95 ? -10 : 10;
    const { value, low, high } = probeAccuracy(labelled(100, 10, "train"), test, options())!;
    expect(value).toBe(0.75);
    expect([low > 0.5, high < 1]).toEqual([true, true]);
  });

  test("does not exist where a class has fewer than four samples", () => {
    expect(probeAccuracy(labelled(30, 1, "train", 0.1), labelled(100, 1, "test"), options())).toBeUndefined();
    expect(probeAccuracy(labelled(100, 1, "train"), labelled(30, 1, "test", 0.1), options())).toBeUndefined();
    expect(probeAccuracy(labelled(40, 1, "train", 0.1), labelled(40, 1, "test", 0.1), options())).toBeDefined();
  });

  test("of training samples that are not shown says nothing: the test's own labels never reach the fit", () => {
    const train = labelled(60, 0, "few");
    const [one, other] = [labelled(60, 0, "test"), labelled(60, 0, "test")];
    const flipped = { ...other, labels: other.labels.map((label) => 1 - label) };
    const value = (test: Labelled) => probeAccuracy(train, test, options())!.value;
    expect(value(one)).toBeCloseTo(1 - value(flipped), 12);
  });
});

describe("the fit", () => {
  const { vectors, labels } = labelled(80, 0.7, "fit", 0.3);
  const objective = ({ weights, bias }: { weights: ArrayLike<number>; bias: number }, z: number[][], l2: number) => {
    let total = 0;
    for (let i = 0; i < width; i++) total += (l2 / 2) * weights[i]! ** 2;
    const ones = labels.reduce((sum, label) => sum + label, 0);
    for (const [row, label] of labels.entries()) {
      let f = bias;
      for (let i = 0; i < width; i++) f += weights[i]! * z[row]![i]!;
      const s = labels.length / (2 * (label === 1 ? ones : labels.length - ones));
      total += s * Math.log1p(Math.exp(label === 1 ? -f : f));
    }
    return total;
  };

  test.each([0.1, 1, 30])("is the minimum of the penalised loss, l2 = %d: no small move lowers it", (l2) => {
    const probe = fitProbe(vectors, labels, { l2 });
    const z = [...labels.keys()].map((row) =>
      Array.from({ length: width }, (_, i) => (vectors.data[row * width + i]! - probe.mean[i]!) / probe.scale[i]!),
    );
    for (let i = 0; i < width; i++) {
      const column = z.map((one) => one[i]!);
      expect(column.reduce((a, b) => a + b, 0) / 80).toBeCloseTo(0, 6);
      expect(column.reduce((a, b) => a + b * b, 0) / 80).toBeCloseTo(1, 6);
    }
    const h = 1e-5;
    for (let i = 0; i <= width; i++) {
      const moved = (by: number) =>
        i === width
          ? { weights: probe.weights, bias: probe.bias + by }
          : { weights: probe.weights.map((w, j) => (j === i ? w + by : w)), bias: probe.bias };
      expect((objective(moved(h), z, l2) - objective(moved(-h), z, l2)) / (2 * h)).toBeCloseTo(0, 5);
    }
  });

  test("does not depend on the order of the samples or the units of an axis", () => {
    const order = permutation(randomKey(4, "order"), 0, 80);
    const shuffled: Vectors = { data: new Float32Array(80 * width), width };
    for (const [i, row] of order.entries())
      for (let j = 0; j < width; j++)
        shuffled.data[i * width + j] = vectors.data[row * width + j]! * (j === 2 ? 1024 : 1);
    const said = predictProbe(fitProbe(vectors, labels), vectors);
    const other = predictProbe(
      fitProbe(
        shuffled,
        order.map((row) => labels[row]!),
      ),
      shuffled,
    );
    expect([...other]).toEqual([...order].map((row) => said[row]));
  });

  test("needs both classes and one label each", () => {
    expect(() => fitProbe(vectors, new Uint8Array(80))).toThrow("both classes, not 0 of 80");
    expect(() => fitProbe(vectors, labels.subarray(1))).toThrow("79 labels for 80 samples");
  });

  test("a constant axis is no obstacle", () => {
    const data = vectors.data.slice();
    for (let row = 0; row < 80; row++) data[row * width + 3] = 7;
    const probe = fitProbe({ data, width }, labels);
    expect(probe.weights[3]).toBeCloseTo(0, 12);
  });
});
