"""Messages of LangChain as the chat models of other providers' packages make them.

Each shape is that of one package: what its model puts into the content, into ``additional_kwargs``
and into ``response_metadata``, and how its stream cuts all that into chunks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

__all__ = ["MESSAGES", "Answer", "MessageShape"]

Json: TypeAlias = dict[str, Any]
Call: TypeAlias = tuple[str, str, Json]
_USAGE: Json = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
_SIGNATURE = "EuYBCkQYAiJAgCs1le6/Pol5Z4/JMomVOouGrWdhYNsH3ukzUECbB6iWrSQtsQuRHJID"


@dataclass(frozen=True)
class Answer:
    """An answer, whole and in chunks."""

    whole: Any
    chunks: list[Any]


@dataclass(frozen=True)
class MessageShape:
    """The shape of the messages of one package.

    Attributes:
        name: The class of its chat model.
        call_ids: The ids of two tool calls.
        call_form: What every such id matches.
        bad: Finish reasons of answers that did not end by themselves.
        end: The finish reason of a text.
        call_end: The finish reason of tool calls.
        make: Makes the message and its chunks of a text, tool calls and a finish reason.
    """

    name: str
    call_ids: tuple[str, str]
    call_form: str
    bad: tuple[str, ...]
    end: str
    call_end: str
    make: Callable[[str, list[Call], str | None], tuple[AIMessage, list[AIMessageChunk]]]
    errors: tuple[Any, ...] = ()

    def text(self, text: str, end: str | None = "") -> Answer:
        """Return an answer that says something; without an ``end`` its stream is cut."""
        return self._answer(text, [], self.end if end == "" else end)

    def calls(self, *calls: tuple[str, Json], end: str | None = "") -> Answer:
        """Return an answer that calls tools; without an ``end`` its stream is cut."""
        made = [(id_, *call) for id_, call in zip(self.call_ids, calls, strict=False)]
        return self._answer("", made, self.call_end if end == "" else end)

    def _answer(self, text: str, calls: list[Call], end: str | None) -> Answer:
        whole, chunks = self.make(text, calls, end)
        cut = [chunk for chunk in chunks if not _tells_end(chunk)]
        return Answer(whole, chunks if end else cut[: len(cut) - bool(text)])


def _tells_end(chunk: AIMessageChunk) -> bool:
    ends = ("finish_reason", "stop_reason", "stopReason", "done_reason")
    return bool(chunk.chunk_position) or any(chunk.response_metadata.get(name) for name in ends)


def _tool_calls(calls: list[Call]) -> list[Any]:
    return [{"type": "tool_call", "id": i, "name": n, "args": a} for i, n, a in calls]


def _pieces(arguments: Mapping[str, Any]) -> list[str]:
    text = json.dumps(arguments)
    return [text[:6], text[6:]]


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:] if text else []


def _anthropic(
    text: str, calls: list[Call], end: str | None
) -> tuple[AIMessage, list[AIMessageChunk]]:
    """Thinking with a signature, blocks that number themselves, usage in the first and last."""
    cached = {"cache_read": 4, "cache_creation": 0, "ephemeral_5m_input_tokens": 0}
    usage = {**_USAGE, "input_token_details": cached}
    metadata = {"model_name": "claude", "model_provider": "anthropic"}
    stop = {"stop_reason": end, "stop_sequence": "END" if end == "stop_sequence" else None}
    thought = {"type": "thinking", "thinking": "They ask.", "signature": _SIGNATURE}
    blocks: list[Any] = [thought]
    blocks += [{"type": "text", "text": text}] if text else []
    blocks += [{"type": "tool_use", "id": i, "name": n, "input": a} for i, n, a in calls]
    own = {"id": "msg_01XFDUDYJgAACzvnptvVoYEL", "model": "claude", "usage": {"input_tokens": 11}}
    whole = AIMessage(
        content=blocks,
        response_metadata={**own, **stop, **metadata},
        usage_metadata=usage,
        tool_calls=_tool_calls(calls),
    )
    begun = {"input_tokens": 11, "output_tokens": 0, "total_tokens": 11}
    chunks = [AIMessageChunk(content=[], response_metadata=metadata, usage_metadata=begun)]
    parts = {"thinking": "They "}, {"thinking": "ask."}, {"signature": _SIGNATURE}
    begun_blocks: list[Json] = [{"type": "thinking", "index": 0, **part} for part in parts]
    begun_blocks += [{"type": "text", "text": word, "index": 1} for word in _words(text)]
    chunks += [AIMessageChunk(content=[block]) for block in begun_blocks]
    for index, (id_, name, arguments) in enumerate(calls, 1):
        block = {"type": "tool_use", "id": id_, "name": name, "input": {}, "index": index}
        piece = tool_call_chunk(id=id_, name=name, args="", index=index)
        chunks.append(AIMessageChunk(content=[block], tool_call_chunks=[piece]))
        for json_ in _pieces(arguments):
            block = {"type": "input_json_delta", "partial_json": json_, "index": index}
            piece = tool_call_chunk(args=json_, index=index)
            chunks.append(AIMessageChunk(content=[block], tool_call_chunks=[piece]))
    told = {"input_tokens": 0, "output_tokens": 7, "total_tokens": 7}
    chunks.append(
        AIMessageChunk(
            content="", response_metadata=stop, usage_metadata=told, chunk_position="last"
        )
    )
    return whole, chunks


def _google(
    text: str, calls: list[Call], end: str | None
) -> tuple[AIMessage, list[AIMessageChunk]]:
    """Safety ratings, and signatures of thoughts by the ids of the calls."""
    ratings = [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}]
    feedback = {"prompt_feedback": {"block_reason": 0, "safety_ratings": []}}
    common = {"model_name": "gemini", "model_provider": "google_genai", "safety_ratings": ratings}
    beside: Json = {}
    if calls:
        _, name, arguments = calls[-1]
        beside["function_call"] = {"name": name, "arguments": json.dumps(arguments)}
        beside["__gemini_function_call_thought_signatures__"] = {calls[0][0]: _SIGNATURE}
    content: Any = text
    if text:
        content = [
            {"type": "thinking", "thinking": "They ask."},
            {"type": "text", "text": text, "extras": {"signature": _SIGNATURE}},
        ]
    usage = {**_USAGE, "output_token_details": {"reasoning": 3}}
    whole = AIMessage(
        content=content,
        additional_kwargs=beside,
        response_metadata={**feedback, **common, "finish_reason": end},
        usage_metadata=usage,
        tool_calls=_tool_calls(calls),
    )
    more = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    chunks = [
        AIMessageChunk(content=word, response_metadata=common, usage_metadata=more)
        for word in _words(text)
    ]
    for id_, name, arguments in calls:
        text_ = json.dumps(arguments)
        mine = {"function_call": {"name": name, "arguments": text_}} if id_ == calls[0][0] else {}
        if mine:
            mine["__gemini_function_call_thought_signatures__"] = {id_: _SIGNATURE}
        piece = tool_call_chunk(id=id_, name=name, args=text_, index=None)
        chunks.append(
            AIMessageChunk(
                content="",
                additional_kwargs=mine,
                tool_call_chunks=[piece],
                response_metadata=common,
                usage_metadata=more,
            )
        )
    chunks.append(
        AIMessageChunk(
            content="",
            response_metadata={**feedback, "finish_reason": end},
            usage_metadata=usage,
            chunk_position="last",
        )
    )
    return whole, chunks


def _mistral(
    text: str, calls: list[Call], end: str | None
) -> tuple[AIMessage, list[AIMessageChunk]]:
    """Calls that come whole, with the end and the usage in one chunk."""
    tokens = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    common = {"model_name": "mistral", "model_provider": "mistralai"}
    whole = AIMessage(
        content=text,
        additional_kwargs={"tool_calls": _openai_calls(calls)} if calls else {},
        response_metadata={**common, "token_usage": tokens, "model": "m", "finish_reason": end},
        usage_metadata=dict(_USAGE),
        tool_calls=_tool_calls(calls),
    )
    chunks = [AIMessageChunk(content="", response_metadata=dict(common))]
    chunks += [AIMessageChunk(content=word) for word in _words(text)]
    pieces = [
        tool_call_chunk(id=id_, name=name, args=json.dumps(arguments), index=index)
        for index, (id_, name, arguments) in enumerate(calls)
    ]
    if pieces:
        chunks.append(AIMessageChunk(content="", tool_call_chunks=pieces))
    chunks.append(
        AIMessageChunk(
            content="",
            response_metadata={"finish_reason": end},
            usage_metadata=dict(_USAGE),
            chunk_position="last",
        )
    )
    return whole, chunks


def _deepseek(
    text: str, calls: list[Call], end: str | None
) -> tuple[AIMessage, list[AIMessageChunk]]:
    """Thoughts beside the content, in pieces; the usage in a chunk behind the end."""
    common = {"model_provider": "deepseek"}
    reasoning = {"reasoning_content": "They ask.", "refusal": None}
    whole = AIMessage(
        content=text,
        additional_kwargs=reasoning,
        response_metadata={**common, "finish_reason": end, "logprobs": None, "id": "930c60df"},
        usage_metadata={**_USAGE, "output_token_details": {"reasoning": 3}},
        tool_calls=_tool_calls(calls),
    )
    chunks = [
        AIMessageChunk(content="", additional_kwargs={"reasoning_content": part})
        for part in ("They ", "ask.")
    ]
    chunks += [
        AIMessageChunk(content=word, response_metadata=dict(common)) for word in _words(text)
    ]
    for index, (id_, name, arguments) in enumerate(calls):
        begun = tool_call_chunk(id=id_, name=name, args="", index=index)
        chunks.append(AIMessageChunk(content="", tool_call_chunks=[begun]))
        for piece in _pieces(arguments):
            more = tool_call_chunk(args=piece, index=index)
            chunks.append(AIMessageChunk(content="", tool_call_chunks=[more]))
    chunks.append(AIMessageChunk(content="", response_metadata={**common, "finish_reason": end}))
    chunks.append(AIMessageChunk(content="", usage_metadata=dict(_USAGE), chunk_position="last"))
    return whole, chunks


def _bedrock(
    text: str, calls: list[Call], end: str | None
) -> tuple[AIMessage, list[AIMessageChunk]]:
    """Converse: blocks whose input is a text in chunks, and what it says of the request."""
    request = {"RequestId": "a1b2", "HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
    metrics = {"latencyMs": [912]}
    common = {"model_provider": "bedrock_converse", "model_name": "claude"}
    thought = {"text": "They ask.", "signature": _SIGNATURE}
    blocks: list[Any] = [{"type": "reasoning_content", "reasoning_content": thought}]
    blocks += [{"type": "text", "text": text}] if text else []
    blocks += [{"type": "tool_use", "name": n, "input": a, "id": i} for i, n, a in calls]
    whole = AIMessage(
        content=blocks,
        response_metadata={
            "ResponseMetadata": request,
            "stopReason": end,
            "metrics": metrics,
            **common,
        },
        usage_metadata=dict(_USAGE),
        tool_calls=_tool_calls(calls),
    )
    chunks = [AIMessageChunk(content=[], response_metadata=dict(common))]
    for part in ({"text": "They ask."}, {"signature": _SIGNATURE}):
        block = {"type": "reasoning_content", "reasoning_content": part, "index": 0}
        chunks.append(AIMessageChunk(content=[block]))
    chunks.append(AIMessageChunk(content=[{"index": 0}]))
    texts = [{"type": "text", "text": word, "index": 1} for word in _words(text)]
    chunks += [AIMessageChunk(content=[block]) for block in texts]
    for index, (id_, name, arguments) in enumerate(calls, 1):
        block = {"type": "tool_use", "name": name, "id": id_, "index": index}
        piece = tool_call_chunk(id=id_, name=name, index=index)
        chunks.append(AIMessageChunk(content=[block], tool_call_chunks=[piece]))
        for json_ in _pieces(arguments):
            block = {"type": "tool_use", "input": json_, "index": index}
            piece = tool_call_chunk(args=json_, index=index)
            chunks.append(AIMessageChunk(content=[block], tool_call_chunks=[piece]))
        chunks.append(AIMessageChunk(content=[{"index": index}]))
    chunks.append(AIMessageChunk(content=[], response_metadata={"stopReason": end}))
    chunks.append(
        AIMessageChunk(
            content=[],
            response_metadata={"metrics": metrics},
            usage_metadata=dict(_USAGE),
            chunk_position="last",
        )
    )
    return whole, chunks


def _ollama(
    text: str, calls: list[Call], end: str | None
) -> tuple[AIMessage, list[AIMessageChunk]]:
    """Calls that come whole and parsed, and durations beside the end."""
    done = {
        "model": "llama",
        "created_at": "2026-11-30T15:00:00.123456Z",
        "done": True,
        "done_reason": end,
        "total_duration": 912345678,
        "load_duration": 12345678,
        "prompt_eval_count": 11,
        "prompt_eval_duration": 12345678,
        "eval_count": 7,
        "eval_duration": 12345678,
        "logprobs": None,
        "model_name": "llama",
        "model_provider": "ollama",
    }
    whole = AIMessage(
        content=text,
        additional_kwargs={"reasoning_content": "They ask."},
        response_metadata=done,
        usage_metadata=dict(_USAGE),
        tool_calls=_tool_calls(calls),
    )
    chunks = [AIMessageChunk(content="", additional_kwargs={"reasoning_content": "They ask."})]
    chunks += [AIMessageChunk(content=word) for word in _words(text)]
    if calls:
        chunks.append(AIMessageChunk(content="", tool_calls=_tool_calls(calls)))
    chunks.append(
        AIMessageChunk(
            content="",
            response_metadata=done,
            usage_metadata=dict(_USAGE),
            chunk_position="last",
        )
    )
    return whole, chunks


def _openai_calls(calls: list[Call]) -> list[Json]:
    return [
        {"id": i, "function": {"name": n, "arguments": json.dumps(a)}, "index": index}
        for index, (i, n, a) in enumerate(calls)
    ]


_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_UUIDS = ("0f4f5c3e-6d0a-4a3e-9d8a-0a4b6f4c2b11", "1f4f5c3e-6d0a-4a3e-9d8a-0a4b6f4c2b12")

MESSAGES = (
    MessageShape(
        "ChatAnthropic",
        ("toolu_01D7FLrfh4GYq7yT1ULFeyMV", "toolu_01A09q90qw90lq917835lq9A"),
        "toolu_01[A-Za-z0-9]{22}",
        ("max_tokens", "refusal", "pause_turn", "model_context_window_exceeded"),
        "stop_sequence",
        "tool_use",
        _anthropic,
    ),
    MessageShape(
        "ChatGoogleGenerativeAI",
        _UUIDS,
        _UUID,
        ("MAX_TOKENS", "SAFETY", "RECITATION", "MALFORMED_FUNCTION_CALL", "OTHER"),
        "STOP",
        "STOP",
        _google,
    ),
    MessageShape(
        "ChatMistralAI",
        ("D681PevKs", "xTfr6QmZ0"),
        "[A-Za-z0-9]{9}",
        ("length", "model_length", "error"),
        "stop",
        "tool_calls",
        _mistral,
    ),
    MessageShape(
        "ChatDeepSeek",
        ("call_0_2bd6ec1a-4a38-4b32-a0a4-2d2a8e27e8a5", f"call_1_{_UUIDS[0]}"),
        f"call_[01]_{_UUID}",
        ("length", "content_filter", "insufficient_system_resource"),
        "stop",
        "tool_calls",
        _deepseek,
    ),
    MessageShape(
        "ChatBedrockConverse",
        ("tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "tooluse_aBJMlvQmRJ6eAyJE5GIl7R"),
        "tooluse_[A-Za-z0-9_-]{22}",
        ("max_tokens", "guardrail_intervened", "content_filtered", "malformed_tool_use"),
        "end_turn",
        "tool_use",
        _bedrock,
    ),
    MessageShape(
        "ChatOllama",
        _UUIDS,
        _UUID,
        ("length", "load", "unload"),
        "stop",
        "stop",
        _ollama,
    ),
)


def pieces_of(answer: Answer) -> Iterator[Any]:
    """Yield the chunks of an answer, which are the reader's own."""
    for chunk in answer.chunks:
        yield chunk.model_copy(deep=True)
