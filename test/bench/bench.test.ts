import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { alternate, mean, median, medianRatio } from "../../bench/lib/alternate.mjs";
import { startPeer } from "../../bench/lib/peer.mjs";
import { formatTable } from "../../bench/lib/table.mjs";

const script = fileURLToPath(new URL("../../scripts/bench.mjs", import.meta.url));
const bench = (...words: string[]) => spawnSync(process.execPath, [script, ...words], { encoding: "utf8" });

describe("medians", () => {
  it("takes the middle of the values by size, not by place or by spelling", () => {
    expect(median([10, 9, 1])).toBe(9);
    expect(median([4, 100, 2, 8])).toBe(6);
    expect(median([7])).toBe(7);
  });

  it("refuses no values", () => {
    expect(() => median([])).toThrow(RangeError);
  });

  it("pairs each round with its own rival, so that a slow round divides out", () => {
    expect(medianRatio([1, 10, 3], [2, 20, 6])).toBe(0.5);
    expect(() => medianRatio([1, 2], [1])).toThrow(/no pairs/);
  });

  it("means are sums over counts", () => {
    expect(mean([1, 2, 6])).toBe(3);
  });
});

describe("alternation", () => {
  it("gives every rival one turn a round and changes who begins", async () => {
    const order: string[] = [];
    const rival = (name: string) => () => order.push(name);
    const costs = await alternate({ ours: rival("o"), peer: rival("p"), third: rival("t") }, 3);
    expect(order.join("")).toBe("optptotop");
    expect(costs).toEqual({ ours: [1, 6, 8], peer: [2, 4, 9], third: [3, 5, 7] });
  });
});

describe("tables", () => {
  it("align numbers to the right and words to the left, and show what was not measured as a dash", () => {
    const rows = [
      { shape: "small", ours: 51.82, ratio: 1.051 },
      { shape: "a larger one", ours: 12345.6, ratio: null },
    ];
    expect(formatTable(["shape", "ours", "ratio"], rows)).toBe(
      ["shape           ours  ratio", "small           51.8   1.05", "a larger one  12,346      -"].join("\n"),
    );
  });
});

describe("the bench command", () => {
  it("refuses an unknown part in one sentence that names the parts", () => {
    const { status, stderr, stdout } = bench("stap");
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^bench: there is no part "stap"; .*parts: .*step.*\n$/);
  });

  it.each([
    [[], /name a part/],
    [["step", "world"], /one part at a time/],
    [["step", "--repeats", "0"], /whole number from 1 to 1000, not "0"/],
    [["step", "--compile"], /--compile is about the peer/],
    [["step", "--device", "webgpu"], /--device is about paper: cpu, webgpu, cuda or auto/],
    [["paper", "--device", "gpu"], /--device is about paper: cpu, webgpu, cuda or auto/],
    [["step", "--pear", "x"], /Unknown option '--pear'/],
    [["step", "--json", join(tmpdir(), "no-such-folder", "x.json")], /cannot write .*ENOENT/],
  ])("refuses %j in one sentence", (words, sentence) => {
    const { status, stderr } = bench(...words);
    expect(status).toBe(2);
    expect(stderr).toMatch(sentence);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  it("has a file for every part that the documentation names", () => {
    const files = readdirSync(new URL("../../bench/", import.meta.url)).filter((name) => name.endsWith(".mjs"));
    expect(files.sort()).toEqual([
      "audit.mjs",
      "cost.mjs",
      "decode.mjs",
      "paper.mjs",
      "pretrain.mjs",
      "soft-prompt.mjs",
      "startup.mjs",
      "step.mjs",
      "world.mjs",
    ]);
  });
});

describe("the peer", () => {
  const options = (notes: string[]) => ({ threads: 1, note: (text: string) => void notes.push(text) });

  it("refuses an interpreter that does not exist, in one sentence", async () => {
    await expect(startPeer("/no/such/python", options([]))).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/^cannot run the interpreter \/no\/such\/python \(ENOENT\); give --peer a Python/),
    });
  });

  it("goes on without a peer, and says so, where the interpreter has no PyTorch", async () => {
    const notes: string[] = [];
    // Node is an interpreter that cannot import torch.
    expect(await startPeer(process.execPath, options(notes))).toBeUndefined();
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/^No peer: .* cannot import torch and numpy/);
  });
});
