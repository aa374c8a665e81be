"""What a function has returned, on its way into the cache and out of it again."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from toolops_plugins.cache.entry import Entry
from toolops_plugins.calls.answer import Answer, notice, report_refusal
from toolops_plugins.calls.negative_cache import RememberedError
from toolops_plugins.calls.plan import Call
from toolops_plugins.check import plain
from toolops_plugins.coalesce.value_copies import LARGE, copy_value, count_parts
from toolops_plugins.codec import Payload
from toolops_plugins.errors import TooLargeError
from toolops_plugins.policy import NOTHING, Cache
from toolops_plugins.steps import Flow, Invoke

__all__ = ["copied", "decoded", "encoded", "entry_of", "stand_in", "template_of", "wanted"]

LARGE_BYTES = 256 * 1024
"""Encoded bytes, worth about a millisecond, past which a follower's copy is made in a thread."""


def entry_of(
    call: Call,
    cache: Cache,
    payload: Payload,
    took: float,
    price: float,
    kind: Literal["value", "stream"] = "value",
) -> Entry:
    """Return the entry of a result, with the life that the policy gives it."""
    now = call.plan.shared.clock.monotonic()
    fresh = now + _ttl(call.plan.tiers.longest_ttl, cache)
    stale = fresh + max(plain(cache.stale_ttl), plain(cache.stale_if_error))
    return Entry(payload, now, fresh, stale, took, price, call.tags, kind)


def encoded(call: Call, value: Any, *, kept: bool) -> Payload | None:
    """Return the encoded result, or None if no codec takes it: then it is not kept.

    Args:
        call: The call.
        value: Its result.
        kept: Whether it is to be kept; otherwise nobody has to hear that it cannot be.
    """
    try:
        return call.plan.shared.codec.encode(value)
    except Exception as error:  # noqa: BLE001 - what a value's own methods raise as well
        too_large = isinstance(error, TooLargeError)
        call.reason = call.reason or ("too_large" if too_large else "not_encodable")
        if kept:
            report_refusal(call, error, value)
        return None


def wanted(call: Call, cache: Cache, value: Any) -> bool:
    """Return whether the policy wants a result kept."""
    if cache.when is None:
        return True
    try:
        wanted = bool(cache.when(value))
    except Exception as error:  # noqa: BLE001 - when in doubt a result is not kept
        call.plan.warn("when_failed", type(error).__name__)
        wanted = False
    if not wanted:
        call.reason = "not_wanted"
    return wanted


def decoded(call: Call, entry: Entry) -> Any:
    """Return the entry's value, or NOTHING if this process cannot read it: that is a miss."""
    try:
        value = call.plan.shared.codec.decode(entry.payload)
        if type(value) is RememberedError:
            value = value.again(call.plan.shared.codec)
    except Exception as error:  # noqa: BLE001 - what a registered type's own methods raise as well
        notice(call, "unknown_format", type(error).__name__)
        return NOTHING
    if entry.kind == "stream" and not (type(value) is tuple and len(value) == 2):
        notice(call, "unknown_format", "no items and what the stream returned")
        return NOTHING
    return value


def stand_in(call: Call, cache: Cache, entry: Entry | None) -> Any:
    """Return the value that may stand in for an error, or NOTHING."""
    if entry is None or entry.kind != ("stream" if call.plan.stream else "value"):
        return NOTHING
    patience = cache.stale_ttl if cache.stale_if_error is None else cache.stale_if_error
    if call.plan.shared.clock.monotonic() >= entry.fresh_until + plain(patience):
        return NOTHING
    return decoded(call, entry)


def copied(call: Call, answer: Answer) -> Flow:
    """Return a follower's own copy of what its flight brought; NOTHING: it has to make the call.

    What is large is copied in a thread, since it would hold up all else on an event loop.
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
    with suppress(Exception):  # what a registered type's own methods raise
        if payload.data is None or payload.size <= LARGE_BYTES:
            return decode(payload)
        return (yield _in_thread(decode, payload))
    return NOTHING


def template_of(value: Any) -> Flow:
    """Return a copy of a result that no codec takes, or NOTHING if that could have an effect."""
    parts = count_parts(value, LARGE)
    if parts is None:
        return NOTHING
    if parts < LARGE:
        return copy_value(value)
    return (yield _in_thread(_large_copy, value))


def _large_copy(value: Any) -> Any:
    return NOTHING if count_parts(value) is None else copy_value(value)


def _in_thread(function: Callable[[Any], Any], value: Any) -> Invoke:
    """Return the step that calls a function in this thread, or in another for an event loop."""
    return Invoke(function, (value,), {}, None, aio=False)


def _ttl(longest: float, cache: Cache) -> float:
    ttl = longest if cache.ttl is None else plain(cache.ttl)
    return ttl * (1.0 - cache.jitter * random.random())  # noqa: S311 - not for secrets
