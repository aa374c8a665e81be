"""The function in front of a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from toolops_plugins.callables.target import Target
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.flow import call_flow
from toolops_plugins.calls.plan import Plan
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
        arun = loops().run

        async def acall(*args: Any, **kwargs: Any) -> Any:
            found = open_(args, kwargs)
            return await arun(call_flow(found)) if type(found) is Call else found

        async def acall_bound(*args: Any, **kwargs: Any) -> Any:
            found = open_((*bound_args, *args), {**bound_kwargs, **kwargs})
            return await arun(call_flow(found)) if type(found) is Call else found

        return acall_bound if bound_args or bound_kwargs else acall

    run = threads.run

    def call(*args: Any, **kwargs: Any) -> Any:
        found = open_(args, kwargs)
        return run(call_flow(found)) if type(found) is Call else found

    def call_bound(*args: Any, **kwargs: Any) -> Any:
        found = open_((*bound_args, *args), {**bound_kwargs, **kwargs})
        return run(call_flow(found)) if type(found) is Call else found

    return call_bound if bound_args or bound_kwargs else call
