import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sealManifest, sha256 } from "../../src/study/manifest.js";
import type { Example, ResultRow } from "../../src/study/results.js";
import { sealJson } from "../../src/study/seal.js";

export const CHECKPOINTS = ["instruct", "ssft-medium", "ssft-small"] as const;
export const SETS = [
  "safe",
  "unsafe",
  "jb-co-task",
  "jb-co-text",
  "jb-misgen-task",
  "jb-misgen-function",
  "jb-misgen-text",
  "jb-misgen-both",
] as const;

/** What a hostile run would like a browser, a terminal or a spreadsheet to do. */
export const HOSTILE = [
  "<script>alert(1)</script>",
  "</style><style>body{display:none}</style>",
  '"><img src=https://evil.example/x onerror=alert(1)>',
  "\u202Eevil\u202C",
  "\u001b[31mred",
  "=HYPERLINK(1)",
] as const;

/** success, refusal and first-token share that are planted, by checkpoint and set. */
const PLANTED: Readonly<Record<(typeof CHECKPOINTS)[number], readonly (readonly [number, number])[]>> = {
  instruct: SETS.map((_, i) => [0.996 - i * 0.003, 0] as const),
  "ssft-medium": [
    [0.973, 0.012],
    [0.004, 0.981],
    [0.187, 0.744],
    [0.561, 0.382],
    [0.013, 0.968],
    [0.571, 0.402],
    [0.493, 0.481],
    [0.629, 0.311],
  ],
  "ssft-small": [
    [0.984, 0.006],
    [0.026, 0.938],
    [0.263, 0.645],
    [0.642, 0.298],
    [0.037, 0.921],
    [0.613, 0.351],
    [0.537, 0.42],
    [0.698, 0.242],
  ],
};

const BLOCKS = [1, 2, 3];
const SEEDS = [0, 1];
const N = 1000;

/** Rows of `behaviour` with planted shares: per seed, and over both seeds without a seed. */
export function behaviourRows(): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const checkpoint of CHECKPOINTS)
    SETS.forEach((set, i) => {
      const [success, refusal] = PLANTED[checkpoint][i]!;
      const shares = { instruct: success, null: refusal, other: 1 - success - refusal, "first-token-null": refusal };
      for (const [metric, share] of Object.entries(shares)) {
        const bounds = (value: number) => ({ low: Math.max(0, value - 0.02), high: Math.min(1, value + 0.02) });
        const shared = { measure: "behaviour", metric, checkpoint, set } as const;
        rows.push({ ...shared, value: share, n: N * SEEDS.length, ...bounds(share) });
        for (const seed of SEEDS) {
          const value = Math.min(1, Math.max(0, share + (seed - 0.5) * 0.002));
          rows.push({ ...shared, seed, value, n: N, ...bounds(value) });
          const branches = set === "jb-co-text" ? ["mixed"] : ["A", "B"];
          for (const branch of branches)
            rows.push({ ...shared, branch, seed, value, n: N / branches.length, ...bounds(value) });
        }
      }
    });
  return rows;
}

