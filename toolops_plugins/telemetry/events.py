"""Events of calls, notices of trouble, and the emitter that hands them to sinks.

A :class:`CallEvent` describes one call, a :class:`Notice` anything else. An :class:`Emitter` hands
both to *sinks*: objects with ``on_call(event)`` and, optionally, ``on_notice(notice)``, or plain
functions of a CallEvent. Sinks run inside the user's call, in the thread or event loop of that
call, so a sink must be quick, must not block and must be thread-safe. A sink with real work to do
puts the event into a queue of its own.

Events hold no argument, result or exception message, since these may be secret.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, get_args

from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.log import ProblemLog

__all__ = [
    "OUTCOMES",
    "CallEvent",
    "Emitter",
    "Notice",
    "NoticeKind",
    "Outcome",
    "Sink",
    "SinkLike",
    "attributes",
]

Outcome: TypeAlias = Literal[
    "hit", "stale", "coalesced", "miss", "fallback", "rejected", "error", "bypass", "refresh"
]
"""The outcome of a call.

- ``hit``: a fresh answer from a cache tier, or from the semantic cache. A stored exception
  that was raised again is a hit too, with ``error`` set.
- ``stale``: an answer past its ``fresh_until``, served while a new one is fetched or in place of
  an error; in the latter case ``error`` is set.
- ``coalesced``: the answer of an equal call that was already under way.
- ``miss``: the function ran, and returned. With ``reason`` set its result was not stored.
- ``fallback``: the policy's fallback answered; ``error`` names the failure.
- ``rejected``: a policy refused to make the call, and the caller got the ``Rejected`` error.
- ``error``: any other exception reached the caller: from the function, from the flight that it had
  joined, or for lack of time.
- ``bypass``: the function ran, and returned, without a lookup in the cache.
- ``refresh``: the function ran in the background, ahead of expiry or behind a stale answer. No
  caller waited, so it is not a call; but its price was paid. With ``error`` set it failed.
"""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

NoticeKind: TypeAlias = Literal[
    "tier_failed",
    "tier_recovered",
    "folder_in_use",
    "unknown_format",
    "tampered",
    "not_encodable",
    "too_large",
    "breaker",
    "bypass",
    "refresh_failed",
    "invalidated",
    "sink_failed",
    "stage_failed",
    "threads_full",
]
"""The kind of a notice.

- ``tier_failed``: ``name`` is the tier's label, ``detail`` the type of the failure, or a few words
  about an embedder. The label of the semantic cache is "semantic".
- ``tier_recovered``: ``name`` is the label of a tier that had failed and now works.
- ``folder_in_use``: another process uses the folder of the semantic cache, so a call went on
  without it; ``detail`` says what to do.
- ``unknown_format``, ``tampered``: ``name`` is the tier that held the bytes, or "semantic", or the
  tier whose server passed on a message that is not signed; or the tool, if the bytes only failed
  when a call decoded them.
- ``not_encodable``: ``name`` is the tool whose result, or stored exception, no codec takes;
  ``detail`` the unknown type and its place in the result.
- ``too_large``: ``name`` is the tool whose result is larger than the codec's ``max_value_bytes``.
- ``breaker``: ``name`` is the breaker's, ``detail`` its old and new state.
- ``bypass``: ``name`` is a tool whose calls bypass the cache, or miss some other part of their
  policy, ``detail`` the reason; once for each pair.
- ``refresh_failed``: ``name`` is the tool, ``detail`` the exception's type.
- ``invalidated``: another process invalidated; ``name`` is the tier that received the message.
- ``threads_full``: ``name`` is a tool whose calls wait for a thread, ``detail`` says who holds
  them.
- ``sink_failed``: ``name`` is the sink's type, ``detail`` the exception's type; once for each sink.
- ``stage_failed``: a part of this library failed in a call, which continued without it; ``name`` is
  the tool, ``detail`` the part and the exception's type.
