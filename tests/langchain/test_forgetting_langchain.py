"""forget_answer: one answer of a model, whatever stands around the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseLLM
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.outputs import Generation, LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda
from pydantic import BaseModel, PrivateAttr

from langchain_toolops import (
    ToolOpsCache,
    ToolOpsMiddleware,
    aforget_answer,
    forget_answer,
    guard_llm,
)
from toolops_plugins import ConfigurationError, Memory, Redis, ToolOps

QUESTION = "What is the capital of France?"


class City(BaseModel):
    """A city."""

    name: str


def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


def answer(body: dict[str, Any]) -> Any:
    if body.get("response_format"):
        return '{"name": "Paris"}'
    if body.get("tools"):
        name = body["tools"][0]["function"]["name"]
        return [{"name": name, "arguments": {"name": "Paris"} if name == "City" else {"a": 1}}]
    return "Paris"


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps() as ops:
        yield ops


AROUND: dict[str, Callable[[Any], Any]] = {
    "plain": lambda model: model,
    "bind": lambda model: model.bind(temperature=0.5, stop=["."]),
    "model=": lambda model: model.bind(model="gpt-other"),
    "bind_tools": lambda model: model.bind_tools([add]),
    "json_schema": lambda model: model.with_structured_output(City),
    "json_mode": lambda model: model.with_structured_output(City, method="json_mode"),
    "function_calling": lambda model: model.with_structured_output(City, method="function_calling"),
    "include_raw": lambda model: model.with_structured_output(City, include_raw=True),
    "with_config": lambda model: model.with_config(tags=["a"]),
    "with_retry": lambda model: model.bind(seed=1).with_retry(),
    "fallbacks": lambda model: model.with_fallbacks([model.bind(seed=2)]),
    "configured": lambda model: model.configurable_fields(
        temperature=ConfigurableField(id="temperature")
    ).with_config(configurable={"temperature": 0.25}),
    "prompt": lambda model: (
        ChatPromptTemplate([("system", "Be brief."), ("user", "{question}")]) | model
    ),
    "chain": lambda model: RunnableLambda(lambda text: text.upper()) | model | (lambda m: m.text),
}


@pytest.mark.parametrize("aio", [False, True])
@pytest.mark.parametrize("guarded", ["guard_llm", "ToolOpsCache"])
@pytest.mark.parametrize("around", AROUND)
def test_it_reaches_the_model_through_what_stands_around_it(
    ops, chat, openai_server, around, guarded, aio
):
    openai_server.reply = answer
    inner = chat(cache=ToolOpsCache(ops, schema_version="1"))
    model = guard_llm(chat(), ops=ops) if guarded == "guard_llm" else inner
    runnable = AROUND[around](model)
    first = runnable.invoke(QUESTION)
    model.invoke("something else")
    assert runnable.invoke(QUESTION) is not first
    assert len(openai_server.requests) == 2
    if aio:
        asyncio.run(aforget_answer(runnable, QUESTION))
    else:
        forget_answer(runnable, QUESTION)
    for _ in range(2):
        model.invoke("something else")
        runnable.invoke(QUESTION)
    assert len(openai_server.requests) == 3


def test_a_model_that_is_chosen_by_the_configuration_is_found(ops, openai_server):
    model = init_chat_model(
        "gpt-test",
        model_provider="openai",
        configurable_fields=("temperature",),
        base_url=openai_server.url,
        api_key="sk-test",
        max_retries=0,
        cache=ToolOpsCache(ops),
    )
    config: Any = {"configurable": {"temperature": 0.5}}
    for given in (config, None, config, None):
        model.bind_tools([add]).invoke(QUESTION, given)
    assert len(openai_server.requests) == 2
    forget_answer(model.bind_tools([add]), QUESTION, config)
    for given in (config, None):
        model.bind_tools([add]).invoke(QUESTION, given)
    assert len(openai_server.requests) == 3


def test_arguments_of_the_call_count(ops, chat, openai_server):
    model = guard_llm(chat(), ops=ops)
    for options in ({"stop": ["x"]}, {"temperature": 0.5}, {"model": "gpt-other"}, {}):
        model.invoke(QUESTION, **options)
    assert len(openai_server.requests) == 4
    forget_answer(model, QUESTION, temperature=0.5)
    forget_answer(model, QUESTION, model="gpt-other")
    for options in ({"stop": ["x"]}, {"temperature": 0.5}, {"model": "gpt-other"}, {}):
        model.invoke(QUESTION, **options)
    assert len(openai_server.requests) == 6


@pytest.mark.parametrize(
    "given",
    [
        QUESTION,
        [("system", "Be brief."), ("user", QUESTION)],
        [SystemMessage("Be brief."), HumanMessage(QUESTION, id="1")],
        [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
    ],
)
def test_it_takes_what_a_model_takes(ops, chat, openai_server, given):
    for model in (guard_llm(chat(), ops=ops), chat(cache=ToolOpsCache(ops))):
        before = len(openai_server.requests)
        for _ in range(2):
            model.invoke(given)
            forget_answer(model, given)
        assert len(openai_server.requests) == before + 2


def test_it_is_forgotten_in_every_tier_and_process(chat, openai_server, namespace, valkey):
    def runtime() -> ToolOps:
        return ToolOps(namespace, [Memory(), Redis(valkey.url, ttl=60)])

    with runtime() as ops, runtime() as other:
        for each in (ops, other):
            guard_llm(chat(), ops=each).invoke(QUESTION)
        assert len(openai_server.requests) == 1
        forget_answer(guard_llm(chat(), ops=other), QUESTION)
        guard_llm(chat(), ops=ToolOps(namespace, [Redis(valkey.url, ttl=60)])).invoke(QUESTION)
        assert len(openai_server.requests) == 2


def test_nothing_happens_where_nothing_is_stored(ops, chat, openai_server):
    for model in (guard_llm(chat(), ops=ops), guard_llm(chat(), ops=ops, cache=None)):
        forget_answer(model, QUESTION)
    unknown = guard_llm(chat(), ops=ops)
    forget_answer(unknown.bind(thing=object()), QUESTION)
    assert openai_server.requests == []
    assert ops.stats().total.calls == 0


@pytest.mark.parametrize("wrong", [None, RunnableLambda(str), "model"])
def test_what_holds_no_guarded_model_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="model: must be a guarded model"):
        forget_answer(wrong, QUESTION)


def test_a_model_without_a_guard_is_refused(chat):
    with pytest.raises(ConfigurationError, match="model: must be a guarded model"):
        asyncio.run(aforget_answer(chat(), QUESTION))


class Plain(BaseLLM):
    """A model of text that is no chat model."""

    temperature: float = 0.0
    _asked: list[str] = PrivateAttr(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _generate(self, prompts, stop=None, run_manager=None, **kwargs: Any) -> LLMResult:
        self._asked.extend(prompts)
        return LLMResult(generations=[[Generation(text="Paris")] for _ in prompts])


def test_a_plain_model_behind_a_cache_is_asked_anew(ops):
    model = Plain(cache=ToolOpsCache(ops))
    for text in (QUESTION, "other", QUESTION):
        model.invoke(text)
    assert model._asked == [QUESTION, "other"]
    forget_answer(model, QUESTION)
    for text in (QUESTION, "other", QUESTION):
        model.invoke(text)
    assert model._asked == [QUESTION, "other", QUESTION]


def test_a_message_of_an_agent_tells_its_key_on_a_miss_and_on_a_hit(ops, chat, openai_server):
    agent = create_agent(chat(), middleware=[ToolOpsMiddleware(ops)])
    state = {"messages": [("user", QUESTION)]}
    marks = [agent.invoke(state)["messages"][-1].response_metadata for _ in range(2)]
    assert marks[0]["toolops_key"] == marks[1]["toolops_key"]
    assert [mark.get("toolops") for mark in marks] == [None, {"hit": True}]
    ops.invalidate(keys=[marks[0]["toolops_key"]])
    agent.invoke(state)
    assert len(openai_server.requests) == 2


def test_an_answer_that_is_not_kept_tells_no_key(ops, chat, openai_server):
    openai_server.reply = lambda body: {"content": "half an", "finish_reason": "length"}
    agents = [
        create_agent(chat(), middleware=[ToolOpsMiddleware(ops)]),
        create_agent(chat(), middleware=[ToolOpsMiddleware(ops, model=None)]),
    ]
    for agent in agents:
        message = agent.invoke({"messages": [("user", QUESTION)]})["messages"][-1]
        assert "toolops_key" not in message.response_metadata


def test_the_key_does_not_count_in_what_is_asked_next(ops, chat, openai_server):
    openai_server.reply = lambda body: (
        "three" if body["messages"][-1]["role"] == "tool" else answer(body)
    )
    agent = create_agent(chat(), [add], middleware=[ToolOpsMiddleware(ops)])
    for _ in range(3):
        agent.invoke({"messages": [("user", QUESTION)]})
    assert len(openai_server.requests) == 2
