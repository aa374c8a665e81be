"""Generators and asynchronous generators: stored at their end, shared while they run."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from callers import LONG, in_child, start
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import wait_for

from toolops_plugins import Cache, CallEvent, DeadlineExceeded, Retry, ToolOps
from toolops_plugins.coalesce import streams
from toolops_plugins.testing import FakeClock, set_active


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    runtime = ToolOps("streams")
    yield runtime
    gc.collect()  # what an exception's traceback still held
    assert len(runtime._shared.streams) == 0
    assert len(runtime._shared.flights) == 0


class Source:
    """A generator with a synchronous and an asynchronous face, which notes what happens to it."""

    def __init__(self, ops: ToolOps, items: Any = (1, 2, 3), **policy: Any) -> None:
        self.runs = 0
        self.pulled: list[Any] = []
        self.closed = 0
        self.error: BaseException | None = None
        self.items = items
        self.returned: Any = None
        policy = policy or {"cache": Cache(ttl=60)}

        @ops.tool(name="stream", **policy)
        def in_thread(n: int = 0) -> Iterator[Any]:
            self.runs += 1
            try:
                for item in self.items:
                    self.pulled.append(item)
                    yield item
                if self.error is not None:
                    raise self.error
            finally:
                self.closed += 1
            return self.returned

        @ops.tool(name="stream", **policy)
        async def on_loop(n: int = 0) -> AsyncIterator[Any]:
            self.runs += 1
            try:
                for item in self.items:
                    self.pulled.append(item)
                    await asyncio.sleep(0)
                    yield item
                if self.error is not None:
                    raise self.error
            finally:
                await asyncio.sleep(0)
                self.closed += 1

        self.sync, self.aio = in_thread, on_loop


class Sync:
    """Reads a source's plain face; with the same names as :class:`Aio`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def read(self, *args: Any) -> list[Any]:
        return list(self._source.sync(*args))

    async def open(self, *args: Any) -> Any:
        return self._source.sync(*args)

    async def next(self, stream: Any) -> Any:
        try:
            return next(stream)
        except StopIteration:  # which a coroutine cannot raise
            raise StopAsyncIteration from None

    async def close(self, stream: Any) -> None:
        stream.close()


