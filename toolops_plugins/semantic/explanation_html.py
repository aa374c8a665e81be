"""Explanations as pictures for notebooks: bars of similarity, thresholds, and guards' verdicts."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from toolops_plugins.semantic.explanation_text import (
    bounds_of,
    call_of,
    decision_of,
    evidence_of,
    facts_of,
    format_detail,
    known_details,
    one_line,
    outcome_of,
    select_candidates,
    veto_of,
)
from toolops_plugins.telemetry.html_theme import TABLE, style_element

if TYPE_CHECKING:
    from toolops_plugins.semantic.matches import Candidate, Explanation

__all__ = ["html_of"]

_SHOWN = 8
_SCORES = (-2.0, 10.0)
"""The range of most scores."""

_ROOT = ".toolops-explanation"
_STYLE = """
.toolops-explanation { line-height: 1.45; max-width: 72em; overflow-x: auto; }
.toolops-explanation p { margin: .3em 0; }
.toolops-explanation .verdict { border-radius: .3em; padding: .1em .5em; font-weight: 600;
  color: #fff; background: #a3631a; }
.toolops-explanation .verdict.hit { background: #23804a; }
.toolops-explanation .fact { display: inline-block; margin-right: 1.2em; }
.toolops-explanation th, .toolops-explanation td { text-align: left !important;
  vertical-align: top; padding: .2em .6em .2em 0; max-width: 36em;
  overflow-wrap: anywhere; white-space: normal; font-weight: normal; }
.toolops-explanation th { vertical-align: bottom; opacity: .7; }
.toolops-explanation th.guard, .toolops-explanation td.guard { text-align: center !important;
  padding: .2em .25em; }
.toolops-explanation th.guard span { display: inline-block; writing-mode: vertical-rl;
  transform: rotate(180deg); }
.toolops-explanation .toolops-table td.guard { color: var(--toolops-red); font-weight: 700; }
.toolops-explanation .toolops-table td.guard.pass { color: inherit; opacity: .35;
  font-weight: 400; }
.toolops-explanation td.question { min-width: 20em; }
.toolops-explanation td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.toolops-explanation .scale { position: relative; width: 15em; height: .75em; margin: .35em 0;
  background: var(--toolops-shade); border-radius: .15em; }
.toolops-explanation .scale i { position: absolute; left: 0; top: 0; bottom: 0;
  border-radius: .15em; background: var(--toolops-grey); }
.toolops-explanation .scale i.served { background: var(--toolops-green); }
.toolops-explanation .scale i.near { background: var(--toolops-blue); }
.toolops-explanation .scale i.vetoed { background: var(--toolops-red); }
.toolops-explanation .scale i.doubted { background: var(--toolops-amber); }
.toolops-explanation .scale b { position: absolute; top: -.25em; bottom: -.25em; width: 0;
  border-left: 2px solid currentColor; }
.toolops-explanation .scale b.lower { border-left-style: dotted; }
"""

_BARS = {
    "served": "served",
    "exact": "served",
    "vetoed": "vetoed",
    "doubted": "doubted",
    "unconfirmed": "doubted",
}
_FAR = frozenset({"below_threshold", "too_risky", "cold"})


def html_of(explanation: Explanation) -> str:
    """Return an explanation as HTML that stands alone."""
    verdict = "hit" if explanation.served else "miss"
    tool = f'<span class="faint">{_escape(explanation.tool)}</span> ' if explanation.tool else ""
    title = f"<b>{_escape(call_of(explanation))}</b>"
    decision = f'<span class="faint">{_escape(decision_of(explanation))}</span>'
    parts = [
        f'<p><span class="verdict {verdict}">{verdict}</span> {tool}{title} {decision}</p>',
        f"<p>{_escape(explanation.because)}</p>",
    ]
    if explanation.note:
        parts.append(f'<p class="faint">{_escape(explanation.note)}</p>')
    facts = "".join(
        f'<span class="fact"><span class="faint">{_escape(name)}</span> {_escape(value)}</span>'
        for name, value in facts_of(explanation)
    )
    if facts:
        parts.append(f"<p>{facts}</p>")
    parts += [_risk_table(explanation), _candidate_table(explanation), _evidence(explanation)]
    style = style_element(_ROOT, _STYLE)
    whole = f'<div class="toolops-explanation">{style}{"".join(parts)}</div>'
    # Questions may hold halves of surrogate pairs, which no page can be made of.
    return whole.encode("utf-8", "replace").decode()


def _escape(text: str) -> str:
    return escape(one_line(text))


# The candidate's risk and score -------------------------------------------------------------------


def _risk_table(explanation: Explanation) -> str:
    """Return scales of risk and score with what the bound allows, as far as they are known."""
    details = known_details(explanation)
    risk, bound = details.get("risk"), details.get("max_error")
    score, least = details.get("z"), details.get("theta")
    spent, allowed = details.get("spent"), details.get("allowed")
    rows = []
    state = "served" if explanation.served else "vetoed"
    if isinstance(spent, float) and isinstance(allowed, float):
        # Vouched questions of the start may cost more than is allowed so far.
        end = max(spent, allowed, 1e-9)
        text = f"{spent:.3g} expected wrong answers so far; allowed by now: {allowed:.3g}"
        rows.append(_scale_row("spent", spent, [("allowed", allowed)], (0.0, end), "near", text))
    if isinstance(risk, float) and isinstance(bound, float):
        limit = f"bound: {format_detail('max_error', bound)} of all requests"
        text = f"{format_detail('risk', risk)}; {limit}"
        rows.append(_scale_row("risk", risk, [("max_error", bound)], (0.0, 1.0), state, text))
    if isinstance(score, float) and math.isfinite(score):
        lines = [("theta", least)] if isinstance(least, float) else []
        ends = [score, *(value for _, value in lines), *_SCORES]
        needed = format_detail("theta", least) if lines else "more than any, for now"
        text = f"{format_detail('z', score)}; needed: {needed}"
        rows.append(_scale_row("score", score, lines, (min(ends), max(ends)), state, text))
    return f"{TABLE}{''.join(rows)}</table>" if rows else ""


def _scale_row(
    name: str,
    value: float,
    lines: list[tuple[str, float]],
    ends: tuple[float, float],
    state: str,
    text: str,
) -> str:
    return (
        f'<tr><td class="faint">{name}</td><td>{_scale(value, lines, ends, state)}</td>'
        f'<td class="number">{_escape(text)}</td></tr>'
    )


def _scale(
    value: float, lines: list[tuple[str, float]], ends: tuple[float, float], state: str
) -> str:
    """Return a bar on a scale, with lines across it.

    Args:
        value: The length of the bar.
        lines: Names and values of the lines; the second and later ones are dotted.
        ends: The ends of the scale.
        state: The colour of the bar, as a class of the style.
    """
    low, high = ends

    def place(wanted: float) -> str:
        share = (wanted - low) / (high - low) if high > low else 0.0
        return f"{100 * min(max(share, 0.0), 1.0):.1f}%"

    marks = "".join(
        f'<b{" class=lower" if number else ""} style="left:{place(at)}" '
        f'title="{escape(name)} {at:.4g}"></b>'
        for number, (name, at) in enumerate(lines)
    )
    return f'<div class="scale"><i class="{state}" style="width:{place(value)}"></i>{marks}</div>'


# The candidates -----------------------------------------------------------------------------------


def _candidate_table(explanation: Explanation) -> str:
    if not explanation.candidates:
        return ""
    shown = select_candidates(explanation, _SHOWN)
    names = list(dict.fromkeys(name for each in shown for name in each.verdicts))
    bounds = bounds_of(explanation)
    guards = "".join(f'<th class="guard"><span>{_escape(name)}</span></th>' for name in names)
    head = (
        f'<tr><th scope="col">similarity</th><th></th><th></th>'
        f'<th scope="col">stored question</th>{guards}</tr>'
    )
    rows = "".join(_candidate_row(each, names, bounds) for each in shown)
    more = len(explanation.candidates) - len(shown)
    rest = f'<p class="faint">... and {more} more</p>' if more > 0 else ""
    legend = ""
    if bounds:
        least = f"Line: threshold {bounds[0][1]:.4g}"
        if len(bounds) > 1:
            least += f"; dotted: {bounds[1][1]:.4g}, where the guards match every word"
        legend = f'<p class="faint">{least}.</p>'
    return f"{TABLE}<thead>{head}</thead><tbody>{rows}</tbody></table>{rest}{legend}"


def _candidate_row(candidate: Candidate, names: list[str], bounds: list[tuple[str, float]]) -> str:
    state = _BARS.get(candidate.outcome, "far" if candidate.outcome in _FAR else "near")
    stored = "(not kept)" if candidate.question is None else candidate.question
    veto = veto_of(candidate)
    said = f'<br><span class="faint">{_escape(veto)}</span>' if veto else ""
    return (
        f"<tr><td>{_scale(candidate.similarity, bounds, (0.0, 1.0), state)}</td>"
        f'<td class="number">{candidate.similarity:.3f}</td>'
        f'<td class="number">{_escape(outcome_of(candidate))}</td>'
        f'<td class="question">{_escape(stored)}{said}</td>'
        f"{''.join(_verdict(candidate, name) for name in names)}</tr>"
    )


def _verdict(candidate: Candidate, name: str) -> str:
    veto = candidate.verdicts.get(name)
    if veto is None:
        return f'<td class="guard pass" title="{_escape(name)}: no veto">\N{MIDDLE DOT}</td>'
    reason = _escape(f"{name}: {veto.reason}")
    return f'<td class="guard" title="{reason}">\N{MULTIPLICATION X}</td>'


def _evidence(explanation: Explanation) -> str:
    rows = "".join(
        f'<tr><td class="faint">{_escape(name)}</td><td class="number">{_escape(value)}</td></tr>'
        for name, value in evidence_of(explanation)
    )
    return f"<details><summary>evidence</summary>{TABLE}{rows}</table></details>" if rows else ""
