import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseSafetensors } from "../src/checkpoint/safetensors.js";

/** Path of a file under test/fixtures. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
}

export function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(fixture(name), "utf8")) as T;
}

/** Every tensor of a golden file as ordinary numbers. */
export function readGolden(name: string): Map<string, { shape: readonly number[]; data: Float64Array }> {
  const file = parseSafetensors(readFileSync(fixture(name)));
  return new Map(
    [...file.tensors].map(([key, { shape, data }]) => [
      key,
      { shape, data: Float64Array.from(data as ArrayLike<number | bigint>, Number) },
    ]),
  );
}
