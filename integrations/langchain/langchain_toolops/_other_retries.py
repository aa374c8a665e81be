"""Notice other middleware that tries failed calls again, since attempts of two retries multiply.

A retry around ours calls its handler again with the very request that has failed; then one attempt
is made. An error that comes from a retry inside of ours is not tried again.
"""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any

from toolops_plugins.adapters.internals import callee_failed, fork_safe
from toolops_plugins.adapters.model_policy import may_pass

__all__ = ["is_passing", "is_passing_tool_error", "note_failure", "note_tried", "was_failed"]

_MARK = "__toolops_tried__"

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
    return _MARK not in vars(error) and may_pass(error)


def is_passing_tool_error(error: BaseException) -> bool:
    """Return whether a failed call of a tool is worth another attempt."""
    return _MARK not in vars(error) and callee_failed(error)
