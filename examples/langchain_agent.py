"""Run a LangChain agent twice: the second run calls neither the model nor the tool.

It needs no key: a small local model class stands in for a provider's. Put your own in its place.

    python examples/langchain_agent.py
"""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

from langchain_toolops import guard_llm, wrap_tools
from toolops_plugins import ToolOps


class LocalModel(BaseChatModel):
    """Calls the tool first, and answers from its result."""

    @property
    def _llm_type(self) -> str:
        return "local"

    def bind_tools(self, tools: Any, **_: Any) -> Any:  # noqa: ARG002 - it knows its tool
        """Return the model itself."""
        return self

    def _generate(self, messages: list[Any], *_: Any, **__: Any) -> ChatResult:
        message = AIMessage(
            "", tool_calls=[{"name": "find_order", "args": {"number": 4711}, "id": "1"}]
        )
        if isinstance(messages[-1], ToolMessage):
            message = AIMessage(f"It is on its way: {messages[-1].text}.")
        return ChatResult(generations=[ChatGeneration(message=message)])


@tool
def find_order(number: int) -> str:
    """Return where an order is."""
    return f"order {number} is in Leipzig"


def main() -> None:
    """Ask twice, and print what was saved."""
    with ToolOps("shop") as ops:
        agent = create_agent(guard_llm(LocalModel(), ops=ops), wrap_tools([find_order], ops=ops))
        for _ in range(2):
            result = agent.invoke({"messages": [("user", "Where is order 4711?")]})
            print(result["messages"][-1].text)
        print(ops.stats())


if __name__ == "__main__":
    main()
