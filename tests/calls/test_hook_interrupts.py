"""An interrupt at the start of any function of this package leaves no call without an end."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from spans import Spans

import toolops_plugins
from toolops_plugins import Cache, Retry, ToolOps

HOME = str(Path(toolops_plugins.__file__).parent)
MOST = 400


def interrupt(run: Callable[[], Any], number: int) -> bool:
    """Run a function with an interrupt at the start of a function; return whether there was one."""
    left = number

    def trace(frame: Any, event: str, _: Any) -> None:
        nonlocal left
        # The interpreter itself drops an interrupt in a finalizer.
        name, file = frame.f_code.co_name, frame.f_code.co_filename
        if event == "call" and file.startswith(HOME) and name != "__del__":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return left <= 0


def function(ops: ToolOps) -> Callable[[], Any]:
    return ops.tool(cache=Cache(ttl=60), retry=Retry(wait=0))(lambda: 1)


def uncached(ops: ToolOps) -> Callable[[], Any]:
    return ops.tool(lambda: 1)


def hit(ops: ToolOps) -> Callable[[], Any]:
    call = function(ops)
    call()
    return call


def stream(ops: ToolOps) -> Callable[[], Any]:
    @ops.tool(cache=Cache(ttl=60))
    def numbers():
        yield from range(2)

    return lambda: list(numbers())


def coroutine(ops: ToolOps) -> Callable[[], Any]:
    """Step by step, without a loop around it."""

    @ops.tool
    async def call():
        return 1

    async def run() -> Any:
        return await call()

    def step() -> None:
        with asyncio.Runner() as runner:
            runner.get_loop().run_until_complete(run())

    return step


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize("make", [function, uncached, hit, stream, coroutine])
def test_an_interrupt_anywhere_leaves_no_call_open(make):
    for number in range(1, MOST):
        spans = Spans()
        ops = ToolOps("interrupts", sinks=[spans])
        call = make(ops)
        spans.check()
        more = interrupt(call, number)
        if not all(span.events for span in spans.spans):
            gc.collect()
        spans.check()
        if not more:
            break
    else:
        pytest.fail("the call never ran without an interrupt")
    assert number >= 5
