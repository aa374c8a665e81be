"""What came of a call, and the events that tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from toolops_plugins.codec import Payload
from toolops_plugins.plan import Call
from toolops_plugins.telemetry.events import CallEvent, Notice, NoticeKind, Outcome

__all__ = ["Answer", "notice", "record"]


class Answer(NamedTuple):
    """What a flight brings to everybody aboard.

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


def record(call: Call, outcome: Outcome, answer: Answer | None) -> None:
    """Make the event of a call that has ended, count it, and hand it to the sinks."""
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


def notice(call: Call, kind: NoticeKind, detail: str) -> None:
    """Tell the sinks of something about a tool that is no call."""
    shared = call.plan.shared
    shared.emitter.notice(
        Notice(kind, call.plan.name, detail, shared.clock.time(), shared.namespace)
    )
