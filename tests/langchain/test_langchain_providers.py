"""LangChain's client of OpenAI behind servers of other providers' shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapters.adapter_providers import ProviderConformance
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from langchain_shapes import MESSAGES, pieces_of
from pydantic import Field
from responses_shapes import RESPONSES_PROVIDERS

from langchain_toolops import ToolOpsCache, guard_llm
from toolops_plugins import Policy, ToolOps


class TestChatOpenAI(ProviderConformance):
    @classmethod
    def client(cls, server: Any) -> Any:
        return ChatOpenAI(model="m", api_key="sk-test", base_url=server.url, max_retries=0)

    def guard(self, client: Any, ops: ToolOps, policy: Policy, **options: Any) -> Any:
        return guard_llm(client, policy, ops=ops, **{"usage_on_hit": "keep", **options})

    def ask(self, way: str, model: Any, asked: Any, tools: Any) -> list[Any]:
        bound = _bind(model, tools)
        return [bound.invoke(asked)] if way == "invoke" else list(bound.stream(asked))

    async def aask(self, way: str, model: Any, asked: Any, tools: Any) -> list[Any]:
        bound = _bind(model, tools)
        if way == "ainvoke":
            return [await bound.ainvoke(asked)]
        return [chunk async for chunk in bound.astream(asked)]

    def follow_up(self, items: list[Any]) -> Any:
        results = [ToolMessage("sunny", tool_call_id=id_) for id_, _ in self.calls_of(items)]
        return [HumanMessage("hi"), _whole(items), *results]

    def text_of(self, items: list[Any]) -> str:
        return _whole(items).text

    def calls_of(self, items: list[Any]) -> list[tuple[str, Any]]:
        return [(call["id"] or "", call["args"]) for call in _whole(items).tool_calls]

    def ids_of(self, items: list[Any]) -> list[str]:
        content = _whole(items).content
        blocks = [block for block in content if isinstance(block, dict)]
        of_items = [block["id"] for block in blocks if block.get("type") == "function_call"]
        return [*super().ids_of(items), *of_items]

    def tokens_of(self, model: Any, answers: list[Any]) -> int:
        heard = [item for items in answers if isinstance(items, list) for item in items]
        return sum(item.usage_metadata["total_tokens"] for item in heard if item.usage_metadata)

    def spell(self, items: list[Any]) -> Any:
        return super().spell([_unmarked(item) for item in items])

    def spell_kept(self, items: list[Any]) -> Any:
        # The id of a message is that of its run or its response, which a hit is none of.
        return self.spell([item.model_copy(update={"id": None}) for item in items])


def _unmarked(item: Any) -> Any:
    metadata = {name: v for name, v in item.response_metadata.items() if name != "toolops"}
    id_ = "run" if (item.id or "").startswith("lc_run") else item.id
    return item.model_copy(update={"response_metadata": metadata, "id": id_})


def _bind(model: Any, tools: Any) -> Any:
    if isinstance(tools, type):
        return model.with_structured_output(tools, method="json_schema")
    return model.bind_tools(tools) if tools else model


def _whole(items: list[Any]) -> Any:
    return sum(items[1:], items[0])


class Scripted(BaseChatModel):
    """A model of another provider's package, as far as its answers show."""

    script: Any = Field(exclude=True)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=tools, **kwargs)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        message = self.script.take().whole.model_copy(deep=True)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        return self._generate(messages)

    def _stream(self, messages, stop=None, run_manager=None, **kwargs: Any) -> Iterator[Any]:
        for chunk in pieces_of(self.script.take()):
            yield ChatGenerationChunk(message=chunk)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs: Any) -> Any:
        for chunk in self._stream(messages):
            yield chunk


class TestMessages(TestChatOpenAI):
    """Messages in the shapes of other providers' packages."""

    providers = MESSAGES
    has_server = False
    test_structured_answers = None  # it is the framework's own client that makes these

    @classmethod
    def client(cls, server: Any) -> Scripted:
        return Scripted(script=server)


class TestResponsesAPI(TestChatOpenAI):
    """The same client at the Responses API."""

    providers = RESPONSES_PROVIDERS
    test_structured_answers = None  # these responses do not repeat the schema of their requests

    @classmethod
    def client(cls, server: Any) -> Any:
        return ChatOpenAI(
            model="m",
            api_key="sk-test",
            base_url=server.url,
            max_retries=0,
            use_responses_api=True,
        )


class TestCachedMessages(TestMessages):
    """The same messages through LangChain's cache."""

    def guard(self, client: Any, ops: ToolOps, policy: Policy, **options: Any) -> Any:
        cache = ToolOpsCache(ops, policy=policy, **{"usage_on_hit": "keep", **options})
        return client.model_copy(update={"cache": cache})

    def spell_kept(self, items: list[Any]) -> Any:
        items = [item.model_copy(deep=True) for item in items]
        for item in items:
            (item.usage_metadata or {}).pop("total_cost", None)  # LangChain adds it to each hit
        return super().spell_kept(items)

    def reads(self, provider: Any, way: str) -> bool:
        return "stream" not in way  # LangChain streams past its cache
