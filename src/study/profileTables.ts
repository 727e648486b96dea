/** One event of ONNX Runtime's profile: a node's run, or a session's. Times in microseconds. */
export interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly ts: number;
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
    readonly output_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

/** Time of one kind of nodes in one run of the stage's program. */
export interface ProfileRow {
  readonly name: string;
  readonly calls: number;
  readonly milliseconds: number;
  /** Of the whole run, 0..1. */
  readonly share: number;
}

export interface ProfileTables {
  /** Runs that were averaged. */
  readonly runs: number;
  /** Of one run, the runtime's own work between nodes included. */
  readonly milliseconds: number;
  readonly byOperation: readonly ProfileRow[];
  readonly byModule: readonly ProfileRow[];
  /** Floating-point operations of one run's matrix products, two for each multiply-add. */
  readonly matrixFlops: number;
}

/** What a labelled node belongs to, by the first pattern that fits its activation's name. */
const MODULES: readonly (readonly [RegExp, string])[] = [
  [/^optimizer\b/, "optimizer"],
  [/^(blocks\.\d+\.(ln\d|mlp\.in)|ln_final)\b/, "norms"],
  [/^blocks\.\d+\.attn/, "attention"],
  [/^blocks\.\d+\.mlp/, "MLP"],
  [/^blocks\.\d+\.resid/, "residual stream"],
  [/^(logits|loss)\b/, "head and loss"],
  [/^embed\b/, "embedding"],
];

/** The module of a node, gradients with what they are gradients of: `grad.blocks.2.mlp.post/Gemm_58` is of the MLP. */
export function moduleOf(node: string, operation: string): string {
  const slash = node.indexOf("/");
  const label = slash < 0 ? "" : node.slice(0, slash).replace(/^(grad\.)+/, "");
  const found = MODULES.find(([pattern]) => pattern.test(label));
  if (found !== undefined) return found[1];
  // Nodes that the runtime fused lose their names; this one can be known by its kind.
  return operation === "SkipLayerNormalization" ? "norms" : "other";
}

const MATRIX_PRODUCTS = new Set(["Gemm", "MatMul", "FusedMatMul", "FusedGemm"]);

const shapeOf = (types: readonly Readonly<Record<string, readonly number[]>>[] | undefined, index: number) =>
  Object.values(types?.[index] ?? {})[0];
const product = (shape: readonly number[]) => shape.reduce((total, size) => total * size, 1);

/** 2 M N K of a matrix product, however its operands are transposed: K = |A| N / |output|. Other nodes have none. */
export function matrixFlopsOf({ args }: ProfileEvent): number {
  if (!MATRIX_PRODUCTS.has(args?.op_name ?? "")) return 0;
  const a = shapeOf(args?.input_type_shape, 0);
  const out = shapeOf(args?.output_type_shape, 0);
  if (a === undefined || out === undefined || product(out) === 0) return 0;
  return 2 * product(a) * out.at(-1)!;
}

/**
 * Sums the node times of a few runs into tables, largest first.
 * @param sessions the events of each session's profile
 * @param warm runs of each session that are left out: the first allocate
 */
export function profileTables(sessions: readonly (readonly ProfileEvent[])[], warm: number): ProfileTables {
  const operations = new Map<string, { calls: number; microseconds: number }>();
  const modules = new Map<string, { calls: number; microseconds: number }>();
  const add = (table: typeof operations, name: string, { dur }: ProfileEvent) => {
    const row = table.get(name) ?? { calls: 0, microseconds: 0 };
    table.set(name, { calls: row.calls + 1, microseconds: row.microseconds + dur });
  };
  let runs = 0;
  let whole = 0;
  let inNodes = 0;
  let flops = 0;
  for (const events of sessions) {
    const sessionRuns = events.filter(({ name }) => name === "model_run").sort((a, b) => a.ts - b.ts);
    const counted = sessionRuns.slice(warm);
    if (counted.length === 0) continue;
    runs = Math.max(runs, counted.length);
    for (const { dur } of counted) whole += dur;
    for (const event of events) {
      if (event.cat !== "Node" || event.ts < counted[0]!.ts || !event.name.endsWith("_kernel_time")) continue;
      const operation = event.args?.op_name ?? "unknown";
      add(operations, operation, event);
      add(modules, moduleOf(event.name, operation), event);
      inNodes += event.dur;
      flops += matrixFlopsOf(event);
    }
  }
  const between = { calls: 0, microseconds: Math.max(0, whole - inNodes) };
  const rows = (table: typeof operations): ProfileRow[] =>
    [...table, ["between nodes", between] as const]
      .map(([name, { calls, microseconds }]) => ({
        name,
        calls: runs === 0 ? 0 : calls / runs,
        milliseconds: runs === 0 ? 0 : microseconds / runs / 1000,
        share: whole === 0 ? 0 : microseconds / whole,
      }))
      .sort((a, b) => b.milliseconds - a.milliseconds);
  return {
    runs,
    milliseconds: runs === 0 ? 0 : whole / runs / 1000,
    byOperation: rows(operations),
    byModule: rows(modules),
    matrixFlops: runs === 0 ? 0 : flops / runs,
  };
}
