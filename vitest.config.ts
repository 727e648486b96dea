import { defineConfig } from "vitest/config";
import { softwareAdapterEnv } from "./test/softwareAdapter.js";

// Two tiers in one run: `unit` is quick and touches no built command; `study` runs whole studies, audits, attacks and reports, in the process or by the
// built `nullscope`.
const results = process.env.NULLSCOPE_TEST_RESULTS;
export default defineConfig({
  test: {
    // Every core: by default one stays idle, half of a small machine.
    maxWorkers: "100%",
    reporters: results === undefined ? ["default"] : ["default", ["json", { outputFile: results }]],
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/**/*.{e2e,study}.test.ts", "test/**/webgpu.test.ts", "test/slow/**"],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      // A graphics driver is found by the environment that its process begins with.
      {
        test: {
          name: "webgpu",
          include: ["test/**/webgpu.test.ts"],
          pool: "forks",
          env: softwareAdapterEnv(),
          testTimeout: 300_000,
        },
      },
      {
        test: { name: "study", include: ["test/**/*.{e2e,study}.test.ts"], testTimeout: 900_000, hookTimeout: 900_000 },
      },
    ],
  },
});
