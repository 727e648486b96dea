import type { ResultRow } from "../../src/study/results.js";
import { plantedShares, STUDY_CHECKPOINTS, type StudyOptions } from "./syntheticStudy.js";

const TUNED = STUDY_CHECKPOINTS.filter((checkpoint) => checkpoint !== "instruct");
const MEDIUM = ["ssft-medium", "dpo-medium", "unlearning-medium"] as const;
const MATRICES = ["mlp.fc", "mlp.proj", "attn.qkv", "attn.proj"] as const;
const BLOCKS = [1, 2, 3] as const;
const DIRECTIONS = Array.from({ length: 15 }, (_, i) => i + 1);
const ATTACKED = ["jb-co-task", "jb-co-text"] as const;
const N = 500;

const wave = (...keys: readonly number[]) =>
  Math.sin(keys.reduce((total, key, i) => total + key * (1.7 + 0.9 * i), 0.3));
const around = (value: number, half: number) => ({ value, low: value - half, high: value + half });
const seedsOf = ({ seeds = [0, 1, 2] }: StudyOptions) => seeds;

/** sin θ of a direction as it is planted, without the seed's part: medium SSFT leaves W's columns least. */
export function plantedSine(checkpoint: string, block: number, index: number): number {
  const c = TUNED.indexOf(checkpoint as (typeof TUNED)[number]);
  return Math.min(0.99, 0.62 + 0.02 * c + 0.03 * block + 0.012 * index);
}

export function columnSpaceRows(options: StudyOptions = {}): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const seed of seedsOf(options))
    for (const checkpoint of TUNED)
      for (const block of BLOCKS)
        MATRICES.forEach((matrix, m) => {
          const at = { measure: "column-space", checkpoint, block, matrix, seed };
          const nulls = (index: number | undefined, suffix: string) => {
            const place = { ...at, ...(index !== undefined && { index }) };
            rows.push({ ...place, metric: `null-random${suffix}`, ...around(0.875, 0.02), n: 200 });
            rows.push({
              ...place,
              metric: `null-matched${suffix}`,
              ...around(0.86 + 0.001 * (index ?? 0), 0.03),
              n: 100,
            });
            rows.push({ ...place, metric: `null-continue${suffix}`, value: 0.7 + 0.01 * (index ?? 8), n: 1 });
          };
          for (const index of DIRECTIONS) {
            const value = plantedSine(checkpoint, block, index) + 0.004 * wave(seed, m);
            rows.push({ ...at, index, metric: "sin-theta", value, chance: 0.875 });
            nulls(index, "");
          }
          rows.push({ ...at, metric: "sin-theta-all", value: 0.8 + 0.02 * wave(block, m, seed), chance: 0.875 });
          nulls(undefined, "-all");
          rows.push({ ...at, metric: "rank", value: 40 + 3 * block + m });
          rows.push({ ...at, metric: "norm", value: 0.12 + 0.02 * block + 0.01 * m + 0.003 * seed });
          rows.push({ ...at, metric: "effective-rank", value: 9 + block + 2 * m });
        });
  return rows;
}

export function activationSpaceRows(options: StudyOptions = {}): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const seed of seedsOf(options))
    STUDY_CHECKPOINTS.forEach((checkpoint, c) => {
      for (const block of BLOCKS)
        for (const set of ["safe", "unsafe"]) {
          const at = { measure: "activation-space", checkpoint, block, set, seed, n: N };
          const chance = 0.12 + 0.01 * block;
          const moved = c === 0 ? 0 : (set === "unsafe" ? 0.25 : 0.08) + 0.02 * c + 0.01 * wave(seed);
          rows.push({ ...at, metric: "sin-theta-all", value: chance + moved, chance });
          for (const index of DIRECTIONS)
            rows.push({
              ...at,
              metric: "sin-theta",
              index,
              value: Math.min(1, chance + moved + 0.03 * index),
              chance: chance + 0.025 * index,
            });
        }
    });
  return rows;
}

