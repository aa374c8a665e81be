"""Every kind of callable that can be wrapped runs inside of its span."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from spans import Spans

from toolops_plugins import Cache, Retry, Timeout, ToolOps

SPANS = Spans()
"""One for all, since the kinds below are made before any test."""

POLICIES = {
    "nothing": {},
    "cache": {"cache": Cache(ttl=60)},
    "attempts": {"retry": Retry(attempts=2, wait=0), "timeout": Timeout(attempt=30)},
}


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps("kinds", sinks=[SPANS]) as ops:
        yield ops
    SPANS.spans.clear()
    SPANS.ended.clear()


def note(item: int) -> Any:
    return item, SPANS.current


async def anote(item: int) -> Any:
    await asyncio.sleep(0)
    return note(item)


def function(wrap: Callable[..., Any]) -> Any:
    return wrap(note)


def coroutine_function(wrap: Callable[..., Any]) -> Any:
    return wrap(anote)


def partial(wrap: Callable[..., Any]) -> Any:
    return functools.partial(wrap(functools.partial(lambda a, b: note(b), 0)))


def coroutine_partial(wrap: Callable[..., Any]) -> Any:
    async def of_two(a: int, b: int) -> Any:
        return await anote(b)

    return wrap(functools.partial(of_two, 0))


def hidden_coroutine(wrap: Callable[..., Any]) -> Any:
    @functools.wraps(anote)
    def wrapper(item: int) -> Any:
        return anote(item)

    return wrap(wrapper)


def lambda_(wrap: Callable[..., Any]) -> Any:
    return wrap(lambda item: note(item))


def methods(wrap: Callable[..., Any]) -> Any:
    class Shop:
        def __toolops_key__(self) -> str:
            return "shop"

        @wrap
        def method(self, item: int) -> Any:
            return note(item)

        @wrap
        async def amethod(self, item: int) -> Any:
            return await anote(item)

        @wrap
        @classmethod
        def of_class(cls, item: int) -> Any:
            return note(item)

        @staticmethod
        @wrap
        def static(item: int) -> Any:
            return note(item)

        @wrap
        def stream(self, item: int) -> Any:
            yield note(item)

        @wrap
        async def astream(self, item: int) -> Any:
            yield await anote(item)

    return Shop()


def method(name: str) -> Callable[..., Any]:
    def make(wrap: Callable[..., Any]) -> Any:
        return getattr(methods(wrap), name)

    make.__name__ = name
    return make


def callable_object(wrap: Callable[..., Any]) -> Any:
    class Shop:
        def __toolops_key__(self) -> str:
            return "shop"

        def __call__(self, item: int) -> Any:
            return note(item)

    return wrap(Shop())


def generator(wrap: Callable[..., Any]) -> Any:
    @wrap
    def stream(item: int) -> Any:
        yield note(item)

    return stream


def async_generator(wrap: Callable[..., Any]) -> Any:
    @wrap
    async def stream(item: int) -> Any:
        yield await anote(item)

    return stream


KINDS = [
    function,
    coroutine_function,
    partial,
    coroutine_partial,
    hidden_coroutine,
    lambda_,
    *map(method, ("method", "amethod", "of_class", "static", "stream", "astream")),
    callable_object,
    generator,
    async_generator,
]


async def value_of(found: Any) -> Any:
    """Return what a call gave, or the only item of a stream."""
    if inspect.isawaitable(found):
        return await found
    if hasattr(found, "__anext__"):
        (item,) = [item async for item in found]
        return item
    return next(found) if inspect.isgenerator(found) else found


@pytest.mark.parametrize("parts", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_every_kind_of_callable_runs_inside_of_its_span(ops, kind, parts):
    # What a span is no codec takes: the result of a hit is not looked at.
    call = kind(lambda function: ops.tool(function, **parts))
    for item in range(2):
        found = await value_of(call(item))
        assert found[0] == item
        span = SPANS.check(item + 1)[-1]
        assert found[1] is span
        assert span.event.outcome == ("miss" if "cache" in parts else "bypass")


def test_calls_that_cannot_be_decorated_have_spans(ops):
    assert ops.call(note, 1, name="note") == (1, SPANS.check(1)[0])
    item, span = asyncio.run(ops.acall(anote, 2, name="anote"))
    assert (item, span) == (2, SPANS.check(2)[1])
    assert [item for item, _ in ops.map(ops.tool(note, name="mapped"), range(3))] == [0, 1, 2]
    SPANS.check(5)
