import { expect } from "vitest";
import { UserError } from "../../src/errors.js";
import type { FileSystem } from "../../src/study/fileSystem.js";
import { nodeFileSystem } from "../../src/study/fileSystem.js";

/** What must hold of one case beside that the reader does not crash. */
export interface Limits {
  /** Hears the processor time of each case, in ms. */
  readonly took?: (cpuMs: number) => void;
  /** Most processor time for one case, in ms. The least of three tries counts: a pause of the machine or of the garbage collector is none of the reader's. */
  readonly cpuMs: number;
}

const TRIES = 3;
/** Controls, lone surrogates, marks that turn the direction of writing. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u;

/**
 * Gives a reader one hostile input. It has to return, or throw a UserError of one printable sentence, within the time.
 * @returns what was read, or undefined where it was refused.
 */
export async function survives<T>(read: () => T | Promise<T>, { cpuMs, took }: Limits): Promise<T | undefined> {
  let least = Number.POSITIVE_INFINITY;
  let value: T | undefined;
  for (let attempt = 0; attempt < TRIES && least > cpuMs; attempt++) {
    const before = process.cpuUsage();
    try {
      value = await read();
    } catch (error) {
      value = undefined;
      checkRefusal(error);
    }
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  took?.(least);
  expect(least, "processor time in ms").toBeLessThanOrEqual(cpuMs);
  return value;
}

/** A refusal is one sentence for people: no stack, no control character that would reach a terminal, no page of foreign text. */
export function checkRefusal(error: unknown): void {
  if (!(error instanceof UserError)) throw error;
  if (!/^[^\n\r]{10,1500}[.?]$/u.test(error.message)) expect(error.message).toMatch(/^[^\n\r]{10,1500}[.?]$/u);
  if (UNPRINTABLE.test(error.message)) expect.fail(`a control character in ${JSON.stringify(error.message)}`);
}

/** A file system in which one path holds these bytes, whatever the path. */
export function holding(bytes: Uint8Array): FileSystem {
  return { ...nodeFileSystem, read: async () => bytes };
}

/** Nothing that a file said may have changed what every object has. */
export function snapshotOfPrototypes(): string {
  return JSON.stringify(
    [Object.prototype, Array.prototype, Map.prototype, String.prototype].map((one) => Object.getOwnPropertyNames(one)),
  );
}
