"""Sinks that are told of the start of a call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest
from callers import Latch
from servers import wait_for
from spans import POLICIES, Spans

from toolops_plugins import (
    Cache,
    CallEvent,
    ConfigurationError,
    Hedge,
    Retry,
    Timeout,
    ToolOps,
)
from toolops_plugins.fake_clock import FakeClock
from toolops_plugins.telemetry.events import CallStart

CACHE = Cache(ttl=60)
OTHER: ContextVar[str] = ContextVar("test_hooks_other", default="")


@pytest.fixture
def ops(spans: Spans) -> Iterator[ToolOps]:
    with ToolOps("hooks", sinks=[spans]) as ops:
        yield ops


@pytest.mark.parametrize("parts", POLICIES.values(), ids=POLICIES)
def test_a_function_runs_inside_of_its_span(ops, spans, parts):
    seen = []

    @ops.tool(**parts)
    def quote(item):
        seen.append(spans.current)
        OTHER.set("by the function")
        return inner(item)

    @ops.tool(**parts)
    def inner(item):
        seen.append(spans.current)
        return item

    OTHER.set("")
    assert quote("a") == "a"
    outer_span, inner_span = spans.check(2)
    assert seen == [outer_span, inner_span]
    assert inner_span.parent is outer_span
    assert [span.event.outcome in ("miss", "bypass") for span in spans.spans] == [True, True]
    assert OTHER.get() == "by the function"


@pytest.mark.parametrize("parts", POLICIES.values(), ids=POLICIES)
async def test_a_coroutine_function_runs_inside_of_its_span(ops, spans, parts):
    seen = []

    @ops.tool(**parts)
    async def quote(item):
        seen.append(spans.current)
        await asyncio.sleep(0)
        OTHER.set("by the function")
        one, two = await asyncio.gather(inner(item), asyncio.to_thread(plain, item))
        return one + two

    @ops.tool(**parts)
    async def inner(item):
        await asyncio.sleep(0)
        seen.append(spans.current)
        return item

    @ops.tool(**parts)
    def plain(item):
        seen.append(spans.current)
        return item

    OTHER.set("")
    assert await quote("a") == "aa"
    first, *others = spans.check(3)
    assert set(seen) == set(spans.spans)
    assert [span.parent for span in others] == [first] * 2
    assert OTHER.get() == "by the function"


def test_all_hits_have_a_start(ops, spans):
    @ops.tool(cache=CACHE)
    def quote(item):
        return [item]

    for _ in range(3):
        quote("a")
    assert [span.event.outcome for span in spans.check(3)] == ["miss", "hit", "hit"]
    hit = spans.spans[-1]
    assert hit.start == CallStart(quote.name, "hooks", hit.event.started)


def test_a_hit_in_a_far_tier_has_a_start(spans, valkey, namespace):
    from toolops_plugins import Memory, Redis

    for outcome in ("miss", "hit"):
        with ToolOps(namespace, [Memory(), Redis(valkey.url, ttl=60)], sinks=[spans]) as ops:
            tool = ops.tool(cache=CACHE, name="far")(lambda item: item)
            assert tool("a") == "a"
            assert spans.check()[-1].event.outcome == outcome


def test_every_attempt_runs_inside_of_the_span(ops, spans):
    seen = []

    @ops.tool(retry=Retry(attempts=3, wait=0), timeout=Timeout(attempt=20))
    def quote():
        seen.append(spans.current)
        if len(seen) < 3:
            raise ConnectionError
        return "a"

    quote()
    (span,) = spans.check(1)
    assert seen == [span] * 3
    assert span.event.attempts == 3
    assert [(step.kind, step.attempt, step.error) for step in span.steps] == [
        ("retry", 1, "ConnectionError"),
        ("retry", 2, "ConnectionError"),
    ]


def test_a_hedge_runs_inside_of_the_span(ops, spans):
    seen, first = [], Latch()

    @ops.tool(hedge=Hedge(min_calls=1, least=0.01))
    def quote():
        seen.append(spans.current)
        if len(seen) == 2:
            first.wait()
        return "a"

    quote()
    assert quote() == "a"
    first.open()
    quick, span = spans.check(2)
    assert seen == [quick, span, span]
    assert (quick.event.hedged, span.event.hedged) == (False, True)
    assert [step.kind for step in span.steps] == ["hedge"]
    assert span.steps[0].seconds >= 0.01


async def test_an_asynchronous_hedge_runs_inside_of_the_span(ops, spans):
    seen = []

    @ops.tool(hedge=Hedge(min_calls=1, least=0.01))
    async def quote():
        seen.append(spans.current)
        if len(seen) == 2:
            await asyncio.sleep(30)
        return "a"

    await quote()
    assert await quote() == "a"
    quick, span = spans.check(2)
    assert seen == [quick, span, span]
    assert [step.kind for step in span.steps] == ["hedge"]


async def test_followers_have_spans_of_their_own(ops, spans):
    seen, gate = [], Latch()

    @ops.tool(coalesce=True)
    async def quote(item):
        seen.append(spans.current)
        await gate.opened()
        return item

    callers = [asyncio.ensure_future(quote("a")) for _ in range(3)]
    while len(spans.spans) < 3:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(*callers)
    outcomes = [span.event.outcome for span in spans.check(3)]
    assert outcomes == ["miss", "coalesced", "coalesced"]
    assert seen == [spans.spans[0]]
    assert [span.event.worked > 0 for span in spans.spans] == [True, False, False]


def test_followers_in_threads_have_spans_of_their_own(ops, spans):
    gate = Latch()

    @ops.tool(coalesce=True)
    def quote(item):
        gate.wait()
        return item

    threads = [threading.Thread(target=quote, args=("a",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(spans.spans) == 3, "all callers")
    gate.open()
    for thread in threads:
        thread.join()
    outcomes = sorted(span.event.outcome for span in spans.check(3))
    assert outcomes == ["coalesced", "coalesced", "miss"]


def test_a_leader_that_leaves_has_an_end_of_its_own(spans):
    """Steps of the flight that goes on for others are none of a call that has ended."""

    async def main(ops: ToolOps) -> None:
        gate = Latch()

        @ops.tool(coalesce=True, retry=Retry(attempts=2, wait=0))
        async def quote(item):
            await gate.opened()
            if len(spans.ended) == 1:
                ops.tell(CallEvent("seen", "miss", 0.0))
            raise ConnectionError

        leader = asyncio.ensure_future(quote("a"))
        while not ops._shared.flights:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        follower = asyncio.ensure_future(quote("a"))
        while len(spans.spans) < 2:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        gate.open()
        with pytest.raises(ConnectionError):
            await follower

    with ToolOps("hooks", sinks=[spans]) as ops:
        asyncio.run(main(ops))
    first, second = spans.check(2)
    assert (first.event.error, second.event.error) == ("CancelledError", "ConnectionError")
    assert first.steps == []


@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_refresh_has_a_start(spans, way):
    clock = FakeClock()
    seen = []

    def body(item):
        seen.append(spans.current)
        if len(seen) == 3:
            raise ConnectionError
        return item

    async def main() -> None:
        @ops.tool(cache=Cache(ttl=10, stale_ttl=100, jitter=0, beta=0))
        async def quote(item):
            return body(item)

        for _ in range(3):
            await quote("a")
            await ops._on_loop().drain()
            clock.advance(11)
        await ops.aclose()

    ops = ToolOps("hooks", sinks=[spans], clock=clock)
    if way == "async":
        asyncio.run(main())
    else:
        quote = ops.tool(cache=Cache(ttl=10, stale_ttl=100, jitter=0, beta=0))(body)
        for number in range(3):
            quote("a")
            wait_for(lambda number=number: len(spans.ended) == 1 + 2 * number, "the refresh")
            clock.advance(11)
        ops.close()
    miss, stale, refresh, again, failed = spans.check(5)
    events = [(span.event.outcome, span.event.error) for span in (refresh, failed)]
    assert events == [("refresh", None), ("refresh", "ConnectionError")]
    assert (miss.event.outcome, stale.event.outcome, again.event.outcome) == (
        "miss",
        "stale",
        "stale",
    )
    assert seen == [miss, refresh, failed]


def test_a_lookup_and_its_store_have_a_start(ops, spans):
    cache = ops.aside(lambda item: item, cache=CACHE, name="aside")
    assert cache.lookup("a") is not None
    assert spans.current is None
    cache.store(1, "a")
    assert cache.lookup("a") == 1
    miss, hit = spans.check(2)
    assert (miss.event.outcome, hit.event.outcome) == ("miss", "hit")
    assert miss.start.started <= miss.event.started + miss.event.latency


def test_a_reported_call_has_no_start(ops, spans):
    ops.tell(CallEvent("run", "miss", 0.1))
    assert [event.name for event in spans.events] == ["run"]
    assert spans.check(0) == []


# Sinks -----------------------------------------------------------------------------------------


def test_sinks_nest(spans):
    order = []

    class Named:
        def __init__(self, name):
            self.name = name

        def on_start(self, start):
            order.append(f"{self.name} starts")
            return self.name

        def on_call(self, event, state):
            order.append(f"{state} ends")

    def plain(event):
        order.append("plain")

    with ToolOps("hooks", sinks=[Named("a"), plain, Named("b")]) as ops:
        tool = ops.tool(cache=CACHE)(lambda: order.append("runs"))
        tool()
        ends = ["plain", "b ends", "a ends"]
        assert order == ["a starts", "b starts", "runs", *ends]
        order.clear()
        tool()
        assert order == ["a starts", "b starts", *ends]


def test_a_hook_that_fails_harms_nobody(spans):
    calls = []

    class Broken:
        def on_start(self, start):
            raise ValueError

        def on_step(self, step, state):
            raise ValueError

        def on_call(self, event, state):
            calls.append(state)
            raise ValueError

    with ToolOps("hooks", sinks=[Broken(), spans]) as ops:
        tool = ops.tool(cache=CACHE)(lambda item: item)
        assert [tool("a"), tool("a")] == ["a", "a"]
        assert ops._emitter.dropped == {Broken.__qualname__: 4, "Spans": 0}
    assert calls == [None, None]
    assert [span.event.outcome for span in spans.check(2)] == ["miss", "hit"]


def test_sinks_come_and_go_in_the_middle_of_a_call(spans):
    late = Spans("late")
    with ToolOps("hooks") as ops:
        remove = ops.add_sink(spans)

        @ops.tool
        def quote():
            remove()
            ops.add_sink(late)

        quote()
        assert len(spans.check(1)) == 1
        assert (len(late.events), late.check(0)) == (1, [])
        remove = ops.add_sink(Spans("third"))
        remove()


def test_a_sink_that_comes_to_a_runtime_without_one(spans):
    with ToolOps("hooks") as ops:

        @ops.tool
        def quote():
            ops.add_sink(spans)

        quote()
        assert (len(spans.events), spans.check(0)) == (1, [])


def test_a_sink_with_on_start_takes_the_state():
    class OneArgument:
        def on_start(self, start): ...

        def on_call(self, event): ...

    with pytest.raises(ConfigurationError, match=r"on_call\(event, state\)"):
        ToolOps("hooks", sinks=[OneArgument()])

    class Awaited:
        async def on_start(self, start): ...

        def on_call(self, event, state): ...

    with pytest.raises(ConfigurationError, match="never awaited"):
        ToolOps("hooks", sinks=[Awaited()])
