import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openSafetensors } from "../../src/checkpoint/safetensors.js";
import { FUZZED, fuzz } from "../fuzz/readers.js";
import { checkRefusal } from "../fuzz/survives.js";

/** The promise: no hang over 100 ms of processor time for one file. */
const CPU_MS = 100;
/** Cases of each reader; NULLSCOPE_FUZZ_CASES for a longer or shorter night. */
const CASES = Number(process.env.NULLSCOPE_FUZZ_CASES ?? 50_000);
/** Headers of safetensors files. */
const HEADERS = Number(process.env.NULLSCOPE_FUZZ_HEADERS ?? 1_000_000);
const SEED = Number(process.env.NULLSCOPE_FUZZ_SEED ?? 7);

const folder = mkdtempSync(join(tmpdir(), "nullscope-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("fuzzed readers", () => {
  test.each(FUZZED)("$what", async (fuzzed) => {
    const runs = fuzzed === FUZZED[0] ? HEADERS : CASES;
    let most = 0;
    const took = (cpuMs: number) => void (most = Math.max(most, cpuMs));
    const before = process.resourceUsage().maxRSS;
    const accepted = await fuzz(fuzzed, { runs, seed: SEED, cpuMs: CPU_MS, took });
    const grown = (process.resourceUsage().maxRSS - before) / 1024;
    console.log(
      `${fuzzed.what}: ${runs} cases, seed ${SEED}: ${accepted} read, ${runs - accepted} refused, none crashed; at most ${most.toFixed(1)} ms of processor time a case, ${grown.toFixed(0)} MiB more memory at the peak`,
    );
    expect(accepted).toBeGreaterThan(runs / 100);
    // The cases are of kilobytes: a reader that allocates by a number in the file would be far above.
    expect(grown).toBeLessThan(600);
  });
});

describe("large files", () => {
  /** A sparse file: its header, then zeros up to `size` that take no disk. */
  function sparse(name: string, header: string, size: number): string {
    const path = join(folder, name);
    const bytes = Buffer.alloc(8 + Buffer.byteLength(header));
    bytes.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
    bytes.write(header, 8);
    writeFileSync(path, bytes);
    truncateSync(path, size);
    return path;
  }

  test("a header that claims terabytes of tensors in a sparse file costs no memory until a tensor is read", async () => {
    const size = 2 ** 40;
    const length = 96;
    const data = size - 8 - length;
    const header = JSON.stringify({ w: { dtype: "U8", shape: [data], data_offsets: [0, data] } }).padEnd(length, " ");
    expect(header.length).toBe(length);
    const before = process.memoryUsage();
    const file = await openSafetensors(sparse("terabyte.safetensors", header, size));
    expect(file.tensors.get("w")!.end).toBe(size);
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(10e6);
    await file.close();
  });

  test("the largest header that is allowed, of one name, one number and deep lists, is refused within a heap of 2 GiB", () => {
    const script = `
      import { openSafetensors } from ${JSON.stringify(new URL("../../dist/checkpoint/safetensors.js", import.meta.url).href)};
      try { await openSafetensors(process.argv[2]); console.log("read"); }
      catch (error) { console.log(error.name + ": " + error.message.slice(0, 200)); }
      console.log(process.resourceUsage().maxRSS);`;
    const path = join(folder, "open.mjs");
    writeFileSync(path, script);
    for (const [name, header] of [
      ["spaces", `{${" ".repeat(99_999_000)}`],
      ["name", `{"${"x".repeat(99_999_000)}`],
      ["number", `{"a":${"9".repeat(99_999_000)}`],
      ["deep", "{".concat('"a":{'.repeat(19_000_000))],
      ["list", `{"a":{"dtype":"F32","shape":[${"1,".repeat(49_000_000)}1]`],
      ["twins", `{${'"a":1,'.repeat(16_000_000)}`],
    ] as const) {
      const file = sparse(`${name}.safetensors`, header, 8 + header.length);
      const { status, stdout, stderr } = spawnSync(process.execPath, ["--max-old-space-size=2048", path, file], {
        encoding: "utf8",
        timeout: 120_000,
      });
      expect({ name, status, stderr }).toEqual({ name, status: 0, stderr: "" });
      const [said, memory] = stdout.trimEnd().split("\n");
      expect(said, name).toMatch(/^UserError: /);
      expect(Number(memory) / 1024, `${name}: MiB`).toBeLessThan(3_000);
      rmSync(file);
    }
  });

  test("a file that grows shorter while it is read is refused", async () => {
    const header = JSON.stringify({ w: { dtype: "U8", shape: [1_000_000], data_offsets: [0, 1_000_000] } });
    const path = sparse("shrinking.safetensors", header, 8 + header.length + 1_000_000);
    const file = await openSafetensors(path);
    truncateSync(path, 500_000);
    await file.readBytes("w").then(() => expect.fail("it was read"), checkRefusal);
    await file.close();
  });
});
