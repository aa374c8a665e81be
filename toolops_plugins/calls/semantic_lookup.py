"""The semantic cache's part in the flow: answers to the same question in other words.

The lookup runs inside the flight, after the exact tiers, so that equal calls look up once. An
answer that it serves is stored in memory under the exact key for a short time. If it serves none,
the call joins the flight of a call with the same question in other words, if there is one; its own
answer is stored for later questions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.cache.tiers import LookupResult
from toolops_plugins.calls.answer import Answer, emit_notice, report_refusal
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.results import copy_answer, decode_entry
from toolops_plugins.calls.semantic_keyer import SemanticKeyer
from toolops_plugins.coalesce.flights import FlightResult
from toolops_plugins.codec import Payload
from toolops_plugins.errors import CodecError, NotCanonicalError, NotEncodableError
from toolops_plugins.policy.base import NOTHING
from toolops_plugins.steps import Flow, Fly, Invoke, Io, Spawn, Step, is_caller_error, tier_problem
from toolops_plugins.telemetry.events import Notice, NoticeKind

if TYPE_CHECKING:
    from toolops_plugins.semantic.flows import Learning
    from toolops_plugins.semantic.lookup import Lookup, Question

__all__ = ["lookup_semantic", "question_of", "store_semantic"]


def question_of(call: Call) -> Question | None:
    """Return the question of a call, or None if there is nothing to compare."""
    semantic_keyer = call.plan.semantic_keyer
    if semantic_keyer is None or call.key is None:
        return None
    try:
        return semantic_keyer.question(call.key, call.args, call.kwargs)
    except NotCanonicalError as error:  # with cache.key= the scope alone can fail
        call.plan.warn("scope_not_canonical", error.kind)
        return None


def _question(call: Call) -> Flow:
    """Return the question of a call; a large scope is hashed in a thread for an event loop."""
    if call.large:
        return (yield Invoke(question_of, (call,), {}, None, aio=False))
    return question_of(call)


def lookup_semantic(
    call: Call, semantic_keyer: SemanticKeyer, found: LookupResult, fetch: Callable[[], Flow]
) -> Generator[Step, Any, tuple[Answer | None, Callable[[], Flow]]]:
    """Look for an answer to the same question in other words.

    Args:
        call: The call.
        semantic_keyer: Makes the question.
        found: The result of the lookup in the exact tiers.
        fetch: The flow function that fetches a fresh answer.

    Returns:
        The answer or None, and the flow function that fetches one: ``fetch``, or one that joins the
        flight of a similar question.
    """
    answer: Answer | None
    try:
        answer = yield from _search(call, semantic_keyer, found.marks)
    except Exception as error:
        if is_caller_error(error):
            raise
        semantic_keyer.failed = True
        call.store_semantic, call.lookup = False, None
        _report(call, error)
        return None, fetch
    lookup = call.lookup
    if answer is not None or lookup is None:
        return answer, fetch
    if semantic_keyer.failed:
        semantic_keyer.failed = False
        _notice(call, "tier_recovered")
    if call.plan.stream or not call.plan.policy.coalesces_meaning:
        return None, fetch
    return None, lambda: _join_or_fetch(call, semantic_keyer, lookup, fetch)


def _search(
    call: Call, semantic_keyer: SemanticKeyer, marks: Sequence[Mark]
) -> Generator[Step, Any, Answer | None]:
    """Return the answer of the index, or None; store the lookup on the call."""
    question = yield from _question(call)
    if question is None:
        return None
    index = semantic_keyer.cache.answers.index
    if not index.ready:  # it holds the state of the learner
        yield Io(index.open, index.aopen)
    semantic_keyer.count_exact_hits(call.plan.stats.near_hits())
    lookup: Lookup = yield from semantic_keyer.cache.answers.lookup(question, semantic_keyer.rule)
    call.lookup = lookup
    return None if lookup.row is None else _answer_from(call, semantic_keyer, lookup, marks)


def _report(call: Call, error: Exception) -> None:
    """Emit a notice of trouble with the index, an embedder, a guard or a judge."""
    _notice(call, "tier_failed", tier_problem(error))


def _notice(call: Call, kind: NoticeKind, detail: str = "") -> None:
    shared = call.plan.shared
    shared.emitter.notice(Notice(kind, "semantic", detail, shared.clock.time(), shared.namespace))


def _answer_from(
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
    _copy_near(call, semantic_keyer, lookup, entry, marks)
    return Answer(
        value, payload, "hit", "semantic", row.took, row.price, semantic=_details(lookup, row.text)
    )


def _copy_near(
    call: Call, semantic_keyer: SemanticKeyer, lookup: Lookup, entry: Entry, marks: Sequence[Mark]
) -> None:
    """Store the answer in the nearest tier, until the row that it came from is invalidated."""
    tiers, key, row = call.plan.tiers, call.key, lookup.row
    if tiers.nearest is None or key is None or row is None:
        return
    index = semantic_keyer.cache.answers.index
    index.copies.note(row.id, row.tags, key, semantic_keyer.cache.near_ttl, tiers.nearest.delete)
    tiers.store_near(key, entry, marks)
    if not index.holds(row, lookup.mark):  # it was invalidated before the copy was noted
        tiers.nearest.delete(key)


def _details(lookup: Lookup, matched: str | None) -> dict[str, str | int | float | bool]:
    marks = lookup.details()
    marks["policy"] = lookup.policy
    marks["similarity"] = lookup.similarity
    if matched is not None:
        marks["question"] = matched
    return marks


def _join_or_fetch(
    call: Call, semantic_keyer: SemanticKeyer, lookup: Lookup, fetch: Callable[[], Flow]
) -> Generator[Step, Any, Answer]:
    """Join the flight of a similar question, or fetch."""
    flight = call.scope + (call.key or b"")
    in_flight = semantic_keyer.cache.answers.in_flight
    try:
        other = in_flight.board(lookup, flight)
    except Exception as error:  # noqa: BLE001 - a call that cannot join a flight is made alone
        _report(call, error)
        alone: Answer = yield from fetch()
        return alone
    if other is not None and call.plan.shared.flights.count_callers(other.flight):
        # If the flight lands before this call joins it, this call leads a new one.
        arrival: FlightResult = yield Fly(other.flight, fetch, None)
        answer: Answer = arrival.value
        if arrival.led:
            return answer
        value = answer.value if answer.raises else (yield from copy_answer(call, answer))
        if value is not NOTHING:
            marks = _details(lookup, other.text)
            marks["similarity"] = other.similarity
            outcome = "coalesced" if answer.outcome == "miss" else answer.outcome
            return answer._replace(value=value, outcome=outcome, semantic=marks)
        fresh: Answer = yield from fetch()
        return fresh
    try:
        fresh = yield from fetch()
    finally:
        try:
            in_flight.leave(lookup, flight)
        except Exception as error:  # noqa: BLE001 - the answer, or the function's error, stands
            _report(call, error)
    return fresh


def store_semantic(
    call: Call, value: Any, payload: Payload, entry: Entry, mark: int | None
) -> Flow:
    """Store a fresh answer for later questions in other words.

    Args:
        call: The call.
        value: Its result.
        payload: The encoded result.
        entry: The entry of the exact tiers.
        mark: The invalidation mark of the call's beginning, if there was no lookup.
    """
    semantic_keyer = call.plan.semantic_keyer
    if semantic_keyer is None or not call.store_semantic:
        return
    try:
        learning = yield from _keep(call, semantic_keyer, value, payload, entry, mark)
    except NotEncodableError as error:
        report_refusal(call, error, value)
    except Exception as error:
        if is_caller_error(error):
            raise
        _report(call, error)
    else:
        if learning is not None:
            yield Spawn(partial(_learn, call, learning))


def _keep(
    call: Call,
    semantic_keyer: SemanticKeyer,
    value: Any,
    payload: Payload,
    entry: Entry,
    mark: int | None,
) -> Generator[Step, Any, Learning | None]:
    question = (yield from _question(call)) if call.lookup is None else call.lookup.asked
    if question is None:
        return None
    clock = call.plan.shared.clock
    answers = semantic_keyer.cache.answers
    index = answers.index
    if not index.ready:  # there was no lookup
        yield Io(index.open, index.aopen)
    return answers.keep(
        question,
        semantic_keyer.rule,
        call.lookup,
        value,
        payload,
        mark=call.lookup.mark if call.lookup is not None else (mark or 0),
        expires=clock.time() + entry.fresh_until - clock.monotonic(),
        tags=entry.tags,
        took=entry.took,
        price=entry.price,
    )


def _learn(call: Call, learning: Learning) -> Flow:
    """Run in the background the part of learning that needs the judge."""
    try:
        yield from learning()
    except Exception as error:  # noqa: BLE001 - nobody waits for it
        _report(call, error)
    except GeneratorExit:
        raise
    except BaseException:
        # Its loop ends, as after each request of a program that calls asyncio.run().
        if call.plan.semantic_keyer is not None:
            call.plan.semantic_keyer.cache.learn_later(learning)
        raise
