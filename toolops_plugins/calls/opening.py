"""The hot path of a plan: a call that this process can answer from its memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from toolops_plugins.cache.memory import MOST, Memory
from toolops_plugins.cache.memory_slot import Slot
from toolops_plugins.calls.answer import merge_details
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.context import current_forced_refresh
from toolops_plugins.calls.hooks import emit_with_start
from toolops_plugins.keys.keyer import MEMO_TEXT
from toolops_plugins.policy import NOTHING
from toolops_plugins.telemetry.events import CallEvent
from toolops_plugins.telemetry.stats import BATCH

if TYPE_CHECKING:
    from toolops_plugins.calls.plan import Plan

__all__ = ["Open", "make_open"]

Open: TypeAlias = Callable[[tuple[Any, ...], dict[str, Any]], Any]

_EMPTY = Memory(max_items=1)
"""Stands in where no memory tier is first, so that the hot path needs no check."""


def make_open(plan: Plan) -> Open:
    """Return a function that answers a call from memory, or returns a :class:`Call` for the flow.

    It is :attr:`Plan.open`. All that a hit needs is a variable of this function, which is read in
    half the time of an attribute; for the same reason the steps of a hit stand in one function, and
    the parts that they belong to are asked by their plain data: the keys that the keyer remembers,
    the slots of the memory tier, the list of hits to count. A hit takes 0.75 microseconds so, and
    1.1 with a method for each step.
    """
    # Weak, since the plan refers to this function: a dropped tool is freed at once, with a runtime
    # that nothing else refers to. Whoever calls it holds the plan.
    find_plan = cast("Callable[[], Plan]", weakref.ref(plan))
    shared, keyer, stats = plan.shared, plan.keyer, plan.stats
    monotonic = shared.clock.monotonic
    if keyer is None:
        return lambda args, kwargs: Call(find_plan(), args, kwargs, monotonic())
    decode = shared.codec.decode
    name, namespace, wall_time = plan.name, shared.namespace, shared.clock.time
    emitter, emit_plain = shared.emitter, shared.emitter.emit_plain
    described, kind_of_call = plan.is_described, plan.kind
    # A named tuple's own constructor, in Python, takes twice as long.
    new_event: Callable[[type[CallEvent], tuple[Any, ...]], CallEvent] = tuple.__new__
    find_key, remembered = keyer.key, keyer.remembered
    hits, count_pending = stats.hits, stats.count_pending
    # A ledger tells the calls of models and agents apart, by their events.
    by_event = described and stats.tally is not None
    # Only the first tier is looked at; the flow asks all others.
    first = plan.tiers.all[0] if plan.tiers.all and plan.policy.cache is not None else None
    memory = first if isinstance(first, Memory) else _EMPTY
    near = memory is _EMPTY
    peek = memory.peek

    def open_(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        began = monotonic()
        if shared.forced_refreshes and current_forced_refresh(shared) is not None:
            return find_plan().begin(args, kwargs)
        if not shared.active:
            return Call(find_plan(), args, kwargs, began)
        key = None
        slot: Slot | None = None
        try:
            if remembered is not None and not kwargs:
                for value in args:
                    kind = type(value)
                    if kind is str:
                        if len(value) > MEMO_TEXT:
                            break
                    elif kind is not int and value is not None:
                        break
                else:
                    key = remembered(args)
            if key is None:
                key = find_key(args, kwargs, large=False)
        except Exception as error:  # noqa: BLE001 - without a key the call bypasses the cache
            return find_plan().note_missing_key(Call(find_plan(), args, kwargs, began), error)
        if key is None:
            call = Call(find_plan(), args, kwargs, began)
            call.large = True
            return call
        try:
            slot = peek(key)
            if slot is not None and began < slot.soft and slot.seq >= memory.era:
                if slot.freq < MOST:
                    slot.freq += 1
                payload = slot.payload
                value = payload.shared
                if value is NOTHING:
                    copy = payload.copy
                    value = decode(payload) if copy is None else copy()
                latency = monotonic() - began
                saved = slot.took - latency
                if saved < 0.0:  # noqa: PLR1730 - max() takes five times as long
                    saved = 0.0
                if not by_event:
                    hits.append((latency, saved, slot.price))
                    if len(hits) >= BATCH:
                        count_pending()
                if by_event or emitter.active:
                    known = details = None
                    if described:
                        plan = find_plan()
                        known = plan.details_of_start(args, kwargs)
                        details = merge_details(known, plan.details_of_result(value), "hit")
                    event = new_event(
                        CallEvent,
                        (
                            name, "hit", latency, wall_time() - latency, namespace,
                            memory.label, saved, slot.price, key.hex(), slot.tags, 0.0, 0,
                            None, None, False, None, details, kind_of_call, 0.0,
                        ),
                    )  # fmt: skip
                    if by_event:
                        stats.record(event)
                    if emitter.starters:
                        emit_with_start(find_plan(), event, known)
                    else:
                        emit_plain(event)
                return value
        except Exception:  # noqa: BLE001, S110 - the flow meets it again, and reports it
            pass
        call = Call(find_plan(), args, kwargs, began)
        call.key = key
        call.near = near or slot is not None
        return call

    return open_
