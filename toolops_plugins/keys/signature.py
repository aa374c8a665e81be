"""Signatures of functions: parameters, the arguments of a call, and names of secrets."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from toolops_plugins.errors import ConfigurationError

__all__ = ["arguments_of", "check_names", "is_secret_name", "signature_of"]

_SENSITIVE = (
    r"(?i)(?:^|_)(?:api_?key|apikey|token|secret|password|passwd|passphrase|credentials?"
    r"|authorization|auth_?header|private_?key|access_?key|bearer|cookies?)$"
)


def is_secret_name(name: str) -> bool:
    """Return whether a parameter of this name counts as a secret without being declared as one."""
    return re.search(_SENSITIVE, name) is not None


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function, or ``(*args, **kwargs)`` for builtins without one."""
    try:
        return inspect.signature(function)
    except ValueError:
        return inspect.signature(lambda *args, **kwargs: None)  # noqa: ARG005 - only its signature


def arguments_of(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by name, defaults included.

    Raises:
        TypeError: They do not fit the signature.
    """
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def check_names(
    parameters: Mapping[str, inspect.Parameter], option: str, names: Sequence[str]
) -> None:
    """Refuse names that are no parameters of the function.

    Args:
        parameters: The function's parameters.
        option: The option that holds the names, for the error.
        names: The names.

    Raises:
        ConfigurationError: A name is unknown, or ``names`` is a single string.
    """
    if isinstance(names, str):
        raise ConfigurationError(option, f"must be a list of parameter names, not {names!r}")
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in names:
        if name not in parameters and not takes_any:
            listed = ", ".join(parameters) or "none"
            raise ConfigurationError(
                option, f"names {name!r}, which is no parameter (these are: {listed})"
            )
