"""The command `toolops report`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from toolops_plugins.audit.text import echo_json, printable
from toolops_plugins.cli.ledger_option import find_ledger_url, ledger_option
from toolops_plugins.cli.time_span import parse_cost, parse_since
from toolops_plugins.errors import ConfigurationError

__all__ = ["report"]

_WIDTH = 100
_CURRENCY = 8
"""Characters of a currency that are taken."""


@click.command()
@click.option(
    "--since",
    default="30d",
    show_default=True,
    metavar="TIME",
    help="Length of the time, such as 12h, 30d or 4w; or its start, such as 2026-11-01 (UTC).",
)
@ledger_option
@click.option(
    "--cost", metavar="MONEY/TIME", help="What running the service costs, such as 50/month."
)
@click.option("--currency", default="", metavar="TEXT", help="Stands behind amounts, such as USD.")
@click.option(
    "--top", type=click.IntRange(min=0), default=10, show_default=True, help="Rows of each table."
)
@click.option("--html", metavar="FILE", type=click.Path(dir_okay=False), help="Write a page, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def report(
    since: str,
    ledger: str | None,
    cost: str | None,
    currency: str,
    top: int,
    html: str | None,
    *,
    as_json: bool,
) -> int:
    """Report what was saved, spent and prevented, from the ledger.

    What would have been spent without ToolOps is computed from the calls that were made; the report
    says how.
    """
    from toolops_plugins.cli.savings.wording import Wording  # noqa: PLC0415 - as below

    if len(currency) > _CURRENCY or not currency.isprintable():
        raise ConfigurationError(
            "--currency", f"must be a word of at most {_CURRENCY} letters, not {currency!r:.40}"
        )
    words = Wording(currency)
    found = _collect(since, ledger, cost, top)
    if html is not None:
        _write_page(html, found, words, top)
    if as_json:
        from toolops_plugins.cli.savings.plain import plain_of  # noqa: PLC0415 - as below

        echo_json(plain_of(found, words))
    elif not found.total.outcomes:
        click.echo(f"No calls in {words.span(found)} in {printable(found.place)}.")
    else:
        from toolops_plugins.cli.savings.terminal import show  # noqa: PLC0415 - as below

        console = Console()
        show(Console(width=min(console.width, _WIDTH)), found, words, top)
    return 0


def _collect(since: str, ledger: str | None, cost: str | None, top: int) -> Any:
    # The other commands need none of these.
    from toolops_plugins.cli.savings.figures import collect_figures  # noqa: PLC0415 - as it says
    from toolops_plugins.telemetry.ledger import open_reader  # noqa: PLC0415 - as it says

    parse_since(since, time.time())  # a mistake is told before the ledger is looked for
    rate = None if cost is None else parse_cost(cost)
    with open_reader(find_ledger_url(ledger)) as reader:
        return collect_figures(reader, parse_since(since, reader.now()), cost=rate, top=top)


def _write_page(path: str, found: Any, words: Any, top: int) -> None:
    from toolops_plugins.cli.savings.page import page_of  # noqa: PLC0415 - as above

    try:
        Path(path).write_text(page_of(found, words, top), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError("--html", f"{path!r}: {error.strerror}") from None
    click.echo(f"Wrote {printable(path)}.", err=True)
