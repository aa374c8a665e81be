"""Copies of errors: each caller raises its own, equal to the one that the work raised."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pydantic
import pytest
from callers import LONG, Work, start

from toolops_plugins import Cache, ToolOps
from toolops_plugins.coalesce.error_copies import copy_error


class KeywordError(Exception):
    def __init__(self, code: int, *, field: str) -> None:
        super().__init__(f"{field} is wrong")
        self.code = code
        self.field = field


class SlottedError(Exception):
    __slots__ = ("code", "unset")

    def __init__(self, code: int) -> None:
        self.code = code


class MadeError(Exception):
    def __new__(cls, one: int, two: int) -> Self:
        made = super().__new__(cls)
        made.two = two
        return made

    def __init__(self, one: int, two: int) -> None:
        super().__init__(one)

    two: int


class TwoError(KeyError, AttributeError):
    pass


class GuardedError(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        if name not in ("__cause__", "__notes__"):
            raise TypeError("it cannot be changed")
        super().__setattr__(name, value)

    def __reduce__(self) -> Any:
        raise TypeError("it cannot be pickled")


class Model(pydantic.BaseModel):
    number: int


def catch(call: Callable[[], Any]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("it did not raise")


def open_missing_file() -> None:
    Path("/nowhere/at/all").read_text()


ERRORS = {
    "builtin": lambda: ValueError("wrong", 1),
    "keyword": lambda: KeywordError(3, field="name"),
    "slots": lambda: SlottedError(4),
    "new": lambda: MadeError(1, 2),
    "two bases": lambda: TwoError("key"),
    "guarded": lambda: GuardedError("guarded"),
    "file": lambda: catch(open_missing_file),
    "file without a name": lambda: OSError(2, "gone"),
    "unicode": lambda: catch(lambda: b"\xff".decode()),
    "syntax": lambda: catch(lambda: compile("a b", "file", "exec")),
    "json": lambda: catch(lambda: json.loads("{")),
    "pydantic": lambda: catch(lambda: Model(number="x")),
    "attribute": lambda: catch(lambda: object().absent),
    "stop": lambda: StopIteration(5),
    "import": lambda: ImportError("no", name="name", path="path"),
    "http": lambda: httpx.HTTPStatusError(
        "500", request=httpx.Request("GET", "http://localhost"), response=httpx.Response(500)
    ),
    "cancelled": lambda: asyncio.CancelledError("why"),
}
ATTRIBUTES = (
    *("code", "field", "two", "errno", "strerror", "filename", "filename2", "encoding", "object"),
    *("start", "end", "reason", "lineno", "offset", "text", "msg", "doc", "pos", "name", "path"),
    *("obj", "value", "request", "response", "unset"),
)


@pytest.mark.parametrize("make", ERRORS.values(), ids=ERRORS)
def test_a_copy_is_equal_in_all_but_what_belongs_to_who_raises_it(make: Any) -> None:
    error = make()
    error.add_note("from the tool")
    cause = error.__cause__ = LookupError("cause")
    copy = copy_error(error)
    assert copy is not error
    assert type(copy) is type(error)
    assert copy.args == error.args
    assert (str(copy), repr(copy)) == (str(error), repr(error))
    missing = object()
    for name in ATTRIBUTES:
        assert getattr(copy, name, missing) == getattr(error, name, missing)
    assert copy.__cause__ is cause
    assert copy.__suppress_context__
    assert copy.__traceback__ is None
    copy.add_note("from one caller")
    assert error.__notes__ == ["from the tool"]
    assert copy_error(copy).__notes__ == ["from the tool", "from one caller"]


def test_the_members_of_a_group_are_copied_too() -> None:
    inner = ExceptionGroup("inner", [KeywordError(1, field="a")])
    group = ExceptionGroup("outer", [ValueError(1), inner])
    copy = copy_error(group)
    assert (copy.message, str(copy)) == (group.message, str(group))
    first, second = copy.exceptions
    assert type(first) is ValueError
    assert first.args == (1,)
    assert first is not group.exceptions[0]
    assert isinstance(second, ExceptionGroup)
    deepest = second.exceptions[0]
    assert isinstance(deepest, KeywordError)
    assert deepest is not inner.exceptions[0]
    assert (deepest.code, deepest.field) == (1, "a")
    assert copy.split(ValueError)[0] is not None


def test_an_error_that_cannot_be_copied_is_shared() -> None:
    class Unprintable(Exception):  # noqa: N818 - as its name says
        def __init__(self) -> None:
            super().__init__()
            self.times = iter("abcdef")

        def __str__(self) -> str:
            return next(self.times)

    error = Unprintable()
    assert copy_error(error) is error


# Callers of one flight


def call_in_handler(name: str, call: Callable[[], Any]) -> Any:
    """Make a call while an exception is being handled, as that of another request."""
    error = RuntimeError(name)
    try:
        raise error
    except RuntimeError:
        return call()


def spoil(error: BaseException, name: str) -> None:
    error.add_note(name)
    error.args = (name,)
    error.__dict__["request"] = name


def test_the_leader_gets_the_original_and_every_follower_a_copy(work: Work) -> None:
    error = KeywordError(3, field="name")
    cause = LookupError("cause")
    errors: list[BaseException] = []

    def fail(n: int) -> None:
        raise error from cause

    def ask(name: str) -> None:
        with pytest.raises(KeywordError) as catch:
            call_in_handler(name, lambda: work.sync(1))
        caught = catch.value
        errors.append(caught)
        context = caught.__context__
        while context is not None:
            assert context is cause or context.args == (name,)
            context = context.__context__
        assert not hasattr(caught, "__notes__")
        assert caught.args == ("name is wrong",)
        assert caught.__cause__ is cause
        assert (caught.code, caught.field) == (3, "name")
        spoil(caught, name)

    work.outcome = fail
    calls = [start(ask, "0")]
    work.started.wait()
    calls += [start(ask, str(number)) for number in range(1, 5)]
    work.await_aboard(5)
    work.release.open()
    for call in calls:
        call.result(LONG)
    assert len({id(each) for each in errors}) == 5
    assert sum(each is error for each in errors) == 1


def test_the_context_that_the_work_itself_made_is_kept(work: Work) -> None:
    def fail(n: int) -> None:
        call_in_handler("first", lambda: int("second"))

    def lead() -> None:
        call_in_handler("of the leader", lambda: work.sync(1))

    work.outcome = fail
    leader = start(lead)
    work.started.wait()
    follower = start(work.sync, 1)
    work.await_aboard(2)
    work.release.open()
    told = "".join(traceback.format_exception(follower.exception(LONG)))
    assert "first" in told
    assert "second" in told
    assert "of the leader" not in told
    assert "of the leader" in "".join(traceback.format_exception(leader.exception(LONG)))


@pytest.mark.parametrize("way", ["cause", "cause of a cause", "group", "context"])
def test_nothing_of_the_leader_is_in_what_the_error_came_from(work: Work, way: str) -> None:
    def fail(n: int) -> None:
        try:
            try:
                int("first")
            except ValueError as first:
                if way != "context":
                    raise LookupError("second") from first
                raise LookupError("second")  # noqa: B904 - as its context
        except LookupError as second:
            if way == "group":
                raise ExceptionGroup("third", [second]) from None
            if way == "cause of a cause":
                raise RuntimeError("third") from second
            raise

    def lead() -> None:
        call_in_handler("of the leader", lambda: work.sync(1))

    work.outcome = fail
    leader = start(lead)
    work.started.wait()
    followers = [start(work.sync, 1) for _ in range(2)]
    work.await_aboard(3)
    work.release.open()
    for follower in followers:
        told = "".join(traceback.format_exception(follower.exception(LONG)))
        assert "first" in told
        assert "second" in told
        assert "of the leader" not in told
    assert "of the leader" in "".join(traceback.format_exception(leader.exception(LONG)))


async def test_tasks_raise_errors_of_their_own(work: Work) -> None:
    def fail(n: int) -> None:
        raise ExceptionGroup("group", [KeywordError(1, field="a")])

    work.outcome = fail
    seen = []

    async def ask(name: str) -> None:
        try:
            await work.aio(1)
        except* KeywordError as group:
            (each,) = group.exceptions
            seen.append(each)
            assert not hasattr(each, "__notes__")
            spoil(each, name)

    tasks = [asyncio.create_task(ask(str(number))) for number in range(4)]
    await work.reach_aboard(4)
    work.release.open()
    await asyncio.gather(*tasks)
    assert len({id(each) for each in seen}) == 4


@pytest.mark.parametrize("make", [lambda: KeyError("gone"), lambda: KeywordError(1, field="a")])
@pytest.mark.parametrize("way", ["sync", "aio"])
async def test_a_remembered_error_is_a_new_one_for_each(
    ops: ToolOps, make: Callable[[], Exception], way: str
) -> None:
    error = make()
    text = str(error)

    @ops.tool(name="fails", cache=Cache(ttl=60, negative=Exception, negative_ttl=60))
    def in_thread() -> None:
        raise error

    @ops.tool(name="fails", cache=Cache(ttl=60, negative=Exception, negative_ttl=60))
    async def on_loop() -> None:
        raise error

    async def ask(name: str) -> None:
        if way == "aio":
            await on_loop()
        else:
            call_in_handler(name, in_thread)

    seen = []
    for number in range(4):
        with pytest.raises(type(error)) as caught:
            await ask(str(number))
        assert not hasattr(caught.value, "__notes__")
        assert str(caught.value) == text
        context = caught.value.__context__
        assert context is None or context.args == (str(number),)
        spoil(caught.value, str(number))
        seen.append(caught.value)
    assert len({id(each) for each in seen}) == 4
    assert ops.stats()["fails"].hits == 3


@pytest.mark.parametrize("way", ["sync", "aio"])
async def test_readers_of_one_stream_raise_errors_of_their_own(ops: ToolOps, way: str) -> None:
    cause = LookupError("cause")

    @ops.tool(name="stream", coalesce=True)
    def in_thread() -> Iterator[int]:
        yield 1
        raise KeywordError(1, field="a") from cause

    @ops.tool(name="stream", coalesce=True)
    async def on_loop() -> AsyncIterator[int]:
        yield 1
        raise KeywordError(1, field="a") from cause

    if way == "sync":
        plain = [in_thread() for _ in range(3)]
        assert [next(reader) for reader in plain] == [1] * 3
    else:
        readers = [on_loop() for _ in range(3)]
        assert [await anext(reader) for reader in readers] == [1] * 3
    seen = []
    for number in range(3):
        with pytest.raises(KeywordError) as caught:
            await anext(readers[number]) if way == "aio" else next(plain[number])
        assert not hasattr(caught.value, "__notes__")
        assert caught.value.args == ("a is wrong",)
        assert caught.value.__cause__ is cause
        spoil(caught.value, str(number))
        seen.append(caught.value)
    assert len({id(each) for each in seen}) == 3


async def test_a_stream_that_fails_at_once_fails_for_each_on_its_own(ops: ToolOps) -> None:
    release = asyncio.Event()

    @ops.tool(name="stream", coalesce=True)
    async def fail() -> AsyncIterator[int]:
        await release.wait()
        raise KeywordError(1, field="a")
        yield 1

    tasks = [asyncio.ensure_future(anext(fail())) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    release.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in errors] == [KeywordError] * 3
    assert len({id(error) for error in errors}) == 3
