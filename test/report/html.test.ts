import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { escapeHtml, html, visible } from "../../src/report/html.js";

describe("markup", () => {
  test("escapes foreign text once and leaves markup alone", () => {
    const inner = html`<b>${"a & b"}</b>`;
    expect(html`<p title="${'"'}">${inner}</p>`.markup).toBe('<p title="&quot;"><b>a &amp; b</b></p>');
  });

  test("prints lists and numbers, and nothing for what is absent", () => {
    expect(html`${[1, "<", html`<i>x</i>`]}${null}${undefined}${false}${0}`.markup).toBe("1&lt;<i>x</i>0");
  });

  test("shows controls, bidirectional marks and lone surrogates instead of obeying them", () => {
    expect(visible("a\u202Eb\u0007\u200F\uD800")).toBe("a\\u{202e}b\\u{7}\\u{200f}\\u{d800}");
    expect(visible("π ≤ 日本 é\u202f1")).toBe("π ≤ 日本 é\u202f1");
  });

  test("no text can open a tag, close an attribute or carry an invisible character", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
        expect(escapeHtml(text)).not.toMatch(/[<>"']|\p{Cc}|\p{Cf}|\p{Cs}/u);
      }),
    );
  });
});
