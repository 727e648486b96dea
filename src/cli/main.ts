#!/usr/bin/env node
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import { closest } from "fastest-levenshtein";
import { UserError } from "../errors.js";
import { nullscopeVersion } from "../study/runConfig.js";
import { registerAttack } from "./attack.js";
import { registerAudit } from "./audit.js";
import { registerCheckpoint } from "./checkpoint.js";
import { registerClaims } from "./claims.js";
import { registerClean } from "./clean.js";
import { registerCompare } from "./compare.js";
import { registerData } from "./data.js";
import { registerDoctor } from "./doctor.js";
import { registerGraph } from "./graph.js";
import { registerIntervene } from "./intervene.js";
import { clean, type Io, processIo } from "./io.js";
import { registerProfile } from "./profile.js";
import { registerPrompts } from "./prompts.js";
import { registerReport } from "./report.js";
import { registerResults } from "./results.js";
import { registerStudy } from "./study.js";
import { registerSweep } from "./sweep.js";
import { registerVerify } from "./verify.js";
import { registerWorld } from "./world.js";

/** How long the last words wait for their reader, once the process was told to stop. */
const LINGER_MS = 2000;

/** The `nullscope` command with all its subcommands. */
export function createProgram(io: Io): Command {
  const program = new Command("nullscope")
    .description(
      "What did safety fine-tuning do to this model, and why do jailbreaks still get through?\n\n" +
        "Makes a synthetic world in which every answer is computable, trains a small transformer in it, " +
        "safety-tunes it, attacks it, and measures what changed inside. Every number has its interval and its null.",
    )
    .version(nullscopeVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err, outputError: () => {} })
    .addHelpText(
      "after",
      `
Examples:
  nullscope study quick            a whole study in minutes; open runs/quick/report.html
  nullscope study quick --plan     what it would do, and how long that takes
  nullscope results quick          its numbers
  nullscope study --help           all about one command

Exit codes: 0 done; 1 a fault of nullscope, or damage that verify found; 2 a mistake in what it was given;
3 done, but the loss of a stage diverged; 130 stopped by Ctrl-C, 143 by SIGTERM,
129 by a closed terminal, 141 by a reader that went away.`,
    );
  registerStudy(program, io);
  registerAudit(program, io);
  registerAttack(program, io);
  registerIntervene(program, io);
  registerReport(program, io);
  registerResults(program, io);
  registerClaims(program, io);
  registerCompare(program, io);
  registerData(program, io);
  registerWorld(program, io);
  registerSweep(program, io);
  registerVerify(program, io);
  registerClean(program, io);
  registerCheckpoint(program, io);
  registerGraph(program, io);
  registerProfile(program, io);
  registerPrompts(program, io);
  registerDoctor(program, io);
  return program;
}

/**
 * Runs one command line and returns its exit code. Never throws: a mistake of the user is one line, anything else a
 * stack trace and where to report it.
 * @param argv the words after `nullscope`.
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const program = createProgram(io);
  try {
    if (argv.length === 0) program.outputHelp();
    else await program.parseAsync([...argv], { from: "user" });
    return io.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0; // help or version was asked for, and printed
      io.err(`nullscope: ${clean(usageSentence(error, argv, program))}\n`);
      return 2;
    }
    if (error instanceof UserError) {
      io.err(`nullscope: ${clean(error.message)}\n`);
      return error.exitCode;
    }
    io.err(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    io.err(
      "nullscope: this is a fault of nullscope, not yours; please report it with the lines above and the command.\n",
    );
    return 1;
  }
}

/** Commander's complaint as one sentence that ends in what to do. */
function usageSentence(error: CommanderError, argv: readonly string[], program: Command): string {
  if (error.code === "commander.unknownCommand" || error.code === "commander.help") {
    // The command that was reached, such as `nullscope data`, and the word that names none of its subcommands.
    const words = argv.filter((word) => !word.startsWith("-"));
    const parent = program.commands.find((command) => command.name() === words[0]) ?? program;
    const known = parent.commands.map((command) => command.name());
    const given = words[parent === program ? 0 : 1];
    const whose = parent === program ? "" : `${parent.name()} `;
    if (given === undefined) return `"nullscope ${whose.trim()}" needs one of its commands: ${known.join(", ")}.`;
    return `There is no command ${JSON.stringify(whose + given)}; did you mean ${JSON.stringify(whose + closest(given, known))}? Commands: ${known.join(", ")}.`;
  }
  const [what, hint] = error.message.replace(/^error: /, "").split("\n");
  const suggestion = hint === undefined ? "" : ` ${hint.replace(/^\(|\)$/g, "")}`;
  return `${what!.charAt(0).toUpperCase()}${what!.slice(1)};${suggestion || ` see "nullscope ${argv[0]?.startsWith("-") ? "" : `${argv[0]} `}--help".`}`;
}

// Run as a command (npm links it under another name), not imported by a test or a script.
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2), processIo());
  // Told to stop, it does not wait for a reader that stands still: all that matters is on the disk.
  if (process.exitCode > 128) setTimeout(() => process.exit(), LINGER_MS).unref();
}
