"""Policies of guarded models: the default, the errors that count, and the names of its parts."""

from __future__ import annotations

import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from toolops_plugins.adapters.options import policy_of
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.policy import Cache, Policy, PolicyParts
from toolops_plugins.policy.attempts import CircuitBreaker, Retry
from toolops_plugins.policy.faults import callee_failed, fault_of
from toolops_plugins.runtime import ToolOps
from toolops_plugins.wrapping.redefinition import same_policy

__all__ = [
    "MODEL_POLICY",
    "may_pass",
    "model_policy_of",
    "name_parts",
    "narrow_errors",
    "warn_of_retries",
]

MODEL_POLICY = Policy(cache=Cache(ttl=3_600.0), retry=Retry(), breaker=CircuitBreaker())
"""The default for model calls: kept for an hour, retried, and behind a circuit breaker."""
_ALIKE = 1_000
"""Different breakers of one name that are remembered."""
_parts: weakref.WeakKeyDictionary[ToolOps, dict[tuple[str, str], list[Any]]] = (
    weakref.WeakKeyDictionary()
)
_lock = fork_safe(sys.modules[__name__], threading.Lock())


def may_pass(error: BaseException) -> bool:
    """Return whether a failed model call is worth another attempt.

    An error may say so itself by ``is_retryable``. Of others those are not that came with an HTTP
    status of the 4xx kind, other than 408, 409, 425 and 429. A ``ValueError`` is: what a model has
    written could not be read, and it may write something else.
    """
    says = getattr(error, "is_retryable", None)
    if isinstance(says, bool):
        return says
    return fault_of(error) != "request"


def model_policy_of(policy: Policy | None, parts: PolicyParts) -> Policy:
    """Return the policy that a user gave for a model, with its parts by name.

    Args:
        policy: The policy. None: :data:`MODEL_POLICY`.
        parts: Parts that win over those of the policy.

    Raises:
        ConfigurationError: It is something else, or a part is wrong.
    """
    return policy_of(MODEL_POLICY if policy is None else policy).replace(**parts)


def narrow_errors(
    policy: Policy,
    is_outage: Callable[[BaseException], bool] = may_pass,
    is_passing: Callable[[BaseException], bool] = may_pass,
) -> Policy:
    """Return the policy with a retry and a breaker that leave alone errors of the caller's own.

    Args:
        policy: The user's policy; a retry or breaker that names exceptions stays as it is.
        is_outage: Whether an error speaks against the service that was called.
        is_passing: Whether an error is worth another attempt.
    """
    retry, breaker = policy.retry, policy.breaker
    if retry is not None and retry.on is callee_failed:
        policy = policy.replace(retry=replace(retry, on=is_passing))
    if breaker is not None and breaker.on is callee_failed:
        policy = policy.replace(breaker=replace(breaker, on=is_outage))
    return policy


def name_parts(ops: ToolOps, policy: Policy, name: str) -> Policy:
    """Return the policy with names for its breaker, limit and bulkhead.

    Equal ones of one name are one, wherever they were asked for. A different one of the same name
    gets a name of its own, since nobody can know beforehand who else calls this model.

    Args:
        ops: The runtime.
        policy: The user's policy; a part that has a name keeps it.
        name: The name of the model or tool.
    """
    changes: dict[str, Any] = {}
    for part in ("breaker", "rate_limit", "bulkhead"):
        chosen = getattr(policy, part)
        if chosen is None or chosen.name is not None:
            continue
        with _lock:
            known = _parts.setdefault(ops, {}).setdefault((part, name), [])
            # A notebook cell that is run again makes the functions in its policies anew.
            same = (at for at, each in enumerate(known) if same_policy(each, chosen))
            number = next(same, len(known))
            if number == len(known):
                known.append(chosen)
                del known[:-_ALIKE]
                number = len(known) - 1
        changes[part] = replace(chosen, name=f"{name} #{number + 1}" if number else name)
    return policy.replace(**changes)


def warn_of_retries(model: object, own: object, policy: Policy, *, stacklevel: int = 3) -> None:
    """Warn whoever guards a model that its own attempts multiply with those of the policy.

    Args:
        model: The model.
        own: The number of its own retries, if that is known.
        policy: The policy of its calls.
        stacklevel: The number of frames from here to the user's. Default 3.
    """
    if policy.retry is None or not isinstance(own, int) or own <= 0:
        return
    warnings.warn(
        f"{type(model).__name__} tries again by itself (max_retries={own}), and so does the policy "
        f"({policy.retry.attempts} attempts): they multiply. Leave it to the policy with "
        "max_retries=0, or to the model with a policy without retry.",
        UserWarning,
        stacklevel=stacklevel,
    )
