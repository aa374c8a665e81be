"""Agents and crews that run against the server on loopback, and what their models say there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from openai_server import Body, Reply

__all__ = ["WAYS", "agent_of", "calling", "final", "kickoff", "react", "seen"]


def react(tool: str, arguments: Any) -> str:
    """Return what a model without function calling writes to call a tool."""
    return f"Thought: I look it up.\nAction: {tool}\nAction Input: {json.dumps(arguments)}"


def final(answer: str) -> str:
    """Return what such a model writes in the end."""
    return f"Thought: I now know the final answer.\nFinal Answer: {answer}"


def seen(body: Body) -> list[str]:
    """Return what the tools of a run have brought so far, in either mode."""
    native = [message["content"] for message in body["messages"] if message["role"] == "tool"]
    texts = [m["content"] or "" for m in body["messages"] if m["role"] == "assistant"]
    told = [text.partition("Observation:") for text in texts]
    return native + [after.strip() for _, found, after in told if found]


def calling(*steps: Sequence[tuple[str, Any]]) -> Callable[[Body], Reply]:
    """Return what a model replies that calls tools, and then tells what these brought.

    Args:
        steps: For each step, names and arguments of the tools that are called at once; a model
            that writes its calls calls the first alone.
    """

    def reply(body: Body) -> Reply:
        brought = seen(body)
        done = 0
        for step in steps:
            if done >= len(brought):
                if "tools" not in body:
                    return react(*step[0])
                return [{"name": name, "arguments": given} for name, given in step]
            done += len(step) if "tools" in body else 1
        told = " | ".join(brought)
        return told if "tools" in body else final(told)

    return reply


def agent_of(llm: Any, *tools: Any, **options: Any) -> Any:
    """Return an agent with tools."""
    from crewai import Agent

    given = {"role": "analyst", "goal": "tell prices", "backstory": "knows shares", **options}
    return Agent(llm=llm, tools=list(tools), **given)


def crew_of(*agents: Any, **options: Any) -> Any:
    """Return a crew of agents with a task each."""
    from crewai import Crew, Task

    tasks = [
        Task(description="What does it cost?", expected_output="A price.", agent=agent)
        for agent in agents
    ]
    return Crew(agents=list(agents), tasks=tasks, **options)


WAYS = ("kickoff", "kickoff_async", "akickoff", "agent.kickoff", "agent.kickoff_async")


def kickoff(way: str, agent: Any) -> str:
    """Run an agent in one of the ways that CrewAI has, and return what it said in the end."""
    if way == "agent.kickoff":
        return agent.kickoff("What does it cost?").raw
    if way == "agent.kickoff_async":
        return asyncio.run(agent.kickoff_async("What does it cost?")).raw
    crew = crew_of(agent)
    if way == "kickoff":
        return crew.kickoff().raw
    return asyncio.run(getattr(crew, way)()).raw
