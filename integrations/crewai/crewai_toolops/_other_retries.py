"""Notice when an agent executes a failed task again, since the attempts of two retries multiply.

An agent does so by itself after an error (``max_retry_limit``, two times by default). Then a call
is tried once: the policy has tried as often as it may at the first execution. The agent counts its
failures over all its life, and a task has the time of its start: so what has failed at another
count of the same run is being executed again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any

from toolops_plugins.adapters.context_variables import set_within
from toolops_plugins.adapters.object_notes import ObjectNotes

__all__ = ["is_tried_elsewhere", "limit_attempts", "note_failure"]

_failures: ObjectNotes[tuple[Any, Any]] = ObjectNotes()
_NO_BLOCK: AbstractContextManager[None] = nullcontext()
_again: ContextVar[bool] = ContextVar("toolops_crewai_again", default=False)


def note_failure(agent: Any, task: Any) -> None:
    """Note that all attempts of a call have failed in a run of a task."""
    if task is not None and hasattr(agent, "_times_executed"):
        _failures.set(task, _run(agent, task))


def limit_attempts(agent: Any, task: Any) -> AbstractContextManager[None]:
    """Return a block in which calls are tried once, if the agent executes the task once more."""
    failed = _failures.get(task)
    if failed is None:
        return _NO_BLOCK
    run = _run(agent, task)
    return set_within(_again, failed[0] == run[0] and failed[1] != run[1])


def is_tried_elsewhere() -> bool:
    """Return whether the call under way is one that CrewAI itself makes again."""
    return _again.get()


def _run(agent: Any, task: Any) -> tuple[Any, Any]:
    return getattr(task, "start_time", None), getattr(agent, "_times_executed", 0)
