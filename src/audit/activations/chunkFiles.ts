import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { safetensorsParts } from "../../checkpoint/encodeSafetensors.js";
import { openSafetensors } from "../../checkpoint/safetensors.js";
import { sizeOf } from "../../tensor/index.js";
import type { Floats } from "./model.js";

/** Tensors of one file of a stage, by name; floats keep their dtype. */
export type Tensors = Readonly<
  Record<string, { readonly shape: readonly number[]; readonly data: Floats | Int32Array }>
>;

/** By the names of dtypes in files. */
const ARRAYS = { F64: Float64Array, F32: Float32Array, I32: Int32Array } as const;
const dtypeOf = (data: Floats | Int32Array) =>
  data instanceof Float64Array ? "F64" : data instanceof Float32Array ? "F32" : "I32";

export async function writeTensors(folder: string, name: string, tensors: Tensors): Promise<void> {
  const entries = Object.entries(tensors).map(
    ([key, { shape, data }]) => [key, { dtype: dtypeOf(data), shape, data }] as const,
  );
  await writeFile(join(folder, `${name}.safetensors`), safetensorsParts(entries));
}

/** Each tensor straight into its own array, without a copy of the file. */
export async function readTensors(folder: string, name: string): Promise<Tensors> {
  const file = await openSafetensors(join(folder, `${name}.safetensors`));
  try {
    const tensors: Record<string, Tensors[string]> = {};
    for (const [key, { dtype, shape }] of file.tensors) {
      const data = new ARRAYS[dtype as keyof typeof ARRAYS](sizeOf(shape));
      await file.readInto(key, new Uint8Array(data.buffer), 0);
      tensors[key] = { shape, data };
    }
    return tensors;
  } finally {
    await file.close();
  }
}

/** A chunk's file: `hidden-00003`. One file a chunk, so that nothing is ever in memory for all prompts. */
const chunkName = (what: string, index: number) => `${what}-${String(index).padStart(5, "0")}`;

export async function writeChunk(
  folder: string,
  what: "hidden" | "gradient",
  index: number,
  shape: readonly number[],
  data: Floats,
): Promise<void> {
  await writeTensors(folder, chunkName(what, index), { [what]: { shape, data } });
}

export async function readChunk(folder: string, what: "hidden" | "gradient", index: number): Promise<Floats> {
  return (await readTensors(folder, chunkName(what, index)))[what]!.data as Floats;
}

/** What a block's MLP read and made at one position, and the residual stream after it, of every prompt in the order of the list. */
export interface KeptActivations {
  /** The input of gate and up. [prompts, width] */
  readonly input: Floats;
  /** The input of down. [prompts, mlp] */
  readonly activation: Floats;
  /** [prompts, width] */
  readonly stream: Floats;
}

export async function writeKept(folder: string, kept: KeptActivations, count: number): Promise<void> {
  const entries = Object.entries(kept).map(([name, data]: [string, Floats]) => [
    name,
    { shape: [count, data.length / count], data },
  ]);
  await writeTensors(folder, "activations", Object.fromEntries(entries) as Tensors);
}

export async function readKept(folder: string): Promise<KeptActivations> {
  const tensors = await readTensors(folder, "activations");
  const of = (name: string) => tensors[name]!.data as Floats;
  return { input: of("input"), activation: of("activation"), stream: of("stream") };
}
