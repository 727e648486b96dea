import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCheckpointFolder, writeCheckpointFolder } from "../../src/checkpoint/checkpointFolder.js";
import { decodeBfloat16, decodeFloat16, decodeFloatsInto } from "../../src/checkpoint/dtypes.js";
import { encodeSafetensors } from "../../src/checkpoint/encodeSafetensors.js";
import { openSafetensors, parseSafetensors, type TensorValue } from "../../src/checkpoint/safetensors.js";
import { UserError } from "../../src/errors.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-checkpoint-"));
});
afterAll(() => rm(folder, { recursive: true }));

const floats = (shape: number[], ...values: number[]): TensorValue => ({
  dtype: "F32",
  shape,
  data: new Float32Array(values),
});

describe("encodeSafetensors", () => {
  test("what is written is read back, for any names, shapes and values", () => {
    const tensor = fc
      .tuple(fc.array(fc.nat(3), { maxLength: 3 }), fc.infiniteStream(fc.float()))
      .map(([shape, values]) => floats(shape, ...[...values.take(shape.reduce((a, b) => a * b, 1))]));
    const name = fc.string({ unit: "grapheme", maxLength: 8 }).filter((text) => text !== "__metadata__");
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, tensor), { selector: ([key]) => key, maxLength: 6 }), (tensors) => {
        const { tensors: read } = parseSafetensors(encodeSafetensors(tensors));
        expect(read.size).toBe(tensors.length);
        for (const [key, value] of tensors) expect(read.get(key)).toEqual(value);
      }),
    );
  });

  test("the bytes do not depend on the order in which tensors and metadata come", () => {
    const a = ["a", floats([2], 1, 2)] as const;
    const b = ["b", floats([1], 3)] as const;
    expect(encodeSafetensors([a, b], { x: "1", y: "2" })).toEqual(encodeSafetensors([b, a], { y: "2", x: "1" }));
  });

  test("the data begins at a multiple of 8 bytes and the header keeps its padding inside", () => {
    const file = encodeSafetensors([["weight", floats([3], 1, 2, 3)]]);
    const header = Number(new DataView(file.buffer).getBigUint64(0, true));
    expect(header % 8).toBe(0);
    expect(file.length).toBe(8 + header + 12);
  });

  test("a shape that does not fit its data, and a name given twice, are refused", () => {
    expect(() => encodeSafetensors([["w", floats([2], 1)]])).toThrow(TypeError);
    expect(() =>
      encodeSafetensors([
        ["w", floats([1], 1)],
        ["w", floats([1], 1)],
      ]),
    ).toThrow("twice");
  });

  test("a typed array that views a part of a larger buffer is written as that part", () => {
    const data = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
    const read = parseSafetensors(encodeSafetensors([["w", { dtype: "F32", shape: [2], data }]]));
    expect([...read.tensors.get("w")!.data]).toEqual([1, 2]);
  });
});

describe("half-precision decoders", () => {
  /** The value of a small float from its definition: sign, exponent, fraction. */
  const byDefinition = (bits: number, exponentBits: number, fractionBits: number) => {
    const sign = bits >> 15 ? -1 : 1;
    const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1);
    const fraction = bits & (2 ** fractionBits - 1);
    const bias = 2 ** (exponentBits - 1) - 1;
    if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    if (exponent === 0) return sign * fraction * 2 ** (1 - bias - fractionBits);
    return sign * (1 + fraction / 2 ** fractionBits) * 2 ** (exponent - bias);
  };
  const everyBits = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

  test.each([
    ["F16", decodeFloat16, 5, 10],
    ["BF16", decodeBfloat16, 8, 7],
  ] as const)(
    "%s: all 65,536 bit patterns have the value of the definition",
    (_name, decode, exponentBits, fractionBits) => {
      const decoded = decode(everyBits);
      const wrong = [...everyBits].filter(
        (bits) => !Object.is(decoded[bits], byDefinition(bits, exponentBits, fractionBits)),
      );
      expect(wrong).toEqual([]);
    },
  );
});

