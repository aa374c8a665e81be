"""Structured output of LlamaIndex's models, by the conformance list of all adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import pytest
from adapters.adapter_schemas import SchemaConformance
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.program import FunctionCallingProgram, LLMTextCompletionProgram
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import PydanticProgramMode
from llama_index.llms.openai import OpenAI, OpenAIResponses

from llama_index.callbacks.toolops import guard_llm
from toolops_plugins import ToolOps

PROMPT = PromptTemplate("Tell me of Ulm.")
BY_SCHEMA: dict[str, Any] = {"model": "gpt-4o-mini"}
BY_TOOLS: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "pydantic_program_mode": PydanticProgramMode.FUNCTION,
}
BY_TEXT: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "pydantic_program_mode": PydanticProgramMode.LLM,
}


def predict(llm: Any, kind: Any) -> Any:
    return llm.structured_predict(kind, PROMPT)


def apredict(llm: Any, kind: Any) -> Any:
    return asyncio.run(llm.astructured_predict(kind, PROMPT))


def stream(llm: Any, kind: Any) -> Any:
    return list(llm.stream_structured_predict(kind, PROMPT))[-1]


def astream(llm: Any, kind: Any) -> Any:
    async def read() -> Any:
        return [part async for part in await llm.astream_structured_predict(kind, PROMPT)][-1]

    return asyncio.run(read())


def chat(llm: Any, kind: Any) -> Any:
    return llm.as_structured_llm(kind).chat([ChatMessage("Tell me of Ulm.")]).raw


def function_program(llm: Any, kind: Any) -> Any:
    return FunctionCallingProgram.from_defaults(output_cls=kind, prompt=PROMPT, llm=llm)()


def text_program(llm: Any, kind: Any) -> Any:
    return LLMTextCompletionProgram.from_defaults(output_cls=kind, prompt=PROMPT, llm=llm)()


def make_ways() -> dict[str, Any]:
    """Return each form of request with some of the ways to ask."""

    def make(model: Any, options: Any, how: Any, url: str, ops: ToolOps, kind: Any) -> Any:
        llm = model(api_base=url, api_key="sk-test", max_retries=0, **options)
        return partial(how, guard_llm(llm, ops=ops), kind)

    asked = (
        *((OpenAI, BY_SCHEMA, how) for how in (predict, apredict, stream, astream, chat)),
        *((OpenAI, BY_TOOLS, how) for how in (predict, apredict, stream, astream)),
        *((OpenAI, BY_TEXT, how) for how in (predict, stream, text_program)),
        (OpenAI, BY_SCHEMA, function_program),
        (OpenAIResponses, BY_TOOLS, function_program),
        (OpenAIResponses, BY_TEXT, text_program),
    )
    made: dict[str, Any] = {}
    for model, options, how in asked:
        form = {id(BY_SCHEMA): "schema", id(BY_TOOLS): "tools", id(BY_TEXT): "text"}[id(options)]
        made[f"{model.__name__}, {form}, {how.__name__}"] = partial(make, model, options, how)
    return made


@pytest.mark.usefixtures("certificates")
class TestStructuredOutput(SchemaConformance):
    ways: ClassVar[dict[str, Callable[..., Any]]] = make_ways()
    unread: ClassVar[frozenset[str]] = frozenset(each for each in make_ways() if "_program" in each)

    @pytest.fixture
    def certificates(self, monkeypatch: pytest.MonkeyPatch, _one_certificate: str) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", _one_certificate)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("tools", [False, True])
def test_a_stream_of_the_responses_api_comes_back_as_it_was(openai_server, ops, tools, is_async):
    thought = {"type": "summary_text", "text": "well then"}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    openai_server.reply = lambda body: {
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [thought]},
            {**search, "action": {"type": "search", "query": "Ulm"}},
        ],
        **structured_reply(tools),
    }
    model = OpenAIResponses(
        model="gpt-4o-mini", api_base=openai_server.url, api_key="sk-test", max_retries=0
    )
    guarded = guard_llm(model, ops=ops)
    messages = [ChatMessage("Tell me of Ulm.")]

    async def read() -> list[Any]:
        return [chunk async for chunk in await guarded.astream_chat(messages)]

    streams = [
        asyncio.run(read()) if is_async else list(guarded.stream_chat(messages)) for _ in range(2)
    ]
    assert len(openai_server.requests) == 1
    first, second = ([(type(c.raw), c.message.blocks, c.delta) for c in each] for each in streams)
    assert without_ids(first) == without_ids(second)


def structured_reply(tools: bool) -> dict[str, Any]:
    call = {"name": "find", "arguments": {"name": "Ulm"}}
    return {"tool_calls": [call]} if tools else {"content": "a city on the Danube"}


def without_ids(chunks: list[Any]) -> list[Any]:
    """Return chunks without the ids of their tool calls, which are new in a hit."""
    return [
        (kind, [block.model_dump(exclude={"tool_call_id"}) for block in blocks], delta)
        for kind, blocks, delta in chunks
    ]
