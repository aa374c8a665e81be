"""The path of every call, written once and without I/O.

::

    Plan.open: key -> fresh in this process? return
      call_flow: event
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

A flow is a generator that yields the steps of :mod:`toolops_plugins.steps` and is sent their
results. Tiers that need I/O are asked before the flight, since a hit there needs none. Inside the
flight the cache is asked once more for what another flight has stored meanwhile. Otherwise a caller
could miss in the cache, see that flight land, and run the function a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from toolops_plugins.cache.tiers import LookupResult
from toolops_plugins.calls.answer import Answer, record_call, run_optional
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.context import DEADLINE, current_deadline, reset_variable
from toolops_plugins.calls.fallback import run_fallback
from toolops_plugins.calls.fetching import fetch, store_error
from toolops_plugins.calls.results import copy_answer, stale_value
from toolops_plugins.calls.semantic_lookup import lookup_semantic
from toolops_plugins.calls.serving import serve_entry
from toolops_plugins.coalesce.error_copies import copy_error
from toolops_plugins.coalesce.flights import FlightResult
from toolops_plugins.coalesce.streams import BaseRecording
from toolops_plugins.errors import (
    BulkheadFull,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    RateLimited,
    Rejected,
    ThreadPoolFull,
)
from toolops_plugins.policy import NOTHING
from toolops_plugins.steps import Flow, Fly, Invoke, Io, Step, Within, unwrap_error
from toolops_plugins.telemetry.events import Outcome

if TYPE_CHECKING:
    from toolops_plugins.cache.invalidation_bus import Bus

__all__ = ["StreamResult", "call_flow", "make_key", "start_bus", "tags_of"]

_BUS_WAIT = 0.05
"""Seconds that the first call with a cache waits for the subscription to invalidations."""


class StreamResult(NamedTuple):
    """The result of a call that is a stream. Its event is made when it has been read.

    Args:
        value: A recording under way that the call has joined; or, from the cache, the items and
            what the generator returned; or the fallback.
        outcome: How the call ended, unless reading fails.
        answer: For the event.
    """

    value: Any
    outcome: Outcome
    answer: Answer | None


_REJECTIONS: dict[type[BaseException], str] = {
    CircuitOpen: "circuit_open",
    ThreadPoolFull: "thread_pool_full",
    RateLimited: "rate_limited",
    BulkheadFull: "bulkhead_full",
}


def call_flow(call: Call) -> Flow:
    """Return the flow of one call; it returns what the caller gets, or raises its error."""
    plan = call.plan
    if not plan.shared.active:
        call.attempts += 1
        function, args, kwargs = plan.function, call.args, call.kwargs
        return (yield Invoke(function, args, kwargs, None, aio=plan.aio, owner=plan.name))
    if plan.declare is not None:
        plan.register_from_annotation()
    answer: Answer | None = None
    outcome: Outcome
    try:
        if call.large:
            yield from make_key(call)
        call.tags = tags_of(call)
        try:
            answer, outcome = yield from _get_answer(call)
            _raise_cached_error(answer)
            value, call.error = answer.value, answer.error
        except Exception as error:
            if plan.policy.fallback is NOTHING or isinstance(error, ConfigurationError):
                raise
            value = yield from run_fallback(call, unwrap_error(error))
            call.error, outcome, answer = unwrap_error(error), "fallback", None
    except GeneratorExit:
        raise
    except BaseException as error:
        call.error = unwrap_error(error) if isinstance(error, Exception) else error
        if answer is not None:
            outcome = "hit"
        else:
            outcome = "rejected" if isinstance(error, Rejected) else "error"
            call.reason = _REJECTIONS.get(type(error)) or call.reason
        record_call(call, outcome, answer)
        raise
    if plan.stream:
        return StreamResult(value, outcome, answer)
    record_call(call, outcome, answer)
    return value


def make_key(call: Call) -> Flow:
    """Make the key of a call with large arguments; in another thread for an event loop."""
    plan = call.plan
    if plan.keyer is None:
        return
    make = plan.keyer.key
    try:
        call.key = yield Invoke(make, (call.args, call.kwargs), {}, None, aio=False)
    except Exception as error:  # noqa: BLE001 - as in Plan.open
        plan.note_missing_key(call, error)


def _raise_cached_error(answer: Answer) -> None:
    if answer.raises:
        # The memory tier and all followers of a flight may share one exception object.
        raise copy_error(answer.value).with_traceback(None)


def tags_of(call: Call) -> tuple[str, ...]:
    """Return the tags of a call; if they cannot be made, the call loses its key."""
    if call.key is None:
        return call.plan.tagger.fixed or ()
    try:
        return call.plan.tagger.tags(call.args, call.kwargs)
    except Exception as error:  # noqa: BLE001 - a result that no tag can invalidate is not stored
        call.key, call.reason = None, "tags_failed"
        call.plan.warn("tags_failed", type(error).__name__)
        return ()


def _get_answer(call: Call) -> Generator[Step, Any, tuple[Answer, Outcome]]:
    """Get an answer within the caller's deadline; return it with the outcome of the call."""
    plan = call.plan
    seconds = _seconds_left(call)
    if call.key is None:
        call.reason = call.reason or "no_cache"
        return (yield from _fetch_alone(call, seconds)), "bypass"
    cache = plan.policy.cache
    bus = plan.shared.bus
    if bus is not None and not bus.ready.is_set() and cache is not None:
        yield from run_optional(call, "bus", start_bus(bus))
    if cache is not None and call.near:
        near = plan.tiers.near(call.key, call.tags)
        answer = None if near is None else (yield from serve_entry(call, cache, *near))
        if answer is not None:
            return answer, answer.outcome
    key = call.scope + call.key
    if not plan.policy.coalesces or key in plan.shared.flights.single_use:
        answer = yield from _fetch_alone(call, seconds)
        return answer, answer.outcome
    found = None
    if cache is not None and plan.tiers.remote and not plan.shared.flights.count_callers(key):
        # A flight costs a task of its own, and a hit in Redis needs none.
        found = yield from plan.tiers.lookup(call.key, call.tags, plan.shared.clock.monotonic())
        if found.entry is not None:
            answer = yield from serve_entry(call, cache, found.entry, found.tier)
            if answer is not None:
                return answer, answer.outcome
    work = partial(_lookup_or_fetch if seconds is None else _without_deadline, call, found)
    if plan.stream:
        work = partial(_join_stream, call, key, work)
    while True:
        recording = plan.shared.streams.find(key, call) if plan.stream else None
        if recording is not None:
            return Answer(recording, None, "miss"), "coalesced"
        arrival: FlightResult = yield Fly(
            key, work, seconds,
            in_thread=seconds is not None and _needs_thread(call), owner=plan.name,
        )  # fmt: skip
        answer = arrival.value
        # Only a stream's value may be examined: isinstance() can run code of a user's object.
        if plan.stream and isinstance(answer.value, BaseRecording):
            shared = (arrival.led or not answer.single_use) and answer.value.join(call)
        elif arrival.led or answer.raises:
            shared = True
        else:
            # The leader's own object stays the leader's.
            copy = yield from copy_answer(call, answer)
            shared = copy is not NOTHING
            answer = answer._replace(value=copy)
        if shared:
            break
        if arrival.led or answer.single_use or answer.payload is not None:
            answer = yield from _fetch_alone(call, _seconds_left(call))
            return answer, answer.outcome
        # The leader made no copy, since nobody waited yet when it landed; or all readers of the
        # stream have left it, which closed it. Try again.
        seconds = _seconds_left(call)
    if arrival.led:
        return answer, answer.outcome
    return answer, "coalesced" if answer.outcome == "miss" else answer.outcome


