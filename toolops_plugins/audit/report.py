"""The report of a replay, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from toolops_plugins.audit.log_reader import Broken, Columns, Measure
from toolops_plugins.audit.replay import Result
from toolops_plugins.audit.text import bullet, indent, printable, several, span, table
from toolops_plugins.telemetry.formats import duration, money

__all__ = [
    "broken_lines_json",
    "doubts",
    "measures",
    "plain",
    "plain_measure",
    "show",
    "text_of",
    "unreadable",
]

_REASONS = {
    "not_canonical": "a value without a canonical form",
    "key_failed": "a value of which no key can be made",
}
_MARKS = {"timestamp": "a time stamp", "uuid": "a UUID", "id": "the id of a request or session"}


def plain(result: Result, source: dict[str, Any]) -> dict[str, Any]:
    """Return a result for the JSON report; durations are in seconds.

    Args:
        result: The result.
        source: The description of the log, without its columns.
    """
    columns, assumed = result.columns, result.assumed
    return {
        "source": {
            **source,
            "fields": list(columns.fields),
            "time": columns.time,
            "tool": columns.tool,
            "guessed": list(columns.guessed),
            **{name: plain_measure(measure) for name, measure in measures(columns)},
        },
        # A URL may contain a password.
        "assumed": {**asdict(assumed), "redis": assumed.redis is not None},
        "calls": result.calls,
        "distinct": result.distinct,
        "distinct_exact": result.exact,
        "answered": result.answers,
        "hit_rate": result.hit_rate,
        "hits": dict(result.hits),
        "coalesced": result.coalesced,
        "bursts": result.bursts,
        "misses": result.misses,
        "empty": result.empty,
        "bypassed": dict(result.bypassed),
        "evictions": result.evictions,
        "money": _columns(*result.money),
        "seconds": _columns(*result.waits),
        "wasted": [wasted._asdict() for wasted in result.wasted],
        "tools": {
            name: {"calls": calls, "answered": answered}
            for name, (calls, answered) in result.tools.items()
        },
        "broken": result.broken,
        "broken_lines": broken_lines_json(result.broken_lines),
        "warnings": list(_warnings(result)),
        "interrupted": result.interrupted,
    }


def _columns(without: float, with_it: float) -> dict[str, float]:
    return {"without": without, "with": with_it, "saved": without - with_it}


def show(console: Console, result: Result, source: str, top: int) -> None:
    """Print a result.

    Args:
        console: The console to print to.
        result: The result.
        source: A short name of the log.
        top: Number of rows of each table.
    """
    console.print(Text(source, style="bold"))
    console.print(indent(_assumptions(result)))
    console.print()
    console.print(indent(_numbers(result)))
    console.print()
    console.print(indent(_savings(result)))
    if result.tools and top:
        console.print()
        console.print(indent(_tools(result, top)))
    if result.wasted:
        console.print()
        console.print(indent(_most_wasteful(result)))
    elif top and result.calls:
        console.print()
        console.print(indent(Text("No question was asked twice in exactly the same words.")))
    for warning in _warnings(result):
        console.print()
        console.print(bullet("!", warning, "yellow"))
    if result.broken:
        console.print()
        console.print(unreadable(result.broken, result.broken_lines))


def unreadable(count: int, lines: Sequence[Broken]) -> Group:
    """Return the list of unreadable lines.

    Args:
        count: Number of unreadable lines.
        lines: The first unreadable lines.
    """
    rows: list[RenderableType] = [
        bullet("!", f"{several(count, 'line')} left out, since unreadable:", "yellow")
    ]
    rows += [
        Padding(bullet(f"{line.number:,}:", line.problem, "dim"), (0, 0, 0, 2)) for line in lines
    ]
    if count > len(lines):
        rows.append(indent(Text(f"... and {count - len(lines):,} more")))
    return Group(*rows)


def broken_lines_json(lines: Sequence[Broken]) -> list[dict[str, Any]]:
    """Return unreadable lines for the JSON report."""
    return [{"line": line.number, "problem": line.problem} for line in lines]


def _assumptions(result: Result) -> Text:
    columns, assumed = result.columns, result.assumed
    asked = ", ".join(columns.fields) or "the whole line"
    parts = [f"question: {asked}"]
    parts += [
        f"{name}: {path}" for name, path in (("time", columns.time), ("tool", columns.tool)) if path
    ]
    taken = "; ".join(parts)
    if columns.guessed:
        taken += f"  (guessed: {', '.join(columns.guessed)})"
    price = text_of(columns.cost, money(assumed.price))
    costs = f"a call costs {price} and takes {text_of(columns.latency, duration(assumed.latency))}"
    held = f"room for {assumed.max_items:,} answers"
    if columns.time is None:
        life = "no times, so one call after another, and no TTL"
    else:
        life = "no TTL" if assumed.ttl is None else f"TTL {span(assumed.ttl)}"
    return Text("\n".join(map(printable, (taken, f"{costs}; {held}", life))), style="dim")


def measures(columns: Columns) -> Iterator[tuple[str, Measure]]:
    """Yield "cost" and "latency" with their measure, if the log has them."""
    for name, measure in (("cost", columns.cost), ("latency", columns.latency)):
        if measure is not None:
            yield name, measure


def plain_measure(measure: Measure) -> dict[str, str]:
    """Return the field and unit of a measure, for the JSON report."""
    return {"field": measure.path, "unit": measure.unit}


def text_of(measure: Measure | None, otherwise: str) -> str:
    """Return the source of an amount as text: the field of the log, or the assumption."""
    if measure is None:
        return otherwise
    unit = f", in {measure.unit}" if measure.unit else ""
    return f"what {measure.path} says{unit}"


def doubts(columns: Columns) -> Iterator[str]:
    """Yield a warning for each field whose unit is doubtful."""
    for name, measure in measures(columns):
        if measure.doubtful:
            yield (
                f"{measure.path!r} was taken as seconds, and half of its values are above 100: if "
                f"they are milliseconds, say --duration {measure.path}:ms ({name})."
            )


def _numbers(result: Result) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(justify="right")
    grid.add_column(style="dim")
    grid.add_row("calls", f"{result.calls:,}", "")
    about = "" if result.exact else "about "
    grid.add_row("distinct", f"{about}{result.distinct:,}", "")
    grid.add_row(
        "hit rate", f"{result.hit_rate:.1%}", f"{several(result.answers, 'call')} answered"
    )
    for label, count in sorted(result.hits.items()):
        if len(result.hits) > 1 or result.coalesced:
            grid.add_row(f"  from {label}", f"{count:,}", "")
    if result.columns.time:
        bursts = f"in {several(result.bursts, 'burst')}, joined a call under way"
        grid.add_row("  coalesced", f"{result.coalesced:,}", bursts if result.coalesced else "")
    return grid


def _savings(result: Result) -> Table:
    made = table("", "without", "with", "saved")
    made.add_row(
        "calls made", f"{result.calls:,}", f"{result.remaining_calls:,}", f"{result.answers:,}"
    )
    before, after = result.money
    made.add_row("money", money(before), money(after), money(before - after))
    before, after = result.waits
    made.add_row("waiting", duration(before), duration(after), duration(before - after))
    return made


def _tools(result: Result, top: int) -> Table:
    made = table("tool", "calls", "answered", "hit rate")
    ordered = sorted(result.tools.items(), key=lambda item: (-item[1][0], item[0]))
    for name, (calls, answered) in ordered[:top]:
        made.add_row(
            Text(printable(name)), f"{calls:,}", f"{answered:,}", f"{answered / calls:.1%}"
        )
    if len(ordered) > top:
        made.add_row(Text(f"... and {len(ordered) - top:,} more", style="dim"))
    return made


def _most_wasteful(result: Result) -> Table:
    made = table("most wasteful", "asked", "wasted")
    made.columns[0].ratio = 1
    made.expand = True
    for wasted in result.wasted:
        asked = f"{'' if wasted.exact else '>= '}{wasted.asked:,}"
        made.add_row(Text(printable(wasted.question)), asked, money(wasted.money))
    return made


def _warnings(result: Result) -> Iterator[str]:
    if result.interrupted:
        yield "Stopped before the end of the log: the numbers are those of the part that was read."
    yield from doubts(result.columns)
    for name, measure in measures(result.columns):
        count = result.unmeasured[measure.path]
        if count:
            option = "--price" if name == "cost" else "--latency"
            yield f"{several(count, 'call')} without a readable {measure.path!r}: as {option} says."
    if result.empty:
        yield f"{several(result.empty, 'call')} with an empty question: never cached."
    for reason, count in result.bypassed.items():
        yield f"{several(count, 'call')} with {_REASONS.get(reason, reason)}: never cached."
    for kind, marked in result.marked.items():
        gain = (
            f" Without it at least {marked.repeats:,} would be repeats." if marked.repeats else ""
        )
        yield (
            f"{several(marked.calls, 'call')} missed with what looks like {_MARKS[kind]} in it, "
            f"which makes each unique: first in line {marked.first:,}, {marked.example!r}.{gain} "
            "Keep it out of the text, or pass it as an argument of its own that ignore= keeps out "
            "of the key."
        )
    if result.backwards:
        yield (
            f"{several(result.backwards, 'call')} earlier than the one before, taken as "
            "simultaneous: sort the log by time for true numbers."
        )
    if result.evictions and result.misses > result.distinct and result.assumed.redis is None:
        yield (
            f"{several(result.evictions, 'answer')} had to make room for others: a larger "
            "--max-items may save more."
        )
    if result.trouble:
        yield f"Redis failed {several(result.trouble, 'time')}; these calls went on without it."
