"""Notice who else tries failed calls again, since the attempts of two retries multiply.

Middleware around ours calls its handler again with the very request that has failed; then one
attempt is made, as when LangGraph runs a failed node again. An error that comes from a retry inside
of ours is not tried again.
"""

from __future__ import annotations

from typing import Any

from langchain_core.runnables.config import var_child_runnable_config

from toolops_plugins.adapters.internals import callee_failed
from toolops_plugins.adapters.model_policy import may_pass
from toolops_plugins.adapters.object_notes import ObjectNotes

__all__ = ["is_passing", "is_passing_tool_error", "note_failure", "note_tried", "was_failed"]

_MARK = "__toolops_tried__"
_RUNTIME = "__pregel_runtime"
"""Where LangGraph's configuration of a node holds what is known of its run."""

_failed: ObjectNotes[bool] = ObjectNotes()


def note_failure(request: Any) -> None:
    """Note that all attempts of a request have failed; valid while it lives."""
    _failed.set(request, True)  # noqa: FBT003 - the note


def was_failed(request: Any) -> bool:
    """Return whether all attempts of this very request have failed before."""
    return _failed.get(request) is True


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
