"""The warning that a tool's results are kept twice: by its policy, and by CrewAI's own cache.

CrewAI's cache lives as long as its crew, knows no expiry and tells tools apart by their name alone.
No tool is told that it is on; but hooks that run before a tool are told of the agent, who knows.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from crewai.hooks import get_before_tool_call_hooks, register_before_tool_call_hook

from toolops_plugins.adapters.internals import fork_safe
from toolops_plugins.adapters.notices import report_problem

__all__ = ["watch_for_two_caches"]

_lock = fork_safe(sys.modules[__name__], threading.Lock())


def watch_for_two_caches() -> None:
    """Have each tool that is called while CrewAI's own cache is on looked at; once is enough."""
    with _lock:
        if _look not in get_before_tool_call_hooks():
            register_before_tool_call_hook(_look)


def _look(context: Any) -> None:
    """Warn of a tool whose results are kept twice; a hook of CrewAI."""
    handler = getattr(context.agent, "tools_handler", None)
    if getattr(handler, "cache", None) is None:
        return
    tool = getattr(context.tool, "_original_tool", None) or context.tool
    if not getattr(tool, "toolops_keeps", False):
        return
    report_problem(
        "crewai_toolops",
        ("two caches", tool.name),
        "The results of %(name)r are kept by its policy and by CrewAI's own cache, which heeds "
        "neither ttl= nor toolops_invalidate(); say Crew(cache=False), or Agent(cache=False).",
        name=tool.name,
    )
