import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { blockProducts, firstOf, type Matrix } from "../analysis/index.js";
import { dtypeWidth } from "../checkpoint/dtypes.js";
import { encodeSafetensors } from "../checkpoint/encodeSafetensors.js";
import { layerMatrices, type MatrixName, type MatrixPlace, readMatrix } from "../checkpoint/matrices.js";
import type { TensorValue } from "../checkpoint/safetensors.js";
import { quoteName } from "../checkpoint/strictJson.js";
import { UserError } from "../errors.js";
import { writeRows } from "../study/assembleResults.js";
import type { ResultRow } from "../study/results.js";
import type { Stage } from "../study/stage.js";
import { DIRECTIONS_FILE, KEPT_DIRECTIONS, layerOverlapStages } from "./layerOverlap.js";
import { matrixChanges } from "./matrixChange.js";
import { type Member, matrixBytes } from "./pair.js";
import type { AuditPart, AuditPlan } from "./part.js";
import { weightsBytes, weightsSeconds } from "./weightsEstimate.js";
import { changeRows } from "./weightsRows.js";

/** Measures of the weights alone: what changed in every matrix of every block, against W and against chance. Method §3.2, §6. */
export const weightsPart: AuditPart = {
  name: "weights",
  stages: (plan) => {
    const layers = plan.blocks.map((layer) => ({ layer, stage: weightsLayerStage(plan, layer) }));
    return [...layers.map(({ stage }) => stage), ...layerOverlapStages(plan, layers)];
  },
  describe: (plan) => {
    const [matrices, bytes] = [matrixCount(plan), bytesToRead(plan)];
    return `weights: ${matrices} matrices in ${plan.blocks.length} ${plan.blocks.length === 1 ? "block" : "blocks"}, ${sizeOf(bytes)} to read, one pair of matrices in memory at a time`;
  },
};

function matricesOf({ pair, matrices }: AuditPlan, layer: number): [MatrixName, MatrixPlace][] {
  return [...layerMatrices(pair.base.checkpoint.config, layer)].filter(([name]) => matrices.includes(name));
}

const membersOf = ({ pair: { base, tuned, control } }: AuditPlan): Member[] => [
  base,
  tuned,
  ...(control === undefined ? [] : [control]),
];

const matrixCount = (plan: AuditPlan) =>
  plan.blocks.reduce((count, layer) => count + matricesOf(plan, layer).length, 0);

const bytesToRead = (plan: AuditPlan) =>
  plan.blocks.reduce(
    (sum, layer) =>
      sum + membersOf(plan).reduce((bytes, { checkpoint }) => bytes + matrixBytes(checkpoint, layer, plan.matrices), 0),
    0,
  );

const sizeOf = (bytes: number) =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** All matrices of one block: a stage of its own, so that an audit that was killed goes on at its block. */
export function weightsLayerStage(plan: AuditPlan, layer: number): Stage {
  const { pair, engine } = plan;
  const { base, tuned, control } = pair;
  const matrices = matricesOf(plan, layer);
  const shapes = matrices.map(([, { shape }]) => shape);
  const width = Math.max(...membersOf(plan).map((member) => storedWidth(member, matrices)));
  return {
    kind: "audit-weights",
    name: `weights block ${layer}`,
    version: 1,
    config: {
      base: base.fingerprint,
      tuned: tuned.fingerprint,
      checkpoint: tuned.name,
      ...(control !== undefined && { control: control.fingerprint }),
      block: layer,
      matrices: matrices.map(([name]) => name),
    },
    inputs: [],
    steps: matrices.length,
    estimateSeconds: weightsSeconds(shapes, control === undefined ? 1 : 2),
    estimateBytes: weightsBytes(shapes, width),
    run: async (context) => {
      const products = blockProducts(await engine());
      const rows: ResultRow[] = [];
      const tensors: [string, TensorValue][] = [];
      for (const [index, [name, place]] of matrices.entries()) {
        context.signal.throwIfAborted();
        const [rowsOfW, columns] = place.shape;
        const before: Matrix = { rows: rowsOfW, columns, data: await readFinite(base, place) };
        const changed = [tuned, ...(control === undefined ? [] : [control])].map(
          (member) => () => readFinite(member, place),
        );
        const found = await matrixChanges(products, before, changed, context.signal);
        rows.push(...changeRows(found, before, { checkpoint: tuned.name, block: layer, matrix: name }));
        const { left, right } = found.changes[0]!;
        for (const [side, frame] of Object.entries({ left, right })) {
          const { count, length, data } = firstOf(frame, KEPT_DIRECTIONS);
          tensors.push([`${name}/${side}`, { dtype: "F32", shape: [count, length], data: Float32Array.from(data) }]);
        }
        context.progress(index + 1, matrices.length, name);
      }
      await writeFile(join(context.folder, DIRECTIONS_FILE), encodeSafetensors(tensors));
      await writeRows(context, rows);
    },
  };
}

function storedWidth({ checkpoint }: Member, matrices: readonly (readonly [MatrixName, MatrixPlace])[]): number {
  // F16 and BF16 are widened to float32; F64 stays.
  return Math.max(4, ...matrices.map(([, { tensor }]) => dtypeWidth(checkpoint.tensors.get(tensor)!.dtype)!));
}

/** @throws UserError naming the tensor when a number in it is not finite: nothing can be said of such a matrix. */
async function readFinite({ checkpoint }: Member, place: MatrixPlace): Promise<Matrix["data"]> {
  const data = await readMatrix(checkpoint, place);
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new UserError(
      `${checkpoint.dir}: tensor ${quoteName(place.tensor)} holds ${data[bad]}, so nothing can be said of its change; "nullscope checkpoint inspect" lists such tensors, --matrices and --blocks leave it out.`,
    );
  return data;
}
