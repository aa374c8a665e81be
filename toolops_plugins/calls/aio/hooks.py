"""Run a call between the hooks of sinks that are told of its start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from toolops_plugins.calls.answer import end_abandoned_call
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.hooks import start_call

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver

__all__ = ["run_between_hooks"]


async def run_between_hooks(
    driver: LoopDriver, run: Callable[..., Awaitable[Any]], call: Call, *args: Any
) -> Any:
    """Tell sinks that a call starts, run it, and see to it that they are told of its end.

    Args:
        driver: Runs it in a context that it keeps until its end.
        run: Runs the call and records its end, given the driver, the call and ``args``.
        call: The call.
        args: Further arguments.
    """
    return await driver.run_in_context(_run, driver, run, call, *args)


async def _run(
    driver: LoopDriver, run: Callable[..., Awaitable[Any]], call: Call, *args: Any
) -> Any:
    try:
        start_call(call)
        return await run(driver, call, *args)
    finally:
        end_abandoned_call(call)