export function rowSpaceRows(options: StudyOptions = {}): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const seed of seedsOf(options))
    TUNED.forEach((checkpoint, c) => {
      const control = checkpoint.startsWith("continue");
      for (const block of BLOCKS)
        for (const matrix of ["mlp.fc", "mlp.proj"]) {
          const at = { measure: "row-space", checkpoint, block, matrix, seed };
          for (const set of ["safe", "unsafe"])
            for (const index of DIRECTIONS) {
              const size = (set === "unsafe" && !control ? 0.6 : 0.08) / index + 0.01 * wave(index, seed, c);
              rows.push({ ...at, set, index, metric: "projection", ...around(size, 0.02), n: N, chance: 0 });
              rows.push({
                ...at,
                set,
                index,
                metric: "projection-sd",
                value: 0.12 / Math.sqrt(index),
                n: N,
                chance: 0.05 / Math.sqrt(index),
              });
            }
          const ratio = control ? 1.05 : 1.4 + 0.3 * c + 0.2 * block + 0.02 * wave(seed);
          rows.push({ ...at, metric: "gain-ratio", ...around(ratio, 0.1), n: 2 * N, chance: 1.05 });
          const gains = { safe: 0.2, unsafe: 0.2 * ratio, "jb-co-task": 0.17 * ratio, "jb-co-text": 0.24 };
          for (const [set, gain] of Object.entries(gains)) {
            rows.push({ ...at, set, metric: "gain", ...around(gain, 0.01), n: N });
            if (set.startsWith("jb-"))
              for (const [outcome, factor, n] of [
                ["success", 0.8, 120],
                ["failure", 1.1, 380],
              ] as const)
                rows.push({ ...at, set, outcome, metric: "gain", ...around(gain * factor, 0.02), n });
          }
          for (const set of ["safe", "unsafe"])
            rows.push(
              { ...at, set, metric: "neuron-cosine", ...around(set === "unsafe" ? 0.6 : 0.2, 0.06), n: 256, chance: 0 },
              { ...at, set, metric: "neuron-change", value: 0.02, n: 256 },
            );
        }
    });
  return rows;
}

export function sensitivityRows(options: StudyOptions = {}): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const seed of seedsOf(options))
    STUDY_CHECKPOINTS.forEach((checkpoint, c) => {
      for (const set of ["safe", "unsafe", ...ATTACKED]) {
        const at = { measure: "sensitivity", checkpoint, set, seed };
        const change = c === 0 ? 0 : set === "unsafe" ? -0.3 - 0.05 * c : 0.05 * (c - 3);
        const level = 2 + change + 0.02 * wave(seed, c);
        rows.push({ ...at, metric: "lipschitz", ...around(level, 0.08), n: N });
        rows.push({ ...at, metric: "spectral-norm", ...around(3.5 + change, 0.15), n: 50 });
        if (set.startsWith("jb-") && c > 0)
          for (const [outcome, more, n] of [
            ["success", 0.2, 120],
            ["failure", -0.1, 380],
          ] as const)
            rows.push({ ...at, outcome, metric: "lipschitz", ...around(level + more, 0.12), n });
        if (set !== "safe" && set !== "unsafe") continue;
        if (c > 0) rows.push({ ...at, metric: "lipschitz-change", ...around(change, 0.07), n: N, chance: 0 });
        for (let percent = 5; percent < 100; percent += 5)
          rows.push({
            ...at,
            metric: "lipschitz-quantile",
            index: percent,
            value: level * (0.4 + 0.012 * percent),
            n: N,
          });
      }
    });
  return rows;
}

export const ALPHAS = [0, 0.25, 0.5, 0.75, 1, 1.1, 1.2, 1.3, 1.4, 1.5] as const;

