"""Turn results into cache entries, and entries and answers back into values for callers."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, Final, Literal

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.calls.answer import Answer, emit_notice, report_full_table, report_refusal
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.negative_cache import CachedError
from toolops_plugins.coalesce.streams import BaseRecording
from toolops_plugins.coalesce.value_copies import LARGE, copy_value, count_parts
from toolops_plugins.codec import Payload
from toolops_plugins.errors import TooLargeError
from toolops_plugins.policy import NOTHING, Cache

__all__ = [
    "LARGE_ANSWER",
    "LARGE_BYTES",
    "copy_large",
    "copy_large_answer",
    "copy_small_answer",
    "decode_entry",
    "encode_result",
    "is_cacheable",
    "is_refresh_due",
    "make_entry",
    "stale_value",
    "start_stream",
]

LARGE_ANSWER: Final = object()
"""Stands for the copy of an answer that is too large to be made on an event loop."""
LARGE_BYTES = 256 * 1024
"""Encoded bytes from which on a follower's copy is made in a thread: about a millisecond."""


def make_entry(
    call: Call,
    cache: Cache,
    payload: Payload,
    took: float,
    price: float,
    kind: Literal["value", "stream"] = "value",
    ttl: float | None = None,
) -> Entry:
    """Return the cache entry of a result.

    Args:
        call: The call.
        cache: The cache policy.
        payload: The encoded result.
        took: Seconds that the function took.
        price: Money that the call cost.
        kind: The kind of result. Default "value".
        ttl: Seconds that it is fresh. None: as the policy says.
    """
    plan = call.plan
    lifetimes = plan.lifetimes
    now = plan.shared.clock.monotonic()
    if ttl is None:
        ttl = plan.tiers.longest_ttl if lifetimes.ttl is None else lifetimes.ttl
    fresh = now + ttl * (1.0 - cache.jitter * random.random())  # noqa: S311 - not for secrets
    return Entry(payload, now, fresh, fresh + lifetimes.stale, took, price, call.tags, kind)


def encode_result(call: Call, value: Any, *, report: bool) -> Payload | None:
    """Return the encoded result, or None if no codec takes it.

    Args:
        call: The call.
        value: The result.
        report: Whether to tell the sinks of a result that cannot be encoded.
    """
    try:
        return call.plan.shared.codec.encode(value)
    except Exception as error:  # noqa: BLE001 - a value's own methods may raise anything
        too_large = isinstance(error, TooLargeError)
        call.reason = call.reason or ("too_large" if too_large else "not_encodable")
        if report:
            report_refusal(call, error, value)
        return None


def is_cacheable(call: Call, cache: Cache, value: Any) -> bool:
    """Return whether ``Cache(when=...)`` accepts a result. A predicate that fails does not."""
    if cache.when is None:
        return True
    try:
        accepts = bool(cache.when(value))
    except Exception as error:  # noqa: BLE001 - the predicate is the user's
        call.plan.warn("when_failed", type(error).__name__)
        accepts = False
    if not accepts:
        call.reason = "not_wanted"
    return accepts


def decode_entry(call: Call, entry: Entry) -> Any:
    """Return the entry's value, or NOTHING if this process cannot decode it, which is a miss."""
    try:
        value = call.plan.shared.codec.decode(entry.payload)
        if type(value) is CachedError:
            value = value.rebuild(call.plan.shared.codec)
    except Exception as error:  # noqa: BLE001 - a registered type's own methods may raise anything
        emit_notice(call, "unknown_format", type(error).__name__)
        return NOTHING
    if entry.kind == "stream" and not (type(value) is tuple and len(value) == 2):
        emit_notice(call, "unknown_format", "no items and what the stream returned")
        return NOTHING
    return value


def stale_value(call: Call, entry: Entry | None) -> Any:
    """Return the value of an entry that may be served in place of an error, or NOTHING."""
    plan = call.plan
    if entry is None or entry.kind != ("stream" if plan.stream else "value"):
        return NOTHING
    if plan.shared.clock.monotonic() >= entry.fresh_until + plan.lifetimes.stale_if_error:
        return NOTHING
    return decode_entry(call, entry)


def copy_small_answer(call: Call, answer: Answer) -> Any:
    """Return a follower's own copy of a flight's result.

    Returns:
        The copy; LARGE_ANSWER if making it takes long; NOTHING if the follower must call itself.
    """
    if call.plan.stream:
        return answer.value  # a recording makes the copies itself
    payload = answer.payload
    if payload is None:
        template = answer.template
        if template is NOTHING:
            return NOTHING
        if (count_parts(template, LARGE) or 0) < LARGE:
            return copy_value(template)
        return LARGE_ANSWER
    if payload.data is not None and payload.size > LARGE_BYTES:
        return LARGE_ANSWER
    return _decode_payload(call, payload)


def copy_large_answer(call: Call, answer: Answer) -> Any:
    """Return a follower's own copy of a flight's large result, or NOTHING."""
    payload = answer.payload
    return copy_value(answer.template) if payload is None else _decode_payload(call, payload)


def _decode_payload(call: Call, payload: Payload) -> Any:
    try:
        return call.plan.shared.codec.decode(payload)
    except Exception:  # noqa: BLE001 - a registered type's own methods may raise anything
        return NOTHING


def copy_large(value: Any) -> Any:
    """Return a copy of a large value, or NOTHING if copying could have an effect."""
    return NOTHING if count_parts(value) is None else copy_value(value)


def is_refresh_due(entry: Entry, beta: float, now: float) -> bool:
    """Decide whether to refresh ahead of expiry (XFetch; Vattani, Chierichetti, Lowenstein 2015).

    The chance grows as the expiry comes near and with the time that the function takes. Among many
    callers one, and hardly ever two, refreshes before the entry expires for all of them.
    """
    if beta == 0.0 or entry.took == 0.0 or entry.fresh_until == math.inf:
        return False
    chance = 1.0 - random.random()  # noqa: S311 - not for secrets
    return now - entry.took * beta * math.log(chance) >= entry.fresh_until


def start_stream(
    call: Call, recording: BaseRecording, marks: Sequence[Mark], took: float
) -> Answer:
    """Let other callers join a stream, and note on the call what its end needs."""
    call.marks = marks
    call.spent += call.plan.price_of_failure()
    call.charges += 1
    recording.owner = call
    streams = call.plan.shared.streams
    if call.key is not None and call.plan.coalesces:
        key = call.scope + call.key
        if not streams.offer(key, recording):
            report_full_table(call, f"all {streams.limit:,} places for streams under way are taken")
        if recording.single_use:
            call.plan.shared.flights.single_use.add(key)
        else:
            call.plan.shared.flights.single_use.discard(key)
    return Answer(
        recording,
        None,
        "miss",
        None,
        took,
        call.plan.price_of_failure(),
        single_use=recording.single_use,
    )
