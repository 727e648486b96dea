import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeSafetensors } from "../../checkpoint/encodeSafetensors.js";
import { parseSafetensors } from "../../checkpoint/safetensors.js";
import type { Floats } from "./model.js";

/** Tensors of one file of a stage, by name; floats keep their dtype. */
export type Tensors = Readonly<
  Record<string, { readonly shape: readonly number[]; readonly data: Floats | Int32Array }>
>;

const dtypeOf = (data: Floats | Int32Array) =>
  data instanceof Float64Array ? "F64" : data instanceof Float32Array ? "F32" : "I32";

export async function writeTensors(folder: string, name: string, tensors: Tensors): Promise<void> {
  const entries = Object.entries(tensors).map(
    ([key, { shape, data }]) => [key, { dtype: dtypeOf(data), shape, data }] as const,
  );
  await writeFile(join(folder, `${name}.safetensors`), encodeSafetensors(entries));
}

export async function readTensors(folder: string, name: string): Promise<Tensors> {
  const path = join(folder, `${name}.safetensors`);
  const { tensors } = parseSafetensors(await readFile(path), path);
  return Object.fromEntries(
    [...tensors].map(([key, { shape, data }]) => [key, { shape, data: data as Floats | Int32Array }]),
  );
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
