"""Negative caching stores an exception without the objects of its call."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from callers import Notices

from toolops_plugins import Cache, Memory, Redis, ToolOps
from toolops_plugins.calls.negative_cache import encode_error
from toolops_plugins.codec import Codec
from toolops_plugins.errors import NotEncodableError


class NotThere(Exception):  # noqa: N818 - as users name them
    pass


class Detailed(LookupError):  # noqa: N818 - as above
    """One whose constructor takes other arguments than it passes on."""

    __slots__ = ("hint",)

    def __init__(self, code: int, *, body: Any) -> None:
        super().__init__(f"code {code}")
        self.code = code
        self.body = body
        self.hint = "try again"


class Body:
    pass


def tool(ops: ToolOps, fail: Any) -> Any:
    return ops.tool(cache=Cache(ttl=60, negative=Exception, negative_ttl=3600), name="look")(fail)


def chain(name: Any) -> None:
    body = Body()
    try:
        try:
            raise ValueError(body)  # noqa: TRY301 - it has to hold this frame
        except ValueError as error:
            raise KeyError(name) from error
    except KeyError:
        raise NotThere(name)  # noqa: B904 - its context leads to the body


def cause(name: Any) -> None:
    try:
        raise ValueError(Body())  # noqa: TRY301 - as above
    except ValueError as error:
        raise NotThere(name) from error


def plain(name: Any) -> None:
    raise NotThere(name)


@pytest.mark.parametrize("fail", [plain, chain, cause])
@pytest.mark.parametrize("way", ["sync", "aio"])
async def test_no_request_is_kept_alive(fail: Any, way: str) -> None:
    ops = ToolOps()
    alive: list[weakref.ref[Body]] = []
    runs = []

    def body_of_tool(name: Any) -> None:
        runs.append(name)
        fail(name)

    async def async_body(name: Any) -> None:
        runs.append(name)
        fail(name)

    look = tool(ops, body_of_tool if way == "sync" else async_body)

    async def request(name: str) -> None:
        body = Body()
        alive.append(weakref.ref(body))
        try:
            result = look(name)
            if way == "aio":
                await result
        except NotThere as error:
            assert error.args == (name,)  # noqa: PT017 - pytest.raises keeps the traceback
            assert error.__cause__ is None or runs.count(name) == 1  # noqa: PT017 - as above

    for number in range(20):
        await request(f"n{number % 10}")
    assert len(runs) == 10  # the other ten were remembered
    gc.collect()
    assert not any(each() for each in alive)
    assert not [each for each in gc.get_objects() if type(each) is Body]
    ops.close()


def test_a_remembered_exception_is_equal_and_nobody_shares_it() -> None:
    ops = ToolOps()

    def fail() -> None:
        raise Detailed(404, body={"rows": [1]})

    look = tool(ops, fail)
    seen = []
    for _ in range(3):
        with pytest.raises(Detailed) as caught:
            look()
        error = caught.value
        assert (str(error), error.code, error.hint) == ("code 404", 404, "try again")
        assert error.body == {"rows": [1]}
        error.body["rows"].append(2)
        error.add_note("mine")
        seen.append(error)
    assert len({id(error) for error in seen}) == 3
    assert ops.stats().total.hits == 2
    ops.close()


def test_the_size_of_an_exception_is_counted() -> None:
    memory = Memory(max_bytes=200_000)
    ops = ToolOps(tiers=[memory])
    look = tool(ops, lambda name: fail_with(name))

    def fail_with(name: str) -> None:
        raise Detailed(404, body=f"{name:>50000}")

    for number in range(20):
        with pytest.raises(Detailed):
            look(str(number))
        assert memory.nbytes <= 200_000
    assert 1 <= len(memory) <= 4
    ops.close()


class Slotted(Exception):  # noqa: N818 - as above
    __slots__ = ("thing",)


def with_attribute(name: Any) -> None:
    error = NotThere(name)
    error.response = Body()  # type: ignore[attr-defined]  # as clients of HTTP do
    raise error


def with_argument(name: Any) -> None:
    raise NotThere(name, [Body()])


def with_slot(name: Any) -> None:
    error = Slotted(name)
    error.thing = Body()
    raise error


def with_object(name: Any) -> None:
    Body().missing  # type: ignore[attr-defined]  # noqa: B018 - the AttributeError holds the object


def with_group(name: Any) -> None:
    raise ExceptionGroup("all", [NotThere(Body())])


@pytest.mark.parametrize(
    ("fail", "place"),
    [
        (with_attribute, "NotThere.response"),
        (with_argument, "NotThere.args[1][0]"),
        (with_slot, "Slotted.thing"),
        (with_group, ""),
    ],
)
def test_an_exception_that_no_codec_takes_is_not_stored(
    fail: Any, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    ops = ToolOps()
    notices = Notices(ops)
    runs = []

    def body(name: str) -> None:
        runs.append(name)
        fail(name)

    look = tool(ops, body)
    for _ in range(2):
        with pytest.raises(Exception):  # noqa: B017 - of several types
            look("x")
    assert len(runs) == 2
    assert [n.kind for n in notices.all] == ["not_encodable"] * 2
    assert place in notices.all[0].detail
    assert len(caplog.records) == 1
    assert "ops.codec.register(" in caplog.text
    gc.collect()
    ops.codec.register(Body, encode=lambda _: None, decode=lambda _: Body())
    for _ in range(2):
        with pytest.raises(Exception):  # noqa: B017 - as above
            look("x")
    assert len(runs) == (3 if place and "thing" not in place else 4)
    ops.close()


def test_another_process_gets_none_before_its_type_is_registered(
    valkey: Any, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    runs = []
    for registered in (False, True):
        for _ in range(2):
            ops = ToolOps(namespace, tiers=[Memory(), Redis(valkey.url)])
            if registered:
                ops.codec.register_error(NotThere)

            def fail(name: str) -> None:
                runs.append(name)
                raise NotThere(name)

            look = tool(ops, fail)
            for _ in range(2):
                with pytest.raises(NotThere):
                    look("x")
            ops.close()
    assert len(runs) == 3
    (record, again) = caplog.records
    assert "NotThere before codec.register_error(NotThere)" in record.getMessage()
    assert again.getMessage() == record.getMessage()  # of another runtime


def test_a_tool_that_remembers_no_exceptions_is_served_none() -> None:
    ops = ToolOps()

    def fail() -> None:
        raise NotThere

    with pytest.raises(NotThere):
        tool(ops, fail)()
    assert ops.tool(cache=Cache(ttl=60), name="look")(lambda: 1)() == 1
    ops.close()


def test_an_object_that_lacked_an_attribute_is_not_kept() -> None:
    codec = Codec()
    try:
        with_object("x")
    except AttributeError as error:
        reference = weakref.ref(error.obj)
        payload = encode_error(error, codec)
    gc.collect()
    assert reference() is None
    assert str(codec.decode(payload)) == "'Body' object has no attribute 'missing'"


def test_an_exception_in_c_is_not_taken_apart() -> None:
    import pydantic

    class Model(pydantic.BaseModel):
        x: int

    with pytest.raises(pydantic.ValidationError) as caught:
        Model(x="no")
    with pytest.raises(NotEncodableError, match="cannot be rebuilt"):
        encode_error(caught.value, Codec())


@pytest.mark.parametrize(
    "error",
    [OSError(2, "gone", "/tmp/x"), KeyError("a"), NotThere("a", (1, b"x")), UnicodeError("x")],
    ids=lambda error: type(error).__name__,
)
def test_errors_come_back_as_they_were(error: Exception) -> None:
    class Mine(type(error)):  # type: ignore[misc]  # of each of them
        pass

    codec = Codec()
    mine = Mine(*error.args)
    mine.extra = {"a": 1}
    held: Any = codec.decode(encode_error(mine, codec))
    again = held.rebuild(codec)
    assert type(again) is Mine
    assert (str(again), again.args, again.extra) == (str(mine), mine.args, {"a": 1})
    assert getattr(again, "errno", None) == getattr(mine, "errno", None)
