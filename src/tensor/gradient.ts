import { accumulate, inputGradients } from "./gradientRules.js";
import { inheritedLabels, topologicalOrder } from "./graph.js";
import { scalar } from "./operations/constant.js";
import { broadcastTo } from "./operations/layout.js";
import { formatShape, ShapeError, sameShape } from "./shapes.js";
import { isFloat, type Tensor } from "./tensor.js";

/**
 * Gradients of a 0-d `output` (or of sum(seed * output)) with respect to each of `wrt`, by reverse-mode differentiation.
 * The result is symbolic again: it can be used in the same program, and differentiated again. A tensor that the output does not depend
 * on gets zeros. Shapes are those of `wrt`.
 */
export function gradients(output: Tensor, wrt: readonly Tensor[], seed?: Tensor): Tensor[] {
  if (!isFloat(output.dtype)) throw new ShapeError("gradients", `output of dtype ${output.dtype} has no gradient`);
  if (seed === undefined && output.shape.length > 0)
    throw new ShapeError(
      "gradients",
      `output of shape ${formatShape(output.shape)} is no scalar; give a seed of that shape`,
    );
  if (seed !== undefined && !sameShape(seed.shape, output.shape))
    throw new ShapeError("gradients", `seed ${formatShape(seed.shape)} and output ${formatShape(output.shape)} differ`);

  const order = topologicalOrder([output]);
  // Only what leads to a wanted tensor is differentiated.
  const wanted = new Set(wrt);
  const relevant = new Set<Tensor>();
  for (const node of order)
    if (
      wanted.has(node) ||
      (node.operation.kind !== "stopGradient" && node.inputs.some((input) => relevant.has(input)))
    )
      relevant.add(node);

  const labels = inheritedLabels(order);
  const found = new Map<Tensor, Tensor>([[output, seed ?? scalar(1, output.dtype)]]);
  for (const node of order.reverse()) {
    const grad = found.get(node);
    if (grad === undefined || !relevant.has(node) || node.inputs.length === 0) continue;
    const name = labels.get(node);
    const label = name === undefined ? undefined : `grad.${name}`;
    const toInputs = hides(node, wanted) ? [grad] : inputGradients(node, grad);
    for (const [index, input] of node.inputs.entries()) {
      const toInput = toInputs[index];
      if (toInput === null || toInput === undefined || !relevant.has(input)) continue;
      if (label !== undefined) toInput.label ??= label;
      found.set(input, accumulate(found.get(input), toInput));
    }
  }
  return wrt.map((x) => found.get(x) ?? broadcastTo(scalar(0, x.dtype), x.shape));
}

/**
 * Whether a hand-written gradient would step over a wanted tensor, one that its value is computed through (an attention pattern, a gate):
 * then the value is differentiated as it is.
 */
function hides(node: Tensor, wanted: ReadonlySet<Tensor>): boolean {
  if (node.operation.kind !== "withGradient") return false;
  const [value, ...wrt] = node.inputs as [Tensor, ...Tensor[]];
  const seen = new Set<Tensor>(wrt);
  const open = [value];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (seen.has(next)) continue;
    if (wanted.has(next)) return true;
    seen.add(next);
    open.push(...next.inputs);
  }
  return false;
}
