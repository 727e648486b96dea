import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { UserError } from "../../src/errors.js";
import { studySchema } from "../../src/study/config.js";
import { methodOptions, withDefaultOptions } from "../../src/study/methodOptions.js";
import { PRESETS } from "../../src/study/presets.js";
import { resolveConfig, settingPaths } from "../../src/study/resolveConfig.js";
import { runConfigText } from "../../src/study/runConfig.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "nullscope-config-"));
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;
async function file(text: string): Promise<string> {
  const path = join(folder, `study-${count++}.yaml`);
  await writeFile(path, text);
  return path;
}
const refused = (from: Parameters<typeof resolveConfig>[0]) =>
  resolveConfig(from).then(
    () => "accepted",
    (error: unknown) => (error instanceof UserError ? error.message : error),
  );

describe("presets", () => {
  test.each(Object.keys(PRESETS))("%s is a valid configuration by its own name", async (name) => {
    const config = await resolveConfig({ source: name });
    expect(config).toEqual({ ...PRESETS[name as keyof typeof PRESETS], name });
  });

  test("an unknown preset names the nearest", async () => {
    expect(await refused({ source: "quik" })).toMatch(/no preset "quik"; did you mean "quick"\?/);
    expect(await refused({ source: "constructor" })).toMatch(/no preset "constructor"/);
  });
});

describe("changes", () => {
  test("--set reaches nested settings, is read as YAML, and later ones win", async () => {
    const config = await resolveConfig({
      set: [
        "tune.rates.medium=2e-3",
        "tune.rates.large=0.1",
        "tune.options.dpo.gamma=0.5",
        "tune.options.unlearning.gamma.large=0.2",
        "tune.rates.small=null",
        "pretrain.betas=[0.8, 0.9]",
        "tune.steps=7",
        "tune.steps=8",
      ],
    });
    expect(config.tune.rates).toEqual({ medium: 2e-3, large: 0.1 });
    expect(config.pretrain.betas).toEqual([0.8, 0.9]);
    expect(config.tune.steps).toBe(8);
    expect(config.tune.options.dpo).toMatchObject({ beta: 0.1, gamma: 0.5 });
    expect(methodOptions(config.tune.options, "dpo", "large")).toMatchObject({ beta: 0.1, gamma: 0.5 });
    expect(methodOptions(config.tune.options, "unlearning", "large")).toMatchObject({ gamma: 0.2 });
    expect(methodOptions(config.tune.options, "unlearning", "medium")).toMatchObject({ gamma: 0.1 });
    expect(config.model).toEqual(PRESETS.quick.model);
  });

  test("--seeds counts from --seed, and --seed alone keeps the number of seeds", async () => {
    expect((await resolveConfig({ seeds: 3 })).seeds).toEqual([0, 1, 2]);
    expect((await resolveConfig({ seeds: 2, seed: 5 })).seeds).toEqual([5, 6]);
    expect((await resolveConfig({ seed: 7, set: ["seeds=[1, 4]"] })).seeds).toEqual([7, 8]);
  });

  test("a file lies on its preset, and its name is the run's", async () => {
    const path = join(folder, "mine.yaml");
    await writeFile(path, "preset: smoke\nmodel:\n  blocks: 3\n");
    const config = await resolveConfig({ source: path });
    expect(config).toEqual({ ...PRESETS.smoke, name: "mine", model: { ...PRESETS.smoke.model, blocks: 3 } });
    expect((await resolveConfig({ source: path, name: "other" })).name).toBe("other");
  });

  test("a run's own config.yaml gives the same configuration again", async () => {
    const config = await resolveConfig({ source: "quick", seeds: 2 });
    const text = runConfigText(config);
    expect(parse(text)).toMatchObject({ versions: { node: process.versions.node } });
    expect(await resolveConfig({ source: await file(text) })).toEqual(config);
  });
});

