import fc from "fast-check";

/** Bytes of a valid file with one to four faults of the kinds that files from elsewhere have. */
export function mutated(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(valid, fc.array(mutation, { minLength: 0, maxLength: 4 }))
    .map(([bytes, mutations]) => mutations.reduce((now, apply) => apply(now), bytes));
}

type Mutation = (bytes: Uint8Array) => Uint8Array;

/** Texts that break naive readers, to be spliced in anywhere. */
export const AWKWARD = [
  '"__proto__":',
  '{"__proto__":{"polluted":1}}',
  '"constructor":{"prototype":{}}',
  '"a":1,"a":2,',
  "\\ud800",
  "\\u0000",
  "\u0000",
  "\u202e",
  "\ufeff",
  "\u001b[2J",
  "1e400",
  "-1",
  "-0",
  "0.5",
  "1E2",
  "9007199254740993",
  "18446744073709551616",
  "9".repeat(400),
  "NaN",
  "Infinity",
  "null",
  "true",
  "[]",
  "{}",
  "[".repeat(50),
  "[".repeat(20_000),
  '{"a":'.repeat(20_000),
  "{".repeat(2_000),
  "- ".repeat(1_500),
  "? ".repeat(1_000),
  "}",
  "]",
  ",",
  ":",
  '"',
  "\n",
  "\n  ",
  "\t",
  "&a ",
  "*a",
  "&a [*a, *a]",
  "a: &a [x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n",
  "<<: *a\n",
  "!!js/function x",
  "!!binary AAAA",
  "!!timestamp 2001-01-01",
  "%YAML 9.9\n---\n",
  "---\n",
  "...\n",
  "|\n",
  ">-\n",
  "'",
  "# ",
  "x".repeat(3_000),
];

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const splice = (bytes: Uint8Array, at: number, removed: number, added: Uint8Array) =>
  Uint8Array.from([...[bytes.subarray(0, at), added, bytes.subarray(at + removed)].flatMap((part) => [...part])]);

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  // One bit, or one byte, is another.
  {
    weight: 4,
    arbitrary: fc.tuple(place, fc.integer({ min: 1, max: 255 })).map(
      ([where, mask]): Mutation =>
        (bytes) => {
          if (bytes.length === 0) return bytes;
          const out = bytes.slice();
          const at = Math.floor(where * bytes.length);
          out[at] = out[at]! ^ mask;
          return out;
        },
    ),
  },
  // Cut off.
  {
    weight: 1,
    arbitrary: place.map(
      (where): Mutation =>
        (bytes) =>
          bytes.slice(0, Math.floor(where * bytes.length)),
    ),
  },
  // A piece is gone, or stands twice.
  {
    weight: 2,
    arbitrary: fc.tuple(place, fc.integer({ min: 1, max: 40 }), fc.boolean()).map(
      ([where, length, twice]): Mutation =>
        (bytes) => {
          const at = Math.floor(where * bytes.length);
          return twice
            ? splice(bytes, at, 0, bytes.slice(at, at + length))
            : splice(bytes, at, length, new Uint8Array());
        },
    ),
  },
  // Something awkward stands in it, or in place of a number or a text.
  {
    weight: 4,
    arbitrary: fc
      .tuple(place, fc.constantFrom(...AWKWARD), fc.constantFrom(/-?[0-9]+/g, /"[^"]*"/g, /[\s\S]/g), fc.boolean())
      .map(
        ([where, text, pattern, replace]): Mutation =>
          (bytes) => {
            const latin = Buffer.from(bytes).toString("latin1");
            const found = [...latin.slice(0, 20_000).matchAll(pattern)];
            const hit = found[Math.floor(where * found.length)];
            if (hit === undefined) return bytes;
            return splice(bytes, hit.index, replace ? hit[0].length : 0, new TextEncoder().encode(text));
          },
      ),
  },
  // Bytes of chance.
  {
    weight: 1,
    arbitrary: fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 12 })).map(
      ([where, added]): Mutation =>
        (bytes) =>
          splice(bytes, Math.floor(where * bytes.length), 0, added),
    ),
  },
);

/** A tree of JSON in which one value, chosen by chance, is replaced, removed, doubled or nested. */
export function mutatedTree(tree: unknown): fc.Arbitrary<unknown> {
  const replacement = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom<unknown>(
      null,
      -1,
      0,
      1e308,
      2 ** 53 + 2,
      0.5,
      "",
      "x y",
      "__proto__",
      "\u001b[2J",
      "\u202e",
      "\ud800",
      [],
      {},
      [[]],
      Number.MIN_VALUE,
    ),
    fc.integer({ min: 1, max: 60 }).map((depth) => nested(depth)),
  );
  return fc
    .array(fc.tuple(place, replacement, fc.constantFrom("replace", "remove", "add")), { minLength: 1, maxLength: 3 })
    .map((changes) => {
      let now = structuredClone(tree);
      for (const [where, value, how] of changes) {
        const paths = pathsOf(now);
        now = changed(now, paths[Math.floor(where * paths.length)] ?? [], value, how);
      }
      return now;
    });
}

const nested = (depth: number): unknown =>
  depth === 0 ? 1 : depth % 2 === 0 ? [nested(depth - 1)] : { a: nested(depth - 1) };

function pathsOf(tree: unknown, prefix: readonly string[] = []): (readonly string[])[] {
  if (typeof tree !== "object" || tree === null) return [prefix];
  return [prefix, ...Object.entries(tree).flatMap(([key, value]) => pathsOf(value, [...prefix, key]))];
}

function changed(tree: unknown, path: readonly string[], value: unknown, how: "replace" | "remove" | "add"): unknown {
  const [key, ...rest] = path;
  if (key === undefined) {
    if (how !== "add" || typeof tree !== "object" || tree === null) return value;
    return Array.isArray(tree) ? [...tree, value] : { ...tree, extra: value };
  }
  if (typeof tree !== "object" || tree === null) return value;
  const entries = Object.entries(tree).flatMap(([name, inner]): [string, unknown][] => {
    if (name !== key) return [[name, inner]];
    if (how === "remove" && rest.length === 0) return [];
    return [[name, changed(inner, rest, value, how)]];
  });
  return Array.isArray(tree) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
}
