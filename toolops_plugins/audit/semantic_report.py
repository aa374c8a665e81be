"""The report of replays through the semantic cache, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from toolops_plugins.audit.report import broken_lines_json, unreadable
from toolops_plugins.audit.semantic_advice import (
    advice,
    guard_legend,
    legend,
    percent,
    share_text,
    warnings,
)
from toolops_plugins.audit.semantic_result import Pair, Result, Share, Tally
from toolops_plugins.audit.text import bullet, indent, printable, several, table
from toolops_plugins.telemetry.formats import duration, money

_FIRST = 14  # cells of the first column, so that tables below each other agree

__all__ = [
    "Rows",
    "assumptions",
    "guard_rows",
    "plain_semantic",
    "rows_by_setting",
    "show_semantic",
]

Rows = list[tuple[str, ...]]
"""Lines of a table, its head first."""


def plain_semantic(result: Result, source: dict[str, Any], top: int) -> dict[str, Any]:
    """Return a result for the JSON report; durations are in seconds.

    Args:
        result: The result.
        source: What is to be said of the log, besides its fields.
        top: How many pairs of each kind.
    """
    questions = result.questions
    fields = questions.fields
    found: dict[str, Any] = {
        "source": {
            **source,
            "question": fields.question,
            "truth": fields.truth,
            "scope": list(fields.scope),
            "guessed": list(fields.guessed),
        },
        "assumed": {
            "embedder": result.embedder,
            "max_error": result.setting.value if result.setting.policy == "bounded" else None,
            "threshold": result.vetoing.value,
            "alike_threshold": result.vetoing.alike,
            "orders": list(result.orders),
            "price": result.price,
            "latency": result.latency,
        },
        "requests": len(questions),
        "distinct": result.distinct,
        "truths": len(questions.truths) if result.judged else None,
        "settings": [_plain_tally(result, tally) for tally in result.tallies],
        "guards": {
            name: {"vetoes": each.vetoes, "right": each.right if result.judged else None}
            for name, each in sorted(result.guarding.items())
        },
        "vetoed": [_plain_pair(pair) for pair in result.vetoed[:top]],
    }
    if result.judged:
        found["wrong"] = [_plain_pair(pair) for pair in result.wrong[:top]]
    else:
        found["served"] = [_plain_pair(pair) for pair in result.doubtful[:top]]
    return found | {
        "advice": list(advice(result)),
        "skipped": dict(questions.skipped),
        "broken": questions.broken,
        "broken_lines": broken_lines_json(questions.broken_lines),
        "warnings": list(warnings(result)),
        "interrupted": result.interrupted,
    }


def _plain_tally(result: Result, tally: Tally) -> dict[str, Any]:
    setting = tally.setting
    found: dict[str, Any] = {
        "policy": setting.policy,
        "threshold" if setting.policy == "threshold" else "max_error": setting.value,
        "default": setting.default,
        "calibrated": setting.calibrated,
        "guards": setting.guarded,
        "requests": tally.requests / tally.orders,
        "hits": tally.hits / tally.orders,
        "exact": tally.exact / tally.orders,
        "hit_rate": tally.hit_rate,
        "saved_money": result.saved_money(tally),
        "saved_seconds": result.saved_seconds(tally),
    }
    if result.judged:
        found |= {
            "wrong": tally.wrong / tally.orders,
            "exact_wrong": tally.exact_wrong / tally.orders,
            "wrong_of_all": _plain_share(tally.wrong_of_all),
            "wrong_of_hits": _plain_share(tally.wrong_of_hits) if tally.hits else None,
        }
    return found


def _plain_share(share: Share) -> dict[str, float]:
    return {"share": share.value, "low": share.low, "high": share.high}


def _plain_pair(pair: Pair) -> dict[str, Any]:
    return {name: value for name, value in pair._asdict().items() if value is not None}


# Tables, as texts: the terminal and the page show the same ----------------------------------------


def assumptions(result: Result) -> list[str]:
    """Return the assumptions, line by line."""
    fields = result.questions.fields
    parts = [f"question: {fields.question or 'the whole line'}"]
    parts += [f"truth: {fields.truth}"] if fields.truth else []
    parts += [f"scope: {', '.join(fields.scope)}"] if fields.scope else []
    taken = "; ".join(parts)
    if fields.guessed:
        taken += f"  (guessed: {', '.join(fields.guessed)})"
    orders = f"shuffled {several(len(result.orders), 'time')}" if result.orders else "as in the log"
    cost = f"{money(result.price)} and takes {duration(result.latency)}"
    calibrated = result.vetoing
    decides = ""
    if calibrated.calibrated:
        decides = (
            f"; calibrated threshold: {calibrated.value:.4g}, and {calibrated.alike:.4g} where "
            "every word pairs"
        )
    sizes = [several(len(result.questions), "request"), f"{result.distinct:,} distinct"]
    if result.judged:
        sizes.append(several(len(result.questions.truths), "truth"))
    return [
        taken,
        f"{', '.join(sizes)}; order: {orders}",
        f"embedder: {result.embedder}{decides}",
        f"a call costs {cost}; room for all answers, no TTL",
    ]


def rows_by_setting(result: Result) -> Iterator[Rows]:
    """Yield a table of settings and counts for each policy."""
    of = result.tallies
    ways = (
        ("max_error", [t for t in of if _is(t, "bounded")]),
        ("threshold", [t for t in of if _is(t, "threshold") and t.setting.guarded]),
        ("no guards", [t for t in of if _is(t, "threshold") and not t.setting.guarded]),
    )
    wrong = ("wrong, of all", "wrong, of hits") if result.judged else ()
    for name, tallies in ways:
        if tallies:
            head = (name, "hit rate", *wrong, "saved")
            yield [head, *(_row_of(result, tally) for tally in tallies)]


def _is(tally: Tally, policy: str) -> bool:
    return tally.setting.policy == policy


def _row_of(result: Result, tally: Tally) -> tuple[str, ...]:
    setting = tally.setting
    value = "calibrated" if setting.calibrated else f"{setting.value:.4g}"
    if setting.default:
        value += " (default)"
    elif setting == result.setting and not setting.calibrated:
        value += " (given)"
    shares: tuple[str, ...] = ()
    if result.judged:
        of_hits = share_text(tally.wrong_of_hits) if tally.hits else "-"
        shares = (share_text(tally.wrong_of_all), of_hits)
    saved = money(result.saved_money(tally))
    return (value, percent(tally.hit_rate), *shares, saved)


def guard_rows(result: Result) -> Rows:
    """Return a table of the guards' vetoes under a threshold."""
    head = ("guard", "vetoes", *(("rightly", "of them") if result.judged else ()))
    rows: Rows = [head]
    ordered = sorted(result.guarding.items(), key=lambda each: (-each[1].vetoes, each[0]))
    for name, each in ordered:
        right = (f"{each.right:,}", f"{each.right / each.vetoes:.0%}") if result.judged else ()
        rows.append((name, f"{each.vetoes:,}", *right))
    return rows


