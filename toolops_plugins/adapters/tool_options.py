"""Check the options that the functions which wrap tools have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from toolops_plugins.adapters.options import policy_of, with_version
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import Cache, Policy, PolicyParts, Retry

__all__ = [
    "check_function",
    "check_name",
    "check_names",
    "check_unique",
    "list_names",
    "list_tools",
    "read_only_policy",
    "tool_of_function",
]

T = TypeVar("T")


def read_only_policy(policy: Any, parts: PolicyParts, version: str) -> Policy:
    """Return the policy of a tool, by default one for tools that only read.

    Args:
        policy: The user's policy. None: that of ``ops.readonly``.
        parts: Parts of a policy that win over it.
        version: The version in its keys.

    Raises:
        ConfigurationError: A value is wrong.
    """
    if policy is None:
        # With "semantic", whether calls are shared by meaning follows from the rest of the policy.
        shares = None if parts.get("semantic") else True
        policy = Policy(cache=Cache(ttl=300.0), retry=Retry(), coalesce=shares)
    return with_version(policy_of(policy).replace(**parts), version)


def list_tools(tools: Any, single: tuple[type, ...], advice: str) -> list[Any]:
    """Return the tools that were given.

    Args:
        tools: What the user gave.
        single: Types of what is one tool though it may be iterable.
        advice: What to do with anything else.

    Raises:
        ConfigurationError: It is not several tools.
    """
    if not isinstance(tools, Iterable) or isinstance(tools, (*single, str, Mapping)):
        raise ConfigurationError("tools", f"must be several tools, not {tools!r}; {advice}")
    return list(tools)


def tool_of_function(function: Any, make: Callable[[Any], T], expected: str, advice: str = "") -> T:
    """Return the tool that a framework makes of a function.

    Args:
        function: What the user gave.
        make: Makes the framework's tool.
        expected: What the user may give, such as "a LangChain tool or a function".
        advice: What to do with what is no function. Empty: nothing is known.

    Raises:
        ConfigurationError: It is no function, the framework refuses it, or it has a policy already.
    """
    if not callable(function) or isinstance(function, type) or not hasattr(function, "__name__"):
        raise ConfigurationError(
            "tool", f"must be {expected}, not {function!r}" + (f"; {advice}" if advice else "")
        )
    check_function(function.__name__, function)
    try:
        return make(function)
    except (TypeError, ValueError) as error:
        raise ConfigurationError("tool", f"cannot be made of {function!r}: {error}") from error


def check_function(name: str, function: Any) -> None:
    """Refuse a function that the decorators of a runtime have made.

    Args:
        name: The name of the tool that runs it.
        function: The function, or None.

    Raises:
        ConfigurationError: It has a policy already.
    """
    if isinstance(getattr(function, "policy", None), Policy):
        raise ConfigurationError(
            "tool",
            f"{name} runs a function that is behind a policy already; agents take it as it is",
        )


def check_unique(names: Sequence[str], reason: str) -> None:
    """Refuse two tools of one name.

    Args:
        names: The names of the tools.
        reason: Why there must not be two, as the end of a sentence.

    Raises:
        ConfigurationError: There are two.
    """
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError("tools", f"has two of the name {name!r}, {reason}")


def check_name(name: Any) -> None:
    """Refuse what is no name of a tool.

    Raises:
        ConfigurationError: It is neither a non-empty string nor None.
    """
    if name is not None and (not isinstance(name, str) or not name):
        raise ConfigurationError("name", f"must be a non-empty string or None, not {name!r}")


def list_names(option: str, names: Any) -> tuple[str, ...]:
    """Return the names of arguments that were given.

    Raises:
        ConfigurationError: It is a lone string.
    """
    if isinstance(names, str):
        raise ConfigurationError(option, f"must be a list of names, not {names!r}")
    return tuple(names)


def check_names(
    option: str, names: Iterable[str], known: Iterable[Callable[[str], bool]], owner: str
) -> None:
    """Refuse names that no tool has.

    Args:
        option: The parameter that holds the names.
        names: The names.
        known: For each tool, whether it has an argument, or a field, of a name.
        owner: The tool by its name, or "none of the tools", for the message.

    Raises:
        ConfigurationError: One is not known.
    """
    tools = list(known)
    for name in names:
        if not any(has(name) for has in tools):
            takes = "takes" if owner.startswith("none") else "does not take"
            raise ConfigurationError(option, f"names {name!r}, which {owner} {takes}")
