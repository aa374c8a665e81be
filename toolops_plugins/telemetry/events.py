"""Events of calls, notices of trouble, and the sinks that receive them.

A :class:`CallEvent` describes one call, a :class:`Notice` anything else. *Sinks* receive both:
objects with ``on_call(event)`` and, optionally, ``on_notice(notice)``, or plain functions of a
CallEvent. A :class:`StartSink` is told when a call starts, too. Sinks run inside the user's call,
in the thread or event loop of that call, so a sink must be quick, must not block and must be
thread-safe. A sink with real work to do puts the event into a queue of its own.

Events hold no argument, result or exception message, since these may be secret; but see
:attr:`CallEvent.semantic`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, get_args

__all__ = [
    "OUTCOMES",
    "CallEvent",
    "CallKind",
    "CallStart",
    "CallStep",
    "Details",
    "Notice",
    "NoticeKind",
    "Outcome",
    "Sink",
    "SinkLike",
    "StartSink",
    "StepKind",
    "attributes",
]

Details: TypeAlias = Mapping[str, str | int | float | bool]
"""Facts about a call by name, which receivers must not change."""

CallKind: TypeAlias = Literal["tool", "chat", "text_completion", "embeddings"]
"""The kind of the callee: a tool, or a model by the operation that it is asked for."""

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
    "flights_full",
    "ledger_failed",
    "ledger_recovered",
]
"""The kind of a notice.

- ``tier_failed``: ``name`` is the tier's label, ``detail`` the type of the failure, or a few words
  about an embedder. The label of the semantic cache is "semantic".
- ``tier_recovered``: ``name`` is the label of a tier that had failed and now works; ``calls`` and
  ``seconds`` say how many calls went on without it, and for how long.
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
  policy, ``detail`` the reason, and ``place`` the parameter that is to blame; for the first such
  call, and then once a minute at most, with the number of ``calls``.
- ``refresh_failed``: ``name`` is the tool, ``detail`` the exception's type.
- ``invalidated``: another process invalidated; ``name`` is the tier that received the message.
- ``threads_full``: ``name`` is a tool whose calls wait for a thread, ``detail`` says who holds
  them.
- ``flights_full``: ``name`` is a tool whose equal calls are not joined, since too many other
  calls are under way, as ``detail`` says; for the first such call, and then once a minute at most,
  with the number of ``calls``.
- ``ledger_failed``, ``ledger_recovered``: as those of a tier, for the ledger.
- ``sink_failed``: ``name`` is the sink's type, ``detail`` the exception's type; for the first
  failure, and then once a minute at most, with the number of failures in ``calls``.
- ``stage_failed``: a part of this library failed in a call, which continued without it; ``name`` is
  the tool, ``detail`` the part and the exception's type.
"""

StepKind: TypeAlias = Literal[
    "retry",
    "hedge",
    "rejected",
    "limit_wait",
    "bulkhead_wait",
    "thread_wait",
    "breaker",
    "joined",
]
"""The kind of a step inside of a call.

- ``retry``: an attempt failed and another one follows; ``seconds`` is the pause before it.
- ``hedge``: a second attempt is raced against the first, ``seconds`` after it.
- ``rejected``: a policy refused the attempt; ``detail`` is the reason, as in a
  :class:`CallEvent`.
- ``limit_wait``, ``bulkhead_wait``, ``thread_wait``: the attempt waited ``seconds`` for the rate
  limit, for a place in the bulkhead, or for a thread.
- ``breaker``: the outcome of the attempt changed the state of the circuit breaker; ``detail`` is
  its new state.
- ``joined``: the call got the answer of another call that was under way; ``other`` is the state of
  that one.
