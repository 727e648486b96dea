// Writes worlds/*.json from src/world/shipped.ts. Run it after a build, only when the shipped worlds are meant to change:
// their hashes are the identity of every study made in them.
import { mkdirSync, writeFileSync } from "node:fs";
import { shippedWorldFiles } from "../dist/world/index.js";

const folder = new URL("../worlds/", import.meta.url);
mkdirSync(folder, { recursive: true });
for (const file of shippedWorldFiles()) {
  writeFileSync(new URL(`${file.name}.json`, folder), `${JSON.stringify(file, null, 2)}\n`);
  console.log(`worlds/${file.name}.json`);
}
