import type { Interrupt, Io } from "../../src/cli/io.js";

/** A terminal in memory; `interrupt` is Ctrl-C, or what is named. */
export function memoryIo({ terminal = false, columns = 80 } = {}) {
  const written = { out: "", err: "", quit: undefined as number | undefined };
  const handlers = new Set<(by: Interrupt) => void>();
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
  return { io, written, interrupt: (by: Interrupt = "SIGINT") => [...handlers].map((handler) => handler(by)) };
}
