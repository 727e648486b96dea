// Times training at one size and prints it with the peak memory of this process. Argument: JSON of { shape, repeats, steps }.
import { engineSource } from "../../dist/study/engines.js";
import { mean, median } from "./alternate.mjs";
import { fullBatch, gptOf, initialWeights, ourTraining } from "./training.mjs";

const { shape, repeats, steps } = JSON.parse(process.argv[2]);
const engine = await engineSource({ device: "cpu", threads: 2 })();
const model = gptOf(shape);
const batch = fullBatch(shape);
const training = ourTraining(engine, {
  model,
  batch: shape.batch,
  time: shape.time,
  pad: model.vocabulary - 1,
  batchAt: () => batch,
  schedule: { peak: 1e-4, final: 1e-4, warmup: 0, steps: 1_000_000 },
  initial: initialWeights(model),
});
await training.turn(2);
const seconds = [];
for (let repeat = 0; repeat < repeats; repeat++) seconds.push(mean((await training.turn(steps)).seconds));
// resourceUsage counts in KiB.
const peakBytes = 1024 * process.resourceUsage().maxRSS;
console.log(JSON.stringify({ secondsPerStep: median(seconds), peakBytes }));
await engine.release();
