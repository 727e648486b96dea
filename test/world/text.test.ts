import { describe, expect, it } from "vitest";
import { createStream, randomKey } from "../../src/random/index.js";
import { chiSquareTest } from "../../src/stats/chiSquare.js";
import { choose, createBitSource, startRow } from "../../src/world/bits.js";
import { rulesOf } from "../../src/world/compile.js";
import { parseWorld } from "../../src/world/index.js";
import { createTextScratch, drawText, textStart } from "../../src/world/text.js";
import { tracedFile } from "./smallWorlds.js";

/** A fixed seed cannot flicker: below this a true hypothesis is refused once in a thousand seeds. */
const LEAST_P = 1e-3;

const world = parseWorld(tracedFile(), "traced");
const grammar = world.grammars[0]!;
const start = textStart(grammar, 0, [rulesOf(grammar, grammar.root)]);

/** Draws `count` texts with lengths in min .. max and hands each to `use` as a string of letters. */
function drawTexts(count: number, min: number, max: number, use: (text: string) => void): void {
  const bits = createBitSource(randomKey(1, "test"), 0);
  const scratch = createTextScratch([start], max);
  for (let row = 0; row < count; row++) {
    startRow(bits, row, 0);
    const length = drawText(bits, start, min, max, scratch);
    let text = "";
    for (let i = 0; i < length; i++) text += world.file.terminals[scratch.text[i]!]!;
    use(text);
  }
}

describe("fair choices", () => {
  it.each([2, 3, 5, 17, 1000])("among %i are uniform", (n) => {
    const bits = createBitSource(randomKey(3, "choices"), 0);
    const counts = new Int32Array(n);
    startRow(bits, 0, 0);
    for (let draw = 0; draw < 100 * n + 10_000; draw++) counts[choose(bits, n)]!++;
    expect(chiSquareTest([...counts], new Array(n).fill(1)).pValue).toBeGreaterThan(LEAST_P);
  });
});

describe("productions", () => {
  it("are used as often as the grammar says, over a million draws", () => {
    // Letters and their order tell every rule of the traced grammar; whole expansions are drawn (none is longer than 20).
    const counts = {
      v: [0, 0, 0],
      A1: [0, 0],
      B1: [0, 0, 0],
      x: [0, 0],
      y: [0, 0, 0],
      z: [0, 0],
      q: [0, 0],
    };
    const tokens = /ab|b|cdc|c|d|ef|fe|g|hh|ii/g;
    drawTexts(140_000, 20, 20, (text) => {
      const parts = text.match(tokens)!;
      expect(parts.join("")).toBe(text);
      let at = 0;
      let order = "";
      while (at < parts.length) {
        if ("abcd".includes(parts[at]![0]!)) {
          order += "A";
          const isX = parts[at] === "ab" || parts[at] === "b";
          counts.A1[isX ? 0 : 1]!++;
          if (isX) counts.x[parts[at] === "ab" ? 0 : 1]!++;
          else counts.y[["c", "d", "cdc"].indexOf(parts[at]!)]!++;
          counts.y[["c", "d", "cdc"].indexOf(parts[at + 1]!)]!++;
          at += 2;
        } else {
          order += "B";
          if (parts[at] === "hh" || parts[at] === "ii") {
            counts.B1[1]!++;
            for (const part of parts.slice(at, at + 3)) counts.q[part === "hh" ? 0 : 1]!++;
            at += 3;
            continue;
          }
          counts.z[parts[at] === "ef" ? 0 : 1]!++;
          counts.B1[parts[at + 1] === "g" ? 2 : 0]!++;
          if (parts[at + 1] !== "g") counts.z[parts[at + 1] === "ef" ? 0 : 1]!++;
          at += 2;
        }
      }
      counts.v[["AB", "BA", "ABA"].indexOf(order)]!++;
    });
    let total = 0;
    for (const uses of Object.values(counts)) {
      total += uses.reduce((sum, count) => sum + count, 0);
      expect(chiSquareTest(uses, new Array(uses.length).fill(1)).pValue).toBeGreaterThan(LEAST_P);
    }
    expect(total).toBeGreaterThan(1_000_000);
  });
});

describe("windows", () => {
  it("have the distribution of whole expansions cut at random, though most of an expansion is never made", () => {
    const stream = createStream(randomKey(9, "naive"), 0);
    const expand = (symbol: string): string => {
      const rules = grammar.grammar.rules.get(symbol);
      return rules ? rules[stream.integer(rules.length)]!.map(expand).join("") : symbol;
    };
    const count = 60_000;
    const naive = new Map<string, number>();
    for (let draw = 0; draw < count; draw++) {
      const whole = expand("v");
      const length = Math.min(2 + stream.integer(3), whole.length);
      const from = stream.integer(whole.length - length + 1);
      const text = whole.slice(from, from + length);
      naive.set(text, (naive.get(text) ?? 0) + 1);
    }
    const ours = new Map<string, number>();
    drawTexts(count, 2, 4, (text) => ours.set(text, (ours.get(text) ?? 0) + 1));
    // Two samples of equal size: the sum of (a - b)^2 / (a + b) over texts is chi-square. Rare texts are pooled.
    let statistic = 0;
    let cells = 0;
    let rare = [0, 0];
    for (const text of new Set([...naive.keys(), ...ours.keys()])) {
      const [a, b] = [naive.get(text) ?? 0, ours.get(text) ?? 0];
      if (a + b < 20) {
        rare = [rare[0]! + a, rare[1]! + b];
        continue;
      }
      statistic += (a - b) ** 2 / (a + b);
      cells++;
    }
    if (rare[0]! + rare[1]! > 0) statistic += (rare[0]! - rare[1]!) ** 2 / (rare[0]! + rare[1]!);
    expect(cells).toBeGreaterThan(50);
    // Mean cells - 1, variance 2 (cells - 1): four standard deviations.
    expect(statistic).toBeLessThan(cells + 4 * Math.sqrt(2 * cells));
  });

  it("are uniform in length and take short expansions whole", () => {
    const lengths = [0, 0, 0];
    drawTexts(30_000, 2, 4, (text) => lengths[text.length - 2]!++);
    expect(chiSquareTest(lengths, [1, 1, 1]).pValue).toBeGreaterThan(LEAST_P);
    const shortest: number[] = [];
    drawTexts(2_000, 6, 40, (text) => shortest.push(text.length));
    expect(Math.min(...shortest)).toBeLessThan(6);
  });
});
