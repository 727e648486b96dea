import { expect, test } from "vitest";
import { FUZZED, fuzz } from "./readers.js";

// A hundred times what the slow tier allows: here a hang is looked for, not a slow machine.
const CPU_MS = 10_000;

test.each(FUZZED)("$what: hostile input is read or refused in one sentence", async (fuzzed) => {
  const runs = fuzzed === FUZZED[0] ? 2_000 : 150;
  const accepted = await fuzz(fuzzed, { runs, seed: 1, cpuMs: CPU_MS });
  // Inputs that are all refused at the door would test nothing behind it.
  expect(accepted).toBeGreaterThan(runs / 100);
  expect(accepted).toBeLessThan(runs);
});
