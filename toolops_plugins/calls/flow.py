"""THE path of every call, written once and without I/O.

::

    Plan.open: key -> fresh in this process? return
      call_flow: event
        fallback
          this caller's deadline
            cache tiers (fresh: return; stale: kept aside; refresh ahead of expiry spawned)
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
results. Tiers that need I/O are asked before the flight, since a hit there needs none; and what
another flight has left meanwhile is looked for once more inside, so that no caller can miss in the
cache, see that flight land, and run the work a second time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.cache.tiers import LookupResult, is_newer
from toolops_plugins.calls.answer import Answer, notice, record, report_refusal, walk_optional
from toolops_plugins.calls.attempts import attempted
from toolops_plugins.calls.fallback import fallen_back
from toolops_plugins.calls.negative_cache import remember_error
from toolops_plugins.calls.plan import Call, Plan
from toolops_plugins.calls.results import (
    copied,
    decoded,
    encoded,
    entry_of,
    stand_in,
    template_of,
    wanted,
)
from toolops_plugins.calls.semantic_lookup import by_meaning, kept_by_meaning
from toolops_plugins.check import plain
from toolops_plugins.coalesce.error_copies import copy_error
from toolops_plugins.coalesce.flights import FlightResult, Flights
from toolops_plugins.coalesce.streams import BaseRecording
from toolops_plugins.errors import (
    BulkheadFull,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    NotEncodableError,
    RateLimited,
    Rejected,
    ThreadPoolFull,
)
from toolops_plugins.policy import NOTHING, Cache, matches
from toolops_plugins.steps import Flow, Fly, Invoke, Io, Spawn, Step, Within, uncarried
from toolops_plugins.telemetry.events import Outcome

if TYPE_CHECKING:
    from toolops_plugins.cache.invalidation_bus import Bus

__all__ = [
    "DEADLINE",
    "REFRESH",
    "Deadline",
    "Told",
    "call_flow",
    "current_deadline",
    "kept_stream",
    "served",
    "start_listening",
    "tags_of",
]

_MOMENT = 0.05
"""Seconds that the first call with a cache waits for its process to hear of invalidations."""


class Deadline:
    """The time at which the callers of a context stop waiting, on the runtime's monotonic clock.

    A block may be left in another context than it was entered in (a generator, a fixture): what
    was set there cannot be taken back, so the deadline itself is marked as over.

    Args:
        at: The time.
        outer: The deadline that stands around this one, or None.
        in_thread: Whether plain functions move into a thread, where they can be left in time.
    """

    __slots__ = ("at", "in_thread", "outer", "over")

    def __init__(self, at: float, outer: Deadline | None, *, in_thread: bool = True) -> None:
        self.at = at
        self.in_thread = in_thread
        self.outer = outer
        self.over = False


DEADLINE: ContextVar[Deadline | None] = ContextVar("toolops_deadline", default=None)
"""The deadline of this context, or None; see :func:`current_deadline`."""
REFRESH: ContextVar[object] = ContextVar("toolops_refresh", default=None)
"""The refresh in the background that this context belongs to, each a mark of its own, or None."""


class Told(NamedTuple):
    """What a call brought where that is a stream: its event is still to be made.

    Args:
        value: A recording that is running and that the call has joined; or, from the cache, the
            items and what the generator returned; or the fallback.
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
    """Return the flow of one call: its result is the caller's, and so is its error."""
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
            yield from keyed(call)
        call.tags = tags_of(call)
        try:
            answer, outcome = yield from _answered(call)
            _raise_remembered(answer)
            value, call.error = answer.value, answer.error
        except Exception as error:
            if plan.policy.fallback is NOTHING or isinstance(error, ConfigurationError):
                raise
            value = yield from fallen_back(call, uncarried(error))
            call.error, outcome, answer = uncarried(error), "fallback", None
    except GeneratorExit:
        raise
    except BaseException as error:
        call.error = uncarried(error) if isinstance(error, Exception) else error
        if answer is not None:
            outcome = "hit"
        else:
            outcome = "rejected" if isinstance(error, Rejected) else "error"
            call.reason = _REJECTIONS.get(type(error)) or call.reason
        record(call, outcome, answer)
        raise
    if plan.stream:
        # Its event can only be made once it has been read.
        return Told(value, outcome, answer)
    record(call, outcome, answer)
    return value


