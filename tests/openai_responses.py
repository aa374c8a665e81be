"""Answers of OpenAI's Responses API, whole and as the events of a stream, for the tests' server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

__all__ = ["ResponsesAnswer", "messages_of"]

_Item: TypeAlias = dict[str, Any]
_ECHOED = ("instructions", "temperature", "text", "tool_choice", "tools", "top_p")
"""Parameters of a request that the response repeats."""


def messages_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the input of a request in the form of chat messages, as far as it holds any."""
    given = body.get("input") or []
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return [item for item in given if "role" in item]


class ResponsesAnswer:
    """One answer, whole or in pieces.

    Args:
        body: The request.
        reply: As for the server: content, tool_calls, finish_reason ("length" makes the response
            incomplete), usage; and ``output``, items that go before these as they are, such as
            reasoning and the calls of built-in tools.
        number: Returns numbers that were not used before.
    """

    def __init__(
        self, body: dict[str, Any], reply: dict[str, Any], number: Callable[[], int]
    ) -> None:
        self._output: list[_Item] = [dict(item) for item in reply.get("output", ())]
        if reply.get("content"):
            self._output.append(_message(f"msg_{number()}", reply["content"]))
        for call in reply.get("tool_calls", ()):
            arguments = call["arguments"]
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            ids = {
                "id": call.get("item_id") or f"fc_{number()}",
                "call_id": call.get("id") or f"call_{number()}",
            }
            made = {"type": "function_call", "name": call["name"], "arguments": text, **ids}
            self._output.append({**made, "status": "completed"})
        self._is_cut_off = reply.get("finish_reason") in ("length", "content_filter")
        reason = "max_output_tokens" if reply.get("finish_reason") == "length" else "content_filter"
        asked = sum(len(str(message.get("content")).split()) for message in messages_of(body))
        told = len((reply.get("content") or "").split()) + len(reply.get("tool_calls", ()))
        self._usage = reply.get("usage") or {
            "input_tokens": asked,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": told,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked + told,
        }
        self._base = {
            "id": f"resp_{number()}",
            "object": "response",
            "created_at": float(int(time.time())),
            "model": body.get("model", "test"),
            "error": None,
            "incomplete_details": {"reason": reason} if self._is_cut_off else None,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            **{name: body[name] for name in _ECHOED if body.get(name) is not None},
        }

    def whole(self) -> dict[str, Any]:
        """Return the response."""
        status = "incomplete" if self._is_cut_off else "completed"
        return {**self._base, "status": status, "output": self._output, "usage": self._usage}

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the events of a stream."""
        for number, event in enumerate(self._events()):
            yield {**event, "sequence_number": number}

    def _events(self) -> Iterator[dict[str, Any]]:
        begun = {**self._base, "status": "in_progress", "output": [], "usage": None}
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}
        for index, item in enumerate(self._output):
            for event in _item_events(item):
                yield {**event, "output_index": index}
        end = self.whole()
        yield {"type": f"response.{end['status']}", "response": end}


def _message(id_: str, text: str) -> _Item:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": id_,
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def _item_events(item: _Item) -> Iterator[_Item]:
    """Yield the events of one item, from its beginning to its end."""
    kind, beside = item["type"], {"item_id": item["id"]}
    empty = {"message": {"content": []}, "function_call": {"arguments": ""}}.get(kind, {})
    if kind == "reasoning":
        empty = {"summary": []}
    yield {"type": "response.output_item.added", "item": {**item, **empty}}
    if kind == "message":
        part = item["content"][0]
        at = {**beside, "content_index": 0}
        yield {**at, "type": "response.content_part.added", "part": {**part, "text": ""}}
        for piece in _pieces(part["text"]):
            yield {**at, "type": "response.output_text.delta", "delta": piece, "logprobs": []}
        done = {"text": part["text"], "logprobs": []}
        yield {**at, "type": "response.output_text.done", **done}
        yield {**at, "type": "response.content_part.done", "part": part}
    elif kind == "function_call":
        for piece in _pieces(item["arguments"]):
            yield {**beside, "type": "response.function_call_arguments.delta", "delta": piece}
        done = {"arguments": item["arguments"], "name": item["name"]}
        yield {**beside, "type": "response.function_call_arguments.done", **done}
    elif kind == "reasoning":
        for index, part in enumerate(item.get("summary", ())):
            at = {**beside, "summary_index": index}
            name = "response.reasoning_summary"
            yield {**at, "type": f"{name}_part.added", "part": {**part, "text": ""}}
            for piece in _pieces(part["text"]):
                yield {**at, "type": f"{name}_text.delta", "delta": piece}
            yield {**at, "type": f"{name}_text.done", "text": part["text"]}
            yield {**at, "type": f"{name}_part.done", "part": part}
    yield {"type": "response.output_item.done", "item": item}


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:] if text else []
