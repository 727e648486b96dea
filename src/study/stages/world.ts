import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { World } from "../../world/index.js";
import { canonicalJson, type JsonValue } from "../canonicalJson.js";
import type { Stage } from "../stage.js";

/** Keeps the world that everything else was made from: `world.json`, its keys sorted, since the hash does not see their order. */
export function worldStage(world: World): Stage {
  return {
    kind: "world",
    name: "world",
    version: 1,
    config: { world: world.hash },
    inputs: [],
    estimateSeconds: 0,
    run: async ({ folder }) => {
      const sorted: unknown = JSON.parse(canonicalJson(world.file as JsonValue));
      await writeFile(join(folder, "world.json"), `${JSON.stringify(sorted, null, 2)}\n`);
    },
  };
}
