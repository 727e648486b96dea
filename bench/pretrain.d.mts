/** `ours` and `peer` in ms a step. */
export function run(options: { readonly peer?: string; readonly repeats?: number }): Promise<{
  readonly title: string;
  readonly columns: string[];
  readonly rows: readonly {
    readonly work: string;
    readonly ours: number;
    readonly peer: number | null;
    readonly ratio: number | null;
  }[];
}>;
