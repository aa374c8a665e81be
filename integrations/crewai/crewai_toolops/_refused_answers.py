"""Know which answer a task's guardrail has refused, so that it is forgotten.

CrewAI tells nobody in time that a guardrail has refused an answer. But a task counts its refusals,
and gets an output only when all its guardrails agree; so the next call for a task shows what has
become of the last.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from toolops_plugins.adapters.object_notes import ObjectNotes

__all__ = ["Asked", "note_question", "take_refusal"]


class Asked(NamedTuple):
    """A question to a model for a task, and the state of the task at that time.

    Attributes:
        start: The time when the task began.
        refusals: The answers that its guardrails had refused.
        output: The output of its last run that went well.
        guard: The guard of the model.
        question: The question, and everything else that the answer depends on.
    """

    start: Any
    refusals: int
    output: Any
    guard: Any
    question: tuple[str, Any]


_asked: ObjectNotes[Asked] = ObjectNotes()


def note_question(task: Any, guard: Any, question: tuple[str, Any]) -> None:
    """Note what is asked of a model for a task, if the task has a guardrail."""
    if getattr(task, "_guardrail", None) or getattr(task, "_guardrails", None):
        _asked.set(task, Asked(task.start_time, _refusals(task), task.output, guard, question))


def take_refusal(task: Any) -> Asked | None:
    """Return what was last asked of a model for a task, once, if its answer was refused since."""
    last = _asked.get(task)
    if last is None:
        return None
    _asked.pop(task)
    if last.start == task.start_time:
        return None if last.refusals == _refusals(task) else last
    return last if task.output is last.output else None


def _refusals(task: Any) -> int:
    counts: dict[int, int] = task._guardrail_retry_counts  # noqa: SLF001 - it is said nowhere else
    return int(task.retry_count) + sum(counts.values())
