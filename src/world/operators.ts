import { didYouMean, type Fail, quoted } from "./problems.js";
import type { WorldFile } from "./schema.js";
import type { BranchRule, World } from "./types.js";

type Operators = Pick<World, "operatorNames" | "functionOf" | "twins" | "identity" | "rule" | "leftOut" | "maps">;

/** Checks operators, twins and the safety rule of a world file, and turns the bijections into one table. `branches` orders the rule. */
export function buildOperators(file: WorldFile, branches: readonly string[], fail: Fail): Operators {
  const operatorNames = file.operators.names;
  if (new Set(operatorNames).size < operatorNames.length) fail("operators.names has a name twice; remove one.");
  const indexOf = (name: string, where: string): number => {
    const index = operatorNames.indexOf(name);
    return index >= 0
      ? index
      : fail(`${where}: there is no operator ${quoted(name)}${didYouMean(name, operatorNames)}`);
  };
  const functionOf = operatorNames.map((_, index) => index);
  const twins: number[] = [];
  for (const [twin, original] of Object.entries(file.operators.twins)) {
    const index = indexOf(twin, "operators.twins");
    if (Object.hasOwn(file.operators.twins, original) || original === twin)
      fail(`operators.twins: ${quoted(original)} is itself a twin; name an original.`);
    functionOf[index] = indexOf(original, "operators.twins");
    twins.push(index);
  }
  twins.sort((a, b) => a - b); // not the order of the file's keys
  const originals = operatorNames.map((_, index) => index).filter((index) => !twins.includes(index));
  const maps = buildMaps(file, originals, functionOf, fail);
  const subset = (names: readonly string[], where: string): number[] =>
    names.map((name) => {
      const index = indexOf(name, where);
      if (twins.includes(index)) fail(`${where}: ${quoted(name)} is a twin; name its original.`);
      return index;
    });
  const leftOut = [...new Set(subset(file.tuning.leftOutOperators, "tuning.leftOutOperators"))];
  const branchRule = (branch: string): BranchRule => {
    const safe = subset(file.safety[branch]!.safe, `safety.${branch}.safe`);
    const unsafe = subset(file.safety[branch]!.unsafe, `safety.${branch}.unsafe`);
    const both = safe.find((operator) => unsafe.includes(operator));
    if (both !== undefined)
      fail(`safety.${branch}: ${quoted(operatorNames[both]!)} is both safe and unsafe; choose one.`);
    for (const [kind, set] of Object.entries({ safe, unsafe })) {
      if (new Set(set).size < set.length) fail(`safety.${branch}.${kind} names an operator twice; remove one.`);
      if (set.every((operator) => leftOut.includes(operator)))
        fail(`safety.${branch}.${kind}: every operator is left out of tuning; keep at least one.`);
    }
    return { safe, unsafe };
  };
  const identity = originals.find((operator) =>
    file.grammars.every((_, g) =>
      isIdentity(maps, (g * operatorNames.length + operator) * file.terminals.length, file),
    ),
  );
  if (identity === undefined && file.pretraining.identityShare > 0)
    fail("pretraining.identityShare is above 0, but no operator is the identity in every grammar; set it to 0.");
  return {
    operatorNames,
    functionOf,
    twins,
    identity: identity ?? -1,
    rule: branches.map(branchRule),
    leftOut,
    maps,
  };
}

function isIdentity(maps: Int32Array, at: number, file: WorldFile): boolean {
  return file.terminals.every((_, terminal) => maps[at + terminal] === terminal);
}

/** [grammars, task tokens, terminals]; checks that each table is a bijection and that no two are the same. */
function buildMaps(
  file: WorldFile,
  originals: readonly number[],
  functionOf: readonly number[],
  fail: Fail,
): Int32Array {
  const names = file.operators.names;
  const size = file.terminals.length;
  const terminalOf = new Map(file.terminals.map((terminal, index) => [terminal, index]));
  const maps = new Int32Array(file.grammars.length * names.length * size);
  const seen = new Map<string, string>();
  const identity = file.terminals.join(" ");
  for (const [g, grammar] of file.grammars.entries()) {
    const where = `grammar ${quoted(grammar.name)}, operators`;
    for (const name of Object.keys(grammar.operators))
      if (!originals.some((index) => names[index] === name))
        fail(
          `${where}: ${quoted(name)} is not an original operator${didYouMean(
            name,
            originals.map((o) => names[o]!),
          )}`,
        );
    for (const operator of originals) {
      const name = names[operator]!;
      if (!Object.hasOwn(grammar.operators, name)) fail(`${where}: ${quoted(name)} is missing; add it.`);
      const text = grammar.operators[name]!;
      const images = text.split(" ");
      if (images.length !== size || new Set(images).size !== size || images.some((image) => !terminalOf.has(image)))
        fail(`${where}.${names[operator]}: this is no bijection; list each of the ${size} terminals once.`);
      const here = `${names[operator]} in ${grammar.name}`;
      const before = seen.get(text);
      if (before !== undefined && text !== identity)
        fail(
          `${where}: ${here} is the same bijection as ${before}; operators differ from each other and between grammars.`,
        );
      if (text === identity && before?.endsWith(` in ${grammar.name}`))
        fail(`${where}: ${here} and ${before} are both the identity; at most one operator may be.`);
      seen.set(text, here);
      for (const [terminal, image] of images.entries())
        maps[(g * names.length + operator) * size + terminal] = terminalOf.get(image)!;
    }
    for (const [token, original] of functionOf.entries())
      if (token !== original)
        maps.copyWithin(
          (g * names.length + token) * size,
          (g * names.length + original) * size,
          (g * names.length + original + 1) * size,
        );
  }
  return maps;
}
