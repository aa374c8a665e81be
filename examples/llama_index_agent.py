"""Run a LlamaIndex agent twice: the second run calls neither the model nor the tool.

It needs no key: LlamaIndex's mock model stands in for a provider's. Put your own in its place.

    python examples/llama_index_agent.py
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.tools import FunctionTool

from llama_index.callbacks.toolops import guard_llm, wrap_tools
from toolops_plugins import ToolOps

END = {"finish_reason": "stop"}


def reply(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
    """Call the tool first, and answer from its result; like a provider, tell the end of both."""
    if messages[-1].role == "tool":
        said = f"It is on its way: {messages[-1].content}."
        return ChatMessage(said, role="assistant", additional_kwargs=END)
    call = ToolCallBlock(tool_call_id="1", tool_name="find_order", tool_kwargs={"number": 4711})
    return ChatMessage(role="assistant", blocks=[call], additional_kwargs=END)


def find_order(number: int) -> str:
    """Return where an order is."""
    return f"order {number} is in Leipzig"


async def ask(agent: FunctionAgent) -> None:
    """Ask twice."""
    for _ in range(2):
        print(await agent.run("Where is order 4711?"))


def main() -> None:
    """Run the agent, and print what was saved."""
    with ToolOps("shop") as ops:
        agent = FunctionAgent(
            llm=guard_llm(MockFunctionCallingLLM(response_generator=reply), ops=ops),
            tools=wrap_tools([FunctionTool.from_defaults(find_order)], ops=ops),
        )
        asyncio.run(ask(agent))
        print(ops.stats())


if __name__ == "__main__":
    main()
