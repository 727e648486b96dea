import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.js";
import type { ResultRow } from "../study/results.js";
import { checkpointParts, isControl, methodTitle, orderCheckpoints, tunedMethods } from "./checkpoints.js";
import type { Figure } from "./figure.js";
import { writeFigures } from "./figureFiles.js";
import { activationSpaceFigures } from "./figures/activationSpace.js";
import { attackFigure } from "./figures/attacks.js";
import {
  directionFigure,
  generatedClustersFigure,
  generatedDirectionFigure,
  generatedRowSpaceFigure,
  generatedSpaceFigure,
  pathByBlockFigure,
} from "./figures/auditActivations.js";
import { columnSpaceFigures } from "./figures/columnSpace.js";
import { behaviourDynamics, clusterDynamics } from "./figures/dynamics.js";
import { interventionFigures } from "./figures/interventions.js";
import { jailbreakFigure } from "./figures/jailbreaks.js";
import { layerOverlapFigure } from "./figures/layerOverlap.js";
import { overlapFigures } from "./figures/overlap.js";
import { patchingFigure } from "./figures/patching.js";
import { probesFigure } from "./figures/probes.js";
import { refusalDirectionFigure } from "./figures/refusalDirection.js";
import { rowSpaceFigures } from "./figures/rowSpace.js";
import { sensitivityFigures } from "./figures/sensitivity.js";
import { spectraFigures } from "./figures/spectra.js";
import { jailbreakTauFigure, tauFigure } from "./figures/tau.js";
import { tauOutcomesFigure } from "./figures/tauOutcomes.js";
import { trainingFigure } from "./figures/training.js";
import { twinFigures } from "./figures/twins.js";
import { weightsFigures } from "./figures/weights.js";
import { filterForm } from "./filters.js";
import { type Html, html } from "./html.js";
import { figureMarkup, renderPage, type Section } from "./page.js";
import { type RunData, readRun } from "./readRun.js";
import { type Drawn, digestOf, remembered } from "./remembered.js";
import { checkReport, REPORT_MANIFEST, writeReportManifest } from "./reportFiles.js";
import { distinct, plainCheckpoints, select } from "./rows.js";
import { attackOrderSection } from "./sections/attackOrder.js";
import { auditHeadline, auditLede, auditOf } from "./sections/audit.js";
import { behaviourSection } from "./sections/behaviour.js";
import { claimsSection } from "./sections/claims.js";
import { examplesSection } from "./sections/examples.js";
import { answers, headline } from "./sections/headline.js";
import { configurationSection, measuresSection, timesSection } from "./sections/provenance.js";
import { sentenceList } from "./words.js";

export interface WrittenReport {
  /** Path of `report.html`. */
  readonly html: string;
  /** Paths of `figures/*.svg` and `figures/*.png`, sorted. */
  readonly figures: string[];
}

/**
 * Writes `report.html` and `figures/` into a run folder from its result files. The same files give the same bytes; only the durations, in a
 * section of their own, differ between two runs. Throws UserError when there are no results or the folder cannot be written.
 */
export async function writeReport(runFolder: string): Promise<WrittenReport> {
  const run = await readRun(runFolder);
  const figures = drawFigures(run);
  const page = reportPage(run, figures);
  const path = join(runFolder, "report.html");
  try {
    await forgetUnvouched(runFolder);
    const paths = await writeFigures(
      join(runFolder, "figures"),
      Object.values(figures).flatMap((drawn) => drawn.figures),
    );
    // Under another name first: a reader never meets half a page.
    await writeFile(`${path}.tmp`, page);
    await rename(`${path}.tmp`, path);
    await writeReportManifest(runFolder, run, [path, ...paths]);
    return { html: path, figures: paths };
  } catch (error) {
    await rm(`${path}.tmp`, { force: true }).catch(() => undefined);
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined) throw error;
    throw new UserError(
      `The report could not be written into ${runFolder} (${code}). Make the folder writable or free some space, then run "nullscope report ${runFolder}".`,
    );
  }
}

/** A figure that is there already is kept, so one that no manifest vouches for has to go first; and the manifest, for it holds no longer. */
async function forgetUnvouched(runFolder: string): Promise<void> {
  const { present, from, damaged } = await checkReport(runFolder);
  if (present && from === undefined) await rm(join(runFolder, "figures"), { recursive: true, force: true });
  for (const { path } of damaged) await rm(join(runFolder, path), { force: true });
  await rm(join(runFolder, REPORT_MANIFEST), { force: true });
}

