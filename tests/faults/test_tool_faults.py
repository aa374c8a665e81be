"""A wrapped function whose Redis is in trouble: calls still get their result or their own error."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from servers import start_valkey

from toolops_plugins import Cache, Memory, Redis, ToolOps
from toolops_plugins.testing import FakeClock


class Notes:
    """Collects what the runtime tells."""

    def __init__(self):
        self.events = []
        self.notices = []

    def on_call(self, event):
        self.events.append(event)

    def on_notice(self, notice):
        self.notices.append(notice)

    def kinds(self):
        # The ledger lies on the same server, and may be written meanwhile or not.
        return {notice.kind for notice in self.notices if not notice.kind.startswith("ledger_")}


@pytest.fixture
def server(tmp_path):
    server = start_valkey(tmp_path)
    yield server
    server.stop()  # kills, so that it may be stopped already, or hang


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def ops(server, notes):
    # Without a memory tier every call asks the server.
    with ToolOps("faults", [Redis(server.url, socket_timeout=0.2)], sinks=[notes]) as ops:
        yield ops


@pytest.fixture(params=["sync", "async"])
def ask(request, ops):
    """Calls one wrapped function, in a thread or on a loop of its own."""
    made = []

    def answer(question):
        made.append(question)
        if question == "fail":
            raise LookupError(question)
        return {"answer": question}

    if request.param == "sync":
        tool = ops.tool(cache=Cache(ttl=60), name="t")(answer)

        def ask(*questions):
            return [tool(question) for question in questions]
    else:

        async def aanswer(question):
            return answer(question)

        tool = ops.tool(cache=Cache(ttl=60), name="t")(aanswer)

        def ask(*questions):
            async def main():
                results = [await tool(question) for question in questions]
                await ops.aclose()
                return results

            return asyncio.run(main())

    ask.made = made
    ask.key = tool.key
    return ask


def test_a_healthy_server_keeps_results(ask, notes):
    assert ask("a", "a", "b") == [{"answer": "a"}, {"answer": "a"}, {"answer": "b"}]
    assert ask.made == ["a", "b"]
    assert [(event.outcome, event.tier) for event in notes.events] == [
        ("miss", None),
        ("hit", "L1"),
        ("miss", None),
    ]
    assert not notes.notices


def test_a_server_that_refuses(ask, server, notes):
    server.stop()
    assert ask("a", "a") == [{"answer": "a"}] * 2
    assert ask.made == ["a", "a"]
    assert notes.kinds() == {"tier_failed"}
    with pytest.raises(LookupError):
        ask("fail")


def test_a_server_that_hangs_costs_one_timeout_and_then_nothing(ask, server, notes):
    ask("warm")
    server.pause()
    assert ask("a") == [{"answer": "a"}]
    waited = [n for n in notes.notices if n.detail != "FuseOpen"]
    asked = len(notes.notices)
    assert ask("b", "c", "d") == [{"answer": q} for q in "bcd"]
    # Each of the calls was told at once that the tier is skipped.
    assert len(notes.notices) > asked
    assert all(event.latency < 0.15 for event in notes.events[-2:])
    assert waited


def test_a_server_that_is_killed_under_load(ops, server, notes):
    tool = ops.tool(cache=Cache(ttl=60), name="t")(lambda number: number * 2)
    halfway, wrong = threading.Event(), []

    def agent(offset):
        for number in range(300):
            if tool(number + offset) != (number + offset) * 2:
                wrong.append(number)
            if number == 100:
                halfway.set()

    agents = [threading.Thread(target=agent, args=(offset,)) for offset in (0, 50, 100)]
    for each in agents:
        each.start()
    halfway.wait()
    server.kill()
    for each in agents:
        each.join()
    assert not wrong
    assert "tier_failed" in notes.kinds()


def test_a_server_that_came_back_empty_fills_again(tmp_path, notes):
    clock = FakeClock()
    server = start_valkey(tmp_path)
    try:
        with ToolOps("faults", [Redis(server.url)], sinks=[notes], clock=clock) as ops:
            made = []
            tool = ops.tool(cache=Cache(ttl=6000), name="t")(lambda q: made.append(q) or q)
            assert [tool("a"), tool("a")] == ["a", "a"]
            server.restart()
            server.command("FLUSHALL")
            clock.advance(60)
            assert [tool("a"), tool("a")] == ["a", "a"]
            assert made == ["a", "a"]
    finally:
        server.stop()


def test_a_server_that_takes_no_writes(ask, server, notes):
    ask("a")
    server.command("CONFIG", "SET", "min-replicas-to-write", "1")
    assert ask("a", "b", "b") == [{"answer": "a"}, {"answer": "b"}, {"answer": "b"}]
    assert "tier_failed" in notes.kinds()


def test_a_replica_is_read_and_not_written(ask, server, notes):
    ask("a")
    server.command("REPLICAOF", "127.0.0.1", "1")
    assert ask("b", "b") == [{"answer": "b"}] * 2
    assert "tier_failed" in notes.kinds()


def test_a_server_without_memory(ask, server, notes):
    ask("a")
    server.command("CONFIG", "SET", "maxmemory", "1")
    assert ask("a", "b", "b") == [{"answer": "a"}, {"answer": "b"}, {"answer": "b"}]
    assert ask.made.count("a") == 1  # what it holds it still serves
    assert "tier_failed" in notes.kinds()


@pytest.mark.parametrize("rubbish", [b"", b"\x00" * 100, b"TO garbage", b"{}"])
def test_rubbish_under_our_keys_is_a_miss_and_is_mended(ask, server, notes, rubbish):
    ask("a")
    for key in server.command("KEYS", "toolops:*"):
        server.command("SET", key, rubbish)
    assert ask("a", "a") == [{"answer": "a"}] * 2
    assert ask.made == ["a", "a"]
    assert "unknown_format" in notes.kinds()


def test_a_wrong_type_under_our_keys_is_a_miss(ask, server, notes):
    ask("a")
    for key in server.command("KEYS", "toolops:*"):
        server.command("DEL", key)
        server.command("LPUSH", key, "x")
    assert ask("a") == [{"answer": "a"}]
    assert "tier_failed" in notes.kinds()


def test_without_the_secret_nobody_plants_a_value(server, notes):
    def answer(question):
        return "right"

    with (
        ToolOps("faults", [Redis(server.url)], secret="s3cret", sinks=[notes]) as ours,
        ToolOps("faults", [Redis(server.url)]) as theirs,
    ):
        tool = ours.tool(cache=Cache(ttl=60), name="t")(answer)
        tool("q")
        stamp = b"toolops:faults:L1:space"
        [stored] = set(server.command("KEYS", "toolops:*")) - {stamp}
        planter = theirs.tool(cache=Cache(ttl=60), name="t")(lambda question: "planted")
        planter("q")
        [planted] = set(server.command("KEYS", "toolops:*")) - {stored, stamp}
        server.command("RENAME", planted, stored)
        assert tool("q") == "right"
    assert "tampered" in notes.kinds()


def test_secrets_are_nowhere_in_the_store_or_the_events(server, notes):
    with ToolOps("faults", [Memory(), Redis(server.url)], sinks=[notes]) as ops:

        @ops.tool(cache=Cache(ttl=60, tags=["all"]), secret=["pin"])
        def balance(account, pin, api_key):
            return 7

        assert balance("ann", "pin-4711", api_key="key-0815") == 7
        assert balance("ann", "pin-4711", api_key="key-0815") == 7
        assert balance("ann", "pin-4712", api_key="key-0815") == 7
        assert [event.outcome for event in notes.events] == ["miss", "hit", "miss"]
    dump = repr(notes.events) + repr(notes.notices) + repr(ops.stats())
    for key in server.command("KEYS", "*"):
        dump += repr(key) + repr(server.command("DUMP", key))
    for secret in ("pin-4711", "pin-4712", "key-0815"):
        assert secret not in dump


def test_a_slow_loop_is_not_blocked_by_a_hung_server(server, ops):
    """The guards of the test suite fail this test if the loop is blocked."""

    @ops.tool(cache=Cache(ttl=60))
    async def answer(question):
        return question

    async def main():
        await answer("warm")
        server.pause()
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.005)

        ticker = asyncio.ensure_future(tick())
        results = await asyncio.gather(*(answer(str(number)) for number in range(50)))
        ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticker
        await ops.aclose()
        return results, ticks

    results, ticks = asyncio.run(main())
    assert results == [str(number) for number in range(50)]
    assert ticks > 5
