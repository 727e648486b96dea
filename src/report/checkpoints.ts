/** The checkpoint before safety tuning, W_IT. */
export const BASELINE = "instruct";

/** Names of the methods for people, in reading order: the paper's three, then the others, then the controls. */
const METHODS: ReadonlyMap<string, string> = new Map([
  ["ssft", "SSFT"],
  ["dpo", "DPO"],
  ["unlearning", "Unlearning"],
  ["dpo-standard", "DPO (β = γ)"],
  ["npo", "NPO"],
  ["simpo", "SimPO"],
  ["continue", "continue"],
  ["shuffled", "shuffled"],
]);

/** Tunings that are no safety tuning: what a change must be compared with before it is called an effect of safety. */
const CONTROLS: ReadonlySet<string> = new Set(["continue", "shuffled"]);

/** The rates in reading order; others follow by name. */
const RATES = ["medium", "small"];

export interface CheckpointParts {
  readonly method: string;
  /** Empty where the name holds none. */
  readonly rate: string;
}

/** METHOD-RATE apart; METHOD may hold a dash (`dpo-standard-medium`). A name without a rate is all method. */
export function checkpointParts(checkpoint: string): CheckpointParts {
  const dash = checkpoint.lastIndexOf("-");
  if (dash <= 0 || METHODS.has(checkpoint)) return { method: checkpoint, rate: "" };
  return { method: checkpoint.slice(0, dash), rate: checkpoint.slice(dash + 1) };
}

/** A checkpoint's name for people: `instruct` is "before tuning", `ssft-medium` is "SSFT medium". A name that is not known stays as it is. */
export function checkpointTitle(checkpoint: string): string {
  if (checkpoint === BASELINE) return "before tuning";
  const { method, rate } = checkpointParts(checkpoint);
  const title = METHODS.get(method);
  return title === undefined ? checkpoint : rate === "" ? title : `${title} ${rate}`;
}

/** A method's name for people; one that is not known stays as it is. */
export function methodTitle(method: string): string {
  return METHODS.get(method) ?? method;
}

/** Whether a name is of two checkpoints or of a part of one: `a+b`, `a..b`, `a~b`, `a:top`. Only the figures about these know them. */
export function isComposed(checkpoint: string): boolean {
  return /\+|\.\.|~|:/.test(checkpoint);
}

/** Whether a checkpoint is a control: tuned as long as the others, but not for safety. */
export function isControl(checkpoint: string): boolean {
  return CONTROLS.has(checkpointParts(checkpoint).method);
}

/** Whether a checkpoint is the result of safety tuning: neither the baseline nor a control. */
export function isTuned(checkpoint: string): boolean {
  return checkpoint !== BASELINE && !isControl(checkpoint);
}

/** Checkpoints in reading order: before tuning, the methods (medium rate first), methods we do not know by name, the controls. */
export function orderCheckpoints(checkpoints: readonly string[]): string[] {
  const known = [...METHODS.keys()];
  const rank = (checkpoint: string): (string | number)[] => {
    const { method, rate } = checkpointParts(checkpoint);
    const place = known.indexOf(method);
    const kind = checkpoint === BASELINE ? 0 : CONTROLS.has(method) ? 2 : 1;
    return [
      kind,
      place < 0 ? known.length : place,
      method,
      RATES.includes(rate) ? RATES.indexOf(rate) : RATES.length,
      rate,
    ];
  };
  return [...checkpoints].sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    const at = x.findIndex((part, i) => part !== y[i]);
    return at < 0 ? 0 : x[at]! < y[at]! ? -1 : 1;
  });
}

/** One method's checkpoints. */
export interface Method {
  readonly method: string;
  /** In reading order, medium first. */
  readonly checkpoints: readonly string[];
}

/** The checkpoints of safety tuning by method, in reading order. */
export function tunedMethods(checkpoints: readonly string[]): Method[] {
  const methods = new Map<string, string[]>();
  for (const checkpoint of orderCheckpoints(checkpoints).filter(isTuned)) {
    const { method } = checkpointParts(checkpoint);
    methods.set(method, [...(methods.get(method) ?? []), checkpoint]);
  }
  return [...methods].map(([method, own]) => ({ method, checkpoints: own }));
}
