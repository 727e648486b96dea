// The house has one staircase: a room may import the rooms below it, never above, and nothing may go in a circle.
// docs/decisions.md says why; docs/architecture in README names the rooms.

/** What each room may import of ours, besides itself and src/errors.ts. */
const mayImport = {
  random: [],
  stats: [],
  tensor: [],
  world: ["random"],
  model: ["tensor", "random"],
  checkpoint: ["model", "tensor"],
  train: ["model", "tensor", "world", "random", "stats"],
  attack: ["train", "model", "tensor", "world", "random", "stats"],
  analysis: ["attack", "train", "model", "tensor", "world", "random", "stats"],
  study: ["analysis", "attack", "train", "checkpoint", "model", "world", "tensor", "random", "stats"],
  audit: ["study", "analysis", "attack", "train", "checkpoint", "model", "world", "tensor", "random", "stats"],
  report: ["study", "stats"],
  cli: [
    "report",
    "audit",
    "study",
    "analysis",
    "attack",
    "train",
    "checkpoint",
    "model",
    "world",
    "tensor",
    "random",
    "stats",
  ],
};

/** Rooms that also run in a browser: no Node built-in, no native runtime. */
const platformNeutral = ["random", "stats", "tensor", "world", "model", "train", "attack", "analysis"];

export default {
  forbidden: [
    { name: "no-circles", severity: "error", from: {}, to: { circular: true } },
    ...Object.entries(mayImport).map(([room, below]) => ({
      name: `${room}-imports-down`,
      severity: "error",
      from: { path: `^src/${room}/` },
      to: { path: "^src/", pathNot: [`^src/${room}/`, "^src/errors\\.ts$", ...below.map((r) => `^src/${r}/`)] },
    })),
    {
      name: "neutral-rooms-import-no-node",
      severity: "error",
      from: { path: `^src/(${platformNeutral.join("|")})/` },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "neutral-rooms-import-no-native-runtime",
      severity: "error",
      from: { path: `^src/(${platformNeutral.join("|")})/` },
      to: { path: "node_modules/(onnxruntime-node|onnxruntime-web|@resvg)" },
    },
    { name: "no-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "types", "default"],
      extensions: [".ts", ".js", ".mjs", ".json"],
    },
  },
};
