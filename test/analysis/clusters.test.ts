import { describe, expect, test } from "vitest";
import { classMeans, clusters, cosineTau, half, rowsOf, tau, type Vectors } from "../../src/analysis/clusters.js";
import { createStream, fillNormal, randomKey } from "../../src/random/index.js";

const width = 8;

/** n vectors around `centre`, with unit noise in every direction. */
function cloud(n: number, centre: readonly number[], purpose: string, noise = 1): Vectors {
  const data = new Float32Array(n * width);
  fillNormal(randomKey(1, purpose), 0, data);
  for (let i = 0; i < data.length; i++) data[i] = data[i]! * noise + (centre[i % width] ?? 0);
  return { data, width };
}

const random = (purpose: string) => createStream(randomKey(2, purpose), 0).uniform;
const find = (values: ReturnType<typeof clusters>, metric: string, set?: string) =>
  values.find((value) => value.metric === metric && value.set === set)!;

describe("tau", () => {
  test("of a point on a class mean is the distance between the means, with its sign", () => {
    const means = { safe: Float64Array.of(3, 0), unsafe: Float64Array.of(0, 4) };
    const points: Vectors = { data: Float32Array.of(3, 0, 0, 4, 1.5, 2), width: 2 };
    expect([...tau(points, means)]).toEqual([5, -5, 0]);
  });

  test("grows with the scale of the activations, and its cosine twin does not", () => {
    const [safe, unsafe] = [cloud(40, [3], "s"), cloud(40, [0, 3], "u")];
    const scaled = ({ data }: Vectors): Vectors => ({ data: data.map((x) => x * 8), width });
    const [means, larger] = [classMeans(safe, unsafe), classMeans(scaled(safe), scaled(unsafe))];
    for (const [i, value] of tau(scaled(safe), larger).entries())
      expect(value).toBeCloseTo(8 * tau(safe, means)[i]!, 4);
    for (const [i, value] of cosineTau(scaled(safe), larger).entries())
      expect(value).toBeCloseTo(cosineTau(safe, means)[i]!, 6);
  });
});

describe("halves", () => {
  test.each([2, 3, 5, 16])(
    "are disjoint, cover all rows, and hold each of %i branches of a set that alternates equally often",
    (branches) => {
      const rows: Vectors = { data: Float32Array.from({ length: branches * 12 }, (_, i) => i), width: 1 };
      const parts = ([0, 1] as const).map((which) => [...half(rows, which, branches).data]);
      expect(parts.flat().sort((x, y) => x - y)).toEqual([...rows.data]);
      for (const part of parts)
        for (let branch = 0; branch < branches; branch++)
          expect(part.filter((row) => row % branches === branch)).toHaveLength(6);
    },
  );

  test("of two branches are rows 0..3, 8..11, ... and the others", () => {
    const rows: Vectors = { data: Float32Array.from({ length: 16 }, (_, i) => i), width: 1 };
    expect([...half(rows, 0, 2).data]).toEqual([0, 1, 2, 3, 8, 9, 10, 11]);
    expect([...half(rows, 1, 2).data]).toEqual([4, 5, 6, 7, 12, 13, 14, 15]);
  });

  test("of four rows a branch have two rows of every branch each: the fewest that have a spread", () => {
    for (const branches of [2, 3, 16]) {
      const rows: Vectors = { data: new Float32Array(4 * branches), width: 1 };
      expect([rowsOf(half(rows, 0, branches)), rowsOf(half(rows, 1, branches))]).toEqual([2 * branches, 2 * branches]);
    }
  });
});

