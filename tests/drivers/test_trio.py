"""Calls without a running asyncio loop: under trio, by anyio, and without any loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
import trio

from toolops_plugins import Cache, ConfigurationError, Retry, ToolOps

SENTENCE = r"^event loop: ToolOps awaits on asyncio, and this call runs under trio; run it with as"


@pytest.fixture(params=["trio", "anyio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    if request.param == "trio":
        return trio.run

    def run(function: Any) -> Any:
        return anyio.run(function, backend="trio")

    return run


async def body(n: int = 1) -> int:
    return n


async def items(n: int = 1) -> AsyncIterator[int]:
    yield n


@pytest.mark.parametrize(
    "call",
    [
        lambda ops: ops.readonly(ttl=60)(body)(),
        lambda ops: ops.tool(retry=Retry())(body)(),
        lambda ops: ops.tool(body)(),
        lambda ops: anext(ops.tool(cache=Cache(ttl=60))(items)()),
        lambda ops: ops.acall(body, 1),
        lambda ops: ops.gather(body(), body()),
        lambda ops: ops.ainvalidate(tags=["x"]),
        lambda ops: ops.aclear(),
        lambda ops: ops.aclose(),
        lambda ops: ops.aside(body, cache=Cache(ttl=60)).alookup(1),
    ],
)
def test_an_asynchronous_fallback_of_a_plain_function_says_what_to_do(
    run: Any, ops: ToolOps, call: Any
) -> None:
    async def main() -> None:
        with pytest.raises(ConfigurationError, match=SENTENCE):
            await call(ops)

    run(main)


def test_plain_functions_work_in_a_thread(run: Any, ops: ToolOps) -> None:
    @ops.readonly(ttl=60)
    def plain(n: int) -> int:
        return n

    async def main() -> list[int]:
        return [plain(1), await anyio.to_thread.run_sync(plain, 1)]

    assert run(main) == [1, 1]
    assert ops.stats().total.hits == 1


def test_anyio_on_asyncio_works(ops: ToolOps) -> None:
    function = ops.readonly(ttl=60)(body)

    async def main() -> int:
        async with anyio.create_task_group() as group:
            group.start_soon(function, 1)
            group.start_soon(function, 1)
        result: int = await function(1)
        return result

    assert anyio.run(main, backend="asyncio") == 1


def test_without_any_loop_it_says_so_too(ops: ToolOps) -> None:
    coroutine = ops.readonly(ttl=60)(body)(1)
    with pytest.raises(ConfigurationError, match=r"^event loop: .*loop does not run here; run it"):
        coroutine.send(None)
