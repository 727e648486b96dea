export function median(values: readonly number[]): number;
export function mean(values: readonly number[]): number;
export function alternate<Name extends string>(
  rivals: Readonly<Record<Name, () => number | Promise<number>>>,
  rounds: number,
): Promise<Record<Name, number[]>>;
export function medianRatio(a: readonly number[], b: readonly number[]): number;
