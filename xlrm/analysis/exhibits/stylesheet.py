"""The look of a report: one column, wide screens to phones, and paper."""

from xlrm.analysis.exhibits import palette

CSS = """
:root {
  color-scheme: light;
  --ink: INK; --muted: MUTED; --rule: RULE;
  --paper: #f6f5f1; --card: #ffffff;
  --blue: #1b5e9b; --brown: #b35806; --red: #b3261e; --green: #1d6b45;
  --serif: Charter, "Bitstream Charter", "Iowan Old Style", Georgia,
    "DejaVu Serif", serif;
  --sans: system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans",
    "DejaVu Sans", sans-serif;
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 var(--sans);
}
main, header.top, footer { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
header.top { padding-top: 52px; }
.eyebrow {
  margin: 0 0 10px; font-size: 12.5px; letter-spacing: .09em;
  text-transform: uppercase; color: var(--muted); font-weight: 600;
}
h1 {
  margin: 0 0 22px; font: 600 clamp(29px, 4.6vw, 46px)/1.12 var(--serif);
  letter-spacing: -.012em; max-width: 22em; text-wrap: balance;
}
h2 {
  margin: 0 0 6px; font: 600 27px/1.2 var(--serif); letter-spacing: -.008em;
}
h3 { margin: 26px 0 8px; font-size: 16px; line-height: 1.35; }
p { margin: 0 0 12px; max-width: 72ch; }
a { color: var(--blue); text-underline-offset: 2px; }
:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
section { padding: 38px 0 6px; }
.lead { color: #46515d; }
.small { font-size: 13.5px; color: var(--muted); }
.card {
  background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 20px 22px;
}
.verdict {
  display: grid; grid-template-columns: auto 1fr; gap: 4px 28px;
  border-left: 6px solid var(--muted); padding: 24px 28px;
}
.verdict.yes { border-left-color: var(--blue); }
.verdict.partly { border-left-color: #c08a00; }
.verdict.no { border-left-color: var(--red); }
.verdict .question {
  grid-column: 1 / -1; font-size: 13.5px; color: var(--muted); margin: 0;
}
.verdict .answer {
  font: 600 clamp(34px, 5vw, 52px)/1.05 var(--serif); margin: 0;
}
.verdict .because { font-size: 17px; line-height: 1.58; margin: 4px 0 0; }
.verdict .because p { margin: 0 0 10px; font-size: 15.5px; line-height: 1.5;
  color: #3a4552; }
.verdict .because p:first-child { font-size: 17.5px; color: var(--ink); }
.verdict .because p:last-child { margin-bottom: 0; }
.tiles {
  display: grid; gap: 14px; margin: 16px 0 0;
  grid-template-columns: repeat(auto-fit, minmax(205px, 1fr));
}
.tile { padding: 15px 18px; }
.tile b {
  display: block; font: 600 30px/1.15 var(--serif);
  font-variant-numeric: tabular-nums lining-nums;
}
.tile span { display: block; font-size: 13.5px; line-height: 1.4; }
.tile span + span { color: var(--muted); }
nav ul {
  display: flex; flex-wrap: wrap; gap: 6px 8px; list-style: none; padding: 0;
  margin: 22px 0 0;
}
nav a {
  display: block; padding: 5px 13px; border: 1px solid var(--rule);
  border-radius: 99px; font-size: 13.5px; text-decoration: none;
  background: var(--card); color: var(--ink);
}
nav a:hover { border-color: var(--blue); color: var(--blue); }
.warning { border: 1px solid #e4b4b0; background: #fdf3f2; margin-top: 16px; }
.warning h2 { color: var(--red); font-size: 21px; }
.warning ul { margin: 8px 0 0; padding-left: 20px; }
.warning li { margin: 5px 0; }
.warning li ul { margin: 2px 0 0; font-size: 14px; }
.fine { border: 1px solid #b9d6c6; background: #f2f8f4; margin-top: 16px; }
.checks { list-style: none; margin: 14px 0 0; padding: 0; }
.checks > li {
  padding: 11px 0 11px 96px; border-top: 1px solid var(--rule);
  position: relative;
}
.checks > li:first-child { border-top: 0; }
.checks .state {
  position: absolute; left: 0; top: 13px; width: 82px; text-align: center;
  font-size: 12px; font-weight: 700; border-radius: 5px; padding: 1px 0;
}
.met .state { color: var(--green); background: #e3f1e9; }
.missed .state { color: #fff; background: var(--red); }
.unmeasured .state { color: var(--muted); background: #eceef0; }
.checks ul { margin: 4px 0 0; padding-left: 18px; font-size: 14px; }
.missed ul { color: var(--red); }
.facts {
  display: grid; gap: 14px 34px; margin: 14px 0 0;
  grid-template-columns: repeat(auto-fit, minmax(250px, 1fr));
}
.facts dt {
  font-size: 12px; letter-spacing: .05em; text-transform: uppercase;
  color: var(--muted); font-weight: 600;
}
.facts dd { margin: 1px 0 0; }
.figures {
  display: grid; gap: 18px; margin: 14px 0 18px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr));
}
figure { margin: 0; min-width: 0; }
figure.card { padding: 16px 18px 12px; }
figcaption { font-size: 14.5px; font-weight: 600; margin-bottom: 8px; }
figcaption span { display: block; font-weight: 400; color: var(--muted); }
figure svg { display: block; width: 100%; height: auto; max-width: 560px;
  margin: 0 auto; overflow: visible; }
figure svg text { font-family: var(--sans) !important; }
.key { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 13.5px;
  color: #46515d; margin: 0 0 4px; padding: 0; list-style: none; }
.key i { display: inline-block; margin-right: 6px; vertical-align: -1px; }
.ramp { width: 108px; height: 11px; border-radius: 3px; background:
  linear-gradient(90deg, #b35806, #f7f6f2, #1b5e9b); }
.box { width: 15px; height: 13px; border: 2px solid var(--ink); }
.hatch { width: 15px; height: 13px; background: repeating-linear-gradient(
  135deg, #eceef0 0 3px, #c9ced4 3px 4px); }
.dot { width: 11px; height: 11px; border-radius: 50%; background: #0072b2; }
.ring { width: 11px; height: 11px; border-radius: 50%;
  border: 2px solid #0072b2; }
.bar { width: 3px; height: 13px; background: var(--ink); margin: 0 9px 0 4px; }
.diamond { width: 8px; height: 8px; background: #d55e00;
  transform: rotate(45deg); }
.sheet { margin: 14px 0 18px; padding: 12px 14px 8px; }
.sheet .caption { margin: 0 9px 8px; max-width: none; color: var(--muted);
  font-size: 13.5px; line-height: 1.4; }
.scroll { overflow-x: auto; }
table {
  border-collapse: collapse; width: 100%; font-size: 14.5px;
  font-variant-numeric: tabular-nums lining-nums;
}
th, td { padding: 6px 9px; text-align: right; vertical-align: baseline;
  border-top: 1px solid var(--rule); white-space: nowrap; }
thead th { border-top: 0; font-size: 13px; font-weight: 600;
  vertical-align: bottom; color: #46515d; }
thead tr + tr th { padding-top: 0; font-weight: 400; }
th[scope="row"], thead th:first-child, .text { text-align: left; }
th[scope="row"] { font-weight: 600; }
th[scope="colgroup"] { text-align: center; }
td small { display: block; color: var(--muted); font-size: 12px;
  font-weight: 400; }
th[scope="colgroup"] + th[scope="colgroup"] {
  border-left: 1px solid var(--rule); }
tr.same th[scope="row"], tr.same td { background: #faf9f6; }
td.bad { color: var(--red); font-weight: 700; }
td.best { font-weight: 700; }
.example { margin: 16px 0; padding: 0; overflow: hidden; }
.example header {
  display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: center;
  padding: 12px 20px; border-bottom: 1px solid var(--rule);
}
.example header strong { font-size: 15px; }
.example header code { font-size: 12.5px; color: var(--muted);
  margin-left: auto; overflow-wrap: anywhere; }
.example .document { padding: 14px 20px 4px; font-family: var(--serif);
  font-size: 16.5px; max-width: none; overflow-wrap: anywhere; }
.example .document summary { font-family: var(--sans); font-size: 13.5px;
  color: var(--blue); cursor: pointer; }
.outputs { display: grid; gap: 1px; background: var(--rule); margin-top: 10px;
  border-top: 1px solid var(--rule);
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 240px), 1fr)); }
.outputs > div { background: var(--card); padding: 12px 20px 14px;
  min-width: 0; }
.outputs .chosen { background: #f3f7fb; }
.outputs h4 { margin: 0 0 4px; font-size: 12px; letter-spacing: .05em;
  text-transform: uppercase; color: var(--muted); }
.outputs p { margin: 0 0 8px; font-family: var(--serif); font-size: 16px;
  line-height: 1.42; overflow-wrap: anywhere; }
.tag { font-size: 12px; font-weight: 700; border-radius: 5px;
  padding: 1px 8px; white-space: nowrap; }
.win { background: #dde9f4; color: #14487a; }
.tie { background: #eceef0; color: #46515d; }
.loss { background: #f6e3d1; color: #8a4303; }
.score { display: inline-block; font-size: 12.5px; margin: 0 12px 0 0;
  color: var(--muted); font-variant-numeric: tabular-nums; }
.score b { color: var(--ink); }
details { margin: 8px 0; }
details > summary { cursor: pointer; }
pre { overflow-x: auto; background: #f0efea; border-radius: 8px;
  padding: 14px 16px; font-size: 12.5px; line-height: 1.5; margin: 8px 0; }
footer { padding: 30px 24px 60px; color: var(--muted); font-size: 13.5px; }
.skip { position: absolute; left: -9999px; }
.skip:focus { left: 12px; top: 12px; background: #fff; padding: 8px; }
@media (max-width: 640px) {
  main, header.top, footer { padding-left: 14px; padding-right: 14px; }
  header.top { padding-top: 28px; }
  section { padding-top: 28px; }
  .verdict { grid-template-columns: 1fr; padding: 18px 18px; }
  .verdict .because { font-size: 16px; }
  .card { padding: 14px 14px; border-radius: 8px; }
  .example, .sheet { padding: 0; }
  .sheet .caption { margin: 12px 14px 4px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 10px; }
  .tile b { font-size: 25px; }
  th:first-child { padding-left: 14px; }
  .example header, .example .document, .outputs > div {
    padding-left: 14px; padding-right: 14px; }
  .example header code { margin-left: 0; width: 100%; }
  .checks > li { padding-left: 0; padding-top: 38px; }
  th, td { padding: 7px 8px; }
}
@media print {
  @page { margin: 16mm 14mm; }
  body { background: #fff; font-size: 10.5pt; }
  header.top { padding-top: 0; }
  nav, .skip { display: none; }
  .card { border-color: #bbb; }
  .card, figure, tr, .example { break-inside: avoid; }
  h2, h3, .lead, .key { break-after: avoid; }
  .scroll { overflow: visible; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
""".replace("INK", palette.INK)
CSS = CSS.replace("MUTED", palette.MUTED).replace("RULE", palette.RULE)
