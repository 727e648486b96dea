// Compiles src/ to dist/ with tsc. With --if-changed it does nothing when no source changed since the last build.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const stamp = join(root, "dist", ".build");

const hash = createHash("sha256");
const files = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name))
  .sort();
for (const file of [
  ...files,
  ...["tsconfig.json", "tsconfig.build.json", "package-lock.json"].map((name) => join(root, name)),
])
  hash.update(file.slice(root.length)).update("\0").update(readFileSync(file));
const digest = hash.digest("hex");

if (process.argv.includes("--if-changed") && existsSync(stamp) && readFileSync(stamp, "utf8") === digest)
  process.exit(0);

console.log("nullscope: building ...");
rmSync(join(root, "dist"), { recursive: true, force: true });
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const result = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json")], {
  cwd: root,
  stdio: "inherit",
});
if (result.status !== 0) process.exit(result.status ?? 1);
const main = join(root, "dist", "cli", "main.js");
if (existsSync(main)) chmodSync(main, 0o755);
writeFileSync(stamp, digest);
