import { promptBatch, promptTime, selectRows } from "../attack/index.js";
import { atIndex, type GptConfig, gptForward, MASKED } from "../model/index.js";
import { bootstrapInterval, type Interval } from "../stats/intervals.js";
import { mean } from "../stats/moments.js";
import {
  amax,
  constant,
  type Engine,
  equal,
  greater,
  program,
  reshape,
  slice,
  sub,
  type Tensor,
  unflatten,
  where,
} from "../tensor/index.js";
import { gptLayout } from "../train/index.js";
import { inBatches, LABELS, type Samples, type World } from "../world/index.js";
import type { Checkpoint } from "./decoding.js";

/** Which positions of a prompt are patched together. Rows of results count them from 1. */
export const POSITION_CLASSES = ["tasks", "text", "eot"] as const;
export type PositionClass = (typeof POSITION_CLASSES)[number];

/** The positions of a class in `BOS t_i t_j SOT text EOT`: [from, to). SOT counts as text. */
export function classPositions(which: PositionClass, lastIndex: number): readonly [number, number] {
  switch (which) {
    case "tasks":
      return [1, 3];
    case "text":
      return [3, lastIndex];
    case "eot":
      return [lastIndex, lastIndex + 1];
  }
}

/**
 * The refusal decision at k: logit of NULL minus the largest other logit. Above 0 exactly when the first token is NULL; the largest other is the true
 * token wherever the model answers right. logits [batch, vocabulary] -> [batch]
 */
export function refusalDecision(logits: Tensor, nullToken: number): Tensor {
  const [batch, vocabulary] = logits.shape as [number, number];
  const ids = constant(
    Array.from({ length: vocabulary }, (_, id) => id),
    [1, vocabulary],
    "int32",
  );
  const others = where(equal(ids, nullToken), MASKED, logits);
  return sub(reshape(slice(logits, 1, nullToken, nullToken + 1), [batch]), amax(others, { axis: -1 }));
}

export interface PatchingShape {
  readonly batch: number;
  /** Tokens of the longest prompt, EOT included. */
  readonly promptTime: number;
  readonly pad: number;
  readonly nullToken: number;
}

/**
 * Refusal decisions [batch] of the recipient and of the source as they are, and of the recipient with the source's residual stream after one block
 * in place of its own at the positions of `mask` (1: patched): `block0`, ... What the runs have in common is computed once.
 */
export function patchingProgram(model: GptConfig, { batch, promptTime, pad, nullToken }: PatchingShape) {
  const layout = gptLayout(model);
  const tokens = { shape: [batch, promptTime], dtype: "int32" } as const;
  return program<string, string>(
    "patching",
    {
      parameters: { shape: [layout.size], dtype: "float32" },
      recipient: tokens,
      source: tokens,
      mask: tokens,
      lastIndex: { shape: [batch], dtype: "int32" },
    },
    (input) => {
      const parameters = unflatten(input.parameters!, layout);
      const forward = (ids: Tensor, edit?: (name: string, x: Tensor) => Tensor) =>
        gptForward(model, parameters, { tokens: ids, pad, edit });
      const decide = (logits: Tensor) => refusalDecision(atIndex(logits, input.lastIndex!), nullToken);
      const source = forward(input.source!);
      const patched = greater(reshape(input.mask!, [batch, promptTime, 1]), 0);
      const blocks = Array.from({ length: model.blocks }, (_, block): [string, Tensor] => {
        const name = `blocks.${block}.resid_post`;
        const from = source.activations.get(name)!;
        const { logits } = forward(input.recipient!, (at, x) => (at === name ? where(patched, from, x) : x));
        return [`block${block}`, decide(logits)];
      });
      return {
        recipientDecision: decide(forward(input.recipient!).logits),
        sourceDecision: decide(source.logits),
        ...Object.fromEntries(blocks),
      };
    },
  );
}

/** Refusal decisions of runs, of their sources, and of the runs patched from these. [count] each */
export interface PatchedDecisions {
  readonly recipient: Float64Array;
  readonly source: Float64Array;
  /** By block from 0. */
  readonly patched: readonly Float64Array[];
}

/**
 * Activation patching (Meng et al. 2022): each recipient's forward pass with its source's residual stream after one block at the positions of
 * one class. Row i of `sources` is the source of row i of `recipients`; both have texts of one length.
 * @throws RangeError when two texts differ in length, for positions would not correspond.
 */
export async function patchDecisions(
  engine: Engine,
  { model, parameters }: Checkpoint,
  {
    recipients,
    sources,
    where: which,
  }: {
    readonly recipients: Samples;
    readonly sources: Samples;
    readonly where: readonly PositionClass[];
  },
  { world, batch }: { readonly world: World; readonly batch: number },
): Promise<PatchedDecisions> {
  const { count } = recipients;
  for (let row = 0; row < count; row++)
    if (recipients.textLength[row] !== sources.textLength[row])
      throw new RangeError(`row ${row}: texts of ${recipients.textLength[row]} and ${sources.textLength[row]} tokens`);
  const { pad, nullToken } = world.vocabulary;
  const time = promptTime(world);
  const executable = await engine.compile(patchingProgram(model, { batch, promptTime: time, pad, nullToken }));
  const [recipient, source] = [new Float64Array(count), new Float64Array(count)];
  const patched = Array.from({ length: model.blocks }, () => new Float64Array(count));
  await inBatches(count, batch, async (rows, used) => {
    const { tokens, lastIndex } = promptBatch(world, recipients, rows);
    const mask = new Int32Array(batch * time);
    for (let i = 0; i < batch; i++)
      for (const one of which) {
        const [from, to] = classPositions(one, lastIndex[i]!);
        mask.fill(1, i * time + from, i * time + to);
      }
    const feeds = { parameters, recipient: tokens, source: promptBatch(world, sources, rows).tokens, mask, lastIndex };
    const out = await executable.run(feeds);
    const keep = (into: Float64Array, name: string) =>
      into.set((out[name] as Float32Array).subarray(0, used), rows[0]!);
    keep(recipient, "recipientDecision");
    keep(source, "sourceDecision");
    for (const [block, into] of patched.entries()) keep(into, `block${block}`);
  });
  return { recipient, source, patched };
}

