"""The look of a page: one column on a phone, two on a screen, black on white on paper."""

from __future__ import annotations

from typing import Final

__all__ = ["CSS"]

CSS: Final = """
:root { color-scheme: light; --ink: #1a1a1a; --soft: #5a5f66; --line: #dfe3e8; --wash: #f6f8fa;
  --pass: #14683f; --pass-wash: #e8f5ee; --warn: #7d4e00; --warn-wash: #fff4dc;
  --fail: #a01d26; --fail-wash: #fdebec; --link: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 44px 0 10px; padding-top: 12px; border-top: 2px solid var(--ink); }
h3 { font-size: 1rem; margin: 24px 0 6px; }
p { margin: 6px 0 10px; max-width: 76ch; }
.soft, figcaption, caption, .note { color: var(--soft); }
code, pre { font-family: ui-monospace, "SFMono-Regular", Consolas, "DejaVu Sans Mono", monospace;
  font-size: 0.86rem; overflow-wrap: anywhere; }
svg { display: block; max-width: 100%; height: auto; }
.head { display: grid; grid-template-columns: minmax(0, 1fr) 340px; gap: 28px; align-items: center; }
.head.wide { grid-template-columns: minmax(0, 1fr); } .head.wide .drawing svg { width: 100%; }
.head .drawing { border: 1px solid var(--line); border-radius: 8px; padding: 4px; }
.head .drawing svg { margin: 0 auto; }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 16px;
  margin: 10px 0; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
.verdict { border-left: 10px solid; border-radius: 8px; padding: 16px 22px; margin: 26px 0 18px; }
.verdict .words { font-size: 1.7rem; font-weight: 700; line-height: 1.25; margin: 2px 0 6px;
  max-width: none; }
.verdict .kind { font-weight: 700; letter-spacing: 0.04em; margin: 0; }
.verdict ul { margin: 6px 0 4px; padding-left: 20px; } .verdict li { margin: 3px 0; }
.verdict.pass { background: var(--pass-wash); border-color: var(--pass); }
.verdict.warn { background: var(--warn-wash); border-color: #d08a00; }
.verdict.fail { background: var(--fail-wash); border-color: var(--fail); }
.verdict.pass .kind, .verdict.pass .words { color: var(--pass); }
.verdict.warn .kind, .verdict.warn .words { color: var(--warn); }
.verdict.fail .kind, .verdict.fail .words { color: var(--fail); }
.status { display: inline-block; white-space: nowrap; border-radius: 10px; padding: 0 9px;
  font-size: 0.85rem; font-weight: 600; }
.status.pass { background: var(--pass-wash); color: var(--pass); }
.status.warn { background: var(--warn-wash); color: var(--warn); }
.status.fail { background: var(--fail-wash); color: var(--fail); }
.status.none { background: var(--wash); color: var(--soft); }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(240px, 1fr)); gap: 12px;
  margin: 14px 0; }
.numbers > div { background: var(--wash); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 14px; }
.numbers .what { color: var(--soft); font-size: 0.86rem; }
.numbers .value { font-size: 1.35rem; font-weight: 650; line-height: 1.3; overflow-wrap: anywhere; }
.numbers .more { font-size: 0.86rem; overflow-wrap: anywhere; }
.pictures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 22px 28px;
  align-items: start; margin: 12px 0; }
.pictures.small { grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 14px 20px; }
figure { margin: 0; break-inside: avoid; }
figure svg { width: 100%; }
figcaption { font-size: 0.9rem; margin-top: 4px; }
table { border-collapse: collapse; width: 100%; margin: 8px 0 14px; font-size: 0.94rem; }
caption { text-align: left; font-size: 0.9rem; padding-bottom: 4px; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid #b9c0c8; padding: 5px 10px 5px 0;
  vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); padding: 6px 10px 6px 0; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } td.n { white-space: nowrap; }
th.n, td.n { padding-left: 10px; padding-right: 16px; }
tr { break-inside: avoid; }
tr.total td { border-top: 2px solid #b9c0c8; font-weight: 600; }
table.basins td, table.basins td.n { vertical-align: middle; white-space: normal; }
.whole { white-space: nowrap; }
.angle { display: inline-block; min-width: 4.9em; margin-right: 0.5em; white-space: nowrap; }
.angle b { color: var(--soft); font-weight: 400; }
table.basins td svg { width: 128px; max-width: none; }
table.narrow { width: auto; min-width: 46%; } table.narrow td, table.narrow th { padding-right: 24px; }
table.checks { table-layout: fixed; } table.checks th:first-child { width: 60%; }
table.checks th:last-child { width: 15%; } table.checks td:last-child { padding-left: 14px; }
table.checks th:last-child { padding-left: 14px; }
td .advice { display: block; color: var(--soft); font-size: 0.88rem; max-width: 70ch; }
.chip { display: inline-block; width: 0.85em; height: 0.85em; border-radius: 3px; margin-right: 7px;
  vertical-align: -0.08em; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
details { margin: 10px 0; } summary { cursor: pointer; font-weight: 600; }
pre { background: var(--wash); border: 1px solid var(--line); border-radius: 8px; padding: 12px;
  white-space: pre-wrap; }
footer { margin-top: 40px; color: var(--soft); font-size: 0.86rem; }
@media (min-width: 1100px) { table.basins td.n { white-space: nowrap; } }
@media screen and (max-width: 760px) {
  body { font-size: 15px; } main { padding: 16px 14px 32px; }
  .head, .pictures { grid-template-columns: minmax(0, 1fr); }
  .pictures.small { grid-template-columns: minmax(0, 1fr); }
  .verdict { padding: 12px 14px; } .verdict .words { font-size: 1.35rem; }
  h1 { font-size: 1.5rem; }
  .numbers { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; }
  .numbers > div { padding: 8px 10px; } .numbers .value { font-size: 1.15rem; }
  table, table.narrow, tbody, tr, td, caption { display: block; width: 100%; } thead { display: none; }
  tr { border: 1px solid var(--line); border-radius: 8px; padding: 6px 10px; margin: 0 0 10px; }
  tr.total td { border-top: 0; }
  table td, table td.n, table.narrow td, table.checks td:last-child { border: 0; padding: 2px 0;
    text-align: left;
    white-space: normal; display: flex; gap: 10px; }
  td > .cell { flex: 1; min-width: 0; overflow-wrap: anywhere; }
  td[data-label]:not([data-label=""])::before { content: attr(data-label); color: var(--soft);
    flex: 0 0 38%; }
  td:empty { display: none; }
  table.basins td svg { width: 200px; }
}
@media print {
  table { font-size: 9pt; } table.basins td svg { width: 96px; }
  .angle { min-width: 0; margin-right: 0.6em; } .pictures.small { grid-template-columns: repeat(3, 1fr); }
  body { font-size: 10.5pt; } main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; } .verdict, .numbers > div { print-color-adjust: exact;
    -webkit-print-color-adjust: exact; break-inside: avoid; }
}
"""
