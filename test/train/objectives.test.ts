import { afterAll, describe, expect, test } from "vitest";
import {
  constant,
  gradients,
  mean,
  program,
  slice,
  square,
  sub,
  type Tensor,
  tokenNll,
} from "../../src/tensor/index.js";
import { rejectedCapOption, weightOption } from "../../src/train/likelihood.js";
import { type Objective, type ObjectiveInput, type Sequences, scorerOf } from "../../src/train/objective.js";
import { dpoRewards } from "../../src/train/objectives/dpo.js";
import { RECIPES, recipeNamed } from "../../src/train/objectives/registry.js";
import { recipe } from "../../src/train/recipe.js";
import { cpuEngine } from "../engines.js";
import { readGolden, readJson } from "../fixtures.js";
import { maxDifference } from "../numbers.js";

const golden = readGolden("losses/losses.safetensors");
interface Block {
  readonly loss: number;
  readonly per_example_loss: number[];
  readonly margin: number[];
  readonly rewards_chosen: number[];
  readonly rewards_rejected: number[];
}
interface ScalarCase {
  readonly [key: string]: number;
}
const json = readJson<{
  float64: Record<"dpo" | "two_weight" | "unlearn", Block> & {
    ce_completion: { mean: number };
    summed_nll: Record<string, number[]>;
  };
  scalar_cases: ScalarCase[];
}>("losses/losses.json");
const engine = cpuEngine();
afterAll(() => engine.release());

const [batch, time, vocabulary] = [4, 12, 17];
const SIDES = ["chosen", "rejected"] as const;
type Side = (typeof SIDES)[number];
type Logits = { readonly [Model in "policy" | "ref"]: { readonly [S in Side]: Float64Array } };

const given: Logits = {
  policy: { chosen: data("policy.chosen.logits"), rejected: data("policy.rejected.logits") },
  ref: { chosen: data("ref.chosen.logits"), rejected: data("ref.rejected.logits") },
};
function data(name: string): Float64Array {
  return golden.get(name)!.data;
}

/** The fixture's answers as sequences: the logit at position t scores token t + 1, where its completion mask is 1. */
function answers(side: Side): Sequences {
  const shifted = (name: string) => {
    const values = data(`${side}.${name}`);
    return Array.from(
      { length: batch * (time - 1) },
      (_, i) => values[Math.floor(i / (time - 1)) * time + (i % (time - 1)) + 1]!,
    );
  };
  const shape = [batch, time - 1];
  return {
    tokens: constant(shifted("input_ids"), shape, "int32"),
    targets: constant(shifted("input_ids"), shape, "int32"),
    weights: constant(shifted("completion_mask"), shape, "float64"),
  };
}

/** Loss, rewards, and the gradients with respect to the policy's logits, of models that give these logits. */
async function run(objective: Objective, logits: Logits = given) {
  const spec = { shape: [batch, time, vocabulary], dtype: "float64" } as const;
  const inputs = { policyChosen: spec, policyRejected: spec, refChosen: spec, refRejected: spec };
  const compiled = await engine.compile(
    program<string, string>(objective.name, inputs, (input) => {
      const [preferred, rejected] = [answers("chosen"), answers("rejected")];
      const scorer = (chosen: Tensor, other: Tensor) =>
        scorerOf((sequences) => tokenNll(slice(sequences === preferred ? chosen : other, 1, 0, -1), sequences.targets));
      const all: ObjectiveInput = {
        policy: scorer(input.policyChosen!, input.policyRejected!),
        reference: scorer(input.refChosen!, input.refRejected!),
        preferred,
        rejected,
      };
      const loss = objective.loss(all);
      const [chosen, other] = gradients(loss, [input.policyChosen!, input.policyRejected!]);
      const rewards = objective.rewards?.(all);
      return {
        loss,
        chosen: chosen!,
        rejected: other!,
        ...(rewards && { rewardsChosen: rewards.chosen, rewardsRejected: rewards.rejected }),
      };
    }),
  );
  const out = await compiled.run({
    policyChosen: logits.policy.chosen,
    policyRejected: logits.policy.rejected,
    refChosen: logits.ref.chosen,
    refRejected: logits.ref.rejected,
  });
  return { ...out, loss: Number(out.loss![0]) } as {
    loss: number;
    chosen: Float64Array;
    rejected: Float64Array;
    rewardsChosen: Float64Array;
    rewardsRejected: Float64Array;
  };
}

