"""An OpenAI-compatible server on loopback, for real clients.

It speaks chat completions, the Responses API and embeddings.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

from openai_responses import ResponsesAnswer, messages_of

__all__ = ["Gate", "OpenAIServer", "RefusedText", "Reply", "Verbatim", "last_user_text"]


@dataclass(frozen=True)
class Verbatim:
    """An answer that is sent just as it is given, at any path.

    Attributes:
        whole: The answer to who does not ask for a stream.
        chunks: What is streamed: the data of events; a text is a line as it stands, and a pair is
            an event's name and data.
        is_done: Whether the stream ends with ``[DONE]``.
    """

    whole: Mapping[str, Any]
    chunks: Sequence[Mapping[str, Any] | str | tuple[str, Mapping[str, Any]]]
    is_done: bool = True

    def lines(self) -> Iterator[str]:
        """Yield the lines of the stream."""
        for chunk in self.chunks:
            if isinstance(chunk, str):
                yield chunk
                continue
            if isinstance(chunk, tuple):
                yield f"event: {chunk[0]}"
            yield f"data: {json.dumps(chunk[1] if isinstance(chunk, tuple) else chunk)}"
            yield ""
        if self.is_done:
            yield "data: [DONE]"
            yield ""


Body: TypeAlias = dict[str, Any]
Reply: TypeAlias = str | dict[str, Any] | list[dict[str, Any]] | Verbatim
"""A text; or a dict with any of content, tool_calls (of name, arguments and perhaps id),
finish_reason, usage, status (an error from 400 on) and headers; or a list of tool calls alone; or
an answer as it is. The Responses API takes `output` too, items that go before all else."""


class RefusedText(Exception):  # noqa: N818 - it is an answer of the server
    """A text that the server does not embed, such as one that is too long."""


class Gate(Protocol):
    """The event that replies wait for: a `threading.Event`, or a `callers.Latch`."""

    def wait(self) -> Any:
        """Return once the gate is open."""


class OpenAIServer:
    """Answers while it is open, one thread a request; closing it leaves no thread.

    Every connection serves one request, so that no client keeps one beyond its event loop.
    """

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.requests: list[Body] = []  # in order of arrival; appending to a list is atomic
        self.headers: list[dict[str, str]] = []  # of each request; names in small letters
        self.reply: Callable[[Body], Reply] = last_user_text
        self.embed: Callable[[str], Any] | None = None
        """The vector of a text, or anything in its place; a `RefusedText` is an error of 400."""
        self.gate: Gate | None = None
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        outer = self

        class Handler(_Handler):
            owner = outer

        self._server = _Server((self.host, 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://{self.host}:{self.port}/v1"

    def close(self) -> None:
        """Take no more requests, and wait for those under way."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def take(self, body: Body, headers: Mapping[str, str]) -> None:
        """Note a request, and wait for the gate."""
        with self._lock:  # so that both lists keep the same order
            self.requests.append(body)
            self.headers.append({name.lower(): value for name, value in headers.items()})
        gate = self.gate
        if gate is not None:
            gate.wait()

    def number(self) -> int:
        """Return a number that was not used before."""
        return next(self._numbers)


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 128  # so that many callers may come at once
    daemon_threads = False
    block_on_close = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: a client that goes away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    owner: OpenAIServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class says so
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.owner.take(body, dict(self.headers))
        self.path = self.path.partition("?")[0]  # Azure's clients name the version there
        if self.path.endswith("/embeddings"):
            try:
                self._send(200, _embedded(body, self.owner.embed))
            except RefusedText as error:
                self._send(400, _error(400, str(error)))
        elif self.path.endswith("/v1/completions"):
            self._completions(body)
        elif not self.path.endswith(("/chat/completions", "/responses")):
            self._send(404, _error(404, f"no such path: {self.path}"))
        else:
            self._chat(body)

    def _chat(self, body: Body) -> None:
        try:
            reply = self.owner.reply(body)
        except Exception as error:
            # An error of the test; 400 is what no client tries again.
            self._send(400, _error(400, repr(error)))
            return
        if isinstance(reply, Verbatim):
            self._send_verbatim(body, reply)
            return
        if isinstance(reply, str):
            reply = {"content": reply}
        elif isinstance(reply, list):
            reply = {"tool_calls": reply}
        headers = reply.get("headers", {})
        status = reply.get("status", 200)
        if status >= 400:
            self._send(status, _error(status, reply.get("content") or "as told"), headers)
            return
        if self.path.endswith("/responses"):
            self._responses(body, reply, headers)
            return
        answer = _Answer(body, reply, self.owner.number)
        if not body.get("stream"):
            self._send(200, answer.whole(), headers)
            return
        self._open(200, "text/event-stream", headers)
        for number, chunk in enumerate(answer.chunks()):
            if number == reply.get("chunks"):
                return
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def _completions(self, body: Body) -> None:
        """Answer prompts with texts, as each would be answered as a chat."""
        given = body["prompt"]
        prompts = [given] if isinstance(given, str) else given
        chats = [{**body, "messages": [{"role": "user", "content": each}]} for each in prompts]
        replies = [self.owner.reply(chat) for chat in chats]
        told: list[dict[str, Any]] = [{"content": r} if isinstance(r, str) else r for r in replies]  # type: ignore[misc]  # no tool calls here
        failed = next((each for each in told if each.get("status", 200) >= 400), None)
        if failed is not None:
            self._send(failed["status"], _error(failed["status"], "as told"))
            return
        answers = [_Answer(*each, self.owner.number) for each in zip(chats, told, strict=True)]
        if not body.get("stream"):
            self._send(200, completion_of(answers))
            return
        self._open(200, "text/event-stream", {})
        for chunk in answers[0].chunks():
            self.wfile.write(b"data: " + json.dumps(completion_chunk(chunk)).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def _responses(self, body: Body, reply: dict[str, Any], headers: Mapping[str, str]) -> None:
        answer = ResponsesAnswer(body, reply, self.owner.number)
        if not body.get("stream"):
            self._send(200, answer.whole(), headers)
            return
        self._open(200, "text/event-stream", headers)
        for event in answer.events():
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def _send_verbatim(self, body: Body, reply: Verbatim) -> None:
        if not body.get("stream"):
            self._send(200, reply.whole)
            return
        self._open(200, "text/event-stream", {})
        for line in reply.lines():
            self.wfile.write(f"{line}\n".encode())

    def _send(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        self._open(status, "application/json", headers or {})
        self.wfile.write(json.dumps(content).encode())

    def _open(self, status: int, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name, value)
        self.end_headers()


class _Answer:
    """One answer, whole or in pieces."""

    def __init__(self, body: Body, reply: dict[str, Any], number: Callable[[], int]) -> None:
        self._body = body
        self._content: str | None = reply.get("content")
        self._calls = [
            {
                "id": call.get("id") or f"call_{number()}",
                "type": "function",
                "function": {"name": call["name"], "arguments": _as_text(call["arguments"])},
            }
            for call in reply.get("tool_calls", ())
        ]
        self._finish = reply.get("finish_reason", "tool_calls" if self._calls else "stop")
        self._base = {
            "id": f"chatcmpl-{number()}",
            "created": int(time.time()),
            "model": body.get("model", "test"),
            "system_fingerprint": None,
        }
        asked = sum(len(_text(message).split()) for message in body["messages"])
        told = len((self._content or "").split()) + len(self._calls)
        self._usage = reply.get("usage") or {
            "prompt_tokens": asked,
            "completion_tokens": told,
            "total_tokens": asked + told,
        }

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self._content, "refusal": None}
        if self._calls:
            message["tool_calls"] = self._calls
        choices = [
            {"index": i, "message": message, "finish_reason": self._finish, "logprobs": None}
            for i in range(self._body.get("n") or 1)
        ]
        return {
            **self._base,
            "object": "chat.completion",
            "choices": choices,
            "usage": self._usage,
        }

    def chunks(self) -> Iterator[dict[str, Any]]:
        yield self._chunk({"role": "assistant", "content": ""})
        for word in _pieces(self._content or ""):
            yield self._chunk({"content": word})
        for index, call in enumerate(self._calls):
            yield self._chunk({"tool_calls": [{"index": index, **call}]})
        yield self._chunk({}, self._finish)
        if (self._body.get("stream_options") or {}).get("include_usage"):
            yield {**self._chunk({}), "choices": [], "usage": self._usage}

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {**self._base, "object": "chat.completion.chunk", "choices": [choice]}


def completion_of(answers: list[_Answer]) -> dict[str, Any]:
    """Return answers to chats as one answer to the prompts of a completion."""
    wholes = [answer.whole() for answer in answers]
    choices = [
        {
            "index": index,
            "text": choice["message"]["content"] or "",
            "finish_reason": choice["finish_reason"],
            "logprobs": None,
        }
        for index, choice in enumerate(each for whole in wholes for each in whole["choices"])
    ]
    usage = {
        name: sum(whole["usage"][name] for whole in wholes)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    }
    return {**wholes[0], "object": "text_completion", "choices": choices, "usage": usage}


def completion_chunk(chunk: dict[str, Any]) -> dict[str, Any]:
    """Return a chunk of a chat as one of a completion."""
    choices = [
        {
            "index": 0,
            "text": choice["delta"].get("content") or "",
            "finish_reason": choice["finish_reason"],
            "logprobs": None,
        }
        for choice in chunk["choices"]
    ]
    return {**chunk, "object": "text_completion", "choices": choices}


def last_user_text(body: Body) -> str:
    """Return the last thing that the user said; the reply of a server that was told nothing."""
    for message in reversed(body.get("messages") or messages_of(body)):
        if message["role"] == "user":
            return _text(message)
    return ""


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def _pieces(text: str) -> list[str]:
    """Return a text in words, which give it again when they are joined."""
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:] if text else []


def _as_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "test", "param": None, "code": str(status)}}


def _embedded(body: Body, embed: Callable[[str], Any] | None) -> dict[str, Any]:
    given = body["input"]
    # A text, a list of texts, a list of tokens, or a list of those.
    inputs = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    size = body.get("dimensions") or 16
    data = []
    for index, each in enumerate(inputs):
        coded: Any = _vector(json.dumps(each), size) if embed is None else embed(each)
        numbers = isinstance(coded, list) and all(type(number) is float for number in coded)
        if numbers and coded and body.get("encoding_format") == "base64":
            coded = base64.b64encode(struct.pack(f"<{len(coded)}f", *coded)).decode()
        data.append({"object": "embedding", "index": index, "embedding": coded})
    tokens = sum(len(each.split()) if isinstance(each, str) else len(each) for each in inputs)
    return {
        "object": "list",
        "model": body.get("model", "test"),
        "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _vector(text: str, size: int) -> list[float]:
    """Return numbers of length one that only depend on the text."""
    stream = hashlib.shake_256(text.encode()).digest(size)
    raw = [byte - 127.5 for byte in stream]
    length = math.sqrt(sum(number * number for number in raw))
    return [number / length for number in raw]
