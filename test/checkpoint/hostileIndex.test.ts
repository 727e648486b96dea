import { describe, expect, test } from "vitest";
import { openHuggingFace } from "../../src/checkpoint/huggingFace.js";
import { UserError } from "../../src/errors.js";
import { fixture, readJson } from "../fixtures.js";

interface Entry {
  readonly folder: string;
  readonly expect: "accept" | "reject" | "either";
  readonly why: string;
}
const { cases, canary } = readJson<{ cases: Entry[]; canary: { tensor: string; value: number } }>(
  "hostile_index/manifest.json",
);

/** What each refusal says: a wrong folder refused for the wrong reason would hide a missing check. */
const REASONS: Record<string, RegExp> = {
  bad_parent_path: /"\.\.\/x\.safetensors", a path that leads out of the folder/,
  bad_parent_path_through_subfolder: /"sub\/\.\.\/\.\.\/x\.safetensors", a path that leads out/,
  bad_parent_path_dot: /"\.\/\.\.\/x\.safetensors", a path that leads out/,
  bad_parent_path_backslash: /"\.\.\\\\x\.safetensors", a path that leads out/,
  bad_parent_path_percent: /URL encoding/,
  bad_absolute_path: /"\/nonexistent\/x\.safetensors", an absolute path/,
  bad_absolute_windows: /"C:\\\\x\.safetensors", an absolute path/,
  bad_unc_path: /a network path/,
  bad_file_url: /"file:.*a URL/,
  bad_http_url: /"https:.*a URL/,
  bad_protocol_relative_url: /"\/\/example.*a URL/,
  bad_empty_name: /an empty name/,
  bad_dot_name: /"\.", a folder/,
  bad_nul_in_name: /a control character/,
  bad_not_safetensors: /"config\.json", which is no safetensors file/,
  bad_index_as_shard: /"model\.safetensors\.index\.json", which is no safetensors file/,
  bad_missing_shard: /model-00002-of-00002\.safetensors cannot be opened \(ENOENT\)/,
  bad_tensor_absent: /"model\.norm\.weight" is listed in \S+, but no shard holds it/,
  bad_tensor_in_other_shard: /"model\.norm\.weight" is listed in \S+, but is in model-00002/,
  bad_tensor_in_two_shards: /"model\.norm\.weight" is in two shards/,
  bad_needed_tensor_not_listed: /does not list tensor "model\.norm\.weight"/,
  bad_truncated_shard: /cut off/,
  bad_shape_differs_from_config: /"model\.norm\.weight" has shape \[5\], but config\.json asks for \[4\]/,
  bad_weight_map_missing: /has no weight_map/,
  bad_weight_map_null: /weight_map is null/,
  bad_weight_map_list: /weight_map is an array/,
  bad_weight_map_empty: /weight_map is empty/,
  bad_weight_map_number: /said to be in a number/,
  bad_weight_map_list_value: /said to be in an array/,
  bad_weight_map_object: /said to be in an object/,
  bad_index_list: /is an array, not a JSON object/,
  bad_index_not_json: /not valid JSON: .*(ends|end)/,
  bad_index_empty: /not valid JSON: it ends where a value should stand/,
  bad_duplicate_key: /"model\.norm\.weight" occurs twice/,
  bad_proto_object: /has no weight_map/,
};

const prototype = () => JSON.stringify(Object.getOwnPropertyNames(Object.prototype).sort());
const before = prototype();

async function load(folder: string) {
  const checkpoint = await openHuggingFace(fixture(`hostile_index/${folder}`));
  try {
    const norm = await checkpoint.readFloats(canary.tensor);
    for (const name of checkpoint.tensors.keys()) await checkpoint.readFloats(name);
    return norm;
  } finally {
    await checkpoint.close();
  }
}

describe("sharded checkpoints with hostile indexes", () => {
  test("every bad folder of the manifest has its reason here", () => {
    const bad = cases.filter((entry) => entry.expect === "reject").map(({ folder }) => folder);
    expect(Object.keys(REASONS).sort()).toEqual(bad.sort());
    expect(bad.length).toBeGreaterThan(30);
  });

  test.each(cases.filter((entry) => entry.expect === "accept"))("$folder loads: $why", async ({ folder }) => {
    expect(await load(folder)).toEqual(await load("ok_control"));
    expect(prototype()).toBe(before);
  });

  test.each(cases.filter((entry) => entry.expect === "reject"))("$folder is refused: $why", async ({ folder }) => {
    const error = await load(folder).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).message).toMatch(REASONS[folder]!);
    expect((error as UserError).message).toContain(folder);
    expect(prototype()).toBe(before);
  });

  test.each(cases.filter((entry) => entry.expect === "either"))(
    "$folder is refused or read without leaving the folder: $why",
    async ({ folder }) => {
      const loaded = await load(folder).catch((thrown: unknown) => thrown);
      if (loaded instanceof Error) expect(loaded).toBeInstanceOf(UserError);
      else expect([...(loaded as Float32Array)]).not.toContain(canary.value);
      expect(prototype()).toBe(before);
    },
  );
});
