"""Keys of large arguments, which are made off the event loop and do not change."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pydantic
import pytest
from callers import Notices
from hypothesis import given
from hypothesis import strategies as st
from properties import examples

from toolops_plugins import Cache, Semantic, SemanticCache, ToolOps
from toolops_plugins.keys.argument_size import LARGE, is_large
from toolops_plugins.policy import NOTHING


class Marker:
    pass


@dataclasses.dataclass
class Record:
    rows: list[Any]


@dataclasses.dataclass(slots=True)
class Slotted:
    rows: list[Any]


class Model(pydantic.BaseModel):
    rows: list[Any]


class Rows(list):  # type: ignore[type-arg]  # of anything
    pass


LARGE_VALUES = {
    "text": "a" * 2_000_000,
    "bytes": b"a" * 2_000_000,
    "list": [0] * 20_000,
    "nested": [[0] * 200 for _ in range(200)],
    "dict": {str(n): n for n in range(20_000)},
    "values": {"a": {"b": ["x" * 100_000] * 20}},
    "array": np.zeros(300_000),
    "buffer": memoryview(bytes(2_000_000)),
    "dataclass": Record([0] * 20_000),
    "slots": Slotted([[0] * 9_000, [0] * 9_000]),
    "model": Model(rows=[0] * 20_000),
    "subclass": Rows([0] * 20_000),
}


@pytest.mark.parametrize("value", LARGE_VALUES.values(), ids=LARGE_VALUES)
def test_what_is_large_is_known_at_any_place(value: Any) -> None:
    for held in ([value], [1, {"a": (value,)}], [Record([value])]):
        assert is_large(held)


@pytest.mark.parametrize(
    "value", ["a" * 10_000, [0] * 1_000, {"a": [1, 2]}, Record([1]), Marker(), object(), 1, None]
)
def test_what_is_small_is_not(value: Any) -> None:
    assert not is_large([value, [value]])


def test_a_value_that_contains_itself_is_large() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert is_large([loop])


def weight(value: Any) -> int:
    if isinstance(value, str):
        return 1 + len(value) // 64
    if isinstance(value, dict):
        return 1 + sum(map(weight, value)) + sum(map(weight, value.values()))
    return 1 + (sum(map(weight, value)) if isinstance(value, list) else 0)


@examples(0.3)
@given(
    st.recursive(
        st.integers() | st.text() | st.integers(0, LARGE * 64).map(lambda n: "a" * n),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(), inner)
            | st.tuples(st.integers(1, 300), inner).map(lambda pair: [pair[1]] * pair[0])
        ),
        max_leaves=6,
    )
)  # fmt: skip
def test_the_measure_is_the_sum_of_the_parts(value: Any) -> None:
    assert is_large([value]) == (weight(value) > LARGE)


class Runtime:
    """A runtime that notes the threads in which the markers among its arguments are encoded."""

    def __init__(self, **options: Any) -> None:
        self.ops = ToolOps(**options)
        self.threads: set[int] = set()
        self.ops.canon.register(Marker, self._note)
        self.value = [Marker()] * 17_000

    def _note(self, _: Marker) -> str:
        self.threads.add(threading.get_ident())
        return "marker"


@pytest.fixture
def runtime() -> Any:
    made = Runtime()
    yield made
    made.ops.close()


async def test_a_large_key_is_made_in_another_thread_and_is_the_same(runtime: Runtime) -> None:
    ran = []

    def body(value: Any) -> int:
        ran.append(1)
        return len(ran)

    async def abody(value: Any) -> int:
        return body(value)

    ops, value = runtime.ops, runtime.value
    tool = ops.readonly(body, ttl=60, name="count")
    atool = ops.readonly(abody, ttl=60, name="count")
    assert [await atool(value) for _ in range(3)] == [1, 1, 1]
    assert [await ops.acall(tool, value) for _ in range(2)] == [1, 1]
    assert await asyncio.gather(atool(value), atool(value=value)) == [1, 1]
    assert threading.get_ident() not in runtime.threads
    await atool.ainvalidate(value)
    assert threading.get_ident() not in runtime.threads
    assert await atool(value) == 2
    assert await asyncio.to_thread(tool, value) == 2
    assert atool.key(value) == tool.key(value=value)
    assert ops.stats().total.hits == 7


async def test_streams_and_lookups_make_large_keys_elsewhere(runtime: Runtime) -> None:
    ops, value = runtime.ops, runtime.value
    ran = []

    @ops.readonly(ttl=60)
    async def stream(value: Any) -> AsyncIterator[int]:
        ran.append(1)
        yield len(ran)

    for _ in range(2):
        assert [each async for each in stream(value)] == [1]

    @ops.aside(cache=Cache(ttl=60))
    def beside(value: Any) -> int: ...

    assert await beside.alookup(value) is NOTHING
    await beside.astore(7, value)
    assert await beside.alookup(value) == 7
    assert threading.get_ident() not in runtime.threads


async def test_the_scope_of_a_question_is_made_elsewhere_too(tmp_path: Any) -> None:
    runtime = Runtime(semantic=SemanticCache(path=tmp_path, threshold=0.9))
    ran = []

    @runtime.ops.readonly(ttl=60, semantic=Semantic(on="question"))
    async def ask(question: str, context: Any) -> str:
        ran.append(question)
        return "an answer"

    for question in ("How tall is the tower?", "How tall is the tower?", "how tall is the tower"):
        assert await ask(question, runtime.value) == "an answer"
    assert len(ran) == 1
    assert threading.get_ident() not in runtime.threads
    await runtime.ops.aclose()


async def test_a_large_argument_without_a_form_bypasses(runtime: Runtime) -> None:
    notices = Notices(runtime.ops)

    @runtime.ops.readonly(ttl=60)
    async def use(value: Any) -> int:
        return 1

    assert await use([*runtime.value, object()]) == 1
    assert notices.reasons == ["not_canonical"]
    with pytest.raises(TypeError, match="unexpected"):
        await use(*(), wrong=runtime.value)
    with pytest.raises(TypeError):
        await use(runtime.value, runtime.value)


def test_arguments_that_do_not_count_are_not_measured(runtime: Runtime) -> None:
    @runtime.ops.readonly(ttl=60, ignore=["context"])
    def use(question: str, context: Any = None, **more: Any) -> int:
        return 1

    assert use("a", runtime.value) == use("a", context=runtime.value) == 1
    assert not runtime.threads
    assert use("a", more=runtime.value) == 1
    assert runtime.threads
