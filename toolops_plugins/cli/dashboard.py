"""The command `toolops dashboard`."""

from __future__ import annotations

import click

from toolops_plugins.audit.text import printable
from toolops_plugins.cli.addresses import http_address, is_loopback
from toolops_plugins.cli.ledger_option import find_ledger_url, ledger_option
from toolops_plugins.telemetry.ledger import LedgerError, open_reader

__all__ = ["dashboard"]


@click.command()
@ledger_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8501, show_default=True)
@click.option(
    "--refresh",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="Seconds between two refreshes of a page; 0 for none.",
)
@click.option(
    "--allow-actions",
    is_flag=True,
    help="Let visitors open and close breakers, and invalidate tags.",
)
@click.option("--browser", is_flag=True, help="Open a browser.")
def dashboard(
    ledger: str | None,
    host: str,
    port: int,
    refresh: float,
    allow_actions: bool,  # noqa: FBT001 - click passes it by name
    browser: bool,  # noqa: FBT001 - as above
) -> int:
    """Serve pages that show what the ledger holds.

    They read the ledger only, and refresh themselves. Ctrl-C ends it. Whoever reaches the address
    sees the figures: there is no password.
    """
    url = find_ledger_url(ledger)
    # Imported first, so that a missing extra is named before anything else.
    from toolops_plugins.dashboard.options import Options  # noqa: PLC0415 - as below
    from toolops_plugins.dashboard.server import check_port, serve  # noqa: PLC0415 - rarely needed

    check_port(host, port)
    try:
        with open_reader(url) as reader:
            click.echo(f"Ledger: {printable(reader.place)}")
    except LedgerError as error:
        # It may come later: the pages say so too, and try again.
        click.echo(f"toolops: {printable(str(error))}; the pages try again", err=True)
    if not is_loopback(host):
        allowed = "see the figures and change breakers" if allow_actions else "see the figures"
        click.echo(f"toolops: everybody who reaches {host} can {allowed}", err=True)
    click.echo(f"Dashboard: {http_address(host, port)} (Ctrl-C ends it)")
    serve(Options(url, refresh, allow_actions), host=host, port=port, browser=browser)
    return 0
