import type { ResultRow } from "../../study/results.js";
import { checkpointTitle, isComposed, orderCheckpoints } from "../checkpoints.js";
import { checkpointKeys, type Figure } from "../figure.js";
import { type Html, html } from "../html.js";
import { type LinesPanel, linesFigure } from "../lines.js";
import { formula, mi, mo, row, sub, sup } from "../mathml.js";
import { SYMBOLS, seriesInk } from "../palette.js";
import { allBranches, distinct, finalRows, orderSets, overSeeds, select } from "../rows.js";
import type { LegendEntry } from "../svg.js";
import { fixed, percent, sentenceList, setTitle } from "../words.js";

/** The sign in a name that says what kind of intervention it is, and how its two parts are read. */
const KINDS = [
  { id: "transfer", sign: "+", between: " + α · " },
  { id: "lines", sign: "..", between: " to " },
] as const;

/** Alpha paths, transfer between methods, lines between models, and rank-k against random-k: what arithmetic on the weights does to behaviour. */
export function interventionFigures(allRows: readonly ResultRow[]): Figure[] {
  const rows = finalRows(select(allRows, { measure: "interventions" })).filter(
    (r) => r.checkpoint !== undefined && Number.isFinite(r.value),
  );
  const [transfer, lines] = KINDS.map((kind) => pairs(rows, kind));
  return [paths(rows, allRows), transfer, lines, lowRank(rows, allRows)].filter((figure) => figure !== undefined);
}

const W = (name: string) => sub(mi("W"), mi(name));
const PANEL_WORDS =
  "Refusal: every output token is NULL; success: the whole greedy output is the true one. AUC and separation of τ are of the last block, q = 1.";

function paths(rows: readonly ResultRow[], allRows: readonly ResultRow[]): Figure | undefined {
  const own = rows.filter((r) => r.alpha !== undefined && !isComposed(r.checkpoint!));
  const shown = overSeeds(allBranches(own));
  const keys = checkpointKeys(allRows);
  const checkpoints = orderCheckpoints(distinct(shown, "checkpoint"));
  const said = checkpoints.flatMap((checkpoint) => {
    const attacks = select(shown, { checkpoint, metric: "instruct" }).filter((r) => isAttack(r.set));
    const most = Math.max(...attacks.map((r) => r.alpha!));
    const [at, beyond] = [1, most].map((alpha) => strongest(attacks.filter((r) => r.alpha === alpha)));
    const kept = select(shown, { checkpoint, metric: "instruct", set: "safe", alpha: most })[0];
    if (!at || !beyond || most <= 1) return [];
    return [
      `${checkpointTitle(checkpoint)} ${percent(at.value, 0)} at α = 1, ${percent(beyond.value, 0)} at ${most}${kept ? ` (safe ${percent(kept.value, 0)})` : ""}`,
    ];
  });
  const halves = overSeeds(rows.filter((r) => r.metric === "alpha-star" && !isComposed(r.checkpoint!))).map((r) => {
    const bounds = r.low !== undefined && r.high !== undefined ? ` [${fixed(r.low)}, ${fixed(r.high)}]` : "";
    return `${checkpointTitle(r.checkpoint!)} ${fixed(r.value)}${bounds}`;
  });
  return linesFigure({
    id: "alpha-paths",
    title: "What more or less of the update does",
    description: `Behaviour and measures against the multiple of the update, one line for each of ${sentenceList(checkpoints.map(checkpointTitle))}.`,
    panels: panelsOf(shown),
    x: { field: "alpha", label: "α", rule: 1, sign: "α = " },
    series: (r) => keys.get(r.checkpoint!)!,
    legend: checkpoints.map((checkpoint) => keys.get(checkpoint)!),
    reading: `α = 0 is the model before tuning, α = 1 (the upright line) the tuned one; beyond 1 the update is exaggerated${said.length > 0 ? `. Strongest jailbreak: ${said.join("; ")}` : ""}.${halves.length > 0 ? ` Half of the unsafe prompts are refused at α* = ${halves.join("; ")}.` : ""}`,
    formula: html`${formula(mi("W"), mo("="), W("IT"), mo("+"), mi("α"), mi("ΔW"))}<p>The whole network. ${PANEL_WORDS}</p>`,
    rows: own,
    command: `intervene RUN --from instruct --delta ${plain(checkpoints[0])} --alpha 1.3`,
  });
}

