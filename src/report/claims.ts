/** One claim and its verdict, a row of `results/claims.json`. Texts may be a user's own. */
export interface ClaimVerdict {
  readonly id: string;
  readonly statement: string;
  /** `supported`, `contradicted`, `undecided`; another word is shown as it is. */
  readonly verdict: string;
  /** The effect; absent where it could not be computed. */
  readonly value?: number;
  readonly low?: number;
  readonly high?: number;
  /** The effect's null. */
  readonly chance?: number;
  readonly n?: number;
  /** How many seeds it rests on. */
  readonly seeds?: number;
  /** The rule of decision, in words. */
  readonly rule?: string;
  /** The measure it is read from. */
  readonly measure?: string;
}

/** A row of `claims.json` as a claim; `undefined` where it has no id, statement or verdict. What a later version adds is passed over. */
export function asClaim(row: unknown): ClaimVerdict | undefined {
  if (typeof row !== "object" || row === null || Array.isArray(row)) return undefined;
  const cells = row as Readonly<Record<string, unknown>>;
  const text = (field: string) => (typeof cells[field] === "string" ? cells[field] : undefined);
  const number = (field: string) =>
    typeof cells[field] === "number" && Number.isFinite(cells[field]) ? cells[field] : undefined;
  const [id, statement, verdict] = [text("id"), text("statement"), text("verdict")];
  if (id === undefined || statement === undefined || verdict === undefined) return undefined;
  const seeds = Array.isArray(cells.seeds) ? cells.seeds.length : number("seeds");
  const optional = {
    value: number("value"),
    low: number("low"),
    high: number("high"),
    chance: number("chance"),
    n: number("n"),
    seeds,
    rule: text("rule"),
    measure: text("measure"),
  };
  const present = Object.fromEntries(Object.entries(optional).filter(([, cell]) => cell !== undefined));
  return { id, statement, verdict, ...present };
}
