"""Ids as all adapters treat them: new ones for the tool calls of a hit, in the shape of the old."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from openai_server import OpenAIServer

from toolops_plugins import Cache, Policy, ToolOps

__all__ = ["COUNTERS", "NAMED", "SHAPES", "IdConformance"]

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
SHAPES = [
    ("call_9aVbDJqbWsLKhvmMdbGl3xPu", "call_[A-Za-z0-9]{24}"),
    ("fc_67ccf18f64008190a39b619f4c8455ef087bb177ab789d5c", "fc_[0-9a-f]{48}"),
    ("toolu_01A09q90qw90lq917835lq9", "toolu_01[A-Za-z0-9]{21}"),
    ("toolu_bdrk_01D7FLrfh4GYq7yT1ULFeyMV", "toolu_bdrk_01[A-Za-z0-9]{22}"),
    ("tooluse_kZJMlvQmRJ6eAyJE5GIl7Q", "tooluse_[A-Za-z0-9_-]{22}"),
    ("tooluse_ab-Jlv_QmRJ6eAyJE5GIl7", "tooluse_[A-Za-z0-9_-]{22}"),
    ("chatcmpl-tool-b629dd4692ad42ce8f276d940f4e42f7", "chatcmpl-tool-[0-9a-f]{32}"),
    ("call_8ddcffcf71d3419192673cfd", "call_[0-9a-f]{24}"),
    ("call_abcdefabcdefabcdefabcdef", "call_[a-f]{24}"),
    ("call_y7d3k2m1", "call_[a-z0-9]{8}"),
    ("aB3dE6gH9", "[a-zA-Z0-9]{9}"),
    ("123456789", "[0-9]{9}"),
    ("2a45f9a3d", "[0-9a-f]{9}"),
    ("239d15a9-8588-456d-bd30-8f6cab82cf6a", _UUID),
    ("239D15A9-8588-456D-BD30-8F6CAB82CF6A", _UUID.replace("a-f", "A-F").replace("ab]", "AB]")),
    ("call_0_239d15a9-8588-456d-bd30-8f6cab82cf6a", f"call_0_{_UUID}"),
    ("call_00_Bl7ZxQ2mN8vR4tY6uI0pL3kJ", "call_00_[A-Za-z0-9]{24}"),
    ("call_function_w8g3p5j2l0x9_1", "call_function_[a-z0-9]{12}_1"),
    ("call_-8231168139794583938", "call_-[0-9]{19}"),
    ("function-call-9223372036854775807", "function-call-[0-9]{19}"),
    ("get_weather_1byjy32y4hvq", "get_weather_[a-z0-9]{12}"),
    ("вызов-aB3dE6gH9", "вызов-[A-Za-z0-9]{9}"),
]
"""Ids of providers, and patterns that new ones match too."""
NAMED = ["functions.get_weather:0", "functions.other_tool:12", "get_weather", "get_weather_1"]
"""Ids that models write themselves, of the name of a tool and of how many calls came before."""
COUNTERS = [("0", "[0-9]+"), ("17", "[0-9]+"), ("call_1", "call_[0-9]+"), ("ключ", "ключ[0-9]+")]
"""Ids that are too short to be unique."""
_KEPT = Policy(cache=Cache(ttl=60.0, jitter=0.0, beta=0.0))


class IdConformance:
    """Models of one adapter, whose clients speak to a server.

    Attributes:
        ways: How a model can be asked.
    """

    ways: ClassVar[tuple[str, ...]] = ("invoke", "ainvoke", "stream", "astream")

    def client(self, url: str) -> Any:
        """Return the framework's own model, which asks the server at an address."""
        raise NotImplementedError

    def guard(self, client: Any, policy: Policy, ops: ToolOps) -> Any:
        raise NotImplementedError

    def ask(self, model: Any, way: str) -> Any:
        """Return the whole answer to the name of the way; the model has a tool "get_weather"."""
        raise NotImplementedError

    def go_on(self, model: Any, way: str, answer: Any) -> Any:
        """Return the answer to such an answer, and a result of each of its calls."""
        raise NotImplementedError

    def places(self, answer: Any) -> dict[str, list[str]]:
        """Return the ids of an answer's tool calls, by the places that hold them."""
        raise NotImplementedError

    def arguments(self, answer: Any) -> list[Any]:
        """Return the arguments of an answer's tool calls."""
        raise NotImplementedError

    @pytest.fixture
    def server(self) -> Iterator[OpenAIServer]:
        with OpenAIServer() as server:
            yield server

    @pytest.fixture
    def model(self, server: OpenAIServer) -> Iterator[Any]:
        with ToolOps() as ops:
            yield self.guard(self.client(server.url), _KEPT, ops)

    def answers(self, model: Any, server: OpenAIServer, way: str, ids: list[str]) -> list[Any]:
        """Return a first answer of tool calls with these ids, and two hits."""
        calls = [{"name": "get_weather", "arguments": {"id": id_}, "id": id_} for id_ in ids]
        server.reply = lambda body: calls
        answers = [self.ask(model, way) for _ in range(3)]
        assert len(server.requests) == 1
        assert all(each == ids for each in self.places(answers[0]).values())
        return answers

    def ids(self, answer: Any) -> list[str]:
        """Return the ids of an answer's tool calls, on which all places agree."""
        first, *others = self.places(answer).values()
        assert all(other == first for other in others)
        return first

    def test_ids_of_a_hit_have_the_shape_of_the_old_ones(
        self, model: Any, server: OpenAIServer
    ) -> None:
        old = [id_ for id_, _ in SHAPES]
        for way in self.ways:
            server.requests.clear()
            _, *hits = self.answers(model, server, way, old)
            for hit in hits:
                for (before, shape), after in zip(SHAPES, self.ids(hit), strict=True):
                    assert re.fullmatch(shape, after)
                    assert len(after) == len(before)
            assert len({*old, *self.ids(hits[0]), *self.ids(hits[1])}) == 3 * len(old)

    def test_ids_made_of_the_tools_name_stay(self, model: Any, server: OpenAIServer) -> None:
        for way in self.ways:
            server.requests.clear()
            for answer in self.answers(model, server, way, NAMED):
                assert self.ids(answer) == NAMED

    def test_the_calls_of_an_answer_keep_ids_that_differ(
        self, model: Any, server: OpenAIServer
    ) -> None:
        old = ["0", "1", "2", "10", "call_1"]
        for way in self.ways:
            server.requests.clear()
            first, *hits = self.answers(model, server, way, old)
            for hit in hits:
                assert len({*old, *self.ids(hit)}) == 2 * len(old)
                assert self.arguments(hit) == self.arguments(first) == [{"id": i} for i in old]

    def test_a_conversation_goes_on_from_a_hit_as_from_the_first_answer(
        self, model: Any, server: OpenAIServer
    ) -> None:
        old = [id_ for id_, _ in SHAPES]
        for way in self.ways:
            server.requests.clear()
            answers = self.answers(model, server, way, old)
            server.reply = lambda body: "fine"
            for answer in answers:
                self.go_on(model, way, answer)
            assert len(server.requests) == 2
