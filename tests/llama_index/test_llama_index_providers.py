"""LlamaIndex's client of OpenAI behind servers of other providers' shapes."""

from __future__ import annotations

import enum
import json
from collections.abc import AsyncIterator
from copy import deepcopy
from typing import Any

from adapters.adapter_providers import ProviderConformance
from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.callbacks.token_counting import get_tokens_from_response
from llama_index.core.llms import ChatMessage, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.llms.openai import OpenAI, OpenAIResponses
from llama_shapes import RESPONSES
from pydantic import PrivateAttr
from responses_shapes import RESPONSES_PROVIDERS

from llama_index.callbacks.toolops import guard_llm
from toolops_plugins import Policy, ToolOps


class TestOpenAI(ProviderConformance):
    @classmethod
    def client(cls, server: Any) -> Any:
        return OpenAI(model="gpt-4o-mini", api_key="k", api_base=server.url, max_retries=0)

    def guard(self, client: Any, ops: ToolOps, policy: Policy, **options: Any) -> Any:
        return guard_llm(client, policy, ops=ops, **{"usage_on_hit": "keep", **options})

    def ask(self, way: str, model: Any, asked: Any, tools: Any) -> list[Any]:
        messages = _messages(asked)
        model, given = _bind(model, tools)
        if way == "invoke":
            return [model.chat(messages, **given)]
        # What a chunk holds of a tool call grows with the chunks behind it.
        return [deepcopy(chunk) for chunk in model.stream_chat(messages, **given)]

    async def aask(self, way: str, model: Any, asked: Any, tools: Any) -> list[Any]:
        messages = _messages(asked)
        model, given = _bind(model, tools)
        if way == "ainvoke":
            return [await model.achat(messages, **given)]
        return [deepcopy(chunk) async for chunk in await model.astream_chat(messages, **given)]

    def structured_of(self, items: Any) -> Any:
        return super().structured_of([items[-1].raw] if isinstance(items, list) and items else [])

    def follow_up(self, items: list[Any]) -> Any:
        results = [
            ChatMessage("sunny", role="tool", additional_kwargs={"tool_call_id": id_})
            for id_, _ in self.calls_of(items)
        ]
        return [ChatMessage("hi"), items[-1].message, *results]

    def text_of(self, items: list[Any]) -> str:
        return items[-1].message.content or ""

    def calls_of(self, items: list[Any]) -> list[tuple[str, Any]]:
        calls = [b for b in items[-1].message.blocks if isinstance(b, ToolCallBlock)]
        return [(call.tool_call_id or "", _arguments(call.tool_kwargs)) for call in calls]

    def ids_of(self, items: list[Any]) -> list[str]:
        # An id that is said again with each piece grows as the arguments do.
        return list(dict.fromkeys(id_ for item in items for id_, _ in self.calls_of([item])))

    def tokens_of(self, model: Any, answers: list[Any]) -> int:
        heard = [item for items in answers if isinstance(items, list) for item in items]
        told = sum(item.additional_kwargs.get("total_tokens") or 0 for item in heard)
        return told + sum(sum(get_tokens_from_response(item)) for item in heard)

    def spell(self, items: list[Any]) -> Any:
        return super().spell([_unmarked(item) for item in items])


def _bind(model: Any, tools: Any) -> tuple[Any, dict[str, Any]]:
    if isinstance(tools, type):
        return model.as_structured_llm(tools), {}
    return model, ({"tools": tools} if tools else {})


def _messages(asked: Any) -> list[ChatMessage]:
    return [ChatMessage(asked)] if isinstance(asked, str) else asked


def _arguments(given: Any) -> Any:
    try:
        return json.loads(given) if isinstance(given, str) else given
    except ValueError:  # of two calls without a number it has made one
        return given


def _unmarked(item: Any) -> Any:
    beside = {name: v for name, v in item.additional_kwargs.items() if name != "toolops"}
    return item.model_copy(update={"additional_kwargs": beside})


class TestResponsesAPI(TestOpenAI):
    """Its client of the Responses API."""

    providers = RESPONSES_PROVIDERS
    test_structured_answers = None  # these responses do not repeat the schema of their requests

    @classmethod
    def client(cls, server: Any) -> Any:
        return OpenAIResponses(model="gpt-4o-mini", api_key="k", api_base=server.url, max_retries=0)


class Scripted(CustomLLM):
    """A model of another provider's package, as far as its answers show."""

    model: str = "scripted"
    _script: Any = PrivateAttr()

    def __init__(self, script: Any) -> None:
        super().__init__()
        self._script = script

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_chat_model=True, is_function_calling_model=True)

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> Any:
        return self._script.take().whole.model_copy(deep=True)

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> Any:
        return self._script.take().whole.model_copy(deep=True)

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        return (chunk.model_copy(deep=True) for chunk in self._script.take().chunks)

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        async def chunks() -> AsyncIterator[Any]:
            for chunk in self._script.take().chunks:
                yield chunk.model_copy(deep=True)

        return chunks()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


class TestResponses(TestOpenAI):
    """Responses in the shapes of other providers' packages."""

    providers = RESPONSES
    has_server = False
    test_structured_answers = None  # it is the framework's own client that makes these

    @classmethod
    def client(cls, server: Any) -> Any:
        return Scripted(server)

    def spell(self, items: list[Any]) -> Any:
        # In a hit, a provider's own object is plain data.
        return _plain(super().spell(items))


def _plain(spelled: Any) -> Any:
    if isinstance(spelled, enum.Enum):
        return spelled.value
    if isinstance(spelled, dict):
        return {name: _plain(content) for name, content in spelled.items()}
    if isinstance(spelled, list):
        return [_plain(each) for each in spelled]
    if isinstance(spelled, tuple):
        kind, value = spelled
        return ("str" if isinstance(value, enum.Enum) else kind), _plain(value)
    return spelled
