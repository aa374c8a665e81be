"""Lifetimes where hosts' clocks differ or are set: memory has its own, and Redis the server's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from servers import Server, start_valkey

from toolops_plugins import Cache, Memory, Redis, ToolOps
from toolops_plugins.cache.redis.server_time import ServerTime
from toolops_plugins.clock import SystemClock
from toolops_plugins.testing import FakeClock

PATIENT = {"socket_timeout": 10.0, "connect_timeout": 10.0}  # a busy machine is no failure
YEAR = 365 * 86_400.0
KEY = b"k" * 32


class Host(SystemClock):
    """The clock of a host: real, but for what its owner has set it to, and for skipped time.

    Args:
        ahead: Seconds by which its wall clock is ahead of the right time.
    """

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead
        self.passed = 0.0

    def time(self) -> float:
        return time.time() + self.ahead + self.passed

    def monotonic(self) -> float:
        return time.monotonic() + self.passed


class Process:
    """A process on such a host, which counts what it pays for."""

    def __init__(self, url: str, namespace: str, host: Any, **cache: Any) -> None:
        self.host = host
        self.calls = 0
        self.outcomes: list[str] = []
        self.ops = ToolOps(namespace, [Memory(), Redis(url, **PATIENT)], clock=host, sinks=[self])
        self.cache = Cache(**{"jitter": 0, "beta": 0, "ttl": 60, **cache})

        def plain(question: str) -> int:
            self.calls += 1
            return self.calls

        async def aplain(question: str) -> int:
            return plain(question)

        def fail(question: str) -> int:
            self.calls += 1
            raise KeyError(question)

        def items(question: str) -> Iterator[int]:
            self.calls += 1
            yield from (1, 2)

        make = self.ops.tool(cache=self.cache, name="plain")
        self.plain = make(plain)
        loop_tool = make(aplain)
        self.aplain = lambda question: asyncio.run(self._on_loop(loop_tool, question))
        self.failing = self.ops.tool(cache=self.cache, name="failing")(fail)
        tool = self.ops.tool(cache=self.cache, name="items")(items)
        self.items = lambda question: list(tool(question))
        self.aside = self.ops.aside(lambda question: None, cache=self.cache, name="aside")

    async def _on_loop(self, tool: Any, question: str) -> Any:
        try:
            return await tool(question)
        finally:
            await self.ops.aclose()

    def on_call(self, event: Any) -> None:
        self.outcomes.append(event.outcome)

    def ask(self, face: str) -> Any:
        try:
            return getattr(self, face)("q")
        except KeyError:
            return "error"


@pytest.fixture
def process(valkey: Server, namespace: str) -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(host: Any, **cache: Any) -> Process:
        made.append(Process(valkey.url, namespace, host, **cache))
        return made[-1]

    yield make
    for one in made:
        one.ops.close()


@pytest.mark.parametrize("ahead", [300.0, YEAR, -YEAR])
@pytest.mark.parametrize("face", ["plain", "aplain", "failing", "items"])
def test_a_writer_whose_clock_is_wrong_gives_no_other_life(process, ahead, face):
    negative = {"negative": KeyError, "negative_ttl": 60} if face == "failing" else {}
    writer, reader = process(Host(ahead), **negative), process(Host(), **negative)
    writer.ask(face)
    reader.ask(face)
    assert reader.outcomes[-1] == "hit"
    assert reader.calls == 0
    reader.host.passed = 59
    reader.ask(face)
    assert reader.calls == 0
    reader.host.passed = 61
    reader.ask(face)
    assert reader.calls == 1


@pytest.mark.parametrize("ahead", [300.0, YEAR, -YEAR])
def test_what_stands_aside_lives_by_the_same_clocks(process, ahead):
    writer, reader = process(Host(ahead)), process(Host())
    writer.aside.store("kept", "q")
    assert reader.aside.lookup("q") == "kept"
    reader.host.passed = 61
    assert reader.aside.lookup("q") != "kept"


def test_a_reader_whose_clock_is_behind_promotes_what_is_left_and_no_more(valkey, namespace):
    """The entry is half gone when it comes up from Redis."""
    host = Host(-YEAR)
    writer = Process(valkey.url, namespace, host)
    writer.plain("q")
    host.passed = 40  # for the tier's own reckoning of the server's time too
    writer.ops._tiers.all[0].clear()
    writer.plain("q")
    assert writer.outcomes[-1] == "hit"
    slot = writer.ops._tiers.all[0].peek(bytes.fromhex(writer.plain.key("q")))
    assert 19 < slot.entry.fresh_until - host.monotonic() < 21
    writer.ops.close()


@pytest.mark.parametrize("back", [-3600.0, 3600.0, -YEAR])
@pytest.mark.parametrize("remote", [False, True])
def test_a_wall_clock_that_is_set_changes_no_life(valkey, namespace, back, remote):
    host = Host()
    tiers = [Memory(), Redis(valkey.url, **PATIENT)] if remote else [Memory()]
    outcomes: list[str] = []
    sink = type("Sink", (), {"on_call": lambda _, event: outcomes.append(event.outcome)})()
    with ToolOps(namespace, tiers, clock=host, sinks=[sink]) as ops:
        tool = ops.tool(cache=Cache(ttl=600, stale_ttl=3600, jitter=0, beta=0))(lambda q: q)
        tool("q")
        host.ahead = back
        host.passed = 599
        tool("q")
        assert outcomes == ["miss", "hit"]
        host.passed = 4_150
        tool("q")
        assert "stale" in outcomes[2:]
        assert "hit" not in outcomes[2:]


def test_a_server_whose_own_clock_differs_is_right_about_its_entries(process, monkeypatch):
    """Both processes and their hosts are a year off, and agree by way of the server."""
    writer, reader = process(Host(YEAR)), process(Host(YEAR + 300))
    writer.plain("q")
    reader.plain("q")
    assert reader.calls == 0
    reader.host.passed = 61
    reader.plain("q")
    assert reader.calls == 1


def test_what_another_process_has_refreshed_is_newer_whatever_the_clocks(process):
    stale = {"stale_ttl": 600}
    one, other = process(Host(YEAR), **stale), process(Host(), **stale)
    one.plain("q")
    other.plain("q")
    for side in (one, other):
        side.host.passed = 61
    one.plain("q")  # stale, and fetched anew in the background
    _until(lambda: one.calls == 2)
    _until(lambda: one.plain("q") == 2)
    other.plain("q")
    _until(lambda: other.plain("q") == 2)
    assert other.calls == 0


def test_what_is_to_be_refreshed_does_not_count_as_fresh_for_being_read_again(process):
    """Times that are converted from the server's clock and back are never quite the same."""
    one = process(Host(), stale_ttl=600, ttl=60)
    for question in map(str, range(20)):
        one.plain(question)
    one.host.passed = 61
    calls = one.calls
    for question in map(str, range(20)):
        one.plain(question)
    _until(lambda: one.calls == calls + 20)


