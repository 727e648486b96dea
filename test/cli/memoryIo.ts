import type { Io } from "../../src/cli/io.js";

/** A terminal in memory; `interrupt` is Ctrl-C. */
export function memoryIo({ terminal = false, columns = 80 } = {}) {
  const written = { out: "", err: "", quit: undefined as number | undefined };
  const handlers = new Set<() => void>();
  const io: Io = {
    out: (text) => void (written.out += text),
    err: (text) => void (written.err += text),
    terminal,
    columns,
    onInterrupt: (handler) => {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    quit: (code) => void (written.quit = code),
    exitCode: 0,
  };
  return { io, written, interrupt: () => [...handlers].map((handler) => handler()) };
}
