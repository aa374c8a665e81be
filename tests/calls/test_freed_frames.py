"""Errors free the frames of their call once they are handled, and dropped tools their plans.

A cycle would keep a request, with all that it refers to, until the next collection.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from callers import LONG
from servers import wait_for

from toolops_plugins import Cache, CircuitBreaker, Hedge, Retry, Timeout, ToolOps

POLICIES: dict[str, dict[str, Any]] = {
    "nothing": {"coalesce": False},
    "retry and breaker": {"retry": Retry(attempts=1), "breaker": CircuitBreaker()},
    "cache and flight": {"cache": Cache(ttl=60)},
    "fallback": {"fallback": "instead"},
    "attempt timeout": {"timeout": Timeout(attempt=20)},
    "total timeout": {"timeout": Timeout(total=20)},
    "hedge": {"hedge": Hedge(min_calls=1, least=20)},
}


class Large:
    """What a frame refers to."""


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest) -> dict[str, Any]:
    return POLICIES[request.param]


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def fail(frames: list[weakref.ref[Large]], *, fails: bool = True) -> None:
    large = Large()
    frames.append(weakref.ref(large))
    if fails:
        raise OSError("down")


def test_of_a_plain_function(ops: ToolOps, policy: dict[str, Any], without_collector: None) -> None:
    frames: list[weakref.ref[Large]] = []

    def tool(fails: bool) -> None:
        fail(frames, fails=fails)

    guarded = ops.tool(**policy)(tool)
    guarded(False)
    with suppress(OSError):
        guarded(True)
    assert [frame() for frame in frames] == [None, None]


@pytest.mark.parametrize("waits", [False, True])
async def test_of_a_coroutine_function(
    ops: ToolOps, policy: dict[str, Any], without_collector: None, waits: bool
) -> None:
    frames: list[weakref.ref[Large]] = []

    async def tool(fails: bool) -> None:
        if waits:
            await asyncio.sleep(0.001)
        fail(frames, fails=fails)

    guarded = ops.tool(**policy)(tool)
    await guarded(False)
    with suppress(OSError):
        await guarded(True)
    assert [frame() for frame in frames] == [None, None]


def find_plan(function: Any) -> weakref.ref[Any]:
    """Return a reference to the plan of a wrapped function."""
    cells = inspect.getclosurevars(function).nonlocals
    return weakref.ref(cells["plan"])


def test_of_a_dropped_tool(ops: ToolOps, policy: dict[str, Any], without_collector: None) -> None:
    def tool(number: int) -> int:
        return number

    guarded = ops.tool(**policy)(tool)
    plan = find_plan(guarded)
    assert [guarded(1), guarded(1), guarded(2)] == [1, 1, 2]
    del guarded, tool
    wait_for(lambda: plan() is None, "the end of the plan", LONG)  # a thread may still hold it


async def test_of_a_dropped_coroutine_tool(
    ops: ToolOps, policy: dict[str, Any], without_collector: None
) -> None:
    async def tool(number: int) -> int:
        return number

    guarded = ops.tool(**policy)(tool)
    plan = find_plan(guarded)
    assert [await guarded(1), await guarded(1), await guarded(2)] == [1, 1, 2]
    del guarded, tool
    assert plan() is None
