import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { closest } from "fastest-levenshtein";
import { UserError } from "../errors.js";
import { resolveDevice } from "../study/devices.js";
import { loadWorld } from "../study/loadWorld.js";
import { PROGRAM_STAGES, type ProgramStage, stageProgram } from "../study/programs.js";
import { resolveConfig } from "../study/resolveConfig.js";
import { emitOnnx, formatShape } from "../tensor/index.js";
import { clean, type Io } from "./io.js";
import { gather } from "./options.js";

interface GraphOptions {
  readonly study: string;
  readonly set?: readonly string[];
  readonly method?: string;
  readonly out: string;
}

/** Adds `nullscope graph`. */
export function registerGraph(program: Command, io: Io): void {
  program
    .command("graph")
    .description("Write the ONNX graph that a stage runs, to be looked at in Netron (https://netron.app).")
    .argument("<stage>", `one of ${PROGRAM_STAGES.join(", ")}`)
    .requiredOption("--out <file>", "the .onnx file to write")
    .option("--study <preset|file>", "the study whose stage it is", "quick")
    .option("--set <key=value>", "change a setting of the study; may be repeated", gather)
    .option("--method <name>", "of the stage tune: which of the study's methods or controls (default: the first)")
    .addHelpText(
      "after",
      `
Examples:
  nullscope graph pretrain --out pretrain.onnx           one whole training step: forward, backward, clip, AdamW
  nullscope graph tune --method dpo --out dpo.onnx       the same with both answers and the reference model
  nullscope graph behaviour --study smoke --out decode.onnx`,
    )
    .action(async (stage: string, options: GraphOptions) => {
      if (!PROGRAM_STAGES.includes(stage as ProgramStage))
        throw new UserError(
          `There is no stage ${JSON.stringify(stage)} with a graph; did you mean ${JSON.stringify(closest(stage, PROGRAM_STAGES))}? Stages: ${PROGRAM_STAGES.join(", ")}.`,
        );
      const config = await resolveConfig({
        source: options.study,
        ...(options.set !== undefined && { set: options.set }),
      });
      const program = stageProgram(config, await loadWorld(config.world), stage as ProgramStage, options.method);
      const model = emitOnnx(program, {
        device: config.device === "auto" ? await resolveDevice("auto") : config.device,
      });
      await writeFile(options.out, model).catch((error: NodeJS.ErrnoException) => {
        throw new UserError(
          `Cannot write ${options.out} (${error.code ?? error.message}); choose a file that can be written.`,
        );
      });
      const ports = (tensors: typeof program.inputs) =>
        Object.entries(tensors).map(([name, { dtype, shape }]) => `  ${name}: ${dtype} ${formatShape(shape)}`);
      io.out(
        `${clean(options.out)}: ${program.name}, ${model.length} bytes\ninputs\n${ports(program.inputs).join("\n")}\noutputs\n${ports(program.outputs).join("\n")}\n`,
      );
    });
}