test.each([0, 2])(
  "BF16 is widened in place wherever it begins (byte %i) and however many numbers there are",
  (skipped) => {
    const stored = new Uint8Array(skipped + 2 * 65536);
    new Uint16Array(stored.buffer, skipped).set(Uint16Array.from({ length: 65536 }, (_, bits) => bits));
    const whole = new Uint32Array(decodeBfloat16(new Uint16Array(stored.buffer, skipped)).buffer);
    for (const count of [0, 1, 2, 7, 65535, 65536]) {
      const target = new Float32Array(count + 2).fill(9);
      decodeFloatsInto("BF16", stored.subarray(skipped, skipped + 2 * count), target, 1);
      const nine = new Uint32Array(Float32Array.of(9).buffer)[0]!;
      expect(new Uint32Array(target.buffer)).toEqual(Uint32Array.of(nine, ...whole.subarray(0, count), nine));
    }
  },
);

describe("openSafetensors", () => {
  test("tensors of every dtype are read alone, exactly", async () => {
    const path = join(folder, "dtypes.safetensors");
    const tensors: [string, TensorValue][] = [
      ["i64", { dtype: "I64", shape: [2], data: new BigInt64Array([-(2n ** 63n), 2n ** 53n + 1n]) }],
      ["bool", { dtype: "BOOL", shape: [3], data: new Uint8Array([1, 0, 1]) }],
      ["half", { dtype: "F16", shape: [2], data: new Uint16Array([0x3e00, 0xc000]) }],
      ["double", { dtype: "F64", shape: [], data: new Float64Array([Math.PI]) }],
    ];
    await writeFile(path, encodeSafetensors(tensors));
    const file = await openSafetensors(path);
    for (const [name, value] of tensors) expect(await file.read(name)).toEqual(value);
    const part = new Uint8Array(2);
    await file.readInto("bool", part, 1);
    expect([...part]).toEqual([0, 1]);
    await expect(file.readInto("bool", part, 2)).rejects.toThrow(/bytes 2 to 4 are outside tensor "bool" of 3 bytes/);
    expect(await file.readFloats("half")).toEqual(new Float32Array([1.5, -2]));
    expect(await file.readFloats("double")).toEqual(new Float64Array([Math.PI]));
    await expect(file.readFloats("i64")).rejects.toThrow("I64");
    await expect(file.read("absent")).rejects.toThrow('no tensor "absent"');
    await file.close();
  });

  test("a header number of a million digits is refused at once", () => {
    const header = `{"w":{"dtype":"U8","shape":[${"9".repeat(1_000_000)}],"data_offsets":[0,0]}}`;
    const file = new Uint8Array(8 + header.length);
    new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
    file.set(new TextEncoder().encode(header), 8);
    expect(() => parseSafetensors(file)).toThrow("digits");
  });

  test("a missing file and a folder are errors that name the path", async () => {
    await expect(openSafetensors(join(folder, "absent"))).rejects.toThrow("absent cannot be opened (ENOENT)");
    await expect(openSafetensors(folder)).rejects.toThrow(UserError);
  });
});

describe("checkpoint folders", () => {
  test("a folder is read back as it was written", async () => {
    const path = join(folder, "checkpoint");
    const config = { model_type: "gpt2", n_layer: 3 };
    await writeCheckpointFolder(path, { config, tensors: [["w", floats([2], 1, -0)]] });
    const read = await readCheckpointFolder(path);
    expect(read.config).toEqual(config);
    expect(read.tensors.metadata.get("format")).toBe("pt");
    expect(await read.tensors.readFloats("w")).toEqual(new Float32Array([1, -0]));
    await read.tensors.close();
  });

  test.each(["pytorch_model.bin", "model.pt", "model.pth", "data.pkl", "last.ckpt"])(
    "a folder with only the pickle %s is refused with the name of a converter",
    async (name) => {
      const path = await mkdtemp(join(folder, "pickle-"));
      await writeFile(join(path, name), "");
      await expect(readCheckpointFolder(path)).rejects.toThrow(/pickle.*convert\.py/);
    },
  );

  test("a config.json with a key twice is refused", async () => {
    const path = join(folder, "twice");
    await writeCheckpointFolder(path, { config: {}, tensors: [] });
    await writeFile(join(path, "config.json"), '{"n_layer": 1, "n_layer": 2}');
    await expect(readCheckpointFolder(path)).rejects.toThrow('"n_layer" occurs twice');
  });
});
