import { afterAll, describe, expect, test } from "vitest";
import { gradients, program, unflatten } from "../../src/tensor/index.js";
import { freshState, type StepMetrics, type TrainOptions, train } from "../../src/train/loop.js";
import { gptScorer, type Objective, type ObjectiveInput, type Sequences } from "../../src/train/objective.js";
import { RECIPES, recipeNamed } from "../../src/train/objectives/registry.js";
import { ssft } from "../../src/train/objectives/ssft.js";
import { answerPairs, pairScorer } from "../../src/train/pairs.js";
import { cpuEngine } from "../engines.js";
import { maxDifference } from "../numbers.js";
import { TINY, TINY_LAYOUT, tinyWeights } from "./tinyGpt.js";

const engine = cpuEngine();
afterAll(() => engine.release());

const PAD = 0;
const [model, layout] = [TINY, TINY_LAYOUT];
const [flat, before] = [tinyWeights(1, 10), tinyWeights(2, 10)];

/** A prompt with its two answers, whose tokens are scored. */
interface Pair {
  readonly prompt: readonly number[];
  readonly answers: readonly [readonly number[], readonly number[]];
}
const PAIRS: readonly Pair[] = [
  {
    prompt: [3, 7, 2],
    answers: [
      [9, 4, 5],
      [1, 1, 5],
    ],
  },
  {
    prompt: [5, 1, 8, 6],
    answers: [
      [2, 6],
      [1, 6],
    ],
  },
  {
    prompt: [11, 12, 2],
    answers: [
      [1, 1, 7],
      [8, 3, 7],
    ],
  },
];

/** The rows of a joined batch of these pairs, padded to `time` tokens and `scored` positions. */
function rowsOf(pairs: readonly Pair[], time: number, scored: number) {
  const rows = [0, 1].flatMap((which) =>
    pairs.map(({ prompt, answers }) => {
      const answer = answers[which]!;
      const all = [...prompt, ...answer];
      const fill = (values: number[], length: number) => [...values, ...Array(length - values.length).fill(0)];
      return {
        tokens: fill(all.slice(0, -1), time),
        positions: fill(
          answer.map((_, i) => prompt.length + i - 1),
          scored,
        ),
        targets: fill([...answer], scored),
        weights: fill(
          answer.map(() => 1),
          scored,
        ),
      };
    }),
  );
  const all = (key: "tokens" | "positions" | "targets" | "weights") => rows.flatMap((row) => row[key] as number[]);
  return {
    tokens: Int32Array.from(all("tokens")),
    positions: Int32Array.from(all("positions")),
    targets: Int32Array.from(all("targets")),
    weights: Float64Array.from(all("weights")),
  };
}

interface RunOptions {
  readonly time?: number;
  readonly scored?: number;
  readonly reference?: Float64Array;
  /** Two passes, one for each side, instead of one joined pass. */
  readonly apart?: boolean;
}

/** Loss and gradient with respect to the policy's weights, float64. */
async function run(objective: Objective, pairs: readonly Pair[], options: RunOptions = {}) {
  const { time = 6, scored = 3, reference = before, apart = false } = options;
  const rows = 2 * pairs.length;
  const vector = { shape: [layout.size], dtype: "float64" } as const;
  const ids = { shape: [rows, scored], dtype: "int32" } as const;
  const compiled = await engine.compile(
    program(
      objective.name,
      {
        flat: vector,
        reference: vector,
        tokens: { shape: [rows, time], dtype: "int32" },
        positions: ids,
        targets: ids,
        weights: { shape: [rows, scored], dtype: "float64" },
      },
      (inputs) => {
        const joined: Sequences = inputs;
        const cut = answerPairs(joined);
        const { preferred, rejected } = cut;
        const scorer = (parameters: typeof inputs.flat) => {
          const one = gptScorer(model, [unflatten(parameters, layout)], PAD);
          return apart ? one : pairScorer(one, cut);
        };
        const input: ObjectiveInput = {
          policy: scorer(inputs.flat),
          reference: scorer(inputs.reference),
          preferred,
          rejected,
        };
        const loss = objective.loss(input);
        return { loss, gradient: gradients(loss, [inputs.flat])[0]! };
      },
    ),
  );
  const out = await compiled.run({ flat, reference, ...rowsOf(pairs, time, scored) });
  return { loss: Number(out.loss[0]), gradient: out.gradient as Float64Array };
}

