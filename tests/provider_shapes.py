"""Answers of chat completions as the servers of many providers send them to OpenAI's clients.

Each provider calls its endpoint compatible with OpenAI's, and each differs: in the ids, in the
finish reasons, in where a stream tells the usage, in whether a tool call comes whole, and in how an
error comes in the middle of a stream. The table below says what is known of that from the
providers' documentation and from reports of what their servers have sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from openai_server import Verbatim

__all__ = ["BROKEN", "PROVIDERS", "Provider"]

Json: TypeAlias = dict[str, Any]
_TOKENS: Json = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
_CACHED: Json = {
    **_TOKENS,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
_THOUGHT: Json = {"type": "thinking", "thinking": [{"type": "text", "text": "They ask."}]}
BROKEN = '{"city": "Par'
"""Arguments of a tool call that end too early."""


@dataclass(frozen=True)
class Provider:
    """The shape of one provider's answers.

    Attributes:
        name: The provider.
        id: The id of an answer.
        call_ids: The ids of two tool calls; the second is seen with the second call of an answer.
        call_form: What every such id matches, as the provider's servers take them.
        bad: Finish reasons of answers that did not end by themselves.
        end: The finish reason of a text.
        call_end: The finish reason of tool calls.
        errors: Events in the middle of a stream that tell of an error.
        beside: Fields of an answer, and of each chunk, beside the usual ones.
        choice: Fields of the choice of a whole answer, and of the last chunk's.
        message: Fields of the message of a whole answer.
        call: Fields of a tool call beside the usual ones.
        thought: Fields of the first deltas, in which the model thinks.
        first: Chunks before all others.
        comments: Lines that keep the connection open.
        usage: The tokens. None: it tells none.
        usage_in: Where a stream tells them: in a chunk "alone", in the "last" or in "every" one.
        object: What a chunk says that it is. None: nothing.
        pieces: How many pieces the arguments of a call come in; 1: a call comes whole.
        has_index: Whether a call of a stream says its number.
        repeats: What later deltas say again: "role", and "id" of a tool call.
        no_text: The content of an answer that only calls tools.
        is_done: Whether a stream ends with ``[DONE]``.
        call_ends: Whether the chunk of a whole call tells the end, and what goes with that.
        has_parts: Whether a text is a list of parts, of which the first is what the model thought.
    """

    name: str
    id: str
    call_ids: tuple[str, str]
    call_form: str
    bad: tuple[str, ...] = ("length", "content_filter")
    end: str = "stop"
    call_end: str = "tool_calls"
    errors: tuple[Json, ...] = ()
    beside: Json = field(default_factory=dict)
    choice: Json = field(default_factory=dict)
    message: Json = field(default_factory=dict)
    call: Json = field(default_factory=dict)
    thought: tuple[Json, ...] = ()
    first: tuple[Json, ...] = ()
    comments: tuple[str, ...] = ()
    usage: Json | None = field(default_factory=lambda: dict(_TOKENS))
    usage_in: Literal["alone", "last", "every"] = "alone"
    object: str | None = "chat.completion.chunk"
    pieces: int = 3
    has_index: bool = True
    repeats: frozenset[str] = frozenset()
    no_text: str | None = None
    is_done: bool = True
    call_ends: bool = False
    has_parts: bool = False

    def text(self, text: str, end: str | None = "", *, error: Json | None = None) -> Verbatim:
        """Return an answer that says something.

        Args:
            text: What it says.
            end: Its finish reason. "": that of an answer that ended by itself. None: a stream is
                over before it has told one.
            error: An event that a stream ends with, in its middle.
        """
        return self._answer(text, [], self.end if end == "" else end, error)

    def calls(
        self, *calls: tuple[str, Any], end: str | None = "", error: Json | None = None
    ) -> Verbatim:
        """Return an answer that calls tools, each by its name and arguments; see :meth:`text`."""
        made = [
            {
                "id": id_,
                "type": "function",
                "function": {"name": name, "arguments": _as_text(arguments)},
                **self.call,
            }
            for id_, (name, arguments) in zip(self.call_ids, calls, strict=False)
        ]
        return self._answer(self.no_text, made, self.call_end if end == "" else end, error)

    def _answer(
        self, text: str | None, calls: list[Json], end: str | None, error: Json | None
    ) -> Verbatim:
        content = self._parts(text) if self.has_parts and text else text
        message = {"role": "assistant", "content": content, **self.message}
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": end, **self.choice}
        whole = {**self._base("chat.completion"), "choices": [choice]}
        if self.usage is not None:
            whole["usage"] = self.usage
        chunks = list(self._chunks(text or "", calls, end))
        if end is None or error is not None:
            half = len(self.first) + len(self.thought) + 3
            chunks = [*chunks[:half], *([error] if error else [])]
        return Verbatim(whole, [*self.comments, *chunks], is_done=self.is_done and end is not None)

    def _chunks(self, text: str, calls: list[Json], end: str | None) -> Iterator[Json]:
        yield from self.first
        role: Json = {"role": "assistant"}
        again = role if "role" in self.repeats else {}
        yield self._chunk({**role, "content": self.no_text if calls else ""})
        for thought in self.thought:
            yield self._chunk({**again, **thought})
        for word in text.split(" ") if text else ():
            space = "" if text.endswith(word) else " "
            yield self._chunk({**again, "content": word + space})
        for number, call in enumerate(() if self.call_ends else calls):
            for piece in self._pieces(number, call):
                yield self._chunk({**again, "tool_calls": [piece]})
        last = self._chunk({**again, "content": ""}, end, self.choice)
        if calls and self.call_ends:
            whole = [piece for n, call in enumerate(calls) for piece in self._pieces(n, call)]
            last["choices"][0]["delta"]["tool_calls"] = whole
        if self.usage is None or self.usage_in != "alone":
            yield {**last, **({} if self.usage is None else {"usage": self.usage})}
            return
        yield last
        yield {**self._base(self.object), "choices": [], "usage": self.usage}

    def _parts(self, text: str) -> list[Json]:
        return [_THOUGHT, {"type": "text", "text": text}]

    def _pieces(self, number: int, call: Json) -> Iterator[Json]:
        index = {"index": number} if self.has_index else {}
        function = call["function"]
        if self.pieces == 1:
            yield {**index, **call}
            return
        yield {**index, **call, "function": {"name": function["name"], "arguments": ""}}
        again = {"id": call["id"]} if "id" in self.repeats else {}
        size = -(-len(function["arguments"]) // (self.pieces - 1))
        for begin in range(0, len(function["arguments"]), size):
            part = function["arguments"][begin : begin + size]
            yield {**index, **again, "function": {"arguments": part}}

    def _chunk(self, delta: Json, end: str | None = None, beside: Mapping[str, Any] = {}) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": end, **beside}
        chunk = {**self._base(self.object), "choices": [choice]}
        if self.usage is not None and self.usage_in == "every":
            chunk["usage"] = self.usage
        return chunk

    def _base(self, object_: str | None) -> Json:
        base = {"id": self.id, "created": 1764500000, "model": f"{self.name}-model", **self.beside}
        return base if object_ is None else {"object": object_, **base}


def _as_text(arguments: Any) -> Any:
    return json.dumps(arguments) if isinstance(arguments, dict) else arguments


_LETTERS = "[A-Za-z0-9]"
_HEX = "[0-9a-f]"
_UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
_SERVER_ERROR: Json = {"error": {"message": "overloaded", "type": "server_error", "code": 500}}

PROVIDERS = (
    Provider(
        "openai",
        "chatcmpl-CgOZ0pRkUq1aDbq0mCqkRkMVbHLyz",
        ("call_Ak3nVb0TrfYvRkPq2u6aJx9C", "call_Zk3nVb0TrfYvRkPq2u6aJx9D"),
        f"call_{_LETTERS}{{24}}",
        errors=(_SERVER_ERROR,),
        beside={"system_fingerprint": "fp_a1b2c3d4e5", "service_tier": "default"},
        choice={"logprobs": None},
        message={"refusal": None, "annotations": []},
        usage=_CACHED,
    ),
    # Its first chunk tells of the prompt's filters, and has no choices, id or model.
    Provider(
        "azure",
        "chatcmpl-CgOZ0pRkUq1aDbq0mCqkRkMVbHLyz",
        ("call_Ak3nVb0TrfYvRkPq2u6aJx9C", "call_Zk3nVb0TrfYvRkPq2u6aJx9D"),
        f"call_{_LETTERS}{{24}}",
        beside={"system_fingerprint": "fp_a1b2c3d4e5"},
        choice={"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}},
        first=(
            {
                "choices": [],
                "created": 0,
                "id": "",
                "model": "",
                "object": "",
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
            },
        ),
    ),
    Provider(
        "anthropic",
        "msg_01XFDUDYJgAACzvnptvVoYEL",
        ("toolu_01D7FLrfh4GYq7yT1ULFeyMV", "toolu_01A09q90qw90lq917835lq9A"),
        f"toolu_01{_LETTERS}{{22}}",
        bad=("length", "refusal", "pause_turn", "model_context_window_exceeded", "content_filter"),
        errors=({"error": {"type": "overloaded_error", "message": "Overloaded"}},),
        message={"refusal": None},
    ),
    # No number of a call, "stop" as its end, and signatures that the next request has to hold:
    # open-webui/computer#224, THU-MAIC/OpenMAIC#1556.
    Provider(
        "gemini",
        "dGVzdC1pZF9hbnN3ZXI",
        ("jm4owj31", "k2b8xq07"),
        f"{_LETTERS}{{8}}",
        bad=(
            "length",
            "content_filter: RECITATION",
            "content_filter: SAFETY",
            "function_call_filter: MALFORMED_FUNCTION_CALL",
            "function_call_filter: UNEXPECTED_TOOL_CALL",
        ),
        call_end="stop",
        call={"extra_content": {"google": {"thought_signature": "EjQKMgEMOdbHJChLX75QUCJj"}}},
        usage_in="every",
        pieces=1,
        has_index=False,
    ),
    Provider(
        "gemini_numbered",
        "dGVzdC1pZF9hbnN3ZXI",
        ("function-call-11724187324021885024", "function-call-2172418732402188509"),
        "function-call-[0-9]+",
        bad=("length", "RECITATION", "MALFORMED_FUNCTION_CALL", "SAFETY", "OTHER"),
        call_end="tool_calls",
        usage_in="last",
        pieces=1,
        is_done=False,
    ),
    Provider(
        "mistral",
        "e5cc70bb28c444948073e77776eb30ef",
        ("D681PevKs", "xTfr6QmZ0"),
        f"{_LETTERS}{{9}}",
        bad=("length", "model_length", "error"),
        usage_in="last",
        pieces=1,
        call_ends=True,
    ),
    Provider(
        "mistral_thinking",
        "e5cc70bb28c444948073e77776eb30ef",
        ("D681PevKs", "xTfr6QmZ0"),
        f"{_LETTERS}{{9}}",
        bad=("length", "model_length", "error"),
        usage_in="last",
        pieces=1,
        call_ends=True,
        thought=({"content": [_THOUGHT]},),
        has_parts=True,
    ),
    Provider(
        "deepseek",
        "930c60df-bf64-41c9-a88e-3ec75f81e00e",
        (
            "call_0_2bd6ec1a-4a38-4b32-a0a4-2d2a8e27e8a5",
            "call_1_7f0e0a52-5ae1-4d3b-9a40-8a2c9f8f9f11",
        ),
        f"call_[0-9]+_{_UUID}",
        bad=("length", "content_filter", "insufficient_system_resource"),
        beside={"system_fingerprint": "fp_8802369eaa_prod0623_fp8_kvcache"},
        choice={"logprobs": None},
        message={"reasoning_content": "They ask for pills."},
        thought=({"content": None, "reasoning_content": "They ask "}, {"reasoning_content": "so."}),
        comments=(": keep-alive", ""),
        usage={**_CACHED, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 7},
        usage_in="last",
        no_text="",
    ),
    Provider(
        "bedrock",
        "chatcmpl-0f4f5c3e-6d0a-4a3e-9d8a-0a4b6f4c2b11",
        ("tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "tooluse_aBJMlvQmRJ6eAyJE5GIl7R"),
        f"tooluse_{_LETTERS[:-1]}_-]{{22}}",
        bad=("length", "content_filtered", "guardrail_intervened", "malformed_tool_use"),
        beside={"service_tier": "default", "amazon-bedrock-guardrailAction": "NONE"},
        repeats=frozenset(("id",)),
    ),
    Provider(
        "ollama",
        "chatcmpl-123",
        ("call_x1b2c3d4", "call_y5f6g7h8"),
        f"call_{_LETTERS}{{8}}",
        bad=("length", "load", "unload"),
        errors=({"error": {"message": "an error was encountered", "type": "api_error"}},),
        beside={"system_fingerprint": "fp_ollama"},
        message={"reasoning": "They ask."},
        thought=({"content": "", "reasoning": "They ask."},),
        pieces=1,
        repeats=frozenset(("role",)),
        no_text="",
    ),
    # Where a text of `stop=` ended the answer, the choice names it, or the number of its token.
    Provider(
        "vllm",
        f"chatcmpl-{'0a1b2c3d' * 4}",
        (f"chatcmpl-tool-{'9f8e7d6c' * 4}", f"chatcmpl-tool-{'1f8e7d6c' * 4}"),
        f"chatcmpl-tool-{_HEX}{{32}}",
        bad=("length", "abort", "error", "repetition"),
        errors=({"error": {"message": "engine died", "type": "BadRequestError", "code": 400}},),
        beside={"prompt_logprobs": None, "kv_transfer_params": None, "service_tier": None},
        choice={"stop_reason": "END", "token_ids": None, "logprobs": None},
        message={"reasoning_content": None, "function_call": None, "tool_calls": []},
        usage={**_TOKENS, "prompt_tokens_details": None},
    ),
    Provider(
        "vllm_continuous",
        f"chatcmpl-{'0a1b2c3d' * 4}",
        (f"call_{'9f8e7d6c' * 4}", f"call_{'1f8e7d6c' * 4}"),
        f"call_{_HEX}{{32}}",
        bad=("length", "abort"),
        errors=({"object": "error", "message": "out of memory", "type": "E", "code": 500},),
        choice={"stop_reason": 151645, "logprobs": None},
        usage={**_TOKENS, "prompt_tokens_details": None},
        usage_in="every",
        thought=({"reasoning": "They ask."},),
    ),
    Provider(
        "sglang",
        "0a1b2c3d" * 4,
        ("call_9f8e7d6c9f8e7d6c9f8e7d6c", "call_1f8e7d6c9f8e7d6c9f8e7d6c"),
        f"call_{_HEX}{{24}}",
        bad=("length", "abort"),
        errors=({"error": {"object": "error", "message": "aborted", "code": 503}},),
        choice={"matched_stop": 128009, "logprobs": None},
        beside={"metadata": {"weight_version": "default"}},
    ),
    # https://openrouter.ai/docs/api/reference/errors-and-debugging
    Provider(
        "openrouter",
        "gen-1764500000-AbCdEfGhIjKlMnOpQrSt",
        ("toolu_01D7FLrfh4GYq7yT1ULFeyMV", "toolu_01A09q90qw90lq917835lq9A"),
        f"toolu_01{_LETTERS}{{22}}",
        bad=("length", "content_filter", "error"),
        errors=(
            {
                "id": "gen-1764500000-AbCdEfGhIjKlMnOpQrSt",
                "object": "chat.completion.chunk",
                "created": 1764500000,
                "model": "openrouter-model",
                "provider": "Anthropic",
                "error": {"code": "server_error", "message": "Provider disconnected"},
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            },
        ),
        beside={"provider": "Anthropic"},
        choice={"native_finish_reason": "end_turn", "logprobs": None},
        message={"refusal": None, "reasoning": "They ask.", "reasoning_details": []},
        thought=({"content": "", "reasoning": "They ask.", "reasoning_details": []},),
        comments=(": OPENROUTER PROCESSING", ""),
        usage={**_CACHED, "cost": 0.000165, "is_byok": False},
        repeats=frozenset(("role",)),
        no_text="",
    ),
    Provider(
        "groq",
        "chatcmpl-4b6f4c2b-6d0a-4a3e-9d8a-0a4b6f4c2b11",
        ("jv4ehdrqp", "kw5fiesrq"),
        f"{_LETTERS}{{9}}",
        errors=({"error": {"message": "failed", "type": "server_error", "code": "x"}},),
        beside={"x_groq": {"id": "req_01jbd6g2qdfw2adyrt2az8hz4w"}},
        usage={**_TOKENS, "queue_time": 0.03, "total_time": 0.07},
        pieces=1,
    ),
    Provider(
        "together",
        "nz7kPqZ-3NKUce-92a4b5c6d7e8f901",
        ("call_hrsc6h8zxlhe0dtpcm6ax8hd", "call_irsc6h8zxlhe0dtpcm6ax8he"),
        f"call_{_LETTERS}{{24}}",
        end="eos",
        choice={"seed": 123, "logprobs": None},
        object="chat.completion.chunk",
        usage_in="last",
    ),
    Provider(
        "cohere",
        "c14c80c3-18eb-4519-9460-6c92edd8cfb4",
        ("get_weather_nsz5zm3w56q3", "get_weather_abz5zm3w56q4"),
        f"get_weather_{_LETTERS}{{12}}",
        bad=("MAX_TOKENS", "ERROR", "ERROR_TOXIC", "TIMEOUT"),
        end="COMPLETE",
        call_end="TOOL_CALL",
    ),
    # Text Generation Inference names the token, and numbers its calls; it tells no usage.
    Provider(
        "tgi",
        "",
        ("0", "1"),
        "[0-9]+",
        bad=("length", "incomplete"),
        end="eos_token",
        call_end="eos_token",
        beside={"system_fingerprint": "3.0.1-native"},
        object=None,
        usage=None,
        pieces=1,
        repeats=frozenset(("role",)),
    ),
    Provider(
        "glm",
        "20251130153000b3c8f1a2d4e5f607",
        ("call_-8213417034219018745", "call_-7213417034219018746"),
        "call_-[0-9]{19}",
        bad=("length", "sensitive", "network_error", "model_context_window_exceeded"),
        beside={"request_id": "20251130153000b3c8f1a2d4e5f607"},
        message={"reasoning_content": "They ask."},
        usage_in="last",
        pieces=1,
        repeats=frozenset(("role",)),
    ),
)
