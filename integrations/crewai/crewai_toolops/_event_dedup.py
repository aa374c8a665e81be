"""Mark the tool calls that a runtime, or CrewAI's own cache, has answered.

CrewAI emits the events of a tool around its call, in the same context. So whatever runs in between
finds the id of the event with which the call began, and both marks are kept under that:

- the call of a guarded tool, which its runtime counts;
- a call that CrewAI's own cache is about to answer, of which its events do not tell where a model
  calls functions.

Models need no mark: their events come from the model, which says itself whether it is guarded.
"""

from __future__ import annotations

import re

from crewai.events.event_context import get_current_parent_id
from crewai.utilities.string_utils import sanitize_tool_name

from toolops_plugins.adapters.counted_runs import Runs

__all__ = ["has_cache_answer", "has_tool_note", "note_cache_answer", "note_tool"]

_tools: Runs[tuple[str, str]] = Runs()
_cached: Runs[str] = Runs()
_NUMBERED = re.compile(r"_\d+$")
"""How CrewAI tells tools of one name apart for a model: "quote_2"."""


def note_tool(name: str) -> None:
    """Note that a runtime counts the call of a tool that is under way around whoever asks.

    Args:
        name: The tool's name. A tool under another name may call it as a plain function, and stays
            uncounted by that.
    """
    began = get_current_parent_id()
    if began is not None:
        _tools.note((began, sanitize_tool_name(name)))


def has_tool_note(began: str, name: str) -> bool:
    """Return whether a runtime counts a call; any number of listeners may ask.

    Args:
        began: The id of the event with which it began.
        name: The tool's name, as events tell it.
    """
    name = sanitize_tool_name(name)
    return _tools.has((began, name)) or _tools.has((began, _NUMBERED.sub("", name)))


def note_cache_answer() -> None:
    """Note that CrewAI's own cache answers the call that is under way around whoever asks."""
    began = get_current_parent_id()
    if began is not None:
        _cached.note(began)


def has_cache_answer(began: str) -> bool:
    """Return whether CrewAI's own cache has answered a call; any number of listeners may ask.

    Args:
        began: The id of the event with which it began.
    """
    return _cached.has(began)
