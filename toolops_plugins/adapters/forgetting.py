"""Forget what is stored for single calls: exactly, and by the meaning of their questions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from toolops_plugins.calls.plan import Plan
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.runtime import ToolOps
from toolops_plugins.steps import Flow

__all__ = ["ForgettableCall", "aforget_calls", "forget_calls"]

ForgettableCall: TypeAlias = tuple[Any, tuple[Any, ...]]
"""A wrapped function or a ``CacheAside``, and the arguments of the call."""

_ROUNDS = 8
"""Stored questions in other words that are forgotten for one call."""


def forget_calls(ops: ToolOps, calls: Iterable[ForgettableCall]) -> None:
    """Forget the results of calls in every tier and process, so that they are made anew.

    A stored answer to the same question in other words, which would be served for a call, goes too.
    A call without a key has nothing stored.

    Args:
        ops: The runtime of the functions.
        calls: The calls.

    Raises:
        TierError: A tier could not be reached; the others have forgotten.
    """
    ops._threads.run(_forget(ops, calls))  # noqa: SLF001 - of the same core


async def aforget_calls(ops: ToolOps, calls: Iterable[ForgettableCall]) -> None:
    """As :func:`forget_calls`, without blocking the event loop."""
    await ops._on_loop().run(_forget(ops, calls))  # noqa: SLF001 - as above


def _forget(ops: ToolOps, calls: Iterable[ForgettableCall]) -> Flow:
    found = [(plan, args, key) for plan, args, key in map(_key_of, calls) if key is not None]
    invalidate = ops._storage.invalidate  # noqa: SLF001 - as above
    yield from invalidate((), [key for _, _, key in found])
    for plan, args, key in found:
        keyer = plan.semantic_keyer
        question = None if keyer is None else keyer.question(key, args, {})
        if keyer is None or question is None:
            continue
        for _ in range(_ROUNDS):
            lookup = yield from keyer.cache.answers.lookup(question, keyer.rule, dry=True)
            if lookup.row is None:
                break
            # An entry of the index has the beginning of its question's key as its id.
            yield from invalidate((), [bytes.fromhex(lookup.row.id).ljust(32, b"\0")])


def _key_of(call: ForgettableCall) -> tuple[Plan, tuple[Any, ...], bytes | None]:
    function, args = call
    plan: Plan = function.__toolops_plan__
    if plan.keyer is None:
        return plan, args, None
    try:
        return plan, args, plan.keyer.key(args, {})
    except NotCanonicalError:
        return plan, args, None
