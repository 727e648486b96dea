// Makes a fresh clone ready: installs dependencies and builds when either is missing or out of date. Node built-ins only,
// because it runs before anything is installed (npm's prestart and pretest).
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    `nullscope needs Node 20.19 or newer; this is ${process.versions.node}. Install a newer Node and run the same command again.`,
  );
  process.exit(2);
}

/** Runs a command with its output on our terminal; stops the set-up when it fails. */
function run(what, command, args, env = {}) {
  // npm hands its own command line to its children as npm_config_* variables; they must not leak into the nested npm.
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...env },
    shell: process.platform === "win32",
  });
  if (result.status !== 0) {
    console.error(
      `nullscope: ${what} failed (${result.error?.message ?? `exit ${result.status}`}). Nothing else was changed; the same command tries again.`,
    );
    process.exit(1);
  }
}

const lock = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
const installed = join(root, "node_modules", ".nullscope-lock");
if (!existsSync(installed) || readFileSync(installed, "utf8") !== lock) {
  console.log("nullscope: installing dependencies (npm ci, no install scripts) ...");
  // ONNX Runtime's install script would download CUDA files; the CPU and WebGPU binaries are in the package already.
  run("installing dependencies", "npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    ONNXRUNTIME_NODE_INSTALL: "skip",
  });
  writeFileSync(installed, lock);
}
run("building", process.execPath, [join(root, "scripts", "build.mjs"), "--if-changed"]);
