"""What users give to every adapter, checked where it is given."""

from __future__ import annotations

from typing import Any

from toolops_plugins import ConfigurationError, Policy, ToolOps, get_default

__all__ = ["policy_of", "runtime_of"]


def runtime_of(ops: Any) -> ToolOps:
    """Return the runtime that was given, or the default one for None.

    Raises:
        ConfigurationError: It is something else.
    """
    if ops is None:
        return get_default()
    if not isinstance(ops, ToolOps):
        raise ConfigurationError("ops", f"must be a ToolOps or None, not {ops!r}")
    return ops


def policy_of(policy: Any, option: str = "policy") -> Policy:
    """Return the policy that was given, or an empty one for None.

    Raises:
        ConfigurationError: It is something else.
    """
    if policy is None:
        return Policy()
    if not isinstance(policy, Policy):
        part = type(policy).__name__.lower()
        hint = f"; did you mean Policy({part}=...)?" if part in vars(Policy()) else ""
        raise ConfigurationError(option, f"must be a Policy, not {policy!r}{hint}")
    return policy
