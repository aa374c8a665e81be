"""A silent, slow, dead or full Chroma server: each call still gets its answer."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from callers import LONG, Notices, start

from toolops_plugins import Semantic, SemanticCache, ToolOps
from toolops_plugins.errors import DeadlineExceeded, TierError
from toolops_plugins.semantic.index.bounded_calls import BoundedCalls
from toolops_plugins.semantic.index.chroma_connection import Link
from toolops_plugins.testing import FakeClock

FRANCE = "What is the capital of France?"
SHORT = 0.4  # seconds that an operation gets

REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"


class Stub:
    """A server that takes connections and answers nothing, or a byte now and then."""

    def __init__(self, *, trickles: bool) -> None:
        self._trickles = trickles
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                if self._trickles:
                    threading.Thread(target=self._trickle, args=[connection], daemon=True).start()

    def _trickle(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.recv(1 << 16)
            for byte in REPLY * 99:
                connection.send(bytes([byte]))
                if self._ended.wait(SHORT / 8):
                    return

    def close(self) -> None:
        self._ended.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            connection.close()
        self._thread.join(LONG)


@pytest.fixture(params=["silent", "trickling"])
def stub(request: pytest.FixtureRequest) -> Iterator[Stub]:
    server = Stub(trickles=request.param == "trickling")
    yield server
    server.close()


class Asked:
    def __init__(self, ops: ToolOps) -> None:
        self.questions: list[str] = []

        @ops.readonly(name="ask", semantic=Semantic(on="question", threshold=0.8))
        def ask(question: str) -> str:
            self.questions.append(question)
            return question.upper()

        @ops.readonly(name="ask", semantic=Semantic(on="question", threshold=0.8))
        async def aask(question: str) -> str:
            self.questions.append(question)
            return question.upper()

        self.sync, self.aio = ask, aask


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def runtime(url: str, clock: Any = None, **options: Any) -> tuple[ToolOps, Notices, Asked]:
    semantic = SemanticCache(url=url, timeout=SHORT, **options)
    ops = ToolOps("faults", semantic=semantic, **({} if clock is None else {"clock": clock}))
    return ops, Notices(ops), Asked(ops)


async def in_time(function: Any, *args: Any) -> Any:
    """Run something in a thread; it may not hang."""
    async with asyncio.timeout(LONG):
        return await asyncio.wrap_future(start(function, *args))


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An item for each attempt to connect."""
    attempts: list[int] = []
    connect = Link._connect

    def count(self: Link) -> None:
        attempts.append(1)
        connect(self)

    monkeypatch.setattr(Link, "_connect", count)
    return attempts


async def test_a_server_that_does_not_answer_is_a_miss_and_left_alone(stub, clock, attempts):
    ops, notices, asked = runtime(stub.url, clock)
    assert await in_time(asked.sync, FRANCE) == FRANCE.upper()
    assert {notice.kind for notice in notices.all} == {"tier_failed"}
    assert len(attempts) == 1
    # Nobody tries before the pause is over, in whatever face.
    assert await in_time(asked.sync, "Another one?") == "ANOTHER ONE?"
    assert await asyncio.gather(*(asked.aio(f"number {n}") for n in range(50))) == [
        f"NUMBER {n}" for n in range(50)
    ]
    assert len(attempts) == 1
    clock.advance(1)
    await in_time(asked.sync, "And now?")
    assert len(attempts) == 2
    await in_time(ops.close)


async def test_callers_who_come_at_once_share_one_wait(stub, clock, attempts):
    ops, _, asked = runtime(stub.url, clock)
    async with asyncio.timeout(LONG):
        answers = await asyncio.gather(*(asked.aio(f"number {n}") for n in range(100)))
    assert answers == [f"NUMBER {n}" for n in range(100)]
    assert len(attempts) == 1
    await ops.aclose()


async def test_a_callers_deadline_counts_however_patient_the_cache_is(stub):
    ops = ToolOps("faults", semantic=SemanticCache(url=stub.url, timeout=LONG))
    asked = Asked(ops)
    with ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
        await asyncio.wait_for(asked.aio(FRANCE), LONG / 2)

    def ask() -> None:
        with ops.deadline(SHORT), pytest.raises(DeadlineExceeded):
            asked.sync(FRANCE)

    await in_time(ask)
    stub.close()
    await ops.aclose()


async def test_forgetting_and_closing_are_bounded(stub, clock):
    ops, notices, asked = runtime(stub.url, clock)
    with pytest.raises(TierError):
        await in_time(ops.invalidate, ["tag"])
    clock.advance(1)
    with pytest.raises(TierError):
        await in_time(ops.clear)
    clock.advance(2)
    with pytest.raises(TierError):
        async with asyncio.timeout(LONG):
            await ops.ainvalidate(keys=[asked.sync.key(FRANCE)])
    await in_time(ops.close)
    await ops.aclose()
    assert notices.all


