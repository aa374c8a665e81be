"""Read the begins and the ends of calls from CrewAI's events."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from crewai.events.base_events import BaseEvent
from crewai.events.types import agent_events, crew_events, llm_events, task_events
from crewai.events.types import tool_usage_events as tool_events
from crewai.tools.tool_failure import ToolFailureReason

from crewai_toolops._event_pairs import Begin, End
from crewai_toolops.prices import usage_of
from toolops_plugins.adapters.run_events import Details

__all__ = ["BEGINS", "ENDS", "begin_of", "end_of", "key_of", "role_of"]

BEGINS: tuple[type[BaseEvent], ...] = (
    llm_events.LLMCallStartedEvent,
    tool_events.ToolUsageStartedEvent,
    agent_events.AgentExecutionStartedEvent,
    agent_events.LiteAgentExecutionStartedEvent,
    task_events.TaskStartedEvent,
    crew_events.CrewKickoffStartedEvent,
)
ENDS: tuple[type[BaseEvent], ...] = (
    llm_events.LLMCallCompletedEvent,
    llm_events.LLMCallFailedEvent,
    tool_events.ToolUsageFinishedEvent,
    tool_events.ToolUsageErrorEvent,
    agent_events.AgentExecutionCompletedEvent,
    agent_events.AgentExecutionErrorEvent,
    agent_events.LiteAgentExecutionCompletedEvent,
    agent_events.LiteAgentExecutionErrorEvent,
    task_events.TaskCompletedEvent,
    task_events.TaskFailedEvent,
    crew_events.CrewKickoffCompletedEvent,
    crew_events.CrewKickoffFailedEvent,
)
_BLOCKED = "Tool execution blocked by hook. Tool: "
"""How the output of a call begins that a hook did not let happen; no event says so otherwise."""


def key_of(source: Any, event: Any) -> Hashable:
    """Return what the begin and the end of a call have in common.

    Args:
        source: What has emitted the event.
        event: Any of :data:`BEGINS` or :data:`ENDS`.
    """
    kind = _kind(event)
    if kind == "chat":
        return kind, event.call_id
    if kind == "crew":
        return kind, str(getattr(source, "id", None))
    return (kind, *_ids(event).values())


def begin_of(event: Any) -> Begin:
    """Return how a call began."""
    return Begin(event.event_id, event.timestamp.timestamp())


def end_of(source: Any, event: Any) -> End:
    """Return how a call has ended."""
    kind = _kind(event)
    told = End(event.started_event_id, event.timestamp.timestamp(), kind, "", "bypass")
    if kind == "chat":
        return _end_of_chat(told, source, event)
    if kind == "tool":
        return _end_of_tool(told, source, event)
    details: Details = {name: value for name, value in _ids(event).items() if value}
    if kind == "crew":
        details = {"crew_id": str(getattr(source, "id", ""))}
        tokens = getattr(event, "total_tokens", 0)
        if tokens:
            details["total_tokens"] = tokens
    told = told._replace(name=_name(kind, source, event), details=details)
    if not hasattr(event, "error"):
        return told
    error = getattr(event, "error_type", None)
    return told._replace(outcome="error", error=getattr(error, "__name__", "Exception"))


def _end_of_chat(told: End, source: Any, event: Any) -> End:
    model = event.model or ""
    details: Details = {name: value for name, value in _ids(event).items() if value}
    provider = getattr(source, "provider", None)
    told = told._replace(
        name=model or "unknown",
        model=model,
        details=details,
        provider=provider if isinstance(provider, str) else "",
    )
    if isinstance(event, llm_events.LLMCallFailedEvent):
        return told._replace(outcome="error", error="Exception")  # it tells no type
    return told._replace(usage=usage_of(event.usage))


def _end_of_tool(told: End, source: Any, event: Any) -> End:
    details: Details = {name: value for name, value in _ids(event).items() if value}
    told = told._replace(name=event.tool_name, details=details)
    if isinstance(event, tool_events.ToolUsageErrorEvent):
        raised = isinstance(event.error, BaseException)
        return told._replace(
            outcome="error", error=type(event.error).__name__ if raised else "Exception"
        )
    failure = event.failure
    if failure is not None:
        # Of a tool that does not exist, the name is whatever the model wrote.
        unknown = failure.reason is ToolFailureReason.UNKNOWN_TOOL
        return told._replace(
            name="unknown" if unknown else told.name,
            outcome="error",
            error="ToolFailure",
            reason=str(failure.reason.value),
        )
    if event.from_cache:
        return told._replace(outcome="hit")
    if event.output == f"{_BLOCKED}{event.tool_name}":
        return told._replace(outcome="rejected", reason="blocked")
    if getattr(getattr(source, "tools_handler", None), "cache", None) is not None:
        return told._replace(outcome="miss")  # CrewAI has asked its own cache first
    return told


def _kind(event: Any) -> str:
    if isinstance(event, llm_events.LLMEventBase):
        return "chat"
    if isinstance(event, tool_events.ToolUsageEvent):
        return "tool"
    if isinstance(event, crew_events.CrewBaseEvent):
        return "crew"
    return "task" if event.type.startswith("task") else "agent"


def _ids(event: Any) -> dict[str, str]:
    """Return the ids of the agent and the task that an event is about; they hold for one crew."""
    # Events of one call tell them in different places, or not at all.
    agent = event.agent_id or getattr(getattr(event, "agent", None), "id", None)
    agent = agent or (getattr(event, "agent_info", None) or {}).get("id")
    task = event.task_id or getattr(getattr(event, "task", None), "id", None)
    if event.type.startswith("task"):
        agent = None
    return {"agent_id": str(agent or ""), "task_id": str(task or "")}


def _name(kind: str, source: Any, event: Any) -> str:
    """Return the name of what has run, as its user wrote it: what was filled in is not part."""
    if kind == "crew":
        name = event.crew_name
    elif kind == "task":
        task = event.task if event.task is not None else source
        # Never the description: written as an f-string, it holds what a user has asked.
        name = getattr(task, "name", None) or role_of(getattr(task, "agent", None))
    else:
        name = role_of(getattr(event, "agent", None) or source)
    return " ".join(str(name or "unknown").split())


def role_of(agent: Any) -> str:
    """Return the role of an agent as its user wrote it, or nothing."""
    role = getattr(agent, "_original_role", None) or getattr(agent, "role", None)
    return " ".join(role.split()) if isinstance(role, str) else ""