def keyed(call: Call) -> Flow:
    """Make the key of a call whose arguments are large, in another thread for an event loop."""
    plan = call.plan
    if plan.keyer is None:
        return
    make = plan.keyer.key
    try:
        call.key = yield Invoke(make, (call.args, call.kwargs), {}, None, aio=False)
    except Exception as error:  # noqa: BLE001 - as in Plan.open
        plan.unkeyed(call, error)


def _raise_remembered(answer: Answer) -> None:
    if answer.raises:
        # It may be one object for all its life, and for all who followed one flight.
        raise copy_error(answer.value).with_traceback(None)


def tags_of(call: Call) -> tuple[str, ...]:
    """Return the tags of a call; one whose tags cannot be told loses its key."""
    if call.key is None:
        return call.plan.tagger.fixed or ()
    try:
        return call.plan.tagger.tags(call.args, call.kwargs)
    except Exception as error:  # noqa: BLE001 - what cannot be invalidated by its tags is not kept
        call.key, call.reason = None, "tags_failed"
        call.plan.warn("tags_failed", type(error).__name__)
        return ()


def _answered(call: Call) -> Generator[Step, Any, tuple[Answer, Outcome]]:
    """Get an answer within the caller's deadline, and tell how."""
    plan = call.plan
    seconds = _seconds_left(call)
    if call.key is None:
        call.reason = call.reason or "no_cache"
        return (yield from _alone(call, seconds)), "bypass"
    cache = plan.policy.cache
    bus = plan.shared.bus
    if bus is not None and not bus.ready.is_set() and cache is not None:
        yield from walk_optional(call, "bus", start_listening(bus))
    if cache is not None and call.near:
        near = plan.tiers.near(call.key, call.tags)
        answer = None if near is None else (yield from served(call, cache, *near))
        if answer is not None:
            return answer, answer.outcome
    key = call.place + call.key
    if not plan.policy.coalesces or key in plan.shared.flights.single_use:
        answer = yield from _alone(call, seconds)
        return answer, answer.outcome
    found = None
    if cache is not None and plan.tiers.remote and not plan.shared.flights.count_callers(key):
        # A flight costs a task of its own, and a hit in Redis needs none.
        found = yield from plan.tiers.lookup(call.key, call.tags, plan.shared.clock.monotonic())
        if found.entry is not None:
            answer = yield from served(call, cache, found.entry, found.tier)
            if answer is not None:
                return answer, answer.outcome
    work = partial(_inside if seconds is None else _unhurried, call, found)
    if plan.stream:
        work = partial(_begun, call, key, work)
    while True:
        recording = plan.shared.streams.find(key, call) if plan.stream else None
        if recording is not None:
            return Answer(recording, None, "miss"), "coalesced"
        arrival: FlightResult = yield Fly(
            key, work, seconds, in_thread=seconds is not None and _is_left(call), owner=plan.name
        )
        answer = arrival.value
        # Of another function's result not even the class may be asked.
        if plan.stream and isinstance(answer.value, BaseRecording):
            shared = (arrival.led or not answer.lone) and answer.value.join(call)
        elif arrival.led or answer.raises:
            shared = True
        else:
            # The leader's own object stays the leader's.
            copy = yield from copied(call, answer)
            shared = copy is not NOTHING
            answer = answer._replace(value=copy)
        if shared:
            break
        if arrival.led or answer.lone or answer.payload is not None:
            answer = yield from _alone(call, _seconds_left(call))
            return answer, answer.outcome
        # Nobody could know that this caller would come; or those who had joined a stream have left
        # it already, and so closed it: once more.
        seconds = _seconds_left(call)
    if arrival.led:
        return answer, answer.outcome
    return answer, "coalesced" if answer.outcome == "miss" else answer.outcome


def start_listening(bus: Bus) -> Flow:
    """Begin to hear what other processes invalidate, before anything is kept here.

    Waits a moment for the subscription, once: what is invalidated before it stands goes unheard.
    """
    if bus.start():
        yield Io(partial(bus.ready.wait, _MOMENT), partial(_ready, bus))


