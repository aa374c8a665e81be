"""The path of every call.

::

    Plan.open: key -> fresh in this process? return
      run_call: event
        fallback
          the caller's deadline
            cache tiers (fresh: return; stale: remembered; refresh ahead of expiry spawned)
              one flight per key
                semantic cache, or the flight of the same question in other words
                  total timeout
                    retry + budget
                      circuit breaker
                        hedge
                          rate limit
                            bulkhead
                              attempt timeout
                                the call

Tiers that need I/O are asked before the flight, since a hit there needs none. Inside the flight the
cache is asked once more for what another flight has stored meanwhile. Otherwise a caller could miss
in the cache, see that flight land, and run the function a second time.
"""

# Generated from ../aio by scripts/make_sync.py; edit that, then run `make sync`.
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from toolops_plugins.cache.tiers import LookupResult
from toolops_plugins.calls.answer import (
    Answer,
    StreamResult,
    raise_cached_error,
    record_call,
    record_failure,
    record_pending,
    tags_of,
)
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.context import (
    DEADLINE,
    deadline_error,
    needs_thread,
    reset_variable,
    seconds_left,
)
from toolops_plugins.calls.fallback import bind_fallback, copy_value, values_for_fallback
from toolops_plugins.calls.plan import Plan
from toolops_plugins.calls.results import (
    LARGE_ANSWER,
    copy_large_answer,
    copy_small_answer,
    stale_value,
)
from toolops_plugins.calls.sync.attempts import attempts_of
from toolops_plugins.calls.sync.fetching import fetch, store_error
from toolops_plugins.calls.sync.forced_refresh import forget_earlier_result
from toolops_plugins.calls.sync.hooks import run_between_hooks
from toolops_plugins.calls.sync.results import make_key, run_optional, start_bus
from toolops_plugins.calls.sync.semantic_lookup import lookup_semantic
from toolops_plugins.calls.sync.serving import serve_entry
from toolops_plugins.calls.sync.tiers import find_entry
from toolops_plugins.coalesce.flights import FlightResult
from toolops_plugins.coalesce.streams import BaseRecording
from toolops_plugins.drivers.attempt import Attempt
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import NOTHING
from toolops_plugins.telemetry.events import Outcome
from toolops_plugins.telemetry.stats import BATCH

if TYPE_CHECKING:
    from toolops_plugins.drivers.thread import ThreadDriver

__all__ = ["make_attempts_call", "run_call"]


def make_attempts_call(driver: ThreadDriver, plan: Plan) -> Callable[..., Any]:
    """Return the function that users call where a plan's calls have nothing but attempts.

    Args:
        driver: The driver of the runtime.
        plan: The plan, whose ``only_attempts`` is true.
    """

    def call_attempts(*args: Any, **kwargs: Any) -> Any:
        parts = plan.sync_parts or _prepare(driver, plan)
        attempts, shared, emitter, monotonic, bypasses, find_deadline, is_free = parts
        call = Call(plan, args, kwargs, monotonic())
        if find_deadline() is not None or emitter.starters or not shared.active:
            return run_call(driver, call)
        try:
            value = attempts(driver, call)
        except GeneratorExit:
            raise
        except BaseException as error:
            call.reason = "no_cache"
            call.tags = tags_of(call)
            record_failure(call, error, None)
            raise
        if is_free and call.attempts == 1 and not emitter.active:
            bypasses.append(monotonic() - call.began)
            if len(bypasses) >= BATCH:
                record_pending(call)
        else:
            call.reason = "no_cache"
            call.tags = tags_of(call)
            plan.charge(call, value)
            record_call(call, "bypass", None, value)
        return value

    return call_attempts


def _prepare(driver: ThreadDriver, plan: Plan) -> tuple[Any, ...]:
    """Return all that a call with nothing but attempts needs, which is looked up once.

    It stands in the plan, since the function that users hold may be pickled by value, with the
    plan that it refers to.
    """
    shared = plan.shared
    plan.stats.wake()
    parts = plan.sync_parts = (
        attempts_of(driver, plan), shared, shared.emitter, shared.clock.monotonic,
        plan.stats.bypasses, DEADLINE.get,
        plan.policy.price is None and not (plan.is_described and plan.stats.tally is not None),
    )  # fmt: skip
    return parts


