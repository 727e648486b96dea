import { declarations } from "./palette.js";

/** The page's whole style sheet. Light and dark follow the reader's setting; the button overrides it; print is always light. */
export const STYLE = `
:root{${declarations("light")};color-scheme:light}
@media screen and (prefers-color-scheme:dark){:root:not([data-theme=light]){${declarations("dark")};color-scheme:dark}}
@media screen{:root[data-theme=dark]{${declarations("dark")};color-scheme:dark}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth;scroll-padding-top:1rem}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--desk);color:var(--ink);font:16.5px/1.6 "IBM Plex Sans",Inter,system-ui,-apple-system,"Segoe UI",sans-serif;font-variant-numeric:lining-nums}
.page{max-width:980px;margin:2.5rem auto;padding:3.6rem 60px 4rem;background:var(--page);border:1px solid var(--rule);border-radius:3px}
button{font-family:inherit}
.eyebrow{margin:0;color:var(--accent);font-size:.78rem;font-weight:600;letter-spacing:.09em;text-transform:uppercase}
h1{margin:.35rem 0 .5rem;font-size:2.05rem;line-height:1.2;font-weight:600;letter-spacing:-.015em;text-wrap:balance;overflow-wrap:anywhere}
.lede{margin:0;max-width:42rem;color:var(--muted);font-size:1.02rem;line-height:1.5}
h2{margin:3.6rem 0 .9rem;padding-top:1.5rem;border-top:1px solid var(--rule);font-size:1.32rem;line-height:1.3;font-weight:600;letter-spacing:-.008em}
h3{margin:2.4rem 0 .5rem;font-size:1.03rem;line-height:1.35;font-weight:600}
p{margin:.6rem 0;max-width:44rem}
a{color:var(--accent);text-underline-offset:.18em;text-decoration-thickness:1px}
nav{margin:1.6rem 0 0;font-size:.88rem}nav ul{display:flex;flex-wrap:wrap;gap:.35rem 1.3rem;margin:0;padding:0;list-style:none}
button{float:right;padding:.3rem .75rem;border:1px solid var(--rule);border-radius:999px;background:none;color:var(--muted);font-size:.8rem;cursor:pointer}
button:hover{color:var(--ink);border-color:var(--muted)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.answers{display:grid;grid-template-columns:repeat(auto-fit,minmax(255px,1fr));gap:1rem;margin:2rem 0 .8rem}
.answer{padding:1.05rem 1.2rem 1.1rem;background:var(--wash);border-left:3px solid var(--accent);border-radius:2px}
.answer h3{margin:0 0 .35rem;font-size:1rem}
.answer p{margin:0;font-size:1rem;line-height:1.55}
.answer .rate{color:var(--muted);font-size:.85rem;font-weight:400}.answer p.rate{margin-top:.5rem;font-size:.85rem}
.before{color:var(--muted);font-size:.93rem}
b.figure{font-weight:600;font-variant-numeric:tabular-nums;white-space:nowrap}
.interval{color:var(--muted);font-size:.78em;font-weight:400;font-variant-numeric:tabular-nums;white-space:nowrap}
.scroll{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%;font-size:.85rem;line-height:1.4}
caption{padding:0 0 .5rem;color:var(--muted);font-size:.83rem;text-align:left}
th,td{padding:.34rem .7rem .34rem 0;text-align:left;vertical-align:baseline;font-weight:400}
thead th{border-bottom:1px solid var(--muted);color:var(--muted);font-size:.78rem;vertical-align:bottom;white-space:nowrap}
tbody{border-bottom:1px solid var(--rule)}
th[scope=rowgroup]{font-weight:600;white-space:nowrap}
th[scope=row]{white-space:nowrap}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.number:last-child,th.number:last-child{padding-right:0}
th.safe{color:var(--safe)}th.unsafe{color:var(--unsafe)}
.quiet,.absent{color:var(--muted)}.absent{font-style:italic}
table.shares,table.order{width:auto;min-width:100%}
table.shares th,table.shares td{padding-left:.25rem;padding-right:.3rem}table.shares th:first-child{padding-left:0}
@media screen and (min-width:1060px){.scroll.wide{margin-inline:-50px}}
.wide .interval{font-size:.74em;letter-spacing:-.02em}
table.shares td .interval{display:block}
table.order .set,table.order .interval{display:block}
table.shares thead th{white-space:normal}
table.shares thead tr:first-child th{border-bottom:0;padding-bottom:0}
table.shares thead tr:nth-child(2) th{min-width:3.6rem}
table.shares th[scope=colgroup]{padding-left:.6rem;font-weight:600;text-align:right}
table.shares tbody th[scope=row]{min-width:5.2rem;white-space:normal;overflow-wrap:anywhere}
table.shares colgroup+colgroup{border-left:1px solid var(--rule)}
table.order th,table.order td{padding-right:1rem;vertical-align:top}
table.order th[scope=row]{white-space:normal;min-width:4.4rem;max-width:6.5rem}table.order td{min-width:7.5rem}
table.order abbr{text-decoration:none;color:var(--accent);font-weight:600}
.warning ul{margin:.3rem 0;padding-left:1.2rem}
.warning{padding:.6rem .9rem;border-left:3px solid var(--unsafe);background:var(--wash)}
sup,sub{line-height:0}
figure{margin:2.6rem 0 3rem}
figure h3{margin:0 0 1rem}
h2+figure{margin-top:1.4rem}
figure .scroll{margin:0}
figure .scroll>svg{display:block;width:100%;min-width:660px;height:auto}
figcaption{margin-top:1.1rem;font-size:.89rem;line-height:1.55}
figcaption p{max-width:46rem;margin:.4rem 0}
.data{color:var(--muted);font-size:.82rem}
code{font:.87em "IBM Plex Mono",ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
math[display=block]{width:max-content;max-width:100%;margin:.8rem 0;font-size:1.15rem;overflow-x:auto;overflow-y:hidden}
details{margin:.7rem 0}
summary{padding:.25rem 0;font-size:.92rem;font-weight:600;cursor:pointer}
figcaption summary{color:var(--muted);font-size:.85rem;font-weight:400}
.definitions{margin:.6rem 0;padding-left:1.1rem}.definitions li{margin:.25rem 0}
.settings{columns:2 300px;column-gap:3rem}
.settings section{break-inside:avoid;margin-bottom:1.4rem}
.settings h3{margin:0 0 .2rem;color:var(--muted);font-size:.8rem}
dl{margin:0;font-size:.85rem}
dl div{display:flex;justify-content:space-between;gap:1.5rem;padding:.2rem 0;border-bottom:1px solid var(--rule)}
dt{color:var(--muted);white-space:nowrap}dd{margin:0;text-align:right;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
table.sample{width:auto;margin:.2rem 0 1rem;font-size:.83rem}
table.sample th{width:8.5rem;color:var(--muted)}
table.sample tr:nth-of-type(3)>*{padding-bottom:.7rem}
.token{display:inline-block;min-width:2.8em;margin:1px 0;padding:.06rem .2rem;border:1px solid transparent;border-radius:3px;background:var(--wash);font:.92em/1.45 "IBM Plex Mono",ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;text-align:center;unicode-bidi:isolate}
.token.operator{border-color:var(--rule);background:none}
.token.right{color:var(--safe);border-color:currentColor;background:none}
.token.wrong{color:var(--unsafe);border-color:currentColor;background:none;text-decoration:underline;text-underline-offset:.2em}
.token.null{color:var(--page);background:var(--null)}
.outcome{padding-left:.8rem;white-space:nowrap}
.outcome.instruct{color:var(--instruct)}.outcome.null{color:var(--muted)}.outcome.other{color:var(--other)}
footer{margin-top:3.6rem;padding-top:1.2rem;border-top:1px solid var(--rule);color:var(--muted);font-size:.82rem}
@media (max-width:720px){body{font-size:16px}.page{margin:0;padding:1.6rem 20px 2.5rem;border:0}h1{font-size:1.6rem}h2{margin-top:2.6rem}.answers{grid-template-columns:1fr}td .interval{display:block}table.shares th[scope=row],table.shares thead tr:first-child th:first-child,table.order th:first-child{position:sticky;left:0;z-index:1;background:var(--page)}}
@media print{html{font-size:11.5px}body{background:none;font-size:1rem}.page{max-width:none;margin:0;padding:0;border:0}button,nav,.data a{display:none}figure,tbody,.answer,table.sample{break-inside:avoid}h2,h3{break-after:avoid}.scroll{overflow:visible}figure .scroll>svg{min-width:0}}
`;

/** Turns light to dark and back; shown only where scripts run. No storage: a page from disk has none to rely on. */
export const SCRIPT = `
const root=document.documentElement,button=document.getElementById("theme");
const dark=()=>root.dataset.theme?root.dataset.theme==="dark":matchMedia("(prefers-color-scheme: dark)").matches;
const say=()=>{button.textContent=dark()?"light":"dark";button.setAttribute("aria-label","Show the page in "+button.textContent+" colours")};
button.hidden=false;say();
button.addEventListener("click",()=>{root.dataset.theme=dark()?"light":"dark";say()});
`;