def _until(condition: Callable[[], Any]) -> None:
    from servers import wait_for

    wait_for(condition, "the refresh")


def test_get_many_goes_by_the_servers_clock(valkey, namespace):
    writer = ToolOps(namespace, [Redis(valkey.url, **PATIENT)], clock=Host(YEAR))
    reader = ToolOps(namespace, [Redis(valkey.url, **PATIENT)], clock=Host())
    with writer, reader:
        tool = writer.tool(cache=Cache(ttl=60, jitter=0), name="t")(lambda q: q)
        tool("q")
        tier = reader._tiers.all[0]
        (entry,) = tier.get_many([bytes.fromhex(tool.key("q"))]).values()
        assert 59 < entry.fresh_until - reader.clock.monotonic() < 60.1
        assert -0.1 < reader.clock.monotonic() - entry.created < 1


def test_a_user_who_may_not_ask_for_the_time_is_served_by_his_own(tmp_path, namespace):
    server = start_valkey(tmp_path)
    try:
        server.command("ACL", "SETUSER", "app", "on", ">r", "~*", "&*", "+@all", "-time")
        url = server.url.replace("//", "//app:r@")
        with ToolOps(namespace, [Redis(url, **PATIENT)]) as ops:
            tool = ops.tool(cache=Cache(ttl=60))(lambda q: object())
            value = ops.tool(cache=Cache(ttl=60), name="value")(lambda q: time.monotonic())
            assert value("q") == value("q")
            tool("q")
    finally:
        server.stop()


def test_an_entry_from_the_future_is_as_old_as_one_made_now(process):
    """The server's clock was set back after it was written."""
    one = process(Host())
    one.plain("q")
    tier = one.ops._tiers.all[1]
    tier._commands.server.offset -= YEAR
    entry, _ = tier.get(bytes.fromhex(one.plain.key("q")))
    assert 59 < entry.fresh_until - one.host.monotonic() <= 60


def test_the_difference_between_clocks_stays_as_it_is_while_it_is_right():
    server = ServerTime(SystemClock())
    server.learn(1000.0, 0.001)
    offset = server.offset
    assert not server.due()
    server.renew()
    assert server.due()
    server.learn(1000.01, 0.001)
    assert server.offset == offset
    server.learn(1300.0, 0.001)
    assert server.offset - offset == pytest.approx(300)


def test_a_clock_that_a_test_turns_ages_entries_as_seen_by_its_runtime(valkey, namespace):
    clock = FakeClock()
    calls: list[str] = []
    with ToolOps(namespace, [Redis(valkey.url, **PATIENT)], clock=clock) as ops:
        tool = ops.tool(cache=Cache(ttl=60, jitter=0, beta=0))(lambda q: calls.append(q))
        tool("q")
        ops._tiers.all[0]._commands.server.renew()  # as after a reconnection
        clock.advance(59)
        tool("q")
        assert len(calls) == 1
        clock.advance(2)
        tool("q")
        assert len(calls) == 2


def test_an_invalidation_by_a_host_that_is_ahead_keeps_nothing_from_being_promoted(
    valkey, namespace
):
    """With a secret, what is older than its last invalidation is not passed on to other tiers."""
    host = Host()
    tiers = [
        [Redis(valkey.url, **PATIENT), Redis(valkey.url, ttl=86_400, **PATIENT)] for _ in range(2)
    ]
    outcomes: list[Any] = []
    sink = type("Sink", (), {"on_call": lambda _, event: outcomes.append(event.tier)})()
    ahead = ToolOps(namespace, tiers[0], clock=Host(YEAR), secret="s")
    right = ToolOps(namespace, tiers[1], clock=host, secret="s", sinks=[sink])
    with ahead, right:
        tool = right.tool(cache=Cache(ttl=600, jitter=0, beta=0, tags=["t"]))(lambda q: q)
        tool("q")
        ahead.invalidate(tags=["t"])
        host.passed = 2  # more than what the two may be wrong about the server's time
        tool("q")
        host.passed = 7
        near = tiers[1][0]
        near.send("UNLINK", near._commands.prefix + tool.key("q"))
        tool("q")
        tool("q")
    assert outcomes == [None, None, "L2", "L1"]
