/** A colour by its role, in the light and in the dark page. */
interface Shade {
  readonly light: string;
  readonly dark: string;
}

/**
 * Every colour of page and figures, by role. The series are Okabe and Ito's colours, darkened or lightened until they stand out from the
 * page by at least 3:1 (WCAG 1.4.11); shapes and labels say the same as the colours.
 */
export const PALETTE = {
  page: { light: "#fffefb", dark: "#17181a" },
  desk: { light: "#f3f0e9", dark: "#0f1011" },
  ink: { light: "#22201c", dark: "#e9e6df" },
  muted: { light: "#676158", dark: "#a39d92" },
  rule: { light: "#e2dccf", dark: "#34353a" },
  wash: { light: "#f7f4ec", dark: "#202124" },
  accent: { light: "#8a3b12", dark: "#f0a679" },
  safe: { light: "#0067a5", dark: "#5db8f0" },
  unsafe: { light: "#c44e00", dark: "#f58f4d" },
  instruct: { light: "#0067a5", dark: "#5db8f0" },
  null: { light: "#736c61", dark: "#8f897e" },
  other: { light: "#8a6200", dark: "#e3bf4f" },
  series0: { light: "#6b665e", dark: "#b4aea3" },
  series1: { light: "#007a5a", dark: "#3fcb9f" },
  series2: { light: "#a3387d", dark: "#e694c5" },
  series3: { light: "#a87400", dark: "#e5bb45" },
  series4: { light: "#4a49b0", dark: "#a3a2f5" },
  series5: { light: "#7a4a1f", dark: "#cc9d6e" },
  series6: { light: "#007c91", dark: "#4fc7dc" },
  series7: { light: "#b0283a", dark: "#f0808d" },
} as const satisfies Record<string, Shade>;

export type Role = keyof typeof PALETTE;

/** The colour of a role as a CSS variable, for markup that follows the reader's theme. */
export function ink(role: Role): string {
  return `var(--${role})`;
}

/** Colour of the i-th series; the first is grey. */
export function seriesInk(i: number): string {
  return `var(--series${i % 8})`;
}

/** Symbols in the order of the series, so that no series is told by its colour alone. */
export const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "wye", "cross", "hexagon"] as const;

/** How the checkpoints of one method look: one colour and one symbol; the rate fills or empties the symbol and breaks the line. */
export interface MethodStyle {
  readonly colour: string;
  readonly symbol: (typeof SYMBOLS)[number];
  readonly dash?: string;
}

/**
 * Colour and symbol of each method. The paper's three take Okabe and Ito's green, purple and orange, which stay apart for every kind of colour
 * blindness; what is no safety tuning is grey, told apart by symbol and line.
 */
export const METHOD_STYLES: ReadonlyMap<string, MethodStyle> = new Map<string, MethodStyle>([
  ["instruct", { colour: seriesInk(0), symbol: "circle" }],
  ["ssft", { colour: seriesInk(1), symbol: "square" }],
  ["dpo", { colour: seriesInk(2), symbol: "triangle" }],
  ["unlearning", { colour: seriesInk(3), symbol: "diamond" }],
  ["dpo-standard", { colour: seriesInk(4), symbol: "hexagon" }],
  ["npo", { colour: seriesInk(5), symbol: "star" }],
  ["simpo", { colour: seriesInk(6), symbol: "wye" }],
  ["continue", { colour: seriesInk(0), symbol: "cross", dash: "7 3" }],
  ["shuffled", { colour: seriesInk(0), symbol: "star", dash: "1.5 3" }],
]);

/** The CSS declarations of all roles in one theme. */
export function declarations(theme: keyof Shade): string {
  return Object.entries(PALETTE)
    .map(([role, shade]) => `--${role}:${shade[theme]}`)
    .join(";");
}

/** Markup with every `var(--role)` and `currentColor` replaced by its light colour, for files that stand alone. */
export function inLightColours(markup: string): string {
  return markup
    .replace(/var\(--([a-z]+\d?)\)/g, (whole, role: string) => (role in PALETTE ? PALETTE[role as Role].light : whole))
    .replaceAll("currentColor", PALETTE.ink.light);
}
