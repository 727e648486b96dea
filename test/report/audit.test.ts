import { describe, expect, test } from "vitest";
import { columnSpaceFigures, orderMatrices, shownBlocks } from "../../src/report/figures/columnSpace.js";
import { layerOverlapFigure } from "../../src/report/figures/layerOverlap.js";
import { overlapFigures } from "../../src/report/figures/overlap.js";
import { weightsFigures } from "../../src/report/figures/weights.js";
import { auditHeadline, auditLede, auditOf } from "../../src/report/sections/audit.js";
import type { ResultRow } from "../../src/study/results.js";

/** Rows of an audit of 32 blocks: the change leaves the column space more than its null in the last four. */
const rows: ResultRow[] = Array.from({ length: 32 }, (_, i) => i + 1).flatMap((block) =>
  ["attn.o", "mlp.down", "mlp.gate"].flatMap((matrix): ResultRow[] => {
    const from = { checkpoint: "chat", block, matrix };
    const space = { measure: "column-space", ...from };
    return [
      { ...space, metric: "sin-theta", index: 1, value: 0.5, chance: 0.8 },
      { ...space, metric: "sin-theta", index: 2, value: 0.6, chance: 0.8 },
      { ...space, metric: "null-random", index: 1, value: 0.8, low: 0.7, high: 0.9, n: 400 },
      { ...space, metric: "sin-theta-all", value: block > 28 ? 0.95 : 0.5, low: 0.45, high: 0.96, n: 32, chance: 0.8 },
      { ...space, metric: "null-matched-all", value: 0.8, low: 0.79, high: 0.81 },
      { ...space, metric: "rank", value: 3000 + block },
      { ...space, metric: "norm", value: 0.01 * block },
      { measure: "weights", ...from, metric: "singular-value", index: 1, value: 2 },
      { measure: "weights", ...from, metric: "singular-value", index: 5, value: 1 },
      { measure: "weights", ...from, metric: "energy-rank", index: 99, value: 2000 },
      { measure: "weights", ...from, metric: "base-energy-rank", index: 99, value: 3000 },
      { measure: "overlap", ...from, metric: "column-others", index: 1, value: 0.1, n: 31, chance: 0.001 },
      { measure: "overlap", ...from, metric: "column-others", index: 5, value: 0.2, n: 31, chance: 0.005 },
      { measure: "overlap", ...from, metric: "row-next", index: 5, value: 0.3, n: 5, chance: 0.005 },
    ];
  }),
);

describe("the report of an audit", () => {
  test("shows some of many blocks, the first and the last among them, and all of few", () => {
    const all = Array.from({ length: 32 }, (_, i) => i + 1);
    expect(shownBlocks(all)).toEqual([1, 5, 9, 13, 17, 20, 24, 28, 32]);
    expect(shownBlocks([2, 7, 30])).toEqual([2, 7, 30]);
    const [gate] = columnSpaceFigures(rows);
    expect(gate!.id).toBe("column-space-mlp-gate");
    expect(gate!.svg.match(/sin θᵢ · block \d+/g)).toHaveLength(9);
    expect(gate!.rows.filter((row) => row.metric === "sin-theta")).toHaveLength(64); // the data hold every block
  });

  test("orders matrices as the MLP uses them, then attention", () => {
    expect(orderMatrices(rows)).toEqual(["mlp.gate", "mlp.down", "attn.o"]);
  });

  test("draws spectra, ranks and the overlap across blocks, and takes the last for no overlap of methods", () => {
    expect(weightsFigures(rows).map(({ id }) => id)).toEqual(["weights-spectra", "weights-energy-ranks"]);
    const overlap = layerOverlapFigure(rows)!;
    expect(overlap.reading).toContain("k = 5");
    expect(overlap.svg).toContain("column space, mean of all others");
    expect(overlap.svg).not.toContain("column space, next block"); // there are no such rows
    expect(overlapFigures(rows)).toEqual([]);
  });

  test("counts the blocks above the null of their own spectrum", () => {
    const text = auditHeadline(rows).markup;
    expect(text).toMatch(/mlp\.gate<\/th><td class="number">1\.0% to 32\.0%/);
    expect(text.match(/4 of 32/g)).toHaveLength(3);
    expect(text).toContain("3001 to 3032");
  });

  test("says what was compared, escaped, and takes a study for none", () => {
    const audit = auditOf({
      audit: {},
      base: { name: "<b>" },
      tuned: { name: "chat" },
      model: { family: "llama", blocks: 32 },
    })!;
    const text = auditLede(audit).markup;
    expect(text).toContain("between &lt;b&gt; and chat (llama, 32 blocks)");
    expect(text).toContain("nothing here tells them apart");
    expect(auditOf({ world: "small" })).toBeUndefined();
    expect(auditOf(null)).toBeUndefined();
  });
});