/** What each section's figures are drawn from: the measures whose rows they read, and how they are drawn. */
const DRAWINGS = {
  jailbreaks: [["behaviour"], (rows) => present([jailbreakFigure(rows)])],
  attacks: [["attacks"], (rows) => present([attackFigure(rows)])],
  clusters: [
    ["clusters", "clusters-generated"],
    (rows) =>
      present([
        tauFigure(rows),
        ...twinFigures(rows),
        generatedClustersFigure(rows),
        jailbreakTauFigure(rows),
        tauOutcomesFigure(rows),
      ]),
  ],
  spectra: [["clusters"], spectraFigures],
  columnSpace: [["column-space"], columnSpaceFigures],
  activationSpace: [
    ["activation-space", "activation-space-generated"],
    (rows) => [...activationSpaceFigures(rows), ...present([generatedSpaceFigure(rows)])],
  ],
  rowSpace: [
    ["row-space", "row-space-generated"],
    (rows) => [...rowSpaceFigures(rows), ...present([generatedRowSpaceFigure(rows)])],
  ],
  sensitivity: [["sensitivity"], sensitivityFigures],
  interventions: [
    ["interventions", "alpha-path"],
    (rows) => [...interventionFigures(rows), ...present([pathByBlockFigure(rows)])],
  ],
  dynamics: [
    ["behaviour", "clusters", "training"],
    (rows) => present([behaviourDynamics(rows), clusterDynamics(rows)]),
  ],
  refusalDirection: [
    ["refusal-direction", "refusal-direction-generated"],
    (rows) => present([refusalDirectionFigure(rows), directionFigure(rows), generatedDirectionFigure(rows)]),
  ],
  probes: [["probes"], (rows) => present([probesFigure(rows)])],
  patching: [["patching"], (rows) => present([patchingFigure(rows)])],
  overlap: [["overlap"], overlapFigures],
  weights: [["weights"], weightsFigures],
  layerOverlap: [["overlap"], (rows) => present([layerOverlapFigure(rows)])],
  training: [["training"], (rows) => present([trainingFigure(rows)])],
} as const satisfies Record<string, readonly [readonly string[], (rows: readonly ResultRow[]) => readonly Figure[]]>;

type Figures = Readonly<Record<keyof typeof DRAWINGS, Drawn>>;

/** Every figure that the run's rows allow, by section. Colours depend on which checkpoints the whole run has. */
function drawFigures({ rows, name }: RunData): Figures {
  const names = [name, ...plainCheckpoints(rows)];
  const digests = new Map(
    distinct(rows, "measure").map((measure) => [measure, digestOf(names, select(rows, { measure }))]),
  );
  const entries = Object.entries(DRAWINGS).map(([section, [measures, draw]]): [string, Drawn] => {
    const digest = measures.map((measure) => digests.get(measure) ?? "").join(" ");
    return [
      section,
      remembered(section, `${name} ${digest}`, () => {
        const figures = draw(rows);
        return { figures, markup: figures.map((figure) => figureMarkup(figure, name)) };
      }),
    ];
  });
  return Object.fromEntries(entries) as Figures;
}

function present(figures: readonly (Figure | undefined)[]): Figure[] {
  return figures.filter((figure) => figure !== undefined);
}

