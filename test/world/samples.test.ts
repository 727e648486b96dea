import { describe, expect, it } from "vitest";
import {
  availableTestSets,
  branchEvidence,
  createSamples,
  decode,
  parseWorld,
  pretrainSamples,
  readRow,
  repeatedTextShare,
  type Samples,
  TEST_SETS,
  testSet,
  trueOutput,
  tuningSamples,
  type World,
  withNullAnswer,
} from "../../src/world/index.js";
import { shippedFile, threeBranchFile, tracedFile } from "./smallWorlds.js";

const quick = parseWorld(shippedFile("quick"), "quick");
const paper = parseWorld(shippedFile("paper"), "paper");
const traced = parseWorld(tracedFile(), "traced");
const three = parseWorld(threeBranchFile(), "three");
const worlds: [string, World][] = [
  ["quick", quick],
  ["paper", paper],
  ["traced", traced],
  ["three-branch", three],
];

type Row = ReturnType<typeof decode>;
const rows = (world: World, samples: Samples): Row[] =>
  Array.from({ length: samples.count }, (_, row) => decode(world, samples, row));

/** Every stream of a world, by name. */
function streams(
  world: World,
): [string, (address: { seed: number; step?: number; count: number }, into?: Samples) => Samples][] {
  return [
    ["pretrain", (address, into) => pretrainSamples(world, address, into)],
    ["tuning", (address, into) => tuningSamples(world, address, into)],
    ...availableTestSets(world).map(
      (set): [string, (address: { seed: number; step?: number; count: number }, into?: Samples) => Samples] => [
        set,
        (address, into) => testSet(world, set, address, into),
      ],
    ),
  ];
}

/** The rule once more, naively and by name, from the world's file alone. */
function naiveLabel(world: World, row: Row): string {
  const { safety, operators } = world.file;
  const rule = safety[row.branch];
  if (!rule) return "none";
  const { safe, unsafe } = rule;
  const functions = row.operators.map((name) => operators.twins[name] ?? name);
  if (functions.every((name) => unsafe.includes(name))) return "unsafe";
  if (functions.every((name) => safe.includes(name))) return "safe";
  return "none";
}

/** f_j(f_i(text)) once more, from the file's tables of letters. */
function naiveOutput(world: World, row: Row): string[] {
  const { terminals, grammars, operators } = world.file;
  const tables = grammars.find((grammar) => grammar.name === row.grammar)!.operators;
  const apply = (letter: string, name: string) =>
    tables[operators.twins[name] ?? name]!.split(" ")[terminals.indexOf(letter)]!;
  return row.text.map((letter) => row.operators.reduce(apply, letter));
}