async def _ready(bus: Bus) -> None:
    import asyncio  # noqa: PLC0415 - slow to import, and here it has been

    for _ in range(int(_MOMENT / 0.002)):
        if bus.ready.is_set():
            return
        await asyncio.sleep(0.002)


def _alone(call: Call, seconds: float | None) -> Generator[Step, Any, Answer]:
    """Get the answer without a flight."""
    work = partial(_inside, call)
    if seconds is None:
        answer: Answer = yield from work()
    else:
        error = partial(_too_late, call, seconds)
        answer = yield Within(seconds, work, error, in_thread=_is_left(call))
    if call.plan.stream and isinstance(answer.value, BaseRecording):
        answer.value.join(call)
    return answer


def _begun(call: Call, key: bytes, work: Callable[[], Flow]) -> Flow:
    """Return the recording that began between this caller's look and its flight, or do the work."""
    recording = call.plan.shared.streams.look(key)
    if recording is None:
        return (yield from work())
    return Answer(recording, None, "coalesced", lone=recording.single_use)


def _unhurried(call: Call, found: LookupResult | None) -> Flow:
    """Run shared work without its leader's deadline."""
    token = DEADLINE.set(None)
    try:
        return (yield from _inside(call, found))
    finally:
        _reset(DEADLINE, token)


def _inside(call: Call, found: LookupResult | None = None) -> Flow:
    """Ask the tiers, then the function; this is what is done once for all who fly together.

    What a caller has found before it boarded may be older than the flight that landed meanwhile;
    so it asks again, if only its own process where that would hold what landed.
    """
    plan = call.plan
    cache = plan.policy.cache
    if cache is None or call.key is None:
        return (yield from _fetched(call))
    now = plan.shared.clock.monotonic()
    if found is None or not plan.tiers.all[0].local:
        found = yield from plan.tiers.lookup(call.key, call.tags, now)
    else:
        near = plan.tiers.near(call.key, call.tags)
        if near is not None and near[0].fresh_until > now:
            found = LookupResult(*near, found.marks)
    if found.entry is not None:
        answer = yield from served(call, cache, found.entry, found.tier)
        if answer is not None:
            return answer
    fetch: Callable[[], Flow] = partial(_fetched, call, cache, found.marks)
    if plan.meaning is not None:
        answer, fetch = yield from by_meaning(call, plan.meaning, found, fetch)
        if answer is not None:
            return answer
    began = plan.shared.clock.monotonic()
    try:
        answer = yield from fetch()
    except Exception as error:
        plan.shared.flights.cancelled_refreshes.discard(call.key)
        entry = found.entry
        stale = stand_in(call, cache, entry)
        if entry is None or stale is NOTHING:
            if cache.negative is not None:
                took = plan.shared.clock.monotonic() - began
                kept = _kept_error(call, cache, error, took, found.marks)
                yield from walk_optional(call, "negative", kept)
            raise
        return Answer(
            stale, entry.payload, "stale", found.tier, entry.took, entry.price, error=error
        )
    plan.shared.flights.cancelled_refreshes.discard(call.key)
    return answer


def served(call: Call, cache: Cache, entry: Entry, tier: str | None) -> Flow:
    """Return the answer that an entry makes now, or None; refresh it in the background if due."""
    if (entry.kind == "stream") is not call.plan.stream and entry.kind != "error":
        return None  # of a function of the same name, whose results are of another kind
    if entry.kind == "error" and cache.negative is None:
        return None  # whoever has put it there: this tool remembers no exceptions
    now = call.plan.shared.clock.monotonic()
    fresh = entry.fresh_until > now
    if not fresh and (entry.kind != "value" or now >= entry.fresh_until + plain(cache.stale_ttl)):
        return None
    value = decoded(call, entry)
    if value is NOTHING:
        return None
    if entry.kind == "value" and (not fresh or _early(entry, cache.beta, now)):
        under_way = yield from _refresh(call, entry)
        if not under_way and not fresh:
            return None
    return Answer(
        value, entry.payload, "hit" if fresh else "stale", tier, entry.took, entry.price,
        raises=entry.kind == "error",
    )  # fmt: skip


