import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../../src/cli/main.js";
import { linesView } from "../../src/cli/progress.js";
import type { ResultRow } from "../../src/study/results.js";
import { resultsText } from "../../src/study/resultsFiles.js";
import { sealJson } from "../../src/study/seal.js";
import type { Stage } from "../../src/study/stage.js";
import { studyClaims } from "../report/syntheticMechanisms.js";
import { behaviourRows, clusterRows, writeSyntheticRun } from "../report/syntheticRun.js";
import { memoryIo } from "./memoryIo.js";
import { tinyWorld } from "./tinyWorld.js";

/** What a terminal would obey: its title, its screen, its colours, its cursor, a link, and writing turned around. */
const EVIL =
  "e\u001b]0;title\u0007\u001b[2J\u001b]8;;http://x\u001b\\v\u009b31m\u009d\r\b\u0000i\u202el\u2066\u200f\u061c\u2028 \ud800!";

let folder: string;
let run: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-text-"));
  run = join(folder, "evil\u001b[2J\u202erun");
  const foreign = (row: ResultRow, i: number): ResultRow =>
    i % 3
      ? row
      : {
          ...row,
          checkpoint: `${EVIL}${i % 6}`,
          ...(row.set !== undefined && { set: EVIL }),
          branch: EVIL,
          matrix: EVIL,
        };
  const rows = [...behaviourRows(), ...clusterRows()].map(foreign);
  await writeSyntheticRun(run, { rows, stages: { "measure-000000000000": { name: EVIL } } });
  const claims = studyClaims().map((row) => ({
    ...{ claim: "C", verdict: "undecided", corrected: "undecided", seeds: 1, rule: EVIL, measure: EVIL },
    ...row,
    id: EVIL,
    statement: EVIL,
    reason: EVIL,
  }));
  const summary = {
    id: EVIL,
    statement: EVIL,
    source: EVIL,
    parts: [EVIL],
    verdict: "undecided",
    corrected: "undecided",
  };
  await writeFile(
    join(run, "results", "claims.json"),
    sealJson(
      JSON.stringify({
        schema: "nullscope/claims@1",
        files: [{ file: EVIL, sha256: EVIL }],
        claims: [summary],
        rows: claims,
      }),
    ),
  );
  await writeSyntheticRun(join(folder, "other"), {
    rows: rows.map((row) => ({ ...row, value: row.value / 2 })),
    config: `name: "${EVIL.replace(/[^ -~]/g, "")}"\n"\\e[2Jkey": "\\u202evalue"\n`,
  });
  await writeFile(join(folder, "w.json"), JSON.stringify({ ...tinyWorld, description: EVIL }));
  await writeFile(join(folder, "bad.json"), JSON.stringify({ ...tinyWorld, [EVIL]: EVIL }));
  await writeFile(join(folder, "bad.yaml"), `"${EVIL.replaceAll("\u0000", "").replaceAll("\ud800", "")}": 1\n`);
});
afterAll(() => rm(folder, { recursive: true }));

const ESC = String.fromCharCode(27);
/** Colours and a line that is rewritten in place, which are ours. */
const OURS = new RegExp(`${ESC}\\[[0-9;]*m|\r${ESC}\\[2K`, "g");

function expectPlain(text: string, terminal: boolean) {
  const foreign = (terminal ? text.replace(OURS, "") : text).replace(/\n/g, "");
  const found = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/u.exec(foreign);
  if (found !== null)
    expect.fail(
      `U+${found[0].codePointAt(0)!.toString(16)} in ${JSON.stringify(foreign.slice(Math.max(0, found.index - 60), found.index + 20))}`,
    );
}