describe.each(worlds)("samples of the %s world", (_, world) => {
  it("carry the label that a second, naive rule gives, and the output that naive tables give", () => {
    for (const [name, draw] of streams(world))
      for (const row of rows(world, draw({ seed: 11, count: 400 }))) {
        expect(row.label, `${name} ${row.operators.join(" ")} on ${row.branch}`).toBe(naiveLabel(world, row));
        expect(row.answer).toEqual(naiveOutput(world, row));
        expect(row.truth).toEqual(row.answer);
      }
  });

  it("are laid out BOS t_i t_j SOT text EOT output EOS, EOT at one index where the layout is aligned", () => {
    const { vocabulary, time, maxText, minText, layout } = world;
    for (const [, draw] of streams(world)) {
      const samples = draw({ seed: 3, count: 64 });
      for (let row = 0; row < samples.count; row++) {
        const tokens = samples.tokens.subarray(row * time, (row + 1) * time);
        const length = samples.textLength[row]!;
        const answer = samples.answerStart[row]!;
        expect(length >= minText && length <= maxText).toBe(true);
        expect(answer).toBe(layout === "aligned" ? 5 + maxText : 5 + length);
        const { bos, sot, eot, eos, pad, operators, terminals } = vocabulary;
        expect([tokens[0], tokens[3], tokens[answer - 1], tokens[answer + length]]).toEqual([bos, sot, eot, eos]);
        expect(operators.includes(tokens[1]!) && operators.includes(tokens[2]!)).toBe(true);
        const letters = [...tokens.subarray(4, 4 + length), ...tokens.subarray(answer, answer + length)];
        expect(letters.every((token) => terminals.includes(token))).toBe(true);
        const padding = [...tokens.subarray(4 + length, answer - 1), ...tokens.subarray(answer + length + 1)];
        expect(padding.every((token) => token === pad)).toBe(true);
      }
    }
  });

  it("are the same bytes for the same seed, others for another seed, step or stream", () => {
    const bytes = streams(world).flatMap(([, draw]) => {
      const here = draw({ seed: 1, step: 2, count: 16 }).tokens.join();
      expect(draw({ seed: 1, step: 2, count: 16 }).tokens.join()).toBe(here);
      return [
        here,
        draw({ seed: 2, step: 2, count: 16 }).tokens.join(),
        draw({ seed: 1, step: 3, count: 16 }).tokens.join(),
      ];
    });
    expect(new Set(bytes).size).toBe(bytes.length);
  });

  it("do not depend on the batch's size nor on what the caller's buffers held", () => {
    for (const [, draw] of streams(world)) {
      const large = draw({ seed: 5, step: 1, count: 50 });
      const into = createSamples(world, 7);
      for (const array of [into.tokens, into.textLength, into.answerStart, into.branch, into.label]) array.fill(99);
      const small = draw({ seed: 5, step: 1, count: 7 }, into);
      expect(small).toBe(into);
      expect([...small.tokens]).toEqual([...large.tokens.subarray(0, 7 * world.time)]);
      for (const field of ["textLength", "answerStart", "grammar", "branch", "label"] as const)
        expect([...small[field]]).toEqual([...large[field].subarray(0, 7)]);
    }
  });
});

describe("buffers", () => {
  it("of another size, or made for a world with other branches, are refused", () => {
    const address = { seed: 1, count: 6 };
    expect(() => tuningSamples(three, address, createSamples(three, 7))).toThrow(/7 x 14 do not fit 6 x 14/);
    expect(three.time).toBe(traced.time);
    expect(() => tuningSamples(three, address, createSamples(traced, 6))).toThrow(
      "buffers for the branches A, B, mixed, root do not fit a world with A, B, C, mixed, root",
    );
  });
});

describe("pretraining", () => {
  it("shows every task token, twins among them, and every grammar equally often", () => {
    const seen = new Map<string, number>();
    const grammars = new Map<string, number>();
    for (const row of rows(paper, pretrainSamples(paper, { seed: 1, count: 6000 }))) {
      for (const name of row.operators) seen.set(name, (seen.get(name) ?? 0) + 1);
      grammars.set(row.grammar, (grammars.get(row.grammar) ?? 0) + 1);
      expect(row.branch).toBe("root");
    }
    expect([...seen.keys()].sort()).toEqual([...paper.operatorNames].sort());
    for (const count of seen.values()) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(1000));
    for (const count of grammars.values()) expect(Math.abs(count - 1500)).toBeLessThan(5 * Math.sqrt(1500));
  });

  it("makes one of the two tasks the identity in the world's share of samples", () => {
    const count = 20_000;
    const withIdentity = (identityShare: number) =>
      rows(quick, pretrainSamples(quick, { seed: 1, count, identityShare })).filter((row) =>
        row.operators.includes("f0"),
      ).length / count;
    const byChance = 1 - (11 / 12) ** 2;
    // The other token is the identity by chance in 1 / 12; chance alone where the share does not strike.
    expect(withIdentity(0.3)).toBeCloseTo(0.3 + 0.7 * byChance, 1);
    expect(withIdentity(0)).toBeCloseTo(byChance, 1);
    expect(withIdentity(1)).toBe(1);
  });

  it("refuses with NULLs only where the world says so", () => {
    const file = { ...tracedFile(), null: "letter" as const, pretraining: { identityShare: 0, nullShare: 0.25 } };
    const world = parseWorld(file, "w");
    expect(world.vocabulary.names[world.vocabulary.nullToken]).toBe("i");
    expect(world.vocabulary.size).toBe(traced.vocabulary.size - 1);
    const refused = (w: World) =>
      rows(w, pretrainSamples(w, { seed: 1, count: 4000 })).filter((row) =>
        row.answer.every((name) => name === w.vocabulary.names[w.vocabulary.nullToken]),
      ).length / 4000;
    expect(refused(world)).toBeGreaterThan(0.22);
    expect(refused(world)).toBeLessThan(0.29); // some true outputs are all i by chance
    expect(refused(traced)).toBe(0);
  });
});

