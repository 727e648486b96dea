import { declarations } from "./palette.js";

/** The page's whole style sheet. Light and dark follow the reader's setting; the button overrides it; print is always light. */
export const STYLE = `
:root{${declarations("light")};color-scheme:light}
@media screen and (prefers-color-scheme:dark){:root:not([data-theme=light]){${declarations("dark")};color-scheme:dark}}
@media screen{:root[data-theme=dark]{${declarations("dark")};color-scheme:dark}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth;scroll-padding-top:3.2rem}
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
.bar{position:sticky;top:0;z-index:5;display:flex;align-items:baseline;gap:1.4rem;padding:.35rem 20px;background:var(--page);border-bottom:1px solid var(--rule);font-size:.88rem}
.bar ul{margin:0;padding:0;list-style:none}.bar li{margin:.1rem 0}.bar li a{display:block;padding:.14rem 0;color:inherit;text-decoration:none}.bar li a:hover{color:var(--accent);text-decoration:underline}
.bar details{position:relative;margin:0}.bar summary{padding:.3rem 0}
.bar details>nav,.bar form{position:absolute;top:100%;left:-.8rem;width:max-content;max-width:calc(100vw - 24px);max-height:72vh;overflow-y:auto;padding:.7rem 1.1rem;background:var(--page);border:1px solid var(--rule);border-radius:3px;box-shadow:0 6px 24px #0003}
.bar #theme{order:9;margin-left:auto}.side{display:none}
#choice p{margin:0 0 .4rem;color:var(--muted);font-size:.82rem}#choice fieldset{display:flex;flex-wrap:wrap;gap:.1rem .9rem;margin:0 0 .5rem;padding:0;border:0}
#choice legend{padding:0;color:var(--muted);font-size:.78rem}#choice label{white-space:nowrap;font-size:.86rem}#choice input{accent-color:var(--accent);margin:0 .1rem 0 0;vertical-align:-.08em}
#chosen{color:var(--accent);font-size:.78rem;font-weight:400}
.skip{position:absolute;left:-999rem}.skip:focus{left:8px;top:8px;z-index:9;padding:.3rem .7rem;background:var(--page)}
@media screen and (min-width:1280px){body{display:grid;grid-template-columns:15.5rem minmax(0,1fr);max-width:1300px;margin:0 auto}
.bar{display:block;align-self:start;max-height:100vh;overflow-y:auto;padding:3rem 1.2rem 2rem;background:none;border:0}.bar .contents{display:none}.bar .side{display:block;margin:1rem 0}
.bar form{position:static;width:auto;max-height:none;padding:.2rem 0;border:0;background:none;box-shadow:none}.bar details{position:static}#choice fieldset{display:block}#choice label{display:block}.page{margin-left:0!important;margin-right:0!important}}
.unseen{position:absolute;width:1px;height:1px;margin:-1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.drawing{padding-bottom:.35rem;overflow-x:auto;overflow-y:hidden;border-radius:3px}.drawing:focus-visible{outline-offset:5px}
ul.legend{display:flex;flex-wrap:wrap;gap:.1rem 1.15rem;margin:0 0 .7rem;padding:0;list-style:none;font-size:.76rem;line-height:1.5}.legend li{display:flex;align-items:center;gap:.35rem}.legend svg{flex:none}
.panels{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:.7rem 22px}.panels[data-columns="1"]{grid-template-columns:minmax(640px,1fr)}.panels[data-columns="2"]{grid-template-columns:repeat(2,minmax(0,1fr))}.panels[data-columns="4"]{grid-template-columns:repeat(4,minmax(0,1fr))}
.panel h4{margin:0 0 .25rem;font-size:.78rem;line-height:1.35;font-weight:600}.panel svg{display:block;width:100%;height:auto;overflow:visible}
.drawing[data-empty]::after{content:"Nothing here is among what you chose.";color:var(--muted);font-style:italic;font-size:.9rem}
#ring{position:fixed;left:0;top:0;z-index:7;border:2px solid var(--ink);border-radius:5px;pointer-events:none;will-change:transform}
#tip{will-change:transform;position:fixed;z-index:8;max-width:min(26rem,calc(100vw - 16px));padding:.32rem .65rem;background:var(--ink);color:var(--page);border-radius:4px;font-size:.8rem;line-height:1.4;pointer-events:none;font-variant-numeric:tabular-nums}
button{padding:.3rem .75rem;border:1px solid var(--rule);border-radius:999px;background:none;color:var(--muted);font-size:.8rem;cursor:pointer}
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
figcaption{margin-top:1.1rem;font-size:.89rem;line-height:1.55}
figcaption p{max-width:46rem;margin:.4rem 0}
.data,.numbers{color:var(--muted);font-size:.82rem}
code{font:.87em "IBM Plex Mono",ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
math[display=block]{width:max-content;max-width:100%;margin:.5rem 0;padding:.35rem 0;font-size:1.15rem;overflow-x:auto;overflow-y:hidden}
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
table.claims th[scope=row]{white-space:normal;min-width:16rem;font-weight:400}table.claims th,table.claims td{vertical-align:top}table.claims .interval{display:block}
.verdict{white-space:nowrap;font-weight:600}.verdict.supported{color:var(--series1)}.verdict.contradicted{color:var(--series7)}.verdict.undecided{color:var(--muted)}
table.claims details{margin:.1rem 0}table.claims summary{padding:0;color:var(--muted);font-size:.78rem;font-weight:400}table.claims details p{margin:.2rem 0;color:var(--muted);font-size:.8rem}
.more{margin:.9rem 0;padding:.1rem 0;border-top:1px solid var(--rule)}.more>figure{margin-top:.6rem}
table.plain td,table.plain th{padding:.15rem .9rem .15rem 0;white-space:nowrap}table.plain{width:auto;font-size:.78rem}
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
@media (max-width:720px){body{font-size:16px}.page{margin:0;padding:1.6rem 20px 2.5rem;border:0}.panels,.panels[data-columns="2"]{grid-template-columns:minmax(0,1fr)}.panels[data-columns="4"]{grid-template-columns:repeat(2,minmax(0,1fr))}.gap{display:none}.bar details{position:static}.bar details>nav,.bar form{left:8px;right:8px;width:auto}table.claims th[scope=row]{min-width:9.5rem}h1{font-size:1.6rem}h2{margin-top:2.6rem}.answers{grid-template-columns:1fr}td .interval{display:block}table.shares th[scope=row],table.shares thead tr:first-child th:first-child,table.order th:first-child{position:sticky;left:0;z-index:1;background:var(--page)}}
@media print{html{font-size:11.5px}body{background:none;font-size:1rem}.page{max-width:none;margin:0;padding:0;border:0}button,.bar,.skip,#tip,#ring,.data a,.numbers{display:none}.panel,tbody,.answer,table.sample{break-inside:avoid}h2,h3{break-after:avoid}.scroll{overflow:visible}.drawing{overflow:visible}.panels{grid-template-columns:repeat(3,minmax(0,1fr))}.panels[data-columns="2"]{grid-template-columns:repeat(2,minmax(0,1fr))}.panels[data-columns="4"]{grid-template-columns:repeat(4,minmax(0,1fr))}.panels[data-columns="1"]{grid-template-columns:minmax(0,1fr)}}
`;
