import { outerNames } from "../../model/index.js";
import { bootstrapMeanInterval } from "../../stats/intervals.js";
import { mean, quantile } from "../../stats/moments.js";
import { writeRows } from "../../study/assembleResults.js";
import type { ResultRow } from "../../study/results.js";
import type { Stage } from "../../study/stage.js";
import { readChunk, readKept, readTensors, writeChunk, writeTensors } from "./chunkFiles.js";
import { seeded } from "./keptSets.js";
import { type AuditModel, allocateFloats, type Floats } from "./model.js";
import { backwardProgram, logitGradientProgram, logitsProgram } from "./programs.js";
import { layoutOf, type PromptChunk } from "./promptChunks.js";
import { modelTitle, overChunks, run, type Streams, streamConfig, streamEstimate } from "./streamStages.js";

/** Numbers of the head in memory at a time: 64 MB in float32. */
const HEAD_NUMBERS = 2 ** 24;

/**
 * The largest logit at each prompt's last token, z = max_j z_j, and which token it is: the first that would be generated. And dz/dx of what left the last block.
 * The head is read in pieces of the vocabulary. Writes `head`: largest, token, gradient. @param last the last block's forward stage.
 */
export function headStage(streams: Streams, model: AuditModel, last: Stage): Stage {
  const { dtype, prompts } = streams;
  const { config } = model;
  const count = prompts.prompts.length;
  return {
    kind: "audit-head",
    name: `head ${modelTitle(model)}`,
    version: 1,
    config: streamConfig(streams, model),
    inputs: [last],
    ...streamEstimate(streams, model, 0),
    run: async (context) => {
      const { width, vocabulary } = config;
      const engine = await streams.engine();
      const { stream: streamed } = await readKept(context.input(last));
      const names = outerNames(config);
      const norm: Record<string, Floats> = {};
      for (const name of [names.finalNorm, ...(names.finalNormBias === undefined ? [] : [names.finalNormBias])]) {
        norm[name] = allocateFloats(dtype, width);
        await model.fill(name, norm[name]);
      }
      const largest = allocateFloats(dtype, count).fill(Number.NEGATIVE_INFINITY);
      const token = new Int32Array(count);
      const rowsAtATime = Math.min(vocabulary, Math.max(1, Math.floor(HEAD_NUMBERS / width)));
      const piece = allocateFloats(dtype, rowsAtATime * width);
      for (let row = 0; row < vocabulary; row += rowsAtATime) {
        context.signal.throwIfAborted();
        const rows = Math.min(rowsAtATime, vocabulary - row);
        const head = piece.subarray(0, rows * width) as Floats;
        await model.fill(names.head, head, row);
        const found = await run(await engine.compile(logitsProgram(config, count, rows, dtype)), {
          ...norm,
          streams: streamed,
          head,
        });
        for (let i = 0; i < count; i++)
          if (Number(found.largest[i]) > largest[i]!) {
            largest[i] = Number(found.largest[i]);
            token[i] = row + Number(found.index[i]);
          }
      }
      const chosen = allocateFloats(dtype, count * width);
      for (let i = 0; i < count; i++)
        await model.fill(names.head, chosen.subarray(i * width, (i + 1) * width) as Floats, token[i]!);
      const { gradient } = await run(await engine.compile(logitGradientProgram(config, count, dtype)), {
        ...norm,
        streams: streamed,
        head: chosen,
      });
      await writeTensors(context.folder, "head", {
        largest: { shape: [count], data: largest },
        token: { shape: [count], data: token },
        gradient: { shape: [count, width], data: gradient as Floats },
      });
    },
  };
}

/**
 * The gradient of the largest logit back through one block, by the block's vector-Jacobian product at the states that entered it. From block 1 it keeps
 * the norms, |dz/de| over the prompt's embeddings (`lipschitz`, [prompts]); else what enters the block before.
 * @param entering the stage whose chunks entered this block. @param after the head's stage for the last block, else the backward stage of the next.
 */