# For people ---------------------------------------------------------------------------------------


def show_semantic(console: Console, result: Result, source: str, top: int) -> None:
    """Print a result.

    Args:
        console: Where.
        result: The result.
        source: The log, in a few words.
        top: How many pairs of each kind.
    """
    console.print(Text(source, style="bold"))
    console.print(indent(Text("\n".join(map(printable, assumptions(result))), style="dim")))
    for rows in rows_by_setting(result):
        console.print()
        console.print(indent(_table(rows)))
    if result.judged:
        console.print(indent(Text(legend(result), style="dim")))
    watched, vetoing = f"under {result.setting.code}", f"under {result.vetoing.code}"
    if result.guarding:
        console.print()
        console.print(indent(Text(f"what the guards vetoed first, {vetoing}", style="bold")))
        console.print(indent(_table(guard_rows(result))))
        console.print(indent(Text(guard_legend(result), style="dim")))
    if result.judged:
        _show_pairs(console, f"wrong answers, {watched}, the most similar", result.wrong[:top])
    else:
        _show_pairs(console, f"served, {watched}, the least similar", result.doubtful[:top])
        _show_pairs(console, f"vetoed, {vetoing}, the most similar", result.vetoed[:top])
    console.print()
    for sentence in advice(result):
        console.print(bullet(">", sentence, "green"))
    for warning in warnings(result):
        console.print(bullet("!", warning, "yellow"))
    questions = result.questions
    if questions.broken:
        console.print(unreadable(questions.broken, questions.broken_lines))


def _table(rows: Rows) -> Table:
    made = table(*rows[0])
    made.columns[0].min_width = _FIRST
    for row in rows[1:]:
        made.add_row(*(Text(printable(cell)) for cell in row))
    return made


def _show_pairs(console: Console, title: str, pairs: Sequence[Pair]) -> None:
    if not pairs:
        return
    console.print()
    console.print(indent(Text(title, style="bold")))
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for pair in pairs:
        grid.add_row(Text(f"{pair.similarity:.3f}"), _question_text(pair.question, pair.truth))
        grid.add_row(Text("~", style="dim"), _question_text(pair.matched, pair.matched_truth))
        if pair.guard is not None:
            reason = f"{pair.guard}: {pair.reason}"
            grid.add_row(Text("x", style="dim"), Text(printable(reason), style="dim"))
    console.print(indent(grid))


def _question_text(question: str, truth: str | None) -> Text:
    said = Text(_short(question))
    return said if truth is None else said.append(f"  [{_short(truth, 40)}]", style="dim")


def _short(text: str, most: int = 200) -> str:
    plain = printable(text)
    return plain if len(plain) <= most else f"{plain[: most - 3]}..."
