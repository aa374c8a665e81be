"""What came of a call, and the events that tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from toolops_plugins.calls.plan import Call
from toolops_plugins.codec import Payload
from toolops_plugins.errors import TooLargeError
from toolops_plugins.keys.encoding_failures import describe_failure
from toolops_plugins.policy import NOTHING
from toolops_plugins.steps import Flow, is_callers
from toolops_plugins.telemetry.events import CallEvent, Notice, NoticeKind, Outcome

__all__ = ["Answer", "notice", "record", "report_failure", "report_refusal", "walk_optional"]


class Answer(NamedTuple):
    """The outcome of a flight, for all callers that share it.

    Args:
        value: The result, which is the leader's own; or NOTHING if it has to be decoded.
        payload: The encoded result, of which every follower gets its own copy; None if no codec
            takes it.
        outcome: "miss" where the function ran; "hit" or "stale"; or "coalesced" where it is the
            answer of another flight, to the same question in other words.
        tier: The tier that it came from.
        took: Seconds that the function took for it.
        price: Money that it cost.
        raises: Whether the value is a remembered exception, to be raised.
        error: The error that a stale answer stands in for.
        semantic: What the semantic cache decided, if the answer is of a question in other words.
        template: A copy of a result that no codec takes, made before the leader had it, of which
            followers get copies; or NOTHING.
        lone: Whether the result is the leader's alone, since copying it could have an effect.
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
    lone: bool = False


def record(call: Call, outcome: Outcome, answer: Answer | None) -> None:
    """Make the event of a call that has ended, count it, and hand it to the sinks."""
    try:
        _record(call, outcome, answer)
    except Exception as error:  # noqa: BLE001 - a call that cannot be counted is a call
        report_failure(call, "event", error)


def walk_optional(call: Call, stage: str, work: Flow, otherwise: Any = None) -> Flow:
    """Walk a part of a call's flow that the call can do without.

    This is where trouble with the cache ends, of whatever kind: a notice is all that comes of it.

    Args:
        call: The call.
        stage: The name of the part, for the notice.
        work: The part; it must not contain the user's function itself.
        otherwise: What is returned in place of its result.

    Raises:
        CallTimeout: The caller's own time is up.
        ConfigurationError: The part was put together wrongly.
    """
    try:
        return (yield from work)
    except Exception as error:
        if is_callers(error):
            raise
        report_failure(call, stage, error)
        return otherwise


def report_failure(call: Call, stage: str, error: Exception) -> None:
    """Tell of a part of this library that failed in a call, which goes on without it."""
    with suppress(Exception):  # to fail in telling of a failure is to say nothing
        notice(call, "stage_failed", f"{stage}: {type(error.__cause__ or error).__name__}")


def _record(call: Call, outcome: Outcome, answer: Answer | None) -> None:
    plan = call.plan
    shared = plan.shared
    latency = shared.clock.monotonic() - call.began
    saved_latency = saved_price = 0.0
    if answer is not None and outcome in ("hit", "stale", "coalesced"):
        saved_latency = max(answer.took - latency, 0.0)
        saved_price = answer.price
    event = CallEvent(
        plan.name,
        outcome,
        latency,
        shared.clock.time() - latency,
        shared.namespace,
        answer.tier if answer is not None else None,
        saved_latency,
        saved_price,
        None if call.key is None else call.key.hex(),
        call.tags,
        call.spent + plan.price_of_failure() * (call.attempts - call.priced),
        call.attempts,
        call.reason,
        None if call.error is None else type(call.error).__name__,
        call.hedged,
        None if answer is None else answer.semantic,
    )
    plan.stats.record(event)
    if shared.emitter.active:
        shared.emitter.emit(event)


def report_refusal(call: Call, error: Exception, value: object) -> None:
    """Tell the sinks that no codec takes a value, or that it is too large to be kept.

    Args:
        call: The call whose result, or error, it is.
        error: What the codec raised.
        value: The value.
    """
    detail = describe_failure(error, value)
    notice(call, "too_large" if isinstance(error, TooLargeError) else "not_encodable", detail)


def notice(call: Call, kind: NoticeKind, detail: str) -> None:
    """Tell the sinks of something about a tool that is no call."""
    shared = call.plan.shared
    shared.emitter.notice(
        Notice(kind, call.plan.name, detail, shared.clock.time(), shared.namespace)
    )
