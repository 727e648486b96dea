import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bootstrapInterval,
  bootstrapMeanDifferenceInterval,
  bootstrapMeanInterval,
  bootstrapMeanIntervals,
  bootstrapSeedsInterval,
  type Interval,
  seedInterval,
  wilsonInterval,
} from "../../src/stats/intervals.js";
import { mean, median } from "../../src/stats/moments.js";
import { generator, normals } from "./generator.js";

/** Share of 400 simulated studies whose interval holds the truth; its own standard error is about 1.1%. */
function coverage(seed: number, truth: number, study: (random: () => number) => Interval): number {
  const random = generator(seed);
  let held = 0;
  for (let i = 0; i < 400; i++) {
    const { low, high } = study(random);
    if (low <= truth && truth <= high) held++;
  }
  return held / 400;
}

describe("Wilson's interval", () => {
  test("matches the published value for 15 of 148", () => {
    // Newcombe 1998, table I, method 3: 15/148 -> 0.0624 to 0.1605.
    const { low, high } = wilsonInterval(15, 148);
    expect(low).toBeCloseTo(0.0624, 4);
    expect(high).toBeCloseTo(0.1605, 4);
  });

  test("keeps a width at 0 and 1 and stays inside 0..1", () => {
    expect(wilsonInterval(0, 20).low).toBe(0);
    expect(wilsonInterval(0, 20).high).toBeCloseTo(0.1611, 4);
    expect(wilsonInterval(20, 20)).toEqual({ low: 1 - wilsonInterval(0, 20).high, high: 1 });
  });

  test("holds the share and mirrors when success and failure change places", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, share) => {
        const successes = Math.round(share * n);
        const { low, high } = wilsonInterval(successes, n);
        const mirror = wilsonInterval(n - successes, n);
        expect(low).toBeLessThanOrEqual(successes / n);
        expect(high).toBeGreaterThanOrEqual(successes / n);
        expect(mirror.low).toBeCloseTo(1 - high, 12);
        expect(mirror.high).toBeCloseTo(1 - low, 12);
      }),
    );
  });

  test.each([0.02, 0.5, 0.97])("covers a true share of %f in 90 to 99% of studies", (share) => {
    const covered = coverage(1, share, (random) => {
      let successes = 0;
      for (let i = 0; i < 200; i++) if (random() < share) successes++;
      return wilsonInterval(successes, 200);
    });
    expect(covered).toBeGreaterThan(0.9);
    expect(covered).toBeLessThan(0.99);
  });

  test("refuses more successes than trials", () => {
    expect(() => wilsonInterval(3, 2)).toThrow(RangeError);
  });
});

describe("bootstrap intervals", () => {
  test("cover a true mean in 90 to 99% of studies", () => {
    const covered = coverage(2, 0, (random) => bootstrapMeanInterval(normals(random, 60), { resamples: 300, random }));
    expect(covered).toBeGreaterThan(0.9);
    expect(covered).toBeLessThan(0.99);
  });

  test("cover a true difference of means in 90 to 99% of studies", () => {
    const covered = coverage(3, 1, (random) =>
      bootstrapMeanDifferenceInterval(normals(random, 60, 3), normals(random, 40, 2), { resamples: 300, random }),
    );
    expect(covered).toBeGreaterThan(0.9);
    expect(covered).toBeLessThan(0.99);
  });

  test("the fast path of the mean draws the same samples as the general one", () => {
    const values = normals(generator(4), 50);
    const general = bootstrapInterval(values, (sample) => mean(sample), { random: generator(5) });
    const fast = bootstrapInterval(values, mean, { random: generator(5) });
    expect(fast.low).toBeCloseTo(general.low, 12);
    expect(fast.high).toBeCloseTo(general.high, 12);
  });

  test("take any statistic, and the same random numbers give the same interval", () => {
    const values = normals(generator(6), 101);
    const first = bootstrapInterval(values, median, { random: generator(7) });
    expect(bootstrapInterval(values, median, { random: generator(7) })).toEqual(first);
    expect(first.low).toBeLessThan(median(values));
    expect(first.high).toBeGreaterThan(median(values));
  });

  test("of a constant sample has no width", () => {
    expect(bootstrapMeanInterval([2, 2, 2], { random: generator(8) })).toEqual({ low: 2, high: 2 });
  });

  test("of nothing is not a number", () => {
    expect(bootstrapMeanInterval([], { random: generator(9) }).low).toBeNaN();
  });

  test("over seeds are wider than within a seed when the seeds differ", () => {
    const random = generator(10);
    const groups = [-2, 0, 2].map((centre) => normals(random, 200, centre));
    const within = bootstrapMeanInterval(groups[1]!, { random });
    const over = bootstrapSeedsInterval(groups, { random });
    expect(over.high - over.low).toBeGreaterThan(5 * (within.high - within.low));
  });
});

