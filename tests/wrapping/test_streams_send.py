"""Values and exceptions that are sent and thrown into wrapped generators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from toolops_plugins import Cache, ConfigurationError, Retry, Timeout, ToolOps
from toolops_plugins.testing import set_active


class Echo:
    """Yields what was sent last, and survives what is thrown; plain and asynchronous."""

    def __init__(self) -> None:
        self.closed = 0

    def plain(self, first: str) -> Generator[Any, Any, str]:
        item: Any = first
        try:
            while item != "end":
                try:
                    item = yield item
                except LookupError as error:
                    item = f"caught {error}"
        finally:
            self.closed += 1
        return "over"

    async def coroutine(self, first: str) -> AsyncGenerator[Any, Any]:
        item: Any = first
        try:
            while item != "end":
                try:
                    await asyncio.sleep(0)
                    item = yield item
                except LookupError as error:
                    item = f"caught {error}"
        finally:
            self.closed += 1


class Face:
    """Speaks with a generator of either kind."""

    def __init__(self, ops: ToolOps, kind: str, **policy: Any) -> None:
        self.echo = Echo()
        self.kind = kind
        self.tool = ops.tool(name="echo", **policy)(
            self.echo.plain if kind == "plain" else self.echo.coroutine
        )

    def open(self, first: str = "first") -> Any:
        return self.tool(first)

    async def next(self, stream: Any) -> Any:
        return next(stream) if self.kind == "plain" else await anext(stream)

    async def send(self, stream: Any, value: Any) -> Any:
        return stream.send(value) if self.kind == "plain" else await stream.asend(value)

    async def throw(self, stream: Any, error: BaseException) -> Any:
        return stream.throw(error) if self.kind == "plain" else await stream.athrow(error)


KINDS = pytest.mark.parametrize("kind", ["plain", "async"])


@KINDS
@pytest.mark.parametrize("policy", [{}, {"retry": Retry()}, {"timeout": Timeout(total=20)}])
async def test_they_reach_a_generator_with_one_reader(
    ops: ToolOps, kind: str, policy: dict[str, Any]
) -> None:
    face = Face(ops, kind, **policy)
    stream = face.open()
    assert await face.next(stream) == "first"
    assert await face.send(stream, "second") == "second"
    assert await face.throw(stream, LookupError("this")) == "caught this"
    assert await face.send(stream, "third") == "third"
    assert await face.next(stream) is None
    if kind == "plain":
        with pytest.raises(StopIteration) as ended:
            stream.send("end")
        assert ended.value.value == "over"
    else:
        with pytest.raises(StopAsyncIteration):
            await stream.asend("end")
    assert face.echo.closed == 1


@KINDS
async def test_an_exception_that_a_generator_does_not_catch_is_raised(
    ops: ToolOps, kind: str
) -> None:
    face = Face(ops, kind)
    stream = face.open()
    await face.next(stream)
    error = OSError("not caught")
    with pytest.raises(OSError, match="not caught") as caught:
        await face.throw(stream, error)
    assert caught.value is error
    assert face.echo.closed == 1
    if kind == "plain":
        assert next(stream, "no more") == "no more"
    else:
        assert await anext(stream, "no more") == "no more"
    assert ops.stats()["echo"].errors == 1


@KINDS
@pytest.mark.parametrize(
    "policy",
    [{"cache": Cache(ttl=60)}, {"coalesce": True}, {"cache": Cache(ttl=60), "coalesce": False}],
)
async def test_a_shared_stream_refuses_values(
    ops: ToolOps, kind: str, policy: dict[str, Any]
) -> None:
    face = Face(ops, kind, **policy)
    stream = face.open()
    await face.next(stream)
    with pytest.raises(ConfigurationError, match=r"send: cannot reach a stream that is cached"):
        await face.send(stream, "second")
    assert face.echo.closed == 1
    thrown = face.open()
    await face.next(thrown)
    with pytest.raises(LookupError, match="this"):
        await face.throw(thrown, LookupError("this"))
    assert face.echo.closed == 2


@KINDS
async def test_a_replayed_stream_takes_no_values_either(ops: ToolOps, kind: str) -> None:
    @ops.tool(cache=Cache(ttl=60), name="two")
    def plain() -> Generator[int, None, None]:
        yield from (1, 2)

    @ops.tool(cache=Cache(ttl=60), name="two")
    async def coroutine() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    assert list(plain()) == [1, 2]
    face = Face(ops, kind)
    stream: Any = plain() if kind == "plain" else coroutine()
    assert await face.next(stream) == 1
    with pytest.raises(ConfigurationError, match="send"):
        await face.send(stream, "x")


@KINDS
async def test_they_reach_a_generator_of_a_runtime_that_is_not_active(
    ops: ToolOps, kind: str
) -> None:
    face = Face(ops, kind, cache=Cache(ttl=60))
    with set_active(False, ops):
        stream = face.open()
        assert await face.next(stream) == "first"
        assert await face.send(stream, "second") == "second"
        assert await face.throw(stream, LookupError("this")) == "caught this"
