"""Handlers among whatever they are told: nothing raises, nothing changes, nothing piles up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.base.llms.types import MessageRole
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMChatStartEvent,
)
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse
from llama_index.core.tools import ToolMetadata
from llama_index_instrumentation.base import BaseEvent
from openai.types import CompletionUsage

from llama_index.callbacks.toolops.callbacks import ToolOpsCallbackHandler
from llama_index.callbacks.toolops.instrumentation import (
    ToolOpsEventHandler,
    ToolOpsSpanHandler,
    install,
    uninstall,
)
from llama_index.callbacks.toolops.prices import ModelPrices, TokenPrice, model_of, usage_of
from toolops_plugins import CallEvent, ConfigurationError, ToolOps

HELLO = [ChatMessage(role="user", content="hello there")]
MODEL = {"class_name": "openai_llm", "model_name": "m"}
SPAN = "Chat.chat-123e4567-e89b-12d3-a456-426614174000"


@pytest.fixture
def events() -> list[CallEvent]:
    return []


@pytest.fixture
def ops(events):
    return ToolOps("payloads", sinks=[events.append])


@pytest.fixture
def handler(ops):
    return ToolOpsCallbackHandler(ops)


@pytest.fixture
def pair(ops) -> tuple[ToolOpsEventHandler, ToolOpsSpanHandler]:
    made = ToolOpsEventHandler(ops)
    return made, ToolOpsSpanHandler(made)


@pytest.fixture
def both(ops, handler) -> Iterator[None]:
    Settings.callback_manager = CallbackManager([handler])
    install(ops)
    yield
    uninstall()


def answer(**options: Any) -> ChatResponse:
    return ChatResponse(message=ChatMessage(role="assistant", content="yes"), **options)


def begin(span: str = SPAN) -> LLMChatStartEvent:
    return LLMChatStartEvent(messages=HELLO, additional_kwargs={}, model_dict=MODEL, span_id=span)


def end(span: str = SPAN) -> LLMChatEndEvent:
    return LLMChatEndEvent(messages=HELLO, response=answer(), span_id=span)


# -- ends that are missing, late, doubled or first -----------------------------------------------


def test_an_end_without_a_begin_is_nothing(handler, pair, events):
    handler.on_event_end(CBEventType.LLM, {EventPayload.RESPONSE: answer()}, event_id="x")
    handler.on_event_end(CBEventType.QUERY, None, event_id="y")
    pair[0].handle(end())
    pair[0].handle(ExceptionEvent(exception=ValueError(), span_id=SPAN))
    pair[0].handle(LLMChatInProgressEvent(messages=HELLO, response=answer(), span_id=SPAN))
    pair[1].span_exit(SPAN, None, result=3)
    pair[1].span_drop(SPAN, None, err=ValueError())
    assert events == []


def test_a_second_end_is_nothing(handler, pair, events):
    handler.on_event_start(CBEventType.LLM, {EventPayload.MESSAGES: HELLO}, event_id="x")
    for _ in range(2):
        handler.on_event_end(CBEventType.LLM, {EventPayload.RESPONSE: answer()}, event_id="x")
    assert [event.outcome for event in events] == ["bypass"]
    pair[0].handle(begin())
    for _ in range(2):
        pair[0].handle(end())
    pair[0].handle(ExceptionEvent(exception=ValueError(), span_id=SPAN))
    assert [event.outcome for event in events] == ["bypass", "bypass"]


def test_ends_in_any_order_find_their_begins(handler, events):
    payload = {EventPayload.SERIALIZED: MODEL, EventPayload.PROMPT: "x"}
    for number in range(4):
        handler.on_event_start(CBEventType.LLM, payload, event_id=str(number))
    for number in (2, 0, 3, 1):
        handler.on_event_end(CBEventType.LLM, {}, event_id=str(number))
    assert [event.name for event in events] == ["llm:m"] * 4
    assert len(handler._calls) == 0


def test_callbacks_that_never_end_give_way_to_what_begins_later(ops, events):
    handler = ToolOpsCallbackHandler(ops, max_calls=3)
    for number in range(10):
        handler.on_event_start(CBEventType.EMBEDDING, {}, event_id=str(number))
    assert len(handler._calls) == 3
    for number in range(10):
        handler.on_event_end(CBEventType.EMBEDDING, {}, event_id=str(number))
    assert len(events) == 3
    assert len(handler._calls) == 0


def test_events_that_never_end_give_way_to_what_begins_later(ops, events):
    handler = ToolOpsEventHandler(ops, max_calls=3)
    for number in range(10):
        handler.handle(begin(f"Chat.chat-{number}-1-2-3-4"))
        handler.handle(EmbeddingStartEvent(model_dict={}, span_id=SPAN))
    assert len(handler._calls) == 3
    for number in range(10):
        handler.handle(end(f"Chat.chat-{number}-1-2-3-4"))
        handler.handle(EmbeddingEndEvent(chunks=[], embeddings=[], span_id=SPAN))
    assert len(events) == 3
    assert len(handler._calls) == 0


def test_an_end_without_a_payload_fails_by_the_error_that_ends_it_alone(handler, events):
    manager = CallbackManager([handler])
    try:
        {}["x"]
    except KeyError:
        with manager.event(CBEventType.QUERY):
            pass
    with pytest.raises(asyncio.CancelledError), manager.event(CBEventType.QUERY):
        raise asyncio.CancelledError  # of which LlamaIndex tells nothing
    assert [(event.outcome, event.error) for event in events] == [
        ("bypass", None),
        ("error", "CancelledError"),
    ]


def test_a_span_that_ends_without_its_event_ends_its_call(pair, events):
    pair[0].handle(begin())
    pair[1].span_exit(SPAN, None, result=answer())
    pair[0].handle(end())  # late
    assert [event.name for event in events] == ["chat:m"]
    assert len(pair[0]._calls) == 0


def test_a_reranking_is_a_row_of_its_model(pair, events):
    pair[0].handle(ReRankStartEvent(query="q", nodes=[], top_n=1, model_name="r", span_id=SPAN))
    pair[0].handle(ReRankEndEvent(nodes=[], span_id=SPAN))
    assert [event.name for event in events] == ["reranker:r"]


def test_callbacks_that_only_third_parties_fire_are_rows(handler, events):
    tool = ToolMetadata(description="", name="search")
    for kind, payload in (
        (CBEventType.FUNCTION_CALL, {EventPayload.TOOL: tool}),
        (CBEventType.AGENT_STEP, {}),
        (CBEventType.RERANKING, {EventPayload.MODEL_NAME: "r"}),
    ):
        handler.on_event_start(kind, payload, event_id="x")
        handler.on_event_end(kind, {}, event_id="x")
    assert [event.name for event in events] == ["tool:search", "step:unknown", "reranker:r"]


def test_what_is_neither_a_call_nor_an_end_is_nothing(handler, pair, events):
    assert handler.on_event_start(CBEventType.CHUNKING, event_id="x") == "x"
    handler.on_event_end(CBEventType.CHUNKING, event_id="x")
    pair[0].handle(BaseEvent())
    assert events == []


# -- nothing raises --------------------------------------------------------------------------------


class Bad:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __bool__(self) -> bool:
        raise RuntimeError


@pytest.mark.parametrize("kind", list(CBEventType))
@pytest.mark.parametrize("payload", [None, {}, "full of bad ones", "bad", 3])
def test_no_payload_makes_the_callback_handler_raise(kind, payload, handler):
    if isinstance(payload, str):
        payload = Bad() if payload == "bad" else {each: Bad() for each in EventPayload}
    assert handler.on_event_start(kind, payload, event_id="x") == "x"
    handler.on_event_end(kind, payload, event_id="x")
    handler.start_trace("t")
    handler.end_trace("t", {})


def test_no_event_makes_the_handlers_raise(pair):
    events, spans = pair
    for name in ("span_id", "model_dict", "messages", "response"):
        for made in (begin(), end()):
            object.__setattr__(made, name, Bad())
            events.handle(made)
    for value in (None, Bad(), 3):
        spans.span_enter("x", None, instance=value)
        spans.span_exit("x", None, instance=value, result=value)
        spans.span_drop("x", None, instance=value, err=value)


@pytest.mark.usefixtures("both")
def test_a_runtime_that_fails_does_not_fail_the_call(ops, echo, monkeypatch, caplog):
    def tell(event: CallEvent) -> None:
        raise KeyError(event)

    monkeypatch.setattr(ops, "tell", tell)
    model = echo()
    assert model.chat(HELLO).message.content
    assert asyncio.run(model.acomplete("hello")).text == "hello"
    *_, last = model.stream_complete("hello")
    assert last.text == "hello"
    assert not [each for each in caplog.records if each.levelno > logging.DEBUG]


def test_a_price_that_fails_is_told_once_and_fails_no_call(ops, events, echo, caplog):
    def price(model: str, usage: Any) -> float:
        raise KeyError(model)

    handler = ToolOpsCallbackHandler(ops, prices=price)
    raw = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    for _ in range(2):
        handler.on_event_start(CBEventType.LLM, {EventPayload.MESSAGES: HELLO}, event_id="x")
        handler.on_event_end(
            CBEventType.LLM, {EventPayload.RESPONSE: answer(raw=raw)}, event_id="x"
        )
    assert [event.price for event in events] == [0.0, 0.0]
    told = [each.message for each in caplog.records]
    assert len(told) == 1
    assert "'model' counts as free (price_failed): price= raised KeyError" in told[0]


@pytest.mark.parametrize(
    ("option", "value"),
    [("prices", 3), ("prices", {"m": (1.0,)}), ("max_calls", 0), ("ops", 3)],
)
def test_a_wrong_option_is_told(option, value):
    with pytest.raises(ConfigurationError):
        ToolOpsCallbackHandler(**{option: value})


# -- nothing changes -------------------------------------------------------------------------------


def test_payloads_stay_as_they_are(handler):
    tokens = CompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    response = answer(raw=SimpleNamespace(usage=tokens, model="m"))
    begun = {
        EventPayload.MESSAGES: [ChatMessage(role=MessageRole.USER, content="x")],
        EventPayload.ADDITIONAL_KWARGS: {"a": [1]},
        EventPayload.SERIALIZED: dict(MODEL),
    }
    ended = {EventPayload.RESPONSE: response}
    before = deepcopy(begun), deepcopy(ended)
    handler.on_event_start(CBEventType.LLM, begun, event_id="x")
    handler.on_event_end(CBEventType.LLM, ended, event_id="x")
    assert (begun, ended) == before
    assert ended[EventPayload.RESPONSE] is response


@pytest.mark.usefixtures("both")
def test_neither_prompt_nor_answer_is_kept(handler, events, echo):
    stream = echo().stream_complete("a secret")
    next(stream)
    kept = [vars_of(call) for calls in handler._calls._open.values() for call in calls]
    list(stream)
    assert "secret" not in repr((kept, events))


def vars_of(call: Any) -> dict[str, Any]:
    return {name: getattr(call, name) for kind in type(call).__mro__[:2] for name in kind.__slots__}


# -- tokens and prices -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (
            {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
            {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        ),
        (
            SimpleNamespace(
                usage=SimpleNamespace(
                    input_tokens=3,
                    output_tokens=2,
                    input_tokens_details=SimpleNamespace(cached_tokens=1),
                )
            ),
            {
                "input_tokens": 3,
                "output_tokens": 2,
                "total_tokens": 5,
                "input_token_details": {"cache_read": 1},
            },
        ),
        (
            {"usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 7}},
            {
                "input_tokens": 10,
                "output_tokens": 2,
                "total_tokens": 12,
                "input_token_details": {"cache_read": 7},
            },
        ),
        (
            {"usage_metadata": {"prompt_token_count": 3, "candidates_token_count": 2}},
            {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        ),
        (
            {"prompt_eval_count": 3, "eval_count": 2},
            {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
        ),
        ({"usage": None}, None),
        ({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}, None),
        ({"usage": {"prompt_tokens": "3"}}, None),
        (None, None),
        (3, None),
    ],
)
def test_tokens_are_read_from_what_providers_tell(raw, usage):
    assert usage_of(answer(raw=raw)) == usage
    assert usage_of(CompletionResponse(text="x", raw=raw)) == usage


def test_tokens_are_read_from_what_llama_index_puts_beside_the_answer():
    beside = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    message = ChatMessage(role="assistant", content="x", additional_kwargs=beside)
    assert usage_of(answer(additional_kwargs=beside)) == usage
    assert usage_of(ChatResponse(message=message)) == usage
    assert usage_of(CompletionResponse(text="x", additional_kwargs=beside)) == usage


def test_of_a_stream_the_last_that_tells_its_tokens_counts():
    one = answer(raw={"model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 1}})
    two = answer(raw={"model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    assert usage_of([one, two, answer()]) == {
        "input_tokens": 3,
        "output_tokens": 2,
        "total_tokens": 5,
    }
    assert model_of([one, two]) == ["m"]
    assert (usage_of("text"), model_of("text")) == (None, [])


def test_prices_are_those_of_the_model_that_answered():
    prices = ModelPrices({"m": (1.0, 2.0), "n": TokenPrice(3.0, 4.0, cached_input=1.0, per=1)})
    tokens = {"prompt_tokens": 10, "completion_tokens": 5}
    cached = {**tokens, "prompt_tokens_details": {"cached_tokens": 4}}
    assert prices(answer(raw={"model": "m-20250101", "usage": tokens})) == 20 / 1_000_000
    assert prices(answer(raw={"model": "n", "usage": cached})) == 6 * 3.0 + 4 * 1.0 + 5 * 4.0
    assert prices(answer(raw={"model": "other", "usage": tokens})) == 0.0
    assert prices("text") == 0.0
