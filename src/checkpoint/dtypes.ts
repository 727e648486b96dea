/** Arrays that a tensor's elements are given in. */
export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

interface DtypeInfo {
  /** Bytes per element. */
  readonly width: number;
  /** Copies: a tensor may begin at any byte of a file, a typed array may not. Absent: the elements have no meaning here. */
  readonly decode: ((bytes: Uint8Array) => TensorData) | undefined;
}

// A copy of `bytes` in a buffer of its own (a Node Buffer's slice() would share its pool). Every platform that Node runs on is
// little-endian, as the format is.
const aligned = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;
const halves = (bytes: Uint8Array) => new Uint16Array(aligned(bytes));

/** Every dtype of the format whose elements are whole bytes. F16 and BF16 keep their bits; `readFloats` widens them. */
const DTYPES: ReadonlyMap<string, DtypeInfo> = new Map<string, DtypeInfo>([
  ["BOOL", { width: 1, decode: (bytes) => new Uint8Array(bytes) }],
  ["U8", { width: 1, decode: (bytes) => new Uint8Array(bytes) }],
  ["I8", { width: 1, decode: (bytes) => new Int8Array(aligned(bytes)) }],
  ["F8_E5M2", { width: 1, decode: undefined }],
  ["F8_E4M3", { width: 1, decode: undefined }],
  ["F8_E8M0", { width: 1, decode: undefined }],
  ["I16", { width: 2, decode: (bytes) => new Int16Array(aligned(bytes)) }],
  ["U16", { width: 2, decode: halves }],
  ["F16", { width: 2, decode: halves }],
  ["BF16", { width: 2, decode: halves }],
  ["I32", { width: 4, decode: (bytes) => new Int32Array(aligned(bytes)) }],
  ["U32", { width: 4, decode: (bytes) => new Uint32Array(aligned(bytes)) }],
  ["F32", { width: 4, decode: (bytes) => new Float32Array(aligned(bytes)) }],
  ["I64", { width: 8, decode: (bytes) => new BigInt64Array(aligned(bytes)) }],
  ["U64", { width: 8, decode: (bytes) => new BigUint64Array(aligned(bytes)) }],
  ["F64", { width: 8, decode: (bytes) => new Float64Array(aligned(bytes)) }],
]);

/** Bytes per element of a dtype, by its exact name; undefined for a dtype that is not read here. */
export function dtypeWidth(dtype: string): number | undefined {
  return DTYPES.get(dtype)?.width;
}

/** The elements of `bytes` as a typed array of their own; F16 and BF16 as their bits in a Uint16Array. Undefined for 8-bit floats. */
export function decodeTensor(dtype: string, bytes: Uint8Array): TensorData | undefined {
  return DTYPES.get(dtype)?.decode?.(bytes);
}

/** Dtypes that hold real numbers: what `decodeFloats` reads. */
export const FLOAT_DTYPES: readonly string[] = ["F64", "F32", "F16", "BF16"];

/** Real numbers of `bytes`: F64 as float64; F32, F16 and BF16 as float32, exactly. Undefined for other dtypes. */
export function decodeFloats(dtype: string, bytes: Uint8Array): Float32Array | Float64Array | undefined {
  if (dtype === "F64") return new Float64Array(aligned(bytes));
  if (dtype === "F32") return new Float32Array(aligned(bytes));
  if (dtype === "BF16") return decodeBfloat16(halves(bytes));
  if (dtype === "F16") return decodeFloat16(halves(bytes));
  return undefined;
}

/**
 * As `decodeFloats`, into `target` from its element `at` on, rounded where the target is narrower. `bytes` must be aligned to their elements.
 * Undefined dtypes are the caller's mistake. @throws TypeError for them.
 */
export function decodeFloatsInto(
  dtype: string,
  bytes: Uint8Array,
  target: Float32Array | Float64Array,
  at: number,
): void {
  if (dtype === "BF16" && target instanceof Float32Array) {
    // The common case of large models, in one pass without a second array, two numbers at a time where a pair is aligned.
    const count = bytes.byteLength / 2;
    const words = new Uint32Array(target.buffer, target.byteOffset + 4 * at, count);
    const paired = bytes.byteOffset % 4 === 0 ? count >> 1 : 0;
    const pairs = new Uint32Array(bytes.buffer as ArrayBuffer, paired === 0 ? 0 : bytes.byteOffset, paired);
    for (let i = 0; i < paired; i++) {
      const pair = pairs[i]!;
      words[2 * i] = pair << 16;
      words[2 * i + 1] = pair & 0xffff_0000;
    }
    const rest = new Uint16Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, count);
    for (let i = 2 * paired; i < count; i++) words[i] = rest[i]! << 16;
    return;
  }
  const numbers = decodeFloats(dtype, bytes);
  if (numbers === undefined) throw new TypeError(`${dtype} holds no real numbers`);
  target.set(numbers, at);
}

/** bfloat16 bits to float32, exactly: they are float32's upper half. */
export function decodeBfloat16(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}

/** IEEE 754 half-precision bits to float32, exactly; infinities, NaNs (with their payload) and subnormals included. */
export function decodeFloat16(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i]!;
    const sign = (half & 0x8000) << 16;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0x1f) words[i] = sign | 0x7f80_0000 | (fraction << 13);
    else if (exponent !== 0)
      words[i] = sign | ((exponent + 112) << 23) | (fraction << 13); // bias 127 - 15
    else if (fraction === 0) words[i] = sign;
    else {
      // A subnormal half, fraction x 2^-24, is a normal float32: shift its leading one into the hidden bit's place.
      const shift = Math.clz32(fraction) - 21; // 10-bit fraction, leading one to bit 10
      words[i] = sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
    }
  }
  return new Float32Array(words.buffer);
}
