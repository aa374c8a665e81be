"""guard_llm beside LlamaIndex's callbacks and instrumentation: one for each call of a provider."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_calls import FRANCE, read, user
from llama_index.core.callbacks import CallbackManager, CBEventType, TokenCountingHandler
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index_instrumentation.span import active_span_id
from pydantic import PrivateAttr

from llama_index.callbacks.toolops.events import CacheHitEvent
from llama_index.callbacks.toolops.llms import MODEL_POLICY, guard_llm
from toolops_plugins import Retry, ToolOps

STARTS = (LLMChatStartEvent, LLMCompletionStartEvent)
ENDS = (LLMChatEndEvent, LLMCompletionEndEvent)


class Pairs(BaseCallbackHandler):
    """Counts what begins and what ends."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.started: dict[str, CBEventType] = {}
        self.ended: list[str] = []

    def on_event_start(self, event_type, payload=None, event_id="", parent_id="", **kwargs):
        self.started[event_id] = event_type
        return event_id

    def on_event_end(self, event_type, payload=None, event_id="", **kwargs):
        assert self.started[event_id] is event_type
        self.ended.append(event_id)

    def start_trace(self, trace_id=None):
        pass

    def end_trace(self, trace_id=None, trace_map=None):
        pass

    @property
    def models(self) -> int:
        """Return the number of model calls that have begun and ended."""
        begun = [i for i, kind in self.started.items() if kind is CBEventType.LLM]
        assert sorted(begun) == sorted(i for i in self.ended if i in begun)
        return len(begun)


class Noting(BaseEventHandler):
    """Notes every event."""

    _events: list[Any] = PrivateAttr(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Noting"

    def handle(self, event: Any, **kwargs: Any) -> None:
        self._events.append(event)

    def of(self, *kinds: type) -> list[Any]:
        """Return the events of these kinds."""
        return [event for event in self._events if isinstance(event, kinds)]


@pytest.fixture
def notes() -> Iterator[Noting]:
    root, handler = get_dispatcher(), Noting()
    before = root.event_handlers
    root.event_handlers = [*before, handler]
    yield handler
    root.event_handlers = before


@pytest.fixture
def spans() -> Iterator[SimpleSpanHandler]:
    root, handler = get_dispatcher(), SimpleSpanHandler()
    before = root.span_handlers
    root.span_handlers = [*before, handler]
    yield handler
    root.span_handlers = before


@pytest.fixture
def pairs() -> Pairs:
    return Pairs()


@pytest.fixture
def model(ops: ToolOps, llm: Callable[..., Any], pairs: Pairs) -> Any:
    return guard_llm(llm(callback_manager=CallbackManager([pairs])), ops=ops)


WAYS: dict[str, Callable[[Any], Any]] = {
    "chat": lambda m: m.chat(user(FRANCE)),
    "achat": lambda m: asyncio.run(m.achat(user(FRANCE))),
    "stream_chat": lambda m: list(m.stream_chat(user(FRANCE))),
    "astream_chat": lambda m: asyncio.run(read(m.astream_chat(user(FRANCE)))),
    "complete": lambda m: m.complete(FRANCE),
    "acomplete": lambda m: asyncio.run(m.acomplete(FRANCE)),
    "stream_complete": lambda m: list(m.stream_complete(FRANCE)),
    "astream_complete": lambda m: asyncio.run(read(m.astream_complete(FRANCE))),
}


@pytest.fixture(params=list(WAYS))
def ask(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return WAYS[request.param]


def test_a_hit_fires_nothing_but_a_hit(model, pairs, notes, spans, ask):
    ask(model)
    assert (pairs.models, len(notes.of(*STARTS)), len(notes.of(*ENDS))) == (1, 1, 1)
    assert len(spans.completed_spans) == 1
    assert not notes.of(CacheHitEvent)
    for hits in (1, 2):
        ask(model)
        assert (pairs.models, len(notes.of(*STARTS)), len(notes.of(*ENDS))) == (1, 1, 1)
        assert len(spans.completed_spans) == 1
        assert len(notes.of(CacheHitEvent)) == hits


def test_a_hit_tells_where_it_came_from_and_nothing_of_what_was_asked(model, notes, ask, ops):
    ask(model)
    ask(model)
    (hit,) = notes.of(CacheHitEvent)
    assert hit.name in [tool.name for tool in ops.stats().tools]
    assert (hit.kind, hit.tier) == ("llm", "L1")
    assert hit.saved_seconds >= 0
    assert hit.saved_price == ops.stats().total.saved_price
    assert FRANCE not in repr(hit.model_dump())


def test_a_hit_adds_no_tokens(ops, llm, ask):
    counter = TokenCountingHandler()
    # Without it LlamaIndex counts by itself, and blocks the event loop meanwhile.
    usage = {"stream_options": {"include_usage": True}}
    plain = llm(callback_manager=CallbackManager([counter]), additional_kwargs=usage)
    model = guard_llm(plain, ops=ops)
    ask(model)
    before = counter.total_llm_token_count
    assert before > 0
    ask(model)
    assert counter.total_llm_token_count == before


def test_each_attempt_is_a_call_of_its_own(ops, llm, openai_server, pairs, ask):
    failures = [{"status": 500}]
    openai_server.reply = lambda body: failures.pop() if failures else "Paris"
    policy = MODEL_POLICY.replace(retry=Retry(attempts=2, wait=0))
    model = guard_llm(llm(callback_manager=CallbackManager([pairs])), policy, ops=ops)
    ask(model)
    assert pairs.models == len(openai_server.requests) == 2


def test_a_callback_manager_that_is_set_later_is_heard(ops, llm, pairs, ask):
    model = guard_llm(llm(), ops=ops)
    model.callback_manager = CallbackManager([pairs])
    ask(model)
    assert pairs.models == 1


@pytest.mark.parametrize("way", list(WAYS))
def test_what_calls_itself_is_one_call(ops, echo, events, way):
    model = guard_llm(echo(), ops=ops)
    for _ in range(2):
        WAYS[way](model)
    assert model.calls == 1
    assert [event.outcome for event in events] == ["miss", "hit"]
    assert ops.stats().total.calls == 2


def test_a_stream_that_is_left_early_leaves_no_open_record(model, pairs, spans, notes):
    stream = model.stream_chat(user(FRANCE))
    next(stream)
    stream.close()
    model.stream_chat(user("never read"))
    assert pairs.models == 1
    assert not spans.open_spans


async def test_an_asynchronous_stream_that_is_left_early_leaves_no_open_record(model, pairs, spans):
    stream = await model.astream_chat(user(FRANCE))
    await anext(stream)
    await stream.aclose()
    await model.astream_chat(user("never read"))
    assert pairs.models == 1
    assert not spans.open_spans


@pytest.mark.parametrize("way", ["stream_chat", "astream_chat"])
def test_a_stream_belongs_to_where_it_was_asked_for(model, notes, spans, way):
    def open_stream() -> Any:
        token = active_span_id.set("the query")
        try:
            if way == "stream_chat":
                return model.stream_chat(user(FRANCE))
            return asyncio.run(_open())
        finally:
            active_span_id.reset(token)

    async def _open() -> Any:
        return await model.astream_chat(user(FRANCE))

    async def drain(stream: Any) -> None:
        async for _ in stream:
            pass

    for _ in range(2):
        stream = open_stream()
        list(stream) if way == "stream_chat" else asyncio.run(drain(stream))
    assert [span.parent_id for span in spans.completed_spans] == ["the query"]
    assert [hit.span_id for hit in notes.of(CacheHitEvent)] == ["the query"]
