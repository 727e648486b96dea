import { createInterface } from "node:readline";

/** Where a command writes, from outside: the terminal, or a test's memory. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** People watch: a line may be rewritten in place. */
  readonly terminal: boolean;
  /** Width of the terminal, in characters. */
  readonly columns: number;
  /** Calls `handler` at Ctrl-C (and at a scheduler's SIGTERM), until the returned function is called. */
  onInterrupt(handler: () => void): () => void;
  /** Asks a person to confirm; absent where nobody can be asked. */
  readonly confirm?: (question: string) => Promise<boolean>;
  /** Ends the process at once. */
  quit(code: number): void;
  /** What the process exits with when the command returns; commands set it. */
  exitCode: number;
}

/** The process's own terminal. */
export function processIo(): Io {
  // A reader that goes away (`nullscope results quick | head`) is no error of ours.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    terminal: process.stdout.isTTY === true,
    columns: process.stdout.columns ?? 80,
    onInterrupt: (handler) => {
      process.on("SIGINT", handler);
      process.on("SIGTERM", handler);
      return () => {
        process.off("SIGINT", handler);
        process.off("SIGTERM", handler);
      };
    },
    ...(process.stdin.isTTY === true && process.stderr.isTTY === true && { confirm }),
    quit: (code) => process.exit(code),
    exitCode: 0,
  };
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
  return text.replace(/[\n\t]+/g, " ").replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, "");
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
