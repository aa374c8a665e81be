"""Run a CrewAI crew twice: the second run calls neither the model nor the tool.

It needs no key: a small local model class stands in for a provider's. Put your own in its place.

    python examples/crewai_crew.py
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")  # crewai reads it when it is imported

from crewai import Agent, BaseLLM, Crew, Task
from crewai.tools import tool

from crewai_toolops import guard_llm, wrap_tools
from toolops_plugins import Cache, Policy, Retry, ToolOps


class LocalModel(BaseLLM):
    """Calls the tool first, and answers from its result."""

    def supports_function_calling(self) -> bool:
        """Return False, so that the model writes its calls as text."""
        return False

    def call(self, messages: Any, *_: Any, **__: Any) -> str:
        """Return the next step of the agent."""
        if "is in Leipzig" in str(messages):
            return "Thought: I know.\nFinal Answer: It is on its way: order 4711 is in Leipzig."
        return 'Thought: I look it up.\nAction: find_order\nAction Input: {"number": 4711}'


@tool
def find_order(number: int) -> str:
    """Return where an order is."""
    return f"order {number} is in Leipzig"


def main() -> None:
    """Ask twice, and print what was saved."""
    with ToolOps("shop") as ops:
        clerk = Agent(
            role="clerk",
            goal="find orders",
            backstory="works in a shop",
            llm=guard_llm(LocalModel(model="local"), ops=ops),
            tools=wrap_tools([find_order], Policy(cache=Cache(ttl=300), retry=Retry()), ops=ops),
        )
        task = Task(description="Where is order 4711?", expected_output="a place", agent=clerk)
        for _ in range(2):
            print(Crew(agents=[clerk], tasks=[task]).kickoff().raw)
        print(ops.stats())


if __name__ == "__main__":
    main()