def _early(entry: Entry, beta: float, now: float) -> bool:
    """Decide whether to refresh ahead of expiry (XFetch; Vattani, Chierichetti, Lowenstein 2015).

    The nearer the expiry and the longer the work takes, the likelier; so that among many callers
    one, and hardly ever two, fetches before the entry runs out under all of them.
    """
    if beta == 0.0 or entry.took == 0.0 or entry.fresh_until == math.inf:
        return False
    chance = 1.0 - random.random()  # noqa: S311 - not for secrets
    return now - entry.took * beta * math.log(chance) >= entry.fresh_until


def _refresh(call: Call, entry: Entry) -> Flow:
    """Begin to refresh an entry in the background; return whether somebody does.

    Where a refresh was cancelled with its event loop, or stands still with it, the next one would
    be too: what is begun behind a caller's back ends with a loop that runs for that caller alone.
    So the next caller that needs a fresh result fetches it itself.
    """
    own = call.key or b""
    key = b"refresh" + own
    flights = call.plan.shared.flights
    if flights.drop_if_stuck(key):
        flights.cancelled_refreshes.add(own)
    if own in flights.cancelled_refreshes:
        return False
    if not flights.count_callers(key):
        work = partial(_refreshing, call, key, entry.created)
        cancelled = partial(flights.cancelled_refreshes.add, own)
        yield Spawn(work, cancelled, owner=call.plan.name)
    return True


def _refreshing(call: Call, key: bytes, created: float) -> Flow:
    again = Call(call.plan, call.args, call.kwargs, call.plan.shared.clock.monotonic())
    again.key, again.tags = call.key, call.tags
    token = DEADLINE.set(None)  # the caller is long gone
    mark = REFRESH.set(object())
    try:
        arrival: FlightResult = yield Fly(key, partial(_refreshed, again, created), None)
    except Exception as error:  # noqa: BLE001 - nobody waits for it; the old answer stands
        again.error = error
        notice(again, "refresh_failed", type(error).__name__)
        record(again, "refresh", None)
    except GeneratorExit:  # it was left behind with its loop
        call.plan.shared.flights.cancelled_refreshes.add(call.key or b"")
        raise
    else:
        if arrival.led and arrival.value.outcome == "miss":
            record(again, "refresh", arrival.value)
    finally:
        _reset(REFRESH, mark)
        _reset(DEADLINE, token)


def _refreshed(call: Call, created: float) -> Flow:
    plan = call.plan
    now = plan.shared.clock.monotonic()
    # Another process may have been quicker; then its result only has to be brought up.
    found = yield from plan.tiers.lookup(call.key or b"", call.tags, now, newer_than=created)
    if found.entry is not None and is_newer(found.entry, created):
        return Answer(NOTHING, found.entry.payload, "hit")
    return (yield from _fetched(call, plan.policy.cache, found.marks))


def _fetched(call: Call, cache: Cache | None = None, marks: Sequence[Mark] = ()) -> Flow:
    """Run the function under its policies, and keep the result."""
    plan = call.plan
    monotonic = plan.shared.clock.monotonic
    began = monotonic()
    mark = None if plan.meaning is None else (yield from walk_optional(call, "mark", _mark(plan)))
    value = yield from attempted(call)
    took = monotonic() - began
    if plan.stream:
        return _on_air(call, value, marks, took)
    price = plan.charge(call, value)
    payload = None
    kept = cache is not None and wanted(call, cache, value)
    if kept or plan.policy.coalesces:
        payload = encoded(call, value, kept=kept)
    answer = Answer(value, payload, "miss", None, took, price)
    if plan.policy.coalesces and call.key is not None:
        answer = yield from _with_template(answer, plan.shared.flights, call.place + call.key)
    if cache is not None and kept and payload is not None:
        entry = entry_of(call, cache, payload, took, price)
        yield from plan.tiers.store(call.key or b"", entry, marks)
        if plan.meaning is not None:
            yield from kept_by_meaning(call, value, payload, entry, mark)
    return answer


