"""Sinks that are told of the start of a call."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from callers import Latch
from servers import wait_for
from spans import Spans

from toolops_plugins import (
    Bulkhead,
    BulkheadFull,
    Cache,
    CallEvent,
    CircuitBreaker,
    CircuitOpen,
    ConfigurationError,
    Hedge,
    RateLimit,
    RateLimited,
    Retry,
    Timeout,
    ToolOps,
)
from toolops_plugins.fake_clock import FakeClock
from toolops_plugins.telemetry.events import CallStart

CACHE = Cache(ttl=60)
OTHER: ContextVar[str] = ContextVar("test_hooks_other", default="")


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
def ops(spans: Spans) -> Iterator[ToolOps]:
    with ToolOps("hooks", sinks=[spans]) as ops:
        yield ops


POLICIES: dict[str, dict[str, Any]] = {
    "nothing": {"coalesce": False},
    "coalesce": {},
    "cache": {"cache": CACHE},
    "cache alone": {"cache": CACHE, "coalesce": False},
    "timeout": {"timeout": Timeout(attempt=30)},
    "total timeout": {"timeout": Timeout(total=30), "cache": CACHE},
    "hedge": {"hedge": Hedge(min_calls=1)},
    "all": {
        "cache": CACHE,
        "retry": Retry(attempts=2, wait=0),
        "breaker": CircuitBreaker(),
        "timeout": Timeout(attempt=20, total=30),
        "rate_limit": RateLimit("1000/s"),
        "bulkhead": Bulkhead(2),
        "hedge": Hedge(min_calls=1),
    },
}


# The context -----------------------------------------------------------------------------------


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
    assert hit.start == CallStart(
        "test_all_hits_have_a_start.<locals>.quote", "hooks", hit.event.started
    )
    assert hit.event.started <= spans.spans[-1].start.started


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

    @ops.tool(hedge=Hedge(min_calls=1, least=0.01), coalesce=False)
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

    @ops.tool(hedge=Hedge(min_calls=1, least=0.01), coalesce=False)
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

    @ops.tool
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

    @ops.tool
    def quote(item):
        gate.wait()
        return item

    threads = [threading.Thread(target=quote, args=("a",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(spans.spans) == 3)
    gate.open()
    for thread in threads:
        thread.join()
    outcomes = sorted(span.event.outcome for span in spans.check(3))
    assert outcomes == ["coalesced", "coalesced", "miss"]


def test_a_leader_that_leaves_has_an_end_of_its_own(spans):
    """Steps of the flight that goes on for others are none of a call that has ended."""

    async def main(ops: ToolOps) -> None:
        gate = Latch()

        @ops.tool(retry=Retry(attempts=2, wait=0))
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
            await ops.drain()
            clock.advance(11)
        await ops.aclose()

    ops = ToolOps("hooks", sinks=[spans], clock=clock)
    if way == "async":
        asyncio.run(main())
    else:
        quote = ops.tool(cache=Cache(ttl=10, stale_ttl=100, jitter=0, beta=0))(body)
        for number in range(3):
            quote("a")
            wait_for(lambda number=number: len(spans.ended) == 1 + 2 * number)
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


# Steps -----------------------------------------------------------------------------------------


def test_rejections_and_changes_of_a_breaker_are_steps(ops, spans):
    @ops.tool(breaker=CircuitBreaker(window=2), retry=Retry(attempts=2, wait=0))
    def quote():
        raise ConnectionError

    with pytest.raises((ConnectionError, CircuitOpen)):
        quote()
    with pytest.raises(CircuitOpen):
        quote()
    first, second = spans.check(2)
    kinds = [(step.kind, step.detail, step.error) for step in first.steps]
    assert kinds == [
        ("retry", "", "ConnectionError"),
        ("breaker", "open", "ConnectionError"),
    ]
    assert [(step.kind, step.detail, step.error) for step in second.steps] == [
        ("rejected", "circuit_open", "CircuitOpen")
    ]
    assert (second.event.outcome, second.event.worked) == ("rejected", 0.0)


def test_waits_for_limits_are_steps(spans):
    clock = FakeClock()
    gate = Latch()
    with ToolOps("hooks", sinks=[spans], clock=clock) as ops:

        @ops.tool(rate_limit=RateLimit("1/s", burst=1, wait=10), coalesce=False)
        def limited():
            return 1

        limited()
        limited()
        (wait,) = spans.check(2)[1].steps
        assert (wait.kind, wait.name, wait.namespace) == ("limit_wait", limited.name, "hooks")
        assert 0.9 < wait.seconds <= 1.0

        @ops.tool(bulkhead=Bulkhead(1, queue=1), coalesce=False)
        def crowded():
            gate.wait()

        threads = [threading.Thread(target=crowded) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(spans.spans) == 4 and crowded.__toolops_plan__.gate._waiting)
        with pytest.raises(BulkheadFull):
            crowded()
        gate.open()
        for thread in threads:
            thread.join()
    steps = {step.kind: step for span in spans.check(5) for step in span.steps}
    assert set(steps) == {"limit_wait", "bulkhead_wait", "rejected"}
    assert steps["rejected"].detail == "bulkhead_full"


def test_a_refused_unit_is_a_step(ops, spans):
    @ops.tool(rate_limit=RateLimit("1/h", burst=1, wait=0), coalesce=False)
    def limited():
        return 1

    limited()
    with pytest.raises(RateLimited):
        limited()
    assert [step.detail for step in spans.check(2)[1].steps] == ["rate_limited"]


def test_a_sink_may_take_steps_alone(spans):
    steps = []

    class Steps:
        def on_call(self, event):
            pass

        def on_step(self, step, state):
            steps.append((step.name, step.kind, state))

    with ToolOps("hooks", sinks=[Steps()]) as ops:
        runs = iter([ConnectionError, None])

        @ops.tool(retry=Retry(attempts=2, wait=0), name="quote")
        def quote():
            if error := next(runs):
                raise error

        quote()
    assert steps == [("quote", "retry", None)]


# Ends ------------------------------------------------------------------------------------------


async def test_a_cancelled_call_ends(ops, spans):
    @ops.tool(cache=CACHE)
    async def quote():
        await asyncio.sleep(30)

    caller = asyncio.ensure_future(quote())
    while not spans.spans:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert spans.check(1)[0].event.error == "CancelledError"


@pytest.mark.parametrize("parts", [{"coalesce": False}, {"cache": CACHE}])
@pytest.mark.allow_leaks("the loop is closed in the middle of a call")
def test_a_coroutine_that_is_dropped_ends(ops, spans, parts):
    @ops.tool(**parts)
    async def quote():
        await asyncio.sleep(30)

    loop = asyncio.new_event_loop()
    task = loop.create_task(quote())
    while not spans.spans:
        loop.run_until_complete(asyncio.sleep(0))
    task._log_destroy_pending = False
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    OTHER.set("another context")
    del task
    gc.collect()
    (span,) = spans.check(1)
    assert span.event.error == "GeneratorExit"
    assert ops.stats().total.calls == 0


@pytest.mark.parametrize("parts", POLICIES.values(), ids=POLICIES)
def test_an_interrupted_call_ends(ops, spans, parts):
    @ops.tool(**parts)
    def quote():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quote()
    assert spans.check(1)[0].event.error == "KeyboardInterrupt"


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("hook", ["on_start", "on_call"])
def test_an_interrupt_in_a_hook_leaves_no_call_open(ops, spans, hook, cached):
    class Interrupted(Spans):
        fails = False

        def on_start(self, start):
            span = super().on_start(start)
            if self.fails and hook == "on_start":
                self._var.reset(span.token)
                self.spans.remove(span)
                raise KeyboardInterrupt
            return span

        def on_call(self, event, state):
            super().on_call(event, state)
            if self.fails and hook == "on_call":
                raise KeyboardInterrupt

    sink = Interrupted()
    ops.add_sink(sink)
    after = Spans()
    ops.add_sink(after)
    tool = ops.tool(cache=CACHE)(lambda item: item)
    if cached:
        tool("a")
    sink.fails = True
    with pytest.raises(KeyboardInterrupt):
        tool("a")
    assert len(sink.events) == (hook == "on_start")
    for each in (spans, sink, after):
        each.check()
    assert len(spans.spans) == 1 + cached


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


# Details ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_start", [True, False])
def test_details_come_from_arguments_and_results(spans, with_start):
    events = []
    with ToolOps("hooks", sinks=[events.append, *([spans] if with_start else [])]) as ops:
        tool = ops.tool(cache=CACHE)(lambda model: {"tokens": 3})
        plan = tool.__toolops_plan__
        plan.kind = "chat"
        plan.describe_start = lambda args, kwargs: {"model": args[0]}
        plan.describe_result = lambda value: {"input_tokens": value["tokens"], "response_model": "m"}
        tool("m1")
        tool("m1")
    assert [event.kind for event in events] == ["chat", "chat"]
    assert [event.details for event in events] == [
        {"model": "m1", "input_tokens": 3, "response_model": "m"},
        {"model": "m1", "saved_input_tokens": 3, "response_model": "m"},
    ]
    for span in spans.check(2 if with_start else 0):
        assert (span.start.kind, span.start.details) == ("chat", {"model": "m1"})


def test_details_that_fail_harm_nobody(ops, spans, caplog):
    tool = ops.tool(cache=CACHE, name="quote")(lambda item: item)
    tool.__toolops_plan__.describe_start = lambda args, kwargs: 1 / 0
    tool.__toolops_plan__.describe_result = lambda value: 1 / 0
    assert [tool("a"), tool("a")] == ["a", "a"]
    assert [span.event.details for span in spans.check(2)] == [None, None]


@pytest.mark.parametrize("timeout", [None, Timeout(attempt=900)])
def test_the_event_tells_how_long_the_function_worked(timeout):
    clock, events = FakeClock(), []
    with ToolOps("hooks", sinks=[events.append], clock=clock) as ops:

        @ops.tool(cache=CACHE, retry=Retry(attempts=2, wait=5, jitter=0), timeout=timeout)
        def quote(item):
            clock.advance(2)
            if clock.monotonic() < began + 4:
                raise ConnectionError
            return item

        began = clock.monotonic()
        quote("a")
        quote("a")
    assert [event.worked for event in events] == [pytest.approx(4.0), 0.0]
    assert events[0].latency >= 4.0
