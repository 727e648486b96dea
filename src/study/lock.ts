import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../errors.js";
import { errorCode, type FileSystem } from "./fileSystem.js";
import { sha256 } from "./manifest.js";

const holderSchema = z.object({
  pid: z.int().min(1),
  host: z.string(),
  since: z.string(),
  /** When the process began, in the kernel's own clock: a process number is used again, this pair is not. */
  processStart: z.string().nullable(),
});
type Holder = z.infer<typeof holderSchema>;

/** Gives a run back. */
export type Release = () => Promise<void>;

/**
 * Takes the run for this process. A lock left by a process of this machine that no longer lives is taken over.
 * @throws UserError saying who holds the run and since when.
 */
export async function lockRun(
  files: FileSystem,
  runFolder: string,
  now: Date = new Date(),
  processes: Processes = systemProcesses,
): Promise<Release> {
  const own: Holder = {
    pid: process.pid,
    host: hostname(),
    since: now.toISOString(),
    processStart: await processes.start(process.pid),
  };
  const text = new TextEncoder().encode(`${JSON.stringify(own)}\n`);
  const asideOf = (path: string) => `${path}.${own.host}-${own.pid}.tmp`;

  const take = async (path: string): Promise<Release> => {
    // Written aside, made durable and linked into place, so that nobody ever reads half a lock, not even after a power cut.
    const aside = asideOf(path);
    try {
      for (let tries = 0; tries < 3; tries++) {
        try {
          // A dead process of our number may have left it, as a second name of its lock: writing into it would write into that.
          await files.remove(aside);
          await files.write(aside, text);
          await files.sync(aside);
          await files.link(aside, path);
          return async () => {
            if (sameBytes(await files.read(path).catch(() => undefined), text)) await files.remove(path);
          };
        } catch (error) {
          // ENOENT: the holder took our file for a dead process's leftover.
          if (errorCode(error) !== "EEXIST" && !(errorCode(error) === "ENOENT" && tries < 2)) throw error;
        }
        await removeStale(path);
      }
      throw new UserError(
        `The run ${runFolder} is being taken by another process at this moment; wait for it or choose another --name.`,
      );
    } finally {
      await files.remove(aside);
    }
  };

  /** Removes the lock at `path` if its holder is dead; throws if the holder may live. */
  const removeStale = async (path: string): Promise<void> => {
    const seen = await files.read(path).catch(() => undefined);
    if (seen === undefined) return; // given back meanwhile
    const holder = parseHolder(seen);
    if (holder === undefined)
      throw new UserError(`${path} is not a lock that can be read; remove it if no other process works on this run.`);
    if (holder.host !== hostname() || (await lives(holder, processes)))
      throw new UserError(
        `The run ${runFolder} is in use by process ${holder.pid} on ${holder.host} since ${holder.since}; wait for it or choose another --name${holder.host === hostname() ? "" : `, and remove ${path} if that process is gone`}.`,
      );
    // Several may find the same dead lock, and the slow ones must not remove the lock of the quick one: to remove this very lock takes a lock of its own.
    const release = await take(`${path}.${sha256(seen).slice(0, 12)}.tmp`);
    try {
      if (sameBytes(await files.read(path).catch(() => undefined), seen)) await files.remove(path);
    } finally {
      await release();
    }
  };

  return take(join(runFolder, "lock.json"));
}

function parseHolder(bytes: Uint8Array): Holder | undefined {
  try {
    return holderSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
  } catch {
    return undefined;
  }
}

async function lives({ pid, processStart: start }: Holder, processes: Processes): Promise<boolean> {
  if (!processes.exists(pid)) return false;
  const current = await processes.start(pid);
  return start === null || current === null || current === start;
}

/** What the system says of its processes. */
export interface Processes {
  exists(pid: number): boolean;
  /** When the process began, as a text that no other process with its number has; null where the system does not tell. */
  start(pid: number): Promise<string | null>;
}

const systemProcesses: Processes = {
  exists: (pid) => {
    try {
      process.kill(pid, 0); // signal 0 only asks
    } catch (error) {
      if (errorCode(error) === "ESRCH") return false;
      if (errorCode(error) !== "EPERM") throw error; // EPERM: it lives, under another user
    }
    return true;
  },
  start: processStart,
};

/** The boot and the clock tick at which a process began, where the kernel tells (Linux); null elsewhere. */
async function processStart(pid: number): Promise<string | null> {
  try {
    const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // Field 22; the command's name in field 2 may hold spaces and brackets, so count from its end.
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return ticks === undefined ? null : `${boot}:${ticks}`;
  } catch {
    return null;
  }
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i]);
}
