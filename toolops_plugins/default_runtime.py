"""The default runtime, and the decorators that use it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.runtime import ToolOps

if TYPE_CHECKING:
    from toolops_plugins.wrapping.tool_types import Decorator, Tool, ToolOptions

__all__ = ["get_default", "readonly", "set_default", "sideeffect", "tool"]

F = TypeVar("F", bound=Callable[..., Any])

_lock = fork_safe(sys.modules[__name__], threading.Lock())
_runtime: ToolOps | None = None


def get_default() -> ToolOps:
    """Return the default runtime. The first call makes it by :meth:`ToolOps.from_env`.

    Raises:
        ConfigurationError: An environment variable's value is wrong.
    """
    global _runtime  # noqa: PLW0603 - the default is module state
    with _lock:
        if _runtime is None:
            _runtime = ToolOps.from_env()
        return _runtime


def set_default(runtime: ToolOps) -> None:
    """Make a runtime the default for functions that are decorated from now on.

    Args:
        runtime: The runtime.

    Raises:
        ConfigurationError: It is not a :class:`ToolOps`.
    """
    global _runtime  # noqa: PLW0603 - as above
    if not isinstance(runtime, ToolOps):
        raise ConfigurationError("runtime", f"must be a ToolOps, not {runtime!r}")
    with _lock:
        _runtime = runtime


@overload
def tool(function: F, /) -> Tool[F]: ...
@overload
def tool(function: None = None, /, **options: Unpack[ToolOptions]) -> Decorator: ...


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
    **options: Unpack[ToolOptions],
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
    **options: Unpack[ToolOptions],
) -> Decorator: ...


def sideeffect(function: Any = None, /, **options: Any) -> Any:
    """:meth:`ToolOps.sideeffect` of the default runtime."""
    return get_default().sideeffect(function, **options)
