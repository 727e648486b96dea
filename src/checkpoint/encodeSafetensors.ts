import { dtypeWidth } from "./dtypes.js";
import type { TensorValue } from "./safetensors.js";

/**
 * A safetensors file in memory. Deterministic: tensors lie in the order of their names (by code unit), so equal tensors
 * give equal bytes whatever order they came in; the header is padded with spaces to a multiple of 8 bytes.
 * @throws TypeError when a shape, dtype and data do not agree, or a name occurs twice: mistakes of the caller.
 */
export function encodeSafetensors(
  tensors: Iterable<readonly [string, TensorValue]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const parts = safetensorsParts(tensors, metadata);
  const file = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

/** The same file as pieces to be written one after another: the header, then each tensor's own memory, which is not copied. */
export function safetensorsParts(
  tensors: Iterable<readonly [string, TensorValue]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array[] {
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const members: string[] = [];
  const keys = Object.keys(metadata).sort();
  if (keys.length > 0)
    members.push(
      `"__metadata__":{${keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`).join(",")}}`,
    );
  let size = 0;
  let previous: string | undefined;
  for (const [name, { dtype, shape, data }] of sorted) {
    if (name === previous || name === "__metadata__") throw new TypeError(`the name "${name}" cannot be written twice`);
    const bytes = shape.reduce((product, extent) => product * extent, dtypeWidth(dtype) ?? Number.NaN);
    if (bytes !== data.byteLength)
      throw new TypeError(
        `"${name}": ${dtype} [${shape.join(", ")}] takes ${bytes} bytes, but its data has ${data.byteLength}`,
      );
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [size, size + bytes] })}`);
    size += bytes;
    previous = name;
  }
  // Padded so that the data begins at a multiple of 8 and a reader may map F64 in place.
  const json = new TextEncoder().encode(`{${members.join(",")}}`);
  const headerSize = Math.ceil(json.length / 8) * 8;
  const header = new Uint8Array(8 + headerSize);
  new DataView(header.buffer).setBigUint64(0, BigInt(headerSize), true);
  header.fill(0x20, 8).set(json, 8);
  return [header, ...sorted.map(([, { data }]) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength))];
}
