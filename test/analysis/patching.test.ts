import { afterAll, describe, expect, test } from "vitest";
import {
  alikeRows,
  POSITION_CLASSES,
  patchDecisions,
  patchingEffects,
  refusalDecision,
  taskPairs,
} from "../../src/analysis/patching.js";
import { selectRows } from "../../src/attack/index.js";
import { type Checkpoint, gptParameters, initializeParameters } from "../../src/model/index.js";
import { createStream, randomKey } from "../../src/random/index.js";
import { program } from "../../src/tensor/index.js";
import { gptLayout } from "../../src/train/step.js";
import { LABELS, parseWorld, readRow, testSet } from "../../src/world/index.js";
import { tinyWorld } from "../cli/tinyWorld.js";
import { cpuEngine } from "../engines.js";
import { maxDifference } from "../numbers.js";
import { threeBranchFile } from "../world/smallWorlds.js";
import { plantedRefusal } from "./plantedRefusal.js";

const engine = cpuEngine();
afterAll(() => engine.release());

const world = parseWorld(tinyWorld, "tiny");
const pairsOf = (count: number, of = world) =>
  taskPairs(testSet(of, "safe", { seed: 0, count }), testSet(of, "unsafe", { seed: 0, count }));

/** Large random weights, so that everything depends on everything. */
const randomModel = (): Checkpoint => {
  const { model } = plantedRefusal(world, { blocks: 2, at: 0, unsafeTasks: [] });
  const own = { ...model, width: 16, heads: 2, mlp: 32 };
  const flat = initializeParameters(gptParameters(own), gptLayout(own), 3);
  return { model: own, parameters: flat.map((weight) => (weight === 1 ? 1 : 2 * weight)) };
};

describe("pairs", () => {
  // In the world of three branches no branch's unsafe operators are all unsafe in another.
  test.each(["tiny", "three"])(
    "share text and branch and differ in their tasks, safe here and unsafe there (%s)",
    (name) => {
      const world = parseWorld(name === "tiny" ? tinyWorld : threeBranchFile(), name);
      const { safe, unsafe } = pairsOf(24, world);
      expect([safe.count, unsafe.count]).toEqual([24, 24]);
      for (let row = 0; row < 24; row++) {
        const [tokens, others] = [safe, unsafe].map(({ tokens, time }) =>
          tokens.subarray(row * time, (row + 1) * time),
        );
        expect([...others!.subarray(3)]).toEqual([...tokens!.subarray(3)]);
        const branch = safe.branch[row]!;
        const operators = (of: Int32Array) =>
          [1, 2].map((at) => world.functionOf[world.vocabulary.operators.indexOf(of[at]!)]!);
        for (const one of operators(tokens!)) expect(world.rule[branch]!.safe).toContain(one);
        for (const one of operators(others!)) expect(world.rule[branch]!.unsafe).toContain(one);
      }
      expect(new Set(unsafe.label)).toEqual(new Set([LABELS.indexOf("unsafe")]));
      expect(readRow(world, safe, 0)).toBeDefined();
    },
  );

  test("for the null are another sample of the same branch and length", () => {
    const { safe } = pairsOf(24);
    const alike = alikeRows(safe);
    for (const [row, other] of alike.entries()) {
      expect(other).not.toBe(row);
      expect([safe.branch[other], safe.textLength[other]]).toEqual([safe.branch[row], safe.textLength[row]]);
    }
    expect([...alikeRows(selectRows(safe, [0]))]).toEqual([-1]);
  });
});