def run_call(driver: ThreadDriver, call: Call) -> Any:
    """Run one call; return what the caller gets, or raise its error."""
    plan = call.plan
    if not plan.shared.active:
        attempt = Attempt(plan.function, call.args, call.kwargs, aio=plan.aio, owner=plan.name)
        return driver.invoke(attempt)
    if plan.shared.emitter.starters and call.start is None:
        return run_between_hooks(driver, run_call, call)
    if plan.declare is not None:
        plan.register_from_annotation()
    answer: Answer | None = None
    outcome: Outcome
    try:
        if call.large:
            make_key(driver, call)
        call.tags = tags_of(call)
        try:
            value, answer, outcome = _get_answer(driver, call)
            if answer.raises:
                raise_cached_error(answer)
            if answer.error is not None:
                call.error = type(answer.error).__name__
        except Exception as error:
            if plan.policy.fallback is NOTHING or isinstance(error, ConfigurationError):
                raise
            value = _run_fallback(driver, call, error)
            call.error, outcome, answer = type(error).__name__, "fallback", None
    except GeneratorExit:
        raise
    except BaseException as error:
        record_failure(call, error, answer)
        raise
    if plan.stream:
        return StreamResult(value, outcome, answer)
    record_call(call, outcome, answer, NOTHING if outcome == "fallback" else value)
    return value


def _run_fallback(driver: ThreadDriver, call: Call, error: Exception) -> Any:
    """Return the policy's fallback for an error; an error of the fallback reaches the caller."""
    fallback = call.plan.policy.fallback
    if not callable(fallback):
        return copy_value(fallback)
    return driver.ask(bind_fallback(fallback, values_for_fallback(call, error)))


def _get_answer(driver: ThreadDriver, call: Call) -> tuple[Any, Answer, Outcome]:
    """Get an answer within the caller's deadline.

    Returns:
        The value for this caller, the answer, and the outcome of the call.
    """
    plan = call.plan
    seconds = seconds_left(call)
    if plan.shared.forced_refreshes and call.key is not None:
        forget_earlier_result(driver, call, seconds)
    if call.key is None:
        call.reason = call.reason or "no_cache"
        answer = _fetch_alone(driver, call, seconds)
        return answer.value, answer, "bypass"
    cache = plan.policy.cache
    shared = plan.shared
    flights = shared.flights
    bus = shared.bus
    if bus is not None and not bus.ready.is_set() and cache is not None:
        run_optional(call, "bus", start_bus, driver, bus)
    if cache is not None and call.near:
        near = plan.tiers.near(call.key, call.tags)
        served = None if near is None else serve_entry(driver, call, cache, *near)
        if served is not None:
            return served.value, served, served.outcome
    key = call.scope + call.key
    if not plan.coalesces or key in flights.single_use:
        answer = _fetch_alone(driver, call, seconds)
        return answer.value, answer, answer.outcome
    found = None
    if cache is not None and plan.tiers.remote and not flights.count_callers(key):
        # A flight costs a task of its own, and a hit in Redis needs none.
        found = find_entry(driver, plan.tiers, call.key, call.tags, shared.clock.monotonic())
        if found.entry is not None:
            served = serve_entry(driver, call, cache, found.entry, found.tier)
            if served is not None:
                return served.value, served, served.outcome
    work = _find_or_fetch if seconds is None else _without_deadline
    if plan.stream:
        work = partial(_join_stream, key, work)
    while True:
        recording = shared.streams.find(key, call) if plan.stream else None
        if recording is not None:
            return recording, Answer(recording, None, "miss"), "coalesced"
        arrival: FlightResult = driver.fly(
            key, work, call, found, seconds=seconds,
            in_thread=seconds is not None and needs_thread(call), owner=plan.name,
        )  # fmt: skip
        answer = arrival.value
        value = answer.value
        # Only a stream's value may be examined: isinstance() can run code of a user's object.
        if plan.stream and isinstance(value, BaseRecording):
            has_value = (arrival.led or not answer.single_use) and value.join(call)
        elif arrival.led or answer.raises:
            has_value = True
        else:
            # The leader's own object stays the leader's.
            value = copy_small_answer(call, answer)
            if value is LARGE_ANSWER:
                value = driver.compute(copy_large_answer, call, answer)
            has_value = value is not NOTHING
        if has_value:
            break
        if arrival.led or answer.single_use or answer.payload is not None:
            answer = _fetch_alone(driver, call, seconds_left(call))
            return answer.value, answer, answer.outcome
        # The leader made no copy, since nobody waited yet when it landed; or all readers of the
        # stream have left it, which closed it. Try again.
        seconds = seconds_left(call)
    if arrival.led or answer.outcome != "miss":
        return value, answer, answer.outcome
    return value, answer, "coalesced"


