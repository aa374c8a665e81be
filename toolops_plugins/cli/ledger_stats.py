"""The figures of a ledger, for `toolops stats --since`."""

from __future__ import annotations

import time
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from toolops_plugins.audit.text import echo_json, printable, table
from toolops_plugins.cli.time_span import parse_since
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.formats import duration, money, percentage
from toolops_plugins.telemetry.ledger import DIMENSIONS, LedgerReader, Summary, open_reader

__all__ = ["show_ledger_stats"]

_SHOWN = 40
_NAME = 28


def show_ledger_stats(
    url: str, since: str, by: tuple[str, ...], namespace: str | None, *, as_json: bool
) -> int:
    """Print the sums of a ledger's calls; return the exit code.

    Args:
        url: The ledger.
        since: A length of time such as "1h", or a date.
        by: The dimensions that are told apart.
        namespace: The only namespace that counts. None: all.
        as_json: Whether to print JSON.

    Raises:
        ConfigurationError: An option is wrong.
        LedgerError: The ledger cannot be read.
    """
    for name in by:
        if name not in DIMENSIONS:
            raise ConfigurationError("--by", f"must be of {', '.join(DIMENSIONS)}, not {name!r}")
    parse_since(since, time.time())  # a mistake is told before the ledger is looked for
    with open_reader(url) as reader:
        start = parse_since(since, reader.now())
        found = _read(reader, start, by, namespace)
        place = reader.place
    total = Summary.merge(found.values())
    if as_json:
        rows = [
            {**dict(zip(by, key, strict=True)), **sums.to_dict()} for key, sums in found.items()
        ]
        echo_json({"ledger": place, "since": start, "rows": rows, "total": total.to_dict()})
    elif not found:
        click.echo(printable(f"No calls in {place} since {_time_text(start)}."))
    else:
        _show(Console(), f"{place} since {_time_text(start)}", by, found, total)
    return 0


def _read(
    reader: LedgerReader, since: float, by: tuple[Any, ...], namespace: str | None
) -> dict[tuple[str, ...], Summary]:
    where: dict[Any, str] = {} if namespace is None else {"namespace": namespace}
    found = reader.summaries(since, by=by, where=where)
    return dict(sorted(found.items(), key=lambda item: (-item[1].calls, item[0])))


def _time_text(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _show(
    console: Console,
    title: str,
    by: tuple[str, ...],
    found: dict[tuple[str, ...], Summary],
    total: Summary,
) -> None:
    console.print(Text(printable(title), style="bold"), soft_wrap=True)
    rows = [(_name_of(key), sums) for key, sums in list(found.items())[:_SHOWN]]
    rows.append(("total", total))
    head = ", ".join(by) or "all"
    counts = table(head, "calls", "hit rate", "hits", "runs", "errors", "rejected")
    times = table(head, "p50", "p95", "p99", "own p50", "own p95")
    gains = table(head, "saved time", "saved", "spent", "tokens", "saved tokens")
    for name, sums in rows:
        outcomes, waited, worked = sums.outcomes, sums.waited, sums.worked
        label = Text(printable(name)[:_NAME])
        counts.add_row(
            label,
            f"{sums.calls:,}",
            percentage(sums.hit_rate),
            f"{sums.hits:,}",
            f"{outcomes.get('miss', 0) + outcomes.get('bypass', 0):,}",
            f"{outcomes.get('error', 0):,}",
            f"{outcomes.get('rejected', 0):,}",
        )
        times.add_row(
            label,
            *(duration(waited.quantile(share)) for share in (0.5, 0.95, 0.99)),
            *(duration(worked.quantile(share)) for share in (0.5, 0.95)),
        )
        gains.add_row(
            label,
            duration(sums.saved_seconds),
            money(sums.saved_cost),
            money(sums.spent_cost),
            f"{sums.input_tokens + sums.output_tokens:,}",
            f"{sums.saved_tokens:,}",
        )
    for each in (counts, times, gains):
        console.print(each)
        console.print()
    if len(found) > _SHOWN:
        console.print(f"... and {len(found) - _SHOWN:,} more; --json has them all")


def _name_of(key: tuple[str, ...]) -> str:
    return ", ".join(part or "-" for part in key) or "all"
