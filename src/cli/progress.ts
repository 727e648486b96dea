import { basename } from "node:path";
import type { StudyEvent, StudyObserver, StudyPlan } from "../study/observer.js";
import type { Stage } from "../study/stage.js";
import { clean, formatCount, formatDuration, type Io, jsonText } from "./io.js";

/** Shows a study to people. `close` ends a line that is still being rewritten. */
export interface ProgressView {
  readonly observer: StudyObserver;
  close(): void;
}

type Progress = Extract<StudyEvent, { type: "progress" }>;
type Now = () => number;

/** A terminal's line moves ten times a second; a log file gets a line every five seconds, a machine an event every second. */
const LIVE_MS = 100;
const PLAIN_MS = 5_000;
const JSON_MS = 1_000;
/** A longer plan is summarised: nobody reads a hundred lines before the first step. */
const PLAN_LINES = 40;

/** The plan, one stage a line, what is done already marked. */
export function formatPlan({ stages, steps, estimateSeconds, estimateBytes, runFolder }: StudyPlan): string {
  const open = stages.filter((one) => !one.done);
  const facts = [
    `${formatCount(open.length)} of ${formatCount(stages.length)} stages to run`,
    ...(steps > 0 ? [`${formatCount(steps)} steps`] : []),
    ...(estimateSeconds > 0 ? [`about ${formatDuration(estimateSeconds)}`] : []),
    ...(estimateBytes > 0 ? [`about ${formatCount(estimateBytes / 2 ** 20)} MiB of memory`] : []),
  ];
  const shown = stages.slice(0, PLAN_LINES);
  const width = Math.max(30, ...shown.map(({ stage }) => clean(stage.name).length)) + 2;
  const lines = shown.map(({ stage, done }) => {
    const about = [
      ...(stage.steps === undefined ? [] : [`${formatCount(stage.steps)} steps`]),
      ...(stage.estimateSeconds ? [`about ${formatDuration(stage.estimateSeconds)}`] : []),
    ];
    return `  ${done ? "done" : "run "}  ${clean(stage.name).padEnd(width)}${done ? "" : about.join(", ")}`.trimEnd();
  });
  if (stages.length > PLAN_LINES) lines.push(`  ... and ${formatCount(stages.length - PLAN_LINES)} more`);
  return `Plan for ${clean(runFolder)}: ${facts.join(", ")}\n${lines.join("\n")}\n`;
}

/** "1,125/2,250  21.3 steps/s  53 s left  loss 1.234" */
export function formatProgress({ step, total, rate, secondsLeft, note }: Progress): string {
  return [
    `${formatCount(step)}/${formatCount(total)}`,
    ...(rate === undefined ? [] : [`${rate >= 100 ? formatCount(rate) : rate.toPrecision(3)} steps/s`]),
    ...(secondsLeft === undefined || step >= total ? [] : [`${formatDuration(secondsLeft)} left`]),
    ...(note === undefined ? [] : [clean(note)]),
  ].join("  ");
}

/** Lines for people: on a terminal the latest progress is rewritten in place, elsewhere it is a line now and then. */
export function linesView(io: Io, now: Now = () => performance.now()): ProgressView {
  /** The stages that run now, in the order of their start. */
  const running = new Map<Stage, { readonly label: string; shown: number; latest: string }>();
  let rewritten = Number.NEGATIVE_INFINITY;
  let live = false;

  const line = (text: string) => {
    if (live) io.out("\r\x1b[2K");
    live = false;
    io.out(`${text}\n`);
  };
  const labelOf = (stage: Stage) => running.get(stage)?.label ?? clean(stage.name);
  const progress = (event: Progress) => {
    const one = running.get(event.stage) ?? {
      label: labelOf(event.stage),
      shown: Number.NEGATIVE_INFINITY,
      latest: "",
    };
    one.latest = `${one.label}  ${formatProgress(event)}`;
    if (io.terminal) {
      if (now() - rewritten < LIVE_MS) return;
      rewritten = now();
      const all = [...running.values()].map(({ latest }) => latest).filter((latest) => latest !== "");
      io.out(`\r\x1b[2K${(all.length === 0 ? one.latest : all.join(" | ")).slice(0, Math.max(20, io.columns - 1))}`);
      live = true;
    } else {
      if (now() - one.shown < PLAIN_MS && event.step < event.total) return;
      one.shown = now();
      line(one.latest);
    }
  };

  const observer = (event: StudyEvent) => {
    switch (event.type) {
      case "plan": {
        const count = event.plan.stages.length;
        if (event.plan.stages.every((one) => one.done))
          return line(
            `Everything is done already: ${formatCount(count)} ${count === 1 ? "stage" : "stages"} verified, none to run.`,
          );
        return line(formatPlan(event.plan).trimEnd());
      }
      case "rejected":
        return line(`Skipped ${clean(basename(event.folder))}, it is made again: ${clean(event.reason)}.`);
      case "started":
        running.set(event.stage, {
          label: `[${event.index}/${event.of}] ${clean(event.stage.name)}`,
          shown: Number.NEGATIVE_INFINITY,
          latest: "",
        });
        rewritten = Number.NEGATIVE_INFINITY;
        return line(labelOf(event.stage));
      case "resumed":
        return line(`${labelOf(event.stage)}  goes on after step ${formatCount(event.step)}`);
      case "progress":
        return progress(event);
      case "finished":
        line(`${labelOf(event.stage)}  finished in ${formatDuration(event.seconds)}`);
        running.delete(event.stage);
        return;
      case "diverged":
        running.delete(event.stage);
        return line(`DIVERGED ${clean(event.stage.name)}: ${clean(event.message)}`);
      case "skipped":
        return line(`Skipped ${clean(event.stage.name)}: ${clean(event.because.name)} diverged.`);
      case "interrupted":
        return;
    }
  };
  return {
    observer,
    close: () => {
      if (live) io.out("\n");
      live = false;
    },
  };
}

/** One JSON object a line for machines; the field `event` says which. Progress comes at most once a second, and at the end. */
export function jsonView(io: Io, now: Now = () => performance.now()): ProgressView {
  const shown = new Map<Stage, number>();
  const send = (event: object) => io.out(`${jsonText(event)}\n`);
  const observer = (event: StudyEvent) => {
    if (event.type === "progress") {
      if (now() - (shown.get(event.stage) ?? Number.NEGATIVE_INFINITY) < JSON_MS && event.step < event.total) return;
      shown.set(event.stage, now());
    }
    send(asJson(event));
  };
  return { observer, close: () => {} };
}

/** An event as plain data, stages by their names. */
export function asJson(event: StudyEvent): object {
  if (event.type === "plan") return { event: "plan", ...planJson(event.plan) };
  const { type, ...rest } = event;
  const named = Object.entries(rest).map(([key, value]) => [
    key,
    key === "stage" || key === "because" ? (value as Stage | undefined)?.name : value,
  ]);
  return { event: type, ...Object.fromEntries(named) };
}

/** The plan as plain data. */
export function planJson({ stages, ...sums }: StudyPlan): object {
  return {
    ...sums,
    stages: stages.map(({ stage, identity, done }) => ({
      name: stage.name,
      kind: stage.kind,
      identity,
      done,
      ...(stage.steps !== undefined && { steps: stage.steps }),
      ...(stage.estimateSeconds !== undefined && { estimateSeconds: stage.estimateSeconds }),
    })),
  };
}
