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

__all__ = ["Substitute", "map_fallback", "no_answer", "with_substitutes"]


class Substitute:
    """A fallback in place of an answer, or of one item of a stream.

    Args:
        value: The value of the user's fallback, or what it returned.
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
    return map_fallback(policy, _items if stream else Substitute)


def map_fallback(policy: Policy, change: Callable[[Any], Any]) -> Policy:
    """Return the policy with a fallback whose results a function has changed.

    Args:
        policy: The user's policy.
        change: Takes what the fallback holds or returns, and returns the result.

    Raises:
        ConfigurationError: As for :func:`with_substitutes`.
    """
    fallback = policy.fallback
    if fallback is NOTHING:
        return policy
    check_fallback(fallback, "coroutine")
    if not callable(fallback):
        return policy.replace(fallback=lambda *_: change(copy_value(fallback)))
    if iscoroutinefunction(fallback) or iscoroutinefunction(type(fallback).__call__):

        async def afallback(error: Any, arguments: Any, stale: Any) -> Any:
            return change(await bind_fallback(fallback, (error, arguments, stale))())

        return policy.replace(fallback=afallback)

    def call_fallback(error: Any, arguments: Any, stale: Any) -> Any:
        value = bind_fallback(fallback, (error, arguments, stale))()
        return _change_later(value, change) if isawaitable(value) else change(value)

    return policy.replace(fallback=call_fallback)


async def _change_later(value: Awaitable[Any], change: Callable[[Any], Any]) -> Any:
    return change(await value)


def _items(value: Any) -> Iterator[Substitute] | AsyncIterator[Substitute]:
    items = fallback_items(value)
    if isinstance(items, AsyncIterator):
        return _aitems(items)
    return (Substitute(item) for item in items)


async def _aitems(items: AsyncIterator[Any]) -> AsyncIterator[Substitute]:
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
