import { basename, dirname } from "node:path";
import { dtypeWidth } from "../checkpoint/dtypes.js";
import { checkpointName, type HuggingFaceCheckpoint, openHuggingFace } from "../checkpoint/huggingFace.js";
import { layerMatrices, type MatrixName } from "../checkpoint/matrices.js";
import { quoteName } from "../checkpoint/strictJson.js";
import { UserError } from "../errors.js";

/** One checkpoint of an audit. */
export interface Member {
  /** Its name in results: its folder's. */
  readonly name: string;
  readonly checkpoint: HuggingFaceCheckpoint;
  /** Its identity: what a stage depends on, wherever the folder lies. */
  readonly fingerprint: string;
}

/** The checkpoints of an audit, open, and checked to be comparable. */
export interface AuditPair {
  readonly base: Member;
  readonly tuned: Member;
  /** A checkpoint of further plain tuning of the same base, whose change is a null. */
  readonly control?: Member;
  /** Remarks for the user, one sentence each. */
  readonly notes: readonly string[];
  close(): Promise<void>;
}

/**
 * Opens the checkpoints and compares their shapes, before any weight is read.
 * @throws UserError when one cannot be read, or when they are not of one architecture and shape.
 */
export async function openPair(dirs: {
  readonly base: string;
  readonly tuned: string;
  readonly control?: string | undefined;
}): Promise<AuditPair> {
  const opened: HuggingFaceCheckpoint[] = [];
  const close = async () => {
    for (const one of opened) await one.close();
  };
  const member = async (dir: string): Promise<Member> => {
    const checkpoint = await openHuggingFace(dir);
    opened.push(checkpoint);
    return { name: memberName(dir), checkpoint, fingerprint: await checkpoint.fingerprint() };
  };
  try {
    const [base, tuned] = [await member(dirs.base), await member(dirs.tuned)];
    const control = dirs.control === undefined ? undefined : await member(dirs.control);
    const notes = [base, tuned, ...(control ? [control] : [])].flatMap(({ checkpoint }) =>
      checkpoint.notes.map((note) => `${checkpoint.dir}: ${note}.`),
    );
    for (const other of [tuned, ...(control ? [control] : [])]) {
      requireSameShape(base.checkpoint, other.checkpoint);
      notes.push(...remarks(base, other));
    }
    return { base, tuned, ...(control !== undefined && { control }), notes, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Names that results already give a meaning: a folder called so would be taken for it. */
const TAKEN = /^(instruct|continue|shuffled)(-|$)/;

/** The folder's name; in the cache of Hugging Face, where folders are called by hashes, the model's. */
export function memberName(dir: string): string {
  const cached = /^models--(?:.+--)?(.+)$/.exec(basename(dirname(dirname(dir))));
  const name = basename(dirname(dir)) === "snapshots" && cached !== null ? cached[1]! : checkpointName(dir);
  return TAKEN.test(name) ? `tuned-${name}` : name;
}

function requireSameShape(base: HuggingFaceCheckpoint, other: HuggingFaceCheckpoint): void {
  if (base.architecture !== other.architecture)
    throw new UserError(
      `${base.dir} is a ${base.architecture} model and ${other.dir} a ${other.architecture} model; an audit compares two checkpoints of one architecture.`,
    );
  if (base.config.blocks !== other.config.blocks)
    throw new UserError(
      `${base.dir} has ${base.config.blocks} blocks and ${other.dir} has ${other.config.blocks}; an audit compares a model with its own tuning.`,
    );
  for (let layer = 1; layer <= base.config.blocks; layer++) {
    const others = layerMatrices(other.config, layer);
    for (const [name, { shape, tensor }] of layerMatrices(base.config, layer)) {
      const their = others.get(name)!.shape;
      if (shape.join() !== their.join())
        throw new UserError(
          `Tensor ${quoteName(tensor)} is [${shape.join(", ")}] in ${base.dir} and [${their.join(", ")}] in ${other.dir}; an audit compares a model with its own tuning.`,
        );
    }
  }
}

function remarks(base: Member, other: Member): string[] {
  const sizes = [base.checkpoint.config.vocabulary, other.checkpoint.config.vocabulary];
  return [
    ...(sizes[0] === sizes[1]
      ? []
      : [
          `The vocabularies differ (${sizes.join(" and ")} tokens); the matrices of the blocks are compared, embeddings and head are not.`,
        ]),
    ...(base.fingerprint === other.fingerprint
      ? [`${base.checkpoint.dir} and ${other.checkpoint.dir} hold the same weights: every change is zero.`]
      : []),
  ];
}

/** Bytes of a block's matrices in one checkpoint's files. */
export function matrixBytes({ config, tensors }: HuggingFaceCheckpoint, layer: number, names: readonly MatrixName[]) {
  let bytes = 0;
  for (const [name, { tensor, shape }] of layerMatrices(config, layer))
    if (names.includes(name)) bytes += shape[0] * shape[1] * dtypeWidth(tensors.get(tensor)!.dtype)!;
  return bytes;
}
