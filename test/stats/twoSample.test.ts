import { expect, test } from "vitest";
import { createStream, randomKey } from "../../src/random/index.js";
import { bootstrapMeanDifferenceInterval } from "../../src/stats/intervals.js";
import { mean } from "../../src/stats/moments.js";
import { bootstrapTwoSampleInterval } from "../../src/stats/twoSample.js";

const stream = (purpose: string) => createStream(randomKey(4, purpose), 0).uniform;
const uniforms = (n: number, low: number, purpose: string) => {
  const random = stream(purpose);
  return Float64Array.from({ length: n }, () => low + random());
};

test("of a difference of means it is what the special case gives, with the same random numbers up to their order", () => {
  const [a, b] = [uniforms(200, 1, "a"), uniforms(150, 0, "b")];
  const difference = (x: Float64Array, y: Float64Array) => mean(x) - mean(y);
  const general = bootstrapTwoSampleInterval(a, b, difference, { random: stream("bootstrap") });
  const special = bootstrapMeanDifferenceInterval(a, b, { random: stream("bootstrap") });
  expect(general.low).toBeCloseTo(special.low, 12);
  expect(general.high).toBeCloseTo(special.high, 12);
});

test("its intervals cover a planted ratio of variances about 95% of the time", () => {
  // Variances of uniforms on [0, 1) and [0, 2): 1/12 and 4/12. 200 studies: 90% to 99% is 3 standard errors around 95%.
  const ratio = (x: Float64Array, y: Float64Array) => spread(y) / spread(x);
  const spread = (x: Float64Array) => mean(x.map((value) => value ** 2)) - mean(x) ** 2;
  let covered = 0;
  for (let study = 0; study < 200; study++) {
    const [a, b] = [uniforms(80, 0, `a${study}`), uniforms(80, 0, `b${study}`).map((value) => 2 * value)];
    const { low, high } = bootstrapTwoSampleInterval(a, b, ratio, { random: stream(`s${study}`), resamples: 200 });
    if (low <= 4 && 4 <= high) covered++;
  }
  expect(covered / 200).toBeGreaterThanOrEqual(0.9);
  expect(covered / 200).toBeLessThanOrEqual(0.99);
});

test("of an empty group there is no interval", () => {
  const { low, high } = bootstrapTwoSampleInterval([], [1, 2], (x, y) => mean(x) - mean(y), {
    random: stream("empty"),
  });
  expect([low, high]).toEqual([Number.NaN, Number.NaN]);
});
