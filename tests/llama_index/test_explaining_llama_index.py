"""Explanations of LlamaIndex's tools and models, by the list of all adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from adapters.adapter_explaining import QUESTION, SECRET, ModelsExplained, ToolsExplained
from llama_calls import user
from llama_index.core.base.llms.types import ChatMessage
from openai_server import OpenAIServer

from llama_index.callbacks.toolops import (
    aexplain_answer,
    explain_answer,
    guard_llm,
    wrap_tool,
)
from toolops_plugins import Explanation, Policy, ToolOps


def explain_tool(wrapped: Any, aio: bool, **given: Any) -> Explanation:
    return asyncio.run(wrapped.aexplain(**given)) if aio else wrapped.explain(**given)


class TestTools(ToolsExplained):
    wrap_tool = staticmethod(wrap_tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.call(**given))
    explain = staticmethod(explain_tool)


def messages(text: str, system: str) -> list[ChatMessage]:
    first = [ChatMessage(role="system", content=system)] if system else []
    return [*first, *user(text)]


class TestModels(ModelsExplained):
    @pytest.fixture(autouse=True)
    def _make_llm(self, llm: Callable[..., Any]) -> None:
        self.llm = llm

    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy | None) -> Any:
        model = self.llm(api_key=SECRET)
        return model if policy is None else guard_llm(model, policy, ops=ops)

    def ask(self, guarded: Any, text: str, *, system: str = "", of_stream: bool = False) -> None:
        given = messages(text, system)
        if of_stream:
            list(guarded.stream_chat(given))
        else:
            guarded.chat(given)

    def explain(
        self, guarded: Any, text: str, *, system: str = "", aio: bool, of_stream: bool = False
    ) -> Explanation:
        given = messages(text, system)
        if aio:
            return asyncio.run(aexplain_answer(guarded, given, of_stream=of_stream))
        return explain_answer(guarded, given, of_stream=of_stream)

    def test_completions_are_explained(self, openai_server, ops) -> None:
        guarded = self.guarded(openai_server, ops, self.policy)
        guarded.complete(QUESTION)
        assert explain_answer(guarded, QUESTION).reason == "exact"
        list(guarded.stream_complete(QUESTION))
        assert explain_answer(guarded, QUESTION, of_stream=True).reason == "exact"
