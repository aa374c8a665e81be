"""The function in front of a plan."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from toolops_plugins.callables.target import Target
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.plan import Plan
from toolops_plugins.drivers.thread import ThreadDriver

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver

__all__ = ["make_wrapper"]


def make_wrapper(
    plan: Plan, target: Target, threads: ThreadDriver, loops: Callable[[], LoopDriver]
) -> Callable[..., Any]:
    """Return the function that users call, of the same kind as its target."""
    if target.kind in ("generator", "async_generator"):
        from toolops_plugins.wrapping import generators  # noqa: PLC0415 - rarely needed

        if target.kind == "generator":
            return generators.stream_of(plan, target, threads)
        return generators.astream_of(plan, target, loops())
    if target.kind == "coroutine":
        return _coroutine_function(plan, target, loops())
    return _plain_function(plan, target, threads)


def _plain_function(plan: Plan, target: Target, threads: ThreadDriver) -> Callable[..., Any]:
    from toolops_plugins.calls.sync.flow import (  # noqa: PLC0415 - where needed, as its twin below
        make_attempts_call,
        run_call,
    )

    if plan.only_attempts:
        return _bind(target, make_attempts_call(threads, plan))

    # It refers to the plan, not to `plan.open`: it may be pickled by value, with all that it
    # refers to, and only the plan knows how.
    def call(*args: Any, **kwargs: Any) -> Any:
        found = plan.open(args, kwargs)
        return run_call(threads, found) if type(found) is Call else found

    return _bind(target, call)


def _bind(target: Target, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that adds the arguments that a partial function holds."""
    bound_args, bound_kwargs = target.args, target.kwargs
    if not bound_args and not bound_kwargs:
        return call

    def call_bound(*args: Any, **kwargs: Any) -> Any:
        return call(*bound_args, *args, **{**bound_kwargs, **kwargs})

    return call_bound


def _coroutine_function(plan: Plan, target: Target, loops: LoopDriver) -> Callable[..., Any]:
    from toolops_plugins.calls.aio import flow  # noqa: PLC0415 - as asyncio, where needed

    if plan.only_attempts:
        return _abind(target, flow.make_attempts_call(loops, plan))
    run_call = flow.run_call

    async def acall(*args: Any, **kwargs: Any) -> Any:
        found = plan.open(args, kwargs)
        if type(found) is not Call:
            return found
        if loops.find_loop() is None:
            loops.require_loop()
        return await run_call(loops, found)

    return _abind(target, acall)


def _abind(target: Target, acall: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Return a coroutine function that adds the arguments that a partial function holds."""
    bound_args, bound_kwargs = target.args, target.kwargs
    if not bound_args and not bound_kwargs:
        return acall

    async def acall_bound(*args: Any, **kwargs: Any) -> Any:
        return await acall(*bound_args, *args, **{**bound_kwargs, **kwargs})

    return acall_bound
