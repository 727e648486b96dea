import type { ResultRow } from "../study/results.js";
import { checkpointTitle } from "./checkpoints.js";
import { escapeHtml, visible } from "./html.js";
import { count, percent, setTitle, significant } from "./words.js";

/** What a mark or a panel of a figure is about, so that the page can show a part of it and say its numbers. */
export interface Tags {
  readonly checkpoint?: string | undefined;
  readonly set?: string | undefined;
  readonly block?: number | undefined;
  /** The numbers in words; a mark that has them can be pointed at. */
  readonly said?: string | undefined;
}

const SEPARATOR = "\u0001";

/** Tags as one text for the `title` channel of a Plot mark: the only channel of Plot that leaves a trace in the SVG. See `tagsToAttributes`. */
export function tagTitle({ checkpoint, set, block, said }: Tags): string {
  return [slug(checkpoint ?? ""), slug(set ?? ""), block ?? "", visible(said ?? "")].join(SEPARATOR);
}

/**
 * The marks' titles as attributes `data-c` (checkpoint), `data-s` (set), `data-b` (block), which the page's filters name, and `data-t`, what is said
 * when the mark is pointed at. A `title` element would make every browser show a tooltip of its own beside ours.
 */
export function tagsToAttributes(svg: string): string {
  return svg.replace(
    /<([a-z]+)([^<>]*)>([^<]*)<title>([^<]*)<\/title>/gi,
    (_, name: string, attributes: string, text: string, title: string) => {
      const [checkpoint, set, block, said] = title.split(SEPARATOR).map(fromEntities);
      const tags = { checkpoint, set, block: block ? Number(block) : undefined, said };
      return `<${name}${attributes}${tagAttributes(tags)}>${text}`;
    },
  );
}

/** The same attributes for an element that we write ourselves, with a space before each. */
export function tagAttributes({ checkpoint, set, block, said }: Tags): string {
  const attributes = [
    checkpoint ? ` data-c="${slug(checkpoint)}"` : "",
    set ? ` data-s="${slug(set)}"` : "",
    block === undefined ? "" : ` data-b="${block}"`,
    said ? ` data-t="${escapeHtml(said)}"` : "",
  ];
  return attributes.join("");
}

/** SVG without the page's attributes, for files. */
export function withoutTags(svg: string): string {
  return svg.replace(/ data-[csbt]="[^"]*"/g, "");
}

/** A name as an attribute's value that a selector may quote: foreign names lose every character that could end the quotation. */
export function slug(name: string): string {
  return name.replace(/[^A-Za-z0-9.+~:_-]/g, "_").slice(0, 64);
}

export interface Saying {
  /** The value is a share, said in percent. */
  readonly share?: boolean;
  /** Where on the axis: "i = 3", "α = 1.2", "step 50". */
  readonly at?: string;
  /** Before the colon, instead of the checkpoint's name. */
  readonly name?: string;
}

/** "SSFT medium · unsafe · block 2 · i = 3: 0.873 [0.851, 0.894] · n = 1 000 · chance 0.5": a row for someone who points at its mark. */
export function sayRow(row: ResultRow, { share = false, at, name }: Saying = {}): string {
  const { checkpoint, set, outcome, block, value, low, high, n, chance } = row;
  const say = (number: number) => (share ? percent(number) : significant(number));
  const where = [
    name ?? (checkpoint === undefined ? undefined : checkpointTitle(checkpoint)),
    set === undefined ? undefined : setTitle(set),
    outcome === undefined ? undefined : outcome === "success" ? "successful" : "failed",
    block === undefined ? undefined : `block ${block}`,
    at,
  ].filter((part) => part !== undefined && part !== "");
  const numbers = [
    `${say(value)}${low !== undefined && high !== undefined ? ` [${say(low)}, ${say(high)}]` : ""}`,
    n === undefined ? undefined : `n = ${count(n)}`,
    chance === undefined ? undefined : `chance ${say(chance)}`,
  ].filter((part) => part !== undefined);
  return `${where.join(" · ")}: ${numbers.join(" · ")}`;
}

function fromEntities(text: string): string {
  return text
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&nbsp;", "\u00a0")
    .replaceAll("&amp;", "&");
}
