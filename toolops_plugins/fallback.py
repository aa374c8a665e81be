"""What a policy offers a caller in place of an error."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from toolops_plugins.plan import Call
from toolops_plugins.policy import NOTHING
from toolops_plugins.results import decoded
from toolops_plugins.steps import Ask, Flow

__all__ = ["fallen_back"]


def fallen_back(call: Call, error: Exception) -> Flow:
    """Return what the policy offers in place of the error; its own error reaches the caller."""
    plan = call.plan
    fallback = plan.policy.fallback
    if not callable(fallback):
        return deepcopy(fallback)
    given = (error, plan.arguments(call.args, call.kwargs), _last_known(call))
    return (yield Ask(fallback, *given[: _positional(fallback)]))


def _positional(function: Callable[..., Any]) -> int:
    """Return how many of a fallback's three arguments it takes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    kinds = [p.kind for p in parameters]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return 3
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return min(3, sum(kind in plain for kind in kinds))


def _last_known(call: Call) -> Any:
    """Return the value of an entry that this process still holds, however old, or None."""
    plan = call.plan
    if call.key is None or plan.policy.cache is None:
        return None
    near = plan.tiers.near(call.key, call.tags)
    if near is None or near[0].kind != "value":
        return None
    value = decoded(call, near[0])
    return None if value is NOTHING else value