const PER_TOKEN = { likelihood: "mean", rejectedCap: 12 };

/** Every method at its defaults, and those with likelihoods per token too. */
const OBJECTIVES: [string, Objective][] = [
  ...[...RECIPES.values()].map((recipe): [string, Objective] => [recipe.name, recipe]),
  ["dpo per token", recipeNamed("dpo").configure(PER_TOKEN)],
  ["unlearning per token", recipeNamed("unlearning").configure(PER_TOKEN)],
  // Without its retain term, which counts tokens where the rest counts pairs.
  ["npo per token", recipeNamed("npo").configure({ ...PER_TOKEN, retain: 0 })],
];

describe.each(OBJECTIVES)("%s", (name, objective) => {
  test("padding and unused positions change nothing", async () => {
    const [bare, padded] = [await run(objective, PAIRS), await run(objective, PAIRS, { time: 11, scored: 5 })];
    expect(padded.loss).toBeCloseTo(bare.loss, 12);
    expect(maxDifference(padded.gradient, bare.gradient)).toBeLessThan(1e-12);
    expect(Math.max(...bare.gradient.map(Math.abs))).toBeGreaterThan(1e-3);
  });

  test("the order of a batch changes nothing", async () => {
    const order = [PAIRS[2]!, PAIRS[0]!, PAIRS[1]!];
    const [one, other] = [await run(objective, PAIRS), await run(objective, order)];
    expect(other.loss).toBeCloseTo(one.loss, 12);
    expect(maxDifference(other.gradient, one.gradient)).toBeLessThan(1e-12);
  });

  test("splitting a batch changes nothing, when each part counts by its pairs, or by its tokens where the loss does", async () => {
    const whole = await run(objective, PAIRS);
    const parts = await Promise.all(PAIRS.map((pair) => run(objective, [pair])));
    const byTokens = name === "ssft" || name === "unlearning per token";
    const shares = PAIRS.map(({ answers }) => (byTokens ? answers[0].length / 8 : 1 / 3));
    expect(parts.reduce((sum, part, i) => sum + shares[i]! * part.loss, 0)).toBeCloseTo(whole.loss, 12);
    const gradient = whole.gradient.map((_, at) =>
      parts.reduce((sum, part, i) => sum + shares[i]! * part.gradient[at]!, 0),
    );
    expect(maxDifference(gradient, whole.gradient)).toBeLessThan(1e-12);
  });

  test("one joined pass is two passes", async () => {
    const [joined, apart] = [await run(objective, PAIRS), await run(objective, PAIRS, { apart: true })];
    expect(joined.loss).toBeCloseTo(apart.loss, 12);
    expect(maxDifference(joined.gradient, apart.gradient)).toBeLessThan(1e-12);
  });
});

test("DPO of a policy that is its reference: loss ln 2", async () => {
  for (const name of ["dpo", "dpo-standard"]) {
    const { loss } = await run(recipeNamed(name), PAIRS, { reference: flat });
    expect(loss).toBeCloseTo(Math.LN2, 12);
  }
});

