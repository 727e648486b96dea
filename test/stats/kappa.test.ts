import { describe, expect, it } from "vitest";
import { createStream, randomKey } from "../../src/random/index.js";
import { cohenKappa } from "../../src/stats/kappa.js";

describe("Cohen's kappa", () => {
  it("is right on a table worked out by hand", () => {
    // 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed 0.7, expected 0.5 x 0.6 + 0.5 x 0.4 = 0.5, kappa 0.4.
    const { kappa, observed, expected, n } = cohenKappa({ yesYes: 20, yesNo: 5, noYes: 10, noNo: 15 });
    expect([observed, expected, n]).toEqual([0.7, 0.5, 50]);
    expect(kappa).toBeCloseTo(0.4, 12);
  });

  it("is 1 at full agreement, 0 for independent judges, -1 for opposite ones, undefined where nothing varies", () => {
    expect(cohenKappa({ yesYes: 5, yesNo: 0, noYes: 0, noNo: 7 })).toMatchObject({ kappa: 1, low: 1, high: 1 });
    expect(cohenKappa({ yesYes: 4, yesNo: 4, noYes: 4, noNo: 4 }).kappa).toBe(0);
    expect(cohenKappa({ yesYes: 0, yesNo: 6, noYes: 6, noNo: 0 }).kappa).toBe(-1);
    expect(cohenKappa({ yesYes: 9, yesNo: 0, noYes: 0, noNo: 0 }).kappa).toBeNaN();
  });

  it("has an interval that covers the true kappa in about 95% of samples", () => {
    // Probabilities .35 .10 .15 .40: observed .75, expected .45 x .5 + .55 x .5 = .5, kappa .5.
    const stream = createStream(randomKey(7, "kappa"), 0);
    let covered = 0;
    const repetitions = 2000;
    for (let r = 0; r < repetitions; r++) {
      const counts = [0, 0, 0, 0];
      for (let i = 0; i < 150; i++) {
        const u = stream.uniform();
        counts[u < 0.35 ? 0 : u < 0.45 ? 1 : u < 0.6 ? 2 : 3]!++;
      }
      const { low, high } = cohenKappa({ yesYes: counts[0]!, yesNo: counts[1]!, noYes: counts[2]!, noNo: counts[3]! });
      if (low <= 0.5 && high >= 0.5) covered++;
    }
    // 2,000 repetitions have a standard error of 0.5%.
    expect(covered / repetitions).toBeGreaterThan(0.93);
    expect(covered / repetitions).toBeLessThan(0.97);
  });
});