class Aio:
    """Reads a source's asynchronous face."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def read(self, *args: Any) -> list[Any]:
        return [item async for item in self._source.aio(*args)]

    async def open(self, *args: Any) -> Any:
        return self._source.aio(*args)

    async def next(self, stream: Any) -> Any:
        return await anext(stream)

    async def close(self, stream: Any) -> None:
        await stream.aclose()


@pytest.fixture(params=[Sync, Aio])
def face(request: pytest.FixtureRequest) -> Any:
    return request.param


# Both kinds alike


async def test_kept_once_read_to_the_end_and_replayed_item_by_item(ops: ToolOps, face: Any) -> None:
    source = Source(ops)
    reader = face(source)
    assert await reader.read() == [1, 2, 3]
    assert source.closed == 1
    stream = await reader.open()
    assert await reader.next(stream) == 1
    assert await reader.next(stream) == 2
    await reader.close(stream)
    assert await reader.read() == [1, 2, 3]
    assert source.runs == 1


async def test_other_arguments_are_another_stream(ops: ToolOps, face: Any) -> None:
    source = Source(ops)
    reader = face(source)
    await reader.read(1)
    await reader.read(2)
    assert source.runs == 2


async def test_sync_and_async_callers_share_the_cache(ops: ToolOps) -> None:
    source = Source(ops)
    assert await Sync(source).read() == await Aio(source).read() == [1, 2, 3]
    assert source.runs == 1


async def test_nothing_runs_before_it_is_read_nor_ahead_of_the_reader(
    ops: ToolOps, face: Any
) -> None:
    source = Source(ops)
    reader = face(source)
    stream = await reader.open()
    assert source.runs == 0
    for item in source.items:
        assert await reader.next(stream) == item
        assert source.pulled[-1] == item
    await reader.close(stream)


@pytest.mark.parametrize("read", [1, 2, 3])
async def test_closed_early_it_is_not_kept_and_its_source_is_closed(
    ops: ToolOps, face: Any, read: int
) -> None:
    source = Source(ops)
    reader = face(source)
    stream = await reader.open()
    for _ in range(read):
        await reader.next(stream)
    await reader.close(stream)
    assert source.closed == 1
    assert len(ops._shared.streams) == 0
    assert await reader.read() == [1, 2, 3]
    assert source.runs == 2


async def test_an_error_in_the_middle_reaches_the_reader_and_nothing_is_kept(
    ops: ToolOps, face: Any
) -> None:
    source = Source(ops, retry=Retry(attempts=3, wait=0.0), cache=Cache(ttl=60))
    source.error = LookupError("in the middle")
    reader = face(source)
    stream = await reader.open()
    assert [await reader.next(stream) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(LookupError) as caught:
        await reader.next(stream)
    assert caught.value is source.error
    assert source.runs == 1  # items were out already, so it cannot be tried again
    source.error = None
    assert await reader.read() == [1, 2, 3]
    assert source.runs == 2


async def test_tried_again_before_the_first_item_only(face: Any) -> None:
    ops = ToolOps(clock=FakeClock())
    source = Source(ops, (), retry=Retry(attempts=3), cache=Cache(ttl=60))
    source.error = ConnectionError("at the door")
    with pytest.raises(ConnectionError, match="at the door"):
        await face(source).read()
    assert source.runs == 3


@pytest.mark.parametrize("items", [(), (None,), (False, 0, "", [], {})])
async def test_empty_streams_and_empty_items_are_kept(
    ops: ToolOps, face: Any, items: tuple[Any, ...]
) -> None:
    source = Source(ops, items)
    reader = face(source)
    assert await reader.read() == list(items)
    assert await reader.read() == list(items)
    assert source.runs == 1


async def test_items_are_copies(ops: ToolOps, face: Any) -> None:
    source = Source(ops, [{"words": ["a"]}])
    reader = face(source)
    for _ in range(3):
        (item,) = await reader.read()
        assert item == {"words": ["a"]}
        item["words"].append("spoilt")
    assert source.items == [{"words": ["a"]}]


async def test_items_that_cannot_be_encoded_pass_through_and_are_not_kept(
    ops: ToolOps, face: Any
) -> None:
    lock = threading.Lock()
    source = Source(ops, [1, lock])
    reader = face(source)
    for run in (1, 2):
        assert await reader.read() == [1, lock]
        assert source.runs == run


async def test_without_coalescing_readers_do_not_meet(ops: ToolOps, face: Any) -> None:
    source = Source(ops, cache=Cache(ttl=60), coalesce=False)
    reader = face(source)
    one, two = await reader.open(), await reader.open()
    assert [await reader.next(one), await reader.next(two)] == [1, 1]
    assert source.runs == 2
    await reader.close(one)
    await reader.close(two)
    assert source.closed == 2


async def test_without_any_policy_a_stream_is_a_stream(ops: ToolOps, face: Any) -> None:
    source = Source(ops, price=1.0)
    reader = face(source)
    assert await reader.read() == [1, 2, 3]
    assert await reader.read() == [1, 2, 3]
    assert source.runs == 2


async def test_a_stream_expires(face: Any) -> None:
    clock = FakeClock()
    source = Source(ToolOps(clock=clock), cache=Cache(ttl=60, jitter=0))
    reader = face(source)
    await reader.read()
    clock.advance(59)
    await reader.read()
    assert source.runs == 1
    clock.advance(2)
    await reader.read()
    assert source.runs == 2


async def test_a_stale_stream_stands_in_for_an_error(face: Any) -> None:
    clock = FakeClock()
    policy = Cache(ttl=60, jitter=0, stale_if_error=60)
    source = Source(ToolOps(clock=clock), cache=policy)
    reader = face(source)
    await reader.read()
    clock.advance(61)
    source.items, source.error = (), LookupError()
    assert await reader.read() == [1, 2, 3]


async def test_a_fallback_stands_in_for_a_stream_that_does_not_begin(
    ops: ToolOps, face: Any
) -> None:
    source = Source(ops, (), fallback=["sorry"])
    source.error = LookupError()
    assert await face(source).read() == ["sorry"]


@pytest.mark.parametrize("by", ["key", "tag", "clear"])
async def test_a_stream_is_invalidated(ops: ToolOps, face: Any, by: str) -> None:
    source = Source(ops, cache=Cache(ttl=60, tags=["n:{n}"]))
    reader = face(source)
    await reader.read(1)
    await reader.read(2)
    if by == "key":
        source.sync.invalidate(1)
    elif by == "tag":
        await ops.ainvalidate(tags=["n:1"])
    else:
        await ops.aclear()
    await reader.read(1)
    assert source.runs == 3
    await reader.read(2)
    assert source.runs == (4 if by == "clear" else 3)


@pytest.mark.parametrize("by", ["key", "tag", "clear"])
async def test_invalidated_in_the_middle(ops: ToolOps, face: Any, by: str) -> None:
    """Current readers go on; the stream is not stored, and later readers start anew."""
    source = Source(ops, cache=Cache(ttl=60, tags=["n:{n}"]))
    reader = face(source)
    early = await reader.open(1)
    assert await reader.next(early) == 1
    if by == "key":
        source.sync.invalidate(1)
    elif by == "tag":
        await ops.ainvalidate(tags=["n:1"])
    else:
        await ops.aclear()
    late = await reader.open(1)
    assert await reader.next(late) == 1
    assert source.runs == 2
    assert await reader.next(early) == 2
    assert await reader.next(early) == 3
    with pytest.raises(StopAsyncIteration):
        await reader.next(early)
    await reader.close(late)
    await reader.read(1)
    assert source.runs == 3


@pytest.mark.parametrize("by", ["key", "tag", "clear"])
async def test_invalidated_before_the_first_item(ops: ToolOps, by: str) -> None:
    runs = []
    started, release = asyncio.Event(), asyncio.Event()

    @ops.tool(cache=Cache(ttl=60, tags=["numbers"]))
    async def numbers() -> AsyncIterator[int]:
        runs.append(len(runs))
        number = runs[-1]
        started.set()
        await release.wait()
        yield number

    async def read() -> list[int]:
        return [item async for item in numbers()]

    early = asyncio.create_task(read())
    await started.wait()
    if by == "key":
        await numbers.ainvalidate()
    elif by == "tag":
        await ops.ainvalidate(tags=["numbers"])
    else:
        await ops.aclear()
    late = asyncio.create_task(read())
    async with asyncio.timeout(LONG):
        while len(runs) < 2:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
    release.set()
    assert await early == [0]
    assert await late == [1]
    assert await read() == [1]


async def test_statistics_count_streams_as_calls(ops: ToolOps, face: Any) -> None:
    events: list[CallEvent] = []
    ops.add_sink(events.append)
    source = Source(ops, price=2.0, cache=Cache(ttl=60))
    reader = face(source)
    stream = await reader.open()
    await reader.next(stream)
    assert not events  # it is told of when its reader is done with it
    follower = await reader.open()
    await reader.next(follower)
    await reader.close(stream)
    await reader.close(follower)
    await reader.read()
    await reader.read()
    told = [(event.outcome, event.reason, event.attempts, event.price) for event in events]
    assert told == [
        ("miss", "not_read_to_end", 1, 2.0),
        ("coalesced", "not_read_to_end", 0, 0.0),
        ("miss", None, 1, 2.0),
        ("hit", None, 0, 0.0),
    ]
    assert events[-1].saved_price == 2.0
    report = ops.stats()["stream"]
    assert (report.misses, report.coalesced, report.hits) == (2, 1, 1)


async def test_an_error_is_counted_once_for_each_reader(ops: ToolOps, face: Any) -> None:
    source = Source(ops)
    source.error = LookupError()
    reader = face(source)
    both = [await reader.open(), await reader.open()]
    for stream in both:
        for _ in source.items:
            await reader.next(stream)
    for stream in both:
        with pytest.raises(LookupError):
            await reader.next(stream)
    assert ops.stats()["stream"].errors == 2


async def test_readers_of_an_error_do_not_lengthen_its_traceback(ops: ToolOps, face: Any) -> None:
    source = Source(ops, [1])
    source.error = LookupError()
    reader = face(source)
    readers = [await reader.open() for _ in range(20)]
    for stream in readers:
        await reader.next(stream)
    lengths = set()
    for stream in readers[1:]:
        with pytest.raises(LookupError) as caught:
            await reader.next(stream)
        lengths.add(len(traceback.extract_tb(caught.value.__traceback__)))
    assert max(lengths) - min(lengths) <= 1
    await reader.close(readers[0])


@pytest.mark.parametrize("cap", ["MAX_ITEMS", "MAX_BYTES"])
async def test_past_the_cap_a_stream_is_neither_stored_nor_shared(
    ops: ToolOps, face: Any, monkeypatch: pytest.MonkeyPatch, cap: str
) -> None:
    three = 3 if cap == "MAX_ITEMS" else 3 * ops.codec.encode("item 0").size
    monkeypatch.setattr(streams, cap, three)
    source = Source(ops, [f"item {number}" for number in range(10)])
    reader = face(source)
    quick, slow = await reader.open(), await reader.open()
    for number in range(8):
        assert await reader.next(quick) == f"item {number}"
        if number == 0:
            assert await reader.next(slow) == "item 0"
    assert source.runs == 1
    late = await reader.open()
    assert await reader.next(late) == "item 0"
    assert source.runs == 2
    # Those who were there before still see everything.
    assert [await reader.next(slow) for _ in range(9)] == source.items[1:]
    for stream in (quick, slow, late):
        await reader.close(stream)
    await reader.read()
    assert source.runs == 3


@pytest.mark.parametrize("cap", ["MAX_ITEMS", "MAX_BYTES"])
async def test_the_first_item_may_be_past_the_cap(
    ops: ToolOps, face: Any, monkeypatch: pytest.MonkeyPatch, cap: str
) -> None:
    monkeypatch.setattr(streams, cap, 0)
    source = Source(ops)
    reader = face(source)
    for run in (1, 2, 3):
        stream = await reader.open()
        assert await asyncio.wait_for(reader.next(stream), 5) == 1
        assert source.runs == run
        assert [await reader.next(stream) for _ in range(2)] == [2, 3]
        await reader.close(stream)
        assert source.closed == run


async def test_past_the_cap_items_that_all_have_read_are_dropped(
    ops: ToolOps, face: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_ITEMS", 10)
    source = Source(ops, range(1_000))
    reader = face(source)
    stream = await reader.open()
    await reader.next(stream)
    (recording,) = ops._shared.streams._table.values()
    most = 0
    for _ in range(999):
        await reader.next(stream)
        most = max(most, len(recording._items))
    assert most <= 12
    await reader.close(stream)
    del recording


async def test_readers_that_leave_early_are_not_remembered(ops: ToolOps, face: Any) -> None:
    source = Source(ops)
    reader = face(source)
    for number in range(50):
        stream = await reader.open(number)
        await reader.next(stream)
        await reader.close(stream)
    source.error = LookupError()
    for number in range(50):
        with pytest.raises(LookupError):
            await reader.read(number)
    gc.collect()
    assert len(ops._shared.streams) == 0
    assert source.closed == source.runs == 100


async def test_a_stream_and_a_function_of_one_name_do_not_mix(ops: ToolOps, face: Any) -> None:
    source = Source(ops)

    @ops.tool(name="stream", cache=Cache(ttl=60))
    def plain(n: int = 0) -> str:
        return "plain"

    reader = face(source)
    running = await reader.open()
    await reader.next(running)
    assert plain() == "plain"
    assert await reader.read() == [1, 2, 3]
    assert plain() == "plain"
    assert await reader.read() == [1, 2, 3]
    await reader.close(running)


def test_a_function_does_not_join_a_stream_of_its_name_that_is_about_to_begin(
    ops: ToolOps,
) -> None:
    started, release = threading.Event(), threading.Event()

    @ops.tool(name="both", coalesce=True)
    def stream() -> Iterator[str]:
        started.set()
        release.wait(LONG)
        yield "item"

    @ops.tool(name="both", coalesce=True)
    def function() -> str:
        return "result"

    reader = start(lambda: list(stream()))
    assert started.wait(LONG)
    try:
        assert start(function).result(5) == "result"
    finally:
        release.set()
    assert reader.result(LONG) == ["item"]


async def test_wrong_arguments_are_pythons_own_error(ops: ToolOps, face: Any) -> None:
    reader = face(Source(ops))
    with pytest.raises(TypeError, match="positional argument"):
        await reader.read(1, 2, 3)


async def test_a_stream_that_reads_itself_runs_apart(ops: ToolOps) -> None:
    depth = []

    @ops.tool(coalesce=True)
    def plain() -> Iterator[int]:
        depth.append(1)
        yield len(depth)
        if len(depth) < 3:
            yield from plain()

    @ops.tool(coalesce=True)
    async def aio() -> AsyncIterator[int]:
        depth.append(1)
        yield len(depth)
        if len(depth) < 3:
            async for item in aio():
                yield item

    assert start(list, plain()).result(LONG) == [1, 2, 3]
    depth.clear()
    async with asyncio.timeout(LONG):
        assert [item async for item in aio()] == [1, 2, 3]


# Readers at the same time


async def test_late_readers_see_everything_from_the_start(ops: ToolOps, face: Any) -> None:
    source = Source(ops)
    reader = face(source)
    early = await reader.open()
    assert [await reader.next(early) for _ in range(2)] == [1, 2]
    assert await reader.read() == [1, 2, 3]  # a quick one does not wait for a slow one
    assert await reader.read() == [1, 2, 3]
    assert await reader.next(early) == 3
    with pytest.raises(StopAsyncIteration):
        await reader.next(early)
    assert source.runs == 1


async def test_a_reader_that_leaves_leaves_the_others_unharmed(ops: ToolOps, face: Any) -> None:
    source = Source(ops)
    reader = face(source)
    readers = [await reader.open() for _ in range(4)]
    for stream in readers:
        await reader.next(stream)
    for stream in readers[:3]:
        await reader.close(stream)
    assert source.closed == 0
    assert [await reader.next(readers[3]) for _ in range(2)] == [2, 3]
    await reader.close(readers[3])
    assert (source.runs, source.closed) == (1, 1)


def test_threads_share_one_run(ops: ToolOps) -> None:
    source = Source(ops, range(200))
    both = threading.Barrier(8)

    def read() -> list[Any]:
        both.wait(LONG)
        return list(source.sync())

    readers = [start(read) for _ in range(8)]
    assert [reader.result(LONG) for reader in readers] == [list(range(200))] * 8
    assert source.runs == source.closed == 1


def test_a_stream_that_begins_between_a_look_and_a_flight_is_joined(
    ops: ToolOps, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(ops)
    table = ops._shared.streams
    find = table.find
    others: list[Iterator[Any]] = []

    def find_and_be_overtaken(place: bytes, reader: object) -> Any:
        found = find(place, reader)
        if not others:
            others.append(source.sync())
            assert next(others[0]) == 1
        return found

    monkeypatch.setattr(table, "find", find_and_be_overtaken)
    assert list(source.sync()) == [1, 2, 3]
    assert list(others[0]) == [2, 3]
    assert source.runs == source.closed == 1


async def test_tasks_share_one_run(ops: ToolOps) -> None:
    source = Source(ops, range(200))
    results = await asyncio.gather(*(Aio(source).read() for _ in range(50)))
    assert results == [list(range(200))] * 50
    assert source.runs == source.closed == 1


def test_loops_share_the_cache_but_no_run(ops: ToolOps) -> None:
    source = Source(ops)
    together = threading.Barrier(2)

    async def read() -> list[Any]:
        stream = source.aio()
        first = await anext(stream)
        await asyncio.to_thread(together.wait, LONG)
        return [first] + [item async for item in stream]

    readers = [start(asyncio.run, read()) for _ in range(2)]
    assert [reader.result(LONG) for reader in readers] == [[1, 2, 3]] * 2
    assert source.runs == 2
    assert asyncio.run(Aio(source).read()) == [1, 2, 3]
    assert source.runs == 2


def test_a_reader_does_not_wait_for_an_item_that_is_there(ops: ToolOps) -> None:
    pulling, release = threading.Event(), threading.Event()

    @ops.tool(coalesce=True)
    def numbers() -> Iterator[int]:
        yield 1
        pulling.set()
        release.wait(LONG)
        yield 2

    first = numbers()
    next(first)
    quick = start(next, first)
    assert pulling.wait(LONG)
    slow = numbers()
    assert start(next, slow).result(LONG) == 1  # though another thread is at work on the next
    slow.close()
    release.set()
    assert quick.result(LONG) == 2
    first.close()


async def test_many_followers_of_a_leader_that_leaves_at_once(ops: ToolOps) -> None:
    """They boarded one flight; that its leader wanted one item only must not cost a run each."""
    source = Source(ops)

    async def take_one() -> Any:
        stream = source.aio()
        try:
            return await anext(stream)
        finally:
            await stream.aclose()

    leader = asyncio.create_task(take_one())
    followers = [asyncio.create_task(Aio(source).read()) for _ in range(20)]
    assert await leader == 1
    assert await asyncio.gather(*followers) == [[1, 2, 3]] * 20
    assert source.runs <= 2


# Asynchronous ones only


async def test_one_task_runs_the_source_from_its_first_step_to_its_last(ops: ToolOps) -> None:
    """asyncio.timeout and task groups break if a generator changes its task between two items."""
    tasks = set()

    @ops.tool(coalesce=True)
    async def numbers() -> AsyncIterator[int]:
        async with asyncio.timeout(LONG), asyncio.TaskGroup() as group:
            tasks.add(asyncio.current_task())
            for number in range(5):
                task = group.create_task(asyncio.sleep(0, number))
                yield await task
                tasks.add(asyncio.current_task())

    async def read(leave_after: int) -> list[int]:
        found = []
        stream = numbers()
        async for number in stream:
            found.append(number)
            if len(found) == leave_after:
                break
        await stream.aclose()
        return found

    results = await asyncio.gather(read(2), read(5), read(9), read(3))
    assert results == [[0, 1], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2]]
    assert len(tasks) == 1
    # Closed in the middle it ends in that task as well.
    tasks.clear()
    assert await read(2) == [0, 1]
    assert len(tasks) == 1


@pytest.mark.parametrize("leaving", [[0], [2], [0, 1], [0, 1, 2]])
async def test_readers_that_are_cancelled_leave_the_others_unharmed(
    ops: ToolOps, leaving: list[int]
) -> None:
    release, closed = asyncio.Event(), []

    @ops.tool(coalesce=True)
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            await release.wait()
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(1)

    async def read() -> list[int]:
        return [item async for item in numbers()]

    tasks = [asyncio.create_task(read()) for _ in range(4)]
    (recording,) = await _recordings(ops)
    while recording.count < 1 or len(recording._places) < 4:  # noqa: ASYNC110 - no event for it
        await asyncio.sleep(0)
    del recording
    for number in leaving:
        tasks[number].cancel()
    await asyncio.wait([tasks[number] for number in leaving])
    assert not closed
    release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for number, result in enumerate(results):
        if number in leaving:
            assert isinstance(result, asyncio.CancelledError)
        else:
            assert result == [1, 2]
    assert closed == [1]


async def _recordings(ops: ToolOps) -> list[Any]:
    async with asyncio.timeout(LONG):
        while not (found := list(ops._shared.streams._table.values())):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
    return found


async def test_when_the_last_is_cancelled_the_source_has_ended_before_it_is_gone(
    ops: ToolOps,
) -> None:
    steps = []
    started = asyncio.Event()

    @ops.tool(coalesce=True)
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("clean")

    async def read() -> None:
        try:
            async for _ in numbers():
                pass
        except asyncio.CancelledError:
            steps.append("cancelled")
            raise

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert steps == ["clean", "cancelled"]


@pytest.mark.parametrize("turns", range(14))
@pytest.mark.parametrize("callers", [1, 2])
async def test_cancelled_in_the_very_moment_of_the_first_item(
    ops: ToolOps, callers: int, turns: int
) -> None:
    """The only reader is gone when the item arrives; nothing may be left running."""
    release, closed = asyncio.Event(), []

    @ops.tool(coalesce=True)
    async def numbers() -> AsyncIterator[int]:
        try:
            await release.wait()
            yield 1
            yield 2
        finally:
            closed.append(1)

    before = asyncio.all_tasks()
    trouble: list[Any] = []  # such as a task that was destroyed while it was pending
    asyncio.get_running_loop().set_exception_handler(lambda _, told: trouble.append(told))

    async def read() -> list[int]:
        return [item async for item in numbers()]

    tasks = [asyncio.create_task(read()) for _ in range(callers)]
    for _ in range(10):
        await asyncio.sleep(0)
    release.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    while tasks:
        tasks.pop().cancel()
    await asyncio.sleep(0)
    gc.collect()
    async with asyncio.timeout(LONG):
        while asyncio.all_tasks() - before or not closed:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0)
    assert closed == [1]
    gc.collect()
    assert not trouble
    assert len(ops._shared.streams) == 0


async def test_a_stream_that_is_left_unfinished_and_forgotten_is_closed(ops: ToolOps) -> None:
    closed = asyncio.Event()

    @ops.tool(coalesce=True)
    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            closed.set()

    async for _ in numbers():
        break
    gc.collect()
    async with asyncio.timeout(LONG):
        await closed.wait()
        while len(ops._shared.streams):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)


def test_a_loop_that_ends_in_the_middle_of_a_stream(ops: ToolOps) -> None:
    closed = []

    @ops.tool(coalesce=True)
    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            await asyncio.sleep(0)
            closed.append(1)

    kept = []

    async def main() -> int:
        kept.append(numbers())
        return await anext(kept[-1])

    assert asyncio.run(main()) == 0
    assert asyncio.run(main()) == 0
    assert closed == [1, 1]
    kept.clear()


async def test_two_streams_that_read_each_other_do_not_wait_in_a_circle(ops: ToolOps) -> None:
    both = asyncio.Barrier(2)
    runs = {"one": 0, "two": 0}

    def make(name: str, other: str) -> Any:
        @ops.tool(name=name, coalesce=True)
        async def stream() -> AsyncIterator[str]:
            runs[name] += 1
            yield f"{name} begins"
            if runs[name] > 1:
                return
            await both.wait()
            async for item in tools[other]():
                yield item

        return stream

    tools = {"one": make("one", "two"), "two": make("two", "one")}

    async def read(name: str) -> list[str]:
        return [item async for item in tools[name]()]

    async with asyncio.timeout(LONG):
        one, two = await asyncio.gather(read("one"), read("two"))
    assert one[:2] == ["one begins", "two begins"]
    assert two[:2] == ["two begins", "one begins"]


def test_two_threads_whose_streams_read_each_other_do_not_wait_in_a_circle(ops: ToolOps) -> None:
    both = threading.Barrier(2)
    runs = {"one": 0, "two": 0}

    def make(name: str, other: str) -> Any:
        @ops.tool(name=name, coalesce=True)
        def stream() -> Iterator[str]:
            runs[name] += 1
            yield f"{name} begins"
            if runs[name] > 1:
                return
            both.wait(LONG)
            yield from tools[other]()

        return stream

    tools = {"one": make("one", "two"), "two": make("two", "one")}
    one, two = [start(lambda n=name: list(tools[n]())) for name in ("one", "two")]
    assert one.result(LONG)[:2] == ["one begins", "two begins"]
    assert two.result(LONG)[:2] == ["two begins", "one begins"]


def test_a_stream_and_a_function_that_ask_each_other_do_not_wait_in_a_circle(ops: ToolOps) -> None:
    both = threading.Barrier(2)
    runs = []

    @ops.tool(coalesce=True)
    def function() -> list[str]:
        runs.append("function")
        if runs.count("function") > 1:
            return ["apart"]
        both.wait(LONG)
        return list(stream())

    @ops.tool(coalesce=True)
    def stream() -> Iterator[str]:
        runs.append("stream")
        yield "begins"
        if runs.count("stream") > 1:
            return
        both.wait(LONG)
        yield from function()

    calls = [start(function), start(lambda: list(stream()))]
    for call in calls:
        assert "begins" in call.result(LONG)


@pytest.mark.allow_blocking("a plain generator that is read on a loop blocks it, by its nature")
async def test_a_plain_stream_on_a_loop_does_not_wait_for_a_thread(ops: ToolOps) -> None:
    """The thread may need this loop to get on."""
    loop = asyncio.get_running_loop()
    runs, pulling = [], asyncio.Event()

    @ops.tool(coalesce=True)
    def numbers() -> Iterator[int]:
        runs.append(1)
        yield 1
        if len(runs) == 1:
            loop.call_soon_threadsafe(pulling.set)
            yield asyncio.run_coroutine_threadsafe(asyncio.sleep(0, 2), loop).result(LONG)

    reader = start(lambda: list(numbers()))
    await pulling.wait()
    assert list(numbers()) == [1]
    assert await asyncio.wrap_future(reader) == [1, 2]


@pytest.mark.allow_blocking("as above")
async def test_a_thread_does_not_join_a_plain_stream_that_a_loop_reads(ops: ToolOps) -> None:
    """It might pull the next item when the loop wants it, and need the loop for that."""
    loop = asyncio.get_running_loop()
    pulling = threading.Event()

    @ops.tool(coalesce=True)
    def numbers() -> Iterator[Any]:
        yield 1
        if threading.current_thread() is threading.main_thread():
            yield "on the loop"
        else:
            pulling.set()
            yield asyncio.run_coroutine_threadsafe(asyncio.sleep(0, 2), loop).result(LONG)

    stream = numbers()
    assert next(stream) == 1
    reader = start(lambda: list(numbers()))
    assert pulling.wait(LONG)
    assert next(stream) == "on the loop"
    stream.close()
    assert await asyncio.wrap_future(reader) == [1, 2]


# Plain ones only


def test_the_return_value_is_kept(ops: ToolOps) -> None:
    source = Source(ops)
    source.returned = {"total": 6}

    def read() -> Any:
        return (yield from source.sync())

    for _ in range(2):
        reader = read()
        assert [next(reader) for _ in range(3)] == [1, 2, 3]
        with pytest.raises(StopIteration) as end:
            next(reader)
        assert end.value.value == {"total": 6}
        end.value.value["total"] = "spoilt"
    assert source.runs == 1


def test_an_exception_thrown_into_a_reader_reaches_no_other(ops: ToolOps) -> None:
    source = Source(ops)
    one, two = source.sync(), source.sync()
    next(one)
    next(two)
    with pytest.raises(KeyError):
        one.throw(KeyError("mine"))
    assert list(two) == [2, 3]


@pytest.mark.parametrize("death", [KeyboardInterrupt, SystemExit])
def test_the_death_of_a_run_ends_every_reader(ops: ToolOps, death: type[BaseException]) -> None:
    source = Source(ops, [1])
    source.error = death()
    one, two = source.sync(), source.sync()
    next(one)
    next(two)
    with pytest.raises(death):
        next(one)
    with pytest.raises(Exception, match=death.__name__):
        next(two)
    source.error = None
    assert list(source.sync()) == [1]


def test_a_caller_that_will_not_wait_for_the_first_item_leaves_nothing_behind(
    ops: ToolOps,
) -> None:
    release, closed = threading.Event(), threading.Event()
    runs = []

    @ops.tool(coalesce=True)
    def numbers() -> Iterator[int]:
        runs.append(1)
        try:
            release.wait(LONG)
            yield len(runs)
        finally:
            closed.set()

    def read() -> list[int]:
        with ops.deadline(0.02):
            return list(numbers())

    assert isinstance(start(read).exception(LONG), DeadlineExceeded)
    release.set()
    assert closed.wait(5)
    wait_for(lambda: len(ops._shared.streams) == 0, "an empty table of streams", 5)
    assert list(numbers()) == [2]


def test_a_child_that_is_forked_in_mid_stream_can_use_the_runtime() -> None:
    ops = ToolOps()
    parent = os.getpid()
    pulling, release = threading.Event(), threading.Event()

    @ops.tool(cache=Cache(ttl=60))
    def numbers() -> Iterator[int]:
        yield 1
        if os.getpid() == parent:
            pulling.set()
            release.wait(LONG)
        yield 2

    reader = start(lambda: list(numbers()))
    assert pulling.wait(LONG)
    code = in_child(lambda: list(numbers()) == [1, 2])
    release.set()
    assert reader.result(LONG) == [1, 2]
    assert code == 0


# An inactive runtime


def test_inactive_a_plain_generator_is_its_own_self(ops: ToolOps) -> None:
    @ops.tool(cache=Cache(ttl=60))
    def echo() -> Any:
        got = []
        try:
            while len(got) < 3:
                try:
                    got.append((yield len(got)))
                except KeyError as error:
                    got.append(error.args[0])
        finally:
            closed.append(1)
        return got

    closed: list[int] = []
    with set_active(False, ops):
        stream = echo()
        assert next(stream) == 0
        assert stream.send("a") == 1
        assert stream.throw(KeyError("b")) == 2
        with pytest.raises(StopIteration) as end:
            stream.send("c")
        assert end.value.value == ["a", "b", "c"]
        early = echo()
        next(early)
        early.close()
    assert closed == [1, 1]


async def test_inactive_an_asynchronous_generator_is_its_own_self(ops: ToolOps) -> None:
    @ops.tool(cache=Cache(ttl=60))
    async def echo() -> Any:
        got: list[Any] = []
        try:
            while len(got) < 3:
                try:
                    got.append((yield list(got)))
                except KeyError as error:
                    got.append(error.args[0])
        finally:
            await asyncio.sleep(0)
            closed.append(1)

    closed: list[int] = []
    with set_active(False, ops):
        stream = echo()
        assert await anext(stream) == []
        assert await stream.asend("a") == ["a"]
        assert await stream.athrow(KeyError("b")) == ["a", "b"]
        with pytest.raises(StopAsyncIteration):
            await stream.asend("c")
        assert [item async for item in echo()] == [[], [None], [None, None]]
        early = echo()
        await anext(early)
        await early.aclose()
        assert closed == [1, 1, 1]
        angry = echo()
        await anext(angry)
        with pytest.raises(ValueError, match="not for it"):
            await angry.athrow(ValueError("not for it"))
    assert closed == [1] * 4


async def test_the_kind_of_a_function_stays_visible(ops: ToolOps) -> None:
    source = Source(ops)
    assert inspect.isgeneratorfunction(source.sync)
    assert inspect.isasyncgenfunction(source.aio)
    assert not inspect.iscoroutinefunction(source.aio)


# Any schedule


@settings(max_examples=50)
@given(
    steps=st.lists(
        st.one_of(
            st.just("open"),
            st.tuples(st.sampled_from(["next", "close"]), st.integers(0, 5)),
        ),
        max_size=40,
    ),
    fails=st.booleans(),
    aio=st.booleans(),
)
def test_every_reader_of_any_schedule_sees_the_items_from_the_start(
    steps: list[Any], fails: bool, aio: bool
) -> None:
    asyncio.run(_play(steps, fails=fails, face=Aio if aio else Sync))


async def _play(steps: list[Any], *, fails: bool, face: Any) -> None:
    ops = ToolOps()
    source = Source(ops, "abcd", coalesce=True)
    source.error = LookupError() if fails else None
    reader = face(source)
    open_: list[tuple[Any, list[str]]] = []
    ended: set[int] = set()
    for step in steps:
        if step == "open":
            open_.append((await reader.open(), []))
            continue
        what, number = step
        if number >= len(open_):
            continue
        stream, seen = open_[number]
        if what == "close":
            await reader.close(stream)
            ended.add(number)
            continue
        try:
            seen.append(await reader.next(stream))
        except StopAsyncIteration:
            assert number in ended or (not fails and seen == list("abcd"))
            ended.add(number)
        except LookupError:
            assert fails
            assert seen == list("abcd")
            ended.add(number)
        assert seen == list("abcd")[: len(seen)]
    for stream, _ in open_:
        await reader.close(stream)
    assert source.closed == source.runs
    open_.clear()
    gc.collect()
    assert len(ops._shared.streams) == 0


# The collector


@pytest.mark.parametrize("policy", [{}, {"coalesce": True}, {"cache": Cache(ttl=60)}])
@pytest.mark.parametrize("place", [0, 2])
async def test_a_waiting_reader_is_kept_alive(
    ops: ToolOps, policy: dict[str, Any], place: int
) -> None:
    """An event loop holds its tasks weakly: a bare generator is held by whoever will wake it."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[int | None] = asyncio.Queue()

    def wake(future: asyncio.Future[None]) -> None:
        gc.collect()
        future.set_result(None)

    @ops.tool(name="stream", **policy)
    async def numbers() -> AsyncIterator[int]:
        for number in range(4):
            if number == place:
                future = loop.create_future()
                loop.call_later(0.01, wake, future)
                await future
                del future
            yield number

    async def consume() -> None:
        async for number in numbers():
            await queue.put(number)
        await queue.put(None)

    loop.create_task(consume())  # noqa: RUF006 - that nobody else holds it is the subject
    async with asyncio.timeout(LONG):
        assert [await queue.get() for _ in range(5)] == [0, 1, 2, 3, None]
    gc.collect()


async def test_an_abandoned_reader_keeps_nothing_alive(ops: ToolOps) -> None:
    ended = asyncio.Event()

    @ops.tool(coalesce=True)
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            ended.set()

    reader = numbers()
    assert await anext(reader) == 1
    del reader
    gc.collect()
    async with asyncio.timeout(LONG):
        await ended.wait()


async def test_a_stream_whose_task_dies_is_not_taken_for_whole(ops: ToolOps) -> None:
    """However the task ends, its readers receive an error."""
    source = Source(ops, [1, 2])
    reader = source.aio()
    assert await anext(reader) == 1
    (pump,) = [task for task in asyncio.all_tasks() if "_pump" in repr(task)]
    pump.cancel()
    with pytest.raises(Exception, match="broke off: CancelledError"):
        await anext(reader)
    assert [item async for item in source.aio()] == [1, 2]
    assert source.runs == 2
