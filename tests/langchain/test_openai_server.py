"""The tests' own server, as real clients see it."""

from __future__ import annotations

import asyncio
import socket
import threading

import openai
import pytest
from callers import Latch, start
from langchain_core.tools import tool
from openai_server import OpenAIServer
from servers import wait_for


def test_it_echoes_and_counts_tokens(openai_server, chat):
    answer = chat(default_headers={"X-Team": "blue"}).invoke("what is new")
    assert answer.content == "what is new"
    assert answer.usage_metadata["total_tokens"] == 6
    assert answer.response_metadata["finish_reason"] == "stop"
    assert openai_server.requests[0]["messages"] == [{"role": "user", "content": "what is new"}]
    assert openai_server.headers[0]["x-team"] == "blue"


def test_a_stream_brings_words_and_then_the_usage(openai_server, chat):
    chunks = list(chat(stream_usage=True).stream("one two  three"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert sum(bool(chunk.content) for chunk in chunks) == 4
    assert whole.content == "one two  three"
    assert whole.usage_metadata["total_tokens"] == 6


def test_without_being_asked_a_stream_brings_no_usage(openai_server, chat):
    assert all(not c.usage_metadata for c in chat(stream_usage=False).stream("hi"))


@pytest.mark.parametrize("streaming", [False, True])
def test_tool_calls_have_ids_of_their_own(openai_server, chat, streaming):
    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    openai_server.reply = lambda body: [{"name": "add", "arguments": {"a": 1, "b": 2}}] * 2
    answer = chat(streaming=streaming).bind_tools([add]).invoke("go")
    assert [call["args"] for call in answer.tool_calls] == [{"a": 1, "b": 2}] * 2
    assert len({call["id"] for call in answer.tool_calls}) == 2
    assert answer.response_metadata["finish_reason"] == "tool_calls"
    assert openai_server.requests[0]["tools"][0]["function"]["name"] == "add"


@pytest.mark.parametrize("streaming", [False, True])
def test_the_responses_api_brings_text_tool_calls_reasoning_and_usage(
    openai_server, chat, streaming
):
    thought = {"type": "summary_text", "text": "well then"}
    openai_server.reply = lambda body: {
        "output": [{"type": "reasoning", "id": "rs_1", "summary": [thought]}],
        "content": "one two",
        "tool_calls": [{"name": "add", "arguments": {"a": 1}}],
    }
    answer = chat(use_responses_api=True, streaming=streaming).invoke("go on")
    assert answer.text == "one two"
    assert [call["args"] for call in answer.tool_calls] == [{"a": 1}]
    assert [block["type"] for block in answer.content] == ["reasoning", "text", "function_call"]
    assert answer.usage_metadata["output_tokens"] == 3
    assert answer.response_metadata["status"] == "completed"


def test_a_response_that_was_cut_off_is_incomplete(openai_server, chat):
    openai_server.reply = lambda body: {"content": "one", "finish_reason": "length"}
    metadata = chat(use_responses_api=True).invoke("hi").response_metadata
    assert metadata["status"] == "incomplete"
    assert metadata["incomplete_details"] == {"reason": "max_output_tokens"}


def test_errors_have_status_and_headers(openai_server, chat):
    openai_server.reply = lambda body: {"status": 429, "headers": {"Retry-After": "7"}}
    with pytest.raises(openai.RateLimitError) as caught:
        chat().invoke("hi")
    assert caught.value.response.headers["Retry-After"] == "7"


def test_an_error_of_the_test_is_told_and_not_tried_again(openai_server, chat):
    openai_server.reply = lambda body: {}["missing"]
    with pytest.raises(openai.BadRequestError, match="KeyError"):
        chat(max_retries=2).invoke("hi")
    assert len(openai_server.requests) == 1


@pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}])
def test_embeddings_depend_on_their_text_alone(openai_server, options):
    with openai.OpenAI(base_url=openai_server.url, api_key="sk-test", max_retries=0) as client:
        made = client.embeddings.create(model="e", input=["a", "b", "a"], dimensions=4, **options)
    # Left alone, the client asks for base64 and reads it.
    asked = openai_server.requests[0]["encoding_format"]
    assert asked == options.get("encoding_format", "base64")
    first, other, again = [each.embedding for each in made.data]
    assert first == again != other
    assert sum(number * number for number in first) == pytest.approx(1.0)


def test_replies_wait_for_the_gate(openai_server, chat):
    openai_server.gate = gate = Latch()
    answers = [start(chat().invoke, text) for text in ("a", "b")]
    wait_for(lambda: len(openai_server.requests) == 2, "two requests", 20.0)
    assert not any(answer.done() for answer in answers)
    gate.open()
    assert [answer.result(20.0).content for answer in answers] == ["a", "b"]


async def test_many_at_once(openai_server, chat):
    answers = await asyncio.gather(*(chat().ainvoke(str(n)) for n in range(50)))
    assert [answer.content for answer in answers] == [str(n) for n in range(50)]


def test_closing_leaves_neither_thread_nor_port():
    before = set(threading.enumerate())
    with OpenAIServer() as server:
        assert set(threading.enumerate()) - before
    assert set(threading.enumerate()) <= before  # those of other tests may end meanwhile
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port))
