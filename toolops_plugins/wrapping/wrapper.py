"""The function in front of a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toolops_plugins.callables.target import Target
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.plan import Plan
from toolops_plugins.calls.sync.flow import runner_of
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.wrapping.generators import astream_of, stream_of

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver

__all__ = ["make_wrapper"]


def make_wrapper(
    plan: Plan, target: Target, threads: ThreadDriver, loops: Callable[[], LoopDriver]
) -> Callable[..., Any]:
    """Return the function that users call, of the same kind as its target."""
    bound_args, bound_kwargs = target.args, target.kwargs
    open_ = plan.open
    if target.kind == "generator":
        return stream_of(plan, target, threads)
    if target.kind == "async_generator":
        return astream_of(plan, target, loops())
    if target.kind == "coroutine":
        return _coroutine_function(plan, target, loops())
    run = runner_of(threads, plan)

    def call(*args: Any, **kwargs: Any) -> Any:
        found = open_(args, kwargs)
        return run(threads, found) if type(found) is Call else found

    def call_bound(*args: Any, **kwargs: Any) -> Any:
        found = open_((*bound_args, *args), {**bound_kwargs, **kwargs})
        return run(threads, found) if type(found) is Call else found

    return call_bound if bound_args or bound_kwargs else call


def _coroutine_function(plan: Plan, target: Target, loops: LoopDriver) -> Callable[..., Any]:
    from asyncio import _get_running_loop as running_loop  # noqa: PLC0415 - slow to import

    from toolops_plugins.calls.aio.flow import runner_of as arunner_of  # noqa: PLC0415 - needs asyncio
    from toolops_plugins.concurrency.running_loop import get_running_loop  # noqa: PLC0415 - the same

    bound_args, bound_kwargs = target.args, target.kwargs
    open_ = plan.open
    arun = arunner_of(loops, plan)

    async def acall(*args: Any, **kwargs: Any) -> Any:
        found = open_(args, kwargs)
        if type(found) is not Call:
            return found
        if running_loop() is None:
            get_running_loop()  # raises an error that says what to do
        return await arun(loops, found)

    async def acall_bound(*args: Any, **kwargs: Any) -> Any:
        return await acall(*bound_args, *args, **{**bound_kwargs, **kwargs})

    return acall_bound if bound_args or bound_kwargs else acall
