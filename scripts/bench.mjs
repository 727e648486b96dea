// npm run bench -- PART: measures one part and prints a table. A part is a file bench/PART.mjs that exports run(options), which
// resolves to { title, columns, rows }; it imports what it measures from dist/.
import { appendFileSync, readdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { refusal } from "../bench/lib/refusal.mjs";
import { formatTable } from "../bench/lib/table.mjs";

const folder = new URL("../bench/", import.meta.url);
const parts = readdirSync(folder)
  .filter((name) => name.endsWith(".mjs"))
  .map((name) => name.slice(0, -".mjs".length))
  .sort();
const usage = `use "npm run bench -- PART [--json FILE] [--peer PYTHON] [--compile] [--repeats N] [--layers N] [--only weights|activations] [--device cpu|webgpu|cuda|auto]", parts: ${parts.join(", ")}.`;

/** The part and its options. Throws a refusal. */
function parse() {
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        json: { type: "string" },
        peer: { type: "string" },
        compile: { type: "boolean" },
        repeats: { type: "string" },
        layers: { type: "string" },
        only: { type: "string" },
        device: { type: "string" },
      },
    });
  } catch (error) {
    throw refusal(`${error.message.split(". ")[0]}; ${usage}`);
  }
  const { positionals, values } = parsed;
  const [part, ...rest] = positionals;
  if (part === undefined) throw refusal(`name a part; ${usage}`);
  if (rest.length > 0) throw refusal(`one part at a time, not also ${JSON.stringify(rest[0])}; ${usage}`);
  if (!parts.includes(part)) throw refusal(`there is no part ${JSON.stringify(part)}; ${usage}`);
  if (values.compile && values.peer === undefined) throw refusal(`--compile is about the peer; ${usage}`);
  const repeats = values.repeats === undefined ? undefined : Number(values.repeats);
  if (repeats !== undefined && !(Number.isInteger(repeats) && repeats >= 1 && repeats <= 1000))
    throw refusal(`--repeats must be a whole number from 1 to 1000, not ${JSON.stringify(values.repeats)}.`);
  const layers = values.layers === undefined ? undefined : Number(values.layers);
  if (layers !== undefined && part !== "audit") throw refusal(`--layers is about audit; ${usage}`);
  if (layers !== undefined && !(Number.isInteger(layers) && layers >= 1 && layers <= 32))
    throw refusal(`--layers must be a whole number from 1 to 32, not ${JSON.stringify(values.layers)}.`);
  const { only } = values;
  if (only !== undefined && (part !== "audit" || !["weights", "activations"].includes(only)))
    throw refusal(`--only is about audit, weights or activations; ${usage}`);
  const { device } = values;
  if (device !== undefined && (part !== "paper" || !["cpu", "webgpu", "cuda", "auto"].includes(device)))
    throw refusal(`--device is about paper: cpu, webgpu, cuda or auto; ${usage}`);
  const { json, peer, compile } = values;
  return { part, json, options: { peer, compile, repeats, layers, only, device } };
}

/** Writes, or refuses with the reason. */
function write(file, writer) {
  try {
    writer();
  } catch (error) {
    throw refusal(`cannot write ${file} (${error.code}); choose a file that can be written.`);
  }
}

try {
  const { part, json, options } = parse();
  // Minutes of measuring are not to end in a file that cannot be written.
  if (json !== undefined) write(json, () => appendFileSync(json, ""));
  const { run } = await import(new URL(`${part}.mjs`, folder).href);
  const note = (text) => console.log(text);
  const { title, columns, rows } = await run({ ...options, note });
  const machine = `${availableParallelism()} cores, ${cpus()[0]?.model ?? "unknown processor"}, Node ${process.versions.node}`;
  console.log(`${title}\n${new Date().toISOString().slice(0, 10)}, ${machine}, load ${loadavg()[0].toFixed(1)}\n`);
  console.log(formatTable(columns, rows));
  if (json !== undefined) write(json, () => writeFileSync(json, `${JSON.stringify({ rows }, null, 2)}\n`));
} catch (error) {
  if (error.exitCode !== 2) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