/** Refusal along α: none before tuning, the planted share at 1, more beyond. */
const refused = (checkpoint: string, alpha: number) =>
  Math.min(1, plantedShares(checkpoint, "unsafe").refusal * Math.min(1.1, alpha ** 2));

export function interventionRows(options: StudyOptions = {}): ResultRow[] {
  const rows: ResultRow[] = [];
  const behave = (at: Omit<ResultRow, "metric" | "value">, refusal: number, harm: number) => {
    const shares = {
      safe: [1 - harm, 0],
      unsafe: [Math.max(0, 0.98 - refusal), refusal],
      "jb-co-text": [0.95 - 0.3 * refusal, 0.3 * refusal],
      "soft-prompt-5": [0.9 - 0.5 * refusal, 0.5 * refusal],
    };
    for (const [set, [instruct, nulls]] of Object.entries(shares)) {
      const share = (value: number) => Math.round(Math.min(1, Math.max(0, value)) * N) / N;
      const interval = (value: number) => ({ value, low: Math.max(0, value - 0.03), high: Math.min(1, value + 0.03) });
      rows.push({ ...at, set, metric: "instruct", n: N, ...interval(share(instruct!)) });
      rows.push({ ...at, set, metric: "null", n: N, ...interval(share(nulls!)) });
    }
    rows.push({ ...at, metric: "auc", n: 2 * N, ...around(0.6 + 0.35 * refusal, 0.02), chance: 0.5 });
    rows.push({ ...at, metric: "separation", n: 2 * N, ...around(1 + 6 * refusal, 0.3) });
    rows.push({ ...at, set: "unsafe", metric: "lipschitz", n: N, ...around(2 - refusal, 0.1) });
  };
  for (const seed of seedsOf(options)) {
    const at = { measure: "interventions", seed };
    MEDIUM.forEach((checkpoint, c) => {
      for (const alpha of ALPHAS)
        behave({ ...at, checkpoint, alpha }, refused(checkpoint, alpha), Math.max(0, alpha - 1) * 0.2 * (c + 1));
      for (const other of MEDIUM.filter((name) => name !== checkpoint))
        for (const alpha of [0, 0.5, 1])
          behave({ ...at, checkpoint: `${checkpoint}+${other}`, alpha }, 0.8 + 0.1 * alpha, 0.05 * alpha);
      for (const other of MEDIUM.slice(c + 1))
        for (const alpha of [0, 0.25, 0.5, 0.75, 1])
          behave({ ...at, checkpoint: `${checkpoint}..${other}`, alpha }, 0.9 - 0.1 * alpha * (1 - alpha), 0.01);
      for (const [kind, pace] of [
        ["top", 3],
        ["random", 40],
      ] as const)
        for (const index of [1, 2, 4, 8, 16, 32, 64])
          behave({ ...at, checkpoint: `${checkpoint}:${kind}`, index }, 0.95 * (1 - Math.exp(-index / pace)), 0.01);
    });
  }
  return rows;
}