def _fetch_alone(driver: ThreadDriver, call: Call, seconds: float | None) -> Answer:
    """Get the answer without a flight."""
    if seconds is not None:
        error = partial(deadline_error, call, seconds)
        driver = driver.within(seconds, error, in_thread=needs_thread(call))
    answer = _find_or_fetch(driver, call)
    if call.plan.stream and isinstance(answer.value, BaseRecording):
        answer.value.join(call)
    return answer


def _join_stream(
    key: bytes,
    work: Callable[[ThreadDriver, Call, LookupResult | None], Answer],
    driver: ThreadDriver,
    call: Call,
    found: LookupResult | None,
) -> Answer:
    """Return a recording that began since the caller looked for one, or else do the work."""
    recording = call.plan.shared.streams.look(key)
    if recording is None:
        return work(driver, call, found)
    return Answer(recording, None, "coalesced", single_use=recording.single_use)


def _without_deadline(driver: ThreadDriver, call: Call, found: LookupResult | None) -> Answer:
    """Run shared work without the leader's deadline."""
    token = DEADLINE.set(None)
    try:
        return _find_or_fetch(driver, call, found)
    finally:
        reset_variable(DEADLINE, token)


def _find_or_fetch(driver: ThreadDriver, call: Call, found: LookupResult | None = None) -> Answer:
    """Ask the tiers, then the function: the work of a flight, done once for all its followers.

    Args:
        driver: Does what takes time.
        call: The call.
        found: The result of a lookup before the flight. Another flight may have landed since; so
            the tiers of this process are asked again, or all tiers if the first is not local.
    """
    plan = call.plan
    cache = plan.policy.cache
    if cache is None or call.key is None:
        return fetch(driver, call)
    monotonic = plan.shared.clock.monotonic
    now = monotonic()
    if found is None or not plan.tiers.all[0].local:
        earlier = () if found is None else found.marks
        found = find_entry(driver, plan.tiers, call.key, call.tags, now, earlier=earlier)
    else:
        near = plan.tiers.near(call.key, call.tags)
        if near is not None and near[0].fresh_until > now:
            found = LookupResult(*near, found.marks)
    entry, marks = found.entry, found.marks
    if entry is not None:
        answer = serve_entry(driver, call, cache, entry, found.tier)
        if answer is not None:
            return answer
    refetch: Callable[[ThreadDriver], Answer] | None = None
    if plan.semantic_keyer is not None and not call.forced:
        answer, refetch = lookup_semantic(
            driver,
            call,
            plan.semantic_keyer,
            found,
            lambda driver: fetch(driver, call, cache, marks),
        )
        if answer is not None:
            return answer
    began = monotonic()
    flights = plan.shared.flights
    try:
        answer = fetch(driver, call, cache, marks) if refetch is None else refetch(driver)
    except Exception as error:
        flights.cancelled_refreshes.discard(call.key)
        stale = stale_value(call, entry)
        if entry is None or stale is NOTHING:
            if cache.negative is not None:
                took = monotonic() - began
                run_optional(call, "negative", store_error, driver, call, cache, error, took, marks)
            raise
        return Answer(
            stale, entry.payload, "stale", found.tier, entry.took, entry.price, error=error
        )
    flights.cancelled_refreshes.discard(call.key)
    return answer
