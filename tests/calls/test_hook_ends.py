"""Every start of a call has one end, whatever ends the call."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextvars import ContextVar

import pytest
from spans import POLICIES, Spans

from toolops_plugins import (
    Cache,
    ToolOps,
)

CACHE = Cache(ttl=60)
OTHER: ContextVar[str] = ContextVar("test_hooks_other", default="")


@pytest.fixture
def ops(spans: Spans) -> Iterator[ToolOps]:
    with ToolOps("hooks", sinks=[spans]) as ops:
        yield ops


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


@pytest.mark.parametrize("parts", [{}, {"cache": CACHE, "coalesce": False}])
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