"""


class CallStart(NamedTuple):
    """A call that starts; its :class:`CallEvent` follows when it has ended.

    Args:
        name: The tool's name.
        namespace: The runtime's namespace.
        started: Seconds since the epoch at which the call was made.
        kind: The kind of the callee.
        details: What is known before the call, by name: "model" (the one that is asked for),
            "provider", "agent". None: nothing. Receivers must not change it.
        stream: Whether the caller reads a stream.
        background: Whether it is a refresh in the background, for which nobody waits. It starts in
            a copy of the context of the call that caused it.
        over: Whether the call is over: its caller has asked the callee itself, between a lookup and
            a store.
        encloses: Whether the framework's own run of the callee happens inside of the call, as it
            does behind a middleware; so an instrumentation of the framework has a span there.
    """

    name: str
    namespace: str = ""
    started: float = 0.0
    kind: CallKind = "tool"
    details: Details | None = None
    stream: bool = False
    background: bool = False
    over: bool = False
    encloses: bool = False


class CallStep(NamedTuple):
    """Something that happens inside of a call.

    Args:
        kind: The kind; see :data:`StepKind`.
        attempt: The number of the attempt that it concerns, from 1.
        seconds: A duration, whose meaning depends on the kind. Else 0.
        error: Type name of the exception that is the cause. "": there is none.
        detail: A machine word more; see the kinds. Else "".
        name: The tool's name.
        namespace: The runtime's namespace.
        other: What ``on_start`` of this sink has returned for the other call that is concerned.
            None: there is none, or its start is not known.
    """

    kind: StepKind
    attempt: int = 0
    seconds: float = 0.0
    error: str = ""
    detail: str = ""
    name: str = ""
    namespace: str = ""
    other: Any = None


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
            "too_risky"), "policy", "similarity", the evidence, and for an answer its "question":
            the only text of a user in an event, and none of :func:`attributes`.
            None: it was not asked. Receivers must not change it.
        details: Further details, such as a model's "input_tokens", by name. None: none. Receivers
            must not change them either.
        kind: The kind of the callee.
        worked: Seconds that the function itself worked for this call: the sum of its attempts,
            without waits between them or for limits and threads; of a stream, without its
            readers' pauses. 0 where it did not run.
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
    semantic: Details | None = None
    details: Details | None = None
    kind: CallKind = "tool"
    worked: float = 0.0

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
        calls: Of a breaker that closes: calls that were rejected since it opened. Of a recovery:
            calls that went on without what failed. Of a kind that is emitted once a minute at most:
            calls since the last one, this one included. Else 0.
        place: Of a bypass for an argument without a canonical form: the parameter's name; "*args"
            or "**options" for one of the rest, "self." for the object of a method, "model." for a
            guarded model and what it is asked, "key=" or "tenant=" for what such a function
            returned. Else "".
        seconds: Of a recovery, and of a breaker that closes: the time since the first failure that
            was reported. Else 0.
    """

    kind: NoticeKind
    name: str
    detail: str = ""
    started: float = 0.0
    namespace: str = ""
    error: str = ""
    calls: int = 0
    place: str = ""
    seconds: float = 0.0


class Sink(Protocol):
    """A receiver of events. If it also has ``on_notice(notice)``, it receives notices too.

    If it has ``on_runtime(state)``, it gets once, from each runtime that it is given to, a function
    that returns the present :class:`~toolops_plugins.telemetry.runtime_state.RuntimeState`, or
    None once the runtime is gone.
    """

    def on_call(self, event: CallEvent, /) -> object:
        """Receive the event of a call; the result is ignored."""
        ...


class StartSink(Protocol):
    """A sink that is told when a call starts, too, such as one that makes spans.

    For each ``on_start`` there is exactly one ``on_call``, whatever ends the call, and both run in
    the same context: a context variable that ``on_start`` sets can be reset by its token in
    ``on_call``. The function sees that variable, as do its threads, its tasks, its further attempts
    and the calls that it makes. The reader of a stream does not, since a stream has a context of
    its own.

    Of several such sinks the last one that was told of the start is the first one that is told of
    the end. Sinks without ``on_start`` are told of the end before them.

    If it has ``on_step(step, state)``, it also receives each :class:`CallStep`, in the thread in
    which that happens. (``on_step`` of a sink without ``on_start`` has None for the state.)
    """

    def on_start(self, start: CallStart, /) -> object:
        """Receive the start of a call; return a state for its ``on_call``."""
        ...

    def on_call(self, event: CallEvent, state: Any, /) -> object:
        """Receive the event of a call, with what ``on_start`` returned for it.

        The state is None where there was no start: the sink was added in the middle of the call,
        ``on_start`` failed, or the call was reported afterwards (:meth:`ToolOps.tell`).
        """
        ...


SinkLike: TypeAlias = Sink | StartSink | Callable[[CallEvent], object]


def attributes(event: CallEvent) -> dict[str, str | int | float | bool]:
    """Return an event as flat attributes, for traces and structured logs.

    The names are the fields' own after ``toolops.``, with ``toolops.tool`` for the name. Durations
    are in seconds. Tags are joined by commas, and each detail has a name of its own under
    ``toolops.semantic.`` or ``toolops.details.``. Fields without a value are left out, as is
    ``started``, since spans and log lines have their own time.
    """
    found: dict[str, str | int | float | bool] = {
        "toolops.tool": event.name,
        "toolops.kind": event.kind,
        "toolops.outcome": event.outcome,
        "toolops.latency": event.latency,
        "toolops.worked": event.worked,
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
        if name != "question":
            found[f"toolops.semantic.{name}"] = value
    for name, value in (event.details or {}).items():
        found[f"toolops.details.{name}"] = value
    return found
