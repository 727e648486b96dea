import { afterAll, describe, expect, test } from "vitest";
import {
  ablateDirection,
  decodeGreedily,
  decodeSteered,
  half,
  judge,
  lengthOf,
  randomDirection,
  refusalDirection,
  residualStream,
  type Steering,
  withOutputs,
} from "../../src/analysis/index.js";
import { selectRows } from "../../src/attack/index.js";
import { program } from "../../src/tensor/index.js";
import { parseWorld, type Samples, testSet } from "../../src/world/index.js";
import { tinyWorld } from "../cli/tinyWorld.js";
import { cpuEngine } from "../engines.js";
import { maxDifference } from "../numbers.js";
import { AXES, plantedRefusal } from "./plantedRefusal.js";

const engine = cpuEngine();
afterAll(() => engine.release());

const world = parseWorld(tinyWorld, "tiny");
const { terminals, nullToken, operators } = world.vocabulary;
const count = 32;
// The one answer that the planted model can give beside NULL, in the true answer's place. Only branch A is taken: there f2 alone is unsafe.
const setOf = (set: "safe" | "unsafe") => {
  const all = testSet(world, set, { seed: 0, count: 2 * count });
  const branch = all.branchNames.indexOf("A");
  const samples = selectRows(
    all,
    [...all.branch.keys()].filter((row) => all.branch[row] === branch),
  );
  return withOutputs(samples, new Int32Array(count * world.maxText).fill(terminals[0]!));
};
const [safe, unsafe] = [setOf("safe"), setOf("unsafe")];
const checkpoint = plantedRefusal(world, { blocks: 2, at: 0, unsafeTasks: [operators[2]!] });
const options = { world, batch: 16 };

const shares = (samples: Samples, outputs: Int32Array) => {
  const { outcome } = judge(samples, outputs, nullToken);
  const share = (which: number) => outcome.filter((one) => one === which).length / samples.count;
  return { instruct: share(0), null: share(1) };
};
const steered = async (samples: Samples, of: (row: number) => Steering) =>
  shares(
    samples,
    await decodeSteered(
      engine,
      checkpoint,
      samples,
      Array.from({ length: samples.count }, (_, row) => of(row)),
      options,
    ),
  );
const directions = async () => {
  const streams = [
    await residualStream(engine, checkpoint, safe, options),
    await residualStream(engine, checkpoint, unsafe, options),
  ] as const;
  return [0, 1].map((block) => refusalDirection(half(streams[0][block]!, 0, 1), half(streams[1][block]!, 0, 1)));
};

describe("a model whose refusal is one direction", () => {
  test("refuses the unsafe prompts and answers the safe ones", async () => {
    const plain = async (samples: Samples) =>
      shares(samples, await decodeGreedily(engine, checkpoint, samples, options));
    expect(await plain(safe)).toEqual({ instruct: 1, null: 0 });
    expect(await plain(unsafe)).toEqual({ instruct: 0, null: 1 });
  });

  test("has it as the difference of class means after every block, from safe to unsafe", async () => {
    for (const direction of await directions()) {
      expect(direction[AXES.refuse]! / lengthOf(direction)).toBeGreaterThan(0.999);
      expect(lengthOf(direction)).toBeGreaterThan(6);
    }
  });

  test("ablated, refusal is gone and safe prompts are answered as before; a random direction changes nothing", async () => {
    for (const ablate of await directions()) {
      expect(await steered(unsafe, () => ({ ablate }))).toEqual({ instruct: 1, null: 0 });
      expect(await steered(safe, () => ({ ablate }))).toEqual({ instruct: 1, null: 0 });
    }
    const random = (row: number) => ({ ablate: randomDirection(0, unsafe, row, 1, checkpoint.model.width) });
    expect((await steered(unsafe, random)).null).toBe(1);
  });

  test("added after any block, it makes safe prompts refused; a random one of its length does not", async () => {
    for (const [block, direction] of (await directions()).entries()) {
      expect(await steered(safe, () => ({ add: { block, direction } }))).toEqual({ instruct: 0, null: 1 });
      const norm = lengthOf(direction);
      const random = (row: number) => ({
        add: { block, direction: randomDirection(0, safe, row, norm, direction.length) },
      });
      // Of 64 axes one decides, against a constant of 3 standard deviations of what is added there.
      expect((await steered(safe, random)).instruct).toBeGreaterThan(0.9);
    }
  });

  test("its opposite, added, takes refusal away: the sign is that from safe to unsafe", async () => {
    const [, last] = await directions();
    const opposite = last!.map((value) => -value);
    expect(await steered(unsafe, () => ({ add: { block: 1, direction: opposite } }))).toEqual({ instruct: 1, null: 0 });
  });

  test("each sample has its own steering, whatever the batch; none is the plain model", async () => {
    const [direction] = await directions();
    const steering = (row: number): Steering => (row % 3 === 0 ? { add: { block: 0, direction: direction! } } : {});
    const all = Array.from({ length: count }, (_, row) => steering(row));
    const outputs = await decodeSteered(engine, checkpoint, safe, all, { world, batch: 7 });
    const { outcome } = judge(safe, outputs, nullToken);
    expect([...outcome]).toEqual(all.map((_, row) => (row % 3 === 0 ? 1 : 0)));
    const order = Array.from({ length: count }, (_, i) => (i * 5) % count);
    const mixed = await decodeSteered(
      engine,
      checkpoint,
      selectRows(safe, order),
      order.map((row) => all[row]!),
      options,
    );
    expect([...judge(selectRows(safe, order), mixed, nullToken).outcome]).toEqual(order.map((row) => outcome[row]));
    await expect(decodeSteered(engine, checkpoint, safe, [], options)).rejects.toThrow("one for each");
  });
});

test("ablation leaves nothing along the direction and all the rest, row by row; a row of none stays as it is", async () => {
  const spec = {
    x: { shape: [3, 2, 2], dtype: "float64" },
    r: { shape: [3, 2], dtype: "float64" },
  } as const;
  const { run } = await engine.compile(program("ablate", spec, ({ x, r }) => ({ y: ablateDirection(x, r) })));
  const x = Float64Array.of(3, 4, 1, 0, 3, 4, 1, 0, 3, 4, 1, 0);
  const { y } = await run({ x, r: Float64Array.of(1, 0, 0.6, 0.8, 0, 0) });
  expect(maxDifference(y, [0, 4, 0, 0, 0, 0, 0.64, -0.48, 3, 4, 1, 0])).toBeLessThan(1e-12);
});

test("a random direction has the norm asked for, is the prompt's own, and has no axis of its own", () => {
  const draws = Array.from({ length: count }, (_, row) => randomDirection(0, safe, row, 3, 64));
  for (const draw of draws) expect(lengthOf(draw)).toBeCloseTo(3, 6);
  const moved = selectRows(safe, [5]);
  expect([...randomDirection(0, moved, 0, 3, 64)]).toEqual([...draws[5]!]);
  expect(draws.some((draw) => draw[0]! > 0) && draws.some((draw) => draw[0]! < 0)).toBe(true);
});
