"""guard_llm: a model behind a policy, which stays the model that it was."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from llama_calls import FRANCE, read, user
from llama_index.core import Settings
from llama_index.core.base.llms.types import (
    ChatResponse,
    CompletionResponse,
    ToolCallBlock,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.llms.openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from llama_index.callbacks.toolops.llms import guard_llm
from toolops_plugins import Cache, Memory, Policy, Redis, ToolOps

CHATS: dict[str, Callable[..., Any]] = {
    "chat": lambda llm, text, **kw: llm.chat(user(text), **kw),
    "achat": lambda llm, text, **kw: asyncio.run(llm.achat(user(text), **kw)),
    "stream_chat": lambda llm, text, **kw: list(llm.stream_chat(user(text), **kw))[-1],
    "astream_chat": lambda llm, text, **kw: asyncio.run(read(llm.astream_chat(user(text), **kw)))[
        -1
    ],
}
COMPLETIONS: dict[str, Callable[..., Any]] = {
    "complete": lambda llm, text, **kw: llm.complete(text, **kw),
    "acomplete": lambda llm, text, **kw: asyncio.run(llm.acomplete(text, **kw)),
    "stream_complete": lambda llm, text, **kw: list(llm.stream_complete(text, **kw))[-1],
    "astream_complete": lambda llm, text, **kw: asyncio.run(read(llm.astream_complete(text, **kw)))[
        -1
    ],
}
WAYS = CHATS | COMPLETIONS


@pytest.fixture(params=list(WAYS))
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return WAYS[request.param]


# One endpoint of each kind, in threads and on loops.
@pytest.fixture(params=["chat", "acomplete", "stream_complete", "astream_chat"])
def face(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return WAYS[request.param]


@pytest.fixture(params=list(CHATS))
def chat(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return CHATS[request.param]


def text_of(response: Any) -> str:
    return response.text if isinstance(response, CompletionResponse) else response.message.content


# It stays what it was


def test_it_stays_what_it_was(model, llm):
    plain = llm()
    assert isinstance(model, OpenAI)
    assert isinstance(model, FunctionCallingLLM)
    assert type(model).__name__ == "OpenAI"
    assert model.class_name() == plain.class_name()
    assert model.metadata == plain.metadata
    assert model.to_payload() == plain.to_payload()
    assert model.model_dump() == plain.model_dump()
    assert model.to_dict() == plain.to_dict()
    assert type(plain) is OpenAI


def test_what_is_changed_later_holds_from_then_on(model, openai_server, face):
    face(model, FRANCE)
    model.temperature = 0.75
    face(model, FRANCE)
    assert [body["temperature"] for body in openai_server.requests] == [0.1, 0.75]


def test_the_model_that_was_given_stays_as_it_is(ops, llm, openai_server):
    plain = llm()
    guard_llm(plain, ops=ops).temperature = 0.75
    plain.chat(user(FRANCE))
    plain.chat(user(FRANCE))
    assert [body["temperature"] for body in openai_server.requests] == [0.1, 0.1]


def test_what_a_call_changes_in_the_model_is_seen_in_it(ops, echo):
    model = guard_llm(echo(), ops=ops)
    model.complete("x")
    model.complete("y")
    assert model.calls == 2


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda m: m.model_copy()])
def test_a_copy_is_guarded_by_the_same_policy(model, copied, openai_server):
    other = copied(model)
    model.chat(user(FRANCE))
    assert other.chat(user(FRANCE)).additional_kwargs["toolops"] == {"hit": True}
    other.temperature = 0.5
    assert model.temperature == 0.1
    assert len(openai_server.requests) == 1


def test_it_says_that_it_cannot_be_pickled(model):
    with pytest.raises(TypeError, match="guard it there"):
        pickle.dumps(model)


def test_settings_hand_it_their_callback_manager(model, openai_server, face):
    Settings.llm = model
    assert Settings.llm.callback_manager is Settings.callback_manager
    assert text_of(face(Settings.llm, FRANCE)) == FRANCE


# Hits


def test_an_answer_is_paid_for_once(model, openai_server, ask, events):
    first, second = ask(model, FRANCE), ask(model, FRANCE)
    assert text_of(first) == text_of(second) == FRANCE
    assert len(openai_server.requests) == 1
    assert type(first) is type(second)
    assert "toolops" not in first.additional_kwargs
    assert second.additional_kwargs["toolops"] == {"hit": True}
    assert [event.outcome for event in events] == ["miss", "hit"]


@pytest.mark.parametrize("way", ["chat", "complete"])
def test_synchronous_and_asynchronous_calls_share_an_answer(model, openai_server, way):
    first, second = WAYS[way](model, FRANCE), WAYS[f"a{way}"](model, FRANCE)
    assert (text_of(first), len(openai_server.requests)) == (text_of(second), 1)


def test_each_caller_has_an_answer_of_his_own(model, face):
    face(model, FRANCE).additional_kwargs["mine"] = 1
    second = face(model, FRANCE)
    second.raw.choices.clear()
    second.additional_kwargs["mine"] = 2
    third = face(model, FRANCE)
    assert "mine" not in third.additional_kwargs
    assert third.raw.id


@pytest.mark.parametrize("way", ["chat", "achat"])
def test_a_hit_is_the_answer_again_with_its_types(ops, llm, way):
    model = guard_llm(llm(), ops=ops, usage_on_hit="keep")
    first, second = (CHATS[way](model, FRANCE) for _ in range(2))
    assert type(second.raw) is ChatCompletion
    assert second.raw == first.raw
    assert second.message == first.message
    second.additional_kwargs.pop("toolops")
    assert second.additional_kwargs == first.additional_kwargs


@pytest.mark.parametrize("way", ["stream_chat", "astream_chat"])
def test_a_stream_is_replayed_chunk_by_chunk(model, openai_server, way):
    openai_server.reply = lambda body: {
        "content": "so it is",
        "tool_calls": [{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {}}],
    }

    def stream() -> list[ChatResponse]:
        if way == "stream_chat":
            return list(model.stream_chat(user(FRANCE)))
        return asyncio.run(read(model.astream_chat(user(FRANCE))))

    first, second = stream(), stream()
    assert len(openai_server.requests) == 1
    assert [c.delta for c in second] == [c.delta for c in first]
    assert [c.message.content for c in second] == [c.message.content for c in first]
    assert {type(c.raw) for c in second} == {ChatCompletionChunk}
    for before, after in zip(first, second, strict=True):
        for choice, other in zip(before.raw.choices, after.raw.choices, strict=True):
            for call, again in zip(
                choice.delta.tool_calls or (), other.delta.tool_calls or (), strict=True
            ):
                call.id = again.id  # each answer has its own
        assert after.raw == before.raw

    def calls(chunks: list[ChatResponse]) -> list[Any]:
        blocks = [[b for b in c.message.blocks if isinstance(b, ToolCallBlock)] for c in chunks]
        return [[(b.tool_name, b.tool_kwargs) for b in each] for each in blocks]

    assert calls(second) == calls(first)
    assert [name for name, _ in calls(second)[-1]] == ["f", "g"]


def test_a_tool_call_gets_a_new_id_each_time(model, openai_server, chat):
    openai_server.reply = lambda body: [{"name": "f", "arguments": {"x": 1}}]
    ids = []
    for _ in range(3):
        response = chat(model, FRANCE)
        (selection,) = model.get_tool_calls_from_response(response)
        assert (selection.tool_name, selection.tool_kwargs) == ("f", {"x": 1})
        ids.append(selection.tool_id)
        assert [c.id for c in response.message.additional_kwargs["tool_calls"]] == [ids[-1]]
    assert len(set(ids)) == 3
    assert len(openai_server.requests) == 1


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("way", ["chat", "achat", "complete"])
def test_tokens_of_a_hit(ops, llm, is_kept, way):
    model = guard_llm(llm(), ops=ops, **({"usage_on_hit": "keep"} if is_kept else {}))
    first, second = (WAYS[way](model, FRANCE) for _ in range(2))
    assert first.additional_kwargs["total_tokens"] > 0
    if is_kept:
        assert second.additional_kwargs["total_tokens"] == first.additional_kwargs["total_tokens"]
        assert second.raw.usage == first.raw.usage
    else:
        assert second.additional_kwargs["total_tokens"] == 0
        assert type(second.raw.usage) is type(first.raw.usage)
        assert second.raw.usage.total_tokens == 0
        assert second.raw.model == first.raw.model


def test_answers_and_streams_are_shared_through_redis(llm, openai_server, namespace, valkey, face):
    answers = []
    for _ in range(2):
        with ToolOps(namespace, [Memory(), Redis(valkey.url, ttl=60)]) as ops:
            answers.append(face(guard_llm(llm(), ops=ops, usage_on_hit="keep"), FRANCE))
    assert len(openai_server.requests) == 1
    assert answers[0].raw == answers[1].raw
    assert text_of(answers[1]) == FRANCE


# What is not kept


@pytest.mark.parametrize(
    "reply",
    ["", {"content": " "}, {"content": "The capital of", "finish_reason": "length"}],
)
def test_empty_and_cut_answers_are_not_kept(model, openai_server, face, reply):
    openai_server.reply = lambda body: reply
    for _ in range(2):
        face(model, FRANCE)
    assert len(openai_server.requests) == 2


@pytest.mark.parametrize("way", ["stream_chat", "astream_chat", "stream_complete"])
def test_a_cut_stream_whose_last_chunk_tells_the_tokens_is_not_kept(ops, llm, openai_server, way):
    openai_server.reply = lambda body: {"content": "The capital of", "finish_reason": "length"}
    usage = {"stream_options": {"include_usage": True}}
    model = guard_llm(llm(additional_kwargs=usage), ops=ops)
    for _ in range(2):
        WAYS[way](model, FRANCE)
    assert len(openai_server.requests) == 2


def test_tool_calls_that_broke_off_are_not_kept(model, openai_server, chat):
    openai_server.reply = lambda body: [{"name": "f", "arguments": '{"x": '}]
    for _ in range(2):
        chat(model, FRANCE)
    assert len(openai_server.requests) == 2


def test_errors_are_not_kept(model, openai_server, face):
    openai_server.reply = lambda body: {"status": 400}
    for _ in range(2):
        with pytest.raises(Exception, match="400"):
            face(model, FRANCE)
    assert len(openai_server.requests) == 2


def test_an_unread_stream_asks_nobody(model, openai_server, events):
    model.stream_chat(user(FRANCE))
    model.stream_complete(FRANCE)
    assert not openai_server.requests
    assert not events


async def test_an_unread_asynchronous_stream_asks_nobody(model, openai_server, events):
    await model.astream_chat(user(FRANCE))
    await model.astream_complete(FRANCE)
    assert not openai_server.requests
    assert not events


def test_a_stream_that_is_left_early_is_not_kept(model, openai_server, events):
    stream = model.stream_chat(user(FRANCE))
    next(stream)
    stream.close()
    assert list(model.stream_chat(user(FRANCE)))[-1].message.content == FRANCE
    assert len(openai_server.requests) == 2
    assert [event.outcome for event in events] == ["miss", "miss"]
    assert events[0].reason == "not_read_to_end"


async def test_an_asynchronous_stream_that_is_left_early_is_not_kept(model, openai_server, events):
    stream = await model.astream_chat(user(FRANCE))
    await anext(stream)
    await stream.aclose()
    chunks = [chunk async for chunk in await model.astream_chat(user(FRANCE))]
    assert chunks[-1].message.content == FRANCE
    assert len(openai_server.requests) == 2
    assert events[0].reason == "not_read_to_end"


def test_two_loops_in_a_row(model, openai_server):
    for text in (FRANCE, "and of Italy?"):
        for _ in range(2):
            assert text_of(CHATS["achat"](model, text)) == text
            assert text_of(CHATS["astream_chat"](model, text)) == text
    assert len(openai_server.requests) == 4


# Other models


@pytest.mark.parametrize("way", list(WAYS))
def test_a_custom_model_is_guarded_every_way(ops, echo, way, events):
    model = guard_llm(echo(), Policy(cache=Cache()), ops=ops)
    first, second = WAYS[way](model, "how is it?"), WAYS[way](model, "how is it?")
    assert text_of(first) == text_of(second)
    assert second.raw == first.raw
    assert model.calls == 1
    assert [event.outcome for event in events] == ["miss", "hit"]


@pytest.mark.parametrize("way", list(WAYS))
def test_mock_models_are_guarded_every_way(ops, mock_llm, way, events):
    model = guard_llm(mock_llm(max_tokens=3), ops=ops)
    first, second = WAYS[way](model, "how?"), WAYS[way](model, "how?")
    assert text_of(first) == text_of(second)
    # Their streams tell no end.
    again = "miss" if "stream" in way else "hit"
    assert [event.outcome for event in events] == ["miss", again]
