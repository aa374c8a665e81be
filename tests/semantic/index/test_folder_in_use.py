"""An embedded folder that another process uses: calls go on without it, and one warning says so."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import LONG, Latch, Notices, start
from servers import free_port, wait_for

from toolops_plugins import Cache, ConfigurationError, Semantic, SemanticCache, ToolOps
from toolops_plugins.semantic.index import chroma_folder, folder_warnings
from toolops_plugins.semantic.index.chroma_folder_lock import (
    FolderInUseError,
    FolderLock,
    find_holder,
)
from toolops_plugins.testing import FakeClock

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_warnings, "_in_use", set())


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[FolderLock]:
    """The folder ``index``, locked as another process would lock it."""
    lock = FolderLock(tmp_path / "index")
    yield lock
    lock.close()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "toolops_plugins")
    return lambda: [line.getMessage() for line in caplog.records if "toolops" in line.name]


def make_tool(ops: ToolOps) -> tuple[Any, list[str]]:
    questions: list[str] = []

    @ops.readonly(
        name="ask", semantic=Semantic(on="question", threshold=0.8), cache=Cache(ttl=3_600)
    )
    def ask(question: str) -> str:
        questions.append(question)
        return question.upper()

    return ask, questions


def test_a_folder_that_this_process_is_opening_is_not_in_use(
    tmp_path: Path, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that is made on an event loop looks in a thread, while its first call opens."""
    opening, waits = threading.RLock(), Latch()

    class Opening:
        def __enter__(self) -> None:
            waits.open()
            opening.acquire()

        def __exit__(self, *_: object) -> None:
            opening.release()

    monkeypatch.setattr(chroma_folder, "_opening", Opening())
    with opening:
        lock = FolderLock(tmp_path / "index")
        look = start(chroma_folder.warn_if_in_use, tmp_path / "index")
        wait_for(lambda: look.done() or waits.is_open(), "a look", LONG)
        lock.close()
    look.result(LONG)
    assert lines() == []


@pytest.mark.usefixtures("lock")
def test_it_is_said_once_when_the_cache_is_made(tmp_path: Path, lines: Any) -> None:
    folder = tmp_path / "index"
    cache = SemanticCache(folder)
    (line,) = lines()
    assert f"in use by another process (pid {os.getpid()})" in line
    assert f"chroma run --path {folder}" in line
    assert "SemanticCache(url=" in line
    ops = ToolOps("t", semantic=cache)
    notices = Notices(ops)
    ask, questions = make_tool(ops)
    assert [ask(FRANCE), ask(AGAIN)] == [FRANCE.upper(), AGAIN.upper()]
    assert questions == [FRANCE, AGAIN]
    found = ask.explain("is France's capital Paris?")
    assert found.reason == "unavailable"
    assert "chroma run" in str(found)
    alone = SemanticCache(folder, collection="alone")
    alone.put(FRANCE, "Paris")
    assert alone.find(FRANCE) is None
    assert lines() == [line]
    assert {notice.kind for notice in notices.all} == {"folder_in_use"}
    assert all("chroma run --path" in notice.detail for notice in notices.all)
    ops.close()
    alone.close()


async def test_it_is_said_to_who_makes_the_cache_on_an_event_loop(
    tmp_path: Path, lock: FolderLock, lines: Any
) -> None:
    async with SemanticCache(tmp_path / "index") as cache:
        assert await cache.afind(FRANCE) is None
        await cache.aput(FRANCE, "Paris")
        assert await cache.afind(FRANCE) is None
    (line,) = lines()
    assert "chroma run --path" in line


def test_it_is_said_once_when_it_is_found_later(tmp_path: Path, lines: Any) -> None:
    ops = ToolOps("t", semantic=SemanticCache(tmp_path / "index"))
    ask, questions = make_tool(ops)
    lock = FolderLock(tmp_path / "index")
    assert not lines()
    for number in range(5):
        ask(f"What is question {number}?")
    assert len(questions) == 5
    (line,) = lines()
    assert "chroma run --path" in line
    with pytest.raises(ConfigurationError, match="in use by another process"):
        ops.semantic.open()
    lock.close()
    ops.close()


def test_a_folder_is_taken_over_once_it_is_free(
    tmp_path: Path, lock: FolderLock, lines: Any
) -> None:
    clock = FakeClock()
    ops = ToolOps("t", semantic=SemanticCache(tmp_path / "index"), clock=clock)
    notices = Notices(ops)
    ask, questions = make_tool(ops)
    ask(FRANCE)
    lock.close()
    clock.advance(60.0)
    ask("Who wrote this?")
    assert "is free, and this process uses it now" in lines()[-1]
    assert len(lines()) == 2
    assert [notice.kind for notice in notices.all] == ["folder_in_use", "tier_recovered"]
    assert ask("who wrote this") == "WHO WROTE THIS?"
    assert questions == [FRANCE, "Who wrote this?"]
    ops.close()


def test_caches_of_one_process_share_a_folder_without_a_warning(tmp_path: Path, lines: Any) -> None:
    with SemanticCache(tmp_path) as one:
        one.put(FRANCE, "Paris")
        with SemanticCache(tmp_path) as two:
            assert two.find(AGAIN)
    assert not lines()


