import { z } from "zod";
import { permutation, randomKey } from "../random/index.js";
import { type ParameterLayout, type ParameterSlot, slotOf } from "../tensor/index.js";
import { type Directions, directionsOf, sumOfDirections } from "./lowRank.js";

/** The weight matrices of a block by the names that results give them. */
export const BLOCK_MATRICES = ["attn.qkv", "attn.proj", "mlp.fc", "mlp.proj"] as const;
export type BlockMatrix = (typeof BLOCK_MATRICES)[number];

export const INTERVENTION_KINDS = ["path", "transfer", "line", "rank"] as const;
export type InterventionKind = (typeof INTERVENTION_KINDS)[number];

const checkpoint = z.string().min(1).max(100);
/**
 * What is changed: `all`, or these matrices of every block and nothing else. `all` is the whole network, with embeddings, norms and biases; of
 * `rank`, which is about matrices, it is the four of every block.
 */
const matrices = z.union([
  z.literal("all"),
  z
    .array(z.enum(BLOCK_MATRICES))
    .min(1)
    .refine((names) => new Set(names).size === names.length, "must differ from each other"),
]);
const alpha = z.number().min(-100).max(100);

/** A change of weights as data. dW of a tuned checkpoint is what its tuning did: its weights less those of the model it began with. */
export const interventionSchema = z.discriminatedUnion("kind", [
  /** W_from + alpha dW of `delta`; `from` is the model that the tuning began with. */
  z.strictObject({ kind: z.literal("path"), from: checkpoint, delta: checkpoint, matrices, alpha }),
  /** W_from + alpha dW of another method: `from` is itself tuned. */
  z.strictObject({ kind: z.literal("transfer"), from: checkpoint, delta: checkpoint, matrices, alpha }),
  /** (1 - alpha) W_from + alpha W_to, between two tuned models. */
  z.strictObject({ kind: z.literal("line"), from: checkpoint, to: checkpoint, matrices, alpha }),
  /** W_from + alpha dW_k: of every matrix's dW only `rank` of its singular directions, the top ones or random ones. */
  z.strictObject({
    kind: z.literal("rank"),
    from: checkpoint,
    delta: checkpoint,
    matrices,
    alpha,
    rank: z.int().min(1).max(65_536),
    directions: z.enum(["top", "random"]),
    /** Which of several random choices this is, from 0; the top directions have only this one. */
    draw: z.int().min(0).max(10_000),
  }),
]);
export type Intervention = z.infer<typeof interventionSchema>;

/** What results call an intervention in the column `checkpoint`; alpha, rank and matrices have columns of their own. */
export function interventionName(intervention: Intervention): string {
  switch (intervention.kind) {
    case "path":
      return intervention.delta;
    case "transfer":
      return `${intervention.from}+${intervention.delta}`;
    case "line":
      return `${intervention.from}..${intervention.to}`;
    case "rank":
      return `${intervention.delta}:${intervention.directions}`;
  }
}

/** The flat weights that an intervention needs. [size] each */
export interface InterventionWeights {
  /** Of `from`. */
  readonly from: Float32Array;
  /** Of `delta`, or of `to`. */
  readonly other: Float32Array;
  /** The model that `delta` was tuned from: dW = other - base. A line has none. */
  readonly base: Float32Array;
}

export interface InterventionOptions {
  readonly layout: ParameterLayout;
  /** Of random directions. */
  readonly seed: number;
  /** Factors that are kept between interventions with the same `other` and `base`; filled here. */
  readonly factors?: Map<string, Directions>;
}

/**
 * The weights after an intervention: a new flat vector. Sums are taken in float64 and rounded once. A path with alpha 0 is W_from and with
 * alpha 1 is W_ST, bit for bit; so are the ends of a line, alpha 0 of a transfer, and every parameter that is not named or that tuning left alone. Method §3.7.
 */
