"""Finish reasons, in the words and the shapes of all providers."""

from __future__ import annotations

import enum
from types import SimpleNamespace
from typing import Any

import pytest
from adapters.adapter_endings import BAD_ENDS, GOOD_ENDS

from toolops_plugins.adapters.answers import is_json_object, is_whole_call
from toolops_plugins.adapters.finish_reasons import Ending, Finish, finish_of


class Gemini(enum.Enum):
    """As google-genai has it."""

    STOP = "STOP"
    MAX_TOKENS = "MAX_TOKENS"


class Proto(enum.IntEnum):
    """As the older packages of Google have it."""

    FINISH_REASON_UNSPECIFIED = 0
    STOP = 1
    MAX_TOKENS = 2


GOOD: list[Any] = [
    *GOOD_ENDS,
    Gemini.STOP,
    Proto.STOP,
    str(Gemini.STOP),
    "FINISH_REASON_STOP",
    "REASON_TOOL_CALLS",
    "tool-calls",
    "stopstop",
    "tool_callsstop",
    "STOPSTOPSTOP",
    "not_finishednot_finishedeos_token",
    {"type": "stop", "matched": 7},
    {"reason": "endoftext"},
    SimpleNamespace(name="STOP"),
]
BAD: list[Any] = [
    *BAD_ENDS,
    Gemini.MAX_TOKENS,
    Proto.MAX_TOKENS,
    "stoplength",
    "lengthstop",
    "REASON_MAX_LEN",
    "unload",
    "end",
    1,
    2,
    True,
    {"type": "abort"},
    {},
    object,
]
OPEN: list[Any] = [None, "", 0, "null", "not_finished", "in_progress", "FINISH_REASON_UNSPECIFIED"]


@pytest.mark.parametrize("reason", GOOD, ids=str)
def test_a_known_word_is_a_good_end(reason):
    assert finish_of(reason) is Finish.GOOD


@pytest.mark.parametrize("reason", BAD, ids=repr)
def test_any_other_word_is_a_bad_end(reason):
    assert finish_of(reason) is Finish.BAD


@pytest.mark.parametrize("reason", [*OPEN, Proto.FINISH_REASON_UNSPECIFIED], ids=repr)
def test_some_words_tell_no_end(reason):
    assert finish_of(reason) < Finish.GOOD


