"""A framework's own signals, which are exceptions but no failures.

An interrupt, or a step that waits for a human, travels as an exception. To retry it, to count it
against a breaker or to answer it from a fallback would break the agent. So it passes through the
policies as a value that is not stored, and is raised again behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from toolops_plugins.coalesce.error_copies import copy_error
from toolops_plugins.policy import Policy, Price

__all__ = ["Carried", "letting_through", "released"]


class Carried:
    """An exception on its way through the policies.

    Args:
        error: The exception.
    """

    __slots__ = ("error",)
    __toolops_shareable__ = True

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __deepcopy__(self, memo: dict[int, Any]) -> Carried:
        return Carried(copy_error(self.error))


def released(value: Any) -> Any:
    """Return a value that came through the policies; an exception among them is raised."""
    if type(value) is Carried:
        raise value.error
    return value


def letting_through(policy: Policy, wanted: Callable[[Any], bool]) -> Policy:
    """Return a policy that also refuses to store what the adapter does not want stored.

    Args:
        policy: The user's policy, whose own predicates and ``price`` see results only.
        wanted: The adapter's predicate over the result; exceptions under way are refused anyway.
    """
    cache, price = policy.cache, policy.price
    if cache is not None:
        asked = cache.when

        def when(value: Any) -> bool:
            if type(value) is Carried or not wanted(value):
                return False
            return asked is None or bool(asked(value))

        policy = policy.replace(cache=replace(cache, when=when))
    for name in ("retry", "breaker"):
        part = getattr(policy, name)
        if part is not None and part.on_result is not None:
            policy = replace(policy, **{name: replace(part, on_result=_OnResult(part.on_result))})
    if callable(price) and not isinstance(price, Price):
        policy = policy.replace(price=lambda value: _price(price, value))
    elif isinstance(price, Price) and price.tokens is not None:
        tokens = price.tokens
        policy = policy.replace(price=replace(price, tokens=lambda value: _price(tokens, value)))
    return policy


@dataclass(frozen=True)
class _OnResult:
    """A predicate over results, to which an exception under way is none.

    Equal where the predicate is, since two tools may share a circuit breaker by its policy.
    """

    predicate: Callable[[Any], bool]

    def __call__(self, value: Any) -> bool:
        return type(value) is not Carried and bool(self.predicate(value))


def _price(price: Callable[[Any], float], value: Any) -> float:
    return 0.0 if type(value) is Carried else price(value)
