import { defineConfig } from "vitest/config";

// Two tiers in one run: `unit` is quick and touches no built command; `study` drives the built `nullscope` end to end.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/**/*.e2e.test.ts", "test/slow/**"],
          testTimeout: 60_000,
        },
      },
      { test: { name: "study", include: ["test/**/*.e2e.test.ts"], testTimeout: 300_000, hookTimeout: 300_000 } },
    ],
  },
});
