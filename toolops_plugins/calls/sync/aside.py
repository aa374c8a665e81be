"""The lookup and the store of a cache-aside, whose caller makes the call itself."""

# Generated from ../aio by scripts/make_sync.py; edit that, then run `make sync`.
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from toolops_plugins.cache.entry import Mark
from toolops_plugins.calls.answer import Answer, record_aside, tags_of
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.results import encode_result, is_cacheable, make_entry
from toolops_plugins.calls.semantic_answers import mark_semantic
from toolops_plugins.calls.sync.forced_refresh import forget_earlier_result
from toolops_plugins.calls.sync.results import make_key, run_optional, start_bus
from toolops_plugins.calls.sync.semantic_lookup import lookup_semantic, store_semantic
from toolops_plugins.calls.sync.serving import serve_entry
from toolops_plugins.calls.sync.tiers import find_entry, store_entry
from toolops_plugins.telemetry.events import Outcome

if TYPE_CHECKING:
    from toolops_plugins.drivers.thread import ThreadDriver

__all__ = ["look_aside", "store_aside"]


def look_aside(driver: ThreadDriver, call: Call) -> Answer | None:
    """Return the answer that is stored for a call, or None."""
    if call.large:
        make_key(driver, call)
    answer: Answer | None = run_optional(call, "lookup", _find_answer, driver, call)
    return answer


def _find_answer(driver: ThreadDriver, call: Call) -> Answer | None:
    plan = call.plan
    cache = plan.policy.cache
    call.tags = tags_of(call)
    if call.key is None or cache is None:
        return None
    bus = plan.shared.bus
    if bus is not None and not bus.ready.is_set():
        run_optional(call, "bus", start_bus, driver, bus)
    if plan.shared.forced_refreshes and not forget_earlier_result(driver, call, None):
        return None
    now = plan.shared.clock.monotonic()
    found = find_entry(driver, plan.tiers, call.key, call.tags, now)
    call.marks = found.marks
    answer: Answer | None = None
    if found.entry is not None:
        answer = serve_entry(driver, call, cache, found.entry, found.tier)
    if answer is None and plan.semantic_keyer is not None and not call.forced:
        answer, _ = lookup_semantic(driver, call, plan.semantic_keyer, found, _no_fetch)
    return answer


def _no_fetch(driver: ThreadDriver) -> NoReturn:
    raise AssertionError(f"a cache-aside cannot make the call ({driver!r})")


def store_aside(
    driver: ThreadDriver,
    call: Call,
    value: Any,
    match: Callable[[Call], tuple[Call, float, Sequence[Mark] | None]],
    ttl: float | None,
) -> None:
    """Store a value, unless it was invalidated since the lookup, and count the call.

    Args:
        driver: Does what takes time.
        call: The call.
        value: Its result.
        match: Returns the call of the lookup that missed, or the call itself; the seconds that it
            took; and the invalidation marks of the lookup, or None if there was none.
        ttl: Seconds that it is fresh. None: as the policy says.
    """
    if call.large:
        make_key(driver, call)
    call, took, marks = match(call)
    run_optional(call, "store", _store_value, driver, call, value, took, marks, ttl)


def _store_value(
    driver: ThreadDriver,
    call: Call,
    value: Any,
    took: float,
    marks: Sequence[Mark] | None,
    ttl: float | None,
) -> None:
    plan = call.plan
    cache = plan.policy.cache
    price = plan.charge(call, value)
    call.attempts, call.worked = 1, took
    payload = None
    if call.key is not None and cache is not None and is_cacheable(call, cache, value):
        payload = encode_result(call, value, report=True)
        if payload is not None:
            entry = make_entry(call, cache, payload, took, price, ttl=ttl)
            store_entry(driver, plan.tiers, call.key, entry, marks)
            if plan.semantic_keyer is not None:
                mark = mark_semantic(call)
                store_semantic(driver, call, value, payload, entry, mark)
    outcome: Outcome = "bypass" if call.key is None else "miss"
    record_aside(call, outcome, Answer(value, payload, "miss", None, took, price))
