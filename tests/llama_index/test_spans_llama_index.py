"""OpenTelemetry's spans of LlamaIndex's models, embeddings and tools."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from exported_telemetry import id_of, parent_of
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.tools import FunctionTool
from opentelemetry.trace import SpanKind

from llama_index.callbacks.toolops import guard_embedding, guard_llm, wrap_tool
from toolops_plugins import Cache, ToolOps


@pytest.fixture
def ops(telemetry) -> Iterator[ToolOps]:
    with telemetry.ops() as ops:
        yield ops


@pytest.mark.parametrize("aio", [False, True])
def test_models_have_their_spans(telemetry, ops, llm, aio):
    model = guard_llm(llm(), ops=ops)

    async def aask():
        for _ in range(2):
            await model.acomplete("hello")
        async for _ in await model.astream_complete("hello"):
            pass

    with telemetry.tracer.start_as_current_span("agent") as agent:
        if aio:
            asyncio.run(aask())
        else:
            for _ in range(2):
                model.complete("hello")
            list(model.stream_complete("hello"))
    spans = telemetry.spans[:-1]
    assert {(span.name, span.kind, parent_of(span)) for span in spans} == {
        (f"chat {model.model}", SpanKind.CLIENT, id_of(agent))
    }
    assert [span.attributes["toolops.outcome"] for span in spans] == ["miss", "hit", "miss"]
    assert spans[0].attributes["gen_ai.usage.input_tokens"] > 0
    assert telemetry.operations() == 2


def test_embeddings_have_their_spans(telemetry, ops):
    model = guard_embedding(MockEmbedding(embed_dim=3, model_name="embed-test"), ops=ops)
    for _ in range(2):
        model.get_text_embedding_batch(["hello", "world"])
    span = telemetry.span("embeddings embed-test")  # of the request, none of each text
    assert span.kind is SpanKind.CLIENT
    assert telemetry.operations() == len(telemetry.spans) == 1
    assert telemetry.points("gen_ai.execute_tool.duration") == []
    calls = {
        (point.attributes["toolops.tool"], point.attributes["toolops.outcome"]): point.value
        for point in telemetry.points("toolops.calls")
    }
    assert calls["embed:embed-test", "hit"] == calls["embed:embed-test", "miss"] == 2


@pytest.mark.parametrize("aio", [False, True])
def test_tools_have_their_spans(telemetry, ops, aio):
    def search(query: str) -> str:
        """Search for something."""
        with telemetry.tracer.start_as_current_span("GET"):
            return query

    tool = wrap_tool(FunctionTool.from_defaults(search), ops=ops, cache=Cache(ttl=60))
    for _ in range(2):
        if aio:
            asyncio.run(tool.acall(query="x"))
        else:
            tool.call(query="x")
    first, second = [span for span in telemetry.spans if span.name == "execute_tool search"]
    assert first.attributes["toolops.outcome"] == "miss"
    assert second.attributes["toolops.outcome"] == "hit"
    assert parent_of(telemetry.span("GET")) == id_of(first)
