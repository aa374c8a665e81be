"""LlamaIndex's guarded objects under the list that every adapter must pass."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

from adapters.adapter_body import Body
from adapters.adapter_conformance import CALLING, KEPT, AdapterConformance, Sharing
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    CustomLLM,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.tools import FunctionTool
from pydantic import PrivateAttr

from llama_index.callbacks.toolops.embeddings import guard_embedding
from llama_index.callbacks.toolops.kvstore import ToolOpsKVStore
from llama_index.callbacks.toolops.llms import guard_llm
from llama_index.callbacks.toolops.tools import guard_tool
from toolops_plugins import Bulkhead, Hedge, Policy, RateLimit, Retry, Semantic, Timeout

_WRITTEN = "what a model has written may be read another time"
_MODEL = "a model is asked with messages; its key is what it is reached with"
_TEXTS = "texts are all that an embedding model takes"


class TestTool(AdapterConformance):
    lacks: ClassVar[dict[str, str]] = {
        "own_entries": "whatever stands under its key may be the result of a tool",
        "own_fallback": "whatever stands in may be the result of a tool",
    }

    def original(self, body: Body, secret: str = "") -> FunctionTool:
        # What the tool is reached with is in its body, of which nobody knows.
        def echo(text: str, thing: Any = None, api_key: str = secret) -> dict[str, Any]:
            return {"said": body.answer(text), "more": [1]}

        async def aecho(text: str, thing: Any = None, api_key: str = secret) -> dict[str, Any]:
            return {"said": await body.aanswer(text), "more": [1]}

        return FunctionTool.from_defaults(echo, name="echo", async_fn=aecho)

    def single_use(self, body: Body) -> Any:
        def echo(text: str) -> Any:
            return iter(body.answer(text))

        async def aecho(text: str) -> Any:
            return iter(await body.aanswer(text))

        return FunctionTool.from_defaults(echo, name="echo", async_fn=aecho)

    def read(self, answer: Any) -> str:
        return "".join(answer.raw_output)

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        return guard_tool(original, policy, ops=ops, name="echo")

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.call(text=text, **more)

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return await guarded.acall(text=text, **more)

    def text_of(self, answer: Any) -> str:
        said: str = answer.raw_output["said"]
        assert said in answer.content
        return said

    def spoil(self, answer: Any) -> None:
        answer.raw_output["said"] = "spoilt"
        answer.blocks[0].text = "spoilt"

    def shape(self, answer: Any) -> Any:
        return type(answer), type(answer.raw_output), list(map(type, answer.blocks))

    def fallback(self) -> Any:
        return {"said": "instead"}


class TestFunction(TestTool):
    only = Sharing
    lacks: ClassVar[dict[str, str]] = {
        **TestTool.lacks,
        "cancelling": "what runs in a thread cannot be cancelled",
    }

    def original(self, body: Body, secret: str = "") -> FunctionTool:
        def echo(text: str, thing: Any = None, api_key: str = secret) -> dict[str, Any]:
            return {"said": body.answer(text), "more": [1]}

        return FunctionTool.from_defaults(echo, name="echo")


class TestCoroutine(TestTool):
    only = Sharing

    # Its sync face is its coroutine in a loop of its own, which LlamaIndex makes.
    def original(self, body: Body, secret: str = "") -> FunctionTool:
        async def echo(text: str, thing: Any = None, api_key: str = secret) -> dict[str, Any]:
            return {"said": await body.aanswer(text), "more": [1]}

        return FunctionTool.from_defaults(async_fn=echo, name="echo")


class Echo(CustomLLM):
    """A model of which every endpoint is its own, as those of the integrations are."""

    model: str = "echo"  # else what it holds tells it from others, in one process alone
    api_key: str = ""
    _body: Body = PrivateAttr()

    def __init__(self, body: Body, secret: str = "") -> None:
        super().__init__(api_key=secret)
        self._body = body

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self.model, is_chat_model=True)

    @classmethod
    def class_name(cls) -> str:
        return "Echo"

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return _chat_response(self._body.answer(messages[-1].content))

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return _chat_response(await self._body.aanswer(messages[-1].content))

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=self._body.answer(prompt))

    @llm_completion_callback()
    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        return CompletionResponse(text=await self._body.aanswer(prompt))

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Iterator[ChatResponse]:
        def chunks() -> Iterator[ChatResponse]:
            for text, delta, raw in _deltas(self._body.answer(messages[-1].content)):
                yield _chat_response(text, delta, raw)

        return chunks()

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> AsyncIterator[ChatResponse]:
        async def chunks() -> AsyncIterator[ChatResponse]:
            for text, delta, raw in _deltas(await self._body.aanswer(messages[-1].content)):
                yield _chat_response(text, delta, raw)

        return chunks()

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        def chunks() -> Iterator[CompletionResponse]:
            for text, delta, raw in _deltas(self._body.answer(prompt)):
                yield CompletionResponse(text=text, delta=delta, raw=raw)

        return chunks()

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        async def chunks() -> AsyncIterator[CompletionResponse]:
            for text, delta, raw in _deltas(await self._body.aanswer(prompt)):
                yield CompletionResponse(text=text, delta=delta, raw=raw)

        return chunks()


def _chat_response(text: str, delta: str | None = None, raw: Any = None) -> ChatResponse:
    return ChatResponse(message=ChatMessage(text, role=MessageRole.ASSISTANT), delta=delta, raw=raw)


def _deltas(text: str) -> list[tuple[str, str, Any]]:
    """Return the text so far, what is new in it, and what the provider says, for each chunk."""
    first, blank, rest = text.partition(" ")
    return [(first, first, None), (first + blank, blank, None), (text, rest, _END)]


_END = {"finish_reason": "stop"}


class TestChat(AdapterConformance):
    lacks: ClassVar[dict[str, str]] = {"secret_argument": _MODEL, "arguments": _WRITTEN}
    refused: ClassVar[tuple[Policy, ...]] = (KEPT.replace(semantic=Semantic(on="question")),)

    def original(self, body: Body, secret: str = "") -> Echo:
        return Echo(body, secret)

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        return guard_llm(original, policy, ops=ops)

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.chat([ChatMessage(text)], **more)

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return await guarded.achat([ChatMessage(text)], **more)

    def text_of(self, answer: Any) -> str:
        assert answer.message.role is MessageRole.ASSISTANT
        return answer.message.content

    def spoil(self, answer: Any) -> None:
        answer.message.blocks[0].text = "spoilt"

    def fallbacks(self) -> list[Any]:
        message = ChatMessage("instead", role=MessageRole.ASSISTANT)
        return ["instead", message, _chat_response("instead"), CompletionResponse(text="instead")]

    def shape(self, answer: Any) -> Any:
        return type(answer), type(answer.message), list(map(type, answer.message.blocks))


class TestComplete(TestChat):
    only = Sharing  # the guard of chats makes these calls too

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.complete(text, **more)

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return await guarded.acomplete(text, **more)

    def text_of(self, answer: Any) -> str:
        return answer.text

    def spoil(self, answer: Any) -> None:
        answer.text = "spoilt"

    def shape(self, answer: Any) -> Any:
        return type(answer)


class TestStreamChat(TestChat):
    lacks: ClassVar[dict[str, str]] = {
        **TestChat.lacks,
        "mixing": "a stream is shared among threads, or within one event loop",
        "refresh": "nobody reads a stream to its end for the cache alone",
    }

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return list(guarded.stream_chat([ChatMessage(text)], **more))

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return [chunk async for chunk in await guarded.astream_chat([ChatMessage(text)], **more)]

    def text_of(self, answer: Any) -> str:
        said = super().text_of(answer[-1])
        assert "".join(chunk.delta or "" for chunk in answer) == said or said == "spoilt"
        return said

    def spoil(self, answer: Any) -> None:
        for chunk in answer:
            super().spoil(chunk)

    def shape(self, answer: Any) -> Any:
        return [super(TestStreamChat, self).shape(chunk) for chunk in answer]


class TestStreamComplete(TestComplete):
    only = Sharing
    lacks: ClassVar[dict[str, str]] = TestStreamChat.lacks

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return list(guarded.stream_complete(text, **more))

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return [chunk async for chunk in await guarded.astream_complete(text, **more)]

    def text_of(self, answer: Any) -> str:
        said: str = answer[-1].text
        assert "".join(chunk.delta or "" for chunk in answer) == said or said == "spoilt"
        return said

    def spoil(self, answer: Any) -> None:
        for chunk in answer:
            chunk.text = "spoilt"

    def shape(self, answer: Any) -> Any:
        return list(map(type, answer))


def _letters(text: str) -> list[float]:
    """Return the letters of a text as a vector, all of one length."""
    return [float(ord(letter)) for letter in text.ljust(60)]


class Letters(BaseEmbedding):
    """A model whose vectors are the letters of what the body says."""

    api_key: str = ""
    _body: Body = PrivateAttr()

    def __init__(self, body: Body, secret: str) -> None:
        super().__init__(model_name="letters", api_key=secret)
        self._body = body

    def _get_query_embedding(self, query: str) -> list[float]:
        return _letters(self._body.answer(query))

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return _letters(await self._body.aanswer(query))

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_query_embedding(text)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await self._aget_query_embedding(text)


class TestQueryEmbedding(AdapterConformance):
    lacks: ClassVar[dict[str, str]] = {
        "decoding": "a vector is kept as immutable bytes",
        "fallback": "no vector can stand for another",
        "refresh": "the vector of a text never changes",
        "stale_if_error": "the vector of a text never changes",
        "thing": _TEXTS,
        "secret_argument": _TEXTS,
    }
    refused: ClassVar[tuple[Policy, ...]] = (
        KEPT.replace(fallback="instead"),
        KEPT.replace(hedge=Hedge()),
        KEPT.replace(semantic=Semantic(on="text")),
    )

    def original(self, body: Body, secret: str = "") -> Letters:
        return Letters(body, secret)

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        return guard_embedding(original, policy, ops=ops)

    def guard_plain(self, original: Any, ops: Any) -> Any:
        return guard_embedding(original, ops=ops, cache=None, coalesce=False)

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.get_query_embedding(text)

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return await guarded.aget_query_embedding(text)

    def text_of(self, answer: Any) -> str:
        return "".join(chr(int(number)) for number in answer).rstrip()

    def spoil(self, answer: Any) -> None:
        answer[0] += 1.0

    def entry(self, body: Body) -> bytes:
        # Vectors are bytes of eight for each number, and bytes stand in JSON as Base64.
        return b64encode(struct.pack(f"<{len(body.word)}d", *map(ord, body.word)))

    def outcomes(self, events: Any) -> list[str]:
        # Each text is told, and each call of the model; a text that has no vector is not.
        told = ("coalesced", "error", "rejected")
        return [e.outcome for e in events if "(batches)" not in e.name or e.outcome in told]


class TestTextEmbedding(TestQueryEmbedding):
    only = Sharing

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.get_text_embedding_batch([text])[0]

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return (await guarded.aget_text_embedding_batch([text]))[0]


class TestCachedEmbedding(TestQueryEmbedding):
    lacks: ClassVar[dict[str, str]] = {
        **dict.fromkeys(CALLING, "LlamaIndex asks the cache and puts, and makes the call itself"),
        "original": "the model is the original, and is told of its cache",
        "secret_argument": _TEXTS,
        "thing": _TEXTS,
        "uncached": "a cache keeps; who wants none gives the model none",
    }
    refused: ClassVar[tuple[Policy, ...]] = (
        KEPT.replace(retry=Retry()),
        KEPT.replace(timeout=Timeout(total=1.0)),
        KEPT.replace(rate_limit=RateLimit("1/s")),
        KEPT.replace(bulkhead=Bulkhead(1)),
        KEPT.replace(hedge=Hedge()),
        KEPT.replace(fallback=[1.0]),
    )

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        store = ToolOpsKVStore(ops, policy=policy)
        return original.model_copy(update={"embeddings_cache": store})

    def entry(self, body: Body) -> bytes:
        return b",".join(b"%d.0" % ord(letter) for letter in body.word)

    def outcomes(self, events: Any) -> list[str]:
        return [event.outcome for event in events]
