"""After an invalidation no process serves the old answer: real processes, stores and commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import LONG
from chroma_servers import ChromaServer
from servers import Server, wait_for

from toolops_plugins import Memory, Redis, SemanticCache, TierError, ToolOps

pytestmark = pytest.mark.timeout(300)  # a busy machine starts a process in ten seconds

WORKER = Path(__file__).parents[1] / "invalidation_worker.py"
WORDINGS = ("What is the capital of {}?", "what's the capital of {}", "Tell me the capital of {}.")
REPEATS = [wording.upper() for wording in WORDINGS]  # near repeats, which any policy serves


class Process:
    """A process of a program, which can be down for a while."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), json.dumps(self.options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready"

    def _read(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def __call__(self, *command: str) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def ask(self, country: str, *wordings: str) -> set[str]:
        """Return the answers to a question in several wordings."""
        return {self("ask", each.format(country)) for each in wordings or WORDINGS}

    def stop(self) -> None:
        if self._process is not None:
            with self._process as process:
                assert process.stdin is not None
                process.stdin.close()
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None


Make = Callable[..., Process]


@pytest.fixture(scope="module", params=["folders", "signed folders without memory", "server"])
def make(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, valkey: Server
) -> Iterator[Make]:
    """Makes processes that share a namespace."""
    made: list[Process] = []
    options: dict[str, Any] = {"namespace": f"test-{uuid.uuid4().hex}", "redis": valkey.url}
    if request.param == "signed folders without memory":
        options |= {"secret": "shared", "memory": False}
    if request.param == "server":
        server: ChromaServer = request.getfixturevalue("chroma_server")
        options["url"] = server.url
    folders = tmp_path_factory.mktemp("indexes")

    def start(name: str) -> Process:
        place = {} if "url" in options else {"path": str(folders / name)}
        made.append(Process(options | place | {"name": name}))
        return made[-1]

    yield start
    for process in made:
        process.stop()


@pytest.fixture(scope="module")
def running(make: Make) -> list[Process]:
    """Two processes that run all the time."""
    return [make("one"), make("two")]


def command(process: Process, *words: str) -> str:
    """Run `toolops` and return what it prints."""
    options = process.options
    environ = {**os.environ, "TOOLOPS_SECRET": options.get("secret", "")}
    where = ["--redis-url", options["redis"], "--namespace", options["namespace"]]
    found = subprocess.run(
        [sys.executable, "-m", "toolops_plugins.cli", *words, *where],
        capture_output=True,
        text=True,
        env=environ,
        check=False,
    )
    assert not found.stderr
    return found.stdout


def by_key(process: Process, country: str, name: str = "key") -> None:
    for wording in WORDINGS:
        process(name, wording.format(country))


def by_tag(process: Process, country: str, name: str = "tag") -> None:
    process(name, *[f"asked:{wording.format(country)}" for wording in WORDINGS])


def by_command(process: Process, country: str) -> None:
    tags = [f"asked:{wording.format(country)}" for wording in WORDINGS]
    assert "running processes have been told" in command(process, "invalidate", *tags)


SELECTIVE: dict[str, Callable[[Process, str], None]] = {
    "France": by_key,
    "Spain": lambda process, country: by_key(process, country, "akey"),
    "Italy": by_tag,
    "Norway": lambda process, country: by_tag(process, country, "atag"),
    "Greece": by_command,
}
WHILE_IT_RUNS = {
    "Sweden": (by_key, False),
    "Poland": (by_tag, False),
    "Ireland": (by_command, False),
    "Finland": (by_key, True),
    "Austria": (by_tag, True),
}
OTHER = "Portugal"
CLEARS: list[Callable[[Process], object]] = [
    lambda process: process("clear"),
    lambda process: process("aclear"),
    lambda process: command(process, "clear", "--yes"),
]


def test_no_process_serves_what_was_invalidated(make: Make, running: list[Process]) -> None:
    (one, two), down = running, make("down")
    everybody = (one, two, down)
    answers: set[str] = set()
    for country in (*SELECTIVE, OTHER):
        for process in everybody:
            answers |= process.ask(country)
    down("flush")
    down.kill()
    for country, invalidate in SELECTIVE.items():
        invalidate(one, country)
        assert not one.ask(country) & answers, country
        await_news(two, country, answers)
    down.start()
    for country in SELECTIVE:
        assert not down.ask(country) & answers, country
    # What was not invalidated is still there; the others had it from Redis.
    assert one.ask(OTHER, *REPEATS) & answers
    for clear in CLEARS:
        for process in (one, two):
            answers |= process.ask(OTHER)
        clear(one)
        assert not one.ask(OTHER) & answers
        await_news(two, OTHER, answers)


def await_news(process: Process, country: str, answers: set[str]) -> None:
    """Wait until a process serves none of some answers, in any wording."""
    for wording in (*WORDINGS, *REPEATS):
        wait_for(
            lambda wording=wording: not process.ask(country, wording) & answers,
            f"news of {country}",
            LONG,
        )


def test_what_was_being_computed_is_not_stored(running: list[Process]) -> None:
    one, two = running
    for process in (one, two):
        process.ask(OTHER)
    old: dict[str, set[str]] = {}
    for country, (invalidate, is_deaf) in WHILE_IT_RUNS.items():
        old[country] = {two("begin", WORDINGS[0].format(country))}
        if is_deaf:  # its subscription is interrupted
            two("deafen")
        invalidate(one, country)
        two("finish")
        two("flush")
    for country, answers in old.items():
        for process in (two, one):
            await_news(process, country, answers)


def test_who_goes_without_a_folder_invalidates_in_the_process_that_holds_it(
    tmp_path: Path, valkey: Server, namespace: str
) -> None:
    options = {"namespace": namespace, "redis": valkey.url, "path": str(tmp_path), "name": "holder"}
    holder = Process(options)
    tiers = [Memory(), Redis(valkey.url, socket_timeout=10, connect_timeout=10)]
    try:
        answers = holder.ask(OTHER)
        with ToolOps(namespace, tiers, semantic=SemanticCache(tmp_path)) as ops:
            ops.invalidate([f"asked:{wording.format(OTHER)}" for wording in WORDINGS])
        await_news(holder, OTHER, answers)
        deaf = ToolOps(namespace, semantic=SemanticCache(tmp_path))  # it cannot tell anybody
        with deaf, pytest.raises(TierError, match="in use by another process"):
            deaf.invalidate(["any"])
    finally:
        holder.stop()
