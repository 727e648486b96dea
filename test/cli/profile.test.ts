import { describe, expect, it } from "vitest";
import { main } from "../../src/cli/main.js";
import { memoryIo } from "./memoryIo.js";

const TINY = ["model.width=16", "model.mlp=32", "pretrain.batch=8"].flatMap((change) => ["--set", change]);

describe("nullscope profile", () => {
  it("refuses an unknown stage and names the nearest", async () => {
    const { io, written } = memoryIo();
    expect(await main(["profile", "pretrian"], io)).toBe(2);
    expect(written.err).toMatch(/^nullscope: There is no stage "pretrian" to profile; did you mean "pretrain"\?.*\n$/);
  });

  it("refuses a number of steps that is none", async () => {
    const { io, written } = memoryIo();
    expect(await main(["profile", "pretrain", "--steps", "0"], io)).toBe(2);
    expect(written.err).toMatch(/--steps must be a whole number from 1 to 1000/);
  });

  it("prints the step, its floor, and where the time goes", async () => {
    const { io, written } = memoryIo();
    expect(await main(["profile", "pretrain", "--study", "smoke", "--steps", "2", ...TINY], io)).toBe(0);
    expect(written.out).toMatch(/^pretrain: \d+\.\d ms a step on the CPU, 2 threads, mean of 2\nfloor: .*GFLOP\/s\n/);
    for (const name of ["attention", "MLP", "norms", "optimizer", "Gemm"])
      expect(written.out).toMatch(new RegExp(`^${name} +\\d`, "m"));
  });

  it("prints the same as one object for machines", async () => {
    const { io, written } = memoryIo();
    expect(await main(["profile", "pretrain", "--study", "smoke", "--steps", "2", "--json", ...TINY], io)).toBe(0);
    expect(JSON.parse(written.out)).toMatchObject({ stage: "pretrain", runs: 2, matrixFlops: expect.any(Number) });
  });
});
