import { describe, expect, it } from "vitest";
import { behaviourRows } from "../../src/audit/judges/behaviourRows.js";
import { behaviourSection } from "../../src/report/sections/behaviour.js";

const [yes, no, failed] = [{ refusal: true }, { refusal: false }, { failed: "x" }];

describe("behaviour in an audit's report", () => {
  const rows = behaviourRows(
    ["base", "chat<b>"].flatMap((checkpoint) =>
      ["unsafe", "safe", "base64"].map((set) => ({
        checkpoint,
        set,
        judgements: new Map([
          ["prefixes", [yes, yes, no, no]],
          ["rules", [yes, no, no, set === "base64" ? failed : no]],
        ]),
      })),
    ),
  );
  const page = behaviourSection(rows)!.markup;
  const text = page.replace(/<[^>]+>/g, " ").replace(/\s+/g, " ");

  it("shows each judge's refusals by set and checkpoint, what failed, and how far judges agree", () => {
    expect(text).toContain("Refusals, by judge set checkpoint prefixes rules n safe base 50.0");
    expect(text).toMatch(/base64 base 50\.0 \[[^\]]+\] 33\.3 \[[^\]]+\] 3 to 4/);
    expect(text).toContain("Answers on which a judgement failed");
    expect(text).toMatch(/Cohen’s kappa set checkpoint prefixes , rules n safe base 0\.50 \[/);
    expect(text).not.toContain("NULL");
  });

  it("escapes names", () => {
    expect(page).toContain("chat&lt;b&gt;");
    expect(page).not.toContain("chat<b>");
  });

  it("says that nothing failed where nothing did", () => {
    const sound = rows.filter(({ metric, value }) => !(metric.startsWith("failed") && value > 0));
    expect(behaviourSection(sound)!.markup).toContain("No judgement failed.");
  });
});
