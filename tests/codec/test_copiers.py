"""Copies of small values from templates."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from callers import shaken

from toolops_plugins.codec import Codec, codec

CODEC = Codec()


def nested(number: int) -> dict[str, Any]:
    return {
        "ticker": f"ticker {number}",
        "price": number + 0.5,
        "open": True,
        "venues": [f"venue {number}", f"other {number}"],
        "rows": [{"at": [number + 1_000], "none": None}, {}],
    }


SMALL = [
    {},
    [],
    {"a": 1},
    ["a", 1.5, None],
    [[[[]]]],
    nested(1),
    {"due": date(2026, 1, 2), "price": Decimal("1.50"), 1: (1, "a"), "raw": b"\0"},
]


def containers_of(value: Any) -> list[Any]:
    if not isinstance(value, dict | list):
        return []
    items = value.values() if isinstance(value, dict) else value
    return [value, *(container for item in items for container in containers_of(item))]


@pytest.mark.parametrize("value", SMALL, ids=repr)
def test_copies_of_a_small_value_share_nothing_that_can_change(value: Any) -> None:
    payload = CODEC.encode(value)
    copies = [CODEC.decode(payload) for _ in range(3)]
    assert payload.copy is not None
    assert [repr(copy) for copy in copies] == [repr(value)] * 3
    assert payload.data is None
    assert CODEC.data(payload) == CODEC.data(CODEC.encode(value))
    again = CODEC.encode(value)
    CODEC.decode(again)
    assert again == payload
    found = [id(container) for each in (value, *copies) for container in containers_of(each)]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "value",
    [{"a": {1, 2}}, {"a": bytearray(b"x")}, [[1], {"b": {"c": {3}}}]],
    ids=repr,
)
def test_a_value_with_other_objects_that_can_change_is_read_again(value: Any) -> None:
    payload = CODEC.encode(value)
    first, second = CODEC.decode(payload), CODEC.decode(payload)
    assert first == second == value
    assert payload.copy is None


@pytest.mark.parametrize(
    "value", [["x" * 5_000], [0] * 200, [[]] * 40], ids=["text", "parts", "lists"]
)
def test_a_large_value_gets_no_template(value: Any) -> None:
    payload = CODEC.encode(value)
    assert CODEC.decode(payload) == CODEC.decode(payload) == value
    assert payload.copy is None
    assert payload.size < len(CODEC.data(payload)) + 200


def test_no_two_copies_share_a_key_that_can_change() -> None:
    @dataclass(frozen=True)
    class Ticker:
        name: str
        notes: list[str] = field(default_factory=list, compare=False)

    own = Codec()
    own.register(Ticker)
    payload = own.encode({Ticker("ACME"): 1})
    for value in [own.decode(payload) for _ in range(3)]:
        [ticker] = value
        assert not ticker.notes
        ticker.notes.append("a caller's own")


def test_a_loaded_value_gets_a_template_too() -> None:
    payload = CODEC.load("json", b'{"a":[1]}')
    values = [CODEC.decode(payload) for _ in range(3)]
    assert payload.copy is not None
    assert values == [{"a": [1]}] * 3
    values[0]["a"].append(2)
    values[1]["a"].append(3)
    assert values[2] == CODEC.decode(payload) == {"a": [1]}


def test_an_escaped_character_counts_as_wide_as_it_becomes() -> None:
    data = b'{"text":"' + b"x" * 1_000 + rb"\ud83d\ude00" + b'"}'
    payload = CODEC.load("json", data)
    CODEC.decode(payload)
    text = CODEC.decode(payload)["text"]
    assert payload.size > sys.getsizeof(text) > 4_000


def test_threads_that_read_at_once_all_get_copies() -> None:
    payloads = [CODEC.encode({"a": [number]}) for number in range(50)]
    results = []

    def read() -> None:
        for payload in payloads:
            results.append(CODEC.decode(payload))
            assert CODEC.data(payload)

    shaken(codec, read)
    assert len(results) == 8 * 50
    assert len({id(result["a"]) for result in results}) == 8 * 50
    assert sorted(result["a"][0] for result in results) == sorted(list(range(50)) * 8)


@pytest.mark.parametrize(
    "make",
    [
        nested,
        lambda number: {"text": f"{number:01000}"},
        lambda number: {"text": f"{number:01000}\U0001f600"},
        lambda number: {f"key {number} {at}": at + 1_000 for at in range(30)},
        lambda number: [[number + 1_000] for _ in range(15)],
        lambda number: [[[[[[number + 1_000]]]]]],
    ],
    ids=["nested", "text", "emoji", "wide", "rows", "deep"],
)
def test_a_template_takes_no_more_memory_than_is_counted(make: Any) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        payloads = [CODEC.encode(make(number)) for number in range(500)]
        for payload in payloads:
            CODEC.decode(payload)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.3 < taken / sum(payload.size for payload in payloads) < 1.05
    assert all(payload.copy is not None for payload in payloads)
