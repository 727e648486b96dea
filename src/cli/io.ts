import { createInterface } from "node:readline";

/** What asks a command to stop: Ctrl-C, a scheduler, a terminal that was closed, a reader that went away. */
export type Interrupt = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGPIPE";

/** 128 + the number of the signal, as every shell has it. */
export const INTERRUPT_EXIT: Readonly<Record<Interrupt, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGPIPE: 141,
  SIGTERM: 143,
};

/** Where a command writes, from outside: the terminal, or a test's memory. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** People watch: a line may be rewritten in place. */
  readonly terminal: boolean;
  /** Width of the terminal, in characters. */
  readonly columns: number;
  /** Calls `handler` when the command is asked to stop, until the returned function is called. */
  onInterrupt(handler: (by: Interrupt) => void): () => void;
  /** Asks a person to confirm; absent where nobody can be asked. */
  readonly confirm?: (question: string) => Promise<boolean>;
  /** Ends the process at once. */
  quit(code: number): void;
  /** What the process exits with when the command returns; commands set it. */
  exitCode: number;
}

/**
 * The process's own terminal. What can no longer be written, because the terminal was closed or the reader went away, is dropped: a command that
 * listens for interrupts is told of a reader that went away, as of an interrupt; any other ends.
 */
export function processIo(): Io {
  const handlers = new Set<(by: Interrupt) => void>();
  const interrupted = (by: Interrupt) => {
    for (const handler of [...handlers]) handler(by);
  };
  const lost = { out: false, err: false };
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (lost.out) return; // every write that is under way fails; once is enough
    lost.out = true;
    if (handlers.size > 0) {
      if (error.code === "EPIPE") interrupted("SIGPIPE");
      return;
    }
    if (error.code === "EPIPE") process.exit(io.exitCode); // `nullscope results quick | head` is no error of ours
    io.err(`nullscope: the output cannot be written (${error.code ?? error.message}).\n`);
    process.exit(1);
  });
  process.stderr.on("error", () => {
    lost.err = true;
  });
  // Without a terminal of its own (nohup, setsid, a service) a process goes on when somebody's terminal is closed.
  const hangsUp = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const listeners = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map(
    (signal) => [signal, () => (signal !== "SIGHUP" || hangsUp) && interrupted(signal)] as const,
  );
  const io: Io = {
    out: (text) => void (lost.out || process.stdout.write(text)),
    err: (text) => void (lost.err || process.stderr.write(text)),
    terminal: process.stdout.isTTY === true,
    columns: process.stdout.columns ?? 80,
    onInterrupt: (handler) => {
      if (handlers.size === 0) for (const [signal, listener] of listeners) process.on(signal, listener);
      handlers.add(handler);
      return () => {
        handlers.delete(handler);
        if (handlers.size === 0) for (const [signal, listener] of listeners) process.off(signal, listener);
      };
    },
    ...(process.stdin.isTTY === true && process.stderr.isTTY === true && { confirm }),
    quit: (code) => process.exit(code),
    exitCode: 0,
  };
  return io;
}

/** Only "y" and "yes" are a yes; an end of input is a no. */
async function confirm(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await new Promise<string>((done) => {
      lines.once("close", () => done(""));
      lines.question(`${question} [y/N] `, done);
    });
    return /^\s*y(es)?\s*$/i.test(answer);
  } finally {
    lines.close();
  }
}

/**
 * Foreign text for a terminal: without control characters, which could move the cursor, colour or hide what follows, and
 * without marks that turn the direction of writing. Line feeds and tabs become spaces.
 */
export function clean(text: string): string {
  return text.replace(/[\n\t]+/g, " ").replace(/[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, "");
}

/** A value as JSON in which nothing moves a terminal either: what JSON lets stand of the characters that `clean` removes is written as \u.... */
export function jsonText(value: unknown): string {
  return jsonSafe(JSON.stringify(value));
}

/** The same for a text that is JSON already. */
export function jsonSafe(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** "8 s", "4 min 10 s", "2 h 5 min": a duration for people. */
export function formatDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 === 0 ? `${minutes} min` : `${minutes} min ${whole % 60} s`;
  const rounded = Math.round(whole / 60);
  return rounded % 60 === 0 ? `${Math.floor(rounded / 60)} h` : `${Math.floor(rounded / 60)} h ${rounded % 60} min`;
}

/** "1.4 MiB": a size for people. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 || value >= 100 ? formatCount(value) : value.toPrecision(3)} ${units[unit]}`;
}

/** "2,250": a count for people. */
export function formatCount(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ",");
}
