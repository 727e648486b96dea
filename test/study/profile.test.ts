import { describe, expect, it } from "vitest";
import { loadWorld } from "../../src/study/loadWorld.js";
import { profileStage } from "../../src/study/profile.js";
import { matrixFlopsOf, moduleOf, type ProfileEvent, profileTables } from "../../src/study/profileTables.js";
import { resolveConfig } from "../../src/study/resolveConfig.js";

const node = (name: string, op_name: string, ts: number, dur: number): ProfileEvent => ({
  cat: "Node",
  name: `${name}_kernel_time`,
  ts,
  dur,
  args: { op_name },
});
const run = (ts: number, dur: number): ProfileEvent => ({ cat: "Session", name: "model_run", ts, dur });

describe("modules", () => {
  it.each([
    ["blocks.2.mlp.post/Gemm_58", "Gemm", "MLP"],
    ["grad.blocks.2.mlp_out/Gemm_58", "Gemm", "MLP"],
    ["grad.grad.blocks.0.attn.pattern/Mul_1", "Mul", "attention"],
    ["blocks.10.attn_out/Gemm_3", "Gemm", "attention"],
    ["blocks.1.mlp.in/Mul_3", "Mul", "norms"],
    ["ln_final/Add_3", "Add", "norms"],
    ["grad.logits/Gemm_3", "Gemm", "head and loss"],
    ["optimizer.parameters/Sub_9", "Sub", "optimizer"],
    ["SkipLayerNormalization", "SkipLayerNormalization", "norms"],
    ["output/loss", "Identity", "other"],
  ])("%s is of its module", (name, operation, module) => {
    expect(moduleOf(name, operation)).toBe(module);
  });
});

describe("profile tables", () => {
  it("leave out the warm runs and share out the rest", () => {
    const events = [
      run(0, 900),
      node("blocks.0.mlp.pre/Gemm_1", "Gemm", 1, 800),
      run(1000, 100),
      node("blocks.0.mlp.pre/Gemm_1", "Gemm", 1001, 60),
      node("blocks.0.mlp.post/Mul_2", "Mul", 1070, 20),
      run(2000, 300),
      node("blocks.0.mlp.pre/Gemm_1", "Gemm", 2001, 180),
      node("loss/Mul_2", "Mul", 2270, 60),
    ];
    const { runs, milliseconds, byOperation, byModule } = profileTables([events], 1);
    expect(runs).toBe(2);
    expect(milliseconds).toBeCloseTo(0.2, 12);
    expect(byOperation.map(({ name, calls, share }) => [name, calls, share])).toEqual([
      ["Gemm", 1, 0.6],
      ["Mul", 1, 0.2],
      ["between nodes", 0, 0.2],
    ]);
    expect(byModule.map(({ name, share }) => [name, share])).toEqual([
      ["MLP", 0.65],
      ["between nodes", 0.2],
      ["head and loss", 0.15],
    ]);
  });

  it("count 2 M N K for a product, whichever operand is transposed, and nothing for other nodes", () => {
    const event = (op_name: string, a: number[], b: number[], out: number[]): ProfileEvent => ({
      ...node("x", op_name, 0, 1),
      args: { op_name, input_type_shape: [{ float: a }, { float: b }], output_type_shape: [{ float: out }] },
    });
    expect(matrixFlopsOf(event("Gemm", [3, 5], [5, 7], [3, 7]))).toBe(2 * 3 * 5 * 7);
    expect(matrixFlopsOf(event("Gemm", [5, 3], [7, 5], [3, 7]))).toBe(2 * 3 * 5 * 7);
    expect(matrixFlopsOf(event("FusedMatMul", [2, 4, 3, 5], [2, 4, 5, 7], [2, 4, 3, 7]))).toBe(2 * 8 * 3 * 5 * 7);
    expect(matrixFlopsOf(event("Mul", [3, 5], [3, 5], [3, 5]))).toBe(0);
  });
});

describe("profileStage", () => {
  it.each(["pretrain", "tune", "behaviour", "clusters"] as const)(
    "shares out the whole time of %s, and finds most nodes' modules",
    async (stage) => {
      const config = await resolveConfig({
        source: "smoke",
        set: ["model.width=16", "model.mlp=32", "pretrain.batch=8", "tune.batch=8", "evaluate.batch=8"],
      });
      const world = await loadWorld(config.world);
      const profile = await profileStage(config, world, stage, { steps: 2 });
      expect(profile.runs).toBe(2);
      for (const rows of [profile.byOperation, profile.byModule])
        expect(rows.reduce((total, { share }) => total + share, 0)).toBeCloseTo(1, 2);
      const calls = (name: string) => profile.byModule.find((row) => row.name === name)?.calls ?? 0;
      const all = profile.byModule.reduce((total, row) => total + row.calls, 0);
      expect(calls("other")).toBeLessThan(all / 10);
      for (const module of ["attention", "MLP", "norms"]) expect(calls(module)).toBeGreaterThan(0);
      expect(profile.matrixFlops).toBeGreaterThan(0);
      expect(profile.matrixRate).toBeGreaterThan(0);
    },
  );
});
