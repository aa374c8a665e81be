"""Runtimes that are dropped without being closed release their resources."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import Server, start_valkey, wait_for

from toolops_plugins import Cache, Memory, Redis, Semantic, SemanticCache, Timeout, ToolOps
from toolops_plugins.semantic.index import write_behind


@pytest.fixture
def server(tmp_path):
    started = start_valkey(tmp_path)
    yield started
    started.stop()


def count_held(server: Server) -> tuple[int, int, int]:
    """Return this process's threads of the bus and descriptors, and the server's connections."""
    gc.collect()
    threads = sum(thread.name == "toolops-bus" for thread in threading.enumerate())
    clients = server.command("CLIENT LIST")
    return threads, len(list(Path("/proc/self/fd").iterdir())), len(clients)


def assert_flat(server: Server, work: Callable[[int], Any]) -> None:
    work(0)  # whatever is made once
    before = count_held(server)
    for number in range(1, 9):
        work(number)
    wait_for(
        lambda: all(now <= then for now, then in zip(count_held(server), before, strict=True)),
        f"as much as before ({before})",
        5,
    )


def runtime(server: Server, number: int = 0) -> ToolOps:
    return ToolOps(f"n{number}", [Memory(), Redis(server.url), Redis(server.url, ttl=86_400)])


def test_a_runtime_for_each_request(server):
    def request(number: int) -> None:
        ops = runtime(server, number)
        tool = ops.tool(cache=Cache(ttl=60, tags=["t"]))(lambda q: q)
        tool("q")
        assert ops._shared.bus.ready.wait(5)
        ops.invalidate(tags=["t"])

    assert_flat(server, request)


def test_a_runtime_for_each_event_loop(server):
    async def request(number: int) -> None:
        ops = runtime(server, number)

        @ops.tool(cache=Cache(ttl=60))
        async def tool(q):
            return q

        await tool("q")

    assert_flat(server, lambda number: asyncio.run(request(number)))


def test_a_runtime_for_each_request_of_one_event_loop(server):
    async def request(number: int) -> None:
        ops = runtime(server, number)

        @ops.tool(cache=Cache(ttl=60))
        async def tool(q):
            return q

        await tool("q")

    with asyncio.Runner() as runner:
        runner.run(request(0))

        async def settle() -> None:
            gc.collect()
            for _ in range(20):
                await asyncio.sleep(0)

        runner.run(settle())
        before = count_held(server)
        for number in range(1, 9):
            runner.run(request(number))

        def flat() -> bool:
            runner.run(settle())
            return all(now <= then for now, then in zip(count_held(server), before, strict=True))

        wait_for(flat, f"as much as before ({before})", 5)


def test_a_runtime_that_is_dropped_while_its_server_is_away(server):
    dropped = [runtime(server)]
    dropped[0].tool(cache=Cache(ttl=60))(lambda q: q)("q")
    assert dropped[0]._shared.bus.ready.wait(5)
    thread = dropped[0]._shared.bus._thread
    server.stop()
    wait_for(lambda: not dropped[0]._shared.bus.ready.is_set(), "the break")
    dropped.clear()

    def has_ended() -> bool:
        gc.collect()
        return not thread.is_alive()

    wait_for(has_ended, "the end of its thread", 5)


def test_a_tier_that_many_runtimes_share(server):
    tier = Redis(server.url)

    def request(number: int) -> None:
        ops = ToolOps("shared", [Memory(), tier])
        ops.tool(cache=Cache(ttl=60))(lambda q: q)("q")

    assert_flat(server, request)
    tier.close()


def threads_beside(others: set[threading.Thread]) -> set[threading.Thread]:
    """Return the threads that run now, without those that other tests in this process left."""
    gc.collect()
    return set(threading.enumerate()) - others


def test_the_threads_that_calls_ran_in():
    def request() -> None:
        ops = ToolOps("threads")

        @ops.tool(timeout=Timeout(attempt=60))
        def tool(q):
            return q

        assert tool("q") == "q"

    others = set(threading.enumerate())
    for _ in range(8):
        request()
    wait_for(lambda: not threads_beside(others), "the end of their threads", 5)


def test_a_semantic_cache_with_a_folder_for_each_request(tmp_path, monkeypatch):
    monkeypatch.setattr(write_behind, "_IDLE", 0.01)

    def request(number: int) -> None:
        ops = ToolOps("folders", semantic=SemanticCache(path=tmp_path / str(number)))

        @ops.readonly(semantic=Semantic(on="question", threshold=0.8))
        def ask(question):
            return question.upper()

        assert ask("What is the capital of France?") == "WHAT IS THE CAPITAL OF FRANCE?"

    def descriptors() -> list[str]:
        """Return the files of this test's folders that are open."""
        gc.collect()
        links = Path("/proc/self/fd").iterdir()
        return [target for link in links if (target := read(link)).startswith(str(tmp_path))]

    def read(link: Path) -> str:
        try:
            return str(link.readlink())
        except OSError:  # closed meanwhile
            return ""

    others = set(threading.enumerate())
    for number in range(4):
        request(number)
    wait_for(lambda: not threads_beside(others), "the end of the writers", 10)
    wait_for(lambda: not descriptors(), "the end of their files", 10)
    # What waited to be written is there, and the folder is free.
    again = SemanticCache(path=tmp_path / "1")
    assert len(list((tmp_path / "1").iterdir())) > 1
    again.close()
