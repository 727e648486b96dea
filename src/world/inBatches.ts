/**
 * Walks over `count` rows in batches of one size, as compiled programs need: the last batch repeats its last row, and what those repeats
 * give is dropped. `run` gets the rows' indices [batch] and how many of them count.
 */
export async function inBatches(
  count: number,
  batch: number,
  run: (rows: Int32Array, used: number) => Promise<void>,
): Promise<void> {
  for (let start = 0; start < count; start += batch) {
    const used = Math.min(batch, count - start);
    await run(
      Int32Array.from({ length: batch }, (_, i) => start + Math.min(i, used - 1)),
      used,
    );
  }
}
