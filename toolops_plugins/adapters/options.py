"""Check the options that all adapters take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from toolops_plugins.default_runtime import get_default
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import Policy
from toolops_plugins.runtime import ToolOps

__all__ = ["keeps_usage", "policy_of", "runtime_of", "with_version"]


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
    if isinstance(policy, ToolOps):
        raise ConfigurationError(option, "must be a Policy; a runtime is given by name: ops=...")
    if not isinstance(policy, Policy):
        part = type(policy).__name__.lower()
        hint = f"; did you mean Policy({part}=...)?" if part in vars(Policy()) else ""
        raise ConfigurationError(option, f"must be a Policy, not {policy!r}{hint}")
    return policy


def keeps_usage(usage_on_hit: Any) -> bool:
    """Return whether hits are to tell the tokens of the call that made them.

    Raises:
        ConfigurationError: It is neither "keep" nor "zero".
    """
    if usage_on_hit not in ("keep", "zero"):
        raise ConfigurationError("usage_on_hit", f'must be "keep" or "zero", not {usage_on_hit!r}')
    return bool(usage_on_hit == "keep")


def with_version(policy: Policy, version: str) -> Policy:
    """Return the policy with the version in its keys.

    Raises:
        ConfigurationError: The policy says another one.
    """
    cache = policy.cache
    if cache is None or version == "1":
        return policy
    if cache.version not in ("1", version):
        raise ConfigurationError("version", f"is given twice: in cache= it is {cache.version!r}")
    return policy.replace(cache=replace(cache, version=version))