const configure = (name: string, options = {}) => recipeNamed(name).configure(options);
const nll = json.float64.summed_nll;
const lengths = SIDES.map((side) =>
  Array.from({ length: batch }, (_, row) =>
    data(`${side}.completion_mask`)
      .subarray(row * time, (row + 1) * time)
      .reduce((a, b) => a + b, 0),
  ),
) as [number[], number[]];
const meanOf = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
/** What a careful reader would write: -log sigmoid(x). */
const lost = (x: number) => (x > 0 ? Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)) - x);

describe("against TRL and PyTorch, float64 to 1e-10", () => {
  test.each([
    ["dpo-standard", { beta: 0.1 }, "dpo", "dpo"],
    ["dpo", { beta: 0.1, gamma: 0.1 }, "dpo", "dpo"],
    ["dpo", { beta: 0.1, gamma: 0.01 }, "two_weight", "two_weight"],
  ] as const)("%s %j: loss, rewards and gradients", async (name, options, block, prefix) => {
    const out = await run(configure(name, options));
    const wanted = json.float64[block];
    expect(Math.abs(out.loss - wanted.loss)).toBeLessThan(1e-10);
    expect(maxDifference(out.chosen, data(`${prefix}.grad_policy_chosen.f64`))).toBeLessThan(1e-10);
    expect(maxDifference(out.rejected, data(`${prefix}.grad_policy_rejected.f64`))).toBeLessThan(1e-10);
    const margins = out.rewardsChosen.map((reward, i) => reward - out.rewardsRejected[i]!);
    if (block === "two_weight") expect(maxDifference(margins, wanted.margin)).toBeLessThan(1e-10);
    else {
      expect(maxDifference(out.rewardsChosen, wanted.rewards_chosen)).toBeLessThan(1e-10);
      expect(maxDifference(out.rewardsRejected, wanted.rewards_rejected)).toBeLessThan(1e-10);
    }
  });

  test("unlearning: loss and gradients", async () => {
    const out = await run(configure("unlearning", { gamma: 0.1 }));
    expect(Math.abs(out.loss - json.float64.unlearn.loss)).toBeLessThan(1e-10);
    expect(maxDifference(out.chosen, data("unlearn.grad_policy_chosen.f64"))).toBeLessThan(1e-10);
    expect(maxDifference(out.rejected, data("unlearn.grad_policy_rejected.f64"))).toBeLessThan(1e-10);
  });

  test("SSFT is cross-entropy over the completions", async () => {
    const out = await run(configure("ssft"));
    expect(Math.abs(out.loss - json.float64.ce_completion.mean)).toBeLessThan(1e-10);
    expect(maxDifference(out.chosen, data("ce.completion.grad_mean.f64"))).toBeLessThan(1e-10);
    expect(out.rejected.every((value) => value === 0)).toBe(true);
  });
});

describe("by the formula, from the summed likelihoods of the fixture", () => {
  const [policy, reference] = [
    { chosen: nll.policy_chosen!, rejected: nll.policy_rejected! },
    { chosen: nll.ref_chosen!, rejected: nll.ref_rejected! },
  ];

  test("DPO per token", async () => {
    const { loss } = await run(configure("dpo", { beta: 2, gamma: 0.5, likelihood: "mean" }));
    const margin = (i: number) =>
      (2 * (reference.chosen[i]! - policy.chosen[i]!)) / lengths[0][i]! -
      (0.5 * (reference.rejected[i]! - policy.rejected[i]!)) / lengths[1][i]!;
    expect(loss).toBeCloseTo(meanOf([0, 1, 2, 3].map((i) => lost(margin(i)))), 11);
  });

  test("NPO with its retain term", async () => {
    const { loss } = await run(configure("npo", { beta: 0.3, retain: 0.7 }));
    const forget = (i: number) => (2 / 0.3) * lost(0.3 * (policy.rejected[i]! - reference.rejected[i]!));
    expect(loss).toBeCloseTo(meanOf([0, 1, 2, 3].map((i) => forget(i) + 0.7 * policy.chosen[i]!)), 10);
  });

  test("SimPO: length-normalised, with its margin, and no reference", async () => {
    const { loss, rewardsChosen } = await run(configure("simpo", { beta: 2.5, gamma: 1.2 }));
    const perToken = (i: number) => [policy.chosen[i]! / lengths[0][i]!, policy.rejected[i]! / lengths[1][i]!] as const;
    const margin = (i: number) => 2.5 * (perToken(i)[1] - perToken(i)[0]) - 1.2;
    expect(loss).toBeCloseTo(meanOf([0, 1, 2, 3].map((i) => lost(margin(i)))), 11);
    expect(rewardsChosen[0]).toBeCloseTo(-2.5 * perToken(0)[0], 11);
    const without = configure("simpo");
    expect(without.needs).toEqual(["rejected"]);
  });

  test("unlearning per token is a difference of two cross-entropies", async () => {
    const { loss } = await run(configure("unlearning", { gamma: 0.25, likelihood: "mean" }));
    const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
    const perToken = (values: readonly number[], which: 0 | 1) => total(values) / total(lengths[which]);
    expect(loss).toBeCloseTo(perToken(policy.chosen, 0) - 0.25 * perToken(policy.rejected, 1), 11);
  });
});

