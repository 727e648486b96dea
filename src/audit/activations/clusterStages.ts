import {
  clusters,
  covarianceSpectrum,
  firstShare,
  firstShareOfNoise,
  rowsOf,
  type Vectors,
} from "../../analysis/index.js";
import { writeRows } from "../../study/assembleResults.js";
import type { ResultRow } from "../../study/results.js";
import type { Stage } from "../../study/stage.js";
import { readKept } from "./chunkFiles.js";
import { atPositions, BRANCHES, bySet, CLASSES, type Kept, seeded } from "./keptSets.js";
import type { AuditModel } from "./model.js";
import { modelTitle, type Streams, streamConfig } from "./streamStages.js";

/** Of the path, the scale-free numbers and the separation: norms of the activations change with alpha. */
const PATH_METRICS = new Set(["separation", "auc", "cosine-auc", "fisher"]);

/**
 * Measure 1 of one model in one block: tau, its twins and the shares of the covariances. Method §3.1. At the last prompt token (q = 1) rows of `clusters`, at the first
 * generated one of `clusters-generated`.
 */
export function clustersStage(streams: Streams, model: AuditModel, layer: number, kept: Kept): Stage {
  return {
    kind: "audit-clusters",
    name: `clusters ${model.name} block ${layer}`,
    version: 1,
    config: { ...(streamConfig(streams, model, layer) as object), checkpoint: model.name },
    inputs: [...kept],
    run: async (context) => {
      const rows: ResultRow[] = [];
      for (const { position, measure } of atPositions("clusters", kept)) {
        // The results contract has q in the index of `clusters`.
        const columns = { measure, ...(position === 0 && { index: 1 }), checkpoint: model.name, block: layer };
        const sets = bySet(streams, (await readKept(context.input(kept[position]!))).activation);
        rows.push(...clusterValues(sets, model, layer, position).map((value) => ({ ...columns, ...value })));
        for (const set of CLASSES) {
          const n = rowsOf(sets[set]!);
          const value = firstShare(covarianceSpectrum(sets[set]!));
          rows.push({
            ...columns,
            metric: "sigma1-share",
            set,
            value,
            n,
            chance: firstShareOfNoise(n, sets[set]!.width),
          });
        }
      }
      await writeRows(context, rows);
    },
  };
}

/** The last prompt token and the first generated one. */
const POSITIONS = 2;

function clusterValues(sets: Readonly<Record<string, Vectors>>, model: AuditModel, layer: number, position: number) {
  const { safe, unsafe, ...others } = sets;
  const random = seeded(`bootstrap audit clusters ${model.name}`, layer * POSITIONS + position);
  return clusters({ safe: safe!, unsafe: unsafe!, branches: BRANCHES, others, random });
}

/**
 * The separation, its AUCs and Fisher's criterion of one point of W + alpha dW in one block, at the last prompt token: rows of `alpha-path`, and those of the last
 * block measured as a study has them, of `interventions`. Method §3.7.
 */
export function alphaPathStage(
  streams: Streams,
  model: AuditModel & { readonly alpha: number },
  layer: number,
  { kept, last }: { readonly kept: Stage; readonly last: boolean },
): Stage {
  return {
    kind: "audit-alpha-path",
    name: `path ${modelTitle(model)} block ${layer}`,
    version: 1,
    config: { ...(streamConfig(streams, model, layer) as object), checkpoint: model.name, alpha: model.alpha, last },
    inputs: [kept],
    run: async (context) => {
      const sets = bySet(streams, (await readKept(context.input(kept))).activation);
      const values = clusterValues(sets, model, layer, 0).filter(({ metric }) => PATH_METRICS.has(metric));
      const at = { checkpoint: model.name, alpha: model.alpha };
      await writeRows(context, [
        ...values.map((value): ResultRow => ({ measure: "alpha-path", ...at, block: layer, ...value })),
        ...(last ? values.map((value): ResultRow => ({ measure: "interventions", ...at, ...value })) : []),
      ]);
    },
  };
}
