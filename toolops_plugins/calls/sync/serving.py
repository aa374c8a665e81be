"""Serve a call from a cache entry, and refresh the entry in the background when it is due."""

# Generated from ../aio by scripts/make_sync.py; edit that, then run `make sync`.
from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from toolops_plugins.cache.entry import Entry, Mark
from toolops_plugins.cache.tiers import is_newer
from toolops_plugins.calls.answer import Answer, emit_notice, record_call
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.context import DEADLINE, REFRESH, reset_variable
from toolops_plugins.calls.results import decode_entry, is_refresh_due
from toolops_plugins.calls.sync.fetching import fetch
from toolops_plugins.calls.sync.hooks import run_between_hooks
from toolops_plugins.calls.sync.tiers import find_entry
from toolops_plugins.policy import NOTHING, Cache

if TYPE_CHECKING:
    from toolops_plugins.drivers.thread import ThreadDriver

__all__ = ["serve_entry"]


def serve_entry(
    driver: ThreadDriver, call: Call, cache: Cache, entry: Entry, tier: str | None
) -> Answer | None:
    """Return the answer that an entry makes now, or None if it may not be served.

    An entry that is stale or close to its expiry is refreshed in the background.

    Args:
        driver: Starts the refresh.
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
    if entry.kind == "value" and (not fresh or is_refresh_due(entry, cache.beta, now)):
        under_way = _refresh(driver, call, entry)
        if not under_way and not fresh:
            return None
    return Answer(
        value, entry.payload, "hit" if fresh else "stale", tier, entry.took, entry.price,
        raises=entry.kind == "error",
    )  # fmt: skip


def _refresh(driver: ThreadDriver, call: Call, entry: Entry) -> bool:
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
        on_cancel = partial(flights.cancelled_refreshes.add, own)
        driver.spawn(
            _refresh_in_background, call, key, entry.created,
            on_cancel=on_cancel, owner=call.plan.name,
        )  # fmt: skip
    return True


def _refresh_in_background(driver: ThreadDriver, call: Call, key: bytes, created: float) -> None:
    """Refresh an entry as a flight of its own, and record what came of it."""
    again = Call(call.plan, call.args, call.kwargs, call.plan.shared.clock.monotonic())
    again.key, again.tags, again.background = call.key, call.tags, True
    token = DEADLINE.set(None)  # the caller has its answer already
    mark = REFRESH.set(object())
    try:
        driver.fly(key, _fetch_newer, again, created)
    except Exception as error:  # noqa: BLE001 - nobody waits for it; the stale entry stays
        emit_notice(again, "refresh_failed", type(error).__name__)
    except GeneratorExit:  # its event loop has ended
        call.plan.shared.flights.cancelled_refreshes.add(call.key or b"")
        raise
    finally:
        reset_variable(REFRESH, mark)
        reset_variable(DEADLINE, token)


def _fetch_newer(driver: ThreadDriver, call: Call, created: float) -> Answer:
    """Return an answer that is newer than ``created``, from another process or the function."""
    plan = call.plan
    now = plan.shared.clock.monotonic()
    # Another process may have been quicker; its result only has to move to the nearer tiers.
    found = find_entry(driver, plan.tiers, call.key or b"", call.tags, now, created)
    if found.entry is not None and is_newer(found.entry, created):
        return Answer(NOTHING, found.entry.payload, "hit")
    if plan.shared.emitter.starters:
        refreshed: Answer = run_between_hooks(driver, _fetch_again, call, found.marks)
        return refreshed
    return _fetch_again(driver, call, found.marks)


def _fetch_again(driver: ThreadDriver, call: Call, marks: Sequence[Mark]) -> Answer:
    """Run the function once more, and record the refresh."""
    try:
        answer = fetch(driver, call, call.plan.policy.cache, marks)
    except Exception as error:
        call.error = type(error).__name__
        record_call(call, "refresh", None)
        raise
    record_call(call, "refresh", answer, answer.value)
    return answer
