import { permutation, type RandomStream, randomKey } from "../random/index.js";

/** Rules of some leaf symbols: `count` different rules of `length` terminals for each. */
export interface LeafShape {
  readonly symbols: readonly string[];
  readonly count: number;
  readonly length: number;
}

/**
 * Which terminals each grammar uses: round(overlap x terminals) are common to all, the others are dealt out in turn.
 * [grammars][terminals used]
 */
export function divideTerminals(
  terminals: readonly string[],
  grammars: number,
  overlap: number,
  seed: number,
): string[][] {
  if (grammars === 1) return [[...terminals]];
  const order = permutation(randomKey(seed, "world-file/terminals"), 0, terminals.length);
  const common = Math.round(overlap * terminals.length);
  return Array.from({ length: grammars }, (_, grammar) =>
    terminals.filter((_, index) => order[index]! < common || order[index]! % grammars === grammar),
  );
}

/**
 * A terminal table: leaf rules in which every one of `terminals` occurs where there are places enough, each about equally
 * often, and no rule occurs twice.
 * @throws RangeError when there are fewer different rules than asked for.
 */
export function leafRules(
  shape: LeafShape,
  terminals: readonly string[],
  seed: number,
  grammar: number,
): Record<string, string[]> {
  const key = randomKey(seed, `world-file/leaf-rules/${grammar}`);
  const places = shape.symbols.length * shape.count * shape.length;
  for (let attempt = 0; attempt < 1_000; attempt++) {
    // Whole rounds of all terminals, so that each occurs equally often up to one.
    const rounds = Math.ceil(places / terminals.length);
    const dealt: string[] = [];
    for (let round = 0; round < rounds; round++)
      for (const index of permutation(key, attempt * 4096 + round, terminals.length)) dealt.push(terminals[index]!);
    const rules = shape.symbols.flatMap((_, symbol) =>
      Array.from({ length: shape.count }, (_, rule) => {
        const at = (symbol * shape.count + rule) * shape.length;
        return dealt.slice(at, at + shape.length).join(" ");
      }),
    );
    if (new Set(rules).size < rules.length) continue;
    return Object.fromEntries(
      shape.symbols.map((symbol, index) => [symbol, rules.slice(index * shape.count, (index + 1) * shape.count)]),
    );
  }
  throw new RangeError(
    `${terminals.length} terminals do not give ${places / shape.length} different rules of ${shape.length}`,
  );
}

/**
 * Bijections as the images of all terminals in order, different from one another and between grammars; operator 0 is the
 * identity where asked. [grammars] of operator to images
 */
export function operatorTables(
  terminals: readonly string[],
  operators: readonly string[],
  grammars: number,
  identity: boolean,
  seed: number,
): Record<string, string>[] {
  const key = randomKey(seed, "world-file/operators");
  const unchanged = terminals.join(" ");
  const seen = new Set([unchanged]);
  let step = 0;
  return Array.from({ length: grammars }, () =>
    Object.fromEntries(
      operators.map((operator, index) => {
        if (identity && index === 0) return [operator, unchanged];
        for (let attempt = 0; attempt < 1_000; attempt++) {
          const images = Array.from(permutation(key, step++, terminals.length), (image) => terminals[image]!).join(" ");
          if (seen.has(images)) continue;
          seen.add(images);
          return [operator, images];
        }
        throw new RangeError(
          `${terminals.length} terminals do not have ${operators.length * grammars} different bijections`,
        );
      }),
    ),
  );
}

/** A random right side of `length` symbols of `choices`, as text. */
export function randomRule(choices: readonly string[], length: number, stream: RandomStream): string {
  return Array.from({ length }, () => choices[stream.integer(choices.length)]!).join(" ");
}
