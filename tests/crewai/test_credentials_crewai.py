"""Credentials that are functions in models of CrewAI, by the list of all adapters."""

from __future__ import annotations

from typing import Any

import httpx
from adapters.adapter_credentials import CredentialConformance
from crewai import LLM
from crewai.llms.base_llm import BaseLLM
from crewai.llms.hooks.base import BaseInterceptor
from openai_server import OpenAIServer
from pydantic import Field, PrivateAttr

from crewai_toolops import guard_llm
from toolops_plugins import ToolOps


class Fine(BaseLLM):
    """A model that holds whatever may give it credentials."""

    token_provider: Any = None
    hook: Any = None
    thing: Any = None
    azure_ad_token_provider: Any = Field(default=None, exclude=True)
    http_client: Any = Field(default=None, exclude=True)
    _credential: Any = PrivateAttr(default=None)

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        return "fine"


class TestModel(CredentialConformance):
    def model(self, asked: list[Any], **attributes: Any) -> Fine:
        credential = attributes.pop("_credential", None)
        made = Fine(model="fine", **attributes)
        made._credential = credential
        return made

    def guard(self, model: Any, ops: ToolOps) -> Any:
        return guard_llm(model, ops=ops)

    def ask(self, guarded: Any) -> None:
        assert guarded.call("q") == "fine"


class _Signer(BaseInterceptor[httpx.Request, httpx.Response]):
    def __init__(self, name: str) -> None:
        self.name = name

    def on_outbound(self, message: httpx.Request) -> httpx.Request:
        message.headers["X-User"] = self.name
        return message

    def on_inbound(self, message: httpx.Response) -> httpx.Response:
        return message


def test_openai_with_an_interceptor() -> None:
    with OpenAIServer() as server, ToolOps() as ops:
        signers = _Signer("ann"), _Signer("bob")
        for signer in (*signers, *signers):
            model: Any = LLM(
                model="openai/gpt-4o",
                base_url=server.url,
                api_key="key",
                interceptor=signer,
                max_retries=0,
            )
            assert guard_llm(model, ops=ops).call("q") == "q"
        assert [each["x-user"] for each in server.headers] == ["ann", "bob"]
