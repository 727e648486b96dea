// Adds up vitest's JSON results of a CI run, names every test that failed with the first line of its error, and prints the plain line
// "N passed, N failed" last. Exit 1 when a test or a step failed.
// Usage: node scripts/test-summary.mjs FOLDER STEP_FAILED(0|1)
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [folder, stepFailed] = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const name of readdirSync(folder).filter((file) => file.endsWith(".json"))) {
  const results = JSON.parse(readFileSync(join(folder, name), "utf8"));
  passed += results.numPassedTests;
  for (const file of results.testResults) {
    const fails = file.assertionResults.filter((test) => test.status === "failed");
    // A file that cannot even be loaded has no tests to count, but it failed.
    if (file.status === "failed" && fails.length === 0)
      fails.push({ fullName: "(the file)", failureMessages: [file.message] });
    failed += fails.length;
    for (const test of fails)
      console.log(`FAILED ${name} ${file.name}\n  ${test.fullName}\n${indented(test.failureMessages.join("\n"), 15)}`);
  }
}
// A failed step that is no test (types, lint, build) counts as one failure.
if (stepFailed !== "0" && failed === 0) failed = 1;
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);

/** The first `lines` lines of a text. */
function indented(text, lines) {
  return text
    .split("\n")
    .slice(0, lines)
    .map((line) => `    ${line}`)
    .join("\n");
}
