// Adds up vitest's JSON results of a CI run and prints the plain line "N passed, N failed". Exit 1 when a test or a step failed.
// Usage: node scripts/test-summary.mjs FOLDER STEP_FAILED(0|1)
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [folder, stepFailed] = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const name of readdirSync(folder).filter((file) => file.endsWith(".json"))) {
  const results = JSON.parse(readFileSync(join(folder, name), "utf8"));
  passed += results.numPassedTests;
  // A file that cannot even be loaded has no tests to count, but it failed.
  failed +=
    results.numFailedTests +
    results.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0).length;
}
// A failed step that is no test (types, lint, build) counts as one failure.
if (stepFailed !== "0" && failed === 0) failed = 1;
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