def test_a_server_that_refuses_is_tried_once_by_all(unused_tcp_port_factory, clock, attempts):
    ops, _, asked = runtime(f"http://127.0.0.1:{unused_tcp_port_factory()}", clock)

    async def ask_all() -> list[str]:
        return await asyncio.gather(*(asked.aio(f"number {n}") for n in range(200)))

    assert asyncio.run(ask_all()) == [f"NUMBER {n}" for n in range(200)]
    for number in range(20):
        asked.sync(f"sync {number}")
    assert len(attempts) == 1
    clock.advance(1)
    asked.sync(FRANCE)
    assert len(attempts) == 2
    ops.close()


def test_an_interpreter_ends_although_the_server_hangs(stub):
    script = f"""
from toolops_plugins import Semantic, SemanticCache, ToolOps
ops = ToolOps("exit", semantic=SemanticCache(url={stub.url!r}, timeout={SHORT}))
@ops.readonly(semantic=Semantic(on="question", threshold=0.8))
def ask(question):
    return question
print(ask("What is the capital of France?"))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=LONG, check=True
    )
    assert done.stdout == FRANCE + "\n"
    assert "Traceback" not in done.stderr


async def test_a_server_that_hangs_after_it_was_open(own_server, collection):
    semantic = SemanticCache(url=own_server.url, timeout=LONG, collection=collection)
    ops = ToolOps("faults", semantic=semantic)
    notices, asked = Notices(ops), Asked(ops)
    await in_time(asked.sync, FRANCE)
    await in_time(semantic.flush)
    assert await asked.aio("what's the capital of France") == FRANCE.upper()
    own_server.pause()
    link = semantic.answers.index.store._link
    link.timeout = link.queries.timeout = SHORT
    with pytest.raises(TierError):
        await in_time(asked.sync.invalidate, FRANCE)
    assert await in_time(asked.sync, FRANCE) == FRANCE.upper()
    assert await asked.aio("Where are the Alps?") == "WHERE ARE THE ALPS?"
    assert notices.all
    await in_time(ops.close)  # with something that waits to be written


def invalidate_tag(ops: ToolOps) -> None:
    ops.invalidate(tags=["place"])


def clear(ops: ToolOps) -> None:
    ops.clear()


@pytest.mark.parametrize(
    ("forget", "secret", "opened"),
    [(invalidate_tag, None, True), (invalidate_tag, b"0" * 32, False), (clear, None, False)],
)
def test_what_was_forgotten_in_vain_is_deleted_when_the_server_is_back(
    own_server, collection, clock, forget, secret, opened
):
    def make() -> tuple[ToolOps, SemanticCache, Any]:
        semantic = SemanticCache(url=own_server.url, timeout=LONG, collection=collection)
        ops = ToolOps("forget", semantic=semantic, secret=secret, clock=clock)

        @ops.readonly(semantic=Semantic(on="question", threshold=0.8), tags=["place"], name="ask")
        def ask(question: str) -> str:
            return next(answers)

        return ops, semantic, ask

    answers = iter(["old", "new", "other"])
    ops, semantic, ask = make()
    assert ask(FRANCE) == "old"
    semantic.flush()
    if not opened:
        ops.close()
        ops, semantic, ask = make()
    own_server.stop()
    clock.advance(1)
    with pytest.raises(TierError):
        forget(ops)
    own_server.start()
    clock.advance(60)
    # Paraphrases, which are looked up on the server alone.
    assert ask("what's the capital of France") == "new"
    semantic.flush()
    assert ask("What's the capital of France ?") == "new"
    assert len(semantic) == 1
    ops.close()
    # No other process finds what was forgotten, but all find what came afterwards.
    ops, semantic, ask = make()
    assert ask("what is the capital of France") == "new"
    ops.close()


# Calls with a limited time


def test_a_call_that_takes_too_long_is_left_and_one_that_was_not_begun_never_runs():
    calls, release, ran = BoundedCalls(LONG), threading.Event(), list[int]()
    with calls.within(SHORT):
        for _ in range(8):
            with pytest.raises(TimeoutError):
                calls.run(release.wait, LONG)
        with pytest.raises(TimeoutError):
            calls.run(ran.append, 1)
    release.set()
    assert calls.run(lambda: 7) == 7
    assert ran == []


def test_the_nearest_end_counts_and_what_is_raised_comes_through():
    calls = BoundedCalls(LONG)
    with calls.within(SHORT):
        with calls.within(LONG):
            assert calls.left() <= SHORT
        with pytest.raises(ZeroDivisionError):
            calls.run(lambda: 1 / 0)
    assert calls.left() == LONG