describe("safety tuning", () => {
  it("of three branches takes six rows in turn, and favours none where a batch is no multiple of six", () => {
    const kinds = rows(three, tuningSamples(three, { seed: 1, count: 6 })).map((row) => `${row.branch} ${row.label}`);
    expect(kinds).toEqual(["A safe", "B safe", "C safe", "A unsafe", "B unsafe", "C unsafe"]);
    const counts = new Map<string, number>();
    for (let step = 0; step < 3; step++)
      for (const { branch, label } of rows(three, tuningSamples(three, { seed: 1, step, count: 64 })))
        counts.set(`${branch} ${label}`, (counts.get(`${branch} ${label}`) ?? 0) + 1);
    expect([...counts.values()]).toEqual([32, 32, 32, 32, 32, 32]);
  });

  it("is balanced over branches and labels in every four rows", () => {
    const drawn = rows(quick, tuningSamples(quick, { seed: 1, step: 9, count: 64 }));
    for (let first = 0; first < 64; first += 4)
      expect(drawn.slice(first, first + 4).map((row) => `${row.branch} ${row.label}`)).toEqual([
        "A safe",
        "B safe",
        "A unsafe",
        "B unsafe",
      ]);
  });

  it("never shows a twin nor an operator that is left out, and all others", () => {
    for (const world of [quick, paper]) {
      const names = new Set(
        rows(world, tuningSamples(world, { seed: 1, count: 8000 })).flatMap((row) => row.operators),
      );
      const hidden = [...world.twins, ...world.leftOut].map((index) => world.operatorNames[index]!);
      expect([...names].sort()).toEqual(world.operatorNames.filter((name) => !hidden.includes(name)).sort());
    }
  });

  it("never uses a held-out rule, and the held-out sets always do", () => {
    // In the traced world the letters h and i come from the held-out rule alone.
    const letters = (samples: Samples) => rows(traced, samples).map((row) => row.text.join(""));
    for (const set of ["safe", "unsafe", "jb-co-task", "jb-co-text", "jb-misgen-task"] as const)
      expect(letters(testSet(traced, set, { seed: 1, count: 200 })).join()).not.toMatch(/[hi]/);
    expect(letters(tuningSamples(traced, { seed: 1, count: 20_000 })).join()).not.toMatch(/[hi]/);
    for (const set of ["jb-misgen-text", "jb-misgen-both"] as const)
      for (const text of letters(testSet(traced, set, { seed: 1, count: 20 }))) expect(text).toMatch(/^[hi]{2,4}$/);
    expect(letters(pretrainSamples(traced, { seed: 1, count: 1000 })).join()).toContain("h");
  });
});

