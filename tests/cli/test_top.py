"""`toolops top`: in a real terminal, in a pipe, and while the ledger is out of reach."""

from __future__ import annotations

import io
import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from commands import complaint, squeezed, terminal, toolops
from ledger_data import fill, fill_sqlite
from rich.console import Console

from toolops_plugins.cli.top_view import KEYS, SORTS, Frame, read_frame, screen
from toolops_plugins.telemetry.ledger import LedgerReader, StoredNotice, Summary
from toolops_plugins.telemetry.ledger.sqlite import SQLiteStore

if sys.platform != "win32":
    import fcntl
    import pty
    import termios

__all__ = ["terminal", "toolops"]

NOW = 1_800_000_030.0


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    return fill_sqlite(tmp_path_factory.mktemp("ledger") / "ledger.db", days=0.2)


@pytest.fixture(scope="module")
def frame(tmp_path_factory) -> Frame:
    store = SQLiteStore(tmp_path_factory.mktemp("still") / "ledger.db")
    store.now = lambda: NOW  # type: ignore[method-assign]  # a clock that stands still
    fill(store, days=0.2)
    found = read_frame(LedgerReader(store), 600.0)
    store.close()
    return found


def draw(frame, width=100, **options):
    console = Console(width=width, file=io.StringIO())
    console.print(screen(frame, width=width, **options))
    return console.file.getvalue()


def rows(text, frame):
    """Return the names in the table, in their order."""
    first = [line.partition(" ")[0] for line in text.splitlines()]
    return [name for name in first if name in frame.rows]


# The screen


def test_the_screen_has_the_figures_of_the_ledger(frame):
    text = draw(frame)
    total = frame.total
    assert f"{total.calls / frame.minutes:.3g}"[:3] in text
    assert f"hit rate {total.hit_rate:.1%}" in text
    for part in (
        "breaker    send_mail open for 95 s in web-1:4002 (ConnectionError, 42 rejected)",
        "processes  3 on 2 hosts: web-1 2, web-2 1",
        "tier       L2 down in web-1:4002",
        "notice     4 min ago: tier failed L2 (ConnectionError) x17",
    ):
        assert part in text
    assert sorted(rows(text, frame)) == sorted(frame.rows)
    answer = frame.rows["answer"]
    (line,) = [line for line in text.splitlines() if line.startswith("answer ")]
    assert f"{answer.hit_rate:.1%}" in line
    assert frame.minutes == 10.5  # from the start of a minute


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_line_is_longer_than_the_terminal(frame, width):
    long = replace(frame, rows={**frame.rows, "module." * 30 + "function": Summary({"hit": 5})})
    text = draw(long, width, keys=True, problem="x" * 300)
    assert max(map(len, text.splitlines())) <= width
    head = next(line for line in text.splitlines() if line.startswith("tool "))
    assert ("calls/min" in head, "spent" in head) == (True, width >= 80)
    assert "\N{HORIZONTAL ELLIPSIS}" not in head


@pytest.mark.parametrize("height", [16, 24])
def test_the_rows_are_as_many_as_fit(frame, height):
    many = {f"tool {number:02}": Summary({"hit": 100 - number}) for number in range(60)}
    text = draw(replace(frame, rows=many), height=height, keys=True)
    assert len(text.splitlines()) <= height
    assert re.search(r"^\.\.\. and \d+ more", text, re.MULTILINE)
    assert "tool 00" in text


def test_rows_come_in_the_order_that_is_asked_for(frame):
    by_name = rows(draw(frame, sort="name"), frame)
    assert by_name == sorted(frame.rows)
    by_spent = rows(draw(frame, sort="spent"), frame)
    assert by_spent == sorted(frame.rows, key=lambda name: (-frame.rows[name].spent_cost, name))
    for sort in SORTS:
        assert len(rows(draw(frame, sort=sort), frame)) == len(frame.rows)
    assert set(KEYS.values()) == set(SORTS)


def test_nothing_and_trouble_are_told(frame):
    empty = replace(frame, rows={}, processes=[], notices=[], trend=[0] * 20)
    text = draw(empty)
    assert "No calls in this time." in text
    assert "none has written in the last two minutes" in text
    assert "Reading the ledger" in draw(None)
    assert draw(None, problem="it is gone") == "Trying again: it is gone\n"
    assert draw(frame, problem="it is gone").startswith("Trying again: it is gone\ntoolops top ")


