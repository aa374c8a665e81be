"""Guarded calls are counted once, with any handlers installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core import MockEmbedding, Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation import root_dispatcher
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler

from llama_index.callbacks.toolops.callbacks import ToolOpsCallbackHandler
from llama_index.callbacks.toolops.embeddings import guard_embedding
from llama_index.callbacks.toolops.events import CacheHitEvent
from llama_index.callbacks.toolops.instrumentation import _installation, install, uninstall
from llama_index.callbacks.toolops.llms import guard_llm
from llama_index.callbacks.toolops.tools import guard_tool
from toolops_plugins import ToolOps

HELLO = [ChatMessage(role="user", content="hello there")]
OURS = ("chat:", "llm:", "embedding:", "tool:")
"""How rows begin that only handlers make."""


class Hits(BaseEventHandler):
    """Keeps the events of hits."""

    heard: list[CacheHitEvent] = []  # noqa: RUF012 - pydantic copies it

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        if isinstance(event, CacheHitEvent):
            self.heard.append(event)


@pytest.fixture
def ops():
    return ToolOps("guards")


@pytest.fixture(params=["callbacks", "events", "both"], autouse=True)
def handler(request, ops, _settings) -> Iterator[ToolOpsCallbackHandler]:
    made = ToolOpsCallbackHandler(ops)
    if request.param != "events":
        Settings.callback_manager = CallbackManager([made])
    if request.param != "callbacks":
        install(ops)
    yield made
    assert len(made._calls) == 0
    assert _installation._listener is None or len(_installation._listener._events._calls) == 0
    uninstall()


@pytest.fixture
def hits() -> Iterator[list[CacheHitEvent]]:
    made = Hits()
    before = root_dispatcher.event_handlers
    root_dispatcher.event_handlers = [*before, made]
    yield made.heard
    root_dispatcher.event_handlers = [
        each for each in root_dispatcher.event_handlers if each is not made
    ]


def by_handlers(ops: ToolOps) -> list[str]:
    return [tool.name for tool in ops.stats().tools if tool.name.startswith(OURS)]


async def test_a_guarded_model_is_counted_once(ops, echo, hits):
    model = guard_llm(echo(), ops=ops)
    for _ in range(2):
        model.chat(HELLO)
        await model.achat(HELLO)
        model.complete("hello")
        list(model.stream_chat(HELLO))
        list(model.stream_complete("hello"))
        assert [each async for each in await model.astream_chat(HELLO)]
        assert [each async for each in await model.astream_complete("hello")]
    assert by_handlers(ops) == []
    assert ops.stats().total.calls == 14
    assert len(hits) == ops.stats().total.hits > 0
    assert {each.kind for each in hits} == {"llm"}


async def test_a_stream_of_a_guarded_model_that_is_left_is_not_counted_by_handlers(ops, echo):
    model = guard_llm(echo(), ops=ops)
    stream = model.stream_chat(HELLO)
    next(stream)
    stream.close()
    del stream
    assert by_handlers(ops) == []


async def test_a_guarded_tool_is_counted_once(ops, hits):
    tool = guard_tool(FunctionTool.from_defaults(lambda a: a, name="same"), ops=ops)
    tool(a=1)
    tool.call(a=1)
    await tool.acall(a=1)
    assert by_handlers(ops) == []
    assert ops.stats().total.calls == 3
    assert len(hits) == 2


async def test_a_guarded_embedding_is_counted_once(ops, hits):
    model = guard_embedding(MockEmbedding(3), ops=ops)
    for _ in range(2):
        model.get_text_embedding("x")
        await model.aget_text_embedding("x")
        model.get_query_embedding("x")
        model.get_text_embedding_batch(["x", "y"])
        await model.aget_text_embedding_batch(["x", "y"])
    assert by_handlers(ops) == []
    assert ops.stats().total.hits > 0
    assert {each.kind for each in hits} == {"embedding"}
