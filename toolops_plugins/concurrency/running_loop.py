"""The running event loop, or an error that says what to do without one.

A module of its own, since asyncio is slow to import and synchronous programs do not need it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from toolops_plugins.errors import ConfigurationError

__all__ = ["get_running_loop", "is_loop_running"]

_WAYS = (
    "run it with asyncio.run(...) or anyio.run(..., backend='asyncio'), or wrap a plain function "
    "and call that in a thread"
)


def get_running_loop() -> asyncio.AbstractEventLoop:
    """Return asyncio's running event loop.

    Raises:
        ConfigurationError: No loop is running, or trio's.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError("event loop", _problem()) from None


def is_loop_running() -> bool:
    """Return whether this thread runs an event loop of asyncio, which must not be blocked."""
    return asyncio._get_running_loop() is not None  # noqa: SLF001 - documented for other loops


def _problem() -> str:
    trio: Any = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return f"ToolOps awaits on asyncio, and this call runs under trio; {_WAYS}"
    return f"ToolOps awaits on asyncio, whose event loop does not run here; {_WAYS}"
