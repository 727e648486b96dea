import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UserError } from "../../../src/errors.js";
import { loadClaims, parseClaims } from "../../../src/study/claims/load.js";

const PART = "of: { measure: m, metric: x }\n    chance: 0\n    direction: above";
const file = (part: string) => `claims:\n  - id: X\n    statement: x\n    source: y\n    ${part}\n`;

describe("a mistake in a claims file is one sentence that says where and what to do", () => {
  test.each<[string, string, string]>([
    [
      "a key that is not known",
      file(`${PART}\n    directon: above`),
      'f.yaml: X: "directon" is not a key here; did you mean "direction"?',
    ],
    [
      "a field that is not known",
      file(PART.replace("metric: x", "metric: x, blok: 1")),
      'f.yaml: X: of: "blok" is not a key here; did you mean "block"?',
    ],
    [
      "a field of the null's rows",
      file(PART.replace("chance: 0", "chance: { metrc: y }")),
      'f.yaml: X: chance: "metrc" is not a key here; did you mean "metric"?',
    ],
    ["a key at the top", `title: t\nclaim: []\n`, 'f.yaml: "claim" is not a key here; did you mean "claims"?'],
    [
      "a direction",
      file(PART.replace("above", "up")),
      'f.yaml: X: direction must be one of "above", "below", not "up".',
    ],
    ["a place of blocks", file(PART.replace("metric: x", "metric: x, block: middle")), "f.yaml: X: of.block must be"],
    ["a chance", file(PART.replace("chance: 0", "chance: none")), 'f.yaml: X: chance must be a number or "own"'],
    ["a margin", file(`${PART}\n    margin: -1`), "f.yaml: X: margin must be at least 0, not -1."],
    ["no test", file("parts: []"), "f.yaml: X: parts must be at least 1 long, not []."],
    [
      "neither parts nor a test",
      "claims:\n  - { id: X, statement: x, source: y }",
      'f.yaml: claim X has neither parts nor "of"; add it.',
    ],
    ["no chance", file(PART.replace("    chance: 0\n", "")), 'f.yaml: claim X has neither parts nor "chance"; add it.'],
    ["no statement", file(PART).replace("    statement: x\n", ""), "f.yaml: X: statement is missing; add it."],
    [
      "parts and a test",
      file(`${PART}\n    parts: [{ id: Y, statement: s, of: { measure: m, metric: x }, chance: 0, direction: above }]`),
      'f.yaml: claim X has parts and a "of" of its own; put it into a part.',
    ],
    [
      "a ratio of one side",
      file(`${PART}\n    contrast: ratio`),
      'f.yaml: X: a ratio needs "against", the rows to compare with; add it.',
    ],
    [
      "a ratio against 0",
      file(`${PART}\n    contrast: ratio\n    against: { set: s }`),
      "f.yaml: X: the chance of a ratio must be above 0, not 0; 1 is no difference.",
    ],
    [
      "a value with another side",
      file(`${PART}\n    contrast: value\n    against: { set: s }`),
      'f.yaml: X: contrast "value" has no "against"',
    ],
    ["no YAML", "claims: [", "f.yaml is not valid YAML"],
    ["no settings", "- 1", 'f.yaml: the file must be settings as "key: value", not [1].'],
  ])("%s", (_, text, sentence) => {
    const refused = () => parseClaims(text, "f.yaml");
    expect(refused).toThrow(UserError);
    expect(refused).toThrow(sentence);
  });
});

test("the metric null may stand without quotes", () => {
  const [claim] = parseClaims(file(PART.replace("metric: x", "metric: null")), "f.yaml");
  expect(claim!.parts[0]!.of.metric).toBe("null");
});

describe("claims files", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "nullscope-claims-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("are hashed as they lie on disk, and keep their name", async () => {
    const path = join(folder, "mine.yaml");
    await writeFile(path, file(PART));
    const [loaded] = await loadClaims([path]);
    const hash = createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
    expect(loaded).toMatchObject({ name: path, sha256: hash });
    expect(loaded!.claims[0]).toMatchObject({ id: "X", parts: [{ id: "X", statement: "x", direction: "above" }] });
  });

  test("an id twice, in one file or in two, is refused", async () => {
    const [one, two] = [join(folder, "one.yaml"), join(folder, "two.yaml")];
    await writeFile(one, file(PART));
    await writeFile(two, file(PART));
    await expect(loadClaims([one, two])).rejects.toThrow(`it is in ${one} too`);
  });

  test("an unknown name and a missing file are told", async () => {
    await expect(loadClaims(["papr"])).rejects.toThrow('did you mean "paper"?');
    await expect(loadClaims([join(folder, "absent.yaml")])).rejects.toThrow("there is no such file");
  });
});