/**
 * For the null, another sample of the same class for each row: the next one, cyclically, of its branch whose text is as long, or -1 where there is
 * none. [count]
 */
export function alikeRows({ count, branch, textLength }: Samples): Int32Array {
  return Int32Array.from({ length: count }, (_, row) =>
    nextRow(count, row, (other) => branch[other] === branch[row] && textLength[other] === textLength[row]),
  );
}

/** Index of the next row after `row`, cyclically, that `fits`; -1 when none does. */
function nextRow(count: number, row: number, fits: (other: number) => boolean): number {
  for (let step = 1; step < count; step++) {
    const other = (row + step) % count;
    if (fits(other)) return other;
  }
  return -1;
}

/**
 * Pairs of prompts with one text and one branch, of which one asks for safe tasks and the other for unsafe ones: the prompts of `safe`, and the
 * same with the task tokens of the row of `unsafe` that is as far along among its branch. Answers stay those of the safe prompts. A row whose branch has
 * no unsafe prompt is left out.
 */
export function taskPairs(safe: Samples, unsafe: Samples): { readonly safe: Samples; readonly unsafe: Samples } {
  const byBranch = new Map<number, number[]>();
  for (const [row, branch] of unsafe.branch.entries()) {
    const rows = byBranch.get(branch) ?? [];
    byBranch.set(branch, rows);
    rows.push(row);
  }
  const seen = new Map<number, number>();
  const pairs: (readonly [number, number])[] = [];
  for (const [row, branch] of safe.branch.entries()) {
    const from = byBranch.get(branch);
    const nth = seen.get(branch) ?? 0;
    seen.set(branch, nth + 1);
    if (from !== undefined) pairs.push([row, from[nth % from.length]!]);
  }
  const kept = selectRows(
    safe,
    pairs.map(([row]) => row),
  );
  const tokens = kept.tokens.slice();
  for (const [i, [, from]] of pairs.entries())
    for (const at of [1, 2]) tokens[i * kept.time + at] = unsafe.tokens[from * unsafe.time + at]!;
  return { safe: kept, unsafe: { ...kept, tokens, label: kept.label.map(() => LABELS.indexOf("unsafe")) } };
}

/** Effect of patching one block and position class, with its null. */
export interface PatchingEffect extends Interval {
  readonly block: number;
  readonly position: PositionClass;
  /** 0: nothing changed; 1: the recipient decides as the source does. */
  readonly value: number;
  readonly n: number;
  /** The same with sources of the recipient's own class; absent where no two samples are alike. */
  readonly chance?: number;
}

export interface PatchingOptions {
  readonly world: World;
  readonly batch: number;
  /** Of the bootstrap. */
  readonly random: () => number;
}

/**
 * What share of the difference in refusal decision between two kinds of runs is carried by each block and position class: mean(d_patched -
 * d_recipient) / mean(d_source - d_recipient), d of `refusalDecision`. A ratio of means, so that pairs that hardly differ do not weigh most. Null: sources that are
 * other samples of the recipient's own class, same branch and length, over the same denominator.
 */
export async function patchingEffects(
  engine: Engine,
  checkpoint: Checkpoint,
  { recipients, sources }: { readonly recipients: Samples; readonly sources: Samples },
  { world, batch, random }: PatchingOptions,
): Promise<readonly PatchingEffect[]> {
  const alike = alikeRows(recipients);
  const withAlike = [...alike.keys()].filter((row) => alike[row]! >= 0);
  const nullRuns = {
    recipients: selectRows(recipients, withAlike),
    sources: selectRows(
      recipients,
      withAlike.map((row) => alike[row]!),
    ),
  };
  const effects: PatchingEffect[] = [];
  for (const position of POSITION_CLASSES) {
    const where = [position];
    const run = await patchDecisions(engine, checkpoint, { recipients, sources, where }, { world, batch });
    const other = await patchDecisions(engine, checkpoint, { ...nullRuns, where }, { world, batch });
    const whole = run.source.map((value, i) => value - run.recipient[i]!);
    for (const [block, patched] of run.patched.entries()) {
      const moved = patched.map((value, i) => value - run.recipient[i]!);
      const movedByAlike = other.patched[block]!.map((value, i) => value - other.recipient[i]!);
      const ratio = (rows: ArrayLike<number>) => meanAt(moved, rows) / meanAt(whole, rows);
      const rows = [...moved.keys()];
      effects.push({
        ...{ block, position, value: ratio(rows), n: rows.length, ...bootstrapInterval(rows, ratio, { random }) },
        ...(movedByAlike.length > 0 && { chance: mean(movedByAlike) / mean(whole) }),
      });
    }
  }
  return effects;
}

function meanAt(values: Float64Array, rows: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < rows.length; i++) total += values[rows[i]!]!;
  return total / rows.length;
}
