"""What is asked of every guarded model: its policy, and which errors count."""

from __future__ import annotations

import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.policy import Cache, Policy
from toolops_plugins.policy.attempts import CircuitBreaker, Retry
from toolops_plugins.policy.faults import callee_failed, fault_of
from toolops_plugins.runtime import ToolOps
from toolops_plugins.wrapping.redefinition import same_policy

__all__ = [
    "MODEL_POLICY",
    "Unknown",
    "class_identity",
    "may_pass",
    "told_apart",
    "warn_of_retries",
    "worth_trying",
]

MODEL_POLICY = Policy(cache=Cache(ttl=3_600.0), retry=Retry(), breaker=CircuitBreaker())
"""What is asked of model calls where nothing else is said: kept for an hour, retried, and behind a
circuit breaker."""
_ALIKE = 1_000
"""Different breakers of one name that are remembered."""
_parts: weakref.WeakKeyDictionary[ToolOps, dict[tuple[str, str], list[Any]]] = (
    weakref.WeakKeyDictionary()
)
_local_classes: weakref.WeakKeyDictionary[type, bytes] = weakref.WeakKeyDictionary()
_lock = fork_safe(sys.modules[__name__], threading.Lock())


class Unknown:
    """What cannot be told apart, so that the call goes past the cache, with a warning.

    Args:
        error: What was met when it was looked at.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __toolops_key__(self) -> Any:
        raise NotCanonicalError(type(self._error).__name__) from self._error


def class_identity(kind: type) -> Any:
    """Return what stands for a class of models in keys: the class, with a token if it is local.

    Two classes that one function has made may have one definition and work with different things.
    """
    if "<locals>" not in kind.__qualname__:
        return kind
    with _lock:
        return [kind, _local_classes.setdefault(kind, os.urandom(16))]


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


def worth_trying(policy: Policy, outage: Callable[[BaseException], bool] = may_pass) -> Policy:
    """Return the policy with the errors left alone that no other attempt could mend.

    Args:
        policy: The user's policy; a retry or breaker that names exceptions stays as it is.
        outage: Whether an error speaks against the service that was called.
    """
    retry, breaker = policy.retry, policy.breaker
    if retry is not None and retry.on is callee_failed:
        policy = policy.replace(retry=replace(retry, on=may_pass))
    if breaker is not None and breaker.on is callee_failed:
        policy = policy.replace(breaker=replace(breaker, on=outage))
    return policy


def told_apart(ops: ToolOps, policy: Policy, name: str) -> Policy:
    """Return the policy with names for its breaker, limit and bulkhead.

    Equal ones of one name are one, wherever they were asked for; where somebody asks for another,
    that gets a name of its own, since nobody can know beforehand who else calls this model.

    Args:
        ops: The runtime.
        policy: The user's policy; what has a name keeps it.
        name: Of the model or tool.
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


def warn_of_retries(model: object, own: object, policy: Policy) -> None:
    """Warn whoever guards a model that its own attempts multiply with those of the policy.

    Args:
        model: The model.
        own: How often it tries again by itself, if that is known.
        policy: What is asked of its calls.
    """
    if policy.retry is None or not isinstance(own, int) or own <= 0:
        return
    warnings.warn(
        f"{type(model).__name__} tries again by itself (max_retries={own}), and so does the policy "
        f"({policy.retry.attempts} attempts): they multiply. Leave it to the policy with "
        "max_retries=0, or to the model with a policy without retry.",
        UserWarning,
        stacklevel=3,  # where the user guards it
    )
