"""Responses of LlamaIndex as the models of other providers' packages make them.

Each differs in the blocks of its messages, in what its `raw` is, in where it tells the end and the
usage, and in the ids of its tool calls.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ContentBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

__all__ = ["RESPONSES", "Answer", "ResponseShape"]

Json: TypeAlias = dict[str, Any]
_SIGNATURE = "EuYBCkQYAiJAgCs1le6/Pol5Z4/JMomVOouGrWdhYNsH3ukzUECbB6iWrSQtsQuRHJID"


class FinishReason(str, enum.Enum):  # noqa: UP042 - as the package has it
    """As the package of Gemini has it."""

    STOP = "STOP"
    MAX_TOKENS = "MAX_TOKENS"
    SAFETY = "SAFETY"
    RECITATION = "RECITATION"
    MALFORMED_FUNCTION_CALL = "MALFORMED_FUNCTION_CALL"


@dataclass(frozen=True)
class Answer:
    """An answer, whole and in chunks."""

    whole: ChatResponse
    chunks: list[ChatResponse]


@dataclass(frozen=True)
class ResponseShape:
    """The shape of the responses of one package.

    Attributes:
        name: The class of its model.
        call_ids: The ids of two tool calls.
        call_form: What every such id matches.
        bad: Finish reasons of answers that did not end by themselves.
        end: The finish reason of a text.
        call_end: The finish reason of tool calls.
        raw: Returns what a response, or the last chunk of a stream, has in ``raw``, by its reason.
        beside: Fields of the message.
        thinks: Whether a block with the model's thoughts goes before all else.
        block_arguments: Makes the arguments in a block of those of a call.
    """

    name: str
    call_ids: tuple[str, str]
    call_form: str
    bad: tuple[Any, ...]
    end: Any
    call_end: Any
    raw: Callable[[Any], Any]
    beside: Json
    thinks: bool = True
    block_arguments: Callable[[Json], Any] = dict
    tokens: tuple[str, ...] = ("prompt_tokens", "completion_tokens", "total_tokens")
    errors: tuple[Any, ...] = ()

    def text(self, text: str, end: Any = "") -> Answer:
        """Return an answer that says something; without an ``end`` its stream is cut."""
        return self._answer(text, [], self.end if end == "" else end)

    def calls(self, *calls: tuple[str, Json], end: Any = "") -> Answer:
        """Return an answer that calls tools; without an ``end`` its stream is cut."""
        blocks = [
            ToolCallBlock(
                tool_call_id=id_, tool_name=name, tool_kwargs=self.block_arguments(arguments)
            )
            for id_, (name, arguments) in zip(self.call_ids, calls, strict=False)
        ]
        return self._answer("", blocks, self.call_end if end == "" else end)

    def _answer(self, text: str, calls: list[ToolCallBlock], end: Any) -> Answer:
        whole = self._response(text, calls, end, "")
        chunks = []
        words = text.split(" ") if text else []
        for number in range(1, len(words) + 1):
            so_far = " ".join(words[:number])
            chunks.append(self._response(so_far, [], None, words[number - 1]))
        for number in range(len(calls)):
            chunks += [self._response("", calls[: number + 1], None, "")]
        if end is None:
            return Answer(whole, chunks[: len(chunks) - bool(text)])
        return Answer(whole, [*chunks, self._response(text, calls, end, "")])

    def _response(
        self, text: str, calls: list[ToolCallBlock], end: Any, delta: str
    ) -> ChatResponse:
        blocks: list[ContentBlock] = []
        if self.thinks:
            said = {"signature": _SIGNATURE}
            blocks.append(ThinkingBlock(content="They ask.", additional_information=said))
        blocks += [TextBlock(text=text)] if text else []
        message = ChatMessage(
            role=MessageRole.ASSISTANT,
            blocks=[*blocks, *deepcopy(calls)],
            additional_kwargs=deepcopy(self.beside),
        )
        tokens = dict(zip(self.tokens, (11, 7, 18), strict=True)) if end else {}
        return ChatResponse(
            message=message, delta=delta, raw=self.raw(end), additional_kwargs=tokens
        )


def _anthropic(end: Any) -> Any:
    block = {"type": "text", "text": "so", "citations": None}
    usage = {"input_tokens": 11, "output_tokens": 7, "cache_read_input_tokens": 4}
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "content": [block],
        "stop_reason": end,
        "stop_sequence": "END" if end == "stop_sequence" else None,
        "type": "message",
        "usage": usage,
    }


def _google(end: Any) -> Any:
    """Gemini's candidate: members of enums, bytes, and counts that are there or None."""
    part = {"text": "so", "thought": None, "thought_signature": b"\x12\x34\x0a"}
    return {
        "content": {"parts": [part], "role": "model"},
        "finish_reason": end,
        "finish_message": None,
        "index": 0,
        "safety_ratings": None,
        "avg_logprobs": -0.123,
        "usage_metadata": {"prompt_token_count": 11, "total_token_count": 18},
    }