describe("TRL's losses and derivatives from four summed likelihoods, margins up to 4e4", () => {
  test.each(json.scalar_cases.map((one, index) => [index, one] as const))("case %i", async (_, one) => {
    const row: Sequences = {
      tokens: constant([0], [1, 1], "int32"),
      targets: constant([0], [1, 1], "int32"),
      weights: constant([1], [1, 1], "float64"),
    };
    const [preferred, rejected] = [row, { ...row }];
    const spec = { shape: [1, 1], dtype: "float64" } as const;
    const methods = { dpo: configure("dpo-standard"), two_weight: configure("dpo"), unlearn: configure("unlearning") };
    const compiled = await engine.compile(
      program<string, string>("scalars", { w: spec, l: spec }, ({ w, l }) => {
        const reference = scorerOf((y) => constant([y === preferred ? one.l_ref_w! : one.l_ref_l!], [1, 1], "float64"));
        const policy = scorerOf((y) => (y === preferred ? w! : l!));
        return Object.fromEntries(
          Object.entries(methods).flatMap(([name, objective]) => {
            const loss = objective.loss({ policy, reference, preferred, rejected });
            const [dw, dl] = gradients(loss, [w!, l!]);
            return [
              [name, loss],
              [`${name}_d_l_w`, dw!],
              [`${name}_d_l_l`, dl!],
            ];
          }),
        );
      }),
    );
    const out = await compiled.run({ w: Float64Array.of(one.l_w!), l: Float64Array.of(one.l_l!) });
    const wanted = Object.entries(one).filter(([name]) => !name.startsWith("l_"));
    expect(wanted.length).toBeGreaterThan(5);
    for (const [name, value] of wanted)
      expect(Math.abs(Number(out[name]![0]) - value), name).toBeLessThan(1e-10 * Math.max(1, Math.abs(value)));
  });
});