export function decisionRows(options: StudyOptions = {}): ResultRow[] {
  const rows: ResultRow[] = [];
  for (const seed of seedsOf(options))
    STUDY_CHECKPOINTS.forEach((checkpoint, c) => {
      for (const block of BLOCKS) {
        const at = { checkpoint, block, seed, n: N };
        const accuracy = Math.min(0.995, 0.7 + 0.02 * c + 0.05 * block);
        rows.push({ ...at, measure: "probes", metric: "unsafe-accuracy", ...around(accuracy, 0.02), chance: 0.5 });
        if (c === 0) continue;
        rows.push({
          ...at,
          measure: "probes",
          metric: "refuses-accuracy",
          ...around(accuracy - 0.04, 0.02),
          chance: 0.55,
        });
        for (const [metric, set, value, chance] of [
          ["ablation-null", "unsafe", 0.9 - 0.25 * block, 0.9],
          ["ablation-instruct", "unsafe", 0.05 + 0.25 * block, 0.05],
          ["addition-null", "safe", 0.25 * block, 0.01],
          ["addition-instruct", "safe", 0.99 - 0.25 * block, 0.98],
        ] as const)
          rows.push({
            ...at,
            measure: "refusal-direction",
            metric,
            set,
            ...around(value, 0.03),
            chance: chance - 0.002 * c,
          });
        for (const set of ["safe", "unsafe"])
          for (const index of [1, 2, 3])
            rows.push({
              ...at,
              ...{ measure: "patching", metric: "effect", set, index },
              ...around(index === 3 ? 0.3 * block : index === 1 ? 1 - 0.35 * block : -0.04, 0.05),
              chance: 0,
            });
      }
    });
  for (const seed of seedsOf(options))
    for (const pair of ["ssft-medium~dpo-medium", "ssft-medium~unlearning-medium", "dpo-medium~unlearning-medium"])
      for (const block of BLOCKS)
        for (const matrix of ["mlp.fc", "mlp.proj"])
          for (const index of [1, 2, 4, 8, 16])
            rows.push({
              ...{ measure: "overlap", metric: "principal-angle-cosine", checkpoint: pair, block, matrix, index, seed },
              value: 0.5 - 0.02 * index + 0.02 * block + 0.01 * wave(seed, index),
              chance: index / 64,
            });
  for (const seed of seedsOf(options))
    STUDY_CHECKPOINTS.forEach((checkpoint, c) => {
      for (const block of BLOCKS)
        for (const set of ["safe", "unsafe"]) {
          const first = set === "safe" ? 0.15 : Math.min(0.8, 0.15 + 0.06 * c);
          for (let index = 1; index <= 10; index++)
            rows.push({
              ...{ measure: "clusters", metric: "sigma-share", checkpoint, block, set, seed, n: N, index },
              value: index === 1 ? first : ((1 - first) * 2 ** (1 - index)) / 1.2 + 0.001 * wave(seed),
              ...(index === 1 && { chance: 0.06 }),
            });
        }
    });
  return rows;
}

/** All rows of the measures of mechanism. */
export function mechanismRows(options: StudyOptions = {}): ResultRow[] {
  return [
    ...columnSpaceRows(options),
    ...activationSpaceRows(options),
    ...rowSpaceRows(options),
    ...sensitivityRows(options),
    ...interventionRows(options),
    ...decisionRows(options),
  ];
}

/** Claims as `results/claims.json` has them, one of each verdict, one that could not be computed, one whose texts are hostile. */
export function studyClaims(): object[] {
  const common = {
    n: 2000,
    seeds: 1,
    rule: "Supported when the whole interval lies above the null.",
    measure: "clusters",
  };
  return [
    {
      id: "O1",
      statement: "Tuning splits safe and unsafe activations into clusters.",
      verdict: "supported",
      value: 0.412,
      low: 0.388,
      high: 0.437,
      chance: 0.021,
      ...common,
    },
    {
      id: "O2",
      statement: "The update lies largely in the null space of W.",
      verdict: "contradicted",
      value: -0.0871,
      low: -0.102,
      high: -0.071,
      chance: 0,
      ...common,
      measure: "column-space",
    },
    {
      id: "O4",
      statement: "Sensitivity falls for unsafe and rises for safe inputs.",
      verdict: "undecided",
      value: 0.013,
      low: -0.04,
      high: 0.066,
      chance: 0,
      ...common,
    },
    {
      id: "I1",
      statement: "Alpha above 1 makes SSFT more robust at little cost.",
      verdict: "undecided",
      value: null,
      low: null,
      high: null,
      chance: null,
      n: 0,
      seeds: 1,
      rule: "Not measured here.",
      measure: "interventions",
    },
    {
      id: "mine",
      statement: "<script>alert(1)</script>",
      verdict: "<b>odd</b>",
      value: 1,
      n: 3,
      seeds: 1,
      rule: '"><img src=x>',
      measure: "x",
    },
  ];
}
