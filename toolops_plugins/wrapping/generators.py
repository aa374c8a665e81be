"""Generators, plain and asynchronous, in front of their plans.

The path of a stream is that of any other call (see :mod:`toolops_plugins.calls.flow`), whose result
is a recording that is running, with these differences. The policies for attempts watch over it
until its first item is there; from then on a failure reaches whoever reads, and is not retried. It
is kept only once it has been read to its end, and replayed item by item. Coalesced callers read one
recording, each from the start and at its own pace; those of an asynchronous generator only within
one event loop. A stale stream stands in for an error, but nothing is refreshed in the background,
since nobody would read it. What is sent or thrown into a wrapped generator reaches it where it is
neither kept nor shared; elsewhere others read the same items, so a value that is sent is an error,
and an exception that is thrown is raised as by a generator that does not catch it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from toolops_plugins.callables.target import Target
from toolops_plugins.calls.answer import record
from toolops_plugins.calls.fallback import fallback_items
from toolops_plugins.calls.flow import Told, call_flow, kept_stream
from toolops_plugins.calls.plan import Call, Plan
from toolops_plugins.coalesce.streams import BaseRecording, send_refusal
from toolops_plugins.drivers.thread import ThreadDriver
from toolops_plugins.errors import ConfigurationError

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver

__all__ = ["astream_of", "stream_of"]


def stream_of(plan: Plan, target: Target, threads: ThreadDriver) -> Callable[..., Any]:
    """Return the generator function that stands in front of a plan."""
    given, keywords = target.args, target.kwargs
    takes = plan.policy.cache is None and not plan.policy.coalesces

    def stream(*args: Any, **kwargs: Any) -> Generator[Any, None, Any]:
        if not plan.shared.active:
            return (yield from target.function(*given, *args, **{**keywords, **kwargs}))
        call = plan.begin((*given, *args), {**keywords, **kwargs})
        call.place = b"stream"
        told: Told = threads.run(call_flow(call))
        source = told.value
        if not isinstance(source, BaseRecording):
            items, returned = _replay(told)
            record(call, told.outcome, told.answer)
            if isinstance(items, AsyncIterator):
                raise ConfigurationError(
                    "fallback", "made an asynchronous stream, which this one cannot read"
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
                threads.run(kept_stream(source))
        except BaseException as error:
            call.error = None if isinstance(error, GeneratorExit) else error
            raise
        finally:
            _tell(call, told, source)
        return returned

    return stream


def astream_of(plan: Plan, target: Target, loops: LoopDriver) -> Callable[..., Any]:
    """Return the asynchronous generator function that stands in front of a plan."""
    from toolops_plugins.concurrency.running_loop import running_loop  # noqa: PLC0415 - imports asyncio

    given, keywords = target.args, target.kwargs
    takes = plan.policy.cache is None and not plan.policy.coalesces

    async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        if not plan.shared.active:
            # What `yield from` would do, which asynchronous generators do not have (PEP 380).
            inner = target.function(*given, *args, **{**keywords, **kwargs})
            with suppress(StopAsyncIteration):
                item = await anext(inner)
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        await inner.aclose()
                        raise
                    except BaseException as error:  # noqa: BLE001 - it is the generator's affair
                        item = await inner.athrow(error)
                    else:
                        item = await inner.asend(sent)
            return
        call = plan.begin((*given, *args), {**keywords, **kwargs})
        call.place = b"stream%d" % id(running_loop())
        told: Told = await loops.run(call_flow(call))
        source = told.value
        if not isinstance(source, BaseRecording):
            items, _ = _replay(told)
            record(call, told.outcome, told.answer)
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
                    except Exception as error:  # noqa: BLE001 - it is the generator's affair
                        item = await reader.athrow(error)
                    else:
                        item = await reader.asend(sent)
            if source.claim():
                await loops.run(kept_stream(source))
        except BaseException as error:
            call.error = None if isinstance(error, GeneratorExit) else error
            raise
        finally:
            await reader.aclose()
            _tell(call, told, source)

    return stream


def _replay(told: Told) -> tuple[Any, Any]:
    """Return the items of a kept stream, or of a fallback, and what the generator returned."""
    if told.outcome != "fallback":
        items, returned = told.value
        return items, returned
    return fallback_items(told.value), None


def _tell(call: Call, told: Told, source: BaseRecording) -> None:
    if not source.joinable:
        # Somebody may hold an exception, and with its traceback the recording, for long.
        call.plan.shared.streams.remove(call.place + (call.key or b""), source)
    if call.error is not None:
        record(call, "error", None)
        return
    if not source.ended or source.error is not None:
        call.reason = "not_read_to_end"
    record(call, told.outcome, told.answer)
