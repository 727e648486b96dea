export type Cell = number | string | null | undefined;
export function formatTable(columns: readonly string[], rows: readonly Readonly<Record<string, Cell>>[]): string;
