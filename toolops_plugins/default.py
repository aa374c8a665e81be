"""The runtime that the plain decorators use, and how to choose another."""

from __future__ import annotations

import sys
import threading
from typing import Any

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.locks import renewing
from toolops_plugins.runtime import ToolOps

__all__ = ["get_default", "readonly", "set_default", "sideeffect", "tool"]

_lock = renewing(sys.modules[__name__], threading.Lock())
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


def tool(function: Any = None, /, **options: Any) -> Any:
    """:meth:`ToolOps.tool` of the default runtime."""
    return get_default().tool(**options) if function is None else get_default().tool(function)


def readonly(function: Any = None, /, **options: Any) -> Any:
    """:meth:`ToolOps.readonly` of the default runtime."""
    return get_default().readonly(function, **options)


def sideeffect(function: Any = None, /, **options: Any) -> Any:
    """:meth:`ToolOps.sideeffect` of the default runtime."""
    return get_default().sideeffect(function, **options)
