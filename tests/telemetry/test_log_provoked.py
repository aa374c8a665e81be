"""Log lines about real trouble, as a user reads them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from servers import wait_for

from toolops_plugins import Cache, ToolOps

FOLDER = Path(__file__).parent
QUIET = {"CREWAI_DISABLE_TELEMETRY": "true", "ANONYMIZED_TELEMETRY": "False"}
QUIET |= {"OTEL_SDK_DISABLED": "true", "PYTHONPATH": str(FOLDER.parent)}
SHOP = r" \(namespace 'shop'\)"
PAST = "Calls of '{}' go past the cache "
KEPT = "is not kept"
LINES = [
    ("telemetry", r"The sink 'BrokenSink' raised ValueError, and missed an event; calls go on"),
    (
        "resilience",
        r"The circuit breaker 'quotes' opened \(closed -> open\); its calls are rejected; the last "
        r"failure was ConnectionError",
    ),
    (
        "resilience",
        r"The circuit breaker 'quotes' closed \(half_open -> closed\), after [\d.]+ m?s; its calls "
        r"are made again; rejected calls: \d+",
    ),
    (
        "cache",
        r"Calls of 'held' go past the cache \(not_canonical\): the argument 'client' is or holds a "
        r"__main__.Client, which has no canonical form; leave it out with ignore=\['client'\], "
        r"register its type with ops.canon.register\(...\), or give its class a __toolops_key__\(\)"
        r" method",
    ),
    (
        "cache",
        r"A result or error of 'open' is not kept, since no codec takes __main__.Client at "
        r"\$\[...\].client\[0\]; register its type with ops.codec.register\(...\), or return plain "
        r"data",
    ),
    (
        "cache",
        r"A result or error of 'lines' is not kept, since no codec takes list_iterator, which can "
        r"be read once only; return plain data made from it, such as a list, a dict or a text",
    ),
    (
        "cache",
        r"A result of 'long' is not kept, since it is a builtins.str of 6,000,049 bytes, more than "
        r"max_value_bytes=1,000,000 allows; ToolOps\(max_value_bytes=...\) raises the bound",
    ),
    (
        "cache",
        r"Calls of 'with cache' go past the cache \(key_failed\): making their key raised "
        r"ConnectionError; see key=, tenant= and what the arguments define",
    ),
    (
        "cache",
        r"A result of 'with cache' is not kept \(when_failed\): Cache\(when=...\) raised "
        r"ConnectionError",
    ),
    (
        "cache",
        r"A call of 'with price' counts as free \(price_failed\): price= raised ConnectionError",
    ),
    (
        "cache",
        r"Several functions are called '[\w.<>]+' \(name_taken\): each but the first has a cache "
        r"of its own, in this process; give name= to those that may share answers",
    ),
    (
        "resilience",
        r"Equal calls of 'late' are not joined: all 1 places for calls under way are taken; "
        r"ToolOps\(max_flights=...\) makes more",
    ),
    (
        "resilience",
        r"Calls of 'queued' wait for a thread: all 1 threads are held: 1 by 'slow'; "
        r"ToolOps\(max_threads=...\) makes more",
    ),
    (
        "cache",
        r"The refresh of 'news' in the background failed \(ConnectionError\); its callers had the "
        r"stored answer",
    ),
]
"""Lines of the runtime "shop" by the last part of their loggers' names."""
OTHERS = [
    (
        "semantic",
        r"The semantic cache failed \(the embedder failed with ConnectionError\); calls go on "
        r"without it",
    ),
    (
        "semantic",
        r"The semantic cache works again, after .+s; calls that went on without it: 1",
    ),
    ("cache", r"The cache tier 'L2' failed \(ConnectionError\); calls go on without it"),
    (
        "cache",
        r"The cache tier 'L2' works again, after [\d.]+ m?s; calls that went on without it: \d+",
    ),
]
"""Those of runtimes without a namespace."""


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
    lines = program.stderr.splitlines()
    wanted = [(logger, text + SHOP) for logger, text in LINES] + OTHERS
    for logger, text in wanted:
        form = re.compile(rf"WARNING toolops_plugins\.{logger} {text}( \(\d+ more .+\))?$")
        assert sum(form.match(line) is not None for line in lines) == 1, (text, program.stderr)
    assert len(lines) == len(wanted), program.stderr


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
    assert [line for line in caplog.messages if "not joined" in line] == [
        "Equal calls of 'look' are not joined: all 1 places for calls under way are taken;"
        " ToolOps(max_flights=...) makes more"
    ]


def test_streams_that_no_others_join_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    with ToolOps() as ops:
        ops._shared.streams.limit = 1

        @ops.tool(name="stream")
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


CONFIGURATION = """
import importlib, logging, pkgutil, sys
import langchain_core, langgraph, crewai, llama_index.core
import toolops_plugins, langchain_toolops, crewai_toolops, llama_index.callbacks.toolops as llama

def configuration():
    root = logging.getLogger()
    return list(root.handlers), root.level, list(root.filters), logging.raiseExceptions, logging.root.disabled

names = []
for package in (toolops_plugins, langchain_toolops, crewai_toolops, llama):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if found.name.rpartition(".")[2] not in ("__main__", "pages") and ".pages." not in found.name:
            names.append(found.name)
# Frameworks configure loggers of their own: what they need is imported before.
for name in names:
    importlib.import_module(name)
before = configuration()
for name in names:
    del sys.modules[name]
for name in names:
    importlib.import_module(name)
assert configuration() == before
for name, logger in logging.root.manager.loggerDict.items():
    if name.startswith(("toolops", "langchain_toolops", "crewai_toolops", "llama_index.callbacks.toolops")):
        if isinstance(logger, logging.Logger):
            assert (logger.handlers, logger.level, logger.propagate, logger.filters, logger.disabled) == ([], 0, True, [], False), name
            print(name)
"""
