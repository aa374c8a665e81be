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

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from toolops_plugins.callables.target import Target
from toolops_plugins.calls.answer import StreamResult, record_call
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.fallback import fallback_items
from toolops_plugins.calls.plan import Plan
from toolops_plugins.calls.sync.fetching import store_stream
from toolops_plugins.calls.sync.flow import run_call
from toolops_plugins.coalesce.streams import BaseRecording, send_refusal
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.errors import ConfigurationError

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver

__all__ = ["astream_of", "stream_of"]


def stream_of(plan: Plan, target: Target, threads: ThreadDriver) -> Callable[..., Any]:
    """Return the generator function that users call in place of the target."""
    bound_args, bound_kwargs = target.args, target.kwargs
    takes = plan.policy.cache is None and not plan.policy.coalesces

    def stream(*args: Any, **kwargs: Any) -> Generator[Any, None, Any]:
        if not plan.shared.active:
            return (yield from target.function(*bound_args, *args, **{**bound_kwargs, **kwargs}))
        call = plan.begin((*bound_args, *args), {**bound_kwargs, **kwargs})
        call.scope = b"stream"
        result: StreamResult = run_call(threads, call)
        source = result.value
        if not isinstance(source, BaseRecording):
            items, returned = _replay(result)
            record_call(call, result.outcome, result.answer)
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
        source.accepts_send = takes
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

    return stream


def astream_of(plan: Plan, target: Target, loops: LoopDriver) -> Callable[..., Any]:
    """Return the asynchronous generator function that users call in place of the target."""
    from toolops_plugins.calls.aio.fetching import store_stream as astore_stream  # noqa: PLC0415 - as asyncio
    from toolops_plugins.calls.aio.flow import run_call as arun_call  # noqa: PLC0415 - as asyncio
    from toolops_plugins.concurrency.running_loop import get_running_loop  # noqa: PLC0415 - imports asyncio

    bound_args, bound_kwargs = target.args, target.kwargs
    takes = plan.policy.cache is None and not plan.policy.coalesces

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
        result: StreamResult = await arun_call(loops, call)
        source = result.value
        if not isinstance(source, BaseRecording):
            items, _ = _replay(result)
            record_call(call, result.outcome, result.answer)
            if isinstance(items, AsyncIterator):
                async for item in items:
                    if (yield item) is not None:
                        raise send_refusal()
                return
            for item in items:
                if (yield item) is not None:
                    raise send_refusal()
            return
        source.accepts_send = takes
        reader = source.read(call)
        try:
            with suppress(StopAsyncIteration):
                item = await anext(reader)
                while True:
                    try:
                        sent = yield item
                    except Exception as error:  # noqa: BLE001 - the generator handles it
                        item = await reader.athrow(error)
                    else:
                        item = await reader.asend(sent)
            if source.claim():
                await astore_stream(loops, source)
        except BaseException as error:
            call.error = None if isinstance(error, GeneratorExit) else type(error).__name__
            raise
        finally:
            await reader.aclose()
            _record(call, result, source)

    return stream


def _replay(result: StreamResult) -> tuple[Any, Any]:
    """Return the items of a cached stream or of a fallback, and what the generator returned."""
    if result.outcome != "fallback":
        items, returned = result.value
        return items, returned
    return fallback_items(result.value), None


def _record(call: Call, result: StreamResult, source: BaseRecording) -> None:
    if not source.joinable:
        # A user may keep an exception, and with its traceback the recording.
        call.plan.shared.streams.remove(call.scope + (call.key or b""), source)
    if call.error is not None:
        record_call(call, "error", None)
        return
    if not source.ended or source.error is not None:
        call.reason = "not_read_to_end"
    record_call(call, result.outcome, result.answer)
