"""Results of single use: each of many concurrent equal calls gets its own."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Self

import httpx
import pydantic
import pytest
import requests
from callers import LONG, Latch, start
from servers import wait_for

from toolops_plugins import Cache, DeadlineExceeded, ToolOps
from toolops_plugins.coalesce.value_copies import count_parts

WORDS = ["one", "two", "three"]


class Untouchable:
    """Fails the test when anybody copies, reads or closes it."""

    def __init__(self) -> None:
        self.words = iter(WORDS)
        self.touched: list[str] = []

    def _touch(self, name: str, *_: Any) -> Any:
        self.touched.append(name)
        raise AssertionError(name)

    __getstate__ = __copy__ = __enter__ = lambda self: self._touch("copied")
    __deepcopy__ = __reduce_ex__ = lambda self, _: self._touch("copied")
    read = close = lambda self: self._touch("read")


class Reader:
    def __init__(self) -> None:
        self._left = [*WORDS]

    def read(self) -> str:
        return self._left.pop(0)


class Lines:
    def __init__(self) -> None:
        self._left = [*WORDS]

    def __iter__(self) -> Iterator[str]:
        while self._left:
            yield self._left.pop(0)


class Loader:
    def __init__(self) -> None:
        self.left = [*WORDS]

    def __getstate__(self) -> dict[str, Any]:  # as a response that is read when it is pickled
        self.left.clear()
        return {"left": []}


class Lazy:
    def __init__(self) -> None:
        self.left = [*WORDS]

    def __getattr__(self, name: str) -> Any:  # as a proxy that loads when it is asked
        self.left.clear()
        raise AttributeError(name)


class Registered:
    made = 0

    def __new__(cls) -> Self:
        cls.made += 1
        return super().__new__(cls)

    def __init__(self) -> None:
        self.words = [*WORDS]


class Row(NamedTuple):
    cells: Any


@dataclasses.dataclass
class Held:
    stream: Any


class Model(pydantic.BaseModel):
    held: Any


def words() -> Iterator[str]:
    yield from WORDS


async def awords() -> AsyncIterator[str]:
    for word in WORDS:
        yield word


async def drain(stream: Any) -> list[str]:
    return [item async for item in stream]


CONNECTIONS: list[sqlite3.Connection] = []


@pytest.fixture(autouse=True)
def _close_connections() -> Iterator[None]:
    """Close the databases of a test, which warn from Python 3.13 on if they are collected open."""
    yield
    while CONNECTIONS:
        CONNECTIONS.pop().close()


def cursor() -> Any:
    CONNECTIONS.append(sqlite3.connect(":memory:", check_same_thread=False))
    return CONNECTIONS[-1].execute("VALUES ('one'), ('two'), ('three')")


def make_queue() -> Any:
    queue: asyncio.Queue[str] = asyncio.Queue()
    for word in WORDS:
        queue.put_nowait(word)
    return queue


def make_requests_response() -> Any:
    response = requests.Response()
    response.raw = io.BytesIO(b"one two three")
    return response


def make_httpx_stream() -> Any:
    return httpx.Response(200, content=(word.encode() for word in WORDS))


def read_until_empty(reader: Reader) -> list[str]:
    found = []
    while reader._left:
        found.append(reader.read())
    return found


KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], list[str]]]] = {
    "generator": (words, list),
    "iterator": (lambda: iter(WORDS), list),
    "map": (lambda: map(str, WORDS), list),
    "asynchronous generator": (awords, lambda stream: asyncio.run(drain(stream))),
    "file": (lambda: io.StringIO("one two three"), lambda file: file.read().split()),
    "cursor": (cursor, lambda rows: [word for (word,) in rows.fetchall()]),
    "requests": (make_requests_response, lambda response: response.content.decode().split()),
    "httpx": (
        make_httpx_stream,
        lambda response: list(map(bytes.decode, response.iter_raw())),
    ),
    "next": (lambda: partial(next, iter(WORDS)), lambda call: [call() for _ in WORDS]),
    "list": (lambda: [words()], lambda value: list(value[0])),
    "dict": (lambda: {"rows": (words(),)}, lambda value: list(value["rows"][0])),
    "named tuple": (lambda: Row(words()), lambda value: list(value.cells)),
    "dataclass": (lambda: Held({"in": words()}), lambda value: list(value.stream["in"])),
    "model": (lambda: Model(held=words()), lambda value: list(value.held)),
    "queue": (make_queue, lambda queue: [queue.get_nowait() for _ in WORDS]),
    "read": (Reader, read_until_empty),
    "iterable": (Lines, list),
    "own pickling": (Loader, lambda value: value.left),
    "proxy": (Lazy, lambda value: value.left),
    "own making": (Registered, lambda value: value.words),
    "untouchable": (Untouchable, lambda value: [*value.words, *value.touched]),
}


class Work:
    """A tool of which the first call waits to be released, and all others for one another."""

    def __init__(self, ops: ToolOps, make: Callable[[], Any], **policy: Any) -> None:
        self.ops = ops
        self.make = make
        self.runs: list[Any] = []
        self.first, self.others = Latch(), Latch()

        @ops.tool(name="work", **policy)
        def in_thread() -> Any:
            self.runs.append(1)
            (self.first if len(self.runs) == 1 else self.others).wait()
            return self.make()

        @ops.tool(name="work", **policy)
        async def on_loop() -> Any:
            self.runs.append(1)
            await (self.first if len(self.runs) == 1 else self.others).opened()
            return self.make()

        self.sync, self.aio = in_thread, on_loop

    def aboard(self) -> int:
        return self.ops._shared.flights.count_callers(bytes.fromhex(self.sync.key()))


@pytest.mark.parametrize("kind", KINDS)
def test_callers_in_threads_each_get_their_own(ops: ToolOps, kind: str) -> None:
    make, read = KINDS[kind]
    work = Work(ops, make, cache=Cache(ttl=60))
    calls = [start(work.sync) for _ in range(4)]
    wait_for(lambda: work.aboard() == 4, "four aboard", LONG)
    work.first.open()
    # The followers call for themselves, and none of them waits for another.
    wait_for(lambda: len(work.runs) == 4, "four runs", LONG)
    work.others.open()
    assert [read(call.result(LONG)) for call in calls] == [WORDS] * 4
    report = ops.stats()["work"]
    assert (report.misses, report.coalesced, report.attempts) == (4, 0, 4)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"asynchronous generator", "cursor"}))
async def test_tasks_each_get_their_own(ops: ToolOps, kind: str) -> None:
    make, read = KINDS[kind]
    work = Work(ops, make, cache=Cache(ttl=60))
    tasks = [asyncio.create_task(work.aio()) for _ in range(4)]
    async with asyncio.timeout(LONG):
        while work.aboard() != 4:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        work.first.open()
        while len(work.runs) != 4:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    work.others.open()
    assert [read(value) for value in await asyncio.gather(*tasks)] == [WORDS] * 4


async def test_a_coroutine_function_may_return_a_stream(ops: ToolOps) -> None:
    work = Work(ops, awords, coalesce=True)
    tasks = [asyncio.create_task(work.aio()) for _ in range(3)]
    work.first.open()
    work.others.open()
    streams = await asyncio.gather(*tasks)
    assert [await drain(stream) for stream in streams] == [WORDS] * 3


def test_who_asks_later_does_not_wait_for_what_cannot_be_shared(ops: ToolOps) -> None:
    work = Work(ops, words, coalesce=True)
    pair = [start(work.sync) for _ in range(2)]
    wait_for(lambda: work.aboard() == 2, "two aboard", LONG)
    work.first.open()
    wait_for(lambda: len(work.runs) == 2, "the follower's own run", LONG)
    later = [start(work.sync) for _ in range(3)]
    wait_for(lambda: len(work.runs) == 5, "five runs at once", LONG)
    assert work.aboard() == 0
    # Once it brings what can be shared, it is shared again.
    work.make = lambda: [*WORDS]
    work.others.open()
    assert [list(call.result(LONG)) for call in (*pair, *later)] == [WORDS] * 5
    work.others = Latch()
    again = [start(work.sync) for _ in range(3)]
    wait_for(lambda: work.aboard() == 3, "three aboard", LONG)
    work.others.open()
    assert [call.result(LONG) for call in again] == [WORDS] * 3
    assert len(work.runs) == 6


async def test_a_follower_that_calls_for_itself_keeps_its_deadline(ops: ToolOps) -> None:
    work = Work(ops, words, coalesce=True)

    async def hurry() -> Any:
        with ops.deadline(0.2):
            return await work.aio()

    leader = asyncio.create_task(work.aio())
    await asyncio.sleep(0)
    follower = asyncio.create_task(hurry())
    await asyncio.sleep(0)
    work.first.open()
    with pytest.raises(DeadlineExceeded):
        await follower
    assert list(await leader) == WORDS


# What can be copied without any effect


class Plain:
    def __init__(self) -> None:
        self.words = [*WORDS]


@dataclasses.dataclass(slots=True)
class Slotted:
    words: list[str]
    close: float = 1.0


class Fields(pydantic.BaseModel):
    words: list[str]
    open: float = 1.0


COPYABLE = {
    "object": Plain,
    "slots": lambda: Slotted([*WORDS]),
    "model": lambda: Fields(words=[*WORDS]),
    "list": lambda: [Plain(), Slotted([*WORDS])],
}


def inner(value: Any) -> list[str]:
    words: list[str] = (value[0] if isinstance(value, list) else value).words
    return words


@pytest.mark.parametrize("kind", COPYABLE)
def test_what_can_be_copied_is_copied_before_the_leader_has_it(ops: ToolOps, kind: str) -> None:
    work = Work(ops, COPYABLE[kind], coalesce=True)

    def ask() -> list[str]:
        words = inner(work.sync())
        found = [*words]
        words.append("spoilt")
        return found

    calls = [start(ask) for _ in range(5)]
    wait_for(lambda: work.aboard() == 5, "five aboard", LONG)
    work.first.open()
    assert [call.result(LONG) for call in calls] == [WORDS] * 5
    assert len(work.runs) == 1


def test_parts_are_counted_up_to_a_bound_and_circles_once() -> None:
    circle: list[Any] = [1, 2]
    circle.append(circle)
    assert count_parts(circle) == 4
    assert count_parts([[0]] * 1_000, 10) == 10
    assert count_parts(Row([1])) == 3
    assert count_parts(threading.Lock()) is None


# Streams


@pytest.mark.parametrize("way", ["sync", "aio"])
@pytest.mark.parametrize("place", [0, 1])
async def test_an_item_that_one_reader_can_have_sends_the_others_on_their_own_way(
    ops: ToolOps, way: str, place: int
) -> None:
    runs = []

    def items() -> Iterator[Any]:
        runs.append(1)
        for number in range(3):
            yield words() if number == place else number

    @ops.tool(name="stream", cache=Cache(ttl=60))
    def in_thread() -> Iterator[Any]:
        yield from items()
        return "returned"

    @ops.tool(name="stream", cache=Cache(ttl=60))
    async def on_loop() -> AsyncIterator[Any]:
        for item in items():
            await asyncio.sleep(0)
            yield item

    if way == "sync":
        plain = [in_thread() for _ in range(3)]
        firsts = [next(reader) for reader in plain]
        found = [[first, *reader] for first, reader in zip(firsts, plain, strict=True)]
    else:
        found = await asyncio.gather(*(drain(on_loop()) for _ in range(3)))
    for got in found:
        assert list(got.pop(place)) == WORDS
        assert got == [number for number in range(3) if number != place]
    assert len(runs) == 3


async def test_items_that_can_be_copied_are_each_readers_own(ops: ToolOps) -> None:
    runs = []

    @ops.tool(name="stream", coalesce=True)
    async def stream() -> AsyncIterator[Plain]:
        runs.append(1)
        for _ in range(2):
            await asyncio.sleep(0)
            yield Plain()

    async def ask() -> list[list[str]]:
        found = []
        async for item in stream():
            found.append([*item.words])
            item.words.append("spoilt")
        return found

    assert await asyncio.gather(*(ask() for _ in range(3))) == [[WORDS] * 2] * 3
    assert runs == [1]
