"""Tell an answer of a model from the substitute that a policy's fallback offers for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from toolops_plugins.calls.fallback import (
    bind_fallback,
    check_fallback,
    copy_value,
    fallback_items,
)
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import NOTHING, Policy

__all__ = ["Substitute", "no_answer", "with_substitutes"]


class Substitute:
    """What stands in for an answer, or for one item of a stream.

    Args:
        value: What the user's fallback holds or has made.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def with_substitutes(policy: Policy, *, stream: bool = False) -> Policy:
    """Return the policy with a fallback whose results are instances of :class:`Substitute`.

    Args:
        policy: The user's policy.
        stream: Whether it stands in for streams; then each item is such an instance.

    Raises:
        ConfigurationError: The fallback cannot be called with what there is.
    """
    fallback = policy.fallback
    if fallback is NOTHING:
        return policy
    check_fallback(fallback, "coroutine")
    made = _items if stream else Substitute
    if not callable(fallback):
        return policy.replace(fallback=lambda *_: made(copy_value(fallback)))
    if iscoroutinefunction(fallback) or iscoroutinefunction(type(fallback).__call__):

        async def awaited(error: Any, arguments: Any, stale: Any) -> Any:
            return made(await bind_fallback(fallback, (error, arguments, stale))())

        return policy.replace(fallback=awaited)

    def called(error: Any, arguments: Any, stale: Any) -> Any:
        found = bind_fallback(fallback, (error, arguments, stale))()
        return _awaited(found, made) if isawaitable(found) else made(found)

    return policy.replace(fallback=called)


async def _awaited(found: Awaitable[Any], made: Callable[[Any], Any]) -> Any:
    return made(await found)


def _items(value: Any) -> Iterator[Substitute] | AsyncIterator[Substitute]:
    items = fallback_items(value)
    if isinstance(items, AsyncIterator):
        return _aeach(items)
    return (Substitute(item) for item in items)


async def _aeach(items: AsyncIterator[Any]) -> AsyncIterator[Substitute]:
    async for item in items:
        yield Substitute(item)


def no_answer(value: Any, allowed: str) -> ConfigurationError:
    """Return the error for a fallback that is no answer of a model.

    Args:
        value: What it offers.
        allowed: What it may offer.
    """
    return ConfigurationError(
        "fallback", f"must be {allowed}, or make one, not {type(value).__name__}"
    )
