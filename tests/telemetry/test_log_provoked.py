"""Log lines about real trouble, as a user reads them."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from servers import free_port, wait_for

from toolops_plugins import Cache, ToolOps

FOLDER = Path(__file__).parent
QUIET = {"CREWAI_DISABLE_TELEMETRY": "true", "ANONYMIZED_TELEMETRY": "False"}
QUIET |= {"OTEL_SDK_DISABLED": "true", "PYTHONPATH": str(FOLDER.parent)}
LINES = (FOLDER / "troubled_lines.txt").read_text().splitlines()
"""Every line that the program's user reads; a star stands for a number, a time or a name."""


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True, text=True, cwd=cwd, env=os.environ | QUIET, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A program that ran into every kind of trouble."""
    folder = tmp_path_factory.mktemp("troubled")
    return run(str(FOLDER / "troubled_program.py"), str(folder), cwd=folder)


def test_each_kind_of_trouble_makes_its_line(
    program: subprocess.CompletedProcess[str],
) -> None:
    assert program.returncode == 0, program.stderr
    seen = program.stderr.splitlines()
    for line in LINES:
        form = re.compile(re.escape(line).replace(r"\*", ".+") + r"( \(\d+ more in .+\))?")
        assert sum(form.fullmatch(each) is not None for each in seen) == 1, (line, program.stderr)
    assert len(seen) == len(LINES), program.stderr


def test_nothing_of_a_call_is_in_a_line_a_notice_or_an_event(
    program: subprocess.CompletedProcess[str],
) -> None:
    for output in (program.stderr, program.stdout):
        assert "MARKER" not in output
    for kind in ("tier_failed", "bypass", "not_encodable", "breaker", "flights_full"):
        assert f"kind='{kind}'" in program.stdout
    assert "notices: " in program.stdout


def test_no_traceback_is_written_at_exit(program: subprocess.CompletedProcess[str]) -> None:
    # It left a refresh under way, runtimes open, and a Redis that was down.
    assert "Traceback" not in program.stderr


FORKING = """
import logging, os, sys
from toolops_plugins import Cache, Memory, ToolOps
from toolops_plugins.cache.redis import Redis

logging.basicConfig(format="%(name)s %(message)s")
ops = ToolOps(tiers=[Memory(), Redis(sys.argv[1], label="L2")], ledger=False)
look = ops.tool(cache=Cache(ttl=60), name="look")(lambda word: word)
look(1)
look(2)
child = os.fork()
look(3)
look(4)
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_writes_its_own_lines_and_ends_quietly(tmp_path: Path) -> None:
    done = run("-c", FORKING, f"redis://127.0.0.1:{free_port()}/0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = "The cache tier 'L2' failed (ConnectionError); calls go on without it"
    assert done.stderr.splitlines() == [f"toolops_plugins.cache {line}"] * 2


def hold_a_flight(ops: ToolOps) -> tuple[threading.Event, threading.Thread]:
    """Start a call that stays under way."""
    release = threading.Event()
    hold = ops.tool(cache=Cache(ttl=60), name="hold")(lambda: release.wait(20))
    thread = threading.Thread(target=hold)
    thread.start()
    wait_for(lambda: len(ops._shared.flights) == 1, "the flight")
    return release, thread


@pytest.mark.parametrize("aio", [False, True])
def test_calls_that_no_others_join_are_reported_once_a_minute(
    aio: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with ToolOps(max_flights=1) as ops:
        release, thread = hold_a_flight(ops)

        async def alook(word: int) -> int:
            return word

        for word in range(3):
            if aio:
                asyncio.run(ops.tool(cache=Cache(ttl=60), name="look")(alook)(word))
            else:
                ops.tool(cache=Cache(ttl=60), name="look")(lambda word: word)(word)
        release.set()
        thread.join()
        assert ops.stats().notices["flights_full"] == 3
    (line,) = caplog.messages
    assert line.startswith("Equal calls of 'look' are not joined: all 1 places for calls")


def test_streams_that_no_others_join_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    with ToolOps() as ops:
        ops._shared.streams.limit = 1

        @ops.tool(cache=Cache(ttl=60), name="stream")
        def stream(word: int):
            yield word
            yield word

        first = stream(1)
        next(first)
        assert list(stream(2)) == [2, 2]
        assert list(first) == [1]
    assert caplog.messages == [
        "Equal calls of 'stream' are not joined: all 1 places for streams under way are taken"
    ]


CONFIGURES = {
    *("setLevel", "addHandler", "addFilter", "basicConfig", "dictConfig", "fileConfig", "disable"),
    *("captureWarnings", "setLoggerClass", "addLevelName", "setLogRecordFactory"),
    *("configure_once", "removeHandler", "filterwarnings"),
}
EXCEPTIONS = {
    "cli/main.py": {"addHandler", "removeHandler"},  # around one command of our own program
    "embedding/models.py": {"addHandler", "removeHandler"},  # keeps WordLlama from configuring it
}


def test_no_module_configures_logging_or_warnings() -> None:
    root = FOLDER.parents[1]
    found = {}
    for folder in ("toolops_plugins", "integrations"):
        for path in (root / folder).rglob("*.py"):
            names = {
                node.attr
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Attribute) and node.attr in CONFIGURES
            }
            if names:
                found["/".join(path.parts[-2:])] = names
    assert found == EXCEPTIONS