function pairs(rows: readonly ResultRow[], { id, sign, between }: (typeof KINDS)[number]): Figure | undefined {
  const own = rows.filter((r) => r.alpha !== undefined && r.checkpoint!.includes(sign));
  const shown = overSeeds(allBranches(own));
  const names = distinct(shown, "checkpoint").sort();
  const look = (name: string): LegendEntry => {
    const i = names.indexOf(name);
    const [first = "", second = ""] = name.split(sign);
    return {
      checkpoint: first,
      label: `${checkpointTitle(first)}${between}${id === "transfer" ? `ΔW ${checkpointTitle(second)}` : checkpointTitle(second)}`,
      colour: seriesInk(1 + (i % 7)),
      symbol: SYMBOLS[i % SYMBOLS.length]!,
      ...(i >= 7 && { dash: "5 3", hollow: true }),
    };
  };
  const [from = "", delta = ""] = (names[0] ?? "").split(sign);
  const words: Readonly<Record<typeof id, { title: string; reading: string; formula: Html; command: string }>> = {
    transfer: {
      title: "What another method’s update adds",
      reading:
        "A curve of a jailbreak’s success that falls while success on safe prompts stays is protection that one method lends to another.",
      formula: formula(mi("W"), mo("="), W("ST"), mo("+"), mi("α"), sup(mi("ΔW"), mi("′"))),
      command: `intervene RUN --from ${plain(from)} --delta ${plain(delta)} --alpha 1`,
    },
    lines: {
      title: "Whether two tuned models share a basin",
      reading:
        "A line that stays as high in the middle as at both ends means that no barrier lies between the two models: one basin.",
      formula: formula(
        mi("W"),
        mo("="),
        row(mo("("), mi("1"), mo("−"), mi("α"), mo(")")),
        W("1"),
        mo("+"),
        mi("α"),
        W("2"),
      ),
      command: `intervene RUN --from ${plain(from)} --to ${plain(delta)} --alpha 0.5`,
    },
  };
  const { title, reading, formula: drawn, command } = words[id];
  return linesFigure({
    id,
    title,
    description: `Behaviour and measures against alpha, one line for each of ${names.length} pairs of models.`,
    panels: panelsOf(shown),
    x: { field: "alpha", label: "α", sign: "α = " },
    series: (r) => look(r.checkpoint!),
    legend: names.map(look),
    reading,
    formula: html`${drawn}<p>${PANEL_WORDS}</p>`,
    rows: own,
    command,
  });
}

function lowRank(rows: readonly ResultRow[], allRows: readonly ResultRow[]): Figure | undefined {
  const own = rows.filter((r) => r.index !== undefined && /:(top|random)$/.test(r.checkpoint!));
  const shown = overSeeds(allBranches(own));
  const keys = checkpointKeys(allRows);
  const look = (name: string): LegendEntry => {
    const [base = "", kind] = name.split(":");
    const key = keys.get(base) ?? { colour: seriesInk(1), symbol: SYMBOLS[1], checkpoint: base };
    const label = `${checkpointTitle(base)}, ${kind === "top" ? "top k" : "random k"}`;
    return kind === "top" ? { ...key, label } : { ...key, label, hollow: true, dash: "2 3" };
  };
  const names = distinct(shown, "checkpoint").sort();
  const bases = orderCheckpoints([...new Set(names.map((name) => name.split(":")[0]!))]);
  const ordered = bases.flatMap((base) =>
    names
      .filter((name) => name.startsWith(`${base}:`))
      .sort()
      .reverse(),
  );
  return linesFigure({
    id: "low-rank",
    title: "How few directions of the update carry it",
    description:
      "Behaviour of the model with only k singular directions of the update, the top ones and random ones, against k.",
    panels: panelsOf(shown),
    x: { field: "index", label: "k directions of each matrix’s ΔW", log: true, sign: "k = " },
    series: (r) => look(r.checkpoint!),
    legend: ordered.map(look),
    reading:
      "Where the solid line reaches its end at a small k and the broken one (random directions, the null) does not, the update is of low rank in what it does.",
    formula: html`${formula(
      mi("W"),
      mo("="),
      W("IT"),
      mo("+"),
      html`<munder><mo>∑</mo>${row(mi("i"), mo("∈"), mi("K"))}</munder>`,
      row(sub(mi("σ"), mi("i")), sub(mi("u"), mi("i")), html`<msubsup>${mi("v")}${mi("i")}${mi("T")}</msubsup>`),
    )}<p><i>K</i>: the <i>k</i> largest singular values, or <i>k</i> drawn at random, of every MLP and attention matrix. ${PANEL_WORDS}</p>`,
    rows: own,
    command: `intervene RUN --from instruct --delta ${plain(bases[0])} --rank 4`,
  });
}

/** Shares by set first (refusal of unsafe, success on safe and on each attack), then the measures that the rows have. */
function panelsOf(shown: readonly ResultRow[]): LinesPanel[] {
  const sets = orderSets(distinct(shown, "set"));
  const panel = (
    title: string,
    metric: string,
    set: string | undefined,
    more: Partial<LinesPanel> = {},
  ): LinesPanel => ({
    title,
    tags: { set },
    rows: select(shown, { metric, set }),
    ...more,
  });
  const share = { share: true } as const;
  return [
    panel("refusal of unsafe prompts", "null", "unsafe", share),
    ...sets
      .filter((set) => set !== "unsafe")
      .map((set) => panel(`success on ${setTitle(set)}`, "instruct", set, share)),
    panel("success on unsafe prompts", "instruct", "unsafe", share),
    panel("AUC of τ", "auc", undefined, { domain: [0.45, 1.02] }),
    panel("separation of mean τ", "separation", undefined),
    ...(["lipschitz", "loss"] as const).flatMap((metric) =>
      [undefined, ...sets].map((set) =>
        panel(
          `${metric === "lipschitz" ? "mean gradient norm" : "loss"}${set === undefined ? "" : `, ${setTitle(set)}`}`,
          metric,
          set,
        ),
      ),
    ),
  ].filter(({ rows }) => rows.length > 0);
}

function isAttack(set: string | undefined): boolean {
  return set !== undefined && set !== "safe" && set !== "unsafe";
}

function strongest(rows: readonly ResultRow[]): ResultRow | undefined {
  return [...rows].sort((a, b) => b.value - a.value)[0];
}

/** A checkpoint's name in a command; a name that a shell would read otherwise is left to the reader. */
function plain(name: string | undefined): string {
  return name !== undefined && /^[A-Za-z0-9._-]+$/.test(name) ? name : "CHECKPOINT";
}
