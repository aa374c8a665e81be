"""Fallbacks: values, callables of every signature, classes and streams."""

from __future__ import annotations

import functools
import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pydantic
import pytest

from toolops_plugins import Cache, ConfigurationError, Policy, ToolOps


@pytest.fixture
def ops() -> ToolOps:
    return ToolOps("fallback")


@pytest.fixture(params=["sync", "async"])
def fail(request: pytest.FixtureRequest, ops: ToolOps) -> Callable[..., Any]:
    """Make a call that fails, under a fallback, and return what came instead."""

    def raise_error(ticker: str = "ACME") -> str:
        raise OSError("down")

    async def araise_error(ticker: str = "ACME") -> str:
        raise OSError("down")

    async def fail(fallback: Any) -> Any:
        if request.param == "sync":
            return ops.tool(fallback=fallback, name="t")(raise_error)()
        return await ops.tool(fallback=fallback, name="t")(araise_error)()

    return fail


@dataclass
class Answer:
    text: str = "none"


@dataclass
class Received:
    error: Exception
    arguments: Any = None
    stale: Any = "unset"


class Model(pydantic.BaseModel):
    text: str = "none"


class OfOne:
    def __init__(self, cause: Exception) -> None:
        self.cause = cause

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OfOne) and repr(self.cause) == repr(other.cause)

    __hash__ = None  # type: ignore[assignment]  # as for every class with __eq__ alone


class Apology:
    def __call__(self, error: Exception) -> str:
        return f"no {error}"


ERROR = "OSError('down')"


@pytest.mark.parametrize(
    ("fallback", "result"),
    [
        (dict, {}),
        (list, []),
        (tuple, ()),
        (set, set()),
        (str, ""),
        (int, 0),
        (float, 0.0),
        (bool, False),
        (bytes, b""),
        (Counter, Counter()),
        (OrderedDict, OrderedDict()),
        (defaultdict, defaultdict()),
        (dict[str, int], {}),
        (list[int], []),
        (Answer, Answer("none")),
        (Model, Model(text="none")),
        (OfOne, OfOne(OSError("down"))),
        (functools.partial(Answer, "sorry"), Answer("sorry")),
        (functools.partial(dict, a=1), {"a": 1}),
        (Apology(), "no down"),
        (lambda: "nothing", "nothing"),
        (lambda error: repr(error), ERROR),
        (lambda error, arguments: arguments, {"ticker": "ACME"}),
        (lambda error, arguments, stale: stale, None),
        (lambda error, arguments, stale, more=7: more, 7),
        (lambda *given: len(given), 3),
        (lambda *, error: repr(error), ERROR),
        (lambda *, stale, arguments: (stale, arguments), (None, {"ticker": "ACME"})),
        (lambda error, *, arguments: arguments, {"ticker": "ACME"}),
        (lambda **given: sorted(given), ["arguments", "error", "stale"]),
        (repr, ERROR),
        ({"a": [1]}, {"a": [1]}),
        (None, None),
    ],
)
async def test_a_fallback_is_called_with_the_values_that_it_takes(
    fail: Any, fallback: Any, result: Any
) -> None:
    found = await fail(fallback)
    assert found == result
    assert type(found) is type(result)


async def test_call_and_acall_take_a_fallback_as_tools_do(ops: ToolOps) -> None:
    def raise_error(ticker: str) -> str:
        raise OSError("down")

    async def araise_error(ticker: str) -> str:
        raise OSError("down")

    def stand_in(error: Exception, arguments: dict[str, Any]) -> Any:
        return repr(error), arguments

    policy, refused = Policy(fallback=stand_in), Policy(fallback=iter([1]))
    assert ops.call(raise_error, "ACME", policy=policy) == (ERROR, {"ticker": "ACME"})
    assert await ops.acall(araise_error, "ACME", policy=policy) == (ERROR, {"ticker": "ACME"})
    with pytest.raises(ConfigurationError, match="fallback: is a list_iterator"):
        ops.call(raise_error, "ACME", policy=refused)
    with pytest.raises(ConfigurationError, match="fallback: is a list_iterator"):
        await ops.acall(araise_error, "ACME", policy=refused)


async def test_a_class_gets_the_values_that_its_parameters_name(fail: Any) -> None:
    found = await fail(Received)
    assert (repr(found.error), found.arguments, found.stale) == (ERROR, {"ticker": "ACME"}, None)


@dataclass
class Quote:
    ticker: str
    price: float


class Strict(pydantic.BaseModel):
    text: str


def four(a: Any, b: Any, c: Any, d: Any) -> None: ...


def keyword(*, ticker: str) -> None: ...


def items() -> Iterator[str]:
    yield "once"


async def aitems() -> AsyncIterator[str]:
    yield "once"


