"""Turn results into cache entries, and entries and answers back into values for callers."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from toolops_plugins.cache.entry import Entry
from toolops_plugins.calls.answer import Answer, emit_notice, report_refusal
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.negative_cache import CachedError
from toolops_plugins.coalesce.value_copies import LARGE, copy_value, count_parts
from toolops_plugins.codec import Payload
from toolops_plugins.errors import TooLargeError
from toolops_plugins.policy import NOTHING, Cache
from toolops_plugins.steps import Flow, Invoke

__all__ = [
    "copy_answer",
    "decode_entry",
    "encode_result",
    "is_cacheable",
    "make_entry",
    "make_template",
    "stale_value",
]

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
    ttl = lifetimes.ttl if ttl is None else ttl
    ttl = plan.tiers.longest_ttl if ttl is None else ttl
    fresh = now + ttl * (1.0 - cache.jitter * random.random())  # noqa: S311 - not for secrets
    stale = fresh + max(lifetimes.stale_ttl, lifetimes.stale_if_error)
    return Entry(payload, now, fresh, stale, took, price, call.tags, kind)


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


def copy_answer(call: Call, answer: Answer) -> Flow:
    """Return a follower's own copy of a flight's result; NOTHING: the follower must call itself.

    A large result is copied in a thread, so that it does not block an event loop.
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
        return (yield _in_thread(copy_value, template))
    decode = call.plan.shared.codec.decode
    with suppress(Exception):  # a registered type's own methods may raise anything
        if payload.data is None or payload.size <= LARGE_BYTES:
            return decode(payload)
        return (yield _in_thread(decode, payload))
    return NOTHING


def make_template(value: Any) -> Flow:
    """Return a copy of a result that no codec takes, or NOTHING if copying could have an effect."""
    parts = count_parts(value, LARGE)
    if parts is None:
        return NOTHING
    if parts < LARGE:
        return copy_value(value)
    return (yield _in_thread(_copy_large, value))


def _copy_large(value: Any) -> Any:
    return NOTHING if count_parts(value) is None else copy_value(value)


def _in_thread(function: Callable[[Any], Any], value: Any) -> Invoke:
    """Return the step that calls a function here, or in a thread if the driver is a loop."""
    return Invoke(function, (value,), {}, None, aio=False)
