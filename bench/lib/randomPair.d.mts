export interface PairShape {
  readonly width: number;
  readonly mlp: number;
  readonly heads: number;
  readonly vocabulary: number;
  readonly blocks: number;
}
export const SHAPE: PairShape;
export function pairBytes(layers: number, shape?: PairShape): number;
export function writeRandomPair(
  folder: string,
  layers: number,
  shape?: PairShape,
): Promise<{ readonly base: string; readonly tuned: string }>;
