"""New ids of tool calls: their shape, and that no two are alike."""

from __future__ import annotations

import re
import uuid

import pytest
from adapters.adapter_ids import COUNTERS, NAMED, SHAPES
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.adapters.call_ids import CallIds

ids = st.text(max_size=40) | st.from_regex(r"[a-z]{0,5}[_-]?[A-Za-z0-9]{0,30}", fullmatch=True)


@pytest.mark.parametrize(("old", "shape"), SHAPES)
def test_a_new_id_has_the_shape_of_the_old_one(old: str, shape: str) -> None:
    assert re.fullmatch(shape, old)
    made = {CallIds().renew(old, "get_weather") for _ in range(20)}
    assert all(re.fullmatch(shape, new) and len(new) == len(old) for new in made)
    assert len(made) == 20
    assert old not in made


@pytest.mark.parametrize("number", range(20))
def test_a_new_uuid_is_a_valid_one(number: int) -> None:
    old = uuid.uuid5(uuid.NAMESPACE_URL, str(number)) if number % 2 else uuid.uuid4()
    new = uuid.UUID(CallIds().renew(str(old)))
    assert (new.version, new.variant) == (old.version, old.variant)
    assert uuid.UUID(CallIds().renew(uuid.uuid4().hex)).version == 4


@pytest.mark.parametrize("old", NAMED)
def test_an_id_made_of_the_tools_name_stays(old: str) -> None:
    assert CallIds().renew(old, "get_weather") == old


@pytest.mark.parametrize(("old", "shape"), COUNTERS)
def test_a_counter_becomes_a_number_that_is_unique(old: str, shape: str) -> None:
    made = {CallIds().renew(old, "get_weather") for _ in range(20)}
    assert len(made) == 20
    assert all(re.fullmatch(shape, new) for new in made)


def test_an_empty_id_stays_empty() -> None:
    assert CallIds().renew("") == ""


@given(st.lists(ids.filter(bool), unique=True, max_size=30))
def test_no_two_ids_of_one_answer_are_alike(olds: list[str]) -> None:
    new_ids = CallIds()
    new = [new_ids.renew(old) for old in olds]
    assert len(set(new)) == len(olds)
    assert [new_ids.renew(old) for old in olds] == new


@given(ids)
def test_what_is_neither_letter_nor_digit_stays_in_its_place(old: str) -> None:
    new = CallIds().renew(old)
    assert len(new) >= len(old)
    for before, after in zip(old, new, strict=False):
        if not (before.isascii() and before.isalnum()):
            assert after == before
        else:
            assert (after.isdigit(), after.isupper()) == (before.isdigit(), before.isupper())


def test_an_id_that_grows_in_a_stream_begins_as_it_did() -> None:
    new_ids = CallIds()
    first, second, third = map(new_ids.renew, ("call_", "call_aB3d", "call_aB3dE6gH9"))
    assert first == "call_"
    assert third.startswith(second)
    assert re.fullmatch(r"call_[A-Za-z0-9]{9}", third)
    assert third != "call_aB3dE6gH9"
    # The provider's own chunks hold no more than the rest.
    assert new_ids.replace({"id": "E6gH9"}) == {"id": third.removeprefix(second)}


def test_the_ids_in_what_a_tool_is_given_are_its_own() -> None:
    new_ids = CallIds()
    new = new_ids.renew("7")
    call = {"id": "7", "args": {"id": "7"}, "function": {"arguments": {"call_id": "7"}}}
    replaced = new_ids.replace([call])
    assert replaced == [
        {"id": new, "args": {"id": "7"}, "function": {"arguments": {"call_id": "7"}}}
    ]
    assert call["id"] == "7"


def test_what_belongs_to_each_call_goes_with_it() -> None:
    new_ids = CallIds()
    olds = ["call_Ab12Cd34Ef56", "call_Gh78Ij90Kl12"]
    news = [new_ids.renew(old) for old in olds]
    signatures = {"signatures": dict(zip(olds, ["c2ln", "bmVk"], strict=True))}
    assert new_ids.replace(signatures) == {
        "signatures": dict(zip(news, ["c2ln", "bmVk"], strict=True))
    }


def test_the_id_of_an_item_is_renewed_with_that_of_its_call() -> None:
    item = {"type": "function_call", "id": "fc_0123456789abcdef", "call_id": "call_Ab12Cd34Ef56"}
    new_ids = CallIds()
    new_ids.renew(item["call_id"])
    new_ids.add_items([item])
    (new,) = new_ids.replace([item])
    assert re.fullmatch("fc_[0-9a-f]{16}", new["id"])
    assert re.fullmatch("call_[A-Za-z0-9]{12}", new["call_id"])
    assert new["id"] != item["id"]


def test_the_id_of_an_item_stays_behind_the_reasoning_that_names_it() -> None:
    item = {"type": "function_call", "id": "fc_0123456789abcdef", "call_id": "call_Ab12Cd34Ef56"}
    content = [{"type": "reasoning", "id": "rs_1", "summary": []}, item]
    new_ids = CallIds()
    new = new_ids.renew(item["call_id"])
    new_ids.add_items(content)
    assert new_ids.replace(content) == [content[0], {**item, "call_id": new}]
