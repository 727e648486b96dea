/**
 * A set's name for people: `jb-co-task` is "JB-CO-Task", as the paper writes it; `soft-prompt-5` is "soft prompt, 5". A name that is not known stays
 * as it is.
 */
export function setTitle(set: string): string {
  const attack = /^(soft-prompt|gcg|prefix)(?:-(\d+))?$/.exec(set);
  if (attack) return `${ATTACKS[attack[1]!]!}${attack[2] === undefined ? "" : `, ${attack[2]}`}`;
  if (!/^jb-[a-z-]+$/.test(set)) return set;
  return set
    .split("-")
    .map((part) => SET_PARTS.get(part) ?? part.charAt(0).toUpperCase() + part.slice(1))
    .join("-");
}

const ATTACKS: Readonly<Record<string, string>> = { "soft-prompt": "soft prompt", gcg: "GCG", prefix: "prefix" };

const SET_PARTS: ReadonlyMap<string, string> = new Map([
  ["jb", "JB"],
  ["co", "CO"],
  ["misgen", "MisGen"],
]);

/** A number with `digits` decimals and a true minus sign; an en dash when there is none. */
export function fixed(value: number | undefined, digits = 2): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** A number with three significant digits, for quantities of unknown scale. */
export function significant(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value) || value === 0) return fixed(value, 0);
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) {
    const [mantissa, exponent] = size.toExponential(2).split("e") as [string, string];
    const raised = [...exponent.replace("+", "")]
      .map((sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(sign)]))
      .join("");
    return `${value < 0 ? "−" : ""}${mantissa} × 10${raised}`;
  }
  return fixed(value, Math.max(0, 2 - Math.floor(Math.log10(size))));
}

/** A share as a percentage, with one decimal unless told otherwise: 0.982 is "98.2%". */
export function percent(share: number | undefined, digits = 1): string {
  return share === undefined || Number.isNaN(share) ? "–" : `${fixed(share * 100, digits)}%`;
}

/** A whole number with thin spaces between thousands. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** Words joined as in a sentence: "a, b and c". */
export function sentenceList(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** A duration for people: 12.3 s, 4 min 05 s, 2 h 07 min. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const pad = (value: number) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}
