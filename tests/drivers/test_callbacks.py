"""Callbacks of a policy that turn out to be asynchronous, under both drivers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from toolops_plugins import ConfigurationError, ToolOps


async def later() -> str:
    return "later"


class Later:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Generator[Any, None, str]:
        return later().__await__()


AWAITABLES = pytest.mark.parametrize("make", [later, Later])


@AWAITABLES
def test_a_plain_call_refuses_a_fallback_that_turns_out_to_be_asynchronous(
    ops: ToolOps, make: Callable[[], Awaitable[str]]
) -> None:
    @ops.tool(fallback=lambda error: make())
    def tool() -> str:
        raise ConnectionError

    with pytest.raises(ConfigurationError, match="only an asynchronous call can await"):
        tool()
    gc.collect()  # a coroutine that nobody closed would warn


@AWAITABLES
def test_an_asynchronous_call_awaits_it(ops: ToolOps, make: Callable[[], Awaitable[str]]) -> None:
    @ops.tool(fallback=lambda error: make())
    async def tool() -> str:
        raise ConnectionError

    assert asyncio.run(tool()) == "later"