describe("leakage", () => {
  it.each(worlds)("no test sample of the %s world occurs in training", (_, world) => {
    const identity = (row: Row) => `${row.operators.join(" ")} ${row.text.join(" ")}`;
    const trained = new Set<string>();
    for (let step = 0; step < 4; step++) {
      for (const row of rows(world, pretrainSamples(world, { seed: 1, step, count: 5000 }))) trained.add(identity(row));
      for (const row of rows(world, tuningSamples(world, { seed: 1, step, count: 5000 }))) trained.add(identity(row));
    }
    expect(trained.size).toBeGreaterThan(1000);
    // 300 at most: some sets of the traced world hold few distinct samples.
    for (const set of availableTestSets(world))
      for (const row of rows(world, testSet(world, set, { seed: 1, count: 300 })))
        expect(trained.has(identity(row)), `${set}: ${identity(row)}`).toBe(false);
  });

  it("is a matter of texts too in a small world, and the share says so", () => {
    const shares = { testCount: 200, trainCount: 20_000, stage: "tuning" as const, seed: 1 };
    expect(repeatedTextShare(traced, "safe", shares)).toBe(1); // a few dozen texts in all
    expect(repeatedTextShare(paper, "safe", shares)).toBeLessThan(0.2);
    expect(repeatedTextShare(traced, "jb-misgen-text", shares)).toBe(0);
  });

  it("is told where a world is too small to keep tests apart", () => {
    const file = tracedFile();
    file.text = { min: 2, max: 2, layout: "packed" };
    Object.assign(file.skeleton.rules, { v: ["A1 B1"], A1: ["a b"], B1: ["e f", "q q q"] });
    delete file.skeleton.rules.x;
    delete file.skeleton.rules.y;
    delete file.skeleton.rules.z;
    file.testShare = 0.001;
    const world = parseWorld(file, "w");
    expect(() => testSet(world, "unsafe", { seed: 1, count: 4 })).toThrow(/make the world's texts more varied/);
  });
});

describe("jailbreak sets", () => {
  const drawn = (set: (typeof TEST_SETS)[number], world = quick) =>
    rows(world, testSet(world, set, { seed: 2, count: 400 }));

  it("exist where the world has what they need", () => {
    expect(availableTestSets(quick)).toEqual(TEST_SETS);
    expect(availableTestSets(paper)).toEqual(TEST_SETS.filter((set) => set !== "jb-misgen-function"));
    expect(() => testSet(paper, "jb-misgen-function", { seed: 1, count: 1 })).toThrow(RangeError);
  });

  it("jb-co-task mixes one safe and one unsafe token, in both orders, on both branches", () => {
    const kinds = new Set<string>();
    for (const { operators, branch } of drawn("jb-co-task")) {
      const { safe, unsafe } = quick.file.safety[branch]!;
      const kind = operators.map((name) => (safe.includes(name) ? "safe" : unsafe.includes(name) ? "unsafe" : "?"));
      expect([...kind].sort()).toEqual(["safe", "unsafe"]);
      kinds.add(`${branch} ${kind.join(" ")}`);
    }
    expect(kinds.size).toBe(4);
  });

  it("jb-co-text of the paper's world draws on f2 .. f7 alone, each of them", () => {
    const names = new Set(drawn("jb-co-text", paper).flatMap(({ operators }) => operators));
    expect([...names].sort()).toEqual(["f2", "f3", "f4", "f5", "f6", "f7"]);
  });

  it("jb-co-text uses tokens that are safe for A and unsafe for B", () => {
    for (const { operators, branch } of drawn("jb-co-text")) {
      expect(branch).toBe("mixed");
      for (const name of operators) {
        expect(quick.file.safety.A!.safe).toContain(name);
        expect(quick.file.safety.B!.unsafe).toContain(name);
      }
    }
  });

  it("jb-co-text windows hold letters of both an A and a B node", () => {
    // Distinct letters for A and B make the kinds visible; x and y give expansions of many lengths.
    const file = tracedFile();
    Object.assign(file.skeleton.rules, { v: ["A1 B1 A1", "B1 y A1"] });
    const world = parseWorld(file, "w");
    for (const { text } of rows(world, testSet(world, "jb-co-text", { seed: 1, count: 2000 }))) {
      expect(text.some((letter) => "abcd".includes(letter))).toBe(true);
      expect(text.some((letter) => "efg".includes(letter))).toBe(true);
    }
  });

  it("jb-co-text takes ordered pairs of three branches in turn, without those that nothing is contested between", () => {
    // f1 is safe for A alone, f2 for B alone; nothing is safe for C and unsafe for A or B, C's f0 being safe everywhere.
    const kinds = drawn("jb-co-text", three).map(({ operators, text, why }) => {
      expect(why).toMatch(
        /^the rule is silent: the text mixes two of the branches A, for which .*, B, .*, and C, for which/,
      );
      const held = ["abc", "def", "ghi"].map((letters) => text.some((letter) => letters.includes(letter)));
      return `${["A", "B", "C"].filter((_, branch) => held[branch]).join("")} ${operators.join(" ")}`;
    });
    expect(kinds.slice(0, 4)).toEqual(["AB f1 f1", "AB f2 f2", "AC f1 f1", "BC f2 f2"]);
    for (const [row, kind] of kinds.entries()) expect(kind).toBe(kinds[row % 4]);
  });

  it("jb-co-text leaves out branches that no window can hold both of", () => {
    const file = threeBranchFile();
    file.skeleton.rules.v = ["A1 B1", "B1 n n n C1", "C1 A1"];
    // Two neutral letters a symbol: six of them and one of either branch do not fit into five.
    const pairs = (max: number) => {
      file.text.max = max;
      return parseWorld(file, "w").mixed.map(({ pair }) => pair.join(" "));
    };
    expect(pairs(5)).toEqual(["0 1", "0 2"]);
    expect(pairs(8)).toEqual(["0 1", "0 2", "1 2"]);
  });

  it("jb-misgen-task replaces one token of an unsafe pair by its twin", () => {
    for (const { operators, label } of drawn("jb-misgen-task")) {
      expect(operators.filter((name) => name in quick.file.operators.twins)).toHaveLength(1);
      expect(label).toBe("unsafe");
    }
  });

  it("jb-misgen-function holds exactly one token whose function tuning never shows", () => {
    for (const { operators, label } of drawn("jb-misgen-function")) {
      const functions = operators.map((name) => quick.file.operators.twins[name] ?? name);
      expect(functions.filter((name) => quick.file.tuning.leftOutOperators.includes(name))).toHaveLength(1);
      expect(label).toBe("unsafe");
    }
  });

  it("jb-misgen-both has a twin, on text of branch B, the only one with held-out rules", () => {
    for (const { operators, branch } of drawn("jb-misgen-both", paper)) {
      expect(operators.filter((name) => name in paper.file.operators.twins)).toHaveLength(1);
      expect(branch).toBe("B");
    }
  });
});

describe("the order of a file's keys", () => {
  it("is no part of a world: the hash and every sample stay the same", () => {
    const reversed = (value: unknown): unknown =>
      Array.isArray(value) || typeof value !== "object" || value === null
        ? Array.isArray(value)
          ? value.map(reversed)
          : value
        : Object.fromEntries(
            Object.entries(value)
              .reverse()
              .map(([key, item]) => [key, reversed(item)]),
          );
    for (const [name, world] of worlds) {
      const other = parseWorld(reversed(world.file), name);
      expect(other.hash).toBe(world.hash);
      const here = streams(other);
      for (const [index, [stream, draw]] of streams(world).entries())
        expect([...here[index]![1]({ seed: 1, count: 60 }).tokens], `${name} ${stream}`).toEqual([
          ...draw({ seed: 1, count: 60 }).tokens,
        ]);
    }
  });
});

describe("operators", () => {
  it.each(worlds)(
    "of the %s world are bijections, distinct, different in each grammar; twins are equal",
    (_, world) => {
      const terminals = Int32Array.from(world.vocabulary.terminals);
      const identity = world.vocabulary.operators[0]!;
      const images = world.grammars.map((_, grammar) =>
        world.vocabulary.operators.map((token) => {
          // f after the identity, or after a bijection that is then undone, is f itself.
          const shifted = trueOutput(world, grammar, [token, identity], terminals);
          expect([...shifted].sort((a, b) => a - b)).toEqual([...terminals]);
          return trueOutput(world, grammar, [token, token], terminals).join();
        }),
      );
      for (const table of images)
        for (const [token, image] of table.entries()) expect(image).toBe(table[world.functionOf[token]!]);
      const single = world.grammars.flatMap((_, grammar) =>
        world.operatorNames.flatMap((_, token) => {
          if (world.functionOf[token] !== token) return [];
          const at = (grammar * world.operatorNames.length + token) * terminals.length;
          return [world.maps.subarray(at, at + terminals.length).join()];
        }),
      );
      expect(new Set(single).size).toBe(single.length);
    },
  );

  it("are applied first token first", () => {
    const [first, second] = [1, 2].map((index) => traced.vocabulary.operators[index]!);
    const at = (name: string) => traced.vocabulary.names.indexOf(name);
    const swapped = parseWorld(
      {
        ...tracedFile(),
        grammars: [
          {
            ...tracedFile().grammars[0]!,
            operators: { ...tracedFile().grammars[0]!.operators, f2: "b a c d e f g h i" },
          },
        ],
      },
      "w",
    );
    // f1 turns a into b, f2 turns b into a; the other way round a -> b -> c.
    expect([...trueOutput(swapped, 0, [first!, second!], [at("a")])]).toEqual([at("a")]);
    expect([...trueOutput(swapped, 0, [second!, first!], [at("a")])]).toEqual([at("c")]);
  });
});

describe("the refusal", () => {
  it("replaces the output alone", () => {
    const samples = testSet(quick, "unsafe", { seed: 1, count: 20 });
    const refused = withNullAnswer(samples, quick.vocabulary.nullToken);
    for (let row = 0; row < 20; row++) {
      const before = readRow(quick, samples, row);
      const after = readRow(quick, refused, row);
      expect(after.answer.every((token) => token === quick.vocabulary.nullToken)).toBe(true);
      expect([after.tasks, after.text, after.truth]).toEqual([before.tasks, before.text, before.truth]);
    }
  });
});

describe("an ideal reader", () => {
  it("always tells A from B where their letters differ, never where their texts are the same", () => {
    expect(branchEvidence(traced, { seed: 1, count: 200 })).toEqual({ accuracy: 1, sure: 1 });
    const file = tracedFile();
    Object.assign(file.skeleton.rules, { A1: ["z z"], B1: ["z z", "q q q"] });
    delete file.skeleton.rules.x;
    expect(branchEvidence(parseWorld(file, "w"), { seed: 1, count: 40 })).toEqual({ accuracy: 0.5, sure: 0 });
  });

  it("weighs what both branches can write by Bayes's rule", () => {
    // A writes ef or fe, B always ef: ef is B with odds 2 to 1, fe is A for certain. The reader is right in 3 of 4 texts.
    const file = tracedFile();
    file.text = { min: 2, max: 2, layout: "packed" };
    file.testShare = 0.001; // hardly a text is kept from tuning, which would tilt so small a world
    Object.assign(file.skeleton.rules, { A1: ["z"], B1: ["e f", "q q q"] });
    delete file.skeleton.rules.x;
    delete file.skeleton.rules.y;
    const { accuracy, sure } = branchEvidence(parseWorld(file, "w"), { seed: 1, count: 4000 });
    // Five standard errors of a share over the 2,000 texts of A.
    expect(Math.abs(accuracy - 0.75)).toBeLessThan(0.5 * 5 * Math.sqrt(0.25 / 2000));
    expect(sure).toBeCloseTo(accuracy - 0.5, 10);
  });

  it("tells three branches apart, or guesses among those that write the same", () => {
    expect(branchEvidence(three, { seed: 1, count: 300 })).toEqual({ accuracy: 1, sure: 1 });
    const file = threeBranchFile();
    file.skeleton.rules.C1 = ["q q"];
    file.skeleton.rules.B1 = ["q q", "q q q"];
    delete file.skeleton.rules.r;
    expect(branchEvidence(parseWorld(file, "w"), { seed: 1, count: 60 })).toEqual({ accuracy: 2 / 3, sure: 1 / 3 });
  });

  it("has all it needs in the quick world, and far from all in the paper's windows", () => {
    expect(branchEvidence(quick, { seed: 1, count: 60 }).accuracy).toBeGreaterThan(0.98);
    expect(branchEvidence(paper, { seed: 1, count: 60 }).accuracy).toBeLessThan(0.9);
  });
});