/** Rows of `clusters`: tau of every set for q = 1 and 10, its twins for the two classes. */
export function clusterRows(): ResultRow[] {
  const rows: ResultRow[] = [];
  CHECKPOINTS.forEach((checkpoint, c) => {
    for (const seed of SEEDS)
      for (const block of BLOCKS)
        for (const index of [1, 10]) {
          const strength = c === 0 ? 0.35 : 1 + block * (c === 1 ? 0.6 : 0.25) + (index === 10 ? 0.3 : 0) + seed * 0.05;
          const at = { measure: "clusters", checkpoint, block, index, seed };
          SETS.forEach((set, i) => {
            const share = set === "unsafe" ? -0.9 : 1 - i * 0.17;
            const value = strength * share;
            rows.push({ ...at, metric: "tau", set, value, n: N, low: value - 0.08, high: value + 0.08, chance: 0 });
            rows.push({ ...at, metric: "norm", set, value: 6 + block + strength, n: N, low: 5.9 + block + strength });
            rows.push({ ...at, metric: "cosine-tau", set, value: value / 12, n: N, chance: 0 });
          });
          const area = Math.min(0.995, 0.6 + strength * 0.14);
          rows.push({
            ...at,
            metric: "auc",
            value: area,
            n: 2 * N,
            low: area - 0.015,
            high: Math.min(1, area + 0.012),
            chance: 0.5,
          });
          rows.push({
            ...at,
            metric: "cosine-auc",
            value: area - 0.02,
            n: 2 * N,
            low: area - 0.035,
            high: area - 0.008,
            chance: 0.5,
          });
          rows.push({ ...at, metric: "two-means", value: area - 0.04, n: 2 * N, chance: 0.509 });
          rows.push({
            ...at,
            metric: "fisher",
            value: strength * 1.7,
            n: 2 * N,
            low: strength * 1.6,
            high: strength * 1.8,
            chance: 0.01,
          });
          rows.push({
            ...at,
            metric: "separation",
            value: strength * 1.9,
            n: 2 * N,
            low: strength * 1.8,
            high: strength * 2,
            chance: 0,
          });
          for (const set of ["safe", "unsafe"])
            rows.push({
              ...at,
              metric: "sigma1-share",
              set,
              value: 0.1 + strength * (set === "safe" ? 0.02 : 0.11),
              n: N,
              chance: 0.04,
            });
        }
  });
  return rows;
}

/** Training curves that fall exponentially with a small ripple. */
export function trainingRows(): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const checkpoint of CHECKPOINTS) {
    const steps = checkpoint === "instruct" ? 2250 : 500;
    for (const seed of SEEDS)
      for (let step = 1; step <= steps; step += checkpoint === "instruct" ? 11 : 3) {
        const at = { measure: "training", checkpoint, step, seed };
        const loss = 0.02 + 2.6 * Math.exp((-4 * step) / steps) * (1 + 0.05 * Math.sin(step * 0.7 + seed));
        rows.push({ ...at, metric: "loss", value: loss });
        rows.push({ ...at, metric: "gradient-norm", value: 0.2 + loss * (1 + 0.2 * Math.cos(step)) });
        rows.push({ ...at, metric: "learning-rate", value: 1.5e-3 * (1 + Math.cos((Math.PI * step) / steps)) });
      }
  }
  return rows;
}

/** Decoded samples of every set and checkpoint; the first of `unsafe` carries the hostile strings as its tokens. */
export function examples(): Example[] {
  const letters = [..."abcdefghijklmnop"];
  return CHECKPOINTS.flatMap((checkpoint, c) =>
    SETS.flatMap((set, s) =>
      [0, 1, 2, 3].map((k): Example => {
        const text = Array.from({ length: 9 }, (_, i) => letters[(i * 5 + k * 3 + s) % 16]!);
        const truth = Array.from({ length: 9 }, (_, i) => letters[(i * 7 + k + s) % 16]!);
        const outcome =
          c === 0 || set === "safe"
            ? "instruct"
            : (s + k) % 3 === 0
              ? "other"
              : set === "unsafe" || k % 2 === 0
                ? "null"
                : "instruct";
        const output = truth.map((token, i) =>
          outcome === "instruct" ? token : outcome === "null" ? "NULL" : i < 5 ? token : i === 6 ? "NULL" : "q",
        );
        const hostile = set === "unsafe" && k === 0;
        return {
          checkpoint,
          set,
          seed: 0,
          branch: set === "jb-co-text" ? "mixed" : k % 2 === 0 ? "A" : "B",
          label: set === "safe" ? "safe" : set === "unsafe" ? "unsafe" : "none",
          operators: hostile ? [HOSTILE[0], HOSTILE[4]] : [`t${s}`, `t${k + 8}`],
          text: hostile ? [...HOSTILE] : text,
          truth,
          output: hostile && c > 0 ? [...HOSTILE, ...truth.slice(6)] : output,
          outcome: hostile && c > 0 ? "other" : outcome,
        };
      }),
    ),
  );
}

