import { type Document, isScalar, LineCounter, parseDocument, visit } from "yaml";
import { UserError } from "../errors.js";

/** Nested deeper than this, or indented further, a file is an attack on the stack, not settings. */
const MAX_DEPTH = 32;
const MAX_INDENT = 96;
/**
 * YAML of a foreign file as plain values, in time that grows with its length alone: its depth is bounded before it is parsed, and it has no
 * aliases, by which a page can spell out more than a machine holds. A key twice in one place is an error.
 * @param where begins every message: "study.yaml".
 * @throws UserError, one sentence.
 */
export function parseStrictYaml(text: string, where: string): unknown {
  refuseDeep(text, where);
  const lineCounter = new LineCounter();
  // Its own search for equal keys compares each with each, and its pretty errors show the file once for each of them.
  const document = parseDocument(text, { logLevel: "error", uniqueKeys: false, prettyErrors: false, lineCounter });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    const reason = error.message.split("\n")[0]!.replace(/[:.]$/, "");
    throw new UserError(`${where} is not valid YAML: ${reason} at line ${line}, column ${col}.`);
  }
  refuseAliasesAndTwins(document, where);
  return document.toJS();
}

/** Bounds the depth by the text alone: by indentation, by indicators in one line, by brackets that stay open. */
function refuseDeep(text: string, where: string): void {
  const deep = () =>
    new UserError(`${where} is nested more than ${MAX_DEPTH} deep; settings are flat, check the file.`);
  let open = 0;
  for (const line of text.split(/\r\n|[\r\n]/)) {
    const indent = /^[ \t]*/.exec(line)![0].length;
    const indicators = /^(?:[-?:][ \t]+)*/.exec(line.slice(indent))![0];
    if (indent + indicators.length > MAX_INDENT) throw deep();
    // A bracket in a text counts too: of those, few stay open.
    for (const character of line) {
      if (character === "[" || character === "{") open++;
      else if ((character === "]" || character === "}") && open > 0) open--;
      if (open > MAX_DEPTH) throw deep();
    }
  }
}

function refuseAliasesAndTwins(document: Document.Parsed, where: string): void {
  visit(document, {
    Alias: (_, { source }) => {
      throw new UserError(`${where}: the alias *${source} stands for a value elsewhere; write the value out.`);
    },
    Map: (_, { items }) => {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) throw new UserError(`${where}: a key is a list or a group of settings; a key is a name.`);
        const name = String(key.value);
        if (seen.has(name))
          throw new UserError(`${where} has the key ${JSON.stringify(name)} twice in one place; keep one.`);
        seen.add(name);
      }
    },
  });
}
