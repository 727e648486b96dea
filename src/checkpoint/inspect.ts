import { decodeBfloat16, decodeFloat16, dtypeWidth } from "./dtypes.js";
import type { CheckpointTensor, HuggingFaceCheckpoint } from "./huggingFace.js";

/** What the numbers of a tensor are like. */
export interface TensorValues {
  readonly nan: number;
  readonly infinite: number;
  /** The one value that all elements have, where there are at least two and they are all equal. */
  readonly constant: number | undefined;
  /** Largest |x| among the finite elements; 0 where there are none. */
  readonly largest: number;
}

/** Bytes in memory at a time while values are read. */
const PIECE = 2 ** 24;

/** A scan that goes over a tensor piece by piece. */
interface Scan {
  add(bytes: Uint8Array): void;
  result(): TensorValues;
}

/** Bits of each dtype's exponent and fraction; sign apart. */
const LAYOUT = {
  BF16: { array: Uint16Array, exponent: 0x7f80, fraction: 0x7f, magnitude: 0x7fff },
  F16: { array: Uint16Array, exponent: 0x7c00, fraction: 0x3ff, magnitude: 0x7fff },
  F32: { array: Uint32Array, exponent: 0x7f80_0000, fraction: 0x7f_ffff, magnitude: 0x7fff_ffff },
} as const;

/**
 * Scans bit patterns, several times as fast as numbers would go: an exponent of ones is a NaN or an infinity, and magnitudes order as whole numbers.
 * @param decode one element's bits to its value.
 */
function bitScan(
  { array, exponent, fraction, magnitude }: (typeof LAYOUT)[keyof typeof LAYOUT],
  decode: (bits: number) => number,
): Scan {
  let [nan, infinite, largest, count] = [0, 0, 0, 0];
  let first: number | undefined;
  let equal = true;
  return {
    add(bytes) {
      const words = new array(
        bytes.buffer as ArrayBuffer,
        bytes.byteOffset,
        bytes.byteLength / array.BYTES_PER_ELEMENT,
      );
      first ??= words[0];
      count += words.length;
      for (let i = 0; i < words.length; i++) {
        const bits = words[i]!;
        if (bits !== first) equal = false;
        if ((bits & exponent) === exponent) {
          if ((bits & fraction) === 0) infinite++;
          else nan++;
        } else if ((bits & magnitude) > largest) largest = bits & magnitude;
      }
    },
    result: () => ({
      nan,
      infinite,
      constant: equal && count > 1 ? decode(first!) : undefined,
      largest: decode(largest),
    }),
  };
}

function doubleScan(): Scan {
  let [nan, infinite, largest, count] = [0, 0, 0, 0];
  let first: number | undefined;
  let equal = true;
  return {
    add(bytes) {
      const numbers = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
      first ??= numbers[0];
      count += numbers.length;
      for (const x of numbers) {
        if (!Object.is(x, first)) equal = false;
        if (Number.isNaN(x)) nan++;
        else if (!Number.isFinite(x)) infinite++;
        else if (Math.abs(x) > largest) largest = Math.abs(x);
      }
    },
    result: () => ({ nan, infinite, constant: equal && count > 1 ? first! : undefined, largest }),
  };
}

function scanOf(dtype: string): Scan {
  switch (dtype) {
    case "BF16":
      return bitScan(LAYOUT.BF16, (bits) => decodeBfloat16(Uint16Array.of(bits))[0]!);
    case "F16":
      return bitScan(LAYOUT.F16, (bits) => decodeFloat16(Uint16Array.of(bits))[0]!);
    case "F32":
      return bitScan(LAYOUT.F32, (bits) => new Float32Array(Uint32Array.of(bits).buffer)[0]!);
    default:
      return doubleScan();
  }
}

/** Reads all numbers of a tensor, 16 MiB at a time, and says what they are like. */
export async function tensorValues(
  { tensors, readBytes }: Pick<HuggingFaceCheckpoint, "tensors" | "readBytes">,
  name: string,
): Promise<TensorValues> {
  const { dtype, begin, end } = tensors.get(name)!;
  const scan = scanOf(dtype);
  for (let at = 0; at < end - begin; at += PIECE)
    scan.add(await readBytes(name, at, Math.min(at + PIECE, end - begin)));
  return scan.result();
}

/** Elements of a tensor. */
export function elementsOf({ dtype, begin, end }: CheckpointTensor): number {
  return (end - begin) / dtypeWidth(dtype)!;
}
