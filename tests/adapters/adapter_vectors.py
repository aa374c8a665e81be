"""The list of tests that every guarded embedder passes: ``class TestMine(Vectors)`` runs it.

A subclass says only how its framework's embedders are made, guarded and called. The embedder of
most tests is the framework's own client of OpenAI's interface, at a server on loopback.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from adapters.adapter_body import start_call
from callers import LONG, Latch
from openai_server import OpenAIServer, RefusedText
from servers import wait_for

from toolops_plugins import ToolOps

__all__ = ["Vectors"]

_NAN, _INF = float("nan"), float("inf")
_UNSOUND: dict[str, Any] = {
    "nan": [0.5, _NAN, 0.5, 0.5],
    "inf": [0.5, _INF, 0.5, 0.5],
    "minus inf": [-_INF, 0.5, 0.5, 0.5],
    "empty": [],
    "short": [0.5] * 3,
    "long": [0.5] * 5,
    "zeros": [0.0] * 4,
    "whole zeros": [0] * 4,
    "none": None,
    "none inside": [0.5, None, 0.5, 0.5],
}
_ODD: dict[str, Any] = {
    "texts inside": ["0.5"] * 4,
    "bools": [True, False, True, False],
    "a list inside": [[0.5] * 4],
    "a text": "0.50",
    "bytes": b"\x01\x02\x03\x04",
    "a set": {1.0, 2.0, 3.0, 4.0},
    "a dict": {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0},
    "a number": 4.0,
    "a huge integer": [2**53 + 1, 1, 1, 1],
    "an endless integer": [10**400, 1, 1, 1],
    "decimals": [Decimal("0.1")] * 4,
    "complex": [1j] * 4,
    "a matrix": np.ones((1, 4)),
    "a column": np.ones((4, 1)),
    "a scalar": np.array(1.0),
    "truths": np.array([True] * 4),
    "objects": np.array([None] * 4),
    "an array with nan": np.array([_NAN, 1, 1, 1], np.float32),
    "long doubles": np.array([1, 1, 1, 3], np.longdouble) / 3,
}
_SOUND: dict[str, Any] = {
    "floats": [0.1, -1 / 3, 1e-300, -0.0],
    "huge floats": [1.7e308, -1.7e308, 1.0, 2.0],
    "a tuple": (0.1, 0.2, 0.3, 0.4),
    "integers": [1, -2, 3, 127],
    "mixed": [1, 0.5, np.float32(0.1), np.int8(3)],
    "float32": np.array([0.1, 0.2, 0.3, 0.4], np.float32),
    "float16": np.array([0.1, 0.2, 0.3, 0.4], np.float16),
    "int8": np.array([1, -128, 3, 127], np.int8),
}


class Vectors:
    """What is kept of an embedder's vectors, and what its calls cost."""

    # What a subclass says ------------------------------------------------------------------------

    def client(self, url: str, **settings: Any) -> Any:
        """Return the framework's client of a server.

        Args:
            url: The server's address.
            settings: ``dimensions``, ``batch`` (texts of a request) and ``headers``.
        """
        raise NotImplementedError

    def fake(self, give: Callable[[list[str]], Any], **settings: Any) -> Any:
        """Return an embedder whose vectors a function gives.

        Args:
            give: Returns the vectors of texts.
            settings: ``prefix``, a text, and ``calls``, a number that its calls increase, are
                fields of it.
        """
        raise NotImplementedError

    def guard(self, embedder: Any, ops: Any, **more: Any) -> Any:
        """Return it guarded, by a policy that keeps vectors."""
        raise NotImplementedError

    def embed(self, embedder: Any, texts: list[str]) -> list[Any]:
        """Embed texts, guarded or not."""
        raise NotImplementedError

    async def aembed(self, embedder: Any, texts: list[str]) -> list[Any]:
        """Embed texts on this event loop."""
        raise NotImplementedError

    def embed_query(self, embedder: Any, text: str) -> Any:
        """Embed a query."""
        raise NotImplementedError

    async def aembed_query(self, embedder: Any, text: str) -> Any:
        """Embed a query on this event loop."""
        raise NotImplementedError

    def set_up(self, guarded: Any, embedder: Any, name: str, value: Any) -> None:
        """Change a setting of the guarded embedder."""
        raise NotImplementedError

    # What the tests use --------------------------------------------------------------------------

    @pytest.fixture(params=["sync", "async"])
    def way(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def server(self) -> Iterator[OpenAIServer]:
        with OpenAIServer() as server:
            server.embed = good
            yield server

    @pytest.fixture
    def ops(self) -> Iterator[ToolOps]:
        runtime = ToolOps("vectors")
        yield runtime
        wait_for(lambda: not runtime._shared.flights, "an empty table of flights")

    async def ask(self, way: str, embedder: Any, texts: list[str]) -> list[Any]:
        if way == "async":
            return await self.aembed(embedder, texts)
        return await asyncio.to_thread(self.embed, embedder, texts)

    async def ask_query(self, way: str, embedder: Any, text: str) -> Any:
        if way == "async":
            return await self.aembed_query(embedder, text)
        return await asyncio.to_thread(self.embed_query, embedder, text)

    def begin(self, way: str, guarded: Any, texts: list[str]) -> asyncio.Future[Any]:
        return start_call(way, self.embed, self.aembed, guarded, texts)

    # What is no vector ---------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", _UNSOUND)
    async def test_what_is_no_vector_is_passed_on_and_asked_for_again(
        self, way: str, kind: str, server, ops
    ) -> None:
        server.embed = lambda text: _UNSOUND[kind] if text == "b" else good(text)
        client = self.client(server.url)
        guarded = self.guard(client, ops)
        plain = await outcome(self.ask(way, client, ["a", "b", "c"]))
        for asked in (["a", "b", "c"], ["b"]):
            server.requests.clear()
            assert same(await outcome(self.ask(way, guarded, ["a", "b", "c"])), plain)
            if isinstance(plain, list):  # the framework itself lets it pass
                assert inputs(server) == asked
        server.embed = good
        for asked in (["b"], []):
            server.requests.clear()
            assert await self.ask(way, guarded, ["b", "a"]) == [short(good("b")), short(good("a"))]
            assert inputs(server) == (asked if isinstance(plain, list) or not asked else ["b", "a"])

    @pytest.mark.parametrize("kind", ["nan", "none", "empty", "zeros"])
    async def test_a_query_that_has_no_vector_is_asked_for_again(
        self, way: str, kind: str, server, ops
    ) -> None:
        server.embed = lambda text: _UNSOUND[kind]
        client = self.client(server.url)
        guarded = self.guard(client, ops)
        plain = await outcome(self.ask_query(way, client, "a"))
        for _ in range(2):
            assert same(await outcome(self.ask_query(way, guarded, "a")), plain)
        server.embed = good
        for _ in range(2):
            assert await self.ask_query(way, guarded, "a") == short(good("a"))
        assert len(server.requests) == 4

    @pytest.mark.parametrize("kind", _ODD)
    async def test_odd_objects_are_passed_on_and_not_kept(self, way: str, kind: str, ops) -> None:
        asked: list[str] = []

        def give(texts: list[str]) -> list[Any]:
            asked.extend(texts)
            return [_ODD[kind] if text == "b" else good(text) for text in texts]

        embedder = self.fake(give)
        plain = await outcome(self.ask(way, embedder, ["a", "b", "c"]))
        guarded = self.guard(embedder, ops)
        asked.clear()
        for _ in range(2):
            assert same(await outcome(self.ask(way, guarded, ["a", "b", "c"])), plain)
        if isinstance(plain, list):  # the framework itself lets it pass
            assert asked == ["a", "b", "c", "b"]
        else:
            assert asked == ["a", "b", "c"] * 2

    @pytest.mark.parametrize("kind", _SOUND)
    async def test_good_vectors_come_back_exactly(self, way: str, kind: str, ops) -> None:
        asked: list[str] = []

        def give(texts: list[str]) -> list[Any]:
            asked.extend(texts)
            return [_SOUND[kind] for _ in texts]

        guarded = self.guard(self.fake(give), ops)
        for _ in range(2):
            first, second = await self.ask(way, guarded, ["a", "b"])
            assert first == second == [float(number) for number in _SOUND[kind]]
            assert all(
                math.copysign(1, mine) == math.copysign(1, given)
                for mine, given in zip(first, _SOUND[kind], strict=True)
            )
            first.clear()
        assert asked == ["a", "b"]

    async def test_zeros_are_the_vector_of_a_text_without_letters(self, way: str, ops) -> None:
        asked: list[str] = []

        def give(texts: list[str]) -> list[Any]:
            asked.extend(texts)
            return [[0.0, 0.0] if text == " ..." else [1.0, 0.0] for text in texts]

        guarded = self.guard(self.fake(give), ops)
        for _ in range(2):
            assert await self.ask(way, guarded, [" ...", "a"]) == [[0.0, 0.0], [1.0, 0.0]]
        assert asked == [" ...", "a"]

    async def test_one_odd_length_neither_passes_nor_keeps_others_out(self, way: str, ops) -> None:
        asked: list[str] = []
        odd = {"first"}

        def give(texts: list[str]) -> list[Any]:
            asked.extend(texts)
            return [[1.0] * (2 if text in odd else 3) for text in texts]

        guarded = self.guard(self.fake(give), ops)
        await self.ask(way, guarded, ["first"])  # nothing tells yet that it is the odd one
        for text in ("a", "b", "c", "d"):
            await self.ask(way, guarded, [text])
        odd.clear()
        asked.clear()
        for _ in range(2):
            assert await self.ask(way, guarded, ["first", "c", "d"]) == [[1.0] * 3] * 3
        assert asked == ["first"]

    async def test_a_query_of_another_length_than_the_texts_is_not_kept(
        self, way: str, ops
    ) -> None:
        asked: list[str] = []

        def give(texts: list[str]) -> list[Any]:
            asked.extend(texts)
            return [[1.0] * (3 if asked.count("q") != 1 else 2) for _ in texts]

        guarded = self.guard(self.fake(give), ops)
        await self.ask(way, guarded, ["a", "b"])
        assert await self.ask_query(way, guarded, "q") == [1.0] * 2
        for _ in range(2):
            assert await self.ask_query(way, guarded, "q") == [1.0] * 3
        assert asked == ["a", "b", "q", "q"]

    async def test_two_lengths_that_nothing_decides_are_not_kept(self, way: str, ops) -> None:
        asked: list[str] = []

        def give(texts: list[str]) -> list[Any]:
            asked.extend(texts)
            return [[1.0] * (2 if text == "odd" else 3) for text in texts]

        guarded = self.guard(self.fake(give), ops)
        for _ in range(2):
            assert await self.ask(way, guarded, ["odd", "a"]) == [[1.0] * 2, [1.0] * 3]
        assert asked == ["odd", "a"] * 2

    async def test_dimensions_that_were_asked_for_are_the_length(
        self, way: str, server, ops
    ) -> None:
        guarded = self.guard(self.client(server.url, dimensions=8), ops)
        for _ in range(2):  # the server gives four
            assert await self.ask(way, guarded, ["a"]) == [short(good("a"))]
        server.embed = None
        for _ in range(2):
            assert len((await self.ask(way, guarded, ["a"]))[0]) == 8
        assert inputs(server) == ["a"] * 3

    @pytest.mark.parametrize("answer", [[], [[1.0]], [[1.0]] * 3, None, {"a": 1, "b": 2}, "ab"])
    async def test_more_or_fewer_vectors_than_texts_are_an_error(
        self, way: str, answer: Any, ops
    ) -> None:
        answers = [answer]
        guarded = self.guard(
            self.fake(lambda texts: answers.pop() if answers else [good(text) for text in texts]),
            ops,
        )
        # The framework may have an error of its own for what is no list.
        match = "for 2 texts" if isinstance(answer, list) else None
        with pytest.raises((ValueError, TypeError), match=match):
            await self.ask(way, guarded, ["a", "b"])
        assert await self.ask(way, guarded, ["a", "b"]) == [good("a"), good("b")]

    # What tells embedders apart ------------------------------------------------------------------

    async def test_settings_tell_embedders_apart(self, way: str, ops) -> None:
        asked: list[str] = []

        def give(texts: list[str]) -> list[Any]:
            asked.extend(texts)
            return [good(text) for text in texts]

        for prefix in ("query: ", "passage: ", "query: "):
            await self.ask(way, self.guard(self.fake(give, prefix=prefix), ops), ["a"])
        assert asked == ["a", "a"]

    async def test_a_setting_that_changes_counts_from_then_on(self, way: str, ops) -> None:
        asked: list[str] = []

        def give(texts: list[str]) -> list[Any]:
            asked.extend(texts)
            return [good(text) for text in texts]

        embedder = self.fake(give, prefix="query: ")
        guarded = self.guard(embedder, ops)
        for prefix in ("query: ", "passage: ", "query: "):
            self.set_up(guarded, embedder, "prefix", prefix)
            for _ in range(2):
                await self.ask(way, guarded, ["a"])
                await self.ask_query(way, guarded, "q")
        assert asked == ["a", "q", "a", "q"]

    async def test_what_was_made_while_a_setting_changed_is_not_kept(self, way: str, ops) -> None:
        asked: list[str] = []

        def give(texts: list[str]) -> list[Any]:
            if not asked:
                self.set_up(guarded, embedder, "prefix", "passage: ")
            asked.extend(texts)
            return [good(text) for text in texts]

        embedder = self.fake(give, prefix="query: ")
        guarded = self.guard(embedder, ops)
        for prefix in ("query: ", "passage: ", "query: ", "passage: "):
            self.set_up(guarded, embedder, "prefix", prefix)
            assert await self.ask(way, guarded, ["a"]) == [good("a")]
        assert asked == ["a"] * 3

    async def test_an_embedder_that_counts_its_calls_is_still_itself(self, way: str, ops) -> None:
        asked: list[str] = []

        def give(texts: list[str]) -> list[Any]:
            asked.extend(texts)
            return [good(text) for text in texts]

        embedder = self.fake(give, calls=0)
        guarded = self.guard(embedder, ops)
        for text in ("a", "b", "a", "b"):
            await self.ask(way, guarded, [text])
            await self.ask_query(way, guarded, text)
        assert asked == ["a", "a", "b", "b"]

    # Batches -------------------------------------------------------------------------------------

    async def test_a_batch_that_fails_does_not_lose_those_before_it(
        self, way: str, server, ops
    ) -> None:
        texts = [f"text {n}" for n in range(10)]
        server.embed = refuse("text 7")
        client = self.client(server.url, batch=3)
        guarded = self.guard(client, ops)
        with pytest.raises(Exception, match="too long"):
            await self.ask(way, guarded, [*texts, "text 0"])
        server.embed = good
        kept = sum(map(len, batches(server))) - 3  # all but the batch that failed
        assert kept >= 6
        server.requests.clear()
        found = await self.ask(way, guarded, [*texts, "text 0"])
        assert found == [short(good(text)) for text in [*texts, "text 0"]]
        assert len(inputs(server)) == 10 - kept
        assert set(inputs(server)) >= {"text 7"}
        assert max(map(len, batches(server))) <= 3

    async def test_thousands_of_texts_go_in_batches(self, way: str, ops) -> None:
        sizes: list[int] = []

        def give(texts: list[str]) -> list[Any]:
            sizes.append(len(texts))
            return [good(text) for text in texts]

        guarded = self.guard(self.fake(give), ops)
        texts = [f"text {n}" for n in range(1_200)]
        for _ in range(2):
            assert await self.ask(way, guarded, texts) == [good(text) for text in texts]
        assert sum(sizes) == 1_200
        assert max(sizes) <= 500

    async def test_one_callers_bad_text_does_not_fail_anothers(self, way: str, server, ops) -> None:
        server.embed = refuse("bad")
        guarded = self.guard(self.client(server.url), ops)
        server.gate = gate = Latch()
        first = self.begin(way, guarded, ["bad", "shared"])
        await requests_of(server, 1)
        second = self.begin(way, guarded, ["shared", "own"])
        await requests_of(server, 2)  # of what the first does not bring
        gate.open()
        async with asyncio.timeout(LONG):
            assert await second == [short(good("shared")), short(good("own"))]
            with pytest.raises(Exception, match="too long"):
                await first
        assert sorted(batches(server)) == [["bad", "shared"], ["own"], ["shared"]]

    async def test_the_bad_text_of_both_is_the_error_of_both(self, way: str, server, ops) -> None:
        server.embed = refuse("bad")
        guarded = self.guard(self.client(server.url), ops)
        server.gate = gate = Latch()
        first = self.begin(way, guarded, ["bad"])
        await requests_of(server, 1)
        second = self.begin(way, guarded, ["bad", "own"])
        await requests_of(server, 2)
        gate.open()
        async with asyncio.timeout(LONG):
            for call in (first, second):
                with pytest.raises(Exception, match="too long"):
                    await call

    async def test_what_was_paid_for_before_a_cancellation_is_kept(self, server, ops) -> None:
        guarded = self.guard(self.client(server.url, batch=1), ops)
        held = Latch()

        def embed(text: str) -> Any:
            if text == "b":
                held.wait()
            return good(text)

        server.embed = embed
        call = asyncio.ensure_future(self.aembed(guarded, ["a", "b"]))
        async with asyncio.timeout(LONG):
            await requests_of(server, 2)
            while self.kept(ops) < 1:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        held.open()
        server.requests.clear()
        assert await self.aembed(guarded, ["b", "a"]) == [short(good("b")), short(good("a"))]
        assert inputs(server) == ["b"]

    def kept(self, ops: Any) -> int:
        """Return how many vectors were stored."""
        return int(sum(row.misses for row in ops.stats() if "(batches)" not in row.name))


def good(text: str) -> list[float]:
    """Return the vector of a text: four numbers that float32 holds too."""
    return [float(len(text)), float(sum(map(ord, text)) % 97), 0.5, -0.25]


def short(vector: list[float]) -> list[float]:
    """Return a vector as it comes through float32."""
    return [float(np.float32(number)) for number in vector]


def refuse(bad: str) -> Callable[[str], Any]:
    def embed(text: str) -> Any:
        if text == bad:
            raise RefusedText("the text is too long")
        return good(text)

    return embed


async def outcome(call: Awaitable[Any]) -> Any:
    """Return what came of a call, an error included."""
    try:
        return await call
    except Exception as error:
        return error


def same(first: Any, second: Any) -> bool:
    """Return whether two answers are alike, of which NaN is like itself."""
    if isinstance(first, Exception):
        return type(first) is type(second)
    if isinstance(first, np.ndarray):
        return bool(np.array_equal(first, second, equal_nan=first.dtype.kind == "f"))
    return type(first) is type(second) and repr(first) == repr(second)


def batches(server: OpenAIServer) -> list[list[str]]:
    """Return the texts of each request."""
    found = [request["input"] for request in server.requests]
    return [[each] if isinstance(each, str) else each for each in found]


def inputs(server: OpenAIServer) -> list[str]:
    return [text for batch in batches(server) for text in batch]


async def requests_of(server: OpenAIServer, count: int) -> None:
    """Wait until so many requests are there."""
    async with asyncio.timeout(LONG):
        while len(server.requests) < count:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0)
