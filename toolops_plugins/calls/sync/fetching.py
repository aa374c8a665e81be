"""Fetch a fresh result from the function, and store it."""

# Generated from ../aio by scripts/make_sync.py; edit that, then run `make sync`.
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.calls.answer import Answer, emit_notice, report_refusal
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.negative_cache import encode_error
from toolops_plugins.calls.results import encode_result, is_cacheable, make_entry, start_stream
from toolops_plugins.calls.semantic_answers import mark_semantic
from toolops_plugins.calls.sync.attempts import attempts_of
from toolops_plugins.calls.sync.results import make_template, run_optional
from toolops_plugins.calls.sync.semantic_lookup import store_semantic
from toolops_plugins.calls.sync.tiers import store_entry
from toolops_plugins.coalesce.flights import Flights
from toolops_plugins.coalesce.streams import BaseRecording
from toolops_plugins.errors import NotEncodableError
from toolops_plugins.policy import NOTHING, Cache, matches

if TYPE_CHECKING:
    from toolops_plugins.drivers.thread import ThreadDriver

__all__ = ["fetch", "store_error", "store_stream"]


def fetch(
    driver: ThreadDriver, call: Call, cache: Cache | None = None, marks: Sequence[Mark] = ()
) -> Answer:
    """Run the function under its policies, and store the result.

    Args:
        driver: Does what takes time.
        call: The call.
        cache: The cache policy. None: the result is not stored.
        marks: The invalidation marks of the lookup that came before.
    """
    plan = call.plan
    monotonic = plan.shared.clock.monotonic
    began = monotonic()
    mark = mark_semantic(call)
    value = attempts_of(driver, plan)(driver, call)
    took = monotonic() - began
    if plan.stream:
        return start_stream(call, value, marks, took)
    price = 0.0 if plan.policy.price is None else plan.charge(call, value)
    payload = None
    coalesces = plan.coalesces
    store = cache is not None and is_cacheable(call, cache, value)
    if store or coalesces:
        payload = encode_result(call, value, report=store)
    answer = Answer(value, payload, "miss", None, took, price, start=call.start)
    if coalesces and call.key is not None:
        flights, key = plan.shared.flights, call.scope + call.key
        if payload is not None:
            flights.single_use.discard(key)
        elif flights.count_callers(key) > 1:
            answer = _add_template(driver, answer, flights, key)
    if cache is not None and store and payload is not None:
        entry = make_entry(call, cache, payload, took, price)
        store_entry(driver, plan.tiers, call.key or b"", entry, marks)
        if plan.semantic_keyer is not None:
            store_semantic(driver, call, value, payload, entry, mark)
    return answer


def _add_template(driver: ThreadDriver, answer: Answer, flights: Flights, key: bytes) -> Answer:
    """Add the copy that followers need to the answer, before the leader can change the value."""
    template = make_template(driver, answer.value)
    single_use = template is NOTHING
    if single_use:
        flights.single_use.add(key)
    return answer._replace(template=template, single_use=single_use)


def store_stream(driver: ThreadDriver, recording: BaseRecording) -> None:
    """Store a stream that was read to its end, and let nobody join it any more."""
    call: Call = recording.owner
    try:
        run_optional(call, "stream", _store_recording, driver, call, recording)
    finally:
        call.plan.shared.streams.remove(call.scope + (call.key or b""), recording)


def _store_recording(driver: ThreadDriver, call: Call, recording: BaseRecording) -> None:
    plan = call.plan
    cache = plan.policy.cache
    if cache is None or call.key is None:
        return
    if not recording.complete:
        if recording.unencodable is not None:
            emit_notice(call, "not_encodable", recording.unencodable)
        return
    items = recording.all()
    price = plan.price(items)
    call.spent += price - plan.price_of_failure()
    if not is_cacheable(call, cache, items):
        return
    payload = encode_result(call, (items, recording.returned), report=True)
    if payload is not None:
        took = plan.shared.clock.monotonic() - call.began
        entry = make_entry(call, cache, payload, took, price, "stream")
        store_entry(driver, plan.tiers, call.key, entry, call.marks)
        if plan.semantic_keyer is not None:
            store_semantic(driver, call, (items, recording.returned), payload, entry, None)


def store_error(
    driver: ThreadDriver,
    call: Call,
    cache: Cache,
    error: Exception,
    took: float,
    marks: Sequence[Mark],
) -> None:
    """Store an exception, if the policy caches exceptions of its kind.

    Args:
        driver: Does the I/O.
        call: The call.
        cache: The cache policy.
        error: The exception that the function raised.
        took: Seconds that the function took.
        marks: The invalidation marks of the lookup that came before.
    """
    plan = call.plan
    if cache.negative is None or not matches(cache.negative, error):
        return
    try:
        payload = encode_error(error, plan.shared.codec)
    except NotEncodableError as problem:
        report_refusal(call, problem, error)
        return
    now = plan.shared.clock.monotonic()
    until = now + plan.lifetimes.negative_ttl
    entry = Entry(payload, now, until, until, took, 0.0, call.tags, "error")
    store_entry(driver, plan.tiers, call.key or b"", entry, marks)