describe("clusters", () => {
  test("finds a planted separation: tight clouds a distance 10 apart", () => {
    // With noise (0.01 sqrt(8) = 0.03) far below the distance, tau of a safe sample is nearly |mu^S - mu^U| = 10.
    const values = clusters({
      safe: cloud(400, [10], "s", 0.01),
      unsafe: cloud(400, [0], "u", 0.01),
      branches: 2,
      others: { between: cloud(400, [5], "b", 0.01) },
      random: random("planted"),
    });
    expect(find(values, "tau", "safe").value).toBeCloseTo(10, 1);
    expect(find(values, "tau", "unsafe").value).toBeCloseTo(-10, 1);
    // 20 less twice the mean distance to one's own mean, 0.01 sqrt(2) Gamma(4.5) / Gamma(4) = 0.0274.
    expect(find(values, "separation").value).toBeCloseTo(20 - 2 * 0.0274, 2);
    expect(Math.abs(find(values, "tau", "between").value)).toBeLessThan(0.1);
    expect(find(values, "auc").value).toBe(1);
    expect(find(values, "two-means").value).toBe(1);
    // Fisher: 10² / (0.01² + 0.01²) = 500,000; variances of 200 samples are known to sqrt(2/200) = 10% each, 7% their sum.
    expect(find(values, "fisher").value / 500_000).toBeGreaterThan(0.8);
    expect(find(values, "fisher").value / 500_000).toBeLessThan(1.2);
    expect(find(values, "norm", "safe").value).toBeCloseTo(10, 1);
  });

  test("takes successful and failed attempts apart: planted, the ones look safe and the others unsafe", () => {
    const [good, bad] = [cloud(60, [10], "g", 0.01), cloud(140, [0], "f", 0.01)];
    const data = new Float32Array(200 * width);
    data.set(good.data);
    data.set(bad.data, 60 * width);
    const succeeded = { attack: Uint8Array.from({ length: 200 }, (_, row) => Number(row < 60)) };
    const input = {
      safe: cloud(400, [10], "s", 0.01),
      unsafe: cloud(400, [0], "u", 0.01),
      others: { attack: { data, width } },
      branches: 2,
    };
    const whole = clusters({ ...input, random: random("apart") });
    const values = clusters({ ...input, succeeded, random: random("apart") });
    const apart = values.filter((value) => value.outcome !== undefined);
    expect(apart.map(({ metric, outcome, n }) => [metric, outcome, n])).toEqual([
      ["tau", "success", 60],
      ["tau", "failure", 140],
      ["cosine-tau", "success", 60],
      ["cosine-tau", "failure", 140],
    ]);
    expect(apart[0]!.value).toBeCloseTo(10, 1);
    expect(apart[1]!.value).toBeCloseTo(-10, 1);
    for (const { value, low, high } of apart) expect(low! <= value && value <= high!).toBe(true);
    // Both kinds together are the set, and nothing else changes by taking them apart.
    expect((60 * apart[0]!.value + 140 * apart[1]!.value) / 200).toBeCloseTo(find(whole, "tau", "attack").value, 10);
    expect(values.filter((value) => value.outcome === undefined)).toEqual(whole);
  });

  test("does not take apart what has too few of a kind", () => {
    const input = {
      safe: cloud(40, [3], "s"),
      unsafe: cloud(40, [0], "u"),
      others: { attack: cloud(40, [1], "a") },
      branches: 2,
    };
    const split = (successes: number) =>
      clusters({
        ...input,
        succeeded: { attack: Uint8Array.from({ length: 40 }, (_, row) => Number(row < successes)) },
        random: random("few"),
        resamples: 50,
      }).filter((value) => value.outcome !== undefined).length;
    expect([7, 8, 32, 33].map(split)).toEqual([0, 4, 4, 0]);
  });

  test("finds nothing where both classes are one cloud: every interval holds its chance level", () => {
    // Seeds are fixed; a 95% interval over 40 worlds misses its null twice on average, and 7 times with probability 0.3%.
    const misses = { separation: 0, auc: 0, "cosine-auc": 0 };
    for (let world = 0; world < 40; world++) {
      const values = clusters({
        safe: cloud(100, [1], `s${world}`),
        unsafe: cloud(100, [1], `u${world}`),
        branches: 2,
        random: random(`none${world}`),
        resamples: 200,
      });
      for (const metric of ["separation", "auc", "cosine-auc"] as const) {
        const { low, high, chance } = find(values, metric);
        if (low! > chance! || high! < chance!) misses[metric] += 1;
      }
      expect(find(values, "fisher").value).toBeLessThan(0.2);
    }
    for (const count of Object.values(misses)) expect(count).toBeLessThan(7);
  });

  test("without held-out means the same cloud would look separated", () => {
    // Why the method asks for a held-out half: in-sample means pull their own samples.
    const [safe, unsafe] = [cloud(10, [0], "s"), cloud(10, [0], "u")];
    const means = classMeans(safe, unsafe);
    const average = (x: Float64Array) => x.reduce((a, b) => a + b, 0) / x.length;
    expect(average(tau(safe, means)) - average(tau(unsafe, means))).toBeGreaterThan(0.2);
  });
});
