"""Results of CrewAI as its models of other providers make them, and what their events tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["RESULTS", "Answer", "ResultShape"]

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """An answer: what the model returns, and what the event of its end tells."""

    result: Any
    end: str | None
    usage: Json


@dataclass(frozen=True)
class ResultShape:
    """The shape of one class's results.

    Attributes:
        name: The class.
        call_ids: The ids of two tool calls.
        call_form: What every such id matches.
        bad: Finish reasons of answers that did not end by themselves.
        end: The finish reason of a text.
        call_end: The finish reason of tool calls.
        call: Makes a tool call of its id, name and arguments.
        usage: The tokens, as the event of the end names them.
    """

    name: str
    call_ids: tuple[str, str]
    call_form: str
    bad: tuple[str, ...]
    end: str
    call_end: str
    call: Callable[[str, str, Json], Json]
    usage: Json
    errors: tuple[Any, ...] = ()

    def text(self, text: str, end: str | None = "") -> Answer:
        """Return an answer that says something; without an ``end`` none was told."""
        return Answer(text, self.end if end == "" else end, self.usage)

    def calls(self, *calls: tuple[str, Json], end: str | None = "") -> Answer:
        """Return an answer that calls tools; without an ``end`` none was told."""
        made = [self.call(id_, *call) for id_, call in zip(self.call_ids, calls, strict=False)]
        return Answer(made, self.call_end if end == "" else end, self.usage)


def _bedrock(id_: str, name: str, arguments: Json) -> Json:
    return {"toolUseId": id_, "name": name, "input": arguments}


def _anthropic(id_: str, name: str, arguments: Json) -> Json:
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def _function(id_: str, name: str, arguments: Json) -> Json:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


RESULTS = (
    ResultShape(
        "BedrockCompletion",
        ("tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "tooluse_aBJMlvQmRJ6eAyJE5GIl7R"),
        "tooluse_[A-Za-z0-9]{22}",
        ("max_tokens", "guardrail_intervened", "content_filtered"),
        "end_turn",
        "tool_use",
        _bedrock,
        {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18},
    ),
    ResultShape(
        "AnthropicCompletion",
        ("toolu_01D7FLrfh4GYq7yT1ULFeyMV", "toolu_01A09q90qw90lq917835lq9A"),
        "toolu_01[A-Za-z0-9]{22}",
        ("max_tokens", "refusal", "pause_turn", "model_context_window_exceeded"),
        "stop_sequence",
        "tool_use",
        _anthropic,
        {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18, "cached_prompt_tokens": 4},
    ),
    # Where the member of an enum is told as text, its class stands before its name.
    ResultShape(
        "GeminiCompletion",
        ("call_0", "call_1"),
        "call_[0-9]+",
        ("FinishReason.MAX_TOKENS", "SAFETY", "FinishReason.RECITATION", "MALFORMED_FUNCTION_CALL"),
        "FinishReason.STOP",
        "STOP",
        _function,
        {"prompt_token_count": 11, "candidates_token_count": 7, "total_token_count": 18},
    ),
    ResultShape(
        "LLM",
        ("D681PevKs", "xTfr6QmZ0"),
        "[A-Za-z0-9]{9}",
        ("length", "content_filter", "model_length", "error"),
        "stop",
        "tool_calls",
        _function,
        {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    ),
)