@pytest.mark.parametrize(
    ("fallback", "text"),
    [
        (Quote, "is the class Quote, which needs ticker, price; give an object of it, or a func"),
        (Strict, "is the class Strict, which needs text; give an object of it, or a function"),
        (date, "is the class date, which"),
        (range, "is the class range, which"),
        (ValueError, "is the exception class ValueError, which would be returned; give a function"),
        (four, "four needs a, b, c, d; a fallback gets error, arguments"),
        (keyword, "keyword needs ticker; a fallback gets error, arguments"),
        (items(), "is a generator, which can be used once; give a list, or a function"),
        (iter([1]), "is a list_iterator, which can be used once"),
        (map(str, [1]), "is a map, which can be used once"),
    ],
)
async def test_a_fallback_that_cannot_be_called_is_refused(
    fail: Any, fallback: Any, text: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^fallback: {text}"):
        await fail(fallback)


class Awaited:
    async def __call__(self) -> str:
        return "coroutine"


async def coroutine(error: Exception) -> str:
    return f"no {error}"


def test_an_asynchronous_fallback_suits_no_plain_function(ops: ToolOps) -> None:
    for fallback in (coroutine, Awaited(), functools.partial(coroutine)):
        with pytest.raises(ConfigurationError, match="fallback: is a coroutine function"):
            ops.tool(fallback=fallback)(lambda: None)
    with pytest.raises(ConfigurationError, match="fallback: is an asynchronous generator"):
        ops.tool(fallback=aitems)(items)


async def test_an_asynchronous_fallback_suits_a_coroutine_function(ops: ToolOps) -> None:
    async def raise_error() -> str:
        raise OSError("down")

    assert await ops.tool(fallback=coroutine)(raise_error)() == "no down"
    assert await ops.tool(fallback=Awaited())(raise_error)() == "coroutine"


async def test_a_value_that_cannot_be_copied_is_shared(fail: Any) -> None:
    lock = threading.Lock()
    assert await fail({"lock": lock}) == {"lock": lock}


async def test_a_value_is_copied(fail: Any) -> None:
    value: list[int] = [1]
    (await fail(value)).append(2)
    assert value == [1]


# Streams


@pytest.fixture(params=["sync", "async"])
def read(request: pytest.FixtureRequest, ops: ToolOps) -> Callable[..., Any]:
    """Read a stream that fails before its first item, under a fallback."""

    def raise_error() -> Iterator[str]:
        raise OSError("down")
        yield ""

    async def araise_error() -> AsyncIterator[str]:
        raise OSError("down")
        yield ""

    async def read(fallback: Any) -> list[Any]:
        policy: Any = {"fallback": fallback, "name": "s", "cache": Cache(ttl=60)}
        if request.param == "sync":
            return list(ops.tool(**policy)(raise_error)())
        return [item async for item in ops.tool(**policy)(araise_error)()]

    return read


@pytest.mark.parametrize(
    ("fallback", "result"),
    [
        ("sorry", ["sorry"]),
        (b"sorry", [b"sorry"]),
        ({"text": "sorry"}, [{"text": "sorry"}]),
        (Model(text="sorry"), [Model(text="sorry")]),
        (Answer("sorry"), [Answer("sorry")]),
        (7, [7]),
        (["so", "rry"], ["so", "rry"]),
        (("so", "rry"), ["so", "rry"]),
        ([], []),
        (None, []),
        (dict, [{}]),
        (list, []),
        (lambda error: f"no {error}", ["no down"]),
        (lambda error: ["no", str(error)], ["no", "down"]),
        (lambda error: (str(part) for part in ("no", error)), ["no", "down"]),
        (items, ["once"]),
    ],
)
async def test_streams_take_a_message_or_its_parts(read: Any, fallback: Any, result: Any) -> None:
    for _ in range(2):  # what was made once is made again
        assert await read(fallback) == result


async def test_an_asynchronous_stream_takes_another(ops: ToolOps) -> None:
    async def raise_error() -> AsyncIterator[str]:
        raise OSError("down")
        yield ""

    wrapped = ops.tool(fallback=aitems)(raise_error)
    assert [item async for item in wrapped()] == ["once"]


def test_an_asynchronous_stream_made_for_a_plain_one_is_an_error(ops: ToolOps) -> None:
    @ops.tool(fallback=lambda: aitems())
    def raise_error() -> Iterator[str]:
        raise OSError("down")
        yield ""

    with pytest.raises(ConfigurationError, match="fallback: made an asynchronous stream"):
        list(raise_error())


async def test_a_stream_that_has_begun_is_not_replaced(ops: ToolOps) -> None:
    @ops.tool(fallback="sorry")
    def raise_error() -> Iterator[str]:
        yield "begun"
        raise OSError("down")

    stream = raise_error()
    assert next(stream) == "begun"
    with pytest.raises(OSError, match="down"):
        next(stream)
