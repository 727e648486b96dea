import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSafetensors } from "../../src/checkpoint/safetensors.js";
import { main } from "../../src/cli/main.js";
import { fixture, readJson } from "../fixtures.js";
import { memoryIo } from "./memoryIo.js";

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "nullscope-inspect-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function inspect(...argv: string[]) {
  const { io, written } = memoryIo();
  const code = await main(["checkpoint", "inspect", ...argv], io);
  return { code, ...written };
}

describe("nullscope checkpoint inspect", () => {
  test.each(["a_llama2", "b_llama3_sharded", "c_llama31_rope", "d2_mistral_sliding", "e_qwen2", "f2_gpt2_hubnames"])(
    "%s: parameters, dtypes and tensors as the fixture's own record has them",
    async (name) => {
      const { code, out } = await inspect(fixture(`checkpoints/${name}`), "--json");
      expect(code).toBe(0);
      const found = JSON.parse(out);
      const golden = name.startsWith("f2") ? "f_gpt2" : name;
      const facts = readJson<{ parameter_count: number; stored_dtype: string; model: Record<string, unknown> }>(
        `checkpoints/${golden}/golden.json`,
      );
      expect(found.parameters).toBe(facts.parameter_count);
      const dtype = { float32: "F32", bfloat16: "BF16", float16: "F16" }[facts.stored_dtype]!;
      expect(Object.keys(found.dtypes)).toEqual([dtype]);
      expect(found.config).toMatchObject({
        vocabulary: facts.model.vocab,
        width: facts.model.hidden,
        blocks: facts.model.layers,
        heads: facts.model.heads,
        mlp: facts.model.intermediate,
      });
      expect(found.tensors.every((one: { nan: number; infinite: number }) => one.nan + one.infinite === 0)).toBe(true);
    },
  );

  test("people get one line per kind of tensor", async () => {
    const { code, out } = await inspect(fixture("checkpoints/b_llama3_sharded"));
    expect(code).toBe(0);
    expect(out).toContain("a sound llama checkpoint, 160,320 parameters, 321 kB in 4 files");
    expect(out).toContain("8 heads (2 of keys and values) of width 8");
    expect(out).toMatch(/model\.layers\.0\.\.3\.mlp\.gate_proj\.weight +BF16 +\[128, 64\] +4 x 16\.4 kB/);
  });

  test("NaN, infinities and constant tensors are found in every dtype, wherever they stand", async () => {
    for (const [name, file, nan, infinity] of [
      ["a_llama2", "model.safetensors", [0, 0, 0xc0, 0x7f], [0, 0, 0x80, 0xff]],
      ["b_llama3_sharded", "model-00001-of-00004.safetensors", [0xc0, 0x7f], [0x80, 0xff]],
      ["c_llama31_rope", "model.safetensors", [1, 0x7c], [0, 0xfc]],
    ] as const) {
      const folder = join(scratch, name);
      cpSync(fixture(`checkpoints/${name}`), folder, { recursive: true });
      const bytes = readFileSync(join(folder, file));
      const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString());
      const start = 8 + Number(bytes.readBigUInt64LE(0));
      const place = (tensor: string) => (header[tensor].data_offsets as [number, number]).map((at) => start + at);
      const gate = place("model.layers.0.mlp.gate_proj.weight");
      bytes.set(nan, gate[1]! - nan.length);
      bytes.set(infinity, gate[0]!);
      bytes.set(infinity, gate[0]! + 2 * infinity.length);
      const up = place("model.layers.0.mlp.up_proj.weight");
      bytes.fill(0, up[0], up[1]);
      writeFileSync(join(folder, file), bytes);
      expect(parseSafetensors(bytes).tensors.size).toBeGreaterThan(0);
      const { code, out } = await inspect(folder);
      expect(code).toBe(0);
      expect(out).toContain("odd: model.layers.0.mlp.gate_proj.weight holds 1 NaN.");
      expect(out).toContain("odd: model.layers.0.mlp.gate_proj.weight holds 2 infinite values.");
      expect(out).toContain("odd: model.layers.0.mlp.up_proj.weight is 0 everywhere.");
      expect((await inspect(folder, "--headers")).out).toContain("values were not read");
    }
  });

  test("the largest magnitude is the tensor's, read from its bits", async () => {
    for (const name of ["a_llama2", "c_llama31_rope"]) {
      const { out } = await inspect(fixture(`checkpoints/${name}`), "--json");
      for (const { largest } of JSON.parse(out).tensors as { largest: number }[]) expect(largest).toBeGreaterThan(0);
    }
    const { out } = await inspect(fixture("checkpoints/a_llama2"), "--json");
    const stored = parseSafetensors(readFileSync(fixture("checkpoints/a_llama2/model.safetensors"))).tensors;
    for (const { name, largest } of JSON.parse(out).tensors as { name: string; largest: number }[])
      expect(largest).toBe(
        (stored.get(name)!.data as Float32Array).reduce((most, x) => Math.max(most, Math.abs(x)), 0),
      );
  });

  test("what is wrong is one sentence, and the exit code is 2", async () => {
    for (const [folder, message] of [
      ["/nowhere", /^nullscope: \/nowhere cannot be read as a checkpoint folder \(ENOENT\); check the path\.\n$/],
      [fixture("hostile_index/bad_parent_path"), /a path that leads out of the folder/],
      [fixture("adamw"), /holds neither model\.safetensors nor/],
    ] as const) {
      const { code, err, out } = await inspect(folder);
      expect(code).toBe(2);
      expect(err).toMatch(message);
      expect(err.trim().split("\n")).toHaveLength(1);
      expect(out).toBe("");
    }
  });

  test("names from the file reach no terminal as control characters", async () => {
    const folder = join(scratch, "names");
    cpSync(fixture("checkpoints/a_llama2"), folder, { recursive: true });
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, model_type: "\u001b[31mllama" }));
    const { code, err } = await inspect(folder);
    expect(code).toBe(2);
    expect(err).not.toContain("\u001b");
  });
});
