import { PAPER_OPERATORS, PAPER_SAFETY } from "./generateWorld.js";
import { type WorldFile, worldSchema } from "./schema.js";
import { PAPER_LEAVES, PAPER_SKELETON, terminalNames } from "./skeleton.js";
import { divideTerminals, leafRules, operatorTables } from "./tables.js";

/** The seed of the shipped worlds' terminal tables and bijections. */
const SEED = 2407;
const ORIGINALS = PAPER_OPERATORS.names.slice(0, 10);
const { root, dominant } = PAPER_SKELETON;

/** The worlds that come with the package: `worlds/NAME.json` holds exactly these. */
export function shippedWorldFiles(): WorldFile[] {
  return [paperWorld(), quickWorld(), smokeWorld()];
}

/** Method, section 1: the paper's skeleton, four terminal tables over 30 terminals, 15 .. 25 tokens of text. */
function paperWorld(): WorldFile {
  const terminals = terminalNames(30);
  const used = divideTerminals(terminals, 4, 0.6, SEED);
  const operators = operatorTables(terminals, ORIGINALS, 4, false, SEED);
  return worldSchema.parse({
    schema: "nullscope/world@2",
    name: "paper",
    description:
      "The paper's world: its skeleton, four grammars of 21 of the 30 terminals each (18 common to all), distinct bijections.",
    terminals,
    text: { min: 15, max: 25, layout: "packed" },
    skeleton: { root, dominant, rules: PAPER_SKELETON.rules },
    grammars: used.map((letters, grammar) => ({
      name: `G${grammar + 1}`,
      rules: leafRules({ symbols: PAPER_LEAVES, count: 2, length: 3 }, letters, SEED, grammar),
      operators: operators[grammar],
    })),
    operators: PAPER_OPERATORS,
    safety: PAPER_SAFETY,
    tuning: {
      heldOutRules: [
        { symbol: "B1", rule: "x w m" },
        { symbol: "B3", rule: "w w o" },
      ],
    },
  });
}

/**
 * Levels 3 to 6 of the small worlds. A window of 8 .. 12 tokens out of the paper's 54 .. 81 shows too little to tell A from B
 * (docs/world.md measures it); with 8 .. 12 tokens under a dominant node it shows nearly all of it. A and B still share
 * every symbol of levels 4 and 5, so that only their arrangement decides.
 */
const SMALL_LEVELS = {
  // Three symbols as in every other rule of a dominant node: all their texts have 12 letters, and lengths give nothing away.
  q: ["w o m", "m o x"],
  p: ["m n o", "o o w"],
  // One rule more than the paper's for each B node, so that three can be held out and six are left.
  B1: ["x w m", "n w n", "x n w"],
  B2: ["n x x", "n n x", "x x w"],
  B3: ["m m x", "w w o", "m x n"],
  o: ["k k", "k l"],
  n: ["d d", "d l"],
  m: ["l l", "l j"],
  w: ["c c", "c l"],
  x: ["j j", "j l"],
  l: ["f i", "i f"],
  k: ["e g", "b g"],
  j: ["i e", "h e"],
  c: ["f h", "f e"],
  d: ["h b", "b h"],
};

/** Method, section 7: one grammar, 18 letters, EOT at one place, the identity among the operators; made for minutes. */
function quickWorld(): WorldFile {
  return smallWorld({
    name: "quick",
    description:
      "One grammar of six levels over 18 letters, 8 to 12 tokens of text, EOT at a fixed index; f9 (and its twin f11) is left out of tuning.",
    letters: 18,
    text: { min: 8, max: 12, layout: "aligned" },
    leafRuleCount: 3,
  });
}

/** As small as a world with every test set can be: for tests and first looks. */
function smokeWorld(): WorldFile {
  return smallWorld({
    name: "smoke",
    description: "The quick world with 12 letters and 6 to 8 tokens of text: for tests and first looks.",
    letters: 12,
    text: { min: 6, max: 8, layout: "aligned" },
    leafRuleCount: 2,
  });
}

interface SmallWorld {
  readonly name: string;
  readonly description: string;
  readonly letters: number;
  readonly text: WorldFile["text"];
  readonly leafRuleCount: number;
}

function smallWorld({ name, description, letters, text, leafRuleCount }: SmallWorld): WorldFile {
  const terminals = terminalNames(letters);
  return worldSchema.parse({
    schema: "nullscope/world@2",
    name,
    description,
    terminals,
    text,
    skeleton: { root, dominant, rules: { ...PAPER_SKELETON.rules, ...SMALL_LEVELS } },
    grammars: [
      {
        name: "G1",
        rules: leafRules({ symbols: PAPER_LEAVES, count: leafRuleCount, length: 1 }, terminals, SEED, 0),
        operators: operatorTables(terminals, ORIGINALS, 1, true, SEED)[0],
      },
    ],
    operators: PAPER_OPERATORS,
    // f7 is unsafe for A too: with f9 left out, tuning still shows four unsafe pairs on A, as many as the paper's.
    safety: {
      A: { safe: ORIGINALS.slice(0, 7), unsafe: ORIGINALS.slice(7) },
      B: PAPER_SAFETY.B,
    },
    pretraining: { identityShare: 0.3 },
    tuning: {
      leftOutOperators: ["f9"],
      heldOutRules: [
        { symbol: "B1", rule: "x w m" },
        { symbol: "B2", rule: "n n x" },
        { symbol: "B3", rule: "w w o" },
      ],
    },
  });
}
