"""LangChain's guarded objects under the list that every adapter must pass."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

from adapters.adapter_body import Body
from adapters.adapter_conformance import CALLING, KEPT, AdapterConformance, Sharing
from langchain.agents import create_agent
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.llms import LLM
from langchain_core.messages import AIMessage, AIMessageChunk, ToolCall, ToolMessage
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
    LLMResult,
)
from langchain_core.tools import StructuredTool
from pydantic import BaseModel, Field, PrivateAttr, SecretStr

from langchain_toolops import (
    ToolOpsCache,
    ToolOpsEmbeddings,
    ToolOpsMiddleware,
    guard_llm,
    wrap_tool,
)
from toolops_plugins import Bulkhead, Hedge, Policy, RateLimit, Retry, Semantic, Timeout

_WRITTEN = "what a model has written may be read another time"
_ARGUMENT = "a model is asked with messages; its key is what it is reached with"


class Echo(BaseChatModel):
    """A chat model of which every endpoint is its own."""

    body: Body = Field(exclude=True)
    key: SecretStr = SecretStr("")

    model_config: ClassVar[Any] = {"arbitrary_types_allowed": True}

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        return _result(self.body.answer(messages[-1].text))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        return _result(await self.body.aanswer(messages[-1].text))


class StreamingEcho(Echo):
    """And one that streams."""

    def _stream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        yield from _chunks(self.body.answer(messages[-1].text))

    async def _astream(
        self, messages, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(await self.body.aanswer(messages[-1].text)):
            yield chunk


def _result(text: str) -> ChatResult:
    message = AIMessage(text, response_metadata={"finish_reason": "stop", "list": [1]})
    return ChatResult(generations=[ChatGeneration(message=message)])


def _chunks(text: str) -> list[ChatGenerationChunk]:
    parts = [AIMessageChunk(content=part) for part in text.partition(" ")]
    last = AIMessageChunk(content="", response_metadata={"finish_reason": "stop"})
    return [ChatGenerationChunk(message=part) for part in (*parts, last)]


class TestTool(AdapterConformance):
    lacks: ClassVar[dict[str, str]] = {
        "own_entries": "whatever stands under its key may be the result of a tool",
        "own_fallback": "whatever stands in may be the result of a tool",
    }

    def original(self, body: Body, secret: str = "") -> StructuredTool:
        # What the tool is reached with is in its body, of which nobody knows.
        def echo(text: str, thing: Any = None, api_key: str = secret) -> dict[str, Any]:
            return {"said": body.answer(text), "more": [1]}

        async def aecho(text: str, thing: Any = None, api_key: str = secret) -> dict[str, Any]:
            return {"said": await body.aanswer(text), "more": [1]}

        return StructuredTool.from_function(echo, aecho, name="echo", description="Echo.")

    def single_use(self, body: Body) -> Any:
        def echo(text: str) -> Any:
            return iter(body.answer(text))

        async def aecho(text: str) -> Any:
            return iter(await body.aanswer(text))

        return StructuredTool.from_function(echo, aecho, name="echo", description="Echo.")

    def read(self, answer: Any) -> str:
        return "".join(answer)

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        return wrap_tool(original, ops=ops, policy=policy)

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.invoke({"text": text, **more})

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return await guarded.ainvoke({"text": text, **more})

    def text_of(self, answer: Any) -> str:
        return answer["said"]

    def spoil(self, answer: Any) -> None:
        answer["said"] = "spoilt"
        answer["more"].append(2)

    def fallback(self) -> Any:
        return {"said": "instead"}


class TestModel(AdapterConformance):
    lacks: ClassVar[dict[str, str]] = {"secret_argument": _ARGUMENT, "arguments": _WRITTEN}
    refused: ClassVar[tuple[Policy, ...]] = (KEPT.replace(semantic=Semantic(on="question")),)

    def original(self, body: Body, secret: str = "") -> Echo:
        return Echo(body=body, key=SecretStr(secret))

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        return guard_llm(original, policy, ops=ops)

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.invoke(text, **more)

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return await guarded.ainvoke(text, **more)

    def text_of(self, answer: Any) -> str:
        assert answer.response_metadata.get("list", [1]) == [1]
        return answer.text

    def spoil(self, answer: Any) -> None:
        answer.content = "spoilt"

    def fallbacks(self) -> list[Any]:
        whole = AIMessage("instead", response_metadata={"list": [1]}, id="7")
        return ["instead", whole, AIMessageChunk(content="instead"), _result("instead")]


class TestModelStream(TestModel):
    lacks: ClassVar[dict[str, str]] = {
        **TestModel.lacks,
        "mixing": "a stream is shared among threads, or within one event loop",
        "refresh": "nobody reads a stream to its end for the cache alone",
    }

    def original(self, body: Body, secret: str = "") -> StreamingEcho:
        return StreamingEcho(body=body, key=SecretStr(secret))

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return _whole(list(guarded.stream(text, **more)))

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return _whole([chunk async for chunk in guarded.astream(text, **more)])


class PlainEcho(LLM):
    """A plain model of which every endpoint is its own."""

    body: Body = Field(exclude=True)
    key: SecretStr = SecretStr("")

    model_config: ClassVar[Any] = {"arbitrary_types_allowed": True}

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _call(self, prompt, stop=None, run_manager=None, **kwargs: Any) -> str:
        return self.body.answer(prompt)

    async def _acall(self, prompt, stop=None, run_manager=None, **kwargs: Any) -> str:
        return await self.body.aanswer(prompt)


class StreamingPlainEcho(PlainEcho):
    """And one that streams."""

    def _stream(
        self, prompt, stop=None, run_manager=None, **kwargs: Any
    ) -> Iterator[GenerationChunk]:
        yield from _text_chunks(self.body.answer(prompt))

    async def _astream(
        self, prompt, stop=None, run_manager=None, **kwargs: Any
    ) -> AsyncIterator[GenerationChunk]:
        for chunk in _text_chunks(await self.body.aanswer(prompt)):
            yield chunk


def _text_chunks(text: str) -> list[GenerationChunk]:
    last = GenerationChunk(text="", generation_info={"finish_reason": "stop"})
    return [*(GenerationChunk(text=part) for part in text.partition(" ")), last]


class TestPlainModel(AdapterConformance):
    lacks: ClassVar[dict[str, str]] = TestModel.lacks
    refused: ClassVar[tuple[Policy, ...]] = TestModel.refused

    def original(self, body: Body, secret: str = "") -> PlainEcho:
        return PlainEcho(body=body, key=SecretStr(secret))

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        return guard_llm(original, policy, ops=ops)

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.generate([text], **more)

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return await guarded.agenerate([text], **more)

    def text_of(self, answer: Any) -> str:
        return answer.generations[0][0].text

    def spoil(self, answer: Any) -> None:
        answer.generations[0][0].text = "spoilt"

    def fallbacks(self) -> list[Any]:
        whole = Generation(text="instead")
        return ["instead", whole, LLMResult(generations=[[whole]])]


class TestPlainModelStream(TestPlainModel):
    lacks: ClassVar[dict[str, str]] = {**TestPlainModel.lacks, **TestModelStream.lacks}

    def original(self, body: Body, secret: str = "") -> StreamingPlainEcho:
        return StreamingPlainEcho(body=body, key=SecretStr(secret))

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return [*guarded.stream(text, **more)]

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return [chunk async for chunk in guarded.astream(text, **more)]

    def text_of(self, answer: Any) -> str:
        return "".join(answer)

    def spoil(self, answer: Any) -> None:
        answer.append("spoilt")


def _whole(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    return sum(chunks[1:], chunks[0])


class TestAgent(TestModel):
    lacks: ClassVar[dict[str, str]] = {
        "original": "an agent is made with its middleware, and is none without it",
        "once": "LangChain itself refuses two middlewares of one name",
        "thing": "an agent takes messages alone",
        "secret_argument": _ARGUMENT,
        "arguments": _WRITTEN,
    }

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        return create_agent(original, middleware=[ToolOpsMiddleware(ops, model=policy)])

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.invoke({"messages": text})["messages"][-1]

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return (await guarded.ainvoke({"messages": text}))["messages"][-1]


class Asking(Echo):
    """A model that has a tool answer for it."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        last = messages[-1]
        asks = ToolCall(name="echo", args={"text": last.text}, id="1", type="tool_call")
        calls = [] if isinstance(last, ToolMessage) else [asks]
        message = AIMessage(last.text if not calls else "", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        return self._generate(messages)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


class TestAgentTool(TestAgent):
    only = Sharing

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        body: Body = original.body

        def echo(text: str) -> str:
            return body.answer(text)

        async def aecho(text: str) -> str:
            return await body.aanswer(text)

        tool = StructuredTool.from_function(echo, aecho, name="echo", description="Echo.")
        guard = ToolOpsMiddleware(ops, model=None, tools=policy)
        return create_agent(Asking(body=body), [tool], middleware=[guard])

    def outcomes(self, events: Any) -> list[str]:
        return [event.outcome for event in events if event.name == "echo"]


class TestCachedModel(TestModel):
    lacks: ClassVar[dict[str, str]] = {
        **dict.fromkeys(CALLING, "LangChain looks up and updates, and makes the call itself"),
        "original": "the model is the original, and is told of its cache",
        "secret_argument": _ARGUMENT,
        "arguments": _WRITTEN,
        "uncached": "a cache keeps; who wants none gives the model none",
    }
    refused: ClassVar[tuple[Policy, ...]] = (
        KEPT.replace(retry=Retry()),
        KEPT.replace(timeout=Timeout(total=1.0)),
        KEPT.replace(rate_limit=RateLimit("1/s")),
        KEPT.replace(bulkhead=Bulkhead(1)),
        KEPT.replace(hedge=Hedge()),
        KEPT.replace(fallback="instead"),
    )

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        return original.model_copy(update={"cache": ToolOpsCache(ops, policy=policy)})


def _letters(text: str) -> list[float]:
    """Return the letters of a text as a vector, all of one length."""
    return [float(ord(letter)) for letter in text.ljust(60)]


class Letters(BaseModel, Embeddings):
    """An embedder whose vectors are the letters of what the body says."""

    model: str = "letters"
    api_key: SecretStr = SecretStr("")
    _body: Body = PrivateAttr()

    def __init__(self, body: Body, secret: str) -> None:
        super().__init__(api_key=SecretStr(secret))
        self._body = body

    def embed_query(self, text: str) -> list[float]:
        return _letters(self._body.answer(text))

    async def aembed_query(self, text: str) -> list[float]:
        return _letters(await self._body.aanswer(text))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return [await self.aembed_query(text) for text in texts]


class TestEmbeddings(AdapterConformance):
    lacks: ClassVar[dict[str, str]] = {
        "decoding": "a vector is kept as immutable bytes",
        "fallback": "no vector can stand for another",
        "refresh": "the vector of a text never changes",
        "stale_if_error": "the vector of a text never changes",
        "thing": "texts are all that an embedder takes",
        "secret_argument": "texts are all that an embedder takes",
    }
    refused: ClassVar[tuple[Policy, ...]] = (
        KEPT.replace(fallback="instead"),
        KEPT.replace(hedge=Hedge()),
        KEPT.replace(semantic=Semantic(on="text")),
    )

    def original(self, body: Body, secret: str = "") -> Letters:
        return Letters(body, secret)

    def guard(self, original: Any, ops: Any, policy: Any) -> Any:
        return ToolOpsEmbeddings(original, ops, policy=policy)

    def guard_plain(self, original: Any, ops: Any) -> Any:
        return ToolOpsEmbeddings(original, ops, cache=None, coalesce=False)

    def kind(self, original: Any) -> type:
        return Embeddings  # as LangChain's own wrappers are

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.embed_query(text)

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return await guarded.aembed_query(text)

    def text_of(self, answer: Any) -> str:
        return "".join(chr(int(number)) for number in answer).rstrip()

    def spoil(self, answer: Any) -> None:
        answer[0] += 1.0

    def entry(self, body: Body) -> bytes:
        # Vectors are bytes of eight for each number, and bytes stand in JSON as Base64.
        return b64encode(struct.pack(f"<{len(body.word)}d", *map(ord, body.word)))

    def outcomes(self, events: Any) -> list[str]:
        # Each text is told, and each call of the embedder; a text that has no vector is not.
        told = ("coalesced", "error", "rejected")
        return [e.outcome for e in events if "(batches)" not in e.name or e.outcome in told]


class TestEmbeddedDocuments(TestEmbeddings):
    only = Sharing

    def call(self, guarded: Any, text: str, **more: Any) -> Any:
        return guarded.embed_documents([text])[0]

    async def acall(self, guarded: Any, text: str, **more: Any) -> Any:
        return (await guarded.aembed_documents([text]))[0]
