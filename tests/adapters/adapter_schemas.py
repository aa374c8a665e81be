"""Structured answers agree in all adapters: what misses its schema is not stored, the rest is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, ClassVar

import pytest
from openai_server import OpenAIServer
from pydantic import BaseModel, create_model, field_validator

from toolops_plugins import CallEvent, ToolOps

__all__ = ["City", "SchemaConformance", "value_of"]


class City(BaseModel):
    """A city."""

    name: str
    size: int

    @field_validator("size")
    @classmethod
    def is_large(cls, size: int) -> int:
        if size < 2:
            raise ValueError("too small")
        return size


RIGHT = {"name": "Ulm", "size": 3}
WRONG = {
    "a field is missing": {"name": "Ulm"},
    "a field is of another type": {"name": "Ulm", "size": "large"},
    "a validator refuses it": {"name": "Ulm", "size": 1},
    "it is no JSON": "Ulm, of course",
    "it is a list": [RIGHT],
}


class SchemaConformance:
    """The ways in which a guarded model is asked for a structured answer.

    Attributes:
        ways: How it is asked, by name: a function over the server's address, a runtime and the
            class, which returns a function that asks once.
        unread: Names of ways whose validators run nowhere near the guard, so that what only a
            validator refuses is stored.
    """

    ways: ClassVar[dict[str, Callable[[str, ToolOps, type[City]], Callable[[], Any]]]]
    unread: ClassVar[frozenset[str]] = frozenset()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make each test once for each way."""
        names = set(metafunc.fixturenames)
        if {"way", "wrong"} <= names:
            pairs = [(way, wrong) for way in self.ways for wrong in WRONG]
            left_out = {(way, "a validator refuses it") for way in self.unread}
            metafunc.parametrize(("way", "wrong"), [p for p in pairs if p not in left_out])
        elif "way" in names:
            metafunc.parametrize("way", list(self.ways))

    @pytest.fixture
    def events(self) -> list[CallEvent]:
        return []

    @pytest.fixture
    def ops(self, events: list[CallEvent]) -> Iterator[ToolOps]:
        with ToolOps(sinks=[events.append]) as ops:
            yield ops

    @pytest.fixture
    def server(self) -> Iterator[OpenAIServer]:
        with OpenAIServer() as server:
            yield server

    def test_an_answer_that_misses_its_schema_is_not_stored(
        self, way: str, wrong: str, server: OpenAIServer, ops: ToolOps
    ) -> None:
        ask = self.ways[way](server.url, ops, City)
        server.reply = lambda body: structured(body, WRONG[wrong])
        _try(ask)
        asked = len(server.requests)
        server.reply = lambda body: structured(body, RIGHT)
        assert value_of(ask()) == RIGHT
        assert len(server.requests) == asked + 1
        assert value_of(ask()) == RIGHT
        assert len(server.requests) == asked + 1

    def test_a_hit_equals_the_answer_in_value_and_type(
        self, way: str, server: OpenAIServer, ops: ToolOps, events: list[CallEvent]
    ) -> None:
        server.reply = lambda body: structured(body, RIGHT)
        ask = self.ways[way](server.url, ops, City)
        first, second = ask(), ask()
        assert len(server.requests) == 1
        assert [event.outcome for event in events][-1] == "hit"
        assert type(first) is type(second)
        assert first == second
        assert value_of(first) == RIGHT

    def test_a_class_that_has_changed_is_a_miss(
        self, way: str, server: OpenAIServer, ops: ToolOps
    ) -> None:
        """Test that it is never an error, nor an instance of a class that is no more."""

        def make(extra: bool) -> type[Any]:
            names: dict[str, Any] = {"name": (str, ...), "size": (int, ...), "land": (str, "")}
            fields = names if extra else {n: names[n] for n in ("name", "size")}
            kind: type[Any] = create_model("City", __doc__="A city.", **fields)
            return kind

        server.reply = lambda body: structured(body, RIGHT)
        for extra in (False, True):
            value = self.ways[way](server.url, ops, make(extra))()
            assert value_of(value)["name"] == "Ulm"
        assert len(server.requests) == 2


def value_of(value: Any) -> Any:
    """Return an answer as plain data."""
    return value.model_dump() if isinstance(value, BaseModel) else value


def structured(body: dict[str, Any], data: Any) -> Any:
    """Return the reply to a request that asks for structured output, in its own form."""
    tools = body.get("tools")
    if not tools:
        return data if isinstance(data, str) else json.dumps(data)
    if isinstance(data, str):
        return data
    return [{"name": tools[0].get("name") or tools[0]["function"]["name"], "arguments": data}]


def _try(ask: Callable[[], Any]) -> None:
    with suppress(Exception):  # each framework has its own error for it, or none
        ask()