def test_looking_for_a_holder_creates_and_keeps_nothing(tmp_path: Path) -> None:
    assert find_holder(tmp_path / "missing") is None
    assert not (tmp_path / "missing").exists()
    FolderLock(tmp_path).close()
    assert find_holder(tmp_path) is None
    lock = FolderLock(tmp_path)
    assert isinstance(find_holder(tmp_path), FolderInUseError)
    lock.close()


# Real servers with several processes

APP = """
import logging, os, sys
from toolops_plugins import Semantic, SemanticCache, ToolOps

logging.basicConfig(level=logging.WARNING, format="%(process)d|%(message)s")
folder = os.environ["FOLDER"]
ops = ToolOps("web", semantic=SemanticCache(folder))
alone = SemanticCache(folder, collection="alone")

@ops.readonly(semantic=Semantic(on="question", threshold=0.8))
async def ask(question: str) -> str:
    return question.upper()

async def answer(question: str) -> list[object]:
    found = await alone.afind(question)
    if found is None:
        await alone.aput(question, question.upper())
    value = question.upper() if found is None else found.value
    return [os.getpid(), await ask(question), value]
"""
WEB = (
    APP
    + """
import json
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    question = scope["path"][1:].replace("_", " ")
    body = json.dumps(await answer(question)).encode()
    headers = [(b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
"""
)
PRELOAD = (
    APP
    + """
import asyncio, json
workers = []
for number in range(3):
    if not (child := os.fork()):
        out = [asyncio.run(answer(f"What is {number} plus {each}?")) for each in range(3)]
        os.write(1, json.dumps(out).encode() + b"\\n")  # print may write twice
        sys.stdin.read()  # the folder is held until all have asked
        os._exit(0)
    workers.append(child)
sys.stdin.close()
for child in workers:
    os.waitpid(child, 0)
"""
)


WARM_PRELOAD = PRELOAD.replace(
    "import asyncio, json\n", "import asyncio, json\nasyncio.run(answer('warm up'))\n"
)


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {
        "FOLDER": str(folder / "index"),
        "PYTHONPATH": str(folder),
        "ANONYMIZED_TELEMETRY": "False",
    }


def check_warnings(log: str, pids: set[int]) -> None:
    """Assert that all of the processes but one have warned, each once."""
    warned = [line.partition("|")[0] for line in log.splitlines() if "chroma run --path" in line]
    assert len(warned) == len(set(warned)) == len(pids) - 1, log
    assert {int(pid) for pid in warned} < pids
    assert "Traceback" not in log


def test_three_workers_of_uvicorn_answer_and_two_warn_once(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(WEB)
    port = free_port()
    log = tmp_path / "log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app:app", "--workers", "3", "--port", str(port)],
            env=environment(tmp_path), stderr=out, stdout=out,
        )  # fmt: skip

    def ask(number: int) -> int:
        url = f"http://127.0.0.1:{port}/What_is_{number}"
        with urllib.request.urlopen(url, timeout=LONG) as reply:
            pid, *answers = json.loads(reply.read())
        assert answers == [f"WHAT IS {number}"] * 2
        return int(pid)

    try:
        wait_for(lambda: ask(0), "a worker", 2 * LONG)
        pids: set[int] = set()
        wait_for(lambda: pids.add(ask(len(pids))) or len(pids) == 3, "all three workers", 2 * LONG)
        for number in range(30):
            pids.add(ask(number))
        check_warnings(log.read_text(), pids)
        # When the holder dies, whoever is left answers, and one of them takes the folder.
        holder = find_holder(tmp_path / "index")
        assert holder is not None
        assert holder.pid in pids
        os.kill(int(str(holder.pid)), signal.SIGKILL)
        wait_for(
            lambda: ask(1) and (new := find_holder(tmp_path / "index")) and new.pid != holder.pid,
            "another holder",
            2 * LONG,
        )
    finally:
        server.terminate()
        server.wait(2 * LONG)
    assert "Traceback" not in log.read_text()


def fork_workers(program: str, tmp_path: Path) -> tuple[list[Any], str]:
    """Run a program whose three forked workers answer; return their replies and its log."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment(tmp_path), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    replies = [json.loads(process.stdout.readline()) for _ in range(3)]
    _, log = process.communicate(timeout=2 * LONG)
    for reply in replies:
        for _, *answers in reply:
            assert answers[0] == answers[1]
    return replies, log


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_workers_that_fork_after_the_cache_was_made_answer_and_all_but_one_warn(
    tmp_path: Path,
) -> None:
    """As gunicorn does with ``--preload``."""
    replies, log = fork_workers(PRELOAD, tmp_path)
    check_warnings(log, {reply[0][0] for reply in replies})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_workers_that_fork_after_the_first_call_answer_from_their_copies(tmp_path: Path) -> None:
    replies, log = fork_workers(WARM_PRELOAD, tmp_path)
    warned = [line.partition("|")[0] for line in log.splitlines() if "was forked" in line]
    # A child that ends before it has written anything has nothing to say.
    assert len(warned) == len(set(warned)), log
    assert {int(pid) for pid in warned} <= {reply[0][0] for reply in replies}
    assert "Traceback" not in log
