"""Questions to the semantic cache, and the answers that its rows make."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.calls.answer import Answer, emit_notice
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.results import decode_entry
from toolops_plugins.calls.semantic_keyer import SemanticKeyer
from toolops_plugins.errors import CodecError, NotCanonicalError
from toolops_plugins.policy.base import NOTHING
from toolops_plugins.steps import tier_problem, trouble_kind
from toolops_plugins.telemetry.events import Notice, NoticeKind

if TYPE_CHECKING:
    from toolops_plugins.semantic.in_flight import QuestionInFlight
    from toolops_plugins.semantic.lookup import Lookup, Question

__all__ = [
    "describe_join",
    "describe_match",
    "make_answer",
    "make_question",
    "mark_semantic",
    "notify_semantic",
    "report_semantic_failure",
]


def make_question(call: Call) -> Question | None:
    """Return the question of a call, or None if there is nothing to compare."""
    semantic_keyer = call.plan.semantic_keyer
    if semantic_keyer is None or call.key is None:
        return None
    try:
        return semantic_keyer.question(call.key, call.args, call.kwargs)
    except NotCanonicalError as error:  # with cache.key= the scope alone can fail
        call.plan.warn("scope_not_canonical", error.kind, error.argument)
        return None


def report_semantic_failure(call: Call, error: Exception) -> None:
    """Emit a notice of trouble with the index, an embedder, a guard or a judge."""
    with suppress(Exception):  # an exception of a user's class may raise when it is described
        notify_semantic(call, cast("NoticeKind", trouble_kind(error)), tier_problem(error))


def notify_semantic(call: Call, kind: NoticeKind, detail: str = "") -> None:
    """Emit a notice about the semantic cache."""
    shared = call.plan.shared
    shared.emitter.notice(Notice(kind, "semantic", detail, shared.clock.time(), shared.namespace))


def make_answer(
    call: Call, semantic_keyer: SemanticKeyer, lookup: Lookup, marks: Sequence[Mark]
) -> Answer | None:
    """Return the answer that a row makes, or None if it cannot be decoded."""
    row = lookup.row
    if row is None:
        return None
    plan = call.plan
    try:
        payload = plan.shared.codec.load(row.codec, row.data)
    except CodecError as error:
        emit_notice(call, "unknown_format", type(error).__name__)
        return None
    # A row holds seconds since the epoch, an entry the time of the monotonic clock.
    now, since = plan.shared.clock.monotonic(), plan.shared.clock.time()
    left = semantic_keyer.cache.answers.index.lifetimes.left(row)
    until = now + min(left, semantic_keyer.cache.near_ttl)
    entry = Entry(
        payload, now - max(since - row.created, 0.0), until, until, row.took, row.price, call.tags,
        "stream" if plan.stream else "value",
    )  # fmt: skip
    value = decode_entry(call, entry)
    if value is NOTHING:
        return None
    decision = lookup.decision
    if decision is not None and lookup.rule.max_error is not None:
        copied = semantic_keyer.copy_hits.wrap(payload, decision, plan.shared.codec.decode)
        entry = entry._replace(payload=copied)
    if not _copy_near(call, semantic_keyer, lookup, entry, marks):
        return None
    return Answer(
        value,
        entry.payload,  # callers who share the answer are counted as readers of the copy are
        "hit",
        "semantic",
        row.took,
        row.price,
        semantic=describe_match(lookup, row.text),
    )


def _copy_near(
    call: Call, semantic_keyer: SemanticKeyer, lookup: Lookup, entry: Entry, marks: Sequence[Mark]
) -> bool:
    """Store the answer in the nearest tier, until the row that it came from is invalidated.

    With the copy goes the flight of the call, whose later callers would get the same answer.

    Returns:
        Whether the answer may be served: the row was not invalidated before this was noted.
    """
    plan, key, row = call.plan, call.key, lookup.row
    if key is None or row is None:
        return True
    cache, nearest = semantic_keyer.cache, plan.tiers.nearest
    index, forget_flight = cache.answers.index, plan.shared.forget_flight

    def forget(key: bytes) -> None:
        forget_flight(key)
        if nearest is not None:
            nearest.delete(key)

    index.copies.note(row.id, row.tags, key, cache.near_ttl, forget)
    if nearest is not None:
        plan.tiers.store_near(key, entry, marks)
    if index.may_answer(lookup.asked.id, row, lookup.mark):
        return True
    forget(key)
    return False


def describe_match(lookup: Lookup, matched: str | None) -> dict[str, str | int | float | bool]:
    """Return the details of a match, for the event of the call.

    Args:
        lookup: The lookup.
        matched: The question of the answer that is served, or None.
    """
    marks = lookup.describe()
    if matched is not None:
        marks["question"] = matched
    return marks


def describe_join(
    call: Call, lookup: Lookup, other: QuestionInFlight
) -> dict[str, str | int | float | bool] | None:
    """Return the details of a match with a question in flight, or None if there are none.

    Args:
        call: The call that has joined the other's flight.
        lookup: Its lookup.
        other: The question in flight.
    """
    try:
        marks = describe_match(lookup, other.text)
    except Exception as error:  # noqa: BLE001 - the answer of the flight stands
        report_semantic_failure(call, error)
        return None
    marks.update(verdict="joined", similarity=other.similarity)
    return marks


def mark_semantic(call: Call) -> int | None:
    """Return the invalidation mark of this moment for a later write, or None without one."""
    if call.plan.semantic_keyer is None:
        return None
    try:
        return call.plan.semantic_keyer.mark()
    except Exception as error:  # noqa: BLE001 - only the write to the semantic cache needs it
        report_semantic_failure(call, error)
        call.store_semantic = False
        return None
