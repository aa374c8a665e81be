"""The command `toolops top`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click
from rich.console import Console
from rich.live import Live

from toolops_plugins.cli.ledger_option import find_ledger_url, ledger_option
from toolops_plugins.cli.time_span import parse_since
from toolops_plugins.cli.top_view import KEYS, SORTS, Frame, read_frame, screen
from toolops_plugins.closing import SyncClosing
from toolops_plugins.telemetry.ledger import DIMENSIONS, LedgerError, open_reader

if TYPE_CHECKING:
    from toolops_plugins.telemetry.ledger import Dimension, LedgerReader

__all__ = ["top"]


@click.command()
@ledger_option
@click.option(
    "--since",
    default="5m",
    show_default=True,
    metavar="TIME",
    help="Length of the time that is shown, such as 5m, 1h or 1d.",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    help="Seconds between two looks at the ledger.",
)
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    default="calls",
    show_default=True,
    help="Order of the rows; a key chooses another.",
)
@click.option(
    "--by",
    type=click.Choice(DIMENSIONS),
    default="tool",
    show_default=True,
    help="What a row stands for.",
)
@click.option("--namespace", help="Default: all.")
@click.option("--once", is_flag=True, help="Print once; so does a terminal that is none.")
def top(
    ledger: str | None,
    since: str,
    interval: float,
    sort: str,
    by: Dimension,
    namespace: str | None,
    once: bool,  # noqa: FBT001 - click passes it by name
) -> int:
    """Follow the calls of all processes in a terminal, from the ledger.

    Processes write to it every few seconds. The keys are shown at the bottom; q or Ctrl-C ends it.
    """
    url = find_ledger_url(ledger)
    present = time.time()
    seconds = present - parse_since(since, present)
    console = Console()

    def read(reader: LedgerReader) -> Frame:
        return read_frame(reader, seconds, by, namespace)

    if once or not console.is_terminal or console.is_dumb_terminal:
        with open_reader(url) as reader:
            frame = read(reader)
        console.print(screen(frame, width=console.width, sort=sort))
        return 0
    try:
        with _Source(url, read) as source, _terminable():
            _follow(source, console, interval, sort)
    except KeyboardInterrupt:
        pass  # the usual way to leave
    return 0


def _follow(source: _Source, console: Console, interval: float, sort: str) -> None:
    """Show the ledger until the user leaves."""
    with Live(console=console, screen=True, auto_refresh=False) as live, _Keys() as keys:
        due = 0.0
        while True:
            size = console.size
            view = screen(
                source.frame,
                width=size.width,
                height=size.height,
                sort=sort,
                problem=source.problem,
                keys=keys.readable,
            )
            live.update(view, refresh=True)
            key = keys.wait(due - time.monotonic())
            if key == "q":
                return
            sort = KEYS.get(key, sort)
            if time.monotonic() >= due:
                source.read()
                due = time.monotonic() + interval


class _Source(SyncClosing):
    """The ledger, which may be out of reach for a while.

    Args:
        url: The ledger's URL.
        read: Reads a frame.

    Attributes:
        frame: What was read last, or None.
        problem: The reason why the last reading failed, or "".
    """

    def __init__(self, url: str, read: Any) -> None:
        self._url = url
        self._read = read
        self._reader: LedgerReader | None = None
        self.frame: Frame | None = None
        self.problem = ""

    def read(self) -> None:
        """Read anew; where that fails, the last frame stays."""
        try:
            if self._reader is None:
                self._reader = open_reader(self._url)
            self.frame, self.problem = self._read(self._reader), ""
        except LedgerError as error:
            self.problem = str(error)
            self.close()

    def close(self) -> None:
        """Release connections; the next reading opens them again."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


class _Keys:
    """Keys that are pressed, without Enter; none where the input is no terminal.

    Attributes:
        readable: Whether keys can be read.
    """

    def __init__(self) -> None:
        self.readable = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
            return self
        try:
            import termios  # noqa: PLC0415 - absent on Windows
            import tty  # noqa: PLC0415 - as termios
        except ImportError:
            return self
        self._before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        self.readable = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.readable:
            import termios  # noqa: PLC0415 - as above

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> str:
        """Return the next key that is pressed in a time, or ""."""
        pause = max(0.0, seconds)
        if not self.readable:
            time.sleep(pause)
            return ""
        import select  # noqa: PLC0415 - takes files on Unix only

        if not select.select([sys.stdin], [], [], pause)[0]:
            return ""
        pressed = os.read(sys.stdin.fileno(), 64)
        if not pressed:  # the terminal is gone
            return "q"
        # An arrow key sends several characters, of which none is a key of ours.
        return pressed.decode("latin-1").lower() if len(pressed) == 1 else ""


@contextmanager
def _terminable() -> Iterator[None]:
    """Leave by SIGTERM as by Ctrl-C, so that the terminal gets back its screen and its echo."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