def start_bus(bus: Bus) -> Flow:
    """Subscribe to the invalidations of other processes before anything is stored here.

    Waits a moment for the subscription, once: invalidations before it are lost.
    """
    if bus.start():
        yield Io(partial(bus.ready.wait, _BUS_WAIT), partial(_wait_for_bus, bus))


async def _wait_for_bus(bus: Bus) -> None:
    import asyncio  # noqa: PLC0415 - slow to import, and here it has been

    for _ in range(int(_BUS_WAIT / 0.002)):
        if bus.ready.is_set():
            return
        await asyncio.sleep(0.002)


def _fetch_alone(call: Call, seconds: float | None) -> Generator[Step, Any, Answer]:
    """Get the answer without a flight."""
    work = partial(_lookup_or_fetch, call)
    if seconds is None:
        answer: Answer = yield from work()
    else:
        error = partial(_deadline_error, call, seconds)
        answer = yield Within(seconds, work, error, in_thread=_needs_thread(call))
    if call.plan.stream and isinstance(answer.value, BaseRecording):
        answer.value.join(call)
    return answer


def _join_stream(call: Call, key: bytes, work: Callable[[], Flow]) -> Flow:
    """Return a recording that began since the caller looked for one, or else do the work."""
    recording = call.plan.shared.streams.look(key)
    if recording is None:
        return (yield from work())
    return Answer(recording, None, "coalesced", single_use=recording.single_use)


