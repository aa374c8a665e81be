"""Runnables around models: guarded by the models in them, or refused with the way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_openai import ChatOpenAI
from openai_server import OpenAIServer
from pydantic import BaseModel

from langchain_toolops import ToolOpsMiddleware, guard_llm, guard_model
from toolops_plugins import CallEvent, ConfigurationError, ToolOps


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as server:
        server.reply = lambda body: f"{body['model']} {body.get('temperature')}"
        yield server


@pytest.fixture
def events() -> list[CallEvent]:
    return []


@pytest.fixture
def ops(events: list[CallEvent]) -> Iterator[ToolOps]:
    with ToolOps(sinks=[events.append]) as ops:
        yield ops


@pytest.fixture
def model(server: OpenAIServer) -> Callable[..., Any]:
    def model(name: str, **options: Any) -> Any:
        return ChatOpenAI(model=name, base_url=server.url, api_key="key", max_retries=0, **options)

    return model


class Person(BaseModel):
    """A person."""

    name: str


def ask(runnable: Any, **config: Any) -> set[str]:
    """Ask every way, and return the different answers."""
    found = [
        runnable.invoke("q", config),
        asyncio.run(runnable.ainvoke("q", config)),
        *runnable.batch(["q", "q"], config),
        *asyncio.run(runnable.abatch(["q"], config)),
    ]
    return {each.text for each in found}


def test_the_older_name_takes_them_too(ops, model) -> None:
    guarded = guard_model(model("a").bind(temperature=0.5), ops)
    assert guarded.invoke("q").text == "a 0.5"


@pytest.mark.parametrize(
    "around",
    [
        lambda model: model.bind(temperature=0.5),
        lambda model: model.bind_tools([], temperature=0.5),
        lambda model: model.with_config(tags=["x"]).bind(temperature=0.5),
        lambda model: model.bind(temperature=0.5).with_retry(stop_after_attempt=2),
        lambda model: model.with_fallbacks([model]).bind(temperature=0.5),
    ],
)
def test_a_binding_stays_one(around, ops, model, server) -> None:
    plain = around(model("a"))
    guarded = guard_llm(plain, ops=ops, retry=None)
    assert type(guarded) is type(plain)
    assert ask(guarded) == {"a 0.5"}
    assert len(server.requests) == 1
    for _ in range(2):
        assert "".join(chunk.text for chunk in guarded.stream("q")) == "a 0.5"
    assert len(server.requests) == 2
    plain.invoke("q")
    assert len(server.requests) == 3


def test_each_model_of_fallbacks_is_guarded_by_itself(ops, model, server) -> None:
    failing = {"a"}
    server.reply = lambda body: (
        {"status": 500} if body["model"] in failing else f"from {body['model']}"
    )
    plain = model("a").with_fallbacks([model("b"), model("c").bind(stop=["x"])])
    guarded = guard_llm(plain, ops=ops, retry=None)
    assert type(guarded) is type(plain)
    assert ask(guarded) == {"from b"}
    asked = [body["model"] for body in server.requests]
    assert asked.count("b") == 1
    failing.clear()
    assert ask(guarded) == {"from a"}
    failing.update("ab")
    assert ask(guarded) == {"from a"}  # as it was kept
    assert guarded.invoke("other").text == "from c"


def test_fields_that_are_configured_count(ops, model, server) -> None:
    fields = {"temperature": ConfigurableField(id="t"), "model_name": ConfigurableField(id="m")}
    for guarded in (
        guard_llm(model("a").configurable_fields(**fields), ops=ops),
        guard_llm(model("a"), ops=ops).configurable_fields(**fields),
    ):
        assert ask(guarded) == {"a None"}
        assert ask(guarded, configurable={"t": 0.5}) == {"a 0.5"}
        assert ask(guarded, configurable={"m": "b"}) == {"b None"}
        assert len(server.requests) == 3


def test_alternatives_are_guarded_each(ops, model, server) -> None:
    plain = model("a").configurable_alternatives(ConfigurableField(id="which"), b=model("b"))
    guarded = guard_llm(plain, ops=ops)
    assert ask(guarded) == {"a None"}
    assert ask(guarded, configurable={"which": "b"}) == {"b None"}
    assert len(server.requests) == 2
    made = model("a").configurable_alternatives(ConfigurableField(id="which"), b=lambda: model("b"))
    with pytest.raises(ConfigurationError, match="'b' that a function makes"):
        guard_llm(made, ops=ops)


def test_what_holds_no_model_says_what_to_write(ops, model) -> None:
    for wrong, advice in (
        (ChatPromptTemplate.from_template("{q}") | model("a"), r"prompt \| guard_llm\(model\)"),
        (model("a").with_structured_output(Person), "with_structured_output"),
        (model("a").with_fallbacks([ChatPromptTemplate.from_template("{q}")]), "must be a model"),
        (init_chat_model(configurable_fields="any"), r"init_chat_model\(MODEL\)"),
        (ChatOpenAI, "make one of the class"),
    ):
        with pytest.raises(ConfigurationError, match=advice):
            guard_llm(wrong, ops=ops)
    with pytest.raises(ConfigurationError, match="already"):
        guard_llm(guard_llm(model("a"), ops=ops).bind(stop=["x"]), ops=ops)


def test_retries_are_warned_of_at_the_users_line(ops, model) -> None:
    tried = ChatOpenAI(model="a", api_key="key")
    with pytest.warns(UserWarning, match="max_retries=2") as found:
        guard_llm(tried.bind(stop=["x"]), ops=ops)
    assert found[0].filename == __file__


def test_an_agents_configurable_model_is_known_as_it_is_made(ops, server, events) -> None:
    model = init_chat_model(
        "openai:a",
        configurable_fields=("model", "temperature"),
        base_url=server.url,
        api_key="key",
        max_retries=0,
    )
    agent = create_agent(model, middleware=[ToolOpsMiddleware(ops)])
    asked = {"messages": [("user", "q")]}
    for config in ({}, {"temperature": 0.5}, {"model": "openai:b"}) * 2:
        agent.invoke(asked, {"configurable": config})
    assert [event.outcome for event in events] == ["miss"] * 3 + ["hit"] * 3
