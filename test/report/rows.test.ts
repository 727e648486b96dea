import { describe, expect, test } from "vitest";
import { checkpointParts, checkpointTitle, orderCheckpoints } from "../../src/report/checkpoints.js";
import { toCsv } from "../../src/report/csv.js";
import { allBranches, finalRows, orderSets, overSeeds, shareInterval } from "../../src/report/rows.js";
import { duration, fixed, percent, setTitle, significant } from "../../src/report/words.js";
import type { ResultRow } from "../../src/study/results.js";

const row = (fields: Partial<ResultRow>): ResultRow => ({
  measure: "behaviour",
  metric: "null",
  value: 0.5,
  ...fields,
});

describe("rows", () => {
  test("over seeds: the study's own row wins", () => {
    const whole = row({ value: 0.4, n: 2000 });
    expect(overSeeds([row({ seed: 0, value: 0.3 }), row({ seed: 1, value: 0.5 }), whole])).toEqual([whole]);
  });

  test("over seeds: one seed stands as it is, without its seed", () => {
    const only = { value: 0.3, n: 100, low: 0.2, high: 0.4 };
    expect(overSeeds([row({ seed: 7, ...only })])).toEqual([row(only)]);
  });

  test("over seeds: several seeds give the mean with Student's interval", () => {
    const [combined] = overSeeds([1, 2, 3].map((value, seed) => row({ seed, value, n: 10, low: 0, high: 9 })));
    expect(combined).toMatchObject({ value: 2, n: 30 });
    expect(combined!.low).toBeCloseTo(2 - 2.484138, 5);
    expect(combined!.high).toBeCloseTo(2 + 2.484138, 5);
  });

  test("all branches: the branchless row wins; a set with one branch speaks for itself; several branches are not mixed", () => {
    const whole = row({ set: "safe" });
    expect(allBranches([row({ set: "safe", branch: "A" }), whole])).toEqual([whole]);
    const mixed = row({ set: "jb-co-text", branch: "mixed" });
    expect(allBranches([mixed])).toEqual([mixed]);
    expect(allBranches([row({ set: "x", branch: "A" }), row({ set: "x", branch: "B" })])).toEqual([]);
  });

  test("a share without an interval gets Wilson's from its count", () => {
    expect(shareInterval(row({ value: 0, n: 20 }))!.high).toBeCloseTo(0.1611, 4);
    expect(shareInterval(row({ value: 0.5 }))).toBeUndefined();
    expect(shareInterval(row({ low: -0.1, high: 1.2 }))).toEqual({ low: 0, high: 1 });
  });

  test("final rows leave out intermediate steps and attempts apart", () => {
    const whole = row({ checkpoint: "dpo-medium", set: "unsafe", value: 0.98 });
    expect(finalRows([{ ...whole, step: 5 }, whole, { ...whole, outcome: "success" }])).toEqual([whole]);
  });

  test("over seeds and branches: steps and outcomes are quantities of their own", () => {
    const rows = [
      row({ seed: 0 }),
      row({ seed: 0, step: 5, value: 0.1 }),
      row({ seed: 0, outcome: "failure", value: 0.2 }),
    ];
    expect(overSeeds(rows).map(({ value }) => value)).toEqual([0.5, 0.1, 0.2]);
    expect(allBranches(rows.map((r, i) => ({ ...r, branch: i === 0 ? "A" : "B" })))).toHaveLength(3);
  });

  test("over seeds: shares that agree in every seed are bounded by their pooled samples", () => {
    const [combined] = overSeeds([0, 1, 2].map((seed) => row({ seed, value: 1, n: 100, low: 0.96, high: 1 })));
    expect(combined).toEqual(row({ value: 1, n: 300 }));
    expect(shareInterval(combined!)!.low).toBeCloseTo(0.98736, 5);
    // An area under a curve is no share of n samples.
    const [area] = overSeeds([0, 1].map((seed) => row({ measure: "clusters", metric: "auc", seed, value: 1, n: 100 })));
    expect(area).toMatchObject({ low: 1, high: 1 });
  });

  test("come before tuning first, methods in the paper's order, medium before small, controls last", () => {
    const ordered = [
      "instruct",
      "ssft-medium",
      "ssft-small",
      "dpo-medium",
      "unlearning-medium",
      "unlearning-tiny",
      "dpo-standard-medium",
      "npo-small",
      "mine-medium",
      "continue-medium",
      "shuffled-medium",
    ];
    expect(orderCheckpoints([...ordered].reverse())).toEqual(ordered);
    expect(orderSets(["soft-prompt-10", "jb-b", "unsafe", "soft-prompt-5", "jb-a", "safe"])).toEqual([
      "safe",
      "unsafe",
      "jb-a",
      "jb-b",
      "soft-prompt-5",
      "soft-prompt-10",
    ]);
  });

  test("checkpoints are METHOD-RATE, and METHOD may hold a dash", () => {
    expect(checkpointParts("dpo-standard-medium")).toEqual({ method: "dpo-standard", rate: "medium" });
    expect(checkpointParts("dpo-standard")).toEqual({ method: "dpo-standard", rate: "" });
    expect(checkpointParts("instruct")).toEqual({ method: "instruct", rate: "" });
    const titles = [
      "dpo-small",
      "dpo-standard-medium",
      "npo-medium",
      "simpo-medium",
      "continue-medium",
      "constructor-x",
    ];
    expect(titles.map(checkpointTitle)).toEqual([
      "DPO small",
      "DPO (β = γ) medium",
      "NPO medium",
      "SimPO medium",
      "continue medium",
      "constructor-x",
    ]);
  });
});

describe("words", () => {
  test("numbers read as in print", () => {
    expect(fixed(-0.001)).toBe("0.00");
    expect(fixed(-1.234)).toBe("−1.23");
    expect(fixed(Number.NaN)).toBe("–");
    expect(percent(0.9815)).toBe("98.2%");
    expect(significant(0.01234)).toBe("0.0123");
    expect(significant(1234.5)).toBe("1235");
    expect(significant(-2e-7)).toBe("−2.00 × 10⁻⁷");
    expect(duration(143.21)).toBe("2 min 23 s");
    expect(duration(3599.7)).toBe("1 h 00 min");
  });

  test("set names are the paper's, and foreign ones stay as they are", () => {
    expect(setTitle("jb-co-text")).toBe("JB-CO-Text");
    expect(setTitle("jb-misgen-function")).toBe("JB-MisGen-Function");
    expect(setTitle("jb-<b>")).toBe("jb-<b>");
    expect(setTitle("jb-constructor")).toBe("JB-Constructor");
    expect(setTitle("soft-prompt-10")).toBe("soft prompt, 10");
    expect(setTitle("gcg")).toBe("GCG");
  });
});

describe("CSV", () => {
  test("has only columns in use, quotes what needs it, and disarms formulas", () => {
    const csv = toCsv([row({ set: 'a,"b"', value: Number.NaN }), row({ set: "=1+1", n: 3 })]);
    expect(csv).toBe('measure,metric,set,value,n\r\nbehaviour,null,"a,""b""",,\r\nbehaviour,null,\'=1+1,0.5,3\r\n');
  });
});