def _without_deadline(call: Call, found: LookupResult | None) -> Flow:
    """Run shared work without the leader's deadline."""
    token = DEADLINE.set(None)
    try:
        return (yield from _lookup_or_fetch(call, found))
    finally:
        reset_variable(DEADLINE, token)


def _lookup_or_fetch(call: Call, found: LookupResult | None = None) -> Flow:
    """Ask the tiers, then the function: the work of a flight, done once for all its followers.

    Args:
        call: The call.
        found: The result of a lookup before the flight. Another flight may have landed since; so
            the tiers of this process are asked again, or all tiers if the first is not local.
    """
    plan = call.plan
    cache = plan.policy.cache
    if cache is None or call.key is None:
        return (yield from fetch(call))
    now = plan.shared.clock.monotonic()
    if found is None or not plan.tiers.all[0].local:
        found = yield from plan.tiers.lookup(call.key, call.tags, now)
    else:
        near = plan.tiers.near(call.key, call.tags)
        if near is not None and near[0].fresh_until > now:
            found = LookupResult(*near, found.marks)
    if found.entry is not None:
        answer = yield from serve_entry(call, cache, found.entry, found.tier)
        if answer is not None:
            return answer
    refetch: Callable[[], Flow] = partial(fetch, call, cache, found.marks)
    if plan.semantic_keyer is not None:
        answer, refetch = yield from lookup_semantic(call, plan.semantic_keyer, found, refetch)
        if answer is not None:
            return answer
    began = plan.shared.clock.monotonic()
    try:
        answer = yield from refetch()
    except Exception as error:
        plan.shared.flights.cancelled_refreshes.discard(call.key)
        entry = found.entry
        stale = stale_value(call, entry)
        if entry is None or stale is NOTHING:
            if cache.negative is not None:
                took = plan.shared.clock.monotonic() - began
                store = store_error(call, cache, error, took, found.marks)
                yield from run_optional(call, "negative", store)
            raise
        return Answer(
            stale, entry.payload, "stale", found.tier, entry.took, entry.price, error=error
        )
    plan.shared.flights.cancelled_refreshes.discard(call.key)
    return answer


def _seconds_left(call: Call) -> float | None:
    """Return the seconds until the caller's deadline, or None; raise if it has passed."""
    deadline = current_deadline()
    if deadline is None:
        return None
    left = deadline.at - call.plan.shared.clock.monotonic()
    if left <= 0.0:
        raise _deadline_error(call, 0.0)
    return left


def _needs_thread(call: Call) -> bool:
    """Return whether a plain function runs in a thread, where its caller can abandon it."""
    if call.plan.in_thread is not None:
        return call.plan.in_thread
    deadline = current_deadline()
    return deadline is not None and deadline.in_thread


def _deadline_error(call: Call, seconds: float) -> DeadlineExceeded:
    message = f"{call.plan.name} gave no result before its caller's deadline"
    return DeadlineExceeded(message, seconds=seconds)
