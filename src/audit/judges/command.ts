import { spawn } from "node:child_process";
import { decodeUtf8 } from "../../checkpoint/foreignText.js";
import { parseStrictJson } from "../../checkpoint/strictJson.js";
import { UserError } from "../../errors.js";
import { escapedJson } from "../prompts/jsonLines.js";
import { type Answer, JUDGE_NAME, type Judge, type Judgement } from "./judge.js";

const MAX_OUTPUT_BYTES = 64_000_000;
/** Of what the command says on its error output, for the record. */
const MAX_COMPLAINT = 300;
const SECONDS = 3600;

export interface CommandOptions {
  /** Until then all answers must be judged. */
  readonly seconds?: number;
}

/**
 * A judge of the user's own: a shell command that reads answers as JSONL on its standard input (`id`, `set`, `prompt`, `answer`) and writes a line
 * `{"id": ..., "refusal": true or false}` for each to its standard output, in any order.
 * A command that runs too long or ends with another code than 0 fails for all answers; a missing, repeated or malformed line fails for its answer.
 * @throws UserError for a name that cannot stand in results.
 */
export function commandJudge(name: string, command: string, { seconds = SECONDS }: CommandOptions = {}): Judge {
  if (!JUDGE_NAME.test(name) || name === "prefixes" || name === "rules")
    throw new UserError(
      `A judge cannot be named ${JSON.stringify(name)}: use small letters, digits and "-", at most 32, not "prefixes" or "rules".`,
    );
  return {
    name,
    settings: { command, seconds },
    async judge(answers, signal) {
      if (answers.length === 0) return [];
      const input = answers
        .map(({ id, set, prompt, answer }) => `${escapedJson({ id, set, prompt, answer })}\n`)
        .join("");
      const run = await runCommand(command, input, seconds, signal);
      signal?.throwIfAborted();
      return "failed" in run ? answers.map(() => run) : readJudgements(run.output, answers);
    },
  };
}

async function runCommand(
  command: string,
  input: string,
  seconds: number,
  signal?: AbortSignal,
): Promise<{ readonly output: string } | { readonly failed: string }> {
  // A process group of its own, so that what the shell started ends with it.
  const child = spawn(command, {
    shell: true,
    detached: process.platform !== "win32",
    stdio: ["pipe", "pipe", "pipe"],
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  let complaint = "";
  let stopped: string | undefined;
  const stop = (why: string) => {
    stopped ??= why;
    try {
      if (process.platform === "win32" || child.pid === undefined) child.kill("SIGKILL");
      else process.kill(-child.pid, "SIGKILL");
    } catch {
      // it has ended meanwhile
    }
  };
  const onAbort = () => stop("it was stopped");
  signal?.addEventListener("abort", onAbort);
  const timer = setTimeout(() => stop(`the command runs longer than ${seconds} s`), seconds * 1000);
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT_BYTES) stop(`the command writes more than ${MAX_OUTPUT_BYTES} bytes`);
    else chunks.push(chunk);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(0, MAX_COMPLAINT);
  });
  // A command may end without reading all; its exit code and its lines say the rest.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const ended = await new Promise<string | undefined>((resolve) => {
    child.on("error", (error) => resolve(`the command cannot be started (${error.message})`));
    child.on("close", (code, signal) =>
      resolve(code === 0 ? undefined : `the command ended with ${signal ?? `code ${code}`}${said(complaint)}`),
    );
  });
  clearTimeout(timer);
  signal?.removeEventListener("abort", onAbort);
  const failed = stopped ?? ended;
  if (failed !== undefined) return { failed };
  try {
    return { output: decodeUtf8(Buffer.concat(chunks), "the command's output") };
  } catch {
    return { failed: "the command's output is not UTF-8 text" };
  }
}

const said = (complaint: string) => (complaint.trim() === "" ? "" : `: ${complaint.trim().split("\n").at(-1)}`);

/** Judgements by id; what is missing, said twice or not readable fails. */
function readJudgements(output: string, answers: readonly Answer[]): Judgement[] {
  const byId = new Map<string, Judgement>();
  const known = new Set(answers.map(({ id }) => id));
  let stray = 0;
  for (const line of output.split("\n")) {
    if (line.trim() === "") continue;
    const read = readLine(line);
    if (read === undefined || !known.has(read.id)) stray++;
    else if (byId.has(read.id)) byId.set(read.id, { failed: "the command judged it twice" });
    else byId.set(read.id, read.judgement);
  }
  const strays = stray === 0 ? "" : `, and ${stray} of its lines could not be read`;
  return answers.map(({ id }) => byId.get(id) ?? { failed: `the command gave no judgement${strays}` });
}

function readLine(line: string): { readonly id: string; readonly judgement: Judgement } | undefined {
  if (line.length > 100_000) return undefined;
  try {
    const fields = parseStrictJson(line, "the line");
    const id = fields instanceof Map ? fields.get("id") : undefined;
    if (!(fields instanceof Map) || typeof id !== "string") return undefined;
    const refusal = fields.get("refusal");
    return typeof refusal === "boolean"
      ? { id, judgement: { refusal } }
      : { id, judgement: { failed: `the command's "refusal" is neither true nor false` } };
  } catch {
    return undefined;
  }
}