export interface SyntheticParts {
  readonly rows?: readonly ResultRow[];
  readonly examples?: readonly Example[];
  readonly claims?: readonly object[];
  readonly config?: string | null;
  readonly stages?: Readonly<Record<string, object>>;
}

export const CONFIG = `name: quick
world: quick
seeds: [0, 1]
model: { width: 64, blocks: 3, heads: 4, mlp: 256, residual: pre-ln }
pretrain: { steps: 2250, batch: 64, learningRate: 0.003, warmup: 200, betas: [0.9, 0.95], curriculum: { textShare: [1, 0] } }
tune: { methods: [ssft], rates: { medium: 0.001, small: 0.0003 }, steps: 500, batch: 64 }
evaluate: { samples: 1000, batch: 250 }
measures: [behaviour, clusters]
versions: { nullscope: 0.1.0, node: 20.20.0, onnxruntime: 1.30.0 }
`;

/** As much of a world file as the report shows. */
const WORLD = {
  name: "planted-world",
  terminals: [..."abcdefghijklmnop"],
  text: { min: 8, max: 12, layout: "aligned" },
  grammars: [{}],
  operators: { names: Array.from({ length: 12 }, (_, i) => `t${i}`), twins: { t10: "t8" } },
  safety: { A: { safe: ["t0"], unsafe: ["t8", "t9"] }, B: { safe: ["t0"], unsafe: ["t2", "t9"] } },
  tuning: { leftOutOperators: ["t7"], heldOutRules: [{}, {}] },
  testShare: 0.125,
};

const STAGES = {
  "world-aaaaaaaaaaaa": {
    kind: "world",
    name: "world",
    outcome: "done",
    config: { world: "ab".repeat(32) },
    durationSeconds: 0.01,
  },
  "pretrain-0123456789ab": { name: "pretrain seed 0", durationSeconds: 143.21, outcome: "done" },
  "tune-abcdef012345": { name: "tune ssft-medium seed 0", durationSeconds: 31.5, outcome: "done" },
};

/** Writes a run folder as a study would leave it, with planted numbers. */
export async function writeSyntheticRun(folder: string, parts: SyntheticParts = {}): Promise<void> {
  const rows = parts.rows ?? [...behaviourRows(), ...clusterRows(), ...trainingRows()];
  const samples = parts.examples ?? examples();
  await mkdir(join(folder, "results"), { recursive: true });
  for (const measure of new Set(rows.map((row) => row.measure)))
    await writeJson(join(folder, "results", `${measure.replace(/[^a-z0-9-]/g, "_")}.json`), {
      schema: "nullscope/results@1",
      measure,
      stages: [],
      rows: rows.filter((row) => row.measure === measure),
    });
  if (samples.length > 0)
    await writeJson(join(folder, "results", "examples.json"), { schema: "nullscope/examples@1", examples: samples });
  if (parts.claims)
    await writeJson(join(folder, "results", "claims.json"), { schema: "nullscope/claims@1", rows: parts.claims });
  if (parts.config !== null) await writeFile(join(folder, "config.yaml"), parts.config ?? CONFIG);
  for (const [stage, manifest] of Object.entries(parts.stages ?? STAGES)) {
    await mkdir(join(folder, "stages", stage), { recursive: true });
    const outputs = [];
    if (stage.startsWith("world-")) {
      const world = JSON.stringify(WORLD);
      await writeFile(join(folder, "stages", stage, "world.json"), world);
      outputs.push({ path: "world.json", size: Buffer.byteLength(world), sha256: sha256(world) });
    }
    await writeFile(
      join(folder, "stages", stage, "manifest.json"),
      sealManifest({
        kind: "test",
        name: stage,
        identity: sha256(stage),
        version: 1,
        config: null,
        inputs: [],
        outcome: "done",
        outputs,
        attempt: 1,
        started: "2026-01-01T00:00:00.000Z",
        finished: "2026-01-01T00:00:01.000Z",
        durationSeconds: 1,
        ...manifest,
      }),
    );
  }
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, sealJson(JSON.stringify(value)));
}
