import { expect, test } from "vitest";
import { clean, formatCount, formatDuration } from "../../src/cli/io.js";

test("foreign text loses what could move the cursor, colour, hide or turn what follows", () => {
  expect(clean("a\u001b[31mred\u001b[0m\u0007\u009b2J\u202egnp.exe\nnext\tcell\r")).toBe(
    "a[31mred[0m2Jgnp.exe next cell",
  );
  expect(clean("poids été 重み 🙂")).toBe("poids été 重み 🙂");
});

test.each([
  [0, "0.0 s"],
  [9.94, "9.9 s"],
  [9.96, "10 s"],
  [59.6, "1 min"],
  [250, "4 min 10 s"],
  [3599.7, "1 h"],
  [7500, "2 h 5 min"],
  [7199, "2 h"],
])("%d seconds are %s", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});

test("counts have their thousands apart", () => {
  expect([0, 999, 1000, 1234567].map(formatCount)).toEqual(["0", "999", "1,000", "1,234,567"]);
});
