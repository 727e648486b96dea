/** A row of the table; `steps` and `stepsPerSecond` where it is a training, `peer` and `ratio` where a peer ran it too. */
export interface PaperRow {
  readonly training: string;
  readonly steps?: number;
  readonly stepsPerSecond?: number;
  readonly peer?: number | null;
  readonly ratio?: number | null;
  readonly hours: number;
}
export function run(options: {
  readonly device?: "cpu" | "webgpu" | "cuda" | "auto";
  readonly peer?: string;
  readonly repeats?: number;
  readonly preset?: string;
  readonly turnSeconds?: number;
}): Promise<{ readonly title: string; readonly columns: string[]; readonly rows: readonly PaperRow[] }>;
