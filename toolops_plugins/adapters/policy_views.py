"""Policies whose callables see results as users know them, and not in the form that is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from toolops_plugins.policy import Policy, Price

__all__ = ["compare_by", "map_results"]

_Function: TypeAlias = Callable[[Any], Any]


def map_results(policy: Policy, view: Callable[[_Function], _Function]) -> Policy:
    """Return the policy with another callable in place of each that gets a result.

    These are ``Cache.when``, ``on_result`` of the retry and the breaker, ``Semantic.answer`` and
    the price.

    Args:
        policy: The user's policy.
        view: Returns what stands in place of a callable. Results of equal callables must be equal,
            since two tools may share a circuit breaker by its policy.
    """
    for part, name in (
        ("cache", "when"),
        ("retry", "on_result"),
        ("breaker", "on_result"),
        ("semantic", "answer"),
    ):
        chosen = getattr(policy, part)
        function = getattr(chosen, name, None)
        if function is not None:
            policy = policy.replace(**{part: replace(chosen, **{name: view(function)})})
    price = policy.price
    if isinstance(price, Price):
        if price.tokens is not None:
            policy = policy.replace(price=replace(price, tokens=view(price.tokens)))
    elif callable(price):
        policy = policy.replace(price=view(price))
    return policy


def compare_by(policy: Policy, answer: _Function) -> Policy:
    """Return the policy with answers compared by what they say, not by their ids and tokens.

    Args:
        policy: The user's policy; a ``Semantic.answer`` of its own stays.
        answer: Returns what a result says.
    """
    semantic = policy.semantic
    if semantic is None or semantic.answer is not None:
        return policy
    return policy.replace(semantic=replace(semantic, answer=answer))
