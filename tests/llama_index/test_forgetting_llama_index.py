"""forget_answer: one answer of a model of LlamaIndex."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_calls import FRANCE, read, user
from llama_index.core.base.llms.types import ChatMessage

from llama_index.callbacks.toolops import aforget_answer, forget_answer, guard_llm
from toolops_plugins import ConfigurationError

TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "f", "description": "F.", "parameters": {}}}
]


def test_arguments_of_the_call_count(model, openai_server):
    calls: list[dict[str, Any]] = [{}, {"temperature": 0.5}, {"tools": TOOLS}]
    for _ in range(2):
        for options in calls:
            model.chat(user(FRANCE), **options)
    assert len(openai_server.requests) == 3
    forget_answer(model, user(FRANCE), tools=TOOLS)
    for options in calls:
        model.chat(user(FRANCE), **options)
    assert len(openai_server.requests) == 4


def test_both_the_answer_and_the_stream_are_forgotten(model, openai_server):
    def ask() -> None:
        model.chat(user(FRANCE))
        list(model.stream_chat(user(FRANCE)))
        asyncio.run(read(model.astream_chat(user(FRANCE))))

    ask()
    assert len(openai_server.requests) == 2
    asyncio.run(aforget_answer(model, user(FRANCE)))
    ask()
    assert len(openai_server.requests) == 4


def test_a_prompt_and_messages_are_two_questions(model, openai_server):
    def ask() -> None:
        model.complete(FRANCE)
        model.complete(FRANCE, formatted=True)
        model.chat(user(FRANCE))

    ask()
    forget_answer(model, FRANCE)
    ask()
    assert len(openai_server.requests) == 4
    forget_answer(model, FRANCE, formatted=True)
    ask()
    assert len(openai_server.requests) == 5


def test_messages_may_be_any_sequence(model, openai_server):
    for _ in range(2):
        model.chat(user(FRANCE))
        forget_answer(model, tuple(user(FRANCE)))
    assert len(openai_server.requests) == 2


def test_nothing_happens_where_nothing_is_stored(model, llm, ops, openai_server):
    forget_answer(model, user(FRANCE))
    forget_answer(guard_llm(llm(), ops=ops, cache=None), user(FRANCE))
    forget_answer(model, [ChatMessage(FRANCE, thing=object())])
    assert openai_server.requests == []


@pytest.mark.parametrize("wrong", [None, "model"])
def test_a_model_without_a_guard_is_refused(llm, wrong):
    for each in (wrong, llm()):
        with pytest.raises(ConfigurationError, match="llm: must be a guarded model"):
            forget_answer(each, FRANCE)
