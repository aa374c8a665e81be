"""Spans of real calls: what is inside of them, and what is not."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing

import pytest
from callers import LONG, Latch, Work, start
from exported_telemetry import id_of, parent_of
from opentelemetry.trace import INVALID_SPAN, StatusCode, get_current_span
from servers import wait_for

from toolops_plugins import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    CircuitOpen,
    Hedge,
    RateLimit,
    Retry,
    Timeout,
)
from toolops_plugins.testing import FakeClock


@pytest.fixture(autouse=True)
def _no_span_stays():
    assert get_current_span() is INVALID_SPAN
    yield
    assert get_current_span() is INVALID_SPAN


def test_what_a_function_does_is_inside_of_its_span(telemetry):
    with telemetry.ops() as ops:

        @ops.readonly(ttl=60, name="fetch")
        def fetch(url):
            with telemetry.tracer.start_as_current_span("GET"):
                return url

        @ops.tool(name="search", timeout=Timeout(attempt=20))  # in a thread
        def search(query):
            with ThreadPoolExecutor() as pool:
                context = contextvars.copy_context()
                pool.submit(context.run, fetch, "/a").result()
            return fetch("/b")

        with telemetry.tracer.start_as_current_span("agent") as agent:
            search("x")
            search("x")
    first, second = [span for span in telemetry.spans if span.name == "execute_tool search"]
    assert parent_of(first) == parent_of(second) == id_of(agent)
    fetches = [span for span in telemetry.spans if span.name == "execute_tool fetch"]
    assert [parent_of(span) for span in fetches] == [id_of(first)] * 2 + [id_of(second)] * 2
    outcomes = [span.attributes["toolops.outcome"] for span in fetches]
    assert outcomes == ["miss", "miss", "hit", "hit"]
    requests = [span for span in telemetry.spans if span.name == "GET"]
    assert [parent_of(span) for span in requests] == [id_of(span) for span in fetches[:2]]


async def test_what_a_coroutine_function_does_is_inside_of_its_span(telemetry):
    with telemetry.ops() as ops:

        @ops.readonly(ttl=60, name="fetch")
        async def fetch(url):
            with telemetry.tracer.start_as_current_span("GET"):
                await asyncio.sleep(0)
                return url

        @ops.tool(name="search", timeout=Timeout(attempt=20))
        async def search(query):
            return await asyncio.gather(fetch("/a"), fetch("/b"), asyncio.to_thread(str, query))

        with telemetry.tracer.start_as_current_span("agent") as agent:
            await asyncio.gather(search("x"), search("y"))
    assert {parent_of(span) for span in named(telemetry, "search")} == {id_of(agent)}
    searches = {id_of(span) for span in named(telemetry, "search")}
    fetches = named(telemetry, "fetch")
    assert len(fetches) == 4
    assert {parent_of(span) for span in fetches} == searches
    makers = {id_of(span) for span in fetches if span.attributes["toolops.outcome"] == "miss"}
    assert {parent_of(span) for span in telemetry.spans if span.name == "GET"} == makers


def named(telemetry, name):
    """Return the spans of a tool."""
    return [span for span in telemetry.spans if span.name == f"execute_tool {name}"]


def test_retries_are_inside_of_one_span_and_told_by_events(telemetry):
    clock = FakeClock()
    with telemetry.ops(clock=clock) as ops:
        errors = [ConnectionError("secret"), ConnectionError("secret")]

        @ops.tool(name="fetch", retry=Retry(attempts=3))
        def fetch(url):
            with telemetry.tracer.start_as_current_span("GET"):
                if errors:
                    raise errors.pop()
            return url

        fetch("/")
    [span] = named(telemetry, "fetch")
    assert span.attributes["toolops.attempts"] == 3
    assert span.status.status_code is StatusCode.UNSET
    assert [(event.name, event.attributes["error.type"]) for event in span.events] == [
        ("toolops.retry", "ConnectionError")
    ] * 2
    requests = [request for request in telemetry.spans if request.name == "GET"]
    assert {parent_of(request) for request in requests} == {id_of(span)}
    assert telemetry.metric("gen_ai.execute_tool.duration").count == 1


def test_the_end_of_a_breaker_and_its_rejections_are_events(telemetry):
    with telemetry.ops() as ops:

        @ops.tool(name="fetch", breaker=CircuitBreaker(window=1))
        def fetch(url):
            raise ConnectionError

        with pytest.raises(ConnectionError):
            fetch("/")
        with pytest.raises(CircuitOpen):
            fetch("/")
    failed, rejected = named(telemetry, "fetch")
    assert [event.name for event in failed.events] == ["toolops.breaker"]
    assert failed.events[0].attributes["toolops.detail"] == "open"
    assert [event.name for event in rejected.events] == ["toolops.rejected"]
    assert rejected.attributes["error.type"] == "CircuitOpen"
    assert rejected.attributes["toolops.reason"] == "circuit_open"
    assert telemetry.metric("gen_ai.execute_tool.duration").count == 1
    assert telemetry.points("toolops.notices")


async def test_both_of_two_racing_attempts_are_inside(telemetry):
    slow = Latch()
    with telemetry.ops() as ops:
        waits = iter([False, True, False])

        @ops.tool(name="fetch", hedge=Hedge(min_calls=1))
        async def fetch(url):
            with telemetry.tracer.start_as_current_span("GET"):
                if next(waits):
                    await slow.opened()
                return url

        await fetch("/")
        await fetch("/")
        slow.open()
    _, span = named(telemetry, "fetch")
    assert [event.name for event in span.events] == ["toolops.hedge"]
    assert span.attributes["toolops.hedged"] is True
    _, *requests = [request for request in telemetry.spans if request.name == "GET"]
    assert [parent_of(request) for request in requests] == [id_of(span)] * 2


def test_waits_for_limits_are_events(telemetry):
    clock = FakeClock()
    with telemetry.ops(clock=clock) as ops:

        @ops.tool(name="fetch", rate_limit=RateLimit("1/s"), bulkhead=Bulkhead(1))
        def fetch(url):
            return url

        fetch("/a")
        fetch("/b")
    _, second = named(telemetry, "fetch")
    assert [event.name for event in second.events] == ["toolops.limit_wait"]
    assert second.events[0].attributes["toolops.seconds"] == pytest.approx(1.0)


def test_followers_in_threads_are_linked_to_their_leader(telemetry):
    with telemetry.ops() as ops:
        work = Work(ops)
        calls = [start(work.sync, 1) for _ in range(3)]
        work.await_aboard(3)
        work.release.open()
        for call in calls:
            call.result(LONG)
    check_followers(named(telemetry, "work"))


async def test_followers_on_a_loop_are_linked_to_their_leader(telemetry):
    with telemetry.ops() as ops:
        work = Work(ops)
        calls = asyncio.gather(work.aio(1), work.aio(1), work.aio(1))
        await work.reach_aboard(3)
        work.release.open()
        await calls
    check_followers(named(telemetry, "work"))


def check_followers(spans):
    """Check that one of three spans has led, and the others are linked to it."""
    [leader] = [span for span in spans if span.attributes["toolops.outcome"] == "miss"]
    followers = [span for span in spans if span is not leader]
    assert [span.attributes["toolops.outcome"] for span in followers] == ["coalesced"] * 2
    assert leader.links == ()
    for span in followers:
        assert [link.context.span_id for link in span.links] == [id_of(leader)]
        assert span.attributes["toolops.coalesced"] is True


@pytest.mark.parametrize("aio", [False, True])
def test_a_refresh_in_the_background_has_a_span_of_its_own(telemetry, aio):
    clock = FakeClock()

    def fetch(url):
        with telemetry.tracer.start_as_current_span("GET"):
            return url

    async def afetch(url):
        return fetch(url)

    with telemetry.ops(clock=clock) as ops:
        policy = Cache(ttl=60, stale_ttl=600)
        tool = ops.tool(cache=policy, name="fetch")(afetch if aio else fetch)

        async def call_twice():
            await tool("/")
            clock.advance(61)
            await tool("/")
            while len(named(telemetry, "fetch")) < 3:  # noqa: ASYNC110 - of an exporter
                await asyncio.sleep(0)

        if aio:
            asyncio.run(call_twice())
        else:
            tool("/")
            clock.advance(61)
            tool("/")
            wait_for(lambda: len(named(telemetry, "fetch")) == 3, "the refresh")
    spans = {span.attributes["toolops.outcome"]: span for span in named(telemetry, "fetch")}
    refresh, stale = spans["refresh"], spans["stale"]
    assert refresh.parent is None
    assert [link.context.span_id for link in refresh.links] == [id_of(stale)]
    assert refresh.context.trace_id != stale.context.trace_id
    requests = [span for span in telemetry.spans if span.name == "GET"]
    assert [parent_of(span) for span in requests] == [id_of(spans["miss"]), id_of(refresh)]


def test_an_error_ends_the_span(telemetry):
    with telemetry.ops() as ops:

        @ops.tool(name="fetch")
        def fetch(url):
            raise KeyError("secret")

        with pytest.raises(KeyError):
            fetch("/")
    [span] = named(telemetry, "fetch")
    assert span.attributes["error.type"] == "KeyError"
    assert span.status.status_code is StatusCode.ERROR
    assert span.events == ()
    assert "secret" not in span.to_json()


async def test_a_cancelled_call_ends_its_span(telemetry):
    with telemetry.ops() as ops:
        begun = asyncio.Event()

        @ops.tool(name="fetch")
        async def fetch(url):
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(fetch("/"))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    [span] = named(telemetry, "fetch")
    assert span.attributes["error.type"] == "CancelledError"


def test_the_call_of_a_closed_loop_ends_its_span(telemetry, caplog):
    with telemetry.ops() as ops:

        @ops.tool(name="fetch")
        async def fetch(url):
            await asyncio.Event().wait()

        async def drop():
            asyncio.get_running_loop().call_soon(stop)
            await fetch("/")

        loop = asyncio.new_event_loop()
        stop = loop.stop
        task = loop.create_task(drop())
        with pytest.raises(RuntimeError, match="stopped before"):
            loop.run_until_complete(task)
        loop.close()
        with caplog.at_level(logging.CRITICAL, "asyncio"):  # of the pending task
            del task
            gc.collect()
    [span] = named(telemetry, "fetch")
    assert span.attributes["error.type"] == "GeneratorExit"


# -- streams -------------------------------------------------------------------------------------


@pytest.fixture
def streams(telemetry):
    """A plain and an asynchronous stream, whose items are made in spans."""
    with telemetry.ops() as ops:

        def items(count):
            for number in range(count):
                with telemetry.tracer.start_as_current_span(f"item {number}"):
                    pass
                yield number

        async def aitems(count):
            for number in items(count):
                await asyncio.sleep(0)
                yield number

        policy = Cache(ttl=60)
        yield (
            ops.tool(cache=policy, name="items")(items),
            ops.tool(cache=policy, name="aitems")(aitems),
        )


def check_stream(telemetry, name, count):
    """Check the one span of a stream, and that its items were made inside of it."""
    [span] = named(telemetry, name)
    assert span.attributes["toolops.outcome"] == "miss"
    made = [each for each in telemetry.spans if each.name.startswith("item ")]
    assert len(made) == count
    assert {parent_of(each) for each in made} == {id_of(span)}
    return span


def test_a_stream_keeps_its_context_and_the_reader_its_own(telemetry, streams):
    stream, _ = streams
    with telemetry.tracer.start_as_current_span("reader") as reader:
        for _ in stream(3):
            assert get_current_span() is reader
            with telemetry.tracer.start_as_current_span("reading"):
                pass
    assert parent_of(check_stream(telemetry, "items", 3)) == id_of(reader)
    between = [span for span in telemetry.spans if span.name == "reading"]
    assert {parent_of(span) for span in between} == {id_of(reader)}


def test_a_stream_may_be_read_in_other_contexts(telemetry, streams):
    stream, _ = streams
    reading = stream(3)
    assert contextvars.copy_context().run(next, reading) == 0
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(next, reading).result() == 1
        assert pool.submit(list, reading).result() == [2]
    check_stream(telemetry, "items", 3)


@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_stream_that_is_left_ends_its_span(telemetry, streams, how):
    stream, _ = streams
    if how == "close":
        with closing(stream(3)) as reading:
            contextvars.copy_context().run(next, reading)
    else:
        reading = stream(3)
        contextvars.copy_context().run(next, reading)
        del reading
        gc.collect()
    span = check_stream(telemetry, "items", 1)
    assert span.attributes["toolops.reason"] == "not_read_to_end"
    assert span.status.status_code is StatusCode.UNSET


def test_a_stream_that_fails_ends_its_span(telemetry):
    with telemetry.ops() as ops:

        @ops.tool(name="items")
        def items():
            yield 1
            raise KeyError("secret")

        with pytest.raises(KeyError):
            list(items())
    [span] = named(telemetry, "items")
    assert span.attributes["error.type"] == "KeyError"
    assert span.attributes["gen_ai.operation.name"] == "execute_tool"


async def test_an_asynchronous_stream_keeps_its_context(telemetry, streams):
    _, stream = streams
    with telemetry.tracer.start_as_current_span("reader") as reader:
        async for _ in stream(3):
            assert get_current_span() is reader
    assert parent_of(check_stream(telemetry, "aitems", 3)) == id_of(reader)


async def test_an_asynchronous_stream_may_be_read_in_other_tasks(telemetry, streams):
    _, stream = streams
    reading = stream(3)
    assert await asyncio.create_task(anext(reading)) == 0
    assert await asyncio.create_task(anext(reading)) == 1

    async def read():
        return [item async for item in reading]

    assert await asyncio.create_task(read()) == [2]
    check_stream(telemetry, "aitems", 3)


@pytest.mark.parametrize("how", ["close", "drop", "cancel"])
def test_an_asynchronous_stream_that_is_left_ends_its_span(telemetry, streams, how):
    _, stream = streams

    async def leave():
        if how == "close":
            async with aclosing(stream(3)) as reading:
                await asyncio.create_task(anext(reading))
        elif how == "drop":
            reading = stream(3)
            await asyncio.create_task(anext(reading))
            del reading
        else:
            reader = asyncio.create_task(read_and_wait())
            while not [span for span in telemetry.spans if span.name == "item 0"]:  # noqa: ASYNC110 - of an exporter
                await asyncio.sleep(0)
            reader.cancel()
            await asyncio.wait([reader])

    async def read_and_wait():
        async for _ in stream(3):
            await asyncio.Event().wait()

    asyncio.run(leave())
    gc.collect()
    [span] = named(telemetry, "aitems")
    assert span.attributes["toolops.outcome"] in ("miss", "error")


def test_a_stream_from_the_cache_has_a_span_too(telemetry, streams):
    stream, _ = streams
    assert list(stream(2)) == list(stream(2))
    outcomes = [span.attributes["toolops.outcome"] for span in named(telemetry, "items")]
    assert outcomes == ["miss", "hit"]


async def test_a_reader_that_joins_a_stream_is_linked_to_it(telemetry, streams):
    _, stream = streams
    first, second = stream(2), stream(2)
    await anext(first)
    await anext(second)
    assert [item async for item in first] == [item async for item in second] == [1]
    spans = {span.attributes["toolops.outcome"]: span for span in named(telemetry, "aitems")}
    [link] = spans["coalesced"].links
    assert link.context.span_id == id_of(spans["miss"])