"""


class CallEvent(NamedTuple):
    """One call, from its start to its caller's answer.

    A named tuple, since a frozen dataclass takes four times as long to make. Fields are ordered so
    that a hit can be described by position. A field that does not apply to the outcome keeps its
    default.

    Args:
        name: The tool's name.
        outcome: How the call ended; see :data:`Outcome`.
        latency: Seconds that the caller waited; for a refresh, that the function took.
        started: Seconds since the epoch at which the call was made.
        namespace: The runtime's namespace.
        tier: Label of the tier that answered, such as "L1"; for hit and stale.
        saved_latency: Seconds that the caller was spared: the time of the answer's computation,
            less ``latency``, and never below 0; for hit and stale. For coalesced the known part of
            it, else 0.
        saved_price: Money that was not spent again; for hit, stale and coalesced.
        key: The key's digest in hexadecimal, whole or its beginning. None: the call has no key.
        tags: The call's tags.
        price: Money that this call spent, its failed attempts included where they are priced; for
            miss, bypass and refresh, and for fallback and error after the function had run.
        attempts: How often the function was started for this call. 0 where the answer came from
            elsewhere, or the call was rejected.
        reason: A short machine word: the reason for no key, lookup or store ("not_canonical",
            "no_cache", "not_encodable", "not_forgotten", ...), or for a rejection ("circuit_open",
            "rate_limited", "bulkhead_full"). None: none of these.
        error: Type name of the exception that the caller got, or would have got without the
            fallback or stale answer. Never its message.
        hedged: Whether a second attempt was raced against the first.
        semantic: The decision of the semantic cache by name: "verdict" ("served", "exact",
            "joined", or the reason for a refusal, such as "below_threshold", "vetoed",
            "too_risky"), "policy", "similarity", the evidence, and for an answer its "question".
            None: it was not asked. Receivers must not change it.
        details: Further details, such as a model's "input_tokens", by name. None: none. Receivers
            must not change them either.
    """

    name: str
    outcome: Outcome
    latency: float
    started: float = 0.0
    namespace: str = ""
    tier: str | None = None
    saved_latency: float = 0.0
    saved_price: float = 0.0
    key: str | None = None
    tags: tuple[str, ...] = ()
    price: float = 0.0
    attempts: int = 0
    reason: str | None = None
    error: str | None = None
    hedged: bool = False
    semantic: Mapping[str, str | int | float | bool] | None = None
    details: Mapping[str, str | int | float | bool] | None = None

    @property
    def retried(self) -> bool:
        """True if the function was started again after a failure."""
        return self.attempts > 1 + self.hedged

    @property
    def asked_cache(self) -> bool:
        """True if the call's answer might have come from the cache or a shared flight.

        These are the calls with a key, except for those that bypassed the cache. A refresh is none,
        since no caller asked for it.
        """
        return self.key is not None and self.outcome not in ("bypass", "refresh")


class Notice(NamedTuple):
    """An event beside calls: trouble with a tier or a codec, or a breaker's change of state.

    Args:
        kind: The kind; see :data:`NoticeKind`.
        name: The tier, tool, breaker or sink concerned.
        detail: A word or two more, without secrets: a state, a reason, an exception's type.
        started: Seconds since the epoch at which it happened.
        namespace: The runtime's namespace.
        error: Of a breaker that opens: the type of the last failure, if there was one. Of a bypass:
            the type of the exception, or of the argument that has no canonical form. Else "".
        calls: Of a breaker that closes: calls that were rejected since it opened. Else 0.
    """

    kind: NoticeKind
    name: str
    detail: str = ""
    started: float = 0.0
    namespace: str = ""
    error: str = ""
    calls: int = 0


class Sink(Protocol):
    """A receiver of events. If it also has ``on_notice(notice)``, it receives notices too."""

    def on_call(self, event: CallEvent, /) -> object:
        """Receive the event of a call; the result is ignored."""
        ...


SinkLike: TypeAlias = Sink | Callable[[CallEvent], object]


def attributes(event: CallEvent) -> dict[str, str | int | float | bool]:
    """Return an event as flat attributes, for traces and structured logs.

    The names are the fields' own after ``toolops.``, with ``toolops.tool`` for the name. Durations
    are in seconds. Tags are joined by commas, and each detail has a name of its own under
    ``toolops.semantic.`` or ``toolops.details.``. Fields without a value are left out, as is
    ``started``, since spans and log lines have their own time.
    """
    found: dict[str, str | int | float | bool] = {
        "toolops.tool": event.name,
        "toolops.outcome": event.outcome,
        "toolops.latency": event.latency,
        "toolops.saved_latency": event.saved_latency,
        "toolops.price": event.price,
        "toolops.saved_price": event.saved_price,
        "toolops.attempts": event.attempts,
        "toolops.hedged": event.hedged,
    }
    texts = {
        "toolops.namespace": event.namespace,
        "toolops.tier": event.tier,
        "toolops.key": event.key,
        "toolops.tags": ",".join(event.tags),
        "toolops.reason": event.reason,
        "toolops.error": event.error,
    }
    found.update((name, text) for name, text in texts.items() if text)
    for name, value in (event.semantic or {}).items():
        found[f"toolops.semantic.{name}"] = value
    for name, value in (event.details or {}).items():
        found[f"toolops.details.{name}"] = value
    return found


class _SinkEntry:
    """One added sink, with its failures."""

    __slots__ = ("dropped", "label", "on_call", "on_notice")

    def __init__(self, sink: SinkLike) -> None:
        if isinstance(sink, type):
            raise ConfigurationError("sinks", f"takes a sink, not its type: {sink.__name__}(...)?")
        on_call: Any = getattr(sink, "on_call", sink)
        on_notice: Any = getattr(sink, "on_notice", None)
        for function in (on_call, on_notice) if on_notice is not None else (on_call,):
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
        self.on_call = on_call
        self.on_notice = on_notice
        self.label = sink.__qualname__ if inspect.isroutine(sink) else type(sink).__qualname__
        self.dropped = 0


class Emitter:
    """Hands events to sinks, and keeps the failures of sinks away from calls.

    Notices are also written to the log; see :mod:`toolops_plugins.telemetry.log`. Emitting takes no
    lock: it walks a tuple that adding and removing replace. A sink that raises misses that one
    event, which is counted; KeyboardInterrupt and similar exceptions pass. Safe to use from any
    threads and event loops.

    Args:
        sinks: The first sinks.
        max_warnings: Pairs of tool and reason that :meth:`warn` remembers; past them it warns no
            more. Default 1,000.
        clock: The clock that limits how often the log repeats a cause.

    Raises:
        ConfigurationError: A sink cannot be called, or is a coroutine function.
    """

    __slots__ = ("__weakref__", "_entries", "_lock", "_log", "_max_warnings", "_warnings", "active")

    active: bool
    """True if there is a sink; without one there is no need to make events."""

    def __init__(
        self,
        sinks: Iterable[SinkLike] = (),
        *,
        max_warnings: int = 1_000,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        # Reentrant: a signal handler or a finalizer may call a tool while its thread is in here.
        self._lock = fork_safe(self, threading.RLock())
        self._entries = tuple(_SinkEntry(sink) for sink in sinks)
        self._warnings: set[tuple[str, str]] = set()
        self._max_warnings = max_warnings
        self._log = ProblemLog(clock)
        self.active = bool(self._entries)

    def add(self, sink: SinkLike) -> Callable[[], None]:
        """Add a sink, and return a function that removes it again.

        A sink that is added twice receives everything twice. The function may be called more than
        once; an event that is being emitted meanwhile may still arrive.

        Raises:
            ConfigurationError: The sink cannot be called, or is a coroutine function.
        """
        entry = _SinkEntry(sink)
        with self._lock:
            self._entries = (*self._entries, entry)
            self.active = True

        def remove() -> None:
            with self._lock:
                self._entries = tuple(other for other in self._entries if other is not entry)
                self.active = bool(self._entries)

        return remove

    def emit(self, event: CallEvent) -> None:
        """Hand an event to every sink."""
        for entry in self._entries:
            try:
                entry.on_call(event)
            except Exception as error:  # noqa: BLE001 - a sink must not disturb the user's call
                self._count_failure(entry, error, event.started, event.namespace)

    def notice(self, notice: Notice) -> None:
        """Write a notice to the log, and hand it to every sink that takes notices."""
        self._log.write_notice(*notice)
        for entry in self._entries:
            if entry.on_notice is None:
                continue
            try:
                entry.on_notice(notice)
            except Exception as error:  # noqa: BLE001 - a sink must not disturb the user's call
                self._count_failure(entry, error, notice.started, notice.namespace)

    def warn(
        self,
        name: str,
        reason: str,
        *,
        started: float = 0.0,
        namespace: str = "",
        error: str = "",
    ) -> None:
        """Warn once that calls of a name bypass the cache: in the log, and by a "bypass" notice.

        Args:
            name: The name that the calls are counted by, such as a tool's.
            reason: The machine word that its events carry too.
            started: Seconds since the epoch.
            namespace: The runtime's namespace.
            error: The type of the exception, or of the argument, that is the cause.
        """
        pair = (name, reason)
        # Read without the lock first, since a tool that bypasses comes here with every call.
        if pair in self._warnings:
            return
        with self._lock:
            if pair in self._warnings or len(self._warnings) >= self._max_warnings:
                return
            self._warnings.add(pair)
        self.notice(Notice("bypass", name, reason, started, namespace, error))

    @property
    def dropped(self) -> dict[str, int]:
        """Events and notices that the present sinks failed to take, by the sink's type or name."""
        counts: dict[str, int] = {}
        for entry in self._entries:
            counts[entry.label] = counts.get(entry.label, 0) + entry.dropped
        return counts

    def _count_failure(
        self, entry: _SinkEntry, error: Exception, started: float, namespace: str
    ) -> None:
        with self._lock:
            entry.dropped += 1
            first = entry.dropped == 1
        # Reported once: a broken sink fails at every call, and each notice may make another fail.
        if first:
            kind = type(error).__name__
            self.notice(Notice("sink_failed", entry.label, kind, started, namespace))