def test_names_are_no_markup_and_no_control_characters(frame):
    odd = replace(
        frame,
        rows={"[bold]x[/bold]\x1b[2J": Summary({"miss": 1})},
        notices=[StoredNotice("bypass", "a\nb", "\x1b[31m", NOW)],
    )
    text = draw(odd)
    assert r"[bold]x[/bold]\x1b[2J" in text
    assert "\x1b" not in text


# The command


def test_without_a_terminal_it_prints_once(url, toolops, terminal):
    code, out, err = toolops("top", "--ledger", url, "--since", "20m", "--by", "model")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "gpt-4.1" in out
    assert "last 20 min" in squeezed(out)
    assert "quit" not in out


def test_a_namespace_is_chosen(url, toolops, terminal):
    code, out, _ = toolops("top", "--ledger", url, "--once", "--namespace", "other")
    assert code == 0
    assert "No calls in this time." in out
    assert "none has written" in out


def test_mistakes_get_one_line(toolops, terminal, tmp_path):
    code, line = complaint(toolops("top", "--once"))
    assert (code, "TOOLOPS_LEDGER" in line) == (2, True)
    code, line = complaint(toolops("top", "--ledger", f"sqlite:///{tmp_path}/none.db", "--once"))
    assert (code, "no such file" in line) == (1, True)
    code, line = complaint(toolops("top", "--ledger", "ftp://x", "--once"))
    assert (code, line.startswith("ledger: ")) == (2, True)
    assert complaint(toolops("top", "--ledger", "x", "--since", "soon"))[0] == 2


# The terminal has to be the one that controls the process, or Ctrl-C would be a mere character.
PROGRAM = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from toolops_plugins.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


class Terminal:
    """A real terminal of 60 by 24, with the command in it."""

    def __init__(self, *args):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        environ = {name: os.environ[name] for name in os.environ if name != "COLUMNS"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "top", *args],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**environ, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        self.shown = ""

    def wait_for(self, pattern):
        """Read until a text is shown that is new, and return all that was shown until then."""
        self.shown = ""
        end = time.monotonic() + 30
        while not re.search(pattern, self.text()):
            assert time.monotonic() < end, self.text()
            assert self.process.poll() is None or self._ready(), self.text()
            self._read()
        return self.text()

    def text(self):
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", self.shown)

    def press(self, key):
        os.write(self.master, key.encode())

    def end(self):
        """Wait for the end, and return the exit code and what was shown last."""
        while self.process.poll() is None:
            self._read()
        while self._ready():
            self._read()
        return self.process.returncode, self.shown

    def _ready(self):
        return bool(select.select([self.master], [], [], 0)[0])

    def _read(self):
        if select.select([self.master], [], [], 0.05)[0]:
            self.shown += os.read(self.master, 65_536).decode()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def in_terminal():
    made = []

    def start(*args):
        made.append(Terminal(*args))
        return made[-1]

    yield start
    for each in made:
        each.close()


def assert_restored(shell, shown):
    assert "\x1b[?1049l" in shown  # the screen as it was before
    assert "\x1b[?25h" in shown  # the cursor
    assert termios.tcgetattr(shell.slave) == shell.before
    assert "Traceback" not in shown


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of Unix")
def test_it_follows_a_ledger_that_comes_and_takes_keys(in_terminal, tmp_path):
    path = tmp_path / "ledger.db"
    shell = in_terminal("--ledger", f"sqlite:///{path}", "--interval", "0.2", "--sort", "name")
    shell.wait_for(r"Trying again: [\s\S]*there")  # is no such file, cut behind a long path
    fill_sqlite(path, days=0.1)
    text = shell.wait_for(r"send_mail[\s\S]*q quit")
    assert "Trying again" not in text.rpartition("toolops top")[2]
    assert re.search(r"answer[\s\S]*embed[\s\S]*search_web", text)
    shell.press("\x1b[A")  # an arrow
    shell.press("c")
    shell.wait_for(r"search_web[\s\S]*send_mail[\s\S]*q quit")
    shell.press("\x03")
    code, shown = shell.end()
    assert code == 0
    assert_restored(shell, shown)


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of Unix")
@pytest.mark.parametrize("way", ["q", "SIGTERM"])
def test_it_gives_the_terminal_back(in_terminal, url, way):
    shell = in_terminal("--ledger", url)
    shell.wait_for(r"send_mail[\s\S]*q quit")
    if way == "q":
        shell.press("q")
    else:
        shell.process.send_signal(signal.SIGTERM)
    code, shown = shell.end()
    assert code == 0
    assert_restored(shell, shown)
