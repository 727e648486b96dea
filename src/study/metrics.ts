import type { FileSystem } from "./fileSystem.js";
import type { MetricsRow } from "./stage.js";

/** A file of JSON lines that is written in the background, in order. */
export interface MetricsFile {
  /** Takes a row at once. NaN and infinities, which JSON has not, are written as text. */
  write(row: MetricsRow): void;
  /** Waits until every row so far is in the file. @throws the first fault of writing. */
  flush(): Promise<void>;
}

/** Opens `path` for rows; the file is made with the first. */
export function openMetrics(files: FileSystem, path: string): MetricsFile {
  let waiting = "";
  let writing: Promise<void> | undefined;
  let fault: { error: unknown } | undefined;

  const drain = async () => {
    while (waiting !== "" && fault === undefined) {
      const text = waiting;
      waiting = "";
      try {
        await files.append(path, new TextEncoder().encode(text));
      } catch (error) {
        fault = { error };
      }
    }
    writing = undefined;
  };

  return {
    write(row) {
      if (fault !== undefined) throw fault.error; // a full disk ends the stage now, not after an hour
      const plain = Object.entries(row).map(([key, value]) => [
        key,
        typeof value === "number" && !Number.isFinite(value) ? String(value) : value,
      ]);
      waiting += `${JSON.stringify(Object.fromEntries(plain))}\n`;
      writing ??= drain();
    },
    async flush() {
      while (writing !== undefined) await writing;
      if (fault !== undefined) throw fault.error;
    },
  };
}
