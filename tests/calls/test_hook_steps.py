"""Steps inside of calls, and what events say of calls, where sinks are told of both."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from callers import Latch
from servers import wait_for
from spans import Spans

from toolops_plugins import (
    Bulkhead,
    BulkheadFull,
    Cache,
    CircuitBreaker,
    CircuitOpen,
    RateLimit,
    RateLimited,
    Retry,
    Timeout,
    ToolOps,
)
from toolops_plugins.fake_clock import FakeClock

CACHE = Cache(ttl=60)


@pytest.fixture
def ops(spans: Spans) -> Iterator[ToolOps]:
    with ToolOps("hooks", sinks=[spans]) as ops:
        yield ops


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

        @ops.tool(rate_limit=RateLimit("1/s", burst=1, wait=10))
        def limited():
            return 1

        limited()
        limited()
        (wait,) = spans.check(2)[1].steps
        assert (wait.kind, wait.name, wait.namespace) == ("limit_wait", limited.name, "hooks")
        assert 0.9 < wait.seconds <= 1.0

        @ops.tool(bulkhead=Bulkhead(1, queue=1))
        def crowded():
            gate.wait()

        threads = [threading.Thread(target=crowded) for _ in range(2)]
        for thread in threads:
            thread.start()
        gate_of = crowded.__toolops_plan__.gate
        wait_for(lambda: gate_of.queue_length == 1, "a caller in the queue")
        with pytest.raises(BulkheadFull):
            crowded()
        gate.open()
        for thread in threads:
            thread.join()
    steps = {step.kind: step for span in spans.check(5) for step in span.steps}
    assert set(steps) == {"limit_wait", "bulkhead_wait", "rejected"}
    assert steps["rejected"].detail == "bulkhead_full"


def test_a_refused_unit_is_a_step(ops, spans):
    @ops.tool(rate_limit=RateLimit("1/h", burst=1, wait=0))
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


# Details ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_start", [True, False])
def test_details_come_from_arguments_and_results(spans, with_start):
    events = []
    with ToolOps("hooks", sinks=[events.append, *([spans] if with_start else [])]) as ops:
        tool = ops.tool(cache=CACHE)(lambda model: {"tokens": 3})
        plan = tool.__toolops_plan__
        plan.describe(
            "chat",
            lambda args, kwargs: {"model": args[0]},
            lambda value: {"input_tokens": value["tokens"], "replied": "m"},
        )
        tool("m1")
        tool("m1")
    assert [event.kind for event in events] == ["chat", "chat"]
    assert [event.details for event in events] == [
        {"model": "m1", "input_tokens": 3, "replied": "m"},
        {"model": "m1", "saved_input_tokens": 3, "replied": "m"},
    ]
    for span in spans.check(2 if with_start else 0):
        assert (span.start.kind, span.start.details) == ("chat", {"model": "m1"})


def test_details_that_fail_harm_nobody(ops, spans, caplog):
    tool = ops.tool(cache=CACHE, name="quote")(lambda item: item)
    tool.__toolops_plan__.describe("tool", lambda *_: 1 / 0, lambda _: 1 / 0)
    assert [tool("a"), tool("a")] == ["a", "a"]
    assert [span.event.details for span in spans.check(2)] == [None, None]


@pytest.mark.parametrize("timeout", [None, Timeout(attempt=900)])
def test_the_event_tells_how_long_the_function_worked(timeout):
    clock, events = FakeClock(), []
    with ToolOps("hooks", sinks=[events.append], clock=clock) as ops:

        @ops.tool(cache=CACHE, retry=Retry(attempts=2, wait=5, jitter=None), timeout=timeout)
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
