"""The answer of a flight, and the events and notices of a call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple, NoReturn

from toolops_plugins.calls.call import Call
from toolops_plugins.calls.hooks import emit_step, start_call
from toolops_plugins.coalesce.error_copies import copy_error
from toolops_plugins.codec import Payload
from toolops_plugins.errors import (
    BulkheadFull,
    CircuitOpen,
    RateLimited,
    Rejected,
    ThreadPoolFull,
    TooLargeError,
)
from toolops_plugins.keys.encoding_failures import describe_failure
from toolops_plugins.policy import NOTHING
from toolops_plugins.telemetry.events import CallEvent, Details, Notice, NoticeKind, Outcome
from toolops_plugins.telemetry.started_call import StartedCall

__all__ = [
    "Answer",
    "StreamResult",
    "emit_notice",
    "emit_rejection",
    "end_abandoned_call",
    "merge_details",
    "raise_cached_error",
    "record_aside",
    "record_call",
    "record_failure",
    "record_pending",
    "report_failure",
    "report_full_table",
    "report_refusal",
    "tags_of",
]


class Answer(NamedTuple):
    """The outcome of a flight, for all callers that share it.

    Args:
        value: The result, for the leader only; or NOTHING if it has to be decoded.
        payload: The encoded result, from which every follower gets its own copy; None if no codec
            takes it.
        outcome: "miss" if the function ran; "hit" or "stale" if it came from the cache;
            "coalesced" if it came from the flight of the same question in other words.
        tier: The label of the tier that held it, or None.
        took: Seconds that the function took.
        price: Money that it cost.
        raises: Whether the value is a cached exception, to be raised.
        error: The error in whose place a stale answer is served, or None.
        semantic: The details of the semantic cache's decision, or None.
        template: A copy of a result that no codec takes, from which followers get copies; or
            NOTHING. It was made before the leader got the result.
        single_use: Whether only the leader gets the result, since copying it could have an effect.
        start: The start of the call that ran the function, if sinks have been told of it.
    """

    value: Any
    payload: Payload | None
    outcome: Literal["hit", "stale", "miss", "coalesced"]
    tier: str | None = None
    took: float = 0.0
    price: float = 0.0
    raises: bool = False
    error: Exception | None = None
    semantic: Mapping[str, str | int | float | bool] | None = None
    template: Any = NOTHING
    single_use: bool = False
    start: StartedCall | None = None


class StreamResult(NamedTuple):
    """The result of a call that is a stream. Its event is made when it has been read.

    Args:
        value: A recording under way that the call has joined; or, from the cache, the items and
            what the generator returned; or the fallback.
        outcome: How the call ended, unless reading fails.
        answer: For the event.
    """

    value: Any
    outcome: Outcome
    answer: Answer | None


# A named tuple's own constructor, in Python, takes twice as long.
_new_event: Callable[[type[CallEvent], tuple[Any, ...]], CallEvent] = tuple.__new__

_REJECTIONS: dict[type[BaseException], str] = {
    CircuitOpen: "circuit_open",
    ThreadPoolFull: "thread_pool_full",
    RateLimited: "rate_limited",
    BulkheadFull: "bulkhead_full",
}


def tags_of(call: Call) -> tuple[str, ...]:
    """Return the tags of a call; if they cannot be made, the call loses its key."""
    if call.key is None:
        return call.plan.tagger.fixed or ()
    try:
        return call.plan.tagger.tags(call.args, call.kwargs)
    except Exception as error:  # noqa: BLE001 - a result that no tag can invalidate is not stored
        call.key, call.reason = None, "tags_failed"
        call.plan.warn("tags_failed", type(error).__name__)
        return ()


def raise_cached_error(answer: Answer) -> NoReturn:
    """Raise a copy of the exception that is the value of an answer.

    The memory tier and all followers of a flight may share one exception object.
    """
    raise copy_error(answer.value).with_traceback(None)


def record_failure(call: Call, error: BaseException, answer: Answer | None) -> None:
    """Count a call that has raised, and emit its event.

    Args:
        call: The call.
        error: The error that its caller gets.
        answer: The answer that holds the error, if it is a cached one; or None.
    """
    call.error = type(error).__name__
    outcome: Outcome
    if answer is not None:
        outcome = "hit"
    else:
        outcome = "rejected" if isinstance(error, Rejected) else "error"
        call.reason = _REJECTIONS.get(type(error)) or call.reason
    record_call(call, outcome, answer)


def record_call(call: Call, outcome: Outcome, answer: Answer | None, value: Any = NOTHING) -> None:
    """Count a call that has ended, and emit its event.

    Args:
        call: The call.
        outcome: How it ended.
        answer: The answer that its caller got, or None.
        value: The value that its caller got; of a stream, its items. Default ``NOTHING``: it says
            nothing about the call.
    """
    try:
        _count(call, outcome, answer, value)
    except Exception as error:  # noqa: BLE001 - the call itself has ended well
        report_failure(call, "event", error)


def record_aside(call: Call, outcome: Outcome, answer: Answer) -> None:
    """Record a call that its caller has made between a lookup and a store.

    Sinks are told of its start and of its end at once, since its start left nothing behind whose
    end could be missed: a caller may never come back with the result.
    """
    try:
        if call.plan.shared.emitter.starters:
            start_call(call, over=True)
        record_call(call, outcome, answer, answer.value)
    finally:
        end_abandoned_call(call)


def end_abandoned_call(call: Call) -> None:
    """Tell the sinks that were told of a call's start of its end, unless they know.

    A call that nobody waits for any more is not counted: its coroutine is closed by the garbage
    collector, at some time.
    """
    start = call.start
    if start is not None and start.is_pending:
        error = sys.exception()
        call.error = call.error or ("GeneratorExit" if error is None else type(error).__name__)
        latency = call.plan.shared.clock.monotonic() - call.began
        start.end(_event(call, "error", latency, _price(call)))


def record_pending(call: Call) -> None:
    """Count the calls whose latencies wait for that."""
    try:
        call.plan.stats.count_pending()
    except Exception as error:  # noqa: BLE001 - the call itself has ended well
        report_failure(call, "event", error)


def report_failure(call: Call, stage: str, error: Exception) -> None:
    """Emit a notice that a stage of this library failed; the call goes on without it."""
    with suppress(Exception):  # there is nobody else to tell
        cause = error if error.__cause__ is None else error.__cause__
        emit_notice(call, "stage_failed", f"{stage}: {type(cause).__name__}")


def _count(call: Call, outcome: Outcome, answer: Answer | None, value: Any) -> None:
    plan = call.plan
    shared = plan.shared
    latency = shared.clock.monotonic() - call.began
    saved_latency = saved_price = 0.0
    tier = None
    if answer is not None:
        tier = answer.tier
        if outcome in ("hit", "stale", "coalesced"):
            saved_latency = max(answer.took - latency, 0.0)
            saved_price = answer.price
    price = _price(call)
    asked_cache = call.key is not None and outcome not in ("bypass", "refresh")
    event = None
    if shared.emitter.active or plan.stats.tally is not None:
        event = _event(call, outcome, latency, price, answer, saved_latency, saved_price, value)
    plan.stats.count(
        outcome, latency, call.attempts, price, saved_latency, saved_price, tier, asked_cache,
        call.reason, event,
    )  # fmt: skip
    if event is None or not shared.emitter.active:
        return
    if outcome == "coalesced" and answer is not None and shared.emitter.steppers:
        emit_step(call, "joined", other=_start_of_maker(answer, stream=plan.stream))
    shared.emitter.emit(event, call.start)


def _start_of_maker(answer: Answer, *, stream: bool) -> StartedCall | None:
    """Return the start of the call that made an answer, as far as sinks have been told of it."""
    if not stream:
        return answer.start
    maker = getattr(answer.value, "owner", None)  # of a recording
    return maker.start if isinstance(maker, Call) else None


def _price(call: Call) -> float:
    plan = call.plan
    if plan.policy.price is None:
        return call.spent
    return call.spent + plan.price_of_failure() * (call.attempts - call.charges)


def _event(
    call: Call,
    outcome: Outcome,
    latency: float,
    price: float,
    answer: Answer | None = None,
    saved_latency: float = 0.0,
    saved_price: float = 0.0,
    value: Any = NOTHING,
) -> CallEvent:
    plan = call.plan
    shared = plan.shared
    started = shared.clock.time() - latency if call.start is None else call.start.start.started
    return _new_event(
        CallEvent,
        (
            plan.name,
            outcome,
            latency,
            started,
            shared.namespace,
            None if answer is None else answer.tier,
            saved_latency,
            saved_price,
            None if call.key is None else call.key.hex(),
            call.tags,
            price,
            call.attempts,
            call.reason,
            call.error,
            call.hedged,
            _describe_semantic(call, answer),
            _details(call, outcome, value),
            plan.kind,
            call.worked,
        ),
    )


def _describe_semantic(call: Call, answer: Answer | None) -> Details | None:
    """Return the decision of the semantic cache, a refusal too; None: it was not asked."""
    if answer is not None and answer.semantic is not None:
        return answer.semantic
    return None if call.lookup is None else call.lookup.describe()


def _details(call: Call, outcome: Outcome, value: Any) -> Details | None:
    plan = call.plan
    if plan.describe_start is None and plan.describe_result is None:
        return None
    if call.start is None:
        known = plan.details_of_start(call.args, call.kwargs)
    else:
        known = call.start.start.details
    return merge_details(known, plan.details_of_result(value), outcome)


def merge_details(known: Details | None, found: Details | None, outcome: Outcome) -> Details | None:
    """Return what was known before a call and what its result says, as its event's details.

    Tokens of an answer that came from elsewhere were saved: "input_tokens" is named
    "saved_input_tokens" there.

    Args:
        known: What was known before, or None.
        found: What the result says, or None.
        outcome: How the call ended.
    """
    if not found:
        return known
    if outcome in ("hit", "stale", "coalesced"):
        found = {
            f"saved_{name}" if name.endswith("_tokens") else name: value
            for name, value in found.items()
        }
    return {**(known or {}), **found}


def report_refusal(call: Call, error: Exception, value: object) -> None:
    """Emit a notice that no codec takes a value, or that it is too large to be stored.

    Args:
        call: The call that returned or raised the value.
        error: The error of the codec.
        value: The value.
    """
    detail = describe_failure(error, value)
    emit_notice(call, "too_large" if isinstance(error, TooLargeError) else "not_encodable", detail)


def emit_rejection(call: Call, error: Rejected) -> None:
    """Tell sinks that a policy refused an attempt of a call."""
    emit_step(call, "rejected", error=error, detail=_REJECTIONS.get(type(error), ""))


def report_full_table(call: Call, detail: str) -> None:
    """Emit a notice, once a minute at most, that nobody can join a call, with the reason."""
    shared = call.plan.shared
    shared.emitter.notice_rarely(
        Notice("flights_full", call.plan.name, detail, shared.clock.time(), shared.namespace)
    )


def emit_notice(call: Call, kind: NoticeKind, detail: str) -> None:
    """Emit a notice about the tool of a call."""
    shared = call.plan.shared
    shared.emitter.notice(
        Notice(kind, call.plan.name, detail, shared.clock.time(), shared.namespace)
    )
