"""Mark what the runtime has counted, so that the callback handler does not count it again.

Four marks, since LangChain's callbacks tell little of what a run went through:

- the generations that a :class:`~langchain_toolops.ToolOpsCache` took or gave, by identity;
- the run of a wrapped tool or a guarded model, by its id, where the call knows of it;
- the error of a guarded stream, which knows of no run, on the error itself;
- runs that begin inside a guarded call, by a context variable, which callbacks can read: any model
  inside a guarded call of a model, and the tool alone inside one of a tool.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from toolops_plugins.adapters.context_variables import set_within
from toolops_plugins.adapters.counted_runs import Runs
from toolops_plugins.adapters.object_notes import ObjectNotes

__all__ = [
    "has_error_note",
    "has_note",
    "has_run_note",
    "inside_guard",
    "inside_tool",
    "mark_inside",
    "mark_tool",
    "note_error",
    "note_generations",
    "note_run",
]

_generations: ObjectNotes[bool] = ObjectNotes()
_runs: Runs[UUID] = Runs()
_inside: ContextVar[bool] = ContextVar("toolops_langchain_guarded", default=False)
_tool: ContextVar[str | None] = ContextVar("toolops_langchain_guarded_tool", default=None)


def note_generations(generations: Iterable[Any]) -> None:
    """Note that a cache has counted what gave these; valid while they live."""
    for each in generations:
        _generations.set(each, True)  # noqa: FBT003 - the note


def has_note(generation: Any) -> bool:
    """Return whether a cache has counted what gave this generation."""
    return _generations.get(generation) is True


def note_run(run: UUID) -> None:
    """Note that the runtime counts this run."""
    _runs.note(run)


def has_run_note(run: UUID) -> bool:
    """Return whether the runtime counts this run; any number of handlers may ask."""
    return _runs.has(run)


def note_error(error: BaseException) -> None:
    """Note that the runtime has counted this error, in a run whose id nobody there knows."""
    _runs.note_error(error)


def has_error_note(error: BaseException, run: UUID) -> bool:
    """Return whether the runtime has counted this error of a run.

    The first run that asks is the one in which it was raised; to those around it, through which it
    passes later, the error is their own. An error that was noted in several runs is each one's.
    """
    return _runs.has_error(error, run)


def mark_inside() -> AbstractContextManager[None]:
    """Mark what begins in this block as counted by the call around it."""
    return set_within(_inside, True)  # noqa: FBT003 - the value


def inside_guard() -> bool:
    """Return whether a guarded call is under way around whoever asks."""
    return _inside.get()


def mark_tool(call_id: str | None) -> AbstractContextManager[None]:
    """Mark the run of one tool call in this block as counted by the call around it.

    Args:
        call_id: The id of the tool call. What the tool itself calls has others, or none.
    """
    return set_within(_tool, call_id)


def inside_tool(call_id: Any) -> bool:
    """Return whether a guarded call is under way around the run of this tool call."""
    return call_id is not None and _tool.get() == call_id
