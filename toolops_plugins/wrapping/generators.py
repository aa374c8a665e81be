"""Wrappers of generators, plain and asynchronous.

A stream takes the path of any other call (:mod:`toolops_plugins.calls.aio.flow`) with a recording
as its result, and with these differences:

- The policies for attempts apply until the first item. A later failure reaches the reader, and is
  not retried.
- A stream is stored once it has been read to its end, and replayed item by item.
- Coalesced callers read one recording, each from the start and at its own pace. Callers of an
  asynchronous generator share one within an event loop only.
- A stale stream may stand in for an error. It is not refreshed in the background, since nobody
  would read the new one.
- ``send()`` and ``throw()`` reach a generator that is neither stored nor shared. Others share their
  items with other readers: there ``send()`` of a value is an error, and an exception that is thrown
  is raised as by a generator that does not catch it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from toolops_plugins.callables.target import Target
from toolops_plugins.calls.answer import StreamResult, end_abandoned_call, record_call
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.fallback import fallback_items
from toolops_plugins.calls.hooks import start_call
from toolops_plugins.calls.plan import Plan
from toolops_plugins.calls.sync.fetching import store_stream
from toolops_plugins.calls.sync.flow import run_call
from toolops_plugins.coalesce.streams import BaseRecording, send_refusal
from toolops_plugins.concurrency.contexts import await_steps, run_steps
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import NOTHING

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver

__all__ = ["astream_of", "stream_of"]


def stream_of(plan: Plan, target: Target, threads: ThreadDriver) -> Callable[..., Any]:
    """Return the generator function that users call in place of the target."""
    bound_args, bound_kwargs = target.args, target.kwargs

    def stream(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if not plan.shared.active:
            return (yield from target.function(*bound_args, *args, **{**bound_kwargs, **kwargs}))
        call = plan.begin((*bound_args, *args), {**bound_kwargs, **kwargs})
        call.scope = b"stream"
        if not plan.shared.emitter.starters:
            return (yield from _read(threads, call))
        context = copy_context()
        try:
            start_call(call, context)
            return (yield from run_steps(context, _read(threads, call)))
        finally:
            end_abandoned_call(call)

    return stream


def _read(threads: ThreadDriver, call: Call) -> Generator[Any, Any, Any]:
    """Make a call whose result is a stream, yield its items, and record the call at the end."""
    result: StreamResult = run_call(threads, call)
    source = result.value
    if not isinstance(source, BaseRecording):
        items, returned = _replay(result)
        _record_replay(call, result, items)
        if isinstance(items, AsyncIterator):
            raise ConfigurationError(
                "fallback",
                "made an asynchronous stream; this synchronous one needs a plain one",
            )
        if hasattr(items, "send"):
            yield from items
            return returned
        for item in items:
            if (yield item) is not None:
                raise send_refusal()
        return returned
    source.accepts_send = _takes_send(call.plan)
    try:
        returned = yield from source.read(call)
        if source.claim():
            store_stream(threads, source)
    except BaseException as error:
        call.error = None if isinstance(error, GeneratorExit) else type(error).__name__
        raise
    finally:
        _record(call, result, source)
    return returned


def astream_of(plan: Plan, target: Target, loops: LoopDriver) -> Callable[..., Any]:
    """Return the asynchronous generator function that users call in place of the target."""
    from toolops_plugins.calls.aio.fetching import store_stream as astore_stream  # noqa: PLC0415 - as asyncio
    from toolops_plugins.calls.aio.flow import run_call as arun_call  # noqa: PLC0415 - as asyncio
    from toolops_plugins.concurrency.running_loop import get_running_loop  # noqa: PLC0415 - imports asyncio

    bound_args, bound_kwargs = target.args, target.kwargs

    async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        if not plan.shared.active:
            # As `yield from` does (PEP 380), which asynchronous generators do not have.
            inner = target.function(*bound_args, *args, **{**bound_kwargs, **kwargs})
            with suppress(StopAsyncIteration):
                item = await anext(inner)
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        await inner.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001 - the generator handles it
                        item = await inner.athrow(error)
                    else:
                        item = await inner.asend(sent)
            return
        call = plan.begin((*bound_args, *args), {**bound_kwargs, **kwargs})
        call.scope = b"stream%d" % id(get_running_loop())
        # Awaits something in the context of the stream. No second generator does that around this
        # one, since a loop that ends closes all of its generators, in any order and context.
        within: Callable[[Awaitable[Any]], Awaitable[Any]] = _same
        try:
            if plan.shared.emitter.starters:
                context = copy_context()
                within = partial(await_steps, context)
                start_call(call, context)
            result: StreamResult = await within(arun_call(loops, call))
            source = result.value
            if not isinstance(source, BaseRecording):
                items, _ = _replay(result)
                _record_replay(call, result, items)
                if not isinstance(items, AsyncIterator):
                    for item in items:
                        if (yield item) is not None:
                            raise send_refusal()
                    return
                with suppress(StopAsyncIteration):
                    while True:
                        if (yield await within(_next(items))) is not None:
                            raise send_refusal()
                return
            source.accepts_send = _takes_send(plan)
            reader = source.read(call)
            try:
                with suppress(StopAsyncIteration):
                    item = await within(anext(reader))
                    while True:
                        try:
                            sent = yield item
                        except Exception as error:  # noqa: BLE001 - the generator handles it
                            item = await within(reader.athrow(error))
                        else:
                            item = await within(reader.asend(sent))
                if source.claim():
                    await within(astore_stream(loops, source))
            except BaseException as error:
                call.error = None if isinstance(error, GeneratorExit) else type(error).__name__
                raise
            finally:
                await within(reader.aclose())
                _record(call, result, source)
        finally:
            end_abandoned_call(call)

    return stream


def _same(awaitable: Awaitable[Any]) -> Awaitable[Any]:
    return awaitable


async def _next(items: AsyncIterator[Any]) -> Any:
    return await anext(items)


def _takes_send(plan: Plan) -> bool:
    """Return whether what is sent and thrown into a stream reaches its generator."""
    return plan.policy.cache is None and not plan.policy.coalesces


def _replay(result: StreamResult) -> tuple[Any, Any]:
    """Return the items of a cached stream or of a fallback, and what the generator returned."""
    if result.outcome != "fallback":
        items, returned = result.value
        return items, returned
    return fallback_items(result.value), None


def _record_replay(call: Call, result: StreamResult, items: Any) -> None:
    record_call(
        call, result.outcome, result.answer, NOTHING if result.outcome == "fallback" else items
    )


def _record(call: Call, result: StreamResult, source: BaseRecording) -> None:
    if not source.joinable:
        # A user may keep an exception, and with its traceback the recording.
        call.plan.shared.streams.remove(call.scope + (call.key or b""), source)
    if source.owner is call:
        call.worked += source.worked
    if call.error is not None:
        record_call(call, "error", None)
        return
    if not source.ended or source.error is not None:
        call.reason = "not_read_to_end"
    record_call(call, result.outcome, result.answer, _items(call, source))


def _items(call: Call, source: BaseRecording) -> Any:
    """Return the items of a stream, if its event says what they tell about the call."""
    plan = call.plan
    if plan.describe_result is None or not source.complete or not plan.shared.emitter.observed:
        return NOTHING
    try:
        return source.all()
    except Exception:  # noqa: BLE001 - an item that cannot be had twice says nothing
        return NOTHING