/** The page as text, from the answer to what was run. */
function reportPage(run: RunData, figures: Figures): string {
  const show = ({ markup }: Drawn) => joined(markup);
  /** The figures that are open, and the others each behind its title: the same question for another matrix or block. */
  const fold = ({ figures: list, markup }: Drawn, open: (figure: Figure, i: number) => boolean) =>
    joined(
      list.map((figure, i) =>
        open(figure, i)
          ? markup[i]
          : html`<details class="more"><summary>${figure.title}</summary>${markup[i]}</details>`,
      ),
    );
  const strongest = answers(run.rows).flatMap((answer) => answer.strongest?.set ?? []);
  const open = new Set(["safe", "unsafe", ...strongest]);
  const firstProjection = figures.rowSpace.figures.find(({ id }) => id.includes("-block-"));
  const sections: PossibleSection[] = [
    section("claims", "Claims", claimsSection(run.claims), "claims"),
    section("behaviour", "Behaviour", behaviourSection(run.rows), "behaviour"),
    section(
      "jailbreaks",
      "Jailbreaks",
      joined([attackOrderSection(run.rows), show(figures.jailbreaks)]),
      "jailbreak sets in behaviour",
    ),
    section("attacks", "Attacks by strength", show(figures.attacks), "attacks"),
    section(
      "clusters",
      "Clusters in activation space",
      joined([show(figures.clusters), fold(figures.spectra, (_, i) => i === 0)]),
      "clusters",
    ),
    section(
      "weights",
      "Weights: how much changed",
      fold(figures.weights, () => true),
      "weights",
      AUDITS_ONLY,
    ),
    section(
      "column-space",
      "Column space: where the update writes",
      fold(figures.columnSpace, ({ id }, i) => i === 0 || id === "column-space-all"),
      "column-space",
    ),
    section(
      "activation-space",
      "Activation space",
      fold(figures.activationSpace, (_, i) => i === 0),
      "activation-space",
    ),
    section(
      "row-space",
      "Row space: what the update reads",
      fold(figures.rowSpace, (figure) => !figure.id.includes("-block-") || figure === firstProjection),
      "row-space",
    ),
    section("sensitivity", "Sensitivity", show(figures.sensitivity), "sensitivity"),
    section("interventions", "Interventions", show(figures.interventions), "interventions"),
    section("dynamics", "While tuning goes on", show(figures.dynamics), "behaviour or clusters with a step"),
    section("refusal-direction", "Refusal direction", show(figures.refusalDirection), "refusal-direction"),
    section("probes", "Probes", show(figures.probes), "probes"),
    section("patching", "Patching", show(figures.patching), "patching"),
    section(
      "overlap",
      "Overlap of the methods",
      fold(figures.overlap, (_, i) => i === 0),
      "overlap",
    ),
    section("layer-overlap", "Overlap across blocks", show(figures.layerOverlap), "overlap", AUDITS_ONLY),
    section("samples", "Samples", examplesSection(run.examples, open), "examples"),
    section("training", "Training", show(figures.training), "training"),
    {
      id: "run",
      title: "What was run",
      content: html`${run.diverged.map(
        (stage) =>
          html`<p class="warning"><b>Diverged:</b> “${stage}” stopped because its numbers were no longer finite or grew without bound; what rests on it is missing here.</p>`,
      )}${configurationSection(run)}${measuresSection(run.rows)}`,
    },
    { id: "time", title: "Time", content: timesSection(run.times) },
  ];
  const audit = auditOf(run.config);
  return renderPage({
    run: run.name,
    lede: audit === undefined ? lede(run) : auditLede(audit),
    headline: audit === undefined ? headline(run.rows) : auditHeadline(run.rows),
    filters: filterForm(run.rows),
    // A study says what it lacks; an audit has only the sections of what it measured.
    sections: sections.filter(({ absent }) => absent === undefined || (absent === "said" && audit === undefined)),
  });
}

/** A section, and where there is nothing to fill it with whether a study says so. */
type PossibleSection = Section & { readonly absent?: "said" | "passed over" };
const AUDITS_ONLY = "passed over";

/** A section, or one line in its place that says what the run does not hold. */
function section(
  id: string,
  title: string,
  content: Html | undefined,
  missing: string,
  absent: "said" | "passed over" = "said",
): PossibleSection {
  return {
    id,
    title,
    ...(content === undefined && { absent }),
    content:
      content ?? html`<p class="absent">This run holds no rows of “${missing}”, so this section is left out.</p>`,
  };
}

function joined(parts: readonly (Html | undefined)[]): Html | undefined {
  const there = parts.filter((part) => part !== undefined);
  return there.length > 0 ? html`${there}` : undefined;
}

function lede({ rows, config }: RunData): Html {
  const checkpoints = plainCheckpoints(rows);
  const methods = tunedMethods(checkpoints).map(({ method }) => methodTitle(method));
  const controls = [
    ...new Set(
      orderCheckpoints(checkpoints)
        .filter(isControl)
        .map((c) => checkpointParts(c).method),
    ),
  ];
  const seeds = distinct(rows, "seed").length;
  const world =
    typeof config === "object" && config !== null && "world" in config
      ? html` in the world “${String(config.world)}”`
      : "";
  return html`What safety fine-tuning did to this model, and why jailbreaks still get through: ${
    methods.length > 0 ? sentenceList(methods) : "no tuned checkpoint"
  }${controls.length > 0 && ` and the controls ${sentenceList(controls.map((control) => `“${methodTitle(control)}”`))}`} against the model before tuning${world}${seeds > 0 && html`, ${seeds} ${seeds === 1 ? "seed" : "seeds"}`}. Every number carries its 95% interval; every figure its formula, its n and its data.`;
}