def _with_template(answer: Answer, flights: Flights, key: bytes) -> Generator[Step, Any, Answer]:
    """Return the answer with what its followers need, before its leader gets hold of the value."""
    if answer.payload is not None:
        flights.single_use.discard(key)
        return answer
    if flights.count_callers(key) <= 1:
        return answer
    template = yield from template_of(answer.value)
    lone = template is NOTHING
    if lone:
        flights.single_use.add(key)
    return answer._replace(template=template, lone=lone)


def _mark(plan: Plan) -> Flow:
    """Return the semantic cache's mark of this moment."""
    yield from ()
    return None if plan.meaning is None else plan.meaning.mark()


def _on_air(call: Call, recording: BaseRecording, marks: Sequence[Mark], took: float) -> Answer:
    """Let others join a stream that has begun, and note what will be needed at its end."""
    call.marks = marks
    call.spent += call.plan.price_of_failure()
    call.priced += 1
    recording.owner = call
    streams = call.plan.shared.streams
    if call.key is not None and call.plan.policy.coalesces:
        place = call.place + call.key
        streams.offer(place, recording)
        if recording.single_use:
            call.plan.shared.flights.single_use.add(place)
        else:
            call.plan.shared.flights.single_use.discard(place)
    return Answer(
        recording, None, "miss", None, took, call.plan.price_of_failure(), lone=recording.single_use
    )


def kept_stream(recording: BaseRecording) -> Flow:
    """Return the flow that keeps a stream which has been read to its end."""
    call: Call = recording.owner
    try:
        yield from walk_optional(call, "stream", _kept_stream(call, recording))
    finally:
        call.plan.shared.streams.remove(call.place + (call.key or b""), recording)


def _kept_stream(call: Call, recording: BaseRecording) -> Flow:
    plan = call.plan
    cache = plan.policy.cache
    if cache is None or call.key is None:
        return
    if not recording.complete:
        if recording.unencodable is not None:
            notice(call, "not_encodable", recording.unencodable)
        return
    items = recording.all()
    price = plan.price(items)
    call.spent += price - plan.price_of_failure()
    if not wanted(call, cache, items):
        return
    payload = encoded(call, (items, recording.returned), kept=True)
    if payload is not None:
        took = plan.shared.clock.monotonic() - call.began
        entry = entry_of(call, cache, payload, took, price, "stream")
        yield from plan.tiers.store(call.key, entry, call.marks)
        if plan.meaning is not None:
            yield from kept_by_meaning(call, (items, recording.returned), payload, entry, None)


def _kept_error(
    call: Call, cache: Cache, error: Exception, took: float, marks: Sequence[Mark]
) -> Flow:
    plan = call.plan
    if cache.negative is None or not matches(cache.negative, uncarried(error)):
        return
    try:
        payload = remember_error(uncarried(error), plan.shared.codec)
    except NotEncodableError as refusal:
        report_refusal(call, refusal, error)
        return
    now = plan.shared.clock.monotonic()
    until = now + plain(cache.negative_ttl)
    entry = Entry(payload, now, until, until, took, 0.0, call.tags, "error")
    yield from plan.tiers.store(call.key or b"", entry, marks)


def current_deadline() -> Deadline | None:
    """Return the deadline that stands in this context, or None."""
    known = DEADLINE.get()
    while known is not None and known.over:
        known = known.outer
    return known


def _reset(variable: ContextVar[Any], token: Token[Any]) -> None:
    # The collector ends a flow that was left behind in whatever context it runs itself.
    with suppress(ValueError):
        variable.reset(token)


def _seconds_left(call: Call) -> float | None:
    known = current_deadline()
    if known is None:
        return None
    left = known.at - call.plan.shared.clock.monotonic()
    if left <= 0.0:
        raise _too_late(call, 0.0)
    return left


def _is_left(call: Call) -> bool:
    """Return whether the caller leaves a plain function at its deadline, which needs a thread."""
    if call.plan.in_thread is not None:
        return call.plan.in_thread
    known = current_deadline()
    return known is not None and known.in_thread


def _too_late(call: Call, seconds: float) -> DeadlineExceeded:
    message = f"{call.plan.name} gave no result before its caller's deadline"
    return DeadlineExceeded(message, seconds=seconds)
