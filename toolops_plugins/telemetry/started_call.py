"""A call whose start was handed to sinks, and the record of each sink that an emitter knows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.events import CallEvent, CallStart, CallStep, SinkLike

if TYPE_CHECKING:
    from toolops_plugins.telemetry.emitter import Emitter

__all__ = ["SinkEntry", "StartedCall"]


class SinkEntry:
    """One added sink, with its failures."""

    __slots__ = ("dropped", "label", "on_call", "on_notice", "on_runtime", "on_start", "on_step")

    def __init__(self, sink: SinkLike) -> None:
        if isinstance(sink, type):
            raise ConfigurationError("sinks", f"takes a sink, not its type: {sink.__name__}(...)?")
        self.on_call: Any = getattr(sink, "on_call", sink)
        self.on_notice: Any = getattr(sink, "on_notice", None)
        self.on_start: Any = getattr(sink, "on_start", None)
        self.on_step: Any = getattr(sink, "on_step", None)
        self.on_runtime: Any = getattr(sink, "on_runtime", None)
        optional = self.on_notice, self.on_start, self.on_step, self.on_runtime
        for function in (self.on_call, *optional):
            if function is None and function is not self.on_call:
                continue
            if not callable(function):
                raise ConfigurationError(
                    "sinks", f"need on_call(event), or to be functions of an event, not {sink!r}"
                )
            if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
                getattr(function, "__call__", None)  # noqa: B004 - its method is wanted, not a test
            ):
                raise ConfigurationError(
                    "sinks", "are called, never awaited; let on_call fill a queue that a task reads"
                )
        self.label = sink.__qualname__ if inspect.isroutine(sink) else type(sink).__qualname__
        if self.on_start is not None and not _takes_two(self.on_call):
            raise ConfigurationError(
                "sinks", f"with on_start need on_call(event, state), which {self.label} has not"
            )
        self.dropped = 0


def _takes_two(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a function in C that does not tell its parameters
        return True
    return True


class StartedCall:
    """A call whose start was handed to sinks, which get its end once, whatever happens.

    Also a sink that was removed meanwhile gets it, and so do all if the call is dropped without an
    end: when an event loop is closed, nobody closes its asynchronous generators.

    Args:
        emitter: Counts the failures of sinks.
        start: The start.
        context: The context in which sinks are told. None: that of whoever tells them, which has to
            be the same for start and end. Default None.
    """

    __slots__ = ("_context", "_emitter", "_ended", "_entries", "_starters", "_states", "start")

    def __init__(self, emitter: Emitter, start: CallStart, context: Context | None = None) -> None:
        self._emitter = emitter
        self._context = context
        self._states: dict[SinkEntry, object] = {}
        self._starters: tuple[SinkEntry, ...] = ()
        self._ended = False
        self.start = start
        self._entries: list[SinkEntry] = []

    @property
    def is_pending(self) -> bool:
        """True if there are sinks that know of the start and not of the end."""
        return bool(self._entries)

    def begin(self) -> None:
        """Hand the start to sinks; for one call."""
        if self._context is None:
            self._begin()
        else:
            self._run(self._begin)

    def end(self, event: CallEvent) -> None:
        """Hand the end to the sinks that got the start, last one first; later ends do nothing.

        A sink that has come since the start is told first.
        """
        if self._context is None:
            self._end(event)
        else:
            self._run(self._end, event)

    def step(self, step: CallStep, other: StartedCall | None = None) -> None:
        """Hand a step to all sinks that take steps, unless the call has ended.

        Args:
            step: The step.
            other: The other call that it concerns, which may have ended. Default None.
        """
        if not self._ended:
            others = {} if other is None else other._states  # noqa: SLF001 - of the same class
            self._emitter.step(step, self._states, others)

    def _run(self, function: Callable[..., None], *args: object) -> None:
        context = self._context
        try:
            if context is not None:
                context.run(function, *args)
        except RuntimeError as error:
            if not str(error).startswith("cannot enter context"):
                raise
            function(*args)  # the caller is in it already

    def _begin(self) -> None:
        start = self.start
        self._starters = self._emitter.starters
        for entry in self._starters:
            # Noted first: whatever an interrupt leaves of its on_start, its on_call follows.
            self._entries.append(entry)
            try:
                self._states[entry] = entry.on_start(start)
            except Exception as error:  # noqa: BLE001 - a sink must not disturb the user's call
                self._emitter.count_failure(entry, error, start.started, start.namespace)

    def _end(self, event: CallEvent) -> None:
        if not self._ended:
            self._ended = True
            if self._emitter.starters is not self._starters:
                known = self._starters
                self._entries += [each for each in self._emitter.starters if each not in known]
        interrupt: BaseException | None = None
        while self._entries:
            entry = self._entries.pop()
            try:
                entry.on_call(event, self._states.get(entry))
            except Exception as error:  # noqa: BLE001 - a sink must not disturb the user's call
                self._emitter.count_failure(entry, error, event.started, event.namespace)
            except BaseException as error:  # noqa: BLE001 - raised once all sinks know the end
                interrupt = error
        if interrupt is not None:
            try:
                raise interrupt
            finally:
                del interrupt  # it would refer to itself through its traceback

    def __del__(self) -> None:
        if getattr(self, "_entries", None):  # there are none if its constructor was interrupted
            start = self.start
            latency = max(self._emitter.clock.time() - start.started, 0.0)
            self.end(
                CallEvent(
                    start.name,
                    "error",
                    latency,
                    start.started,
                    start.namespace,
                    error="GeneratorExit",
                    details=start.details,
                    kind=start.kind,
                )
            )
