import { join } from "node:path";
import { type FileSystem, nodeFileSystem } from "../fileSystem.js";

/** What happened to a job, in order. The store says what is done; the ledger says how it came about. */
export interface LedgerLine {
  readonly event: "begin" | "submit" | "end" | "fail" | "requeue" | "give-up";
  readonly time: string;
  /** The stage's identity and name; absent for `begin`. */
  readonly job?: string;
  readonly name?: string;
  readonly why?: string;
}

const LEDGER = "ledger.jsonl";

/** Appends lines, each durable before the call returns. The sweep's lock must be held. */
export async function openLedger(folder: string, files: FileSystem = nodeFileSystem) {
  const path = join(folder, LEDGER);
  // A line that a crash cut off is closed, so that it spoils no other.
  if ((await files.kind(path)) === "file") {
    const bytes = await files.read(path);
    if (bytes.length > 0 && bytes.at(-1) !== 0x0a) await files.append(path, new Uint8Array([0x0a]));
  }
  let last: Promise<void> = Promise.resolve();
  return (line: LedgerLine): Promise<void> => {
    last = last.then(async () => {
      await files.append(path, new TextEncoder().encode(`${JSON.stringify(line)}\n`));
      await files.sync(path);
    });
    return last;
  };
}

/** Every whole line of a sweep's ledger. */
export async function readLedger(folder: string, files: FileSystem = nodeFileSystem): Promise<LedgerLine[]> {
  const text = new TextDecoder().decode(await files.read(join(folder, LEDGER)));
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as LedgerLine];
    } catch {
      return []; // cut off by a crash
    }
  });
}
