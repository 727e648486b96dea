import { describe, expect, test } from "vitest";
import { parseClaims } from "../../../src/study/claims/load.js";
import type { ResultRow } from "../../../src/study/results.js";
import { claimOf, counts, type Drawing, decideFile, drawing, meanRow, shareRow } from "./planted.js";

/** A kind of study whose effect is known: how its rows come about, for an effect that is `there` or not, and what is asked of them. */
interface Kind {
  readonly name: string;
  readonly test: string;
  /** The effect that is planted, and the null. */
  readonly effect: number;
  readonly null: number;
  /** Rows of one seed; `shift`: what this seed's training adds to the effect. */
  readonly rows: (draw: Drawing, seed: number, effect: number, shift: number) => ResultRow[];
  /** Spread of the effect between seeds. */
  readonly spread: number;
}

const KINDS: readonly Kind[] = [
  {
    name: "a mean against a number",
    test: "of: { measure: m, metric: x }\nchance: 1\ndirection: above",
    ...{ effect: 1.4, null: 1, spread: 0.2 },
    rows: (draw, seed, effect, shift) => [meanRow(draw, effect + shift, 50, { seed })],
  },
  {
    name: "a difference of means",
    test: "of: { measure: m, metric: x, checkpoint: a }\nagainst: { checkpoint: b }\nchance: 0\ndirection: above",
    ...{ effect: 0.5, null: 0, spread: 0.2 },
    // Training another seed moves both checkpoints: pairing takes that out.
    rows: (draw, seed, effect, shift) => [
      meanRow(draw, 3 + 20 * shift + effect + shift, 50, { checkpoint: "a", seed }),
      meanRow(draw, 3 + 20 * shift, 40, { checkpoint: "b", seed }),
    ],
  },
  {
    name: "a difference of shares",
    test: "of: { measure: m, metric: x, set: u }\nagainst: { set: v }\nchance: 0\ndirection: above",
    ...{ effect: 0.2, null: 0, spread: 0.05 },
    rows: (draw, seed, effect, shift) => [
      shareRow(draw, 0.3 + effect + shift, 150, { set: "u", seed }),
      shareRow(draw, 0.3, 150, { set: "v", seed }),
    ],
  },
  {
    name: "a ratio of means",
    test: "of: { measure: m, metric: x, set: u }\nagainst: { set: v }\ncontrast: ratio\nchance: 1\ndirection: above",
    ...{ effect: 1.2, null: 1, spread: 0.05 },
    rows: (draw, seed, effect, shift) => [
      meanRow(draw, 5 * effect * Math.exp(shift), 50, { set: "u", seed }),
      meanRow(draw, 5, 50, { set: "v", seed }),
    ],
  },
  {
    name: "a mean against that of a control",
    test: "of: { measure: m, metric: x, checkpoint: a }\nchance: { checkpoint: continue-medium }\ndirection: above",
    ...{ effect: 2.5, null: 2, spread: 0.2 },
    rows: (draw, seed, effect, shift) => [
      meanRow(draw, effect + shift, 50, { checkpoint: "a", seed }),
      meanRow(draw, 2, 50, { checkpoint: "continue-medium", seed }),
    ],
  },
];

const STUDIES = 200;

/** Verdicts on `STUDIES` independent studies. With one seed its own effect is what is asked about; with several, that of all seeds. */
function studies(kind: Kind, seeds: number, effect: number) {
  const claims = parseClaims(claimOf(kind.test), "test.yaml");
  return Array.from({ length: STUDIES }, (_, study) => {
    const draw = drawing(`${kind.name} ${seeds} ${effect}`, study, seeds === 1); // over seeds the rows' intervals are not read
    const rows = Array.from({ length: seeds }, (_, seed) =>
      kind.rows(draw, seed, effect, seeds === 1 ? 0 : kind.spread * draw.normal()),
    ).flat();
    return decideFile(claims, rows).rows[0]!;
  });
}

describe.each([1, 5])("%i seeds", (seeds) => {
  test.each(KINDS)("$name: the interval holds the planted effect in 90 to 99% of 200 studies", (kind) => {
    const rows = studies(kind, seeds, kind.effect);
    // Where the null has a spread, the interval is that of the distance to it, drawn from the null's own place.
    const held = rows.filter((row) => {
      const truth = kind.effect - kind.null + row.chance!;
      return row.low! <= truth && truth <= row.high!;
    }).length;
    expect(held / STUDIES).toBeGreaterThanOrEqual(0.9);
    expect(held / STUDIES).toBeLessThanOrEqual(0.99);
    expect(rows.every((row) => row.seeds === seeds)).toBe(true);
  });

  test("without an effect each of the two verdicts comes out at most about 2.5% of the time", () => {
    const all = counts(KINDS.flatMap((kind) => studies(kind, seeds, kind.null)));
    const total = KINDS.length * STUDIES;
    // Three standard errors of a share of 2.5% among so many, and half a point for the percentile bootstrap, which is a little narrow.
    const most = total * (0.03 + 3 * Math.sqrt((0.025 * 0.975) / total));
    expect(all.supported).toBeLessThanOrEqual(most);
    expect(all.contradicted).toBeLessThanOrEqual(most);
    // A rule that never decides would pass the above.
    expect(all.supported + all.contradicted).toBeGreaterThan(total * 0.025);
  });
});

test("seeds that differ widen the interval, and pairing takes out what they share", () => {
  const [, difference] = KINDS;
  const width = (seeds: number) => {
    const rows = studies(difference!, seeds, difference!.effect);
    return rows.reduce((sum, row) => sum + row.high! - row.low!, 0) / rows.length;
  };
  // Unpaired, the seeds' common shifts of 20 x 0.2 would make this about 7.
  expect(width(5)).toBeLessThan(1.2);
  expect(width(5)).toBeGreaterThan(width(1) / Math.sqrt(5));
});
