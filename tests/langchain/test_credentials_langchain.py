"""Credentials that are functions in models of LangChain, by the list of all adapters."""

from __future__ import annotations

from typing import Any

import pytest
from adapters.adapter_credentials import CredentialConformance
from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import AzureChatOpenAI, ChatOpenAI, OpenAIEmbeddings
from openai_server import OpenAIServer
from pydantic import Field, PrivateAttr

from langchain_toolops import ToolOpsEmbeddings, ToolOpsMiddleware, guard_llm
from toolops_plugins import ToolOps


class Fine(BaseChatModel):
    """A model that holds whatever may give it credentials."""

    asked: Any = Field(exclude=True)
    token_provider: Any = None
    hook: Any = None
    thing: Any = None
    azure_ad_token_provider: Any = Field(default=None, exclude=True)
    http_client: Any = Field(default=None, exclude=True)
    _credential: Any = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "fine"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        self.asked.append(messages)
        message = AIMessage("fine", response_metadata={"finish_reason": "stop"})
        return ChatResult(generations=[ChatGeneration(message=message)])


class TestModel(CredentialConformance):
    def model(self, asked: list[Any], **attributes: Any) -> Fine:
        credential = attributes.pop("_credential", None)
        made = Fine(asked=asked, **attributes)
        made._credential = credential
        return made

    def guard(self, model: Any, ops: ToolOps) -> Any:
        return guard_llm(model, ops=ops)

    def ask(self, guarded: Any) -> None:
        assert guarded.invoke("q").text == "fine"


class TestAgent(TestModel):
    """The middleware, which sees the model as it is."""

    def guard(self, model: Any, ops: ToolOps) -> Any:
        return _Agent(model, ops)

    def ask(self, guarded: Any) -> None:
        found = create_agent(guarded.model, middleware=[guarded.middleware]).invoke(
            {"messages": [("user", "q")]}
        )
        assert found["messages"][-1].text == "fine"

    def test_a_model_that_is_changed_is_another(self, ops, events) -> None:
        agent = self.guard(self.model([]), ops)
        for value in (None, lambda: "a", None):
            agent.model.token_provider = value
            for _ in range(2):
                self.ask(agent)
        assert [event.outcome for event in events] == ["miss", "hit", "miss", "hit", "hit", "hit"]


class _Agent:
    def __init__(self, model: Any, ops: ToolOps) -> None:
        self.model, self.middleware = model, ToolOpsMiddleware(ops)


def _token() -> str:
    return "token"


async def _atoken() -> str:
    return "token"


@pytest.mark.parametrize("token", [_token, lambda: "token"])
def test_openai_with_a_function_for_its_key(token: Any) -> None:
    with OpenAIServer() as server, ToolOps() as ops:
        model = ChatOpenAI(model="m", base_url=server.url, api_key=token, max_retries=0)
        guarded = guard_llm(model, ops=ops)
        for _ in range(3):
            assert guarded.invoke("q").text == "q"
        assert len(server.requests) == 1
        assert server.headers[0]["authorization"] == "Bearer token"


async def test_openai_with_a_coroutine_function_for_its_key() -> None:
    with OpenAIServer() as server, ToolOps() as ops:
        model = ChatOpenAI(model="m", base_url=server.url, api_key=_atoken, max_retries=0)
        guarded = guard_llm(model, ops=ops)
        for _ in range(3):
            assert (await guarded.ainvoke("q")).text == "q"
        assert len(server.requests) == 1


def test_azure_with_a_token_provider() -> None:
    with OpenAIServer() as server, ToolOps() as ops:

        def azure(token: Any) -> Any:
            model = AzureChatOpenAI(
                azure_deployment="m",
                api_version="2024-10-21",
                azure_endpoint=server.url,
                azure_ad_token_provider=token,
                max_retries=0,
            )
            return guard_llm(model, ops=ops)

        one, other = (lambda: "one"), (lambda: "other")
        for token in (one, one, other, other):
            assert azure(token).invoke("q").text == "q"
        assert [each["authorization"] for each in server.headers] == ["Bearer one", "Bearer other"]


def test_embeddings_with_a_function_for_their_key() -> None:
    with OpenAIServer() as server, ToolOps() as ops:
        for token in (_token, _token, lambda: "token"):
            embedder = OpenAIEmbeddings(
                model="m",
                base_url=server.url,
                api_key=token,
                check_embedding_ctx_length=False,
                max_retries=0,
            )
            ToolOpsEmbeddings(embedder, ops).embed_query("q")
        assert len(server.requests) == 1  # vectors do not hang on who asks for them
