"""The screen of `toolops top`: what a ledger holds of the last minutes, fitted to a terminal."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from toolops_plugins.audit.text import printable, several, span, table
from toolops_plugins.telemetry.formats import cell_width, duration, money, percentage, shorten_name
from toolops_plugins.telemetry.ledger import (
    Dimension,
    LedgerReader,
    ProcessState,
    StoredNotice,
    Summary,
)

__all__ = ["KEYS", "SORTS", "Frame", "read_frame", "screen"]

_MINUTE = 60.0
_TREND_MINUTES = 20
_NOTICES = 4
_GAP = 3
"""Columns between those of a table."""
_MANY_ERRORS = 0.1
"""The share of errors from which a row is red."""
_BLOCKS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Frame:
    """The figures of the ledger at one moment.

    Args:
        place: The ledger's URL, without user and password.
        now: The ledger's time, in seconds since the epoch.
        minutes: The length of the time that is summed, in minutes.
        by: The dimension of the rows.
        rows: The sums of the time by that dimension.
        trend: Calls in each of the last minutes, the present one excepted.
        processes: The processes that have written lately.
        notices: The latest notices.
    """

    place: str
    now: float
    minutes: float
    by: Dimension
    rows: Mapping[str, Summary]
    trend: Sequence[int]
    processes: Sequence[ProcessState]
    notices: Sequence[StoredNotice]

    @property
    def total(self) -> Summary:
        """All rows together."""
        return Summary.merge(self.rows.values())


def read_frame(
    reader: LedgerReader, seconds: float, by: Dimension = "tool", namespace: str | None = None
) -> Frame:
    """Read what the ledger holds now.

    Args:
        reader: The ledger.
        seconds: The length of the time to sum, in seconds.
        by: The dimension of the rows. Default "tool".
        namespace: The namespace to show. Default None: all.

    Raises:
        LedgerError: The ledger is out of reach.
    """
    now = reader.now()
    # Records are of whole minutes, and the present one has only begun.
    since = math.floor((now - seconds) / _MINUTE) * _MINUTE
    where: dict[Dimension, str] = {} if namespace is None else {"namespace": namespace}
    rows = {key: row for (key,), row in reader.summaries(since, by=(by,), where=where).items()}
    start = math.floor(now / _MINUTE) * _MINUTE - _TREND_MINUTES * _MINUTE
    steps = reader.series(start, where=where)
    trend = [sum(row.calls for row in found.values()) for _, found in steps[:_TREND_MINUTES]]
    mine = [each for each in reader.processes() if namespace in (None, each.namespace)]
    notices = [
        each
        for each in reader.notices(since, limit=100)
        if namespace in (None, each.namespace) and each.kind != "invalidated"
    ]
    return Frame(
        reader.place,
        now,
        max(now - since, 1.0) / _MINUTE,
        by,
        rows,
        trend,
        mine,
        notices[:_NOTICES],
    )


class _Column(NamedTuple):
    title: str
    text: Callable[[Summary, float], str]
    rank: Callable[[Summary], float] | None = None


def _errors(row: Summary) -> float:
    return row.outcomes.get("error", 0) / row.calls if row.calls else 0.0


def _rate(per_minute: float) -> str:
    return f"{per_minute:,.0f}" if per_minute >= 99.5 else f"{per_minute:.3g}"


# By importance: the last ones are left out where the terminal is narrow.
_COLUMNS = {
    "calls": _Column(
        "calls/min", lambda row, minutes: _rate(row.calls / minutes), lambda row: row.calls
    ),
    "hits": _Column(
        "hit rate", lambda row, _: percentage(row.hit_rate), lambda row: row.hit_rate or 0.0
    ),
    "p95": _Column(
        "p95",
        lambda row, _: duration(row.waited.quantile(0.95)),
        lambda row: row.waited.quantile(0.95) or 0.0,
    ),
    "saved": _Column("saved", lambda row, _: money(row.saved_cost), lambda row: row.saved_cost),
    "spent": _Column("spent", lambda row, _: money(row.spent_cost), lambda row: row.spent_cost),
    "errors": _Column("errors", lambda row, _: percentage(_errors(row)), _errors),
    "time": _Column(
        "saved time", lambda row, _: duration(row.saved_seconds), lambda row: row.saved_seconds
    ),
    "p50": _Column("p50", lambda row, _: duration(row.waited.quantile(0.5))),
}
SORTS = (*(name for name, column in _COLUMNS.items() if column.rank), "name")
"""The orders of the rows: the largest first, and names by the alphabet."""
KEYS = {
    "c": "calls", "h": "hits", "p": "p95", "s": "saved", "m": "spent", "e": "errors", "t": "time",
    "n": "name",
}  # fmt: skip
"""The keys that choose an order."""


def screen(
    frame: Frame | None,
    *,
    width: int,
    height: int | None = None,
    sort: str = "calls",
    problem: str = "",
    keys: bool = False,
) -> RenderableType:
    """Return what a terminal shows.

    Args:
        frame: What the ledger held last. None: nothing was read yet.
        width: Columns of the terminal.
        height: Its lines. Default None: as many as there are.
        sort: The order of the rows; see :data:`SORTS`.
        problem: The reason why nothing new could be read. Default "".
        keys: Whether to show the keys. Default False.
    """
    head: list[RenderableType] = []
    if problem:
        lines = textwrap.wrap(f"Trying again: {printable(problem)}", width, max_lines=3)
        head += [Text(line, style="bold red") for line in lines]
    if frame is None:
        return Group(*head) if head else Text("Reading the ledger ...")
    head += [_title(frame, width), *_totals(frame, width), Text()]
    foot: list[RenderableType] = [Text(), *_state_lines(frame, width)]
    if keys:
        foot.append(_fit(_key_line(sort), width))
    room = None if height is None else max(1, height - len(head) - len(foot) - 3)
    return Group(*head, _rows(frame, width, room, sort), *foot)


def _title(frame: Frame, width: int) -> Text:
    minutes = f"last {span(math.floor(frame.minutes) * _MINUTE)}"
    text = Text("toolops top", style="bold").append(f"  {minutes}  ", style="not bold")
    room = width - len(text.plain)
    return _fit(
        text.append(shorten_name(printable(frame.place), max(room, 12)), "not bold dim"), width
    )


def _totals(frame: Frame, width: int) -> list[Text]:
    """Return the figures of all rows, in as many lines as they need."""
    total = frame.total
    facts = [
        ("calls/min", f"{_rate(total.calls / frame.minutes)} {_sparkline(frame.trend)}".rstrip()),
        ("hit rate", percentage(total.hit_rate)),
        ("p95", duration(total.waited.quantile(0.95))),
        ("errors", percentage(_errors(total))),
        ("saved", f"{money(total.saved_cost)} and {duration(total.saved_seconds)}"),
        ("spent", money(total.spent_cost)),
    ]
    lines = [Text()]
    for name, value in facts:
        needed = len(name) + cell_width(value) + 1
        if lines[-1].plain and len(lines[-1].plain) + 3 + needed > width:
            lines.append(Text())
        if lines[-1].plain:
            lines[-1].append("   ")
        lines[-1].append(f"{name} ", style="dim").append(value, style="bold")
    return lines


def _sparkline(counts: Sequence[int]) -> str:
    most = max(counts, default=0)
    if not most:
        return ""
    return "".join(_BLOCKS[math.ceil(count / most * (len(_BLOCKS) - 1))] for count in counts)


def _rows(frame: Frame, width: int, room: int | None, sort: str) -> RenderableType:
    if not frame.rows:
        return Text("No calls in this time.", style="dim")
    rows = sorted(frame.rows.items(), key=lambda item: (-_rank(item[1], sort), item[0]))
    shown = rows if room is None or len(rows) <= room else rows[: max(1, room - 1)]
    cells = {
        name: [column.text(row, frame.minutes) for _, row in shown]
        for name, column in _COLUMNS.items()
    }
    names = [shorten_name(key or "-", max(14, width // 3)) for key, _ in shown]
    left = width - max(map(cell_width, (*names, frame.by)))
    chosen: list[str] = []
    for name, texts in cells.items():
        left -= max(map(cell_width, (_COLUMNS[name].title, *texts))) + _GAP
        if left < 0:
            break
        chosen.append(name)
    made: Table = table(frame.by, *(_mark_title(name, sort) for name in chosen))
    for place, (label, (_, row)) in enumerate(zip(names, shown, strict=True)):
        style = "red" if _errors(row) >= _MANY_ERRORS else ""
        made.add_row(Text(label, style=style), *(cells[column][place] for column in chosen))
    if len(shown) < len(rows):
        made.add_row(Text(f"... and {len(rows) - len(shown):,} more", style="dim"))
    return made


def _mark_title(name: str, sort: str) -> str:
    title = _COLUMNS[name].title
    return f"[reverse]{title}[/reverse]" if name == sort else title


def _rank(row: Summary, sort: str) -> float:
    column = _COLUMNS.get(sort)
    return 0.0 if column is None or column.rank is None else column.rank(row)


def _state_lines(frame: Frame, width: int) -> Iterator[Text]:
    """Yield a line or more on breakers, processes and notices."""
    troubled = [
        (process, breaker)
        for process in frame.processes
        for breaker in process.breakers
        if breaker.rejects
    ]
    for process, breaker in troubled[:3]:
        state = breaker.state.replace("_", " ")
        age = f" for {_age(breaker.since, frame.now)}" if breaker.since else ""
        facts = [breaker.error, f"{breaker.rejected:,} rejected" if breaker.rejected else ""]
        why = f" ({', '.join(filter(None, facts))})" if any(facts) else ""
        text = f"{breaker.name} {state}{age} in {process.label}{why}"
        yield _label("breaker", text, width, "bold red")
    if len(troubled) > 3:
        yield _label("breaker", f"... and {len(troubled) - 3} more", width, "red")
    yield _label("processes", _describe_processes(frame.processes), width)
    down = {
        (tier.label, process.label)
        for process in frame.processes
        for tier in process.tiers
        if not tier.up
    }
    for label, place in sorted(down)[:3]:
        yield _label("tier", f"{label} down in {place}", width, "bold red")
    for notice in frame.notices:
        yield _label("notice", _describe_notice(notice, frame.now), width)


def _describe_processes(processes: Sequence[ProcessState]) -> str:
    if not processes:
        return "none has written in the last two minutes"
    unique = {(process.host, process.pid) for process in processes}
    hosts = Counter(host for host, _ in unique)
    most = [f"{host} {count}" for host, count in hosts.most_common(4)]
    more = f", and {len(hosts) - 4} more" if len(hosts) > 4 else ""
    lost = sum(process.lost for process in processes)
    drops = f"; {several(lost, 'call')} lost" if lost else ""
    return f"{len(unique)} on {several(len(hosts), 'host')}: {', '.join(most)}{more}{drops}"


def _describe_notice(notice: StoredNotice, now: float) -> str:
    facts = ", ".join(filter(None, (notice.detail, notice.error)))
    often = f" x{notice.count:,}" if notice.count > 1 else ""
    about = f" ({facts})" if facts else ""
    kind = notice.kind.replace("_", " ")
    return f"{_age(notice.at, now)} ago: {kind} {notice.name}{about}{often}"


def _age(at: float, now: float) -> str:
    """Return the time since a moment in one unit: "38 s", "4 min", "3 h", "2 d"."""
    seconds = max(0.0, now - at)
    for unit, size, limit in (("s", 1, 99), ("min", 60, 99 * 60), ("h", 3_600, 48 * 3_600)):
        if seconds < limit:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds // 86_400:,.0f} d"


def _label(label: str, text: str, width: int, style: str = "") -> Text:
    return _fit(
        Text(f"{label:<10} ", style="dim").append(printable(text), f"not dim {style}"), width
    )


def _key_line(sort: str) -> Text:
    # The way out comes first, since a narrow terminal has no room for all.
    line = Text("keys  ", style="dim").append("q ", "bold not dim").append("quit  ", "not dim")
    for key, name in KEYS.items():
        line.append(f"{key} ", style="bold not dim")
        line.append(f"{name}  ", style="not dim reverse" if name == sort else "")
    return line


def _fit(line: Text, width: int) -> Text:
    line.no_wrap = True
    line.truncate(width, overflow="ellipsis")
    return line