describe("limits", () => {
  test("a policy that is the reference: DPO's loss is ln 2 and its margin 0, NPO's (2 / beta) ln 2", async () => {
    const same = { policy: given.ref, ref: given.ref };
    for (const options of [{}, { likelihood: "mean" }, { rejectedCap: 1 }]) {
      const { loss, rewardsChosen, rewardsRejected } = await run(configure("dpo", options), same);
      expect(loss).toBeCloseTo(Math.LN2, 13);
      expect([...rewardsChosen, ...rewardsRejected].every((reward) => Math.abs(reward) < 1e-13)).toBe(true);
    }
    const npo = await run(configure("npo", { beta: 0.2, retain: 0 }), same);
    expect(npo.loss).toBeCloseTo((2 / 0.2) * Math.LN2, 12);
  });

  test("swapping the answers mirrors standard DPO: rewards change places, and loss(x) - loss(-x) = -x", async () => {
    const one = await run(configure("dpo-standard"));
    const swapped: Objective = {
      ...configure("dpo-standard"),
      loss: (input) => configure("dpo-standard").loss(mirrored(input)),
      rewards: (input) => configure("dpo-standard").rewards!(mirrored(input)),
    };
    const mirrored = ({ preferred, rejected, ...models }: ObjectiveInput): ObjectiveInput => ({
      ...models,
      preferred: rejected!,
      rejected: preferred,
    });
    const other = await run(swapped);
    expect(maxDifference(other.rewardsChosen, one.rewardsRejected)).toBe(0);
    expect(maxDifference(other.rewardsRejected, one.rewardsChosen)).toBe(0);
    const margin = meanOf(Array.from(one.rewardsChosen, (reward, i) => reward - one.rewardsRejected[i]!));
    expect(one.loss - other.loss).toBeCloseTo(-margin, 12);
  });

  test("NPO becomes gradient ascent as beta goes to 0", async () => {
    const { rejected } = await run(configure("npo", { beta: 1e-7, retain: 0 }));
    const ascent = await run(configure("unlearning", { gamma: 1 }));
    expect(maxDifference(rejected, ascent.rejected)).toBeLessThan(1e-6); // the difference is of order beta times nats
    const far = await run(configure("npo", { beta: 1, retain: 0 }));
    expect(maxDifference(far.rejected, ascent.rejected)).toBeGreaterThan(1e-2);
  });

  test("SimPO with margin 0 and equal rewards is ln 2; the margin shifts it as if the reward did", async () => {
    const twin = { ...given, policy: { chosen: given.policy.chosen, rejected: given.policy.chosen } };
    const objective = configure("simpo", { gamma: 0.75 });
    const same: Objective = {
      ...objective,
      loss: ({ policy, preferred }) => objective.loss({ policy, preferred, rejected: preferred }),
      rewards: ({ policy, preferred }) => objective.rewards!({ policy, preferred, rejected: preferred }),
    };
    expect((await run(same, twin)).loss).toBeCloseTo(lost(-0.75), 13);
  });

  test("rejectedCap bounds unlearning, and a token beyond it has no gradient; the preferred answer keeps its own", async () => {
    const free = await run(configure("unlearning", { gamma: 0.1 }));
    const loose = await run(configure("unlearning", { gamma: 0.1, rejectedCap: 1e5 }));
    expect(loose.loss).toBe(free.loss);
    expect(loose.rejected).toEqual(free.rejected);
    const capped = await run(configure("unlearning", { gamma: 0.1, rejectedCap: 3 }));
    const tokens = (values: Float64Array) =>
      Array.from({ length: batch * time }, (_, i) => values.subarray(i * vocabulary, (i + 1) * vocabulary));
    const [moved, was] = [tokens(capped.rejected), tokens(free.rejected)];
    let stopped = 0;
    for (const [i, token] of moved.entries()) {
      if (token.every((value) => value === 0) && was[i]!.some((value) => value !== 0)) stopped++;
      else expect(token).toEqual(was[i]);
    }
    expect(stopped).toBeGreaterThan(0);
    expect(stopped).toBeLessThan(lengths[1].reduce((a, b) => a + b));
    expect(capped.chosen).toEqual(free.chosen);
    expect(capped.loss).toBeGreaterThan(free.loss);
  });

  test("nothing overflows at margins of tens of thousands of nats", async () => {
    for (const scale of [1e4, -1e4]) {
      const extreme = { ...given, policy: { ...given.policy, chosen: given.policy.chosen.map((x) => x * scale) } };
      for (const name of RECIPES.keys()) {
        const out = await run(configure(name), extreme);
        expect(Number.isFinite(out.loss), name).toBe(true);
        expect(out.chosen.every(Number.isFinite), name).toBe(true);
      }
    }
  });
});

describe("recipes", () => {
  test("one's own, as docs/objectives.md writes it: IPO", async () => {
    const ipo = recipe({
      name: "ipo",
      options: { beta: weightOption.gt(0).default(0.1), rejectedCap: rejectedCapOption },
      needs: ["reference", "rejected"],
      loss: (input, { beta, rejectedCap }) => {
        const { chosen, rejected } = dpoRewards(input, { beta: 1, gamma: 1, likelihood: "mean", rejectedCap });
        return mean(square(sub(sub(chosen, rejected), 1 / (2 * beta))));
      },
    });
    const { loss } = await run(ipo.configure({ beta: 0.25 }));
    const h = (i: number) =>
      (nll.ref_chosen![i]! - nll.policy_chosen![i]!) / lengths[0][i]! -
      (nll.ref_rejected![i]! - nll.policy_rejected![i]!) / lengths[1][i]!;
    expect(loss).toBeCloseTo(meanOf([0, 1, 2, 3].map((i) => (h(i) - 2) ** 2)), 10);
    expect(() => ipo.configure({ beta: 0 })).toThrow();
  });

  test("names are their own, options are strict, what is needed must be given", async () => {
    for (const [name, recipe] of RECIPES) expect(recipe.name).toBe(name);
    expect(() => configure("dpo", { bata: 1 })).toThrow(/bata/);
    expect(() => configure("dpo", { beta: "much" })).toThrow();
    expect(() => recipeNamed("dpoo")).toThrow(/no objective "dpoo"; objectives: ssft, dpo/);
    const { preferred, policy } = { preferred: answers("chosen"), policy: scorerOf(({ weights }) => weights) };
    expect(() => configure("dpo").loss({ policy, preferred })).toThrow('the objective dpo needs "reference"');
    expect(configure("unlearning", { gamma: 0 }).needs).toEqual([]);
  });
});
