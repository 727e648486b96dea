import { type Engine, type Executable, matmul, program } from "../tensor/index.js";

/** Dense products in float64 on an engine: what a large factorisation is made of. */
export interface BlockProducts {
  /** A B, or A B' where `transposeB`. a [m, k], b [k, n] or [n, k], row-major -> [m, n] */
  multiply(
    a: Float64Array,
    b: Float64Array,
    sizes: { readonly m: number; readonly k: number; readonly n: number; readonly transposeB?: boolean },
  ): Promise<Float64Array>;
}

/**
 * Products on an engine, one small program for each shape. They are in float64: squares of singular values that are a thousandth of the largest
 * are a millionth of it, and float32 would leave them a digit. An operation's sums do not depend on the number of threads.
 */
export function blockProducts(engine: Engine): BlockProducts {
  const compiled = new Map<string, Promise<Executable<"a" | "b", "product">>>();
  return {
    async multiply(a, b, { m, k, n, transposeB = false }) {
      const shape = `${m} ${k} ${n} ${transposeB}`;
      const known = compiled.get(shape) ?? engine.compile(productProgram({ m, k, n, transposeB }));
      compiled.set(shape, known);
      const { product } = await (await known).run({ a, b });
      return product as Float64Array;
    },
  };
}

function productProgram({ m, k, n, transposeB }: Record<"m" | "k" | "n", number> & { transposeB: boolean }) {
  return program(
    "product",
    { a: { shape: [m, k], dtype: "float64" }, b: { shape: transposeB ? [n, k] : [k, n], dtype: "float64" } },
    ({ a, b }) => ({ product: matmul(a, b, { transposeB }) }),
  );
}
