import { FLOATS, formatShape, INTEGERS, requireDType, ShapeError, sameShape } from "../shapes.js";
import { type Tensor, tensor } from "../tensor.js";

/** Rows of a table by id (embedding lookup). table [rows, ...], ids [...] -> [...ids, ...]. Ids must lie in the table. */
export function gather(table: Tensor, ids: Tensor): Tensor {
  requireDType("gather", ids, INTEGERS);
  if (table.shape.length < 1) throw new ShapeError("gather", "the table has no rows");
  return tensor({ kind: "gather" }, [table, ids], [...ids.shape, ...table.shape.slice(1)], table.dtype);
}

/** A table of zeros to whose rows `ids` the `updates` are added; gather's transpose. updates [...ids, ...] -> [rows, ...] */
export function scatterAdd(updates: Tensor, ids: Tensor, rows: number): Tensor {
  requireDType("scatterAdd", ids, INTEGERS);
  requireDType("scatterAdd", updates, FLOATS);
  if (!sameShape(updates.shape.slice(0, ids.shape.length), ids.shape))
    throw new ShapeError(
      "scatterAdd",
      `updates ${formatShape(updates.shape)} do not begin with the shape of ids ${formatShape(ids.shape)}`,
    );
  return tensor(
    { kind: "scatterAdd" },
    [updates, ids],
    [rows, ...updates.shape.slice(ids.shape.length)],
    updates.dtype,
  );
}

/** One element of the last axis by id. x [..., n], ids [...] -> [...] */
export function pick(x: Tensor, ids: Tensor): Tensor {
  requireDType("pick", ids, INTEGERS);
  if (!sameShape(x.shape.slice(0, -1), ids.shape))
    throw new ShapeError(
      "pick",
      `ids ${formatShape(ids.shape)} do not match the leading axes of ${formatShape(x.shape)}`,
    );
  return tensor({ kind: "pick" }, [x, ids], ids.shape, x.dtype);
}

/** Zeros with `values` at the places `ids` of a new last axis; pick's transpose. values [...], ids [...] -> [..., size] */
export function spread(values: Tensor, ids: Tensor, size: number): Tensor {
  requireDType("spread", ids, INTEGERS);
  if (!sameShape(values.shape, ids.shape))
    throw new ShapeError("spread", `values ${formatShape(values.shape)} and ids ${formatShape(ids.shape)} differ`);
  return tensor({ kind: "spread" }, [values, ids], [...values.shape, size], values.dtype);
}
