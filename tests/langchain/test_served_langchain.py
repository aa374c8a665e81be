"""Answers that LangChain's models and agents get from a cache, by the list of all adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from adapters.adapter_served import Face, ServedConformance
from langchain.agents import create_agent
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI
from openai_server import OpenAIServer

from langchain_toolops import (
    MODEL_POLICY,
    ToolOpsCache,
    ToolOpsMiddleware,
    aforget_answer,
    forget_answer,
    guard_llm,
)
from toolops_plugins import Policy, ToolOps


def model_of(server: OpenAIServer, **options: Any) -> ChatOpenAI:
    given = {"model": "gpt-test", "api_key": "sk-test", "max_retries": 0, "stream_usage": True}
    return ChatOpenAI(base_url=server.url, **{**given, **options})


def read(message: Any) -> tuple[str, int | None]:
    usage = message.usage_metadata
    return message.text, None if usage is None else usage["total_tokens"]


def join(chunks: list[Any]) -> Any:
    return sum(chunks[1:], chunks[0])


async def aread(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


class TestModel(ServedConformance):
    faces: ClassVar[Mapping[str, Face]] = {
        "invoke": lambda model, text: read(model.invoke(text)),
        "ainvoke": lambda model, text: read(asyncio.run(model.ainvoke(text))),
        "batch": lambda model, text: read(model.batch([text])[0]),
        "abatch": lambda model, text: read(asyncio.run(model.abatch([text]))[0]),
        "stream": lambda model, text: read(join(list(model.stream(text)))),
        "astream": lambda model, text: read(join(asyncio.run(aread(model.astream(text))))),
        "bound": lambda model, text: read(model.bind(temperature=0.5).invoke(text)),
    }

    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy = MODEL_POLICY) -> Any:
        return guard_llm(model_of(server), policy, ops=ops)

    def forget(self, guarded: Any, ops: ToolOps, text: str, *, aio: bool) -> None:
        for model in (guarded, guarded.bind(temperature=0.5)):
            if aio:
                asyncio.run(aforget_answer(model, text))
            else:
                forget_answer(model, text)

    @contextmanager
    def count_tokens(self, guarded: Any) -> Iterator[Callable[[], int]]:
        with get_usage_metadata_callback() as counter:
            yield lambda: sum(u["total_tokens"] for u in counter.usage_metadata.values())


class TestCachedModel(TestModel):
    faces: ClassVar[Mapping[str, Face]] = {
        # Streams of LangChain ask no cache.
        name: face
        for name, face in TestModel.faces.items()
        if "stream" not in name
    }

    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy = MODEL_POLICY) -> Any:
        return model_of(server, cache=ToolOpsCache(ops, semantic=policy.semantic))


def last(state: dict[str, Any]) -> tuple[str, int | None]:
    return read(state["messages"][-1])


def state_of(text: str) -> dict[str, Any]:
    return {"messages": [("user", text)]}


def last_of_stream(items: list[tuple[str, Any]]) -> tuple[str, int | None]:
    """Return the answer in the state, after a stream that shows the model's chunks too."""
    answers = [state["messages"][-1] for mode, state in items if mode == "values"]
    assert isinstance(answers[-1], AIMessage)
    return read(answers[-1])


class TestAgent(TestModel):
    faces: ClassVar[Mapping[str, Face]] = {
        "invoke": lambda agent, text: last(agent.invoke(state_of(text))),
        "ainvoke": lambda agent, text: last(asyncio.run(agent.ainvoke(state_of(text)))),
        "stream": lambda agent, text: last_of_stream(
            list(agent.stream(state_of(text), stream_mode=["messages", "values"]))
        ),
        "astream": lambda agent, text: last_of_stream(
            asyncio.run(aread(agent.astream(state_of(text), stream_mode=["messages", "values"])))
        ),
    }

    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy = MODEL_POLICY) -> Any:
        return create_agent(model_of(server), middleware=[ToolOpsMiddleware(ops, model=policy)])

    def forget(self, guarded: Any, ops: ToolOps, text: str, *, aio: bool) -> None:
        # A message of the agent, of whichever run, tells the key of its answer.
        message = guarded.invoke(state_of(text))["messages"][-1]
        keys = [message.response_metadata["toolops_key"]]
        if aio:
            asyncio.run(ops.ainvalidate(keys=keys))
        else:
            ops.invalidate(keys=keys)
