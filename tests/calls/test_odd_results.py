"""Results whose class raises or lies when it is inspected are returned unchanged."""

from __future__ import annotations

import asyncio
import enum
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from toolops_plugins import Cache, Policy, ToolOps


class Meta(type):
    def __hash__(cls) -> int:
        raise RuntimeError("hash of the class")

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("equality of the class")

    @property
    def __name__(cls) -> str:
        raise RuntimeError("name of the class")

    @property
    def __module__(cls) -> str:
        raise RuntimeError("module of the class")


class MetaResult(metaclass=Meta):
    pass


class ClosedMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__await__", "__aiter__", "__iter__", "__next__", "__deepcopy__", "__dict__"):
            raise RuntimeError(name)
        return super().__getattribute__(name)


class ClosedMetaResult(metaclass=ClosedMeta):
    pass


class AllRaises:
    """Raises whatever is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError

    def __bool__(self) -> bool:
        raise RuntimeError

    def __iter__(self) -> Any:
        raise RuntimeError

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError

    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError

    def __sizeof__(self) -> int:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError


def liar(kind: Any) -> type:
    class Liar:
        @property
        def __class__(self) -> Any:
            return kind

    return Liar


class RaisingClass:
    @property
    def __class__(self) -> Any:
        raise RuntimeError


class RaisingList(list):
    def __iter__(self) -> Any:
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError

    def __bool__(self) -> bool:
        raise RuntimeError


class RaisingDict(dict):
    def values(self) -> Any:
        raise RuntimeError

    def __iter__(self) -> Any:
        raise RuntimeError


class AllAttributes:
    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self


KINDS = [
    MetaResult, ClosedMetaResult, AllRaises, RaisingClass, RaisingList, RaisingDict, AllAttributes,
    *map(liar, (str, int, dict, list, enum.Enum, type, types.GeneratorType, types.CoroutineType)),
]  # fmt: skip
IDS = [type.__dict__["__name__"].__get__(kind) + str(n) for n, kind in enumerate(KINDS)]
POLICIES = {
    "cache": Policy(cache=Cache(ttl=60, when=bool), price=len),
    "coalesce": Policy(coalesce=True),
    "both": Policy(cache=Cache(ttl=60), coalesce=True),
}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: (v, [])])
async def test_an_odd_result_is_returned(kind: Any, policy: Policy, wrap: Any) -> None:
    ops = ToolOps()
    value = wrap(kind())

    @ops.tool(policy=policy)
    def plain() -> Any:
        return value

    @ops.tool(policy=policy)
    async def aio() -> Any:
        return value

    assert await asyncio.to_thread(plain) is value
    assert await aio() is value
    assert await asyncio.to_thread(ops.call, lambda: value, policy=policy) is value
    assert await ops.acall(lambda: value, policy=policy) is value
    ops.close()


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_followers_of_an_odd_result_get_one_too(kind: Any) -> None:
    ops = ToolOps()
    both = threading.Barrier(2)
    ran = []

    @ops.tool(cache=Cache(ttl=60), coalesce=True)
    def fetch() -> Any:
        ran.append(1)
        return kind()

    def ask() -> Any:
        both.wait()
        return fetch()

    with ThreadPoolExecutor(2) as pool:
        results = [future.result() for future in [pool.submit(ask) for _ in range(2)]]
    assert [type(each) for each in results].count(kind) == 2 if kind is not MetaResult else results
    ops.close()


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
async def test_items_of_a_stream_may_be_odd(kind: Any) -> None:
    ops = ToolOps()
    value = kind()

    @ops.readonly(ttl=60)
    def plain() -> Any:
        yield value

    @ops.readonly(ttl=60)
    async def aio() -> Any:
        yield value

    (one,) = await asyncio.to_thread(lambda: list(plain()))
    (two,) = [each async for each in aio()]
    assert one is value
    assert two is value
    ops.close()


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_an_odd_argument_or_receiver_only_bypasses(kind: Any) -> None:
    ops = ToolOps()

    @ops.readonly(ttl=60)
    def use(value: Any) -> int:
        return 1

    value = kind()
    assert use(value) == use([value]) == 1
    ops.close()
