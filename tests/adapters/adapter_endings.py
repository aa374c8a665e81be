"""The ends of answers on which all adapters agree: what is kept, and what is asked for again.

The models are the frameworks' own clients, which speak to the server of the tests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from openai_server import OpenAIServer, Verbatim
from servers import wait_for

from toolops_plugins import Notice, ToolOps

__all__ = ["BAD_ENDS", "GOOD_ENDS", "EndingConformance", "OwnModelConformance"]

GOOD_ENDS = (
    "stop",
    "STOP",
    "end_turn",
    "stop_sequence",
    "tool_calls",
    "tool_use",
    "function_call",
    "completed",
    "COMPLETE",
    "eos",
    "eos_token",
    "FinishReason.STOP",
)
BAD_ENDS = (
    "length",
    "content_filter",
    "error",
    "abort",
    "insufficient_system_resource",
    "model_context_window_exceeded",
    "pause_turn",
    "refusal",
    "RECITATION",
    "SAFETY",
    "MALFORMED_FUNCTION_CALL",
    "guardrail_intervened",
    "network_error",
    "sensitive",
    "load",
    "stopped",
    "a word of tomorrow",
)
BROKEN = ('{"city": "Par', '{"city": ', "[1]", '"Paris"')
"""Arguments of a tool call that are no JSON object."""


def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    """Return one chunk of a chat."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    return {**base, "choices": [choice]}