WHOLE: list[Any] = [
    {"choices": [{"finish_reason": "stop"}]},
    {"choices": [{"finish_reason": "stop", "index": 0}, {"finish_reason": "stop", "index": 1}]},
    # The stop word of a user, and the id of its token.
    {"choices": [{"finish_reason": "stop", "stop_reason": "###"}]},
    {"choices": [{"finish_reason": "stop", "stop_reason": 128_009}]},
    {"choices": [{"finish_reason": "stop", "native_finish_reason": "end_turn"}]},
    {"choices": [{"finish_reason": "stop", "message": {"refusal": None}}], "error": None},
    {"stop_reason": "end_turn", "stop_sequence": None},
    {"candidates": [{"finish_reason": 1}], "prompt_feedback": {"block_reason": 0}},
    {"finish_reason": 1, "safety_ratings": [], "block_reason": 0},
    {"candidates": [{"finishReason": "STOP"}]},
    {"done": True, "done_reason": "stop"},
    {"done": True},
    {"object": "response", "status": "completed", "incomplete_details": None},
    {"type": "response.completed", "response": {"status": "completed"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"data": {"choices": [{"finish_reason": "tool_calls"}]}},
    {"output": {"choices": [{"finish_reason": "stop"}]}},
    {"results": [{"stop_reason": "eos_token"}]},
    {"finish_reason": "stop", "status": "active"},
    SimpleNamespace(choices=[SimpleNamespace(finish_reason="stop", index=0)]),
]
HALF: list[Any] = [
    {"choices": [{"finish_reason": "stop"}, {"finish_reason": "length"}]},
    {"choices": [{"finish_reason": "stop"}, {"finish_reason": None}]},
    {"choices": [{"finish_reason": "stop", "stop_reason": "max_tokens"}]},
    {"choices": [{"finish_reason": "stop", "error": {"code": 502}}]},
    {"choices": [{"finish_reason": "stop", "native_finish_reason": "MALFORMED_FUNCTION_CALL"}]},
    {
        "choices": [
            {"finish_reason": "stop", "provider_specific_fields": {"native_finish_reason": "error"}}
        ]
    },
    {"choices": [{"finish_reason": "stop", "message": {"refusal": "I will not"}}]},
    {"candidates": [{"finish_reason": 2}]},
    {"finish_reason": 3, "safety_ratings": []},
    {"candidates": [], "prompt_feedback": {"block_reason": "SAFETY"}},
    {"promptFeedback": {"blockReason": "OTHER"}},
    {"done": True, "done_reason": "load"},
    {"object": "response", "status": "in_progress"},
    {"object": "response", "status": "a word of tomorrow"},
    {"status": "completed", "incomplete_details": {"reason": "max_output_tokens"}},
    {"type": "response.incomplete", "response": {"status": "incomplete"}},
    {"messageStop": {"stopReason": "guardrail_intervened"}},
    {"finish_reason": "stop", "status": "failed"},
    {"finish_reason": "STOP", "is_blocked": True},
    {"finish_reason": "null"},
]
SILENT: list[Any] = [None, {}, {"usage": {"prompt_tokens": 1}}, {"status": "active"}, "stop", 7]


@pytest.mark.parametrize("holder", WHOLE, ids=str)
def test_an_answer_with_a_good_end_is_whole(holder):
    ending = Ending([holder])
    assert not ending.is_open
    assert ending.may_be_kept(streamed=False)
    assert ending.may_be_kept(streamed=True)


@pytest.mark.parametrize("holder", HALF, ids=str)
def test_an_answer_with_any_other_end_may_be_half(holder):
    ending = Ending([holder])
    assert not ending.may_be_kept(streamed=False)
    assert not ending.may_be_kept(streamed=True)


@pytest.mark.parametrize("holder", SILENT, ids=str)
def test_only_a_stream_must_tell_its_end(holder):
    ending = Ending([holder])
    assert ending.is_open
    assert ending.may_be_kept(streamed=False)
    assert not ending.may_be_kept(streamed=True)


def test_a_stream_tells_its_end_in_one_of_its_parts():
    parts = [
        {"response": {"status": "queued"}},
        {"response": {"status": "in_progress"}},
        {"delta": "text"},
        {"response": {"status": "completed"}},
        {"choices": [], "usage": {}},
    ]
    assert Ending(parts).may_be_kept(streamed=True)
    assert not Ending(parts[:-2]).may_be_kept(streamed=True)
    assert Ending(parts[:-2]).is_open


def test_each_of_several_streams_must_tell_its_end():
    first = [{"choices": [{"index": n, "finish_reason": None}]} for n in (0, 1)]
    last = [{"choices": [{"index": n, "finish_reason": "stop"}]} for n in (0, 1)]
    assert Ending([*first, *last]).may_be_kept(streamed=True)
    assert not Ending([*first, last[0]]).may_be_kept(streamed=True)


def test_the_parts_of_an_ending_add_up():
    whole = Ending()
    for part in ({"finish_reason": None}, {"choices": [{"finish_reason": "stop"}]}):
        whole.add(Ending([part]).dump())
    assert whole.may_be_kept(streamed=True)
    whole.add(Ending([{"error": "gone"}]).dump())
    assert not whole.may_be_kept(streamed=True)


def test_a_property_that_raises_says_nothing():
    class Broken:
        @property
        def finish_reason(self) -> str:
            raise RuntimeError("a provider's own")

    assert Ending([Broken()]).is_open


CALLS: list[tuple[Any, bool]] = [
    ({"function": {"name": "f", "arguments": "{}"}}, True),
    ({"function": {"name": "f", "arguments": ""}}, True),
    ({"function": {"name": "f", "arguments": '{"a": "one\ntwo"}'}}, True),
    ({"function": {"name": "f", "arguments": {"a": 1}}}, True),
    ({"name": "f", "input": {"a": 1}, "type": "tool_use"}, True),
    ({"toolUse": {"name": "f", "input": {}}}, True),
    ({"type": "custom", "custom": {"name": "f", "input": "any text"}}, True),
    ({"type": "custom_tool_call", "name": "f", "input": "any text"}, True),
    (SimpleNamespace(function_call=SimpleNamespace(name="f", args={})), True),
    ({"function": {"name": "f", "arguments": '{"a": '}}, False),
    ({"function": {"name": "f", "arguments": "[1]"}}, False),
    ({"function": {"name": "f", "arguments": "null"}}, False),
    ({"function": {"name": "", "arguments": "{}"}}, False),
    ({"function": {"name": None, "arguments": "{}"}}, False),
    ({"name": "f", "input": '{"a', "type": "tool_use"}, False),
    ({}, False),
]


@pytest.mark.parametrize(("call", "is_whole"), CALLS, ids=str)
def test_a_whole_tool_call_has_a_name_and_a_json_object(call, is_whole):
    assert is_whole_call(call) is is_whole


def test_arguments_that_are_nested_too_deep_are_no_json_object():
    assert not is_json_object('{"a":' * 100_000)
