import { FLOATS, formatShape, requireDType, ShapeError, sameShape } from "../shapes.js";
import { type Tensor, tensor } from "../tensor.js";
import { add } from "./elementwise.js";
import { reshape } from "./layout.js";

export interface MatmulOptions {
  /** Use `a` transposed in its last two axes. */
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Factor on the product; costs nothing. */
  readonly scale?: number;
}

/**
 * scale * a b over the last two axes. [..., m, k] x [..., k, n] -> [..., m, n]; leading axes are equal, or `b` is one
 * matrix that serves them all.
 */
export function matmul(
  a: Tensor,
  b: Tensor,
  { transposeA = false, transposeB = false, scale = 1 }: MatmulOptions = {},
): Tensor {
  requireDType("matmul", a, FLOATS);
  requireDType("matmul", b, [a.dtype]);
  const fail = (why: string) => {
    const marks = [transposeA ? " (transposed)" : "", transposeB ? " (transposed)" : ""];
    return new ShapeError(
      "matmul",
      `shapes ${formatShape(a.shape)}${marks[0]} and ${formatShape(b.shape)}${marks[1]}: ${why}`,
    );
  };
  if (a.shape.length < 2 || b.shape.length < 2) throw fail("both need at least two axes");
  const [m, k] = transposeA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!];
  const [inner, n] = transposeB ? [b.shape.at(-1)!, b.shape.at(-2)!] : [b.shape.at(-2)!, b.shape.at(-1)!];
  if (k !== inner) throw fail(`inner sizes ${k} and ${inner} differ`);
  const lead = a.shape.slice(0, -2);
  if (lead.length > 0 && b.shape.length === 2) {
    if (transposeA) throw fail("a stack of transposed matrices needs a stack on the right");
    return reshape(matmul(reshape(a, [-1, k]), b, { transposeB, scale }), [...lead, m, n]);
  }
  if (!sameShape(lead, b.shape.slice(0, -2))) throw fail("leading axes differ");
  return tensor({ kind: "matmul", transposeA, transposeB, scale }, [a, b], [...lead, m, n], a.dtype);
}

/** x Wᵀ + b, PyTorch's Linear. x [..., in], weight [out, in], bias [out] -> [..., out] */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const rows = reshape(x, [-1, x.shape.at(-1) ?? 1]);
  const product = matmul(rows, weight, { transposeB: true });
  return reshape(bias === undefined ? product : add(product, bias), [...x.shape.slice(0, -1), weight.shape[0]!]);
}