describe("foreign text never moves the terminal: no control character, no mark of direction", () => {
  const plan = (...options: string[]) => [
    ...["study", "smoke", "--set", `world=${join(folder, "w.json")}`, "--plan", ...options],
    ...["--runs", join(folder, EVIL.replaceAll("\u0000", ""))],
  ];
  const commands: [string, () => string[]][] = [
    ["results", () => ["results", run]],
    ["results --json", () => ["results", run, "--format", "json"]],
    ["results of a measure that is none", () => ["results", run, "--measure", EVIL]],
    ["results with a condition", () => ["results", run, "--where", `checkpoint=${EVIL}`]],
    ["claims", () => ["claims", run]],
    ["claims --json", () => ["claims", run, "--json"]],
    ["compare", () => ["compare", run, join(folder, "other")]],
    ["compare --json", () => ["compare", run, join(folder, "other"), "--json"]],
    ["verify", () => ["verify", run]],
    ["verify --json", () => ["verify", run, "--json"]],
    ["clean", () => ["clean", run, "--dry-run"]],
    ["clean without an answer", () => ["clean", run]],
    ["report", () => ["report", run]],
    ["a run that is none", () => ["results", EVIL]],
    ["a command that is none", () => [EVIL]],
    ["an option that is none", () => ["study", `--${EVIL}`]],
    ["a preset that is none", () => ["study", EVIL]],
    ["a setting that is none", () => ["study", "--set", `${EVIL}=${EVIL}`]],
    ["a value that is none", () => ["study", "--set", `device=${EVIL.replace(/[^ -~\u202e]/g, "")}`]],
    ["a configuration", () => ["study", join(folder, "bad.yaml")]],
    ["a world", () => ["study", "--set", `world=${join(folder, "bad.json")}`]],
    ["a world that is none", () => ["study", "--set", `world=${EVIL}/w.json`]],
    ["a plan", () => plan()],
    ["a plan --json", () => plan("--json")],
    ["a claims file that is none", () => ["study", "--claims", EVIL]],
    ["an attack on a run that is damaged", () => ["attack", run, "--checkpoint", EVIL, "--attack", EVIL]],
    ["an intervention", () => ["intervene", run, "--kind", EVIL]],
    ["a world's report", () => ["world", "check", join(folder, "w.json")]],
    ["samples", () => ["data", "sample", "--world", join(folder, "w.json")]],
    ["samples of a world that is none", () => ["data", "sample", "--world", EVIL]],
    ["a graph", () => ["graph", EVIL]],
  ];
  test.each(commands)("%s", async (_, argv) => {
    for (const terminal of [false, true]) {
      const { io, written } = memoryIo({ terminal });
      await main(argv(), io);
      expect(written.out + written.err).not.toBe("");
      expect(written.err).not.toContain("fault of nullscope");
      expectPlain(written.out, terminal);
      expectPlain(written.err, terminal);
    }
  });

  test("a study as it goes on", () => {
    for (const terminal of [false, true]) {
      const { io, written } = memoryIo({ terminal });
      const view = linesView(io, () => 0);
      const stage = {
        kind: "x",
        name: EVIL,
        version: 1,
        config: null,
        inputs: [],
        run: async () => {},
      } satisfies Stage;
      const plan = {
        runFolder: EVIL,
        steps: 1,
        estimateSeconds: 0,
        estimateBytes: 0,
        stages: [{ stage, identity: "a", folder: EVIL, done: false }],
      };
      view.observer({ type: "plan", plan });
      view.observer({ type: "rejected", folder: EVIL, reason: EVIL });
      view.observer({ type: "started", stage, identity: "a", index: 1, of: 1 });
      view.observer({ type: "progress", stage, step: 1, total: 2, note: EVIL });
      view.observer({ type: "diverged", stage, identity: "a", message: EVIL });
      view.observer({ type: "skipped", stage, because: stage });
      view.observer({ type: "finished", stage, identity: "a", seconds: 1 });
      view.close();
      expect(written.out.length).toBeGreaterThan(100);
      expectPlain(written.out, terminal);
    }
  });

  test("the test sees what it looks for", () => {
    expect(() => expectPlain(EVIL, true)).toThrow("U+1b");
    expect(() => expectPlain("a\u202eb", true)).toThrow("U+202e");
    expect(resultsText("a", [], [{ measure: "a", metric: EVIL, value: 1 }])).toContain("\\u001b");
  });
});
