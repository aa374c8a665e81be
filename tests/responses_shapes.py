"""Answers of the Responses API as OpenAI and the servers that follow it send them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, TypeAlias

from openai_responses import ResponsesAnswer
from openai_server import Verbatim

__all__ = ["RESPONSES_PROVIDERS", "ResponsesProvider"]

Json: TypeAlias = dict[str, Any]
_HEX = "68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3"


@dataclass(frozen=True)
class ResponsesProvider:
    """The shape of one server's answers.

    Attributes:
        name: The server.
        id: The id of a response.
        call_ids: The ids of two tool calls.
        call_form: What every such id matches.
        errors: Events in the middle of a stream that tell of an error.
        output: Items before the answer's own.
        is_done: Whether a stream ends with ``[DONE]``.
    """

    name: str
    id: str
    call_ids: tuple[str, str]
    call_form: str
    errors: tuple[Json, ...]
    output: tuple[Json, ...] = ()
    is_done: bool = False
    bad: tuple[str, ...] = ("length", "content_filter", "failed", "cancelled")
    usage_in: str = "alone"
    usage: Json | None = None

    def text(
        self, text: str, end: str | None = "completed", *, error: Json | None = None
    ) -> Verbatim:
        """Return an answer that says something.

        Args:
            text: What it says.
            end: How it ended. None: a stream is over before it has told that.
            error: An event that a stream ends with, in its middle.
        """
        return self._answer({"content": text}, end, error)

    def calls(
        self, *calls: tuple[str, Any], end: str | None = "completed", error: Json | None = None
    ) -> Verbatim:
        """Return an answer that calls tools, each by its name and arguments; see :meth:`text`."""
        made = [
            {"name": name, "arguments": arguments, "id": id_, "item_id": f"fc_{_HEX}{number}"}
            for number, (id_, (name, arguments)) in enumerate(
                zip(self.call_ids, calls, strict=False)
            )
        ]
        return self._answer({"tool_calls": made}, end, error)

    def _answer(self, reply: Json, end: str | None, error: Json | None) -> Verbatim:
        reply = {**reply, "output": self.output, "finish_reason": end}
        answer = ResponsesAnswer({"model": self.name}, reply, itertools.count(1).__next__)
        whole = self._own(answer.whole(), end)
        events = []
        for event in answer.events():
            if "response" in event:
                event["response"] = self._own(event["response"], end)
                if end in ("failed", "cancelled") and event["type"] == "response.completed":
                    event["type"] = f"response.{end}"
            events.append((event["type"], event))
        if end is None or error is not None:
            events = events[: len(events) // 2]
        if error is not None:
            events.append((error["type"], {**error, "sequence_number": len(events)}))
        return Verbatim(whole, events, is_done=self.is_done and end is not None)

    def _own(self, response: Json, end: str | None) -> Json:
        response = {**response, "id": self.id, "created_at": 1764500000.0}
        if end in ("failed", "cancelled") and response["status"] == "completed":
            error = {"code": "server_error", "message": "overloaded"} if end == "failed" else None
            response = {**response, "status": end, "error": error}
        return response


_LETTERS = "[A-Za-z0-9]"
_ERROR = {"type": "error", "code": "server_error", "message": "overloaded", "param": None}
_REASONING = {
    "type": "reasoning",
    "id": "rs_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b",
    "summary": [{"type": "summary_text", "text": "They ask."}],
}

RESPONSES_PROVIDERS = (
    ResponsesProvider(
        "openai",
        "resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b",
        ("call_Ak3nVb0TrfYvRkPq2u6aJx9C", "call_Zk3nVb0TrfYvRkPq2u6aJx9D"),
        f"call_{_LETTERS}{{24}}",
        (_ERROR,),
        (_REASONING,),
    ),
    ResponsesProvider(
        "vllm",
        f"resp_{'0a1b2c3d' * 4}",
        (f"call_{'9f8e7d6c' * 4}", f"call_{'1f8e7d6c' * 4}"),
        "call_[0-9a-f]{32}",
        ({"type": "error", "error": {"message": "engine died", "code": 500}},),
    ),
    ResponsesProvider(
        "openrouter",
        "gen-1764500000-AbCdEfGhIjKlMnOpQrSt",
        ("toolu_01D7FLrfh4GYq7yT1ULFeyMV", "toolu_01A09q90qw90lq917835lq9A"),
        f"toolu_01{_LETTERS}{{22}}",
        (_ERROR,),
        is_done=True,
    ),
)
