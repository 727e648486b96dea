import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openSafetensors, parseSafetensors } from "../../src/checkpoint/safetensors.js";
import { UserError } from "../../src/errors.js";

// Hand-made files; the manifest says what a strict reader must do with each, and the exact bytes of the good ones.
const folder = fileURLToPath(new URL("../fixtures/hostile_safetensors/", import.meta.url));

interface Entry {
  file: string;
  expect: "accept" | "reject" | "either";
  why: string;
  valid: boolean;
  tensors?: { name: string; dtype: string; shape: number[]; hex: string }[];
  metadata?: Record<string, string>;
}
const manifest = JSON.parse(readFileSync(`${folder}manifest.json`, "utf8")) as { files?: Entry[] } | Entry[];
const entries = Array.isArray(manifest) ? manifest : manifest.files!;

const prototypes = [Object.prototype, Array.prototype, Map.prototype, String.prototype];
const snapshot = () => JSON.stringify(prototypes.map((prototype) => Object.getOwnPropertyNames(prototype)));

async function load(path: string) {
  const file = await openSafetensors(path);
  try {
    const bytes = new Map<string, string>();
    for (const name of file.tensors.keys()) bytes.set(name, Buffer.from(await file.readBytes(name)).toString("hex"));
    return { tensors: file.tensors, metadata: file.metadata, bytes };
  } finally {
    await file.close();
  }
}

describe("hostile safetensors files", () => {
  test("the manifest and the folder name the same files", async () => {
    const files = (await readdir(folder)).filter((name) => name.endsWith(".safetensors")).sort();
    expect(entries.map((entry) => entry.file).sort()).toEqual(files);
  });

  test.each(entries.filter((entry) => entry.expect === "accept"))(
    "$file loads with its exact bytes: $why",
    async (entry) => {
      const before = snapshot();
      const { tensors, metadata, bytes } = await load(folder + entry.file);
      const expected = new Map((entry.tensors ?? []).map((tensor) => [tensor.name, tensor]));
      expect([...tensors.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [name, { dtype, shape, hex }] of expected) {
        expect(tensors.get(name)).toMatchObject({ dtype, shape });
        expect(bytes.get(name)).toBe(hex);
      }
      // Through JSON on both sides: __proto__ is an own key only there.
      const pairs = [...metadata].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
      expect(JSON.parse(`{${pairs.join(",")}}`)).toEqual(entry.metadata ?? {});
      expect(snapshot()).toBe(before);
    },
  );

  test.each(entries.filter((entry) => entry.expect === "reject"))("$file is refused: $why", async (entry) => {
    const before = snapshot();
    const error = await load(folder + entry.file).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    // The file is named, and something beyond its name is said.
    expect((error as UserError).message).toContain(entry.file);
    expect((error as UserError).message.replace(folder + entry.file, "").length).toBeGreaterThan(15);
    const inMemory = await readFile(folder + entry.file);
    expect(() => parseSafetensors(inMemory)).toThrow(UserError);
    expect(snapshot()).toBe(before);
  });

  test.each(entries.filter((entry) => entry.expect === "either"))(
    "$file is refused or read as it stands: $why",
    async (entry) => {
      const before = snapshot();
      const loaded = await load(folder + entry.file).catch((thrown: unknown) => thrown);
      if (loaded instanceof Error) expect(loaded).toBeInstanceOf(UserError);
      else
        for (const { name, shape, hex } of entry.tensors ?? []) {
          const { tensors, bytes } = loaded as Awaited<ReturnType<typeof load>>;
          expect(tensors.get(name)).toMatchObject({ shape });
          expect(bytes.get(name)).toBe(hex);
        }
      expect(snapshot()).toBe(before);
    },
  );

  // The rule that each refusal names: a wrong file refused for the wrong reason would hide a missing check.
  test.each([
    ["bad_seven_bytes", "too few"],
    ["bad_header_over_100MB", "more than the format's"],
    ["bad_header_length_u64_max", "more than the format's"],
    ["bad_header_longer_than_file", "cut off"],
    ["bad_leading_space", "does not begin with '{'"],
    ["bad_bom", "does not begin with '{'"],
    ["bad_overlong_utf8", "UTF-8"],
    ["bad_lone_surrogate_escape", "surrogate"],
    ["bad_nul_padding", "after the value"],
    ["bad_raw_control_character", "control character"],
    ["bad_deep_nesting", "levels of nesting"],
    ["bad_duplicate_name_escaped", "twice"],
    ["bad_duplicate_metadata_key", "twice"],
    ["bad_duplicate_field", "twice"],
    ["bad_hole_between", "belong to no tensor"],
    ["bad_overlap_identical", "overlaps"],
    ["bad_offset_over_2_53", "2^53"],
    ["bad_offset_float", "fraction"],
    ["bad_begin_after_end", "before it begins"],
    ["bad_shape_overflow_to_zero", "more than 2^53"],
    ["bad_size_mismatch", "take"],
    ["bad_dtype_proto", "dtype"],
    ["bad_truncated_data", "cut off"],
    ["bad_trailing_bytes", "no tensor"],
    ["bad_metadata_number", "strings"],
  ])("%s is refused for its own reason: %s", async (name, reason) => {
    await expect(load(`${folder}${name}.safetensors`)).rejects.toThrow(reason);
  });
});