describe("training steps", () => {
  const [batch, time, scored] = [3, 6, 3];
  const start = Float32Array.from(flat);
  const batchAt = (rejected: boolean) => () => {
    const rows = rowsOf(PAIRS, time, scored);
    const cut = <T extends Int32Array | Float64Array>(values: T) =>
      (rejected ? values : values.slice(0, values.length / 2)) as T;
    return {
      tokens: cut(rows.tokens),
      positions: cut(rows.positions),
      targets: cut(rows.targets),
      weights: Float32Array.from(cut(rows.weights)),
    };
  };
  const options = (objective: Objective): TrainOptions => ({
    model,
    objective,
    reference: start,
    adamw: { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 1e-4 },
    clip: 1,
    schedule: { peak: 1e-3, final: 0, warmup: 0, steps: 5 },
    batch,
    time,
    scored,
    pad: PAD,
    batchAt: batchAt(objective.needs.includes("rejected")),
    batchName: "a test",
  });
  const steps = async (objective: Objective, more: Partial<TrainOptions> = {}) => {
    const metrics: StepMetrics[] = [];
    const onStep = (one: StepMetrics) => void metrics.push(one);
    const { parameters } = await train(engine, freshState(start), { ...options(objective), ...more, onStep });
    return { parameters, metrics };
  };

  test("unlearning with gamma 0 is plain fine-tuning, bit for bit", async () => {
    const [plain, unlearning] = [
      await steps(ssft),
      await steps(recipeNamed("unlearning").configure({ gamma: 0, likelihood: "mean" })),
    ];
    expect(Buffer.from(unlearning.parameters.buffer).equals(Buffer.from(plain.parameters.buffer))).toBe(true);
    expect(unlearning.metrics).toEqual(plain.metrics);
    expect(plain.parameters).not.toEqual(start);
  });

  test("DPO begins at ln 2 with all rewards 0, then gains a margin; its rewards are those of its formula", async () => {
    const { metrics } = await steps(recipeNamed("dpo"));
    const [first, last] = [metrics[0]!, metrics.at(-1)!];
    expect(first.loss).toBeCloseTo(Math.LN2, 6);
    for (const metric of ["rewardsChosen", "rewardsRejected", "rewardsMargins"] as const)
      expect(first.metrics[metric]).toBeCloseTo(0, 5);
    expect(last.loss).toBeLessThan(first.loss);
    const { rewardsChosen, rewardsRejected, rewardsMargins, rewardsAccuracies, nllPreferred } = last.metrics;
    expect(rewardsMargins).toBeGreaterThan(0);
    expect(rewardsMargins!).toBeCloseTo(rewardsChosen! - rewardsRejected!, 5);
    expect(rewardsAccuracies).toBe(1);
    // beta 0.1 times the fall of the summed likelihood: 8 tokens over 3 answers.
    expect(rewardsChosen!).toBeCloseTo((0.1 * 8 * (first.metrics.nllPreferred - nllPreferred)) / 3, 4);
  });

  test("each method logs what it has", async () => {
    const names = async (name: string) => Object.keys((await steps(recipeNamed(name))).metrics[0]!.metrics);
    expect(await names("ssft")).toEqual(["nllPreferred"]);
    expect(await names("unlearning")).toEqual(["nllPreferred", "nllRejected"]);
    for (const name of ["dpo", "npo", "simpo"]) expect(await names(name)).toHaveLength(6);
  });

  test("the reference is asked for", async () => {
    const { reference: _, ...rest } = options(recipeNamed("npo"));
    await expect(train(engine, freshState(start), rest)).rejects.toThrow("npo needs the parameters of a reference");
  });

  test("checkpoints along the way are the weights that a shorter training ends with", async () => {
    const kept = new Map<number, Float32Array>();
    const onCheckpoint = async (step: number, weights: Float32Array) => void kept.set(step, weights);
    const { parameters } = await steps(recipeNamed("dpo"), { checkpointsAt: [2, 5], onCheckpoint });
    expect([...kept.keys()]).toEqual([2, 5]);
    expect(kept.get(5)).toEqual(parameters);
    expect(kept.get(2)).toEqual((await steps(recipeNamed("dpo"), { until: 2 })).parameters);
  });
});
