import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The built command: a test that kills processes needs one that is its own. */
export const command = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** Words of a study of seconds in which training is most of the work; the world is `tiny.json` of the working folder. */
export function studyWords(name: string, ...more: readonly string[]): string[] {
  const changes = [
    "world=tiny.json",
    "model={width: 16, blocks: 1, heads: 2, mlp: 32, residual: pre-ln}",
    "pretrain={steps: 1000, warmup: 5, batch: 8}",
    "tune={steps: 20, batch: 8, methods: [dpo]}",
    "measures=[behaviour]",
    "attacks.run=[]",
    "interventions.run=[]",
    "tune.rates.small=null",
    "tune.controls.methods=[]",
    "tune.dynamics.fractions=[0.5]",
    "evaluate={samples: 20, dynamicsSamples: 8, batch: 10}",
  ];
  return ["study", "smoke", "--name", name, ...changes.flatMap((change) => ["--set", change]), ...more];
}

/** sha256 over every file of results and stages but the manifests, which hold times. */
export async function runBytes(run: string): Promise<string> {
  const hash = createHash("sha256");
  for (const part of ["results", "stages"])
    for (const path of (await readdir(join(run, part), { recursive: true, withFileTypes: true }))
      .filter((one) => one.isFile() && one.name !== "manifest.json")
      .map((one) => join(one.parentPath, one.name))
      .sort())
      hash
        .update(relative(run, path))
        .update("\0")
        .update(await readFile(path));
  return hash.digest("hex");
}
