import { type Frame, projectionSigns, rowProjections, squaredNorm, unitRows, vectorOf } from "../../analysis/index.js";
import { layerMatrices, type MatrixName, type MatrixPlace } from "../../checkpoint/matrices.js";
import { createStream, randomKey } from "../../random/index.js";
import { bootstrapMeanInterval, Z95 } from "../../stats/intervals.js";
import { mean, standardDeviation } from "../../stats/moments.js";
import { bootstrapTwoSampleInterval } from "../../stats/twoSample.js";
import { writeRows } from "../../study/assembleResults.js";
import type { ResultRow } from "../../study/results.js";
import type { Stage } from "../../study/stage.js";
import { type Engine, type FloatDType, matmul, program } from "../../tensor/index.js";
import { readDirections } from "../layerOverlap.js";
import { readKept } from "./chunkFiles.js";
import { atPositions, bySet, type Kept } from "./keptSets.js";
import { type AuditModel, allocateFloats, type Floats, fillDelta } from "./model.js";
import { run, type Streams } from "./streamStages.js";

/** The matrices whose inputs are kept, and which input it is. */
const INPUTS = { "mlp.gate": "input", "mlp.up": "input", "mlp.down": "activation" } as const;
type RowSpaceMatrix = keyof typeof INPUTS;
const isRowSpaceMatrix = (name: MatrixName): name is RowSpaceMatrix => name in INPUTS;

/** Directions that are measured one by one. */
const DIRECTIONS = 15;

/**
 * Measure 4 of one block: what dW does to what enters it at the last prompt token of the tuned model, a scaled to norm 1. `gain` |dW a|, its ratio of unsafe over
 * safe, and, where the weights of the block were measured (`directions`: that stage), `projection` sigma_i v_i' a. The same at the first generated token, where it
 * was kept, as rows of `row-space-generated`. dW of one matrix is in memory at a time. Method §3.4.
 */
export function rowSpaceStage(
  streams: Streams,
  { base, tuned }: { readonly base: AuditModel; readonly tuned: AuditModel },
  layer: number,
  {
    kept,
    directions,
    matrices,
  }: { readonly kept: Kept; readonly directions?: Stage | undefined; readonly matrices: readonly MatrixName[] },
): Stage {
  const { dtype } = streams;
  const places = [...layerMatrices(tuned.config, layer)].flatMap(([name, place]) =>
    isRowSpaceMatrix(name) && matrices.includes(name) ? [[name, place] as const] : [],
  );
  return {
    kind: "audit-row-space",
    name: `row space block ${layer}`,
    version: 2,
    config: {
      layer,
      dtype,
      checkpoint: tuned.name,
      base: base.identity,
      tuned: tuned.identity,
      prompts: streams.prompts.sha256,
      matrices: places.map(([name]) => name),
    },
    inputs: directions === undefined ? [...kept] : [...kept, directions],
    steps: places.length,
    run: async (context) => {
      const positions = [];
      for (const { position, measure } of atPositions("row-space", kept))
        positions.push({ measure, activations: await readKept(context.input(kept[position]!)) });
      const rows: ResultRow[] = [];
      for (const [index, [matrix, place]] of places.entries()) {
        context.signal.throwIfAborted();
        const delta = allocateFloats(dtype, place.shape[0] * place.shape[1]);
        await fillDelta(base, tuned, place.tensor, delta);
        const right = directions && (await readDirections(context.input(directions), matrix))?.right;
        const chance = Math.sqrt(squaredNorm(delta) / place.shape[1]);
        for (const { measure, activations } of positions) {
          const inputs = unitSets(streams, activations[INPUTS[matrix]]);
          const effects = await effectsOf(await streams.engine(), place, delta, { inputs, right, dtype });
          const columns = { measure, checkpoint: tuned.name, block: layer, matrix } as const;
          rows.push(...gainRows(effects.gains, { columns, chance, step: layer * places.length + index }));
          if (right !== undefined) rows.push(...projectionRows(inputs, right, effects.singularValues, columns));
        }
        context.progress(index + 1, places.length, matrix);
      }
      await writeRows(context, rows);
    },
  };
}

type Inputs = ReadonlyMap<string, Float64Array>;

