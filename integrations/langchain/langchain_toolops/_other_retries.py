"""Notice who else tries failed calls again, since the attempts of two retries multiply.

Middleware around ours calls its handler again with the very request that has failed; then one
attempt is made, as when LangGraph runs a failed node again. An error that comes from a retry inside
of ours is not tried again.
"""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config

from toolops_plugins.adapters.internals import callee_failed, fork_safe
from toolops_plugins.adapters.model_policy import may_pass

__all__ = ["is_passing", "is_passing_tool_error", "note_failure", "note_tried", "was_failed"]

_MARK = "__toolops_tried__"
_RUNTIME = "__pregel_runtime"
"""Where LangGraph's configuration of a node holds what is known of its run."""

_failed: dict[int, weakref.ref[Any]] = {}
_lock = fork_safe(sys.modules[__name__], threading.Lock())


def note_failure(request: Any) -> None:
    """Note that all attempts of a request have failed; valid while it lives."""
    address = id(request)

    def forget(_: Any) -> None:
        _failed.pop(address, None)

    with _lock:
        _failed[address] = weakref.ref(request, forget)


def was_failed(request: Any) -> bool:
    """Return whether all attempts of this very request have failed before."""
    reference = _failed.get(id(request))
    return reference is not None and reference() is request


def note_tried(error: BaseException) -> None:
    """Note that other middleware has tried several times before it raised this error."""
    vars(error)[_MARK] = True


def is_passing(error: BaseException) -> bool:
    """Return whether a failed call of a model is worth another attempt."""
    return may_pass(error) and not _is_tried_elsewhere(error)


def is_passing_tool_error(error: BaseException) -> bool:
    """Return whether a failed call of a tool is worth another attempt."""
    return callee_failed(error) and not _is_tried_elsewhere(error)


def _is_tried_elsewhere(error: BaseException) -> bool:
    if _MARK in vars(error):
        return True
    configurable = (var_child_runnable_config.get() or {}).get("configurable") or {}
    info = getattr(configurable.get(_RUNTIME), "execution_info", None)
    return getattr(info, "node_attempt", 1) > 1
