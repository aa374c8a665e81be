"""The semantic cache's part in a call: answers to the same question in other words.

The lookup runs inside the flight, after the exact tiers, so that equal calls look up once. An
answer that it serves is stored in memory under the exact key for a short time. If it serves none,
the call joins the flight of a call with the same question in other words, if there is one; its own
answer is stored for later questions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.cache.tiers import LookupResult
from toolops_plugins.calls.answer import Answer, report_refusal
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.results import LARGE_ANSWER, copy_large_answer, copy_small_answer
from toolops_plugins.calls.semantic_answers import (
    describe_join,
    make_answer,
    make_question,
    report_semantic_failure,
)
from toolops_plugins.calls.semantic_keyer import SemanticKeyer
from toolops_plugins.coalesce.flights import FlightResult
from toolops_plugins.codec import Payload
from toolops_plugins.drivers.limits import ends_call
from toolops_plugins.errors import NotEncodableError
from toolops_plugins.policy import NOTHING

if TYPE_CHECKING:
    from toolops_plugins.drivers.loop import LoopDriver
    from toolops_plugins.semantic.flows import Learning
    from toolops_plugins.semantic.in_flight import QuestionInFlight
    from toolops_plugins.semantic.lookup import Lookup, Question

__all__ = ["lookup_semantic", "store_semantic"]


async def _question(driver: LoopDriver, call: Call) -> Question | None:
    """Return the question of a call; a large scope is hashed in a thread for an event loop."""
    if call.large:
        question: Question | None = await driver.compute(make_question, call)
        return question
    return make_question(call)


async def lookup_semantic(
    driver: LoopDriver,
    call: Call,
    semantic_keyer: SemanticKeyer,
    found: LookupResult,
    fetch: Callable[[LoopDriver], Awaitable[Answer]],
) -> tuple[Answer | None, Callable[[LoopDriver], Awaitable[Answer]]]:
    """Look for an answer to the same question in other words.

    Args:
        driver: Does what takes time.
        call: The call.
        semantic_keyer: Makes the question.
        found: The result of the lookup in the exact tiers.
        fetch: Fetches a fresh answer.

    Returns:
        The answer or None, and the function that fetches one: ``fetch``, or one that joins the
        flight of a similar question.
    """
    answer: Answer | None
    try:
        answer = await _search(driver, call, semantic_keyer, found.marks)
    except Exception as error:
        if ends_call(driver.limit, error):
            raise
        semantic_keyer.cache.health.fail("read")
        call.store_semantic, call.lookup = False, None
        report_semantic_failure(call, error)
        return None, fetch
    lookup = call.lookup
    if answer is not None or lookup is None:
        return answer, fetch
    semantic_keyer.cache.health.succeed("read")
    if call.plan.stream or not call.plan.policy.coalesces_meaning:
        return None, fetch
    return None, partial(_join_or_fetch, call, semantic_keyer, lookup, fetch)


async def _search(
    driver: LoopDriver, call: Call, semantic_keyer: SemanticKeyer, marks: Sequence[Mark]
) -> Answer | None:
    """Return the answer of the index, or None; store the lookup on the call."""
    question = await _question(driver, call)
    if question is None:
        return None
    index = semantic_keyer.cache.answers.index
    if not index.ready:  # it holds the state of the learner
        await driver.io(index.aopen)
    semantic_keyer.count_hits(call.plan.stats.near_hits())
    lookup: Lookup = await driver.run(
        semantic_keyer.cache.answers.lookup(question, semantic_keyer.rule)
    )
    call.lookup = lookup
    return None if lookup.row is None else make_answer(call, semantic_keyer, lookup, marks)


async def _join_or_fetch(
    call: Call,
    semantic_keyer: SemanticKeyer,
    lookup: Lookup,
    fetch: Callable[[LoopDriver], Awaitable[Answer]],
    driver: LoopDriver,
) -> Answer:
    """Join the flight of a similar question, or fetch."""
    flight = call.scope + (call.key or b"")
    in_flight = semantic_keyer.cache.answers.in_flight
    try:
        other = in_flight.board(lookup, flight)
    except Exception as error:  # noqa: BLE001 - a call that cannot join a flight is made alone
        report_semantic_failure(call, error)
        return await fetch(driver)
    try:
        if other is not None and call.plan.shared.flights.count_callers(other.flight):
            return await _join(driver, call, lookup, other, fetch)
        return await fetch(driver)
    finally:
        try:
            in_flight.leave(lookup, flight, None if other is None else other.flight)
        except Exception as error:  # noqa: BLE001 - the answer, or the function's error, stands
            report_semantic_failure(call, error)


async def _join(
    driver: LoopDriver,
    call: Call,
    lookup: Lookup,
    other: QuestionInFlight,
    fetch: Callable[[LoopDriver], Awaitable[Answer]],
) -> Answer:
    """Return the answer of a similar question's flight, or of a fetch where it cannot be shared."""
    # If the flight lands before this call joins it, this call leads a new one.
    arrival: FlightResult = await driver.fly(other.flight, _fetch_for, fetch)
    answer: Answer = arrival.value
    if arrival.led:
        return answer
    value = answer.value if answer.raises else copy_small_answer(call, answer)
    if value is LARGE_ANSWER:
        value = await driver.compute(copy_large_answer, call, answer)
    if value is NOTHING:
        return await fetch(driver)
    marks = describe_join(call, lookup, other)
    outcome = "coalesced" if answer.outcome == "miss" else answer.outcome
    return answer._replace(value=value, outcome=outcome, semantic=marks)


async def _fetch_for(
    driver: LoopDriver, fetch: Callable[[LoopDriver], Awaitable[Answer]]
) -> Answer:
    return await fetch(driver)


async def store_semantic(
    driver: LoopDriver,
    call: Call,
    value: Any,
    payload: Payload,
    entry: Entry,
    mark: int | None,
) -> None:
    """Store a fresh answer for later questions in other words.

    Args:
        driver: Does what takes time.
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
        learning = await _keep(driver, call, semantic_keyer, value, payload, entry, mark)
        if learning is not None:
            driver.spawn(_learn, call, learning)
    except NotEncodableError as error:
        report_refusal(call, error, value)
    except Exception as error:
        if ends_call(driver.limit, error):
            raise
        report_semantic_failure(call, error)


async def _keep(
    driver: LoopDriver,
    call: Call,
    semantic_keyer: SemanticKeyer,
    value: Any,
    payload: Payload,
    entry: Entry,
    mark: int | None,
) -> Learning | None:
    question = (await _question(driver, call)) if call.lookup is None else call.lookup.asked
    if question is None:
        return None
    clock = call.plan.shared.clock
    if call.lookup is not None and call.plan.stats.tally is not None:
        call.lookup.on_check = call.plan.stats.count_check
    answers = semantic_keyer.cache.answers
    index = answers.index
    if not index.ready:  # there was no lookup
        await driver.io(index.aopen)
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


async def _learn(driver: LoopDriver, call: Call, learning: Learning) -> None:
    """Run in the background the part of learning that needs the judge."""
    try:
        await driver.run(learning())
    except Exception as error:  # noqa: BLE001 - nobody waits for it
        report_semantic_failure(call, error)
    except GeneratorExit:
        raise
    except BaseException:
        # Its loop ends, as after each request of a program that calls asyncio.run().
        if call.plan.semantic_keyer is not None:
            call.plan.semantic_keyer.cache.learn_later(learning)
        raise