export function backwardStage(
  streams: Streams,
  model: AuditModel,
  layer: number,
  { entering, after }: { readonly entering: Stage; readonly after: Stage },
): Stage {
  const { dtype, prompts } = streams;
  const { config } = model;
  const last = layer === config.blocks;
  return {
    kind: "audit-backward",
    name: `backward ${modelTitle(model)} block ${layer}`,
    version: 1,
    config: streamConfig(streams, model, layer),
    inputs: [entering, after],
    ...streamEstimate(streams, model, 3),
    run: async (context) => {
      const parameters = await streams.buffers.load(model, layer);
      const { width } = config;
      const seeds = last ? ((await readTensors(context.input(after), "head")).gradient!.data as Floats) : undefined;
      const norms = new Float64Array(prompts.prompts.length);
      const programOf = ({ batch, time }: PromptChunk) =>
        backwardProgram(config, { batch, time, layer, dtype, ...(last && { asked: 1 }) });
      await overChunks(streams, context, programOf, async (chunk, index, executable) => {
        const { rows, batch, time } = chunk;
        const { attend, positions } = layoutOf(prompts, chunk);
        const hiddenStates = await readChunk(context.input(entering), "hidden", index);
        const gradient =
          seeds === undefined
            ? await readChunk(context.input(after), "gradient", index)
            : rowsOfChunk(seeds, rows, allocateFloats(dtype, batch * width), width);
        const { back } = await run(executable, { ...parameters, attend, positions, hiddenStates, gradient });
        if (layer > 1) return writeChunk(context.folder, "gradient", index, [batch, time, width], back as Floats);
        for (const [i, row] of rows.entries()) norms[row] = normOf(back as Floats, i * time * width, time * width);
      });
      if (layer === 1)
        await writeTensors(context.folder, "lipschitz", { lipschitz: { shape: [norms.length], data: norms } });
    },
  };
}

function rowsOfChunk(all: Floats, rows: readonly number[], into: Floats, width: number): Floats {
  for (const [i, row] of rows.entries()) into.set(all.subarray(row * width, (row + 1) * width), i * width);
  return into;
}

/** l2 norm of a stretch; padding has no gradient. */
function normOf(data: Floats, from: number, size: number): number {
  let total = 0;
  for (let i = from; i < from + size; i++) total += data[i]! ** 2;
  return Math.sqrt(total);
}

/** 5, 10, .., 95 percent. */
const PERCENTS = Array.from({ length: 19 }, (_, i) => 5 * (i + 1));

/**
 * Measure 5: |d max_j z_j / d e| of each prompt, z the logits at its last token, e the token embeddings: means, quantiles and, of the tuned model, the change from
 * the base model on the same prompts. Method §3.5. @param backward the backward stages of block 1.
 */
export function sensitivityStage(
  streams: Streams,
  model: AuditModel,
  { own, base }: { readonly own: Stage; readonly base?: Stage },
): Stage {
  return {
    kind: "audit-sensitivity",
    name: `sensitivity ${model.name}`,
    version: 1,
    config: { ...(streamConfig(streams, model) as object), checkpoint: model.name },
    inputs: base === undefined ? [own] : [own, base],
    run: async (context) => {
      const read = async (stage: Stage) =>
        Float64Array.from((await readTensors(context.input(stage), "lipschitz")).lipschitz!.data);
      const [norm, reference] = [await read(own), base === undefined ? undefined : await read(base)];
      const sets = new Map<string, number[]>();
      for (const [row, { set }] of streams.prompts.prompts.entries()) sets.set(set, [...(sets.get(set) ?? []), row]);
      const rows: ResultRow[] = [];
      for (const [index, [set, members]] of [...sets].entries()) {
        const columns = { measure: "sensitivity", checkpoint: model.name, set } as const;
        const random = seeded(`bootstrap audit sensitivity ${model.name}`, index);
        const values = Float64Array.from(members, (row) => norm[row]!);
        const mean_ = (numbers: Float64Array) => ({
          ...{ value: mean(numbers), n: numbers.length },
          ...bootstrapMeanInterval(numbers, { random }),
        });
        rows.push({ ...columns, metric: "lipschitz", ...mean_(values) });
        for (const percent of PERCENTS)
          rows.push({
            ...{ ...columns, metric: "lipschitz-quantile", index: percent },
            ...{ value: quantile(values, percent / 100), n: values.length },
          });
        if (reference !== undefined) {
          const change = values.map((value, i) => value - reference[members[i]!]!);
          rows.push({ ...columns, metric: "lipschitz-change", ...mean_(change), chance: 0 });
        }
      }
      await writeRows(context, rows);
    },
  };
}
