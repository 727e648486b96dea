import { afterAll, expect, test } from "vitest";
import { readActivations, weightMatrix } from "../../src/analysis/index.js";
import { gptParameters, initializeParameters } from "../../src/model/index.js";
import { loadWorld } from "../../src/study/loadWorld.js";
import { gptOf } from "../../src/study/stages/checkpoints.js";
import { gptLayout } from "../../src/train/index.js";
import { testSet } from "../../src/world/index.js";
import { cpuEngine } from "../engines.js";

const engine = cpuEngine();
afterAll(() => engine.release());

test("one pass gives the MLP's input at k and its activations there: the first matrix leads from one to the other", async () => {
  const world = await loadWorld("smoke");
  const model = gptOf({ width: 16, blocks: 2, heads: 2, mlp: 32, residual: "pre-ln" }, world);
  const parameters = initializeParameters(gptParameters(model), gptLayout(model), 3);
  const checkpoint = { model, parameters };
  const samples = testSet(world, "unsafe", { seed: 0, count: 7 });
  const options = { world, batch: 4, positions: [1, 10] };
  const { means, inputs } = await readActivations(engine, checkpoint, samples, { ...options, inputs: true });
  for (let block = 0; block < 2; block++) {
    const { data } = weightMatrix(checkpoint, block, "mlp.fc");
    expect(inputs[block]).toHaveLength(7 * 16);
    // Biases start at 0. tanh's approximation of GELU, in float64 here.
    for (let row = 0; row < 7; row++)
      for (let n = 0; n < 32; n++) {
        let x = 0;
        for (let i = 0; i < 16; i++) x += data[n * 16 + i]! * inputs[block]![row * 16 + i]!;
        const gelu = 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
        expect(means[0]!.blocks[block]![row * 32 + n]).toBeCloseTo(gelu, 5);
      }
  }
  // Without them the activations are the same, and what is not asked for is not read.
  const plain = await readActivations(engine, checkpoint, samples, options);
  expect(plain.inputs).toEqual([]);
  expect(plain.means).toEqual(means);
  const late = { ...options, positions: [10], inputs: true };
  await expect(readActivations(engine, checkpoint, samples, late)).rejects.toThrow("the first q must be 1");
});
