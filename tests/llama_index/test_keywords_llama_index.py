"""Users' keywords and LlamaIndex's guarded objects, by the conformance list of all adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, ClassVar

from adapters.adapter_keywords import KeywordConformance, Seen, ToolKeywordConformance
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms.llm import LLM
from llama_index.core.tools import BaseTool, FunctionTool, ToolMetadata, ToolOutput
from openai_server import OpenAIServer
from pydantic import PrivateAttr

import llama_index.callbacks.toolops
from llama_index.callbacks.toolops import guard_embedding, guard_llm, wrap_tool
from toolops_plugins import Policy, ToolOps

_RAW = {"choices": [{"finish_reason": "stop"}]}


class Noting(LLM):
    """A model that notes the keywords of each call."""

    _seen: Any = PrivateAttr()

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="noting", is_chat_model=True)

    def chat(self, messages: Any, **kwargs: Any) -> Any:
        self._seen.append(kwargs)
        message = ChatMessage(role=MessageRole.ASSISTANT, content="fine")
        return ChatResponse(message=message, raw=_RAW)

    async def achat(self, messages: Any, **kwargs: Any) -> Any:
        return self.chat(messages, **kwargs)

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        def chunks() -> Iterator[Any]:
            response = self.chat(messages, **kwargs)
            response.delta = "fine"
            yield response

        return chunks()

    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        return _later(self.stream_chat(messages, **kwargs))

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        self._seen.append(kwargs)
        return CompletionResponse(text="fine", raw=_RAW)

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        return self.complete(prompt, formatted, **kwargs)

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        def chunks() -> Iterator[Any]:
            response = self.complete(prompt, formatted, **kwargs)
            response.delta = "fine"
            yield response

        return chunks()

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        return _later(self.stream_complete(prompt, formatted, **kwargs))


async def _later(items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def _read(items: Any) -> None:
    async for _ in await items:
        pass


_ASKED = [ChatMessage(role=MessageRole.USER, content="q")]


class TestModel(KeywordConformance):
    package = llama_index.callbacks.toolops
    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "chat": lambda model, given: model.chat(_ASKED, **given),
        "achat": lambda model, given: model.achat(_ASKED, **given),
        "stream_chat": lambda model, given: list(model.stream_chat(_ASKED, **given)),
        "astream_chat": lambda model, given: _read(model.astream_chat(_ASKED, **given)),
        "complete": lambda model, given: model.complete("q", **given),
        "acomplete": lambda model, given: model.acomplete("q", **given),
        "stream_complete": lambda model, given: list(model.stream_complete("q", **given)),
        "astream_complete": lambda model, given: _read(model.astream_complete("q", **given)),
    }

    def original(self, seen: Seen) -> Noting:
        made = Noting()
        made._seen = seen
        return made

    def guard(self, original: Any, ops: ToolOps, policy: Policy) -> Any:
        return guard_llm(original, policy, ops=ops)


class NotingPredict(Noting):
    """As above, for the variables of a template."""

    def structured_predict(self, output_cls: Any, prompt: Any, **variables: Any) -> Any:
        self._seen.append(variables)
        return output_cls()

    async def astructured_predict(self, output_cls: Any, prompt: Any, **variables: Any) -> Any:
        return self.structured_predict(output_cls, prompt, **variables)

    def stream_structured_predict(self, output_cls: Any, prompt: Any, **variables: Any) -> Any:
        return iter([self.structured_predict(output_cls, prompt, **variables)])

    async def astream_structured_predict(
        self, output_cls: Any, prompt: Any, **variables: Any
    ) -> Any:
        return _later(self.stream_structured_predict(output_cls, prompt, **variables))


class TestStructuredPredict(TestModel):
    stores = False  # the answers that are stored are those of the endpoints
    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "predict": lambda model, given: model.structured_predict(dict, "q", **given),
        "apredict": lambda model, given: model.astructured_predict(dict, "q", **given),
        "stream": lambda model, given: list(model.stream_structured_predict(dict, "q", **given)),
        "astream": lambda model, given: _read(model.astream_structured_predict(dict, "q", **given)),
    }

    def original(self, seen: Seen) -> Noting:
        made = NotingPredict()
        made._seen = seen
        return made


class TestTool(ToolKeywordConformance):
    package = llama_index.callbacks.toolops
    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "call": lambda tool, given: tool.call(**given),
        "acall": lambda tool, given: tool.acall(**given),
        "itself": lambda tool, given: tool(**given),
    }

    def original(self, seen: Seen) -> FunctionTool:
        def find(**anything: Any) -> str:
            seen.append(anything)
            return str(anything)

        return FunctionTool.from_defaults(find)

    def guard(self, original: Any, ops: ToolOps, policy: Policy) -> Any:
        return wrap_tool(original, policy, ops=ops)

    def tool(self, function: Callable[..., Any]) -> FunctionTool:
        return FunctionTool.from_defaults(function)


class _Find(BaseTool):
    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    @property
    def metadata(self) -> ToolMetadata:
        return ToolMetadata("Find.", "find", fn_schema=None)

    def __call__(self, /, **given: Any) -> ToolOutput:
        value = self.function(**given)
        return ToolOutput(content=str(value), tool_name="find", raw_input={}, raw_output=value)


class TestToolClass(TestTool):
    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "itself": lambda tool, given: tool(**given),
    }

    def original(self, seen: Seen) -> _Find:
        def find(**anything: Any) -> str:
            seen.append(anything)
            return str(anything)

        return _Find(find)

    def tool(self, function: Callable[..., Any]) -> _Find:
        return _Find(function)


class _Embedding(BaseEmbedding):
    """An embedding model whose batches take keywords."""

    _seen: Any = PrivateAttr()

    def get_text_embedding_batch(
        self, texts: Any, show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        self._seen.append(kwargs)
        return [[1.0] for _ in texts]

    async def aget_text_embedding_batch(
        self, texts: Any, show_progress: bool = False, **kwargs: Any
    ) -> list[list[float]]:
        return self.get_text_embedding_batch(texts, **kwargs)

    def _get_text_embedding(self, text: str) -> list[float]:
        return [1.0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return [1.0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return [1.0]


class TestEmbedding(KeywordConformance):
    package = llama_index.callbacks.toolops
    stores = False  # whoever says more than LlamaIndex's own classes take goes past the cache
    ways: ClassVar[Mapping[str, Callable[..., Any]]] = {
        "batch": lambda model, given: model.get_text_embedding_batch(["q"], **given),
        "abatch": lambda model, given: model.aget_text_embedding_batch(["q"], **given),
    }

    def original(self, seen: Seen) -> _Embedding:
        made = _Embedding(model_name="m")
        made._seen = seen
        return made

    def guard(self, original: Any, ops: ToolOps, policy: Policy) -> Any:
        return guard_embedding(original, policy, ops=ops)


def test_a_model_given_with_the_call_is_another_model() -> None:
    from llama_index.llms.openai import OpenAI

    with OpenAIServer() as server, ToolOps() as ops:
        server.reply = lambda body: body["model"]
        model = OpenAI(model="gpt-4o", api_base=server.url, api_key="key", max_retries=0)
        guarded = guard_llm(model, ops=ops)
        for _ in range(2):
            assert guarded.chat(_ASKED).message.content == "gpt-4o"
            assert guarded.chat(_ASKED, model="b").message.content == "b"
            *_, last = guarded.stream_chat(_ASKED, model="c")
            assert last.message.content == "c"
        assert [body["model"] for body in server.requests] == ["gpt-4o", "b", "c"]
