import { createRequire } from "node:module";
import { stringify } from "yaml";
import type { StudyConfig } from "./config.js";
import { sealYaml } from "./seal.js";

/** Versions of what computes: numbers may differ in their last digits between two of them. */
export type Versions = Readonly<Record<"nullscope" | "node" | "onnxruntime", string>>;

/** Which claims a run is to decide, fixed before its first stage. */
export interface RecordedClaims {
  /** A name of `claims/`, or a path. */
  readonly file: string;
  readonly sha256: string;
}

const require = createRequire(import.meta.url);
const versionOf = (path: string) => (require(path) as { version: string }).version;

/** This package's own version. */
export const nullscopeVersion = (): string => versionOf("../../package.json");

export function versions(): Versions {
  return {
    nullscope: nullscopeVersion(),
    node: process.versions.node,
    onnxruntime: versionOf("onnxruntime-node/package.json"),
  };
}

/** `config.yaml` of a run: every setting, nothing left to a default, and the versions. It can be given to `nullscope study` again. */
export function runConfigText(config: StudyConfig, claims: readonly RecordedClaims[] = []): string {
  const recorded = claims.map(({ file, sha256 }) => ({ file, sha256 }));
  const all = { ...versions(), ...(recorded.length > 0 && { claims: recorded }) };
  return sealYaml(
    `# The whole configuration of this run. "nullscope study" takes this file too.\n${stringify({ ...config, versions: all }, { aliasDuplicateObjects: false })}`,
  );
}
