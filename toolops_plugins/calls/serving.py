"""Serve a call from a cache entry, and refresh the entry in the background when it is due."""

from __future__ import annotations

import math
import random
from functools import partial

from toolops_plugins.cache.entry import Entry
from toolops_plugins.cache.tiers import is_newer
from toolops_plugins.calls.answer import Answer, emit_notice, record_call
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.context import DEADLINE, REFRESH, reset_variable
from toolops_plugins.calls.fetching import fetch
from toolops_plugins.calls.results import decode_entry
from toolops_plugins.coalesce.flights import FlightResult
from toolops_plugins.policy import NOTHING, Cache
from toolops_plugins.steps import Flow, Fly, Spawn

__all__ = ["serve_entry"]


def serve_entry(call: Call, cache: Cache, entry: Entry, tier: str | None) -> Flow:
    """Return the answer that an entry makes now, or None if it may not be served.

    An entry that is stale or close to its expiry is refreshed in the background.

    Args:
        call: The call.
        cache: The cache policy.
        entry: The entry.
        tier: The label of the tier that held it.
    """
    if (entry.kind == "stream") is not call.plan.stream and entry.kind != "error":
        return None  # a function of the same name stored it, whose results are of another kind
    if entry.kind == "error" and cache.negative is None:
        return None  # another process stored it; this tool caches no exceptions
    now = call.plan.shared.clock.monotonic()
    fresh = entry.fresh_until > now
    if not fresh and (
        entry.kind != "value" or now >= entry.fresh_until + call.plan.lifetimes.stale_ttl
    ):
        return None
    value = decode_entry(call, entry)
    if value is NOTHING:
        return None
    if entry.kind == "value" and (not fresh or _is_refresh_due(entry, cache.beta, now)):
        under_way = yield from _refresh(call, entry)
        if not under_way and not fresh:
            return None
    return Answer(
        value, entry.payload, "hit" if fresh else "stale", tier, entry.took, entry.price,
        raises=entry.kind == "error",
    )  # fmt: skip


def _is_refresh_due(entry: Entry, beta: float, now: float) -> bool:
    """Decide whether to refresh ahead of expiry (XFetch; Vattani, Chierichetti, Lowenstein 2015).

    The chance grows as the expiry comes near and with the time that the function takes. Among many
    callers one, and hardly ever two, refreshes before the entry expires for all of them.
    """
    if beta == 0.0 or entry.took == 0.0 or entry.fresh_until == math.inf:
        return False
    chance = 1.0 - random.random()  # noqa: S311 - not for secrets
    return now - entry.took * beta * math.log(chance) >= entry.fresh_until


def _refresh(call: Call, entry: Entry) -> Flow:
    """Start a background refresh of an entry; return whether one is under way.

    A refresh runs on its caller's event loop and ends with it. If the last one was cancelled with
    its loop, or makes no progress, the next would fail the same way. So the next caller that needs
    a fresh result fetches it itself.
    """
    own = call.key or b""
    key = b"refresh" + own
    flights = call.plan.shared.flights
    if flights.drop_if_stuck(key):
        flights.cancelled_refreshes.add(own)
    if own in flights.cancelled_refreshes:
        return False
    if not flights.count_callers(key):
        work = partial(_refresh_in_background, call, key, entry.created)
        on_cancel = partial(flights.cancelled_refreshes.add, own)
        yield Spawn(work, on_cancel, owner=call.plan.name)
    return True


def _refresh_in_background(call: Call, key: bytes, created: float) -> Flow:
    """Refresh an entry as a flight of its own, and record what came of it."""
    again = Call(call.plan, call.args, call.kwargs, call.plan.shared.clock.monotonic())
    again.key, again.tags = call.key, call.tags
    token = DEADLINE.set(None)  # the caller has its answer already
    mark = REFRESH.set(object())
    try:
        arrival: FlightResult = yield Fly(key, partial(_fetch_newer, again, created), None)
    except Exception as error:  # noqa: BLE001 - nobody waits for it; the stale entry stays
        again.error = error
        emit_notice(again, "refresh_failed", type(error).__name__)
        record_call(again, "refresh", None)
    except GeneratorExit:  # its event loop has ended
        call.plan.shared.flights.cancelled_refreshes.add(call.key or b"")
        raise
    else:
        if arrival.led and arrival.value.outcome == "miss":
            record_call(again, "refresh", arrival.value)
    finally:
        reset_variable(REFRESH, mark)
        reset_variable(DEADLINE, token)


def _fetch_newer(call: Call, created: float) -> Flow:
    """Return an answer that is newer than ``created``, from another process or the function."""
    plan = call.plan
    now = plan.shared.clock.monotonic()
    # Another process may have been quicker; its result only has to move to the nearer tiers.
    found = yield from plan.tiers.lookup(call.key or b"", call.tags, now, newer_than=created)
    if found.entry is not None and is_newer(found.entry, created):
        return Answer(NOTHING, found.entry.payload, "hit")
    return (yield from fetch(call, plan.policy.cache, found.marks))
