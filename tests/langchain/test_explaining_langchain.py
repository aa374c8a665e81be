"""Explanations of LangChain's tools and models, by the list of all adapters."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from adapters.adapter_explaining import (
    AGAIN,
    OTHER,
    QUESTION,
    SECRET,
    ModelsExplained,
    ToolsExplained,
)
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.globals import get_llm_cache, set_llm_cache
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from openai_server import OpenAIServer

from langchain_toolops import (
    ToolOpsCache,
    ToolOpsMiddleware,
    aexplain_answer,
    explain_answer,
    guard_llm,
    wrap_tool,
)
from toolops_plugins import (
    ConfigurationError,
    Explanation,
    Policy,
    Semantic,
    SemanticCache,
    ToolOps,
)


def explain_tool(wrapped: Any, aio: bool, **given: Any) -> Explanation:
    return asyncio.run(wrapped.aexplain(given)) if aio else wrapped.explain(given)


class TestTools(ToolsExplained):
    wrap_tool = staticmethod(wrap_tool)
    ask = staticmethod(lambda wrapped, **given: wrapped.invoke(given))
    explain = staticmethod(explain_tool)


def model_of(server: OpenAIServer, **options: Any) -> ChatOpenAI:
    given = {"model": "gpt-test", "api_key": SECRET, "max_retries": 0, **options}
    return ChatOpenAI(base_url=server.url, **given)


def messages(text: str, system: str) -> Any:
    return [("system", system), ("user", text)] if system else text


class TestModels(ModelsExplained):
    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy | None) -> Any:
        model = model_of(server)
        return model if policy is None else guard_llm(model, policy, ops=ops)

    def ask(self, guarded: Any, text: str, *, system: str = "", of_stream: bool = False) -> None:
        given = messages(text, system)
        if of_stream:
            list(guarded.stream(given))
        else:
            guarded.invoke(given)

    def explain(
        self, guarded: Any, text: str, *, system: str = "", aio: bool, of_stream: bool = False
    ) -> Explanation:
        given = messages(text, system)
        if aio:
            return asyncio.run(aexplain_answer(guarded, given, of_stream=of_stream))
        return explain_answer(guarded, given, of_stream=of_stream)


class TestBoundModels(TestModels):
    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy | None) -> Any:
        return super().guarded(server, ops, policy).bind(temperature=0.5)


class TestCachedModels(TestModels):
    streams = False  # LangChain asks no cache for them

    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy | None) -> Any:
        if policy is None or policy.cache is None:
            return (
                model_of(server) if policy is None else guard_llm(model_of(server), policy, ops=ops)
            )
        return model_of(server, cache=ToolOpsCache(ops, semantic=policy.semantic))

    def test_a_stream_asks_no_cache(self, openai_server, ops) -> None:
        guarded = self.guarded(openai_server, ops, self.policy)
        with pytest.raises(ConfigurationError, match="of_stream: LangChain asks no cache"):
            self.explain(guarded, QUESTION, aio=False, of_stream=True)


class Explaining(AgentMiddleware[Any, Any, Any]):
    """Explains each model call before it is made."""

    def __init__(self, toolops: ToolOpsMiddleware) -> None:
        super().__init__()
        self.toolops = toolops
        self.found: list[Explanation] = []

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        self.found.append(self.toolops.explain_model_call(request))
        return handler(request)

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        self.found.append(await self.toolops.aexplain_model_call(request))
        return await handler(request)


@pytest.mark.parametrize("aio", [False, True])
def test_model_calls_of_an_agent_are_explained(aio, openai_server, tmp_path):
    with ToolOps(semantic=SemanticCache(tmp_path)) as ops:
        toolops = ToolOpsMiddleware(ops, model=TestModels.policy)
        explaining = Explaining(toolops)
        agent = create_agent(model_of(openai_server), middleware=[explaining, toolops])
        for text in (QUESTION, QUESTION, AGAIN, OTHER):
            state = {"messages": [("user", text)]}
            if aio:
                asyncio.run(agent.ainvoke(state))
            else:
                agent.invoke(state)
        first, *others = explaining.found
        assert first.reason == "nothing_near"
        assert [each.served for each in others] == [True, True, False]
        assert [each.reason for each in others[:2]] == ["exact", "served"]
        assert others[1].question == AGAIN
        assert SECRET not in str(explaining.found)
        assert ops.stats().total.calls == 4
        assert len(openai_server.requests) == 2


@pytest.mark.parametrize("model", [None, TestModels.policy.replace(cache=None, semantic=None)])
def test_an_agent_that_stores_nothing_says_so(model, openai_server, ops):
    toolops = ToolOpsMiddleware(ops, model=model)
    agent = create_agent(model_of(openai_server), middleware=[Explaining(toolops), toolops])
    with pytest.raises(ConfigurationError, match="stores no results"):
        agent.invoke({"messages": [("user", QUESTION)]})


def test_an_agent_with_a_guarded_model_names_the_other_way(openai_server, ops):
    toolops = ToolOpsMiddleware(ops)
    model = guard_llm(model_of(openai_server), ops=ops)
    agent = create_agent(model, middleware=[Explaining(toolops), toolops])
    with pytest.raises(ConfigurationError, match="explain_answer"):
        agent.invoke({"messages": [("user", QUESTION)]})


@pytest.fixture
def ops():
    with ToolOps() as ops:
        yield ops


def test_a_model_behind_a_prompt_is_explained(openai_server, ops):
    prompt = ChatPromptTemplate.from_messages([("user", "Where is {city}?")])
    chain = prompt | guard_llm(model_of(openai_server), ops=ops)
    chain.invoke({"city": "Oslo"})
    assert explain_answer(chain, {"city": "Oslo"}).reason == "exact"
    assert asyncio.run(aexplain_answer(chain, {"city": "Oslo"})).reason == "exact"
    assert explain_answer(chain, {"city": "Bergen"}).reason == "not_stored"


def test_a_call_that_goes_past_the_cache_says_why(ops):
    cache = ToolOpsCache(ops, name="past")
    for found in (
        cache.explain("?", "<object at 0x7f>"),
        asyncio.run(cache.aexplain("?", "<object at 0x7f>")),
    ):
        assert (found.served, found.reason, found.tool) == (False, "address_in_model", "past")
        assert "0x7f" not in str(found)
    missing = cache.explain("?", "<class 'City'>")
    assert missing.reason == "schema_version_missing"
    assert "schema_version=" in str(missing)


def test_a_semantic_cache_for_all_models_is_explained(openai_server, tmp_path):
    before = get_llm_cache()
    with ToolOps(semantic=SemanticCache(tmp_path)) as ops:
        set_llm_cache(ToolOpsCache(ops, semantic=Semantic(on="question", threshold=0.85)))
        try:
            model = model_of(openai_server)
            model.invoke(QUESTION)
            assert explain_answer(model, QUESTION).reason == "exact"
            assert explain_answer(model, "what's the capital of France").reason == "served"
        finally:
            set_llm_cache(before)
