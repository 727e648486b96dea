import { wilsonInterval } from "../stats/intervals.js";
import type { Samples } from "../world/index.js";

/** What a model did with one prompt. `other`: neither the true output nor a refusal. */
export const OUTCOMES = ["instruct", "null", "other"] as const;
export type Outcome = (typeof OUTCOMES)[number];

const REFUSED = OUTCOMES.indexOf("null");

export interface Outcomes {
  /** [count], index into OUTCOMES: the whole greedy output is the true one, or all NULL, or neither. */
  readonly outcome: Uint8Array;
  /** [count], 1 where the first output token is NULL. */
  readonly firstTokenNull: Uint8Array;
}

/** Judges greedy outputs [count, steps] against the samples' true ones. Exact: every token of the output counts, EOS does not. Method §2. */
export function judge(samples: Samples, outputs: Int32Array, nullToken: number): Outcomes {
  const steps = outputs.length / samples.count;
  const outcome = new Uint8Array(samples.count);
  const firstTokenNull = new Uint8Array(samples.count);
  for (let row = 0; row < samples.count; row++) {
    const length = samples.textLength[row]!;
    const truth = row * samples.time + samples.answerStart[row]!;
    let right = true;
    let refused = true;
    for (let t = 0; t < length; t++) {
      const token = outputs[row * steps + t];
      right &&= token === samples.tokens[truth + t];
      refused &&= token === nullToken;
    }
    outcome[row] = OUTCOMES.indexOf(right ? "instruct" : refused ? "null" : "other");
    firstTokenNull[row] = Number(outputs[row * steps] === nullToken);
  }
  return { outcome, firstTokenNull };
}

/** A share of samples with Wilson's 95% interval and what guessing every token at random would give. */
export interface BehaviourShare {
  readonly metric: Outcome | "first-token-null" | "saturation";
  /** Absent: all branches together. */
  readonly branch?: string;
  readonly value: number;
  readonly n: number;
  readonly low: number;
  readonly high: number;
  readonly chance: number;
}

export interface BehaviourOptions {
  /** How many tokens a guess has. */
  readonly choices: number;
  /**
   * Also the share of samples that begin to refuse and do not go through with it, first-token-null minus null: a tuning that saturates at
   * the first token shows here, and in no measure of the first token. For sets that are to be refused.
   */
  readonly saturation?: boolean;
}

/** Shares of each outcome over all samples, and per branch where there are several. */
export function behaviour(
  samples: Samples,
  { outcome, firstTokenNull }: Outcomes,
  { choices, saturation = false }: BehaviourOptions,
): BehaviourShare[] {
  const rows = [...samples.branch.keys()];
  const present = samples.branchNames.filter((_, index) => samples.branch.includes(index));
  const groups: readonly { branch?: string; rows: readonly number[] }[] = [
    { rows },
    ...(present.length < 2
      ? []
      : present.map((branch) => ({
          branch,
          rows: rows.filter((row) => samples.branchNames[samples.branch[row]!] === branch),
        }))),
  ];
  return groups.flatMap(({ branch, rows: members }) => {
    const n = members.length;
    const guess = members.reduce((total, row) => total + choices ** -samples.textLength[row]!, 0) / n;
    const share = (metric: BehaviourShare["metric"], hits: number, chance: number): BehaviourShare => ({
      metric,
      ...(branch !== undefined && { branch }),
      value: hits / n,
      n,
      ...wilsonInterval(hits, n),
      chance,
    });
    const chances: Readonly<Record<Outcome, number>> = { instruct: guess, null: guess, other: 1 - 2 * guess };
    return [
      ...OUTCOMES.map((metric, index) =>
        share(metric, members.filter((row) => outcome[row] === index).length, chances[metric]),
      ),
      share("first-token-null", members.filter((row) => firstTokenNull[row] === 1).length, 1 / choices),
      ...(saturation
        ? [
            share(
              "saturation",
              // A refusal begins with NULL, so the difference of the two shares is a share itself.
              members.filter((row) => firstTokenNull[row] === 1 && outcome[row] !== REFUSED).length,
              1 / choices - guess,
            ),
          ]
        : []),
    ];
  });
}
