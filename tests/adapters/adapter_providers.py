"""Answers of every provider's shape, as guarded models give and keep them.

A first call gives what the client alone gives, in value and type. Good ends are kept, and a hit
gives the same again, with ids of the same shape for its tool calls. What did not end by itself, and
what the client refuses, is not kept.
"""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar
from zlib import crc32

import pytest
from openai_server import OpenAIServer
from provider_shapes import BROKEN, PROVIDERS
from pydantic import BaseModel

from toolops_plugins import Cache, Policy, ToolOps

__all__ = ["CITIES", "WEATHER", "ProviderConformance", "spell"]

TEXT = "take two pills but never with alcohol"
CITIES = (("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo, in the north"}))
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Return the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
WAYS = ("invoke", "stream", "ainvoke", "astream")
_KEPT = Policy(cache=Cache(ttl=60.0, jitter=0.0, beta=0.0))


class City(BaseModel):
    """A city."""

    city: str


class Script:
    """The answers of a model that has no server; it takes the place of one."""

    def __init__(self) -> None:
        self.reply: Any = None
        self.requests: list[Any] = []

    def take(self) -> Any:
        """Return the answer to the next call."""
        self.requests.append(None)
        return self.reply(None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Script:
        return self


class ProviderConformance:
    """The guarded models of one framework, whose client speaks to a server of each shape.

    Attributes:
        providers: The shapes.
        has_server: Whether the model's client speaks to a server; else its answers are scripted.
        counting: Options of a guard whose hits count no tokens.
    """

    providers: ClassVar[Sequence[Any]] = PROVIDERS
    has_server: ClassVar[bool] = True
    counting: ClassVar[dict[str, Any]] = {"usage_on_hit": "zero"}

    # What a subclass says ------------------------------------------------------------------------

    @classmethod
    def client(cls, server: Any) -> Any:
        """Return the framework's own model, whose client speaks to the server, or its script."""
        raise NotImplementedError

    def guard(self, client: Any, ops: ToolOps, policy: Policy, **options: Any) -> Any:
        """Return the model behind a policy, with hits that keep their usage."""
        raise NotImplementedError

    def ask(self, way: str, model: Any, asked: Any, tools: Any) -> list[Any]:
        """Ask in the way ``invoke`` or ``stream``, and return all that came.

        Args:
            way: The way.
            model: The model.
            asked: A question, or what :meth:`follow_up` returned.
            tools: The tools that the model may call; or the class that the answer is to be of.
        """
        raise NotImplementedError

    async def aask(self, way: str, model: Any, asked: Any, tools: Any) -> list[Any]:
        """Ask in the way ``ainvoke`` or ``astream``, and return all that came."""
        raise NotImplementedError

    def structured_of(self, items: Any) -> Any:
        """Return the instance of the schema in what came, or None if there is none."""
        last = items[-1] if isinstance(items, list) and items else None
        return last if isinstance(last, City) else None

    def follow_up(self, items: list[Any]) -> Any:
        """Return the conversation of "hi", an answer that called tools, and their results."""
        raise NotImplementedError

    def text_of(self, items: list[Any]) -> str:
        """Return the whole text of what came."""
        raise NotImplementedError

    def calls_of(self, items: list[Any]) -> list[tuple[str, Any]]:
        """Return the ids and arguments of the tool calls of what came."""
        raise NotImplementedError

    def ids_of(self, items: list[Any]) -> list[str]:
        """Return the ids of the tool calls of what came, of all pieces of them."""
        return [id_ for id_, _ in self.calls_of(items)]

    def tokens_of(self, model: Any, answers: list[Any]) -> int:
        """Return the tokens that are counted of all that a model has answered."""
        raise NotImplementedError

    def spell(self, items: list[Any]) -> Any:
        """Return what came in a form in which two are equal if their values and types are."""
        return spell(items)

    def spell_kept(self, items: list[Any]) -> Any:
        """Return of what came what a hit gives again, in the same form."""
        return self.spell(items)

    def reads(self, provider: Any, way: str) -> bool:
        """Return whether the framework's own client finds the end in what a provider sends."""
        return True

    # What the tests use --------------------------------------------------------------------------

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[Any]:
        if not cls.has_server:
            yield Script()
            return
        with OpenAIServer() as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def bare(cls, server: Any) -> Any:
        return cls.client(server)

    @pytest.fixture
    def ops(self) -> Iterator[ToolOps]:
        with ToolOps() as ops:
            yield ops

    @pytest.fixture
    def guarded(self, bare: Any, ops: ToolOps) -> Any:
        return self.guard(bare, ops, _KEPT)

    @pytest.fixture
    def hear(self, server: Any, way: str) -> Callable[..., Any]:
        """Asks a model for an answer, and returns what came, or the type of the error."""

        def hear(
            model: Any, answer: Any, asked: Any = "hi", *, tools: bool = False, schema: Any = None
        ) -> Any:
            server.reply = lambda _: answer
            given = [WEATHER] if tools else []
            if schema is not None:
                given = schema
            # OpenAI's client leaves a stream that nobody reads on to the collector, which closes
            # it; inside of the connections' own lock that would wait for itself.
            gc.disable()
            try:
                if way.startswith("a"):
                    return asyncio.run(self.aask(way, model, asked, given))
                return self.ask(way, model, asked, given)
            except Exception as error:
                return type(error)
            finally:
                gc.enable()

        return hear

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Ask for each provider in one way, and where more depends on it in two, taken in turns."""
        names = set(metafunc.fixturenames)
        if not {"provider", "way"} <= names:
            return
        chosen = []
        for provider in self.providers:
            turn = crc32(f"{provider.name} {metafunc.function.__name__}".encode())
            pair = ("invoke", "astream") if turn % 2 else ("ainvoke", "stream")
            if "streamed" in names:
                pair = pair[1:]
            elif "once" in names:
                pair = (WAYS[turn // 2 % len(WAYS)],)
            chosen += [pytest.param(provider, way, id=f"{provider.name}-{way}") for way in pair]
        metafunc.parametrize(("provider", "way"), chosen)

    @pytest.fixture
    def streamed(self) -> None:
        """Marks a test of streams alone, in one way for each provider."""

    @pytest.fixture
    def once(self) -> None:
        """Marks a test that takes one way for each provider."""

    # The list ------------------------------------------------------------------------------------

    def test_a_text(self, provider: Any, way: str, bare, guarded, hear, server) -> None:
        answer = provider.text(TEXT)
        alone, first = hear(bare, answer), hear(guarded, answer)
        assert self._spell(first) == self._spell(alone)
        before = len(server.requests)
        second = hear(guarded, answer)
        assert self._kept(second) == self._kept(first)
        is_hit = self.is_read(provider, way, first) and TEXT in self.text_of(first)
        assert len(server.requests) == before + (not is_hit)

    def test_tool_calls(self, provider: Any, way: str, bare, guarded, hear, server) -> None:
        answer = provider.calls(*CITIES)
        alone, first = hear(bare, answer, tools=True), hear(guarded, answer, tools=True)
        assert self._spell(first) == self._spell(alone)
        before = len(server.requests)
        second = hear(guarded, answer, tools=True)
        made = self.calls_of(first) if self.is_read(provider, way, first) else []
        cities = [city for _, city in CITIES]
        is_hit = bool(made) and all(arguments in cities for _, arguments in made)
        assert len(server.requests) == before + (not is_hit)
        if not is_hit:
            assert self._kept(second) == self._kept(first)
            return
        old, new = self.ids_of(first), self.ids_of(second)
        assert self._kept(second, new) == self._kept(first, old)
        self.check_ids(provider, made, self.calls_of(second))
        # The next turn is the same question, whichever ids its calls have.
        before = len(server.requests)
        for items in (first, second, hear(guarded, answer, tools=True)):
            told = hear(guarded, provider.text(TEXT), self.follow_up(items), tools=True)
        is_kept = isinstance(told, list) and TEXT in self.text_of(told)
        assert len(server.requests) == before + (1 if is_kept else 3)

    def test_bad_ends(
        self, provider: Any, way: str, once: None, bare, guarded, hear, server
    ) -> None:
        for number, end in enumerate(provider.bad):
            is_text = number % 2 == 0
            answer = provider.text(TEXT, end) if is_text else provider.calls(*CITIES, end=end)
            alone = hear(bare, answer, end)
            before = len(server.requests)
            for _ in range(2):
                assert self._spell(hear(guarded, answer, end)) == self._spell(alone)
            assert len(server.requests) == before + 2, end

    def test_broken_streams(
        self, provider: Any, way: str, streamed: None, bare, guarded, hear, server
    ) -> None:
        broken = [
            provider.text(TEXT, None),
            provider.calls(*CITIES, end=None),
            *([provider.calls((CITIES[0][0], BROKEN))] if self.has_server else ()),
            *(provider.text(TEXT, error=error) for error in provider.errors),
            *(provider.calls(*CITIES, error=error) for error in provider.errors),
        ]
        for number, answer in enumerate(broken):
            alone = hear(bare, answer, str(number))
            before = len(server.requests)
            for _ in range(2):
                assert self._spell(hear(guarded, answer, str(number))) == self._spell(alone)
            assert len(server.requests) == before + 2, number

    def test_structured_answers(
        self, provider: Any, way: str, once: None, bare, guarded, hear, server
    ) -> None:
        answer = provider.text(City(city="Paris").model_dump_json())
        alone, first = hear(bare, answer, schema=City), hear(guarded, answer, schema=City)
        assert self._spell(first) == self._spell(alone)
        before = len(server.requests)
        second = hear(guarded, answer, schema=City)
        assert self._kept(second) == self._kept(first)
        is_hit = self.structured_of(first) == City(city="Paris")
        assert len(server.requests) == before + (not is_hit)
        wrong = provider.text('{"town": "Paris"}')
        before = len(server.requests)
        for _ in range(2):
            assert self.structured_of(hear(guarded, wrong, "where", schema=City)) is None
        assert len(server.requests) == before + 2

    def test_tokens_are_counted_once(
        self, provider: Any, way: str, once: None, bare, hear, server, ops
    ) -> None:
        guarded = self.guard(bare, ops, _KEPT, **self.counting)
        answer = provider.text(TEXT)
        counted = self.tokens_of(bare, [])
        alone = self.tokens_of(bare, [hear(bare, answer)]) - counted
        heard = [hear(guarded, answer)]
        assert self.tokens_of(guarded, heard) == alone
        before = len(server.requests)
        heard.append(hear(guarded, answer))
        assert self.tokens_of(guarded, heard) == alone * (1 + len(server.requests) - before)

    def is_read(self, provider: Any, way: str, items: Any) -> bool:
        return isinstance(items, list) and self.reads(provider, way)

    def check_ids(self, provider: Any, made: list[Any], again: list[Any]) -> None:
        old, new = [[id_ for id_, _ in calls] for calls in (made, again)]
        if provider.call_form == CITIES[0][0]:  # who has no ids of its own takes the tool's name
            assert {*old, *new} == {CITIES[0][0]}
            return
        assert len({*old, *new}) == len(old) + len(new)
        if all(re.fullmatch(provider.call_form, id_) for id_ in old):
            assert all(re.fullmatch(provider.call_form, id_) for id_ in new)

    def _spell(self, items: Any) -> Any:
        return self.spell(items) if _are_answers(items) else spell(items)

    def _kept(self, items: Any, ids: Sequence[str] = ()) -> Any:
        spelled = self.spell_kept(items) if _are_answers(items) else spell(items)
        return _replace(spelled, {id_: f"id {n}" for n, id_ in enumerate(ids)})


def _are_answers(items: Any) -> bool:
    return isinstance(items, list) and not any(isinstance(item, City) for item in items)


def spell(value: Any) -> Any:
    """Return a value with the names of its types, at any depth."""
    kind = type(value).__qualname__
    if isinstance(value, BaseModel):
        fields = {**vars(value), **(value.model_extra or {})}
        return kind, {n: spell(content) for n, content in fields.items() if not n.startswith("_")}
    if isinstance(value, dict):
        return kind, {name: spell(content) for name, content in value.items()}
    if isinstance(value, list | tuple):
        return kind, [spell(each) for each in value]
    return kind, value


def _replace(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, str):
        return ids.get(value, value)
    if isinstance(value, dict):
        return {ids.get(name, name): _replace(content, ids) for name, content in value.items()}
    if isinstance(value, list | tuple):
        return [_replace(each, ids) for each in value]
    return value
