"""Pass a framework's own signals through policies: exceptions that are no failures.

An interrupt, or a step that waits for a human, travels as an exception. A retry, a circuit breaker
or a fallback that took it for a failure would break the agent. So it passes through the policies as
a value that is not stored, and is raised again after them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from toolops_plugins.adapters.policy_views import map_results
from toolops_plugins.coalesce.error_copies import copy_error
from toolops_plugins.policy import Policy

__all__ = ["Signal", "adapt_policy", "release"]


class Signal:
    """An exception on its way through the policies.

    Args:
        error: The exception.
    """

    __slots__ = ("error",)
    __toolops_shareable__ = True

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __deepcopy__(self, memo: dict[int, Any]) -> Signal:
        return Signal(copy_error(self.error))


def release(value: Any) -> Any:
    """Return a value that came through the policies; raise the exception of a signal."""
    if type(value) is Signal:
        raise value.error
    return value


def adapt_policy(policy: Policy, may_store: Callable[[Any], bool]) -> Policy:
    """Return a policy that stores no signal, and no result that the adapter does not want stored.

    Args:
        policy: The user's policy; its own callables see results only.
        may_store: The adapter's predicate over results.
    """
    policy = map_results(policy, _Results)
    cache = policy.cache
    if cache is None:
        return policy
    own = cache.when

    def when(value: Any) -> bool:
        if type(value) is Signal or not may_store(value):
            return False
        return own is None or bool(own(value))

    return policy.replace(cache=replace(cache, when=when))


@dataclass(frozen=True)
class _Results:
    """A callable over results, which takes a signal for nothing.

    Two are equal if their callables are: tools may share a circuit breaker by its policy.
    """

    function: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        return 0.0 if type(value) is Signal else self.function(value)
