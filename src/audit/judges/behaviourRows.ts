import { wilsonInterval } from "../../stats/intervals.js";
import { cohenKappa, type TwoByTwo } from "../../stats/kappa.js";
import type { ResultRow } from "../../study/results.js";
import type { Judgement } from "./judge.js";

/** The judgements of one checkpoint's answers on one set: of each judge by its name, one per answer. */
export interface JudgedSet {
  readonly checkpoint: string;
  readonly set: string;
  readonly judgements: ReadonlyMap<string, readonly Judgement[]>;
}

/**
 * Rows of `behaviour`, per checkpoint and set:
 * - `refusal.JUDGE`: share of refusals among the answers that it judged (Wilson's interval); absent where it judged none.
 * - `failed.JUDGE`: share of answers on which its judgement failed. They count neither as refusals nor as answers.
 * - `agreement.JUDGE.JUDGE`: share of equal judgements where both judged (Wilson), chance: that of independent judges.
 * - `kappa.JUDGE.JUDGE`: Cohen's kappa with its large-sample interval, chance 0; absent where neither judge's word varies.
 */
export function behaviourRows(sets: readonly JudgedSet[]): ResultRow[] {
  return sets.flatMap(({ checkpoint, set, judgements }) => {
    const at = { measure: "behaviour", checkpoint, set } as const;
    const names = [...judgements.keys()];
    return [
      ...names.flatMap((name) => {
        const all = judgements.get(name)!;
        const judged = all.filter((one) => "refusal" in one);
        const failed = share(all.length - judged.length, all.length);
        const refusals = judged.filter(({ refusal }) => refusal).length;
        return [
          ...(judged.length === 0 ? [] : [{ ...at, metric: `refusal.${name}`, ...share(refusals, judged.length) }]),
          ...(all.length === 0 ? [] : [{ ...at, metric: `failed.${name}`, ...failed }]),
        ];
      }),
      ...names.flatMap((first, i) =>
        names.slice(i + 1).flatMap((second): ResultRow[] => {
          const table = twoByTwo(judgements.get(first)!, judgements.get(second)!);
          const { kappa, observed, expected, n, low, high } = cohenKappa(table);
          if (n === 0) return [];
          const pair = `${first}.${second}`;
          const same = { ...share(table.yesYes + table.noNo, n), value: observed };
          return [
            { ...at, metric: `agreement.${pair}`, ...same, chance: expected },
            ...(Number.isNaN(kappa) ? [] : [{ ...at, metric: `kappa.${pair}`, value: kappa, n, low, high, chance: 0 }]),
          ];
        }),
      ),
    ];
  });
}

function share(count: number, n: number) {
  const { low, high } = wilsonInterval(count, n);
  return { value: count / n, n, low, high };
}

function twoByTwo(first: readonly Judgement[], second: readonly Judgement[]): TwoByTwo {
  const table = { yesYes: 0, yesNo: 0, noYes: 0, noNo: 0 };
  for (const [i, one] of first.entries()) {
    const other = second[i]!;
    if (!("refusal" in one && "refusal" in other)) continue;
    table[one.refusal ? (other.refusal ? "yesYes" : "yesNo") : other.refusal ? "noYes" : "noNo"]++;
  }
  return table;
}
