"""Streams under sinks that are told of the start of a call: a stream has a context of its own."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import aclosing, closing
from contextvars import ContextVar
from typing import Any

import pytest
from callers import Latch
from servers import wait_for
from spans import Spans

from toolops_plugins import Cache, CircuitBreaker, Retry, Timeout, ToolOps
from toolops_plugins.fake_clock import FakeClock

CACHE = Cache(ttl=60)
OTHER: ContextVar[str] = ContextVar("test_stream_hooks_other", default="")

POLICIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "coalesce": {"coalesce": True},
    "cache": {"cache": CACHE},
    "all": {
        "cache": CACHE,
        "retry": Retry(attempts=2, wait=0),
        "breaker": CircuitBreaker(),
        "timeout": Timeout(attempt=20, total=30),
    },
}


@pytest.fixture
def ops(spans: Spans) -> Iterator[ToolOps]:
    with ToolOps("hooks", sinks=[spans]) as ops:
        yield ops


def letters(ops: ToolOps, spans: Spans, seen: list[Any], **parts: Any) -> tuple[Any, Any]:
    """Return a wrapped generator function and its asynchronous twin."""

    @ops.tool(**parts)
    def inner(item):
        seen.append(spans.current)
        return item

    @ops.tool(**parts)
    def stream(text):
        try:
            for letter in text:
                seen.append(spans.current)
                OTHER.set(letter)
                yield inner(letter)
                assert OTHER.get() == letter
        finally:
            seen.append(spans.current)

    @ops.tool(**parts)
    async def astream(text):
        try:
            for letter in text:
                seen.append(spans.current)
                OTHER.set(letter)
                await asyncio.sleep(0)
                yield inner(letter)
                assert OTHER.get() == letter
        finally:
            seen.append(spans.current)

    return stream, astream


def check_letters(spans: Spans, seen: list[Any], count: int = 1) -> None:
    first, *others = spans.check(count + 1)
    assert [other.parent for other in others] == [first] * count
    assert seen == [span for other in others for span in (first, other)] + [first]
    assert first.start.stream
    assert not any(other.start.stream for other in others)


@pytest.mark.parametrize("parts", POLICIES.values(), ids=POLICIES)
def test_each_step_of_a_generator_runs_inside_of_its_span(ops, spans, parts):
    seen: list[Any] = []
    stream, _ = letters(ops, spans, seen, **parts)
    OTHER.set("the reader's")
    for item in stream("abc"):
        assert item in "abc"
        assert spans.current is None
        assert OTHER.get() == "the reader's"
    check_letters(spans, seen, 3)
    assert list(stream("abc")) == list("abc")
    cached = "cache" in parts
    assert [span.event.outcome for span in spans.spans if span.start.stream] == (
        ["miss", "hit"] if cached else ["miss" if parts else "bypass"] * 2
    )
    spans.check()


@pytest.mark.parametrize("parts", POLICIES.values(), ids=POLICIES)
async def test_each_step_of_an_asynchronous_generator_runs_inside_of_its_span(ops, spans, parts):
    seen: list[Any] = []
    _, stream = letters(ops, spans, seen, **parts)
    OTHER.set("the reader's")
    async for item in stream("abc"):
        assert item in "abc"
        assert spans.current is None
        assert OTHER.get() == "the reader's"
    check_letters(spans, seen, 3)
    assert [item async for item in stream("abc")] == list("abc")
    spans.check()


@pytest.mark.parametrize("parts", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("way", ["close", "drop", "throw", "another thread", "another context"])
def test_an_abandoned_generator_ends(ops, spans, parts, way):
    seen: list[Any] = []
    stream, _ = letters(ops, spans, seen, **parts)
    reader = stream("abc")
    assert next(reader) == "a"
    assert spans.current is None
    if way == "throw":
        with pytest.raises(LookupError):
            reader.throw(LookupError)
    elif way == "another thread":
        thread = threading.Thread(target=reader.close)
        thread.start()
        thread.join()
    elif way == "another context":
        OTHER.set("another context")
        asyncio.run(asyncio.to_thread(reader.close))
    elif way == "close":
        reader.close()
    del reader
    gc.collect()
    check_letters(spans, seen)
    span = spans.spans[0]
    if way == "throw":
        assert (span.event.outcome, span.event.error) == ("error", "LookupError")
    else:
        assert span.event.reason == "not_read_to_end"


@pytest.mark.parametrize("parts", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("way", ["aclose", "drop", "athrow", "cancel"])
async def test_an_abandoned_asynchronous_generator_ends(ops, spans, parts, way):
    seen: list[Any] = []
    _, stream = letters(ops, spans, seen, **parts)
    reader = stream("abc")
    if way == "cancel":
        gate, reached = Latch(), Latch()

        async def read(reader: Any) -> None:
            async with aclosing(reader):
                assert await anext(reader) == "a"
                reached.open()
                await gate.opened()

        task = asyncio.ensure_future(read(reader))
        await reached.opened()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
    else:
        assert await anext(reader) == "a"
        if way == "aclose":
            await reader.aclose()
        elif way == "athrow":
            with pytest.raises(LookupError):
                await reader.athrow(LookupError)
    del reader
    gc.collect()
    while len(spans.ended) < 2:  # noqa: ASYNC110 - the loop closes what was dropped
        await asyncio.sleep(0)
    assert spans.troubles == []
    check_letters(spans, seen)


@pytest.mark.parametrize("parts", POLICIES.values(), ids=POLICIES)
def test_a_stream_ends_with_its_loop(ops, spans, parts):
    """The loop closes all of its generators at its end, ours and those inside of it."""
    seen: list[Any] = []
    _, stream = letters(ops, spans, seen, **parts)
    kept = []

    async def main() -> None:
        kept.append(stream("abc"))
        assert await anext(kept[0]) == "a"

    asyncio.run(main())
    kept.clear()
    gc.collect()
    check_letters(spans, seen)


@pytest.mark.allow_leaks("the loop is closed in the middle of a stream")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("hooked", [False, True])
def test_a_stream_whose_loop_is_closed_ends(ops, spans, hooked):
    """A loop that is closed does not close the generators that began on it."""
    _, stream = letters(ops, spans, [])
    loop = asyncio.new_event_loop()
    reader = stream("abc")

    async def begin(reader: Any) -> str:
        return await anext(reader)

    step = begin(reader) if hooked else anext(reader)
    assert loop.run_until_complete(step) == "a"
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False
    del task
    loop.close()
    del reader, loop, step
    gc.collect()
    first, _ = spans.check(2)
    assert first.event.outcome == "error"


def test_readers_of_one_stream_have_spans_of_their_own(ops, spans):
    seen: list[Any] = []

    @ops.tool(coalesce=True)
    def stream():
        for number in range(4):
            seen.append(spans.current)
            yield number

    one, two = stream(), stream()
    assert [next(one), next(two), next(two), next(one)] == [0, 0, 1, 1]
    assert (list(two), list(one)) == ([2, 3], [2, 3])
    first, second = spans.check(2)
    assert (first.event.outcome, second.event.outcome) == ("miss", "coalesced")
    assert seen == [first] * 4


async def test_readers_of_one_asynchronous_stream_have_spans_of_their_own(ops, spans):
    seen: list[Any] = []

    @ops.tool(coalesce=True)
    async def stream():
        for number in range(4):
            seen.append(spans.current)
            yield number

    async def read() -> list[int]:
        return [number async for number in stream()]

    assert await asyncio.gather(read(), read()) == [[0, 1, 2, 3]] * 2
    first, second = spans.check(2)
    assert (first.event.outcome, second.event.outcome) == ("miss", "coalesced")
    assert seen == [first] * 4


def test_readers_in_threads_leave_the_generator_in_its_context(ops, spans):
    seen: list[Any] = []
    turns = [Latch(), Latch()]

    @ops.tool(coalesce=True)
    def stream():
        for number in range(2):
            seen.append(spans.current)
            yield number

    items: list[int] = []

    def read_second() -> None:
        with closing(stream()) as reader:
            items.append(next(reader))
            turns[0].open()
            items.extend(reader)
            turns[1].open()

    reader = stream()
    assert next(reader) == 0
    thread = threading.Thread(target=read_second)
    thread.start()
    turns[1].wait()
    assert list(reader) == [1]
    thread.join()
    assert items == [0, 1]
    first, _ = spans.check(2)
    assert seen == [first, first]


def test_what_is_sent_and_thrown_into_a_stream_runs_inside_of_its_span(ops, spans):
    seen: list[Any] = []

    @ops.tool
    def stream():
        for _ in range(2):
            try:
                sent = yield spans.current
            except LookupError:
                sent = "thrown"
            seen.append((sent, spans.current))
        return "returned"

    reader = stream()
    span = next(reader)
    assert reader.send("sent") is span
    with pytest.raises(StopIteration, match="returned"):
        reader.throw(LookupError)
    assert seen == [("sent", span), ("thrown", span)]
    assert spans.check(1) == [span]


async def test_what_is_sent_into_an_asynchronous_stream_runs_inside_of_its_span(ops, spans):
    seen: list[Any] = []

    @ops.tool
    async def stream():
        for _ in range(2):
            try:
                sent = yield spans.current
            except LookupError:
                sent = "thrown"
            seen.append((sent, spans.current))

    reader = stream()
    span = await anext(reader)
    assert await reader.asend("sent") is span
    with pytest.raises(StopAsyncIteration):
        await reader.athrow(LookupError)
    assert seen == [("sent", span), ("thrown", span)]
    assert spans.check(1) == [span]


def test_a_stream_that_fails_ends(ops, spans):
    @ops.tool(fallback=lambda **_: iter("instead"))
    def broken():
        raise ConnectionError
        yield

    @ops.tool
    def breaks_off():
        yield 1
        raise ConnectionError

    assert "".join(broken()) == "instead"
    with pytest.raises(ConnectionError):
        list(breaks_off())
    assert [span.event.outcome for span in spans.check(2)] == ["fallback", "error"]


async def test_an_asynchronous_fallback_runs_inside_of_the_span(ops, spans):
    seen = []
    OTHER.set("")

    async def instead(**_: Any) -> Any:
        seen.append(spans.current)

        async def items():
            for number in range(2):
                OTHER.set("by the fallback")
                yield number

        return items()

    @ops.tool(fallback=instead)
    async def broken():
        raise ConnectionError
        yield

    assert [item async for item in broken()] == [0, 1]
    assert seen == spans.check(1)
    assert OTHER.get() == ""


def test_an_interrupted_stream_ends(ops, spans):
    @ops.tool(cache=CACHE)
    def stream():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(stream())
    assert spans.check(1)[0].event.error == "KeyboardInterrupt"


@pytest.mark.parametrize("way", ["sync", "async"])
def test_the_pauses_of_readers_are_no_work(way):
    clock, events = FakeClock(), []

    def body():
        for number in range(3):
            clock.advance(2)
            yield number
        clock.advance(2)

    async def abody():
        for number in body():
            yield number

    async def read(stream: Any) -> None:
        async for _ in stream():
            clock.advance(100)

    with ToolOps("hooks", sinks=[events.append], clock=clock) as ops:
        if way == "sync":
            for _ in ops.tool(body)():
                clock.advance(100)
        else:
            asyncio.run(read(ops.tool(abody)))
    (event,) = events
    assert event.worked == pytest.approx(8.0)
    assert event.latency >= 300


def test_details_of_a_stream_come_from_its_items(ops, spans):
    @ops.tool(cache=CACHE)
    def tokens():
        yield from (1, 2, 3)

    tokens.__toolops_plan__.describe(result=lambda items: {"output_tokens": sum(items)})
    list(tokens())
    list(tokens())
    next(tokens())
    gc.collect()
    wait_for(lambda: len(spans.ended) == 3, "the reader that was dropped")
    assert [span.event.details for span in spans.check(3)] == [
        {"output_tokens": 6},
        {"saved_output_tokens": 6},
        {"saved_output_tokens": 6},
    ]
