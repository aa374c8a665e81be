"""The semantic cache's part in the flow: an answer to the same question in other words.

It is asked inside the flight, after the exact tiers: equal calls look up once. What it serves is
written to memory under the exact key for a short while. What it does not serve joins the flight of
a call that asks the same in other words, if there is one, and is kept when it has been answered.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.cache.tiers import LookupResult
from toolops_plugins.calls.answer import Answer, notice, report_refusal
from toolops_plugins.calls.plan import Call
from toolops_plugins.calls.results import copied, decoded
from toolops_plugins.calls.semantic_keyer import SemanticKeyer
from toolops_plugins.coalesce.flights import FlightResult
from toolops_plugins.codec import Payload
from toolops_plugins.errors import CodecError, NotCanonicalError, NotEncodableError
from toolops_plugins.policy.base import NOTHING
from toolops_plugins.steps import Flow, Fly, Invoke, Io, Spawn, Step, is_callers, tier_problem
from toolops_plugins.telemetry.events import Notice, NoticeKind

if TYPE_CHECKING:
    from toolops_plugins.semantic.flows import Learning
    from toolops_plugins.semantic.lookup import Lookup, Question

__all__ = ["by_meaning", "kept_by_meaning", "question_of"]


def question_of(call: Call) -> Question | None:
    """Return what a call asks, or None if there is nothing to compare."""
    meaning = call.plan.meaning
    if meaning is None or call.key is None:
        return None
    try:
        return meaning.asked(call.key, call.args, call.kwargs)
    except NotCanonicalError as error:  # where cache.key= stands in for arguments without a form
        call.plan.warn("scope_not_canonical", error.kind)
        return None


def _question(call: Call) -> Flow:
    """Return what a call asks; what it scopes by is hashed off the event loop where it is large."""
    if call.large:
        return (yield Invoke(question_of, (call,), {}, None, aio=False))
    return question_of(call)


def by_meaning(
    call: Call, meaning: SemanticKeyer, found: LookupResult, fetch: Callable[[], Flow]
) -> Generator[Step, Any, tuple[Answer | None, Callable[[], Flow]]]:
    """Return an answer to the same question in other words, or else how to get one.

    Args:
        call: The call.
        meaning: Its tool's part in the semantic cache.
        found: What the exact tiers had to say.
        fetch: Gets a fresh answer.
    """
    answer: Answer | None
    try:
        answer = yield from _looked_up(call, meaning, found.marks)
    except Exception as error:
        if is_callers(error):
            raise
        meaning.failed = True
        call.tells, call.lookup = False, None
        _trouble(call, error)
        return None, fetch
    lookup = call.lookup
    if answer is not None or lookup is None:
        return answer, fetch
    if meaning.failed:
        meaning.failed = False
        _notice(call, "tier_recovered")
    if call.plan.stream or not call.plan.policy.coalesces_meaning:
        return None, fetch
    return None, lambda: _together(call, meaning, lookup, fetch)


def _looked_up(
    call: Call, meaning: SemanticKeyer, marks: Sequence[Mark]
) -> Generator[Step, Any, Answer | None]:
    """Return what the index answers, or None; note the lookup on the call if there was one."""
    asked = yield from _question(call)
    if asked is None:
        return None
    index = meaning.cache.answers.index
    if not index.ready:  # what has learned lives in it
        yield Io(index.open, index.aopen)
    meaning.count_exact(call.plan.stats.near_hits())
    lookup: Lookup = yield from meaning.cache.answers.lookup(asked, meaning.rule)
    call.lookup = lookup
    return None if lookup.row is None else _served(call, meaning, lookup, marks)


def _trouble(call: Call, error: Exception) -> None:
    """Tell of trouble with the index or with anything that decides."""
    _notice(call, "tier_failed", tier_problem(error))


def _notice(call: Call, kind: NoticeKind, detail: str = "") -> None:
    shared = call.plan.shared
    shared.emitter.notice(Notice(kind, "semantic", detail, shared.clock.time(), shared.namespace))


def _served(
    call: Call, meaning: SemanticKeyer, lookup: Lookup, marks: Sequence[Mark]
) -> Answer | None:
    row = lookup.row
    if row is None:
        return None
    plan = call.plan
    try:
        payload = plan.shared.codec.load(row.codec, row.data)
    except CodecError as error:
        notice(call, "unknown_format", type(error).__name__)
        return None
    # Rows carry seconds since the epoch, entries the time of the monotonic clock.
    now, since = plan.shared.clock.monotonic(), plan.shared.clock.time()
    left = meaning.cache.answers.index.lifetimes.left(row)
    until = now + min(left, meaning.cache.near_ttl)
    entry = Entry(
        payload, now - max(since - row.created, 0.0), until, until, row.took, row.price, call.tags,
        "stream" if plan.stream else "value",
    )  # fmt: skip
    value = decoded(call, entry)
    if value is NOTHING:
        return None
    _copy_near(call, meaning, lookup, entry, marks)
    return Answer(
        value, payload, "hit", "semantic", row.took, row.price, semantic=_marks(lookup, row.text)
    )


def _copy_near(
    call: Call, meaning: SemanticKeyer, lookup: Lookup, entry: Entry, marks: Sequence[Mark]
) -> None:
    """Keep what was served in the nearest tier, for as long as its own entry is there."""
    tiers, key, row = call.plan.tiers, call.key, lookup.row
    if tiers.nearest is None or key is None or row is None:
        return
    index = meaning.cache.answers.index
    index.copies.note(row.id, row.tags, key, meaning.cache.near_ttl, tiers.nearest.delete)
    tiers.store_near(key, entry, marks)
    if not index.holds(row, lookup.mark):  # it was forgotten before the copy was noted
        tiers.nearest.delete(key)


def _marks(lookup: Lookup, matched: str | None) -> dict[str, str | int | float | bool]:
    marks = lookup.details()
    marks["policy"] = lookup.policy
    marks["similarity"] = lookup.similarity
    if matched is not None:
        marks["question"] = matched
    return marks


def _together(
    call: Call, meaning: SemanticKeyer, lookup: Lookup, fetch: Callable[[], Flow]
) -> Generator[Step, Any, Answer]:
    """Wait for a call under way that asks the same in other words, or make the call."""
    flight = call.place + (call.key or b"")
    boarding = meaning.cache.answers.boarding
    try:
        other = boarding.board(lookup, flight)
    except Exception as error:  # noqa: BLE001 - whoever cannot join others makes the call alone
        _trouble(call, error)
        alone: Answer = yield from fetch()
        return alone
    if other is not None and call.plan.shared.flights.count_callers(other.flight):
        # Should it land before this call is aboard, the work is its own after all.
        arrival: FlightResult = yield Fly(other.flight, fetch, None)
        answer: Answer = arrival.value
        if arrival.led:
            return answer
        value = answer.value if answer.raises else (yield from copied(call, answer))
        if value is not NOTHING:
            marks = _marks(lookup, other.text)
            marks["similarity"] = other.similarity
            outcome = "coalesced" if answer.outcome == "miss" else answer.outcome
            return answer._replace(value=value, outcome=outcome, semantic=marks)
        fresh: Answer = yield from fetch()
        return fresh
    try:
        fresh = yield from fetch()
    finally:
        try:
            boarding.leave(lookup, flight)
        except Exception as error:  # noqa: BLE001 - the answer, or the function's error, stands
            _trouble(call, error)
    return fresh


def kept_by_meaning(
    call: Call, value: Any, payload: Payload, entry: Entry, mark: int | None
) -> Flow:
    """Keep a fresh answer for those who will ask the same in other words.

    Args:
        call: The call.
        value: Its result.
        payload: The encoded result.
        entry: What the exact tiers keep.
        mark: When the call began, if nothing was looked up before it.
    """
    meaning = call.plan.meaning
    if meaning is None or not call.tells:
        return
    try:
        learning = yield from _kept(call, meaning, value, payload, entry, mark)
    except NotEncodableError as error:
        report_refusal(call, error, value)
    except Exception as error:
        if is_callers(error):
            raise
        _trouble(call, error)
    else:
        if learning is not None:
            yield Spawn(partial(_learned, call, learning))


def _kept(
    call: Call, meaning: SemanticKeyer, value: Any, payload: Payload, entry: Entry, mark: int | None
) -> Generator[Step, Any, Learning | None]:
    asked = (yield from _question(call)) if call.lookup is None else call.lookup.asked
    if asked is None:
        return None
    clock = call.plan.shared.clock
    answers = meaning.cache.answers
    index = answers.index
    if not index.ready:  # kept without having been looked up
        yield Io(index.open, index.aopen)
    return answers.keep(
        asked,
        meaning.rule,
        call.lookup,
        value,
        payload,
        mark=call.lookup.mark if call.lookup is not None else (mark or 0),
        expires=clock.time() + entry.fresh_until - clock.monotonic(),
        tags=entry.tags,
        took=entry.took,
        price=entry.price,
    )


def _learned(call: Call, learning: Learning) -> Flow:
    """Learn in the background what can only be learned by asking."""
    try:
        yield from learning()
    except Exception as error:  # noqa: BLE001 - nobody waits for it
        _trouble(call, error)
    except GeneratorExit:
        raise
    except BaseException:
        # Its loop ends, as one does after each request in a program that calls asyncio.run().
        if call.plan.meaning is not None:
            call.plan.meaning.cache.learn_later(learning)
        raise