describe("Student's interval over seeds", () => {
  test("matches a textbook sample", () => {
    // mean 2, s = 1, n = 3: half width t(0.975, 2) / sqrt(3) = 4.302653 / 1.7320508 = 2.484138
    const { low, high } = seedInterval([1, 2, 3]);
    expect(low).toBeCloseTo(2 - 2.484138, 5);
    expect(high).toBeCloseTo(2 + 2.484138, 5);
  });

  test("covers in 92 to 98% of studies even with three seeds", () => {
    const covered = coverage(11, 0, (random) => seedInterval(normals(random, 3)));
    expect(covered).toBeGreaterThan(0.92);
    expect(covered).toBeLessThan(0.98);
  });

  test("one seed bounds nothing", () => {
    expect(seedInterval([0.7])).toEqual({ low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY });
  });
});

describe("several means of one sample", () => {
  const draws = generator(5);
  const [a, b] = [normals(draws, 60), normals(draws, 60)];
  const marks = Uint8Array.from({ length: 60 }, (_, i) => Number(i % 3 === 0));
  const options = () => ({ random: generator(9), resamples: 400 });

  test("each has the interval that it has alone, from the same draws", () => {
    const together = bootstrapMeanIntervals([{ values: a }, { values: b }], options());
    expect(together).toEqual([bootstrapMeanInterval(a, options()), bootstrapMeanInterval(b, options())]);
  });

  test("marked values: all marked is the whole; a part covers its own mean, wider than the whole", () => {
    const all = new Uint8Array(60).fill(1);
    const [whole, marked, part] = bootstrapMeanIntervals(
      [{ values: a }, { values: a, among: all }, { values: a, among: marks }],
      options(),
    );
    expect(marked!.low).toBeCloseTo(whole!.low, 12);
    const own = mean(a.filter((_, i) => marks[i] === 1));
    expect(part!.low < own && own < part!.high).toBe(true);
    expect(part!.high - part!.low).toBeGreaterThan(whole!.high - whole!.low);
  });

  test("a part covers its true mean in 90 to 99% of studies, although its size varies", () => {
    const covered = coverage(11, 2, (random) => {
      const values = normals(random, 80);
      const among = Uint8Array.from(values, () => Number(random() < 0.4));
      const moved = values.map((value, i) => value + (among[i] === 1 ? 2 : 0));
      return bootstrapMeanIntervals([{ values: moved, among }], { random, resamples: 200 })[0]!;
    });
    expect(covered).toBeGreaterThan(0.9);
    expect(covered).toBeLessThan(0.99);
  });

  test("one marked value is never lost, and lengths must agree", () => {
    const one = Uint8Array.from({ length: 60 }, (_, i) => Number(i === 7));
    const [interval] = bootstrapMeanIntervals([{ values: a, among: one }], options());
    expect(interval).toEqual({ low: a[7], high: a[7] });
    expect(() => bootstrapMeanIntervals([{ values: a }, { values: [1] }], options())).toThrow(RangeError);
  });
});