describe("what is refused, in one sentence that says where", () => {
  test.each([
    [["tune.stpes=200"], '--set tune.stpes=200: "tune.stpes" is not a setting; did you mean "tune.steps"?'],
    [["learningRate=1"], '"learningRate" is not a setting; did you mean "pretrain.learningRate"?'],
    [["modle.width=64"], '"modle" is not a setting; did you mean "model"?'],
    [["model.__proto__.width=1"], '"model.__proto__" is not a setting'],
    [["pretrain.steps=1.5"], "pretrain.steps must be a whole number, not 1.5."],
    [["pretrain.steps=many"], 'pretrain.steps must be a number, not "many".'],
    [["pretrain.steps=0"], "pretrain.steps must be at least 1, not 0."],
    [["pretrain.steps=1e99"], "pretrain.steps must be"],
    [["pretrain.learningRate=.nan"], "pretrain.learningRate must be a number"],
    [["pretrain.betas=[0.9]"], "pretrain.betas must be"],
    [["pretrain.betas=[0.9, 1]"], "pretrain.betas.1 must be less than 1, not 1."],
    [["model.heads=3"], "model.heads must divide model.width, not 3."],
    [["model.residual=post-ln"], 'model.residual must be one of "pre-ln", "released", not "post-ln".'],
    [["model.width=null"], "model.width is missing"],
    [["model=7"], "model must be settings"],
    [["tune.warmup=601"], "tune.warmup must not exceed tune.steps, not 601."],
    [["tune.rates.Big=1"], "tune.rates.Big: must be a lower-case word."],
    [["tune.rates={}", "tune.rates.medium=null", "tune.rates.small=null"], "tune.rates must name at least one rate"],
    [["tune.methods=[ssft, orpo]"], 'tune.methods.1 must be one of "ssft", "dpo", "dpo-standard", "unlearning", "npo"'],
    [["tune.options.dpo.bta=1"], 'tune.options.dpo.bta" is not a setting; did you mean "tune.options.dpo.beta"?'],
    [["tune.options.dpoo.beta=1"], '"tune.options.dpoo" is not a setting; did you mean "tune.options.dpo"?'],
    [["tune.options.dpo.beta=much"], 'tune.options.dpo.beta must be a number, not "much".'],
    [["tune.options.dpo.beta=-1"], "tune.options.dpo.beta must be at least 0, not -1."],
    [["tune.options.dpo.gamma.small=much"], 'tune.options.dpo.gamma.small must be a number, not "much".'],
    [["tune.options.dpo.likelihood=median"], 'must be one of "sum", "mean", not "median".'],
    [["tune.options.npo.beta=0"], "tune.options.npo.beta must be more than 0, not 0."],
    [["tune.rates.large=1"], 'tune.options.dpo.gamma must be one value, or have one for the rate "large" too'],
    [["tune.controls.methods=[frozen]"], 'tune.controls.methods.0 must be one of "continue", "shuffled"'],
    [["tune.controls.rates=[large]"], 'tune.controls.rates.0 must be a name in tune.rates, not "large".'],
    [["tune.dynamics.rates=[large]"], "tune.dynamics.rates.0 must be a name in tune.rates"],
    [["tune.dynamics.fractions=[0]"], "tune.dynamics.fractions.0 must be more than 0, not 0."],
    [["evaluate.dynamicsSamples=7"], "evaluate.dynamicsSamples must be at least 8, not 7"],
    [["evaluate.mechanismSamples=7"], "evaluate.mechanismSamples must be at least 8, not 7"],
    [["seeds=[1, 1]"], "seeds must differ from each other"],
    [["measures=[cluster]"], 'measures.0 must be one of "behaviour", "clusters", "column-space"'],
    [["threads"], "a change is written key=value"],
    [["=1"], "a change is written key=value"],
    [["a..b=1"], "a change is written key=value"],
    [["threads=[1"], "is not valid YAML"],
    [["name=../up"], "name must be 1 to 64"],
    [["name=a..b"], "name must be 1 to 64"],
    [["name="], "name"],
    [["evaluate.samples=7"], "evaluate.samples must be at least 8, not 7"],
  ])("--set %j", async (set, message) => {
    expect(await refused({ set })).toContain(message);
  });

  test.each(["..", "a/b", ".hidden", "-x", "", "a b", "x".repeat(65), "a\u0000b"])("the run name %j", async (name) => {
    expect(await refused({ name })).toMatch(/^--name .*name must be 1 to 64 letters/s);
  });

  test.each([
    ["modle: {}", '"modle" is not a setting; did you mean "model"?'],
    ["preset: quikc", 'no preset "quikc"; did you mean "quick"?'],
    ["preset: 7", "preset must be one of"],
    ["width: [", "is not valid YAML"],
    ["preset: quick\nname: a\nname: b", 'has the key "name" twice in one place'],
    ["- a", 'must hold settings as "key: value"'],
    ["name: x", "is missing; set it, or start from a preset"],
    ["", "is missing"],
  ])("a file with %j", async (text, message) => {
    const path = await file(text);
    const answer = await refused({ source: path });
    expect(answer).toContain(message);
    expect(answer).toContain(path);
  });

  test("a file that is not there, and a folder", async () => {
    expect(await refused({ source: join(folder, "absent.yaml") })).toContain("there is no such file");
    expect(await refused({ source: `${folder}/` })).toContain("it is a folder");
  });

  test("YAML that grows without bound by aliases", async () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < 9; i++)
      lines.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(", ")}]`,
      );
    expect(await refused({ source: await file(lines.join("\n")) })).toContain("write the value out");
  });
});

test("every preset sets every setting of the schema, and the options of the methods that it runs", () => {
  const has = (tree: unknown, path: string) =>
    path.split(".").every((key) => (tree = (tree as Record<string, unknown> | undefined)?.[key]) !== undefined);
  const needed = settingPaths(studySchema).filter((path) => path !== "name" && !path.startsWith("tune.options."));
  for (const preset of Object.values(PRESETS)) {
    expect(needed.filter((path) => !has(preset, path))).toEqual([]);
    expect(withDefaultOptions(preset.tune.options, preset.tune.methods)).toEqual(preset.tune.options);
  }
});

test("what a file leaves out of a method's options is in the run's configuration all the same", async () => {
  const path = await file(
    "preset: quick\ntune:\n  methods: [npo, simpo]\n  options:\n    npo: {beta: {medium: 1, small: 2}}\n",
  );
  const { tune } = await resolveConfig({ source: path });
  expect(tune.options.npo).toEqual({ beta: { medium: 1, small: 2 }, retain: 1, likelihood: "sum" });
  expect(tune.options.simpo).toEqual({ beta: 2, gamma: 1 });
});
