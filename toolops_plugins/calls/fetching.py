"""Fetch a fresh result from the function, and store it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.calls.answer import Answer, emit_notice, report_refusal, run_optional
from toolops_plugins.calls.attempts import run_attempts
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.negative_cache import encode_error
from toolops_plugins.calls.plan import Plan
from toolops_plugins.calls.results import (
    encode_result,
    is_cacheable,
    make_entry,
    make_template,
)
from toolops_plugins.calls.semantic_lookup import store_semantic
from toolops_plugins.coalesce.flights import Flights
from toolops_plugins.coalesce.streams import BaseRecording
from toolops_plugins.errors import NotEncodableError
from toolops_plugins.policy import NOTHING, Cache, matches
from toolops_plugins.steps import Flow, Step, unwrap_error

__all__ = ["fetch", "store_error", "store_stream"]


def fetch(call: Call, cache: Cache | None = None, marks: Sequence[Mark] = ()) -> Flow:
    """Run the function under its policies, and store the result.

    Args:
        call: The call.
        cache: The cache policy. None: the result is not stored.
        marks: The invalidation marks of the lookup that came before.

    Returns:
        The :class:`~toolops_plugins.calls.answer.Answer`.
    """
    plan = call.plan
    monotonic = plan.shared.clock.monotonic
    began = monotonic()
    mark = None
    if plan.semantic_keyer is not None:
        mark = yield from run_optional(call, "mark", _semantic_mark(plan))
    value = yield from run_attempts(call)
    took = monotonic() - began
    if plan.stream:
        return _start_stream(call, value, marks, took)
    price = plan.charge(call, value)
    payload = None
    store = cache is not None and is_cacheable(call, cache, value)
    if store or plan.policy.coalesces:
        payload = encode_result(call, value, report=store)
    answer = Answer(value, payload, "miss", None, took, price)
    if plan.policy.coalesces and call.key is not None:
        answer = yield from _add_template(answer, plan.shared.flights, call.scope + call.key)
    if cache is not None and store and payload is not None:
        entry = make_entry(call, cache, payload, took, price)
        yield from plan.tiers.store(call.key or b"", entry, marks)
        if plan.semantic_keyer is not None:
            yield from store_semantic(call, value, payload, entry, mark)
    return answer


def _add_template(answer: Answer, flights: Flights, key: bytes) -> Generator[Step, Any, Answer]:
    """Add the copy that followers need to the answer, before the leader can change the value."""
    if answer.payload is not None:
        flights.single_use.discard(key)
        return answer
    if flights.count_callers(key) <= 1:
        return answer
    template = yield from make_template(answer.value)
    single_use = template is NOTHING
    if single_use:
        flights.single_use.add(key)
    return answer._replace(template=template, single_use=single_use)


def _semantic_mark(plan: Plan) -> Flow:
    """Return the semantic cache's invalidation mark of this moment."""
    yield from ()
    return None if plan.semantic_keyer is None else plan.semantic_keyer.mark()


def _start_stream(
    call: Call, recording: BaseRecording, marks: Sequence[Mark], took: float
) -> Answer:
    """Let other callers join a stream, and note on the call what its end needs."""
    call.marks = marks
    call.spent += call.plan.price_of_failure()
    call.charges += 1
    recording.owner = call
    streams = call.plan.shared.streams
    if call.key is not None and call.plan.policy.coalesces:
        key = call.scope + call.key
        streams.offer(key, recording)
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


def store_stream(recording: BaseRecording) -> Flow:
    """Store a stream that was read to its end, and let nobody join it any more."""
    call: Call = recording.owner
    try:
        yield from run_optional(call, "stream", _store_recording(call, recording))
    finally:
        call.plan.shared.streams.remove(call.scope + (call.key or b""), recording)


def _store_recording(call: Call, recording: BaseRecording) -> Flow:
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
        yield from plan.tiers.store(call.key, entry, call.marks)
        if plan.semantic_keyer is not None:
            yield from store_semantic(call, (items, recording.returned), payload, entry, None)


def store_error(
    call: Call, cache: Cache, error: Exception, took: float, marks: Sequence[Mark]
) -> Flow:
    """Store an exception, if the policy caches exceptions of its kind.

    Args:
        call: The call.
        cache: The cache policy.
        error: The exception that the function raised.
        took: Seconds that the function took.
        marks: The invalidation marks of the lookup that came before.
    """
    plan = call.plan
    if cache.negative is None or not matches(cache.negative, unwrap_error(error)):
        return
    try:
        payload = encode_error(unwrap_error(error), plan.shared.codec)
    except NotEncodableError as refusal:
        report_refusal(call, refusal, error)
        return
    now = plan.shared.clock.monotonic()
    until = now + plan.lifetimes.negative_ttl
    entry = Entry(payload, now, until, until, took, 0.0, call.tags, "error")
    yield from plan.tiers.store(call.key or b"", entry, marks)