export function applyIntervention(
  intervention: Intervention,
  { from, other, base }: InterventionWeights,
  { layout, seed, factors = new Map() }: InterventionOptions,
): Float32Array {
  const out = from.slice();
  const { alpha } = intervention;
  for (const slot of changedSlots(intervention, layout)) {
    const { offset, size } = slot;
    if (intervention.kind === "rank") {
      const [rows, columns] = slot.shape as [number, number];
      const whole = factors.get(slot.name) ?? directionsOf(difference(other, base, slot), rows, columns);
      factors.set(slot.name, whole);
      const part = sumOfDirections(whole, chosenDirections(intervention, slot.name, whole, seed));
      for (let i = 0; i < size; i++) out[offset + i] = along(from[offset + i]!, part[i]!, alpha);
      continue;
    }
    // From the tuning's own start the end is W_ST itself; dW = W_ST - W_IT would be rounded where the two differ much in size.
    const ends = intervention.kind !== "transfer";
    for (let i = offset; i < offset + size; i++)
      out[i] = ends ? between(from[i]!, other[i]!, alpha) : along(from[i]!, other[i]! - base[i]!, alpha);
  }
  return out;
}

/** (1 - alpha) a + alpha b; the ends are copied, so that not even the sign of a zero changes. */
function between(a: number, b: number, alpha: number): number {
  if (alpha === 0) return a;
  if (alpha === 1) return b;
  return a === b ? a : (1 - alpha) * a + alpha * b;
}

/** a + alpha d, without changing the sign of a zero where there is nothing to add. */
function along(a: number, d: number, alpha: number): number {
  return alpha === 0 || d === 0 ? a : a + alpha * d;
}

function difference(other: Float32Array, base: Float32Array, { offset, size }: ParameterSlot): Float64Array {
  return Float64Array.from({ length: size }, (_, i) => other[offset + i]! - base[offset + i]!);
}

/** The parameters that an intervention changes. */
function changedSlots({ kind, matrices }: Intervention, layout: ParameterLayout): readonly ParameterSlot[] {
  if (matrices === "all" && kind !== "rank") return layout.slots;
  const names = matrices === "all" ? BLOCK_MATRICES : matrices;
  const chosen = layout.slots.filter(({ name }) =>
    names.some((matrix) => /^blocks\.\d+\./.test(name) && name.endsWith(`.${matrix}.weight`)),
  );
  if (chosen.length === 0) return [slotOf(layout, `blocks.0.${names[0]}.weight`)]; // throws, naming what there is
  return chosen;
}

/** Of a matrix the directions that are kept: its first `rank`, or as many of its own drawn at random by (seed, delta, matrix, draw). */
function chosenDirections(
  { delta, rank, directions, draw }: Extract<Intervention, { kind: "rank" }>,
  matrix: string,
  { singularValues }: Directions,
  seed: number,
): Int32Array {
  const every = singularValues.length;
  const order =
    directions === "top"
      ? Int32Array.from({ length: every }, (_, i) => i)
      : permutation(randomKey(seed, `random directions of ${delta} ${matrix}`), draw, every);
  return order.slice(0, rank);
}

/** The largest rank that the matrices of an intervention can have: beyond it there are no directions left to choose. */
export function fullRank(intervention: Pick<Intervention, "kind" | "matrices">, layout: ParameterLayout): number {
  const slots = changedSlots({ ...intervention, kind: "rank" } as Intervention, layout);
  return Math.max(...slots.map(({ shape }) => Math.min(...shape)));
}

/**
 * The alpha at which a share first rises to `level`, linear between the alphas measured. alphas [n] ascending, shares [n]. undefined where it is there
 * already at the first alpha, or never comes.
 */
export function crossing(alphas: ArrayLike<number>, shares: ArrayLike<number>, level = 0.5): number | undefined {
  if (!(shares[0]! < level)) return undefined;
  for (let i = 1; i < alphas.length; i++) {
    const [before, after] = [shares[i - 1]!, shares[i]!];
    if (after >= level) return alphas[i - 1]! + ((level - before) / (after - before)) * (alphas[i]! - alphas[i - 1]!);
  }
  return undefined;
}