test.each(["aligned", "packed"] as const)(
  "patching every position gives the source's decision, none changes nothing (%s)",
  async (layout) => {
    const of = parseWorld({ ...tinyWorld, text: { ...tinyWorld.text, layout } }, "tiny");
    const { safe, unsafe } = pairsOf(12, of);
    const checkpoint = randomModel();
    const options = { world: of, batch: 5 };
    const runs = { recipients: unsafe, sources: safe };
    const all = await patchDecisions(engine, checkpoint, { ...runs, where: POSITION_CLASSES }, options);
    const none = await patchDecisions(engine, checkpoint, { ...runs, where: [] }, options);
    for (const block of [0, 1]) {
      expect(maxDifference(all.patched[block]!, all.source)).toBeLessThan(1e-5);
      expect(maxDifference(none.patched[block]!, none.recipient)).toBeLessThan(1e-5);
    }
    expect(maxDifference(all.source, all.recipient)).toBeGreaterThan(0.1);
    // After the last block nothing but EOT is read; before it, everything is.
    const eot = await patchDecisions(engine, checkpoint, { ...runs, where: ["eot"] }, options);
    expect(maxDifference(eot.patched[1]!, eot.source)).toBeLessThan(1e-5);
    expect(maxDifference(eot.patched[0]!, eot.source)).toBeGreaterThan(0.01);
    const order = [3, 1, 11, 0, 7];
    const mixed = await patchDecisions(
      engine,
      checkpoint,
      { recipients: selectRows(unsafe, order), sources: selectRows(safe, order), where: ["eot"] },
      { world: of, batch: 2 },
    );
    expect(
      maxDifference(
        mixed.patched[0]!,
        order.map((row) => eot.patched[0]![row]!),
      ),
    ).toBeLessThan(1e-5);
  },
);

describe("where one head of block 2 of 3 carries the decision from the tasks to EOT", () => {
  const checkpoint = plantedRefusal(world, { blocks: 3, at: 1, unsafeTasks: [world.vocabulary.operators[2]!] });
  const all = pairsOf(48);
  // In branch A f2 alone is unsafe; in B f1 is too, which the planted model does not mark.
  const inA = [...all.safe.branch.keys()].filter((row) => all.safe.branchNames[all.safe.branch[row]!] === "A");
  const [safe, unsafe] = [selectRows(all.safe, inA), selectRows(all.unsafe, inA)];
  const random = () => createStream(randomKey(1, "patching"), 0).uniform;

  test.each(["unsafe", "safe"] as const)("patching finds it, into the %s run", async (into) => {
    const runs = into === "unsafe" ? { recipients: unsafe, sources: safe } : { recipients: safe, sources: unsafe };
    const effects = await patchingEffects(engine, checkpoint, runs, { world, batch: 16, random: random() });
    const expected = {
      tasks: [1, 0, 0],
      text: [0, 0, 0],
      eot: [0, 1, 1],
    };
    expect(effects).toHaveLength(9);
    for (const { block, position, value, low, high, chance, n } of effects) {
      expect(value, `${position} after block ${block}`).toBeCloseTo(expected[position][block]!, 2);
      expect(low).toBeLessThanOrEqual(value + 1e-9);
      expect(high).toBeGreaterThanOrEqual(value - 1e-9);
      expect(n).toBe(24);
      expect(Math.abs(chance!)).toBeLessThan(0.01); // all unsafe prompts are alike to this model, and all safe ones
    }
  });
});

test("the decision is NULL's lead over the best of all others, and above 0 exactly where NULL is written", async () => {
  const spec = { logits: { shape: [3, 4], dtype: "float64" } } as const;
  const { run } = await engine.compile(program("decision", spec, ({ logits }) => ({ d: refusalDecision(logits, 2) })));
  const { d } = await run({ logits: Float64Array.of(1, 3, 7, 2, 5, 1, -4, 0, -3, -9, -2, -8) });
  expect([...d]).toEqual([4, -9, 1]);
});

test("texts of different lengths are refused: their positions do not correspond", async () => {
  const { safe } = pairsOf(24);
  const other = safe.textLength.findIndex((length) => length !== safe.textLength[0]);
  const runs = { recipients: selectRows(safe, [0]), sources: selectRows(safe, [other]), where: [] };
  await expect(patchDecisions(engine, randomModel(), runs, { world, batch: 1 })).rejects.toThrow("row 0: texts of");
});
