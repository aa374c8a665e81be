"""The runtime that the plain decorators use, and how to choose another."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, Unpack, overload

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import Policy, PolicyParts
from toolops_plugins.runtime import ToolOps
from toolops_plugins.wrapping.tool_types import Decorator, Tool

__all__ = ["get_default", "readonly", "set_default", "sideeffect", "tool"]

F = TypeVar("F", bound=Callable[..., Any])

_lock = fork_safe(sys.modules[__name__], threading.Lock())
_runtime: ToolOps | None = None


def get_default() -> ToolOps:
    """Return the default runtime, made by :meth:`ToolOps.from_env` when it is first asked for.

    Raises:
        ConfigurationError: An environment variable's value is wrong.
    """
    global _runtime  # noqa: PLW0603 - the one thing of this module that changes
    with _lock:
        if _runtime is None:
            _runtime = ToolOps.from_env()
        return _runtime


def set_default(runtime: ToolOps) -> None:
    """Make another runtime the default, for functions that are decorated from now on.

    Raises:
        ConfigurationError: It is no runtime.
    """
    global _runtime  # noqa: PLW0603 - as above
    if not isinstance(runtime, ToolOps):
        raise ConfigurationError("runtime", f"must be a ToolOps, not {runtime!r}")
    with _lock:
        _runtime = runtime


@overload
def tool(function: F, /) -> Tool[F]: ...
@overload
def tool(
    function: None = None,
    /,
    *,
    policy: Policy | None = None,
    name: str | None = None,
    secret: Sequence[str] = (),
    ignore: Sequence[str] = (),
    **parts: Unpack[PolicyParts],
) -> Decorator: ...


def tool(function: Any = None, /, **options: Any) -> Any:
    """:meth:`ToolOps.tool` of the default runtime."""
    return get_default().tool(function, **options)


@overload
def readonly(function: F, /) -> Tool[F]: ...
@overload
def readonly(
    function: None = None,
    /,
    *,
    ttl: float | timedelta | None = 300.0,
    policy: Policy | None = None,
    name: str | None = None,
    secret: Sequence[str] = (),
    ignore: Sequence[str] = (),
    **parts: Unpack[PolicyParts],
) -> Decorator: ...


def readonly(function: Any = None, /, **options: Any) -> Any:
    """:meth:`ToolOps.readonly` of the default runtime."""
    return get_default().readonly(function, **options)


@overload
def sideeffect(function: F, /) -> Tool[F]: ...
@overload
def sideeffect(
    function: None = None,
    /,
    *,
    idempotent: bool = False,
    policy: Policy | None = None,
    name: str | None = None,
    secret: Sequence[str] = (),
    ignore: Sequence[str] = (),
    **parts: Unpack[PolicyParts],
) -> Decorator: ...


def sideeffect(function: Any = None, /, **options: Any) -> Any:
    """:meth:`ToolOps.sideeffect` of the default runtime."""
    return get_default().sideeffect(function, **options)
