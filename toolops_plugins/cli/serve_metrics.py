"""`toolops serve-metrics`: serve the figures of other processes to Prometheus."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import click

from toolops_plugins.audit.text import printable
from toolops_plugins.cli.addresses import http_address
from toolops_plugins.cli.ledger_option import find_ledger_url, ledger_option
from toolops_plugins.errors import ConfigurationError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["serve_metrics"]


@click.command(name="serve-metrics")
@click.option(
    "--multiproc-dir",
    metavar="FOLDER",
    help="Serve what workers write there. Default: PROMETHEUS_MULTIPROC_DIR.",
)
@ledger_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9464,
    show_default=True,
    help="The port; 0 for any free one.",
)
def serve_metrics(multiproc_dir: str | None, ledger: str | None, host: str, port: int) -> int:
    """Serve the figures of other processes to Prometheus.

    They come from the folder in which workers with a PrometheusSink keep their metrics, or from a
    ledger. The process that serves them makes no calls itself. Ctrl-C ends it.
    """
    try:
        from toolops_plugins.telemetry import prometheus  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None
    with ExitStack() as stack:
        registry, place = _open(multiproc_dir, ledger, stack)
        try:
            server, thread = prometheus.serve_registry(registry, port, host)
        except OSError as error:
            raise ConfigurationError(
                "--port", f"{port} at {host} cannot be listened at: {error.strerror or error}"
            ) from None
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        address = http_address(host, server.server_port)
        click.echo(f"Serving {printable(place)} at {address}/metrics")
        threading.Event().wait()
    return 0


def _open(
    folder: str | None, ledger: str | None, stack: ExitStack
) -> tuple[CollectorRegistry, str]:
    """Return the registry to serve, and the name of its source; an option comes first."""
    if folder and ledger:
        raise ConfigurationError("--ledger", "is given beside --multiproc-dir; serve one of them")
    folder = folder or (None if ledger else os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
    if folder:
        from toolops_plugins.telemetry.prometheus import folder_registry  # noqa: PLC0415 - as above

        return folder_registry(folder), folder
    try:
        url = find_ledger_url(ledger)
    except ConfigurationError:
        raise ConfigurationError(
            "--multiproc-dir",
            "or --ledger is needed, or PROMETHEUS_MULTIPROC_DIR, TOOLOPS_LEDGER or"
            " TOOLOPS_REDIS_URL: what a process counts in its own memory can be served by that"
            " process only",
        ) from None
    from toolops_plugins.telemetry.ledger import open_reader  # noqa: PLC0415 - rarely needed
    from toolops_plugins.telemetry.prometheus.ledger import ledger_registry  # noqa: PLC0415 - as above

    reader = stack.enter_context(closing(open_reader(url)))
    return ledger_registry(reader, _report_ledger), reader.place


def _report_ledger(error: Exception | None) -> None:
    """Print that the ledger cannot be read, or can be read again; once for each change."""
    text = "the ledger can be read again" if error is None else str(error)
    click.echo(f"toolops: {printable(' '.join(text.split()))}", err=True)
