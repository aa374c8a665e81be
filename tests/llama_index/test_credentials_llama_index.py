"""Credentials that are functions in models of LlamaIndex, by the list of all adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from adapters.adapter_credentials import CredentialConformance
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms.custom import CustomLLM
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI
from openai_server import OpenAIServer
from pydantic import Field, PrivateAttr

from llama_index.callbacks.toolops import guard_embedding, guard_llm
from toolops_plugins import ToolOps

_ASKED = [ChatMessage(role=MessageRole.USER, content="q")]


class Fine(CustomLLM):
    """A model that holds whatever may give it credentials."""

    model: str = "fine"
    token_provider: Any = None
    hook: Any = None
    thing: Any = None
    azure_ad_token_provider: Any = Field(default=None, exclude=True)
    http_client: Any = Field(default=None, exclude=True)
    _credential: Any = PrivateAttr(default=None)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="fine", is_chat_model=True)

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        message = ChatMessage(role=MessageRole.ASSISTANT, content="fine")
        return ChatResponse(message=message, raw={"choices": [{"finish_reason": "stop"}]})

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


class TestModel(CredentialConformance):
    def model(self, asked: list[Any], **attributes: Any) -> Fine:
        credential = attributes.pop("_credential", None)
        made = Fine(**attributes)
        made._credential = credential
        return made

    def guard(self, model: Any, ops: ToolOps) -> Any:
        return guard_llm(model, ops=ops)

    def ask(self, guarded: Any) -> None:
        assert guarded.chat(_ASKED).message.content == "fine"


def _signer(name: str) -> Callable[[httpx.Request], None]:
    def sign(request: httpx.Request) -> None:
        request.headers["X-User"] = name

    return sign


def test_openai_with_a_client_that_signs() -> None:
    with OpenAIServer() as server, ToolOps() as ops:
        hooks = _signer("ann"), _signer("bob")
        for hook in (*hooks, *hooks):
            with httpx.Client(event_hooks={"request": [hook]}) as client:
                model = OpenAI(
                    model="gpt-4o",
                    api_base=server.url,
                    api_key="key",
                    http_client=client,
                    max_retries=0,
                )
                assert guard_llm(model, ops=ops).chat(_ASKED).message.content == "q"
        assert [each["x-user"] for each in server.headers] == ["ann", "bob"]


class _Embedding(OpenAIEmbedding):
    azure_ad_token_provider: Any = None


def test_embeddings_do_not_hang_on_credentials() -> None:
    with OpenAIServer() as server, ToolOps() as ops:
        for token in ((lambda: "one"), (lambda: "other")):
            model = _Embedding(
                api_base=server.url, api_key="key", azure_ad_token_provider=token, max_retries=0
            )
            guard_embedding(model, ops=ops).get_query_embedding("q")
        assert len(server.requests) == 1
