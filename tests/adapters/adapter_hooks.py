"""Conformance: sinks that are told of the start of a call, as a tracer is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from adapters.adapter_body import Body, Trouble, all_of, reach_aboard
from adapters.adapter_subject import KEPT, Subject, needs, one_way
from callers import LONG, Latch
from spans import Span, Spans

from toolops_plugins import Retry, Timeout, ToolOps

__all__ = ["Hooks"]


class TracedBody(Body):
    """A body that notes the span in which it runs."""

    def __init__(self, spans: Spans) -> None:
        super().__init__()
        self.spans = spans
        self.seen: list[Span | None] = []

    def _begin(self, text: str) -> Latch:
        self.seen.append(self.spans.current)
        return super()._begin(text)


class Hooks(Subject):
    """Each start has one end in the same context, and what runs between them runs inside of it."""

    @pytest.fixture
    def spans(self) -> Spans:
        return Spans()

    @pytest.fixture
    def traced(self, spans: Spans) -> TracedBody:
        return TracedBody(spans)

    @pytest.fixture
    def traced_ops(self, make_ops: Callable[..., ToolOps], spans: Spans) -> ToolOps:
        return make_ops(sinks=[spans])

    async def test_each_start_has_its_end(
        self, way: str, traced: TracedBody, traced_ops: ToolOps, spans: Spans, events: Any
    ) -> None:
        guarded = self.guard(self.original(traced), traced_ops, KEPT)
        for text in ("x", "x", "y"):
            assert await self.hear(way, guarded, text) == traced.of(text)
        told = [span.event for span in spans.check()]
        assert sorted(told, key=repr) == sorted(events, key=repr)
        assert self.outcomes(events) == ["miss", "hit", "miss"]

    @needs("spans")
    async def test_what_is_called_runs_inside_of_the_span(
        self, way: str, traced: TracedBody, traced_ops: ToolOps, spans: Spans
    ) -> None:
        timed = KEPT.replace(timeout=Timeout(attempt=LONG), retry=Retry(attempts=2, wait=0))
        for text, policy in (("x", KEPT), ("y", timed)):
            guarded = self.guard(self.original(traced), traced_ops, policy)
            traced.failures = 1 if policy is timed else 0
            assert await self.hear(way, guarded, text) == traced.of(text)
        assert len(traced.seen) == 3
        assert [span for span in traced.seen if span not in spans.check()] == []
        assert traced.seen[1] is traced.seen[2]
        assert [step.kind for step in traced.seen[1].steps] == ["retry"]

    @needs("spans", "errors_told")
    @one_way
    async def test_a_call_that_fails_has_its_end(
        self, way: str, traced: TracedBody, traced_ops: ToolOps, spans: Spans, events: Any
    ) -> None:
        guarded = self.guard(self.original(traced), traced_ops, KEPT)
        traced.failures = 1
        with pytest.raises(Trouble):
            await self.ask(way, guarded, "x")
        assert [span for span in traced.seen if span not in spans.check(len(events))] == []
        assert traced.seen[0].event.error == "Trouble"

    @needs("spans", "coalescing")
    async def test_each_of_equal_callers_has_a_span(
        self, mix: Any, traced: TracedBody, traced_ops: ToolOps, spans: Spans, events: Any
    ) -> None:
        guarded = self.guard(self.original(traced), traced_ops, KEPT)
        traced.hold()
        callers = [self.begin(mix[0], guarded, "x")]
        await traced.started.opened()
        callers += [self.begin(mix[-1], guarded, "x") for _ in range(2)]
        await reach_aboard(traced_ops, 3)
        traced.release.open()
        answers = await all_of(callers)
        assert [self.text_of(answer) for answer in answers] == [traced.of("x")] * 3
        assert sorted(self.outcomes(events)) == ["coalesced", "coalesced", "miss"]
        (seen,) = traced.seen
        assert seen in spans.check(len(events))

    @needs("spans", "cancelling", "async")
    @one_way
    async def test_a_call_that_is_cancelled_has_its_end(
        self, traced: TracedBody, traced_ops: ToolOps, spans: Spans
    ) -> None:
        guarded = self.guard(self.original(traced), traced_ops, KEPT)
        traced.hold()
        caller = self.begin("async", guarded, "x")
        await traced.started.opened()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        (seen,) = traced.seen
        assert seen in spans.check()
        traced.release.open()
