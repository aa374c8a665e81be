"""forget_answer: one answer of a model of CrewAI."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from crewai.hooks import register_before_llm_call_hook
from pydantic import BaseModel

from crewai_toolops import aforget_answer, forget_answer, guard_llm
from toolops_plugins import ConfigurationError

FRANCE = "What is the capital of France?"
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "f", "description": "F.", "parameters": {}}}
]


class City(BaseModel):
    name: str


def test_arguments_of_the_call_count(ops, llm, openai_server):
    openai_server.reply = lambda body: '{"name": "Paris"}'
    model = guard_llm(llm(), ops=ops)
    calls: list[dict[str, Any]] = [{}, {"tools": TOOLS}, {"response_model": City}]
    for _ in range(2):
        for options in calls:
            model.call(FRANCE, **options)
    assert len(openai_server.requests) == 3
    forget_answer(model, FRANCE, response_model=City)
    for options in calls:
        model.call(FRANCE, **options)
    assert len(openai_server.requests) == 4


@pytest.mark.parametrize("aio", [False, True])
def test_what_hooks_leave_of_the_messages_is_the_question(ops, llm, openai_server, aio):
    def shorten(context: Any) -> None:
        context.messages[-1]["content"] = context.messages[-1]["content"].upper()

    register_before_llm_call_hook(shorten)
    model = guard_llm(llm(), ops=ops)
    for _ in range(2):
        assert model.call(FRANCE) == FRANCE.upper()
    assert len(openai_server.requests) == 1
    if aio:
        asyncio.run(aforget_answer(model, FRANCE))
    else:
        forget_answer(model, [{"role": "user", "content": FRANCE}])
    model.call(FRANCE)
    assert len(openai_server.requests) == 2


def test_nothing_happens_where_nothing_is_stored(ops, llm, openai_server):
    forget_answer(guard_llm(llm(), ops=ops), FRANCE)
    forget_answer(guard_llm(llm(), ops=ops, cache=None), FRANCE)
    assert openai_server.requests == []


def test_a_model_without_a_guard_is_refused(llm):
    for wrong in (None, "gpt-4o-mini", llm()):
        with pytest.raises(ConfigurationError, match="llm: must be a guarded model"):
            forget_answer(wrong, FRANCE)
