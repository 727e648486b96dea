import { type Fragment, type Html, html } from "./html.js";

/** An identifier: italic when it is one letter, as in print. */
export const mi = (name: string): Html => html`<mi>${name}</mi>`;
/** An operator or a fence. */
export const mo = (symbol: string): Html => html`<mo>${symbol}</mo>`;
/** A number. */
export const mn = (number: string): Html => html`<mn>${number}</mn>`;
/** Words inside a formula. */
export const mtext = (words: string): Html => html`<mtext>${words}</mtext>`;
export const row = (...parts: readonly Fragment[]): Html => html`<mrow>${parts}</mrow>`;
export const sub = (base: Fragment, index: Fragment): Html => html`<msub>${base}${index}</msub>`;
export const sup = (base: Fragment, power: Fragment): Html => html`<msup>${base}${power}</msup>`;
export const over = (top: Fragment, bottom: Fragment): Html => html`<mfrac>${top}${bottom}</mfrac>`;
export const sum = (index: Fragment): Html => html`<munder><mo>∑</mo>${index}</munder>`;
/** A Euclidean norm. */
export const norm = (...parts: readonly Fragment[]): Html => row(mo("‖"), ...parts, mo("‖"));
/** A formula on a line of its own. */
export const formula = (...parts: readonly Fragment[]): Html =>
  html`<math display="block" xmlns="http://www.w3.org/1998/Math/MathML">${parts}</math>`;
