"""Know which answer a task's guardrail has refused, so that it is forgotten.

CrewAI tells nobody in time that a guardrail has refused an answer. But a task counts its refusals,
and gets an output only when all its guardrails agree; so the next call for a task shows what has
become of the last.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from crewai_toolops._task_notes import TaskNotes

__all__ = ["note_question", "take_refused"]


class _Asked(NamedTuple):
    start: Any
    refusals: int
    output: Any
    guard: Any
    question: tuple[str, Any]


_asked: TaskNotes[_Asked] = TaskNotes()


def note_question(task: Any, guard: Any, question: tuple[str, Any]) -> None:
    """Note what is asked of a model for a task, if the task has a guardrail."""
    if getattr(task, "_guardrail", None) or getattr(task, "_guardrails", None):
        _asked.set(task, _Asked(task.start_time, _refusals(task), task.output, guard, question))


def take_refused(task: Any, guard: Any) -> tuple[str, Any] | None:
    """Return what was last asked of a model for a task, once, if its answer was refused since."""
    last = _asked.get(task)
    if last is None or last.guard is not guard:
        return None
    _asked.pop(task)
    if last.start == task.start_time:
        return None if last.refusals == _refusals(task) else last.question
    return last.question if task.output is last.output else None


def _refusals(task: Any) -> int:
    counts: dict[int, int] = task._guardrail_retry_counts  # noqa: SLF001 - it is said nowhere else
    return int(task.retry_count) + sum(counts.values())