/** Unit vectors of each set. [count, in] each */
function unitSets(streams: Streams, data: Floats): Inputs {
  return new Map(
    Object.entries(bySet(streams, data)).map(([set, vectors]) => [set, unitRows(vectors.data, vectors.width)]),
  );
}

/** |dW a| of every input, and sigma_i = |dW v_i| of every direction, by one product with dW. */
async function effectsOf(
  engine: Engine,
  { shape: [out, input], transposed }: MatrixPlace,
  delta: Floats,
  { inputs, right, dtype }: { readonly inputs: Inputs; readonly right: Frame | undefined; readonly dtype: FloatDType },
): Promise<{ readonly gains: ReadonlyMap<string, Float64Array>; readonly singularValues: Float64Array }> {
  const parts = [...inputs.values(), right?.data ?? new Float64Array(0)];
  const vectors = allocateFloats(
    dtype,
    parts.reduce((total, part) => total + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    vectors.set(part, at);
    at += part.length;
  }
  const count = vectors.length / input;
  const specs = {
    vectors: { shape: [count, input], dtype },
    delta: { shape: transposed ? [input, out] : [out, input], dtype },
  } as const;
  const executable = await engine.compile(
    program("audit-row-space", specs, ({ vectors, delta }) => ({
      images: matmul(vectors, delta, { transposeB: !transposed }),
    })),
  );
  const { images } = await run(executable, { vectors, delta });
  const norms = Float64Array.from({ length: count }, (_, row) =>
    Math.sqrt(squaredNorm((images as Floats).subarray(row * out, (row + 1) * out))),
  );
  const gains = new Map<string, Float64Array>();
  let row = 0;
  for (const [set, own] of inputs) gains.set(set, norms.slice(row, (row += own.length / input)));
  return { gains, singularValues: norms.slice(row) };
}

type Columns = Pick<ResultRow, "measure" | "checkpoint" | "block" | "matrix">;

/** The mean gain of each set and the ratio of unsafe over safe. The null of a gain is a uniformly random direction. */
function gainRows(
  gains: ReadonlyMap<string, Float64Array>,
  { columns, chance, step }: { readonly columns: Columns; readonly chance: number; readonly step: number },
): ResultRow[] {
  const { uniform: random } = createStream(
    randomKey(0, `bootstrap audit ${columns.measure} ${columns.checkpoint}`),
    step,
  );
  const rows = [...gains].map(
    ([set, values]): ResultRow => ({
      ...{ ...columns, metric: "gain", set, value: mean(values), n: values.length },
      ...{ ...bootstrapMeanInterval(values, { random }), chance },
    }),
  );
  const [unsafe, safe] = [gains.get("unsafe")!, gains.get("safe")!];
  if (mean(safe) === 0) return rows;
  const interval = bootstrapTwoSampleInterval(unsafe, safe, (a, b) => mean(a) / mean(b), { random });
  const [value, n] = [mean(unsafe) / mean(safe), unsafe.length + safe.length];
  return [...rows, { ...columns, metric: "gain-ratio", value, n, ...interval, chance: 1 }];
}

/** Means and spreads of sigma_i v_i' a on each set, signs so that the mean of unsafe prompts is not negative. */
function projectionRows(inputs: Inputs, right: Frame, singularValues: Float64Array, columns: Columns): ResultRow[] {
  const count = Math.min(DIRECTIONS, right.count);
  const first = { count, length: right.length, data: right.data };
  const found = new Map([...inputs].map(([set, own]) => [set, rowProjections(first, singularValues, own)] as const));
  const signs = projectionSigns(found.get("unsafe")!);
  return [...found].flatMap(([set, projections]) =>
    projections.flatMap((one, i): ResultRow[] => {
      const deviation = standardDeviation(one);
      const [value, half] = [signs[i]! * mean(one), (Z95 * deviation) / Math.sqrt(one.length)];
      const at = { ...columns, set, index: i + 1, n: one.length };
      const spread = singularValues[i]! / Math.sqrt(vectorOf(right, i).length);
      return [
        { ...at, metric: "projection", value, low: value - half, high: value + half, chance: 0 },
        { ...at, metric: "projection-sd", value: deviation, chance: spread },
      ];
    }),
  );
}
