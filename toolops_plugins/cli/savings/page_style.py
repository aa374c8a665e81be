"""The style sheet of the report's page: the system's fonts, light and dark."""

from __future__ import annotations

from typing import Final

__all__ = ["STYLE"]

_RULES = """
:root { --text: #1c2128; --faint: #59636e; --page: #f6f7f9; --card: #ffffff; --line: #dfe3e8;
  --good: #0f766e; --bad: #b3261e; --saved: #14a08d; --spent: #aab4c0; --accent: #2563eb; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ed; --faint: #9aa5b1; --page:
  #12161b; --card: #1a2027; --line: #2e3741; --good: #4fd1bf; --bad: #ff8a80; --saved: #2bb8a4;
  --spent: #56626f; --accent: #7aa7ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); line-height: 1.45; font:
  15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 940px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 26px; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 17px; margin: 0 0 12px; }
h3 { font-size: 14px; font-weight: 600; margin: 18px 0 4px; display: flex; flex-wrap: wrap; gap:
  4px 16px; justify-content: space-between; }
p { margin: 0 0 10px; }
.faint, small { color: var(--faint); font-size: 13px; }
.place { overflow-wrap: anywhere; }
small { display: block; font-weight: normal; }
header { margin-bottom: 20px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding:
  18px 20px; margin-bottom: 16px; }
section.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap:
  12px; padding: 0; border: 0; background: none; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding:
  14px 16px; min-width: 0; }
.tile .name { color: var(--faint); font-size: 13px; }
.tile .value { font-size: 23px; font-weight: 650; letter-spacing: -.02em; line-height: 1.25;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.pair { margin-top: 14px; }
.pair .head { display: flex; justify-content: space-between; gap: 12px; margin-bottom: 4px; }
.bar { display: grid; grid-template-columns: 104px 1fr minmax(96px, auto); gap: 10px;
  align-items: center; font-size: 13px; margin: 3px 0; }
.bar .name { color: var(--faint); }
.bar .track { height: 14px; }
.bar .track span { display: block; height: 100%; border-radius: 3px; min-width: 2px; }
.bar .with { background: var(--saved); }
.bar .without { background: var(--spent); }
.bar .number { text-align: right; font-variant-numeric: tabular-nums; }
.chart svg { display: block; width: 100%; height: 130px; }
.chart .most { text-align: right; color: var(--faint); font-size: 12px; }
.chart .axis { display: flex; justify-content: space-between; color: var(--faint); font-size:
  12px; margin-top: 3px; }
rect.saved { fill: var(--saved); }
rect.spent { fill: var(--spent); }
.line { fill: none; stroke: var(--accent); stroke-width: 2.5; vector-effect: non-scaling-stroke;
  stroke-linejoin: round; stroke-linecap: round; }
.grid { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
.legend { display: flex; gap: 14px; color: var(--faint); font-weight: normal; font-size: 13px; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right:
  5px; }
i.saved { background: var(--saved); }
i.spent { background: var(--spent); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric:
  tabular-nums; }
th, td { padding: 6px 0 6px 16px; text-align: right; white-space: nowrap; vertical-align: top;
  border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--faint); font-weight: normal; font-size: 13px; }
th:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 9em;
  overflow-wrap: anywhere; font-weight: 500; }
.how p { color: var(--faint); font-size: 13.5px; max-width: 74ch; }
@media (max-width: 560px) { main { padding: 18px 12px 32px; } section { padding: 14px; }
  section.tiles { grid-template-columns: 1fr 1fr; gap: 8px; }
  .tile { padding: 11px 12px; } .tile .value { font-size: 20px; }
  .bar { grid-template-columns: 1fr auto; gap: 0 8px; }
  .bar .track { grid-column: 1 / -1; grid-row: 2; height: 10px; margin: 2px 0 6px; }
  table { font-size: 12.5px; } .wide { display: none; } thead th { white-space: normal; }
  th, td { padding-left: 8px; } th:first-child { min-width: 6em; } }
@media print { body { background: none; } section { break-inside: avoid; } }
"""
STYLE: Final = " ".join(_RULES.split())