class EndingConformance:
    """Models that one adapter guards, and the ways to ask them.

    Attributes:
        wholes: Ways to ask for an answer at once. Each takes the guarded model and a question.
        streams: Ways to ask for a stream, and to read all of it.
        keeps_streamed_calls: Whether tool calls that came in chunks are kept.
    """

    wholes: ClassVar[dict[str, Callable[..., Any]]]
    streams: ClassVar[dict[str, Callable[..., Any]]]
    keeps_streamed_calls: ClassVar[bool] = True

    def make(self, server: OpenAIServer, ops: ToolOps, *, stream: bool) -> Any:
        """Return a guarded model that speaks to the server."""
        raise NotImplementedError

    @pytest.fixture
    def notices(self) -> list[Notice]:
        return []

    @pytest.fixture
    def ops(self, notices: list[Notice]) -> Iterator[ToolOps]:
        class Sink:
            def on_call(self, event: Any) -> None: ...

            def on_notice(self, notice: Notice) -> None:
                notices.append(notice)

        with ToolOps(sinks=[Sink()]) as ops:
            yield ops

    @pytest.fixture
    def server(self) -> Iterator[OpenAIServer]:
        with OpenAIServer() as server:
            yield server

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "way" in metafunc.fixturenames:
            ways = {} if "streamed" in metafunc.function.__name__ else self.wholes
            metafunc.parametrize("way", [*ways, *self.streams])

    def calls(self, way: str, server: OpenAIServer, ops: ToolOps, replies: list[Any]) -> list[int]:
        """Ask one question once for each reply; return how many calls there were after each."""
        ask = self.asker(way, server, ops)
        return [ask("How is it?", reply) for reply in replies]

    def asker(self, way: str, server: OpenAIServer, ops: ToolOps) -> Callable[[str, Any], int]:
        """Return what asks a question that has a reply, and returns the number of calls for it."""
        streams = way in self.streams
        guarded = self.make(server, ops, stream=streams)
        ask = self.streams[way] if streams else self.wholes[way]

        def asked(body: dict[str, Any]) -> str:
            return next(m["content"] for m in body["messages"] if m["role"] == "user")

        def call(question: str, reply: Any) -> int:
            # An agent goes on after a tool.
            server.reply = lambda body: reply if body["messages"][-1]["role"] == "user" else "done"
            ask(guarded, question)
            bodies = [body for body in server.requests if body["messages"][-1]["role"] == "user"]
            return sum(asked(body) == question for body in bodies)

        return call

    def test_known_good_ends_are_kept(self, way: str, server, ops) -> None:
        ask = self.asker(way, server, ops)
        for reason in GOOD_ENDS:
            reply = {"content": "It is fine", "finish_reason": reason}
            assert [ask(reason, reply) for _ in range(2)] == [1, 1], reason

    def test_all_other_ends_are_not_kept(self, way: str, server, ops) -> None:
        ask = self.asker(way, server, ops)
        for reason in BAD_ENDS:
            reply = {"content": "It is fi", "finish_reason": reason}
            assert [ask(reason, reply) for _ in range(2)] == [1, 2], reason

    def test_a_good_answer_after_a_bad_one_is_kept(self, way: str, server, ops) -> None:
        half = {"content": "It is", "finish_reason": "length"}
        assert self.calls(way, server, ops, [half, "It is fine", "It was"]) == [1, 2, 2]

    def test_a_streamed_answer_without_an_end_is_not_kept(
        self, way: str, server, ops, notices
    ) -> None:
        cut = {"content": "take two pills, never with alcohol", "chunks": 3}
        untold = {"content": "take two pills, never with alcohol", "finish_reason": None}
        whole = "take two pills, never with alcohol"
        replies = [cut, untold, cut, whole, whole]
        assert self.calls(way, server, ops, replies) == [1, 2, 3, 4, 4]
        found = [n for n in notices if (n.kind, n.detail) == ("bypass", "end_untold")]
        assert len(found) == 1

    @pytest.mark.parametrize("reason", ["stop", "length", None])
    def test_a_streamed_answer_whose_usage_follows_with_an_empty_choice_is_kept(
        self, way: str, reason: str | None, server, ops
    ) -> None:
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        told = [chunk({"content": "fine"}), chunk({}, reason), {**chunk({}), "usage": usage}]
        counts = self.calls(way, server, ops, [Verbatim({}, told)] * 2)
        assert counts == ([1, 1] if reason == "stop" else [1, 2])

    @pytest.mark.parametrize("arguments", BROKEN)
    def test_a_streamed_tool_call_with_broken_arguments_is_not_kept(
        self, way: str, arguments: str, server, ops
    ) -> None:
        broken = [{"name": "weather", "arguments": arguments}]
        whole = [{"name": "weather", "arguments": '{"city": "Paris"}'}]
        counts = self.calls(way, server, ops, [broken, broken, whole, whole])
        assert counts == ([1, 2, 3, 3] if self.keeps_streamed_calls else [1, 2, 3, 4])

    def test_a_streamed_tool_call_without_a_name_is_not_kept(self, way: str, server, ops) -> None:
        nameless = [{"name": "", "arguments": "{}"}]
        named = [{"name": "now", "arguments": ""}]
        counts = self.calls(way, server, ops, [nameless, nameless, named, named])
        assert counts == ([1, 2, 3, 3] if self.keeps_streamed_calls else [1, 2, 3, 4])

    def test_whoever_shares_half_of_a_streamed_answer_gets_what_the_first_has(
        self, way: str, server, ops
    ) -> None:
        with ThreadPoolExecutor(3) as threads:
            ask = self.asker(way, server, ops)
            half = {"content": "take two pills, never with alcohol", "chunks": 3}
            server.gate = gate = threading.Event()
            try:
                calls = [threads.submit(ask, "How is it?", half) for _ in range(3)]
                wait_for(lambda: server.requests, "the first request")
            finally:
                gate.set()
            counts = [call.result() for call in calls]
        assert max(counts) <= 3
        assert ask("How is it?", "fine") == max(counts) + 1
        assert ask("How is it?", "fine") == max(counts) + 1


class OwnModelConformance:
    """Models as users write them, whose streams tell of their end what the test says.

    Attributes:
        read: Reads the stream of a model's answer.
    """

    read: ClassVar[Callable[..., Any]]

    def make(self, calls: list[Any], ops: ToolOps, reason: str | None) -> Any:
        """Return a guarded model that streams a text, with a reason or without."""
        raise NotImplementedError

    @pytest.mark.parametrize("reason", ["stop", "error", None])
    def test_a_stream_of_a_users_own_model_is_kept_if_it_tells_a_good_end(
        self, reason: str | None
    ) -> None:
        notices: list[Notice] = []

        class Sink:
            def on_call(self, event: Any) -> None: ...

            def on_notice(self, notice: Notice) -> None:
                notices.append(notice)

        calls: list[Any] = []
        with ToolOps(sinks=[Sink()]) as ops:
            guarded = self.make(calls, ops, reason)
            for _ in range(3):
                type(self).read(guarded)
        assert len(calls) == (1 if reason == "stop" else 3)
        found = [n.detail for n in notices if n.kind == "bypass"]
        assert found == (["end_untold"] if reason is None else [])
