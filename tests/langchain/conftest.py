"""Fixtures of the tests of the LangChain adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from openai_server import OpenAIServer


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """A server that echoes what the user said, until it is told otherwise."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def chat(openai_server: OpenAIServer) -> Callable[..., ChatOpenAI]:
    """Makes chat models that speak to that server and never retry by themselves."""

    def make(**options: Any) -> ChatOpenAI:
        given = {"model": "gpt-test", "api_key": "sk-test", "max_retries": 0, **options}
        return ChatOpenAI(base_url=openai_server.url, **given)

    return make


@pytest.fixture(params=["invoke", "ainvoke"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Asks an agent in either way; each asynchronous call has an event loop of its own."""

    def ask(agent: Any, text: str, config: Any = None) -> Any:
        state = {"messages": [("user", text)]}
        if request.param == "invoke":
            return agent.invoke(state, config)
        return asyncio.run(agent.ainvoke(state, config))

    return ask
