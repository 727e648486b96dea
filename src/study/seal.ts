import { createHash } from "node:crypto";
import { UserError } from "../errors.js";
import { errorCode, type FileSystem } from "./fileSystem.js";

const ZEROS = "0".repeat(64);
/** The seal's digits, with what may follow them: the end of a JSON object or of a line. */
const SEAL = /([0-9a-f]{64})["}\s]{0,8}$/;

/**
 * A JSON object's text with its seal as the last member, `"sha256"`: the sha256 of the whole text with the seal's 64 digits
 * as zeros. A file that carries its own seal is written in one rename together with it, so that no crash parts the two.
 * @throws TypeError for a text that does not end as an object with members does.
 */
export function sealJson(text: string): string {
  const end = /([^{,\s])(\s*)\}\s*$/.exec(text);
  if (end === null) throw new TypeError("only a JSON object with members can be sealed");
  const [, last, space] = end as unknown as [string, string, string];
  const between = space === "" ? "" : `${space}  `;
  return fill(
    `${text.slice(0, end.index)}${last},${between}"sha256":${space === "" ? "" : " "}"${ZEROS}"${space}}${text.endsWith("\n") ? "\n" : ""}`,
  );
}

/** A YAML text with its seal in a comment at its end. */
export function sealYaml(text: string): string {
  return fill(
    `${text}# Seal (sha256 of this file with these digits as zeros; delete this line if you change the file): ${ZEROS}\n`,
  );
}

function fill(text: string): string {
  const hash = createHash("sha256").update(text).digest("hex");
  const at = text.lastIndexOf(ZEROS);
  return text.slice(0, at) + hash + text.slice(at + ZEROS.length);
}

/** Whether a sealed file is as it was written: `broken` where a byte differs, `none` where there is no seal at its end. */
export function checkSeal(bytes: Uint8Array): "whole" | "broken" | "none" {
  const tailStart = Math.max(0, bytes.length - 80);
  const found = SEAL.exec(Buffer.from(bytes.subarray(tailStart)).toString("latin1"));
  if (found === null) return "none";
  const at = tailStart + found.index;
  const hash = createHash("sha256")
    .update(bytes.subarray(0, at))
    .update(ZEROS)
    .update(bytes.subarray(at + 64));
  return hash.digest("hex") === found[1] ? "whole" : "broken";
}

/** Why a file that must be sealed cannot be used; undefined for one that is as it was written. */
export function sealFault(bytes: Uint8Array): string | undefined {
  const state = checkSeal(bytes);
  if (state === "whole") return undefined;
  return state === "broken" ? "it was changed after it was written" : "it has no seal at its end";
}

/**
 * The JSON of a sealed file, its seal left out; undefined where there is no such file.
 * @param remedy ends the message: "run the study again, it rebuilds the file".
 * @throws UserError for a file that cannot be read, is no JSON object or is not as it was written.
 */
export async function readSealedJson(
  files: FileSystem,
  path: string,
  remedy: string,
): Promise<Record<string, unknown> | undefined> {
  let bytes: Uint8Array;
  let json: unknown;
  try {
    bytes = await files.read(path);
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (code === undefined && !(error instanceof SyntaxError)) throw error;
    throw new UserError(`${path} cannot be read (${code ?? "it is damaged: no valid JSON"}); ${remedy}.`);
  }
  const fault = sealFault(bytes);
  if (fault !== undefined) throw new UserError(`${path} is damaged: ${fault}; ${remedy}.`);
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new UserError(`${path} is no JSON object; ${remedy}.`);
  const { sha256: _, ...rest } = json as Record<string, unknown>;
  return rest;
}
