"""Explanations of CrewAI's tools and models, by the list of all adapters."""

from __future__ import annotations

import asyncio
from typing import Any

import crewai
from adapters.adapter_explaining import QUESTION, SECRET, ModelsExplained, ToolsExplained
from crewai.tools import BaseTool
from openai_server import OpenAIServer

from crewai_toolops import ToolOpsMixin, aexplain_answer, explain_answer, guard_llm, wrap_tool
from toolops_plugins import Cache, Explanation, Policy, ToolOps


def explain_tool(wrapped: Any, aio: bool, **given: Any) -> Explanation:
    if aio:
        return asyncio.run(wrapped.toolops_aexplain(**given))
    return wrapped.toolops_explain(**given)


class TestTools(ToolsExplained):
    wrap_tool = staticmethod(wrap_tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.run(**given))
    explain = staticmethod(explain_tool)


def test_a_tool_with_fields_of_its_own_is_explained():
    with ToolOps() as ops:

        class Quote(ToolOpsMixin, BaseTool):
            name: str = "quote"
            description: str = "The price of a share."
            market: str = "Oslo"
            toolops_policy = Policy(cache=Cache(ttl=60))
            toolops_ops = ops

            def _run(self, ticker: str) -> str:
                return ticker

        quote = Quote()
        quote.run(ticker="ACME")
        found = quote.toolops_explain("ACME")
        assert (found.reason, found.scope) == ("exact", {"ticker": "'ACME'"})
        assert Quote(market="Rome").toolops_explain("ACME").reason == "not_stored"


class TestModels(ModelsExplained):
    streams = False

    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy | None) -> Any:
        model = crewai.LLM(
            model="gpt-4o-mini", api_key=SECRET, max_retries=0, base_url=server.url, stream=False
        )
        return model if policy is None else guard_llm(model, policy, ops=ops)

    def ask(self, guarded: Any, text: str, *, system: str = "", of_stream: bool = False) -> None:
        assert not of_stream
        guarded.call(messages(text, system))

    def explain(
        self, guarded: Any, text: str, *, system: str = "", aio: bool, of_stream: bool = False
    ) -> Explanation:
        assert not of_stream
        given = messages(text, system)
        return (
            asyncio.run(aexplain_answer(guarded, given)) if aio else explain_answer(guarded, given)
        )

    def test_a_text_is_explained_as_its_call_is_made(self, openai_server, ops) -> None:
        guarded = self.guarded(openai_server, ops, self.policy)
        guarded.call(QUESTION)
        assert explain_answer(guarded, QUESTION).reason == "exact"


def messages(text: str, system: str) -> list[dict[str, str]]:
    first = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": text}]