def _mistral(end: Any) -> Any:
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    choice = {"index": 0, "finish_reason": end, "message": {"role": "assistant", "prefix": False}}
    return {"id": "e5cc70bb", "object": "chat.completion", "choices": [choice], "usage": usage}


def _bedrock(end: Any) -> Any:
    request = {"RequestId": "a1b2", "HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
    if end is None:
        return {"contentBlockDelta": {"delta": {"text": "so"}, "contentBlockIndex": 0}}
    usage = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
    metrics = {"latencyMs": 912}
    return {"ResponseMetadata": request, "stopReason": end, "usage": usage, "metrics": metrics}


def _ollama(end: Any) -> Any:
    return {
        "model": "llama",
        "created_at": "2026-11-30T15:00:00.123456Z",
        "done": end is not None,
        "done_reason": end,
        "total_duration": 912345678 if end else None,
        "load_duration": 12345678 if end else None,
        "prompt_eval_count": 11 if end else None,
        "eval_count": 7 if end else None,
        "message": {"role": "assistant", "content": "so", "images": None, "tool_calls": None},
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18} if end else None,
    }


_NAMED = ("get_weather", "get_weather")
_LETTERS = "[A-Za-z0-9]"

RESPONSES = (
    ResponseShape(
        "Anthropic",
        ("toolu_01D7FLrfh4GYq7yT1ULFeyMV", "toolu_01A09q90qw90lq917835lq9A"),
        f"toolu_01{_LETTERS}{{22}}",
        ("max_tokens", "refusal", "pause_turn", "model_context_window_exceeded"),
        "stop_sequence",
        "tool_use",
        _anthropic,
        {},
        block_arguments=json.dumps,
    ),
    # The ids are the names of the tools: run-llama/llama_index, llama-index-llms-google-genai.
    ResponseShape(
        "GoogleGenAI",
        _NAMED,
        "get_weather",
        (
            FinishReason.MAX_TOKENS,
            FinishReason.SAFETY,
            FinishReason.RECITATION,
            FinishReason.MALFORMED_FUNCTION_CALL,
        ),
        FinishReason.STOP,
        FinishReason.STOP,
        _google,
        {"thought_signatures": [b"\x12\x34\x0a", None]},
    ),
    ResponseShape(
        "MistralAI",
        ("D681PevKs", "xTfr6QmZ0"),
        f"{_LETTERS}{{9}}",
        ("length", "model_length", "error"),
        "stop",
        "tool_calls",
        _mistral,
        {},
        block_arguments=json.dumps,
    ),
    ResponseShape(
        "BedrockConverse",
        ("tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "tooluse_aBJMlvQmRJ6eAyJE5GIl7R"),
        f"tooluse_{_LETTERS}{{22}}",
        ("max_tokens", "guardrail_intervened", "content_filtered", "malformed_tool_use"),
        "end_turn",
        "tool_use",
        _bedrock,
        {"status": []},
    ),
    ResponseShape(
        "Ollama",
        _NAMED,
        "get_weather",
        ("length", "load", "unload"),
        "stop",
        "stop",
        _ollama,
        {},
        thinks=False,
    ),
)
