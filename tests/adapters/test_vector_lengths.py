"""The length of an embedder's vectors is that of most of its texts, for each role and tenant."""

from __future__ import annotations

import pytest

from toolops_plugins.adapters.embedding_vectors import VectorLengths, is_packed, pack_vector


def packed(length: int) -> bytes:
    vector = pack_vector([1.0] * length, "x")
    assert vector is not None
    return vector


def nobody() -> str:
    return ""


def test_the_length_of_most_texts_is_expected():
    lengths = VectorLengths()
    assert lengths.learn("text", [("a", 2)]) == 2
    assert lengths.learn("text", [("b", 3)]) == 2  # as many, so it stays
    assert lengths.learn("text", [("b", 3)]) == 2  # one text, however often it is asked for
    assert lengths.learn("text", [("c", 3)]) == 3
    assert lengths.fit("text", {"a": packed(2), "b": packed(3)}, nobody) == {"b": packed(3)}


def test_equally_many_texts_of_two_lengths_decide_nothing():
    lengths = VectorLengths()
    assert lengths.learn("text", [("a", 2), ("b", 3)]) is None
    assert lengths.learn("text", [("c", 3)]) == 3


def test_roles_and_tenants_are_apart():
    lengths = VectorLengths()
    assert lengths.learn("text", [("a", 2)], "alice") == 2
    assert lengths.learn("text", [("a", 3)], "bob") == 3
    assert lengths.learn("query", [("a", 4)], "alice") == 4  # by one text as well
    found = {"a": packed(2)}
    assert lengths.fit("text", found, lambda: "alice") == found
    assert lengths.fit("text", found, lambda: "bob") == {}


def test_several_texts_of_one_role_decide_for_another_until_it_shows_its_own():
    lengths = VectorLengths()
    assert lengths.learn("text", [("a", 3), ("b", 3)]) == 3
    assert lengths.learn("query", [("a", 2)]) == 3
    assert lengths.fit("query", {"a": packed(2)}, nobody) == {}
    assert lengths.learn("query", [("a", 2)]) == 3
    assert lengths.learn("query", [("b", 2)]) == 2
    assert lengths.learn("text", [("c", 3)]) == 3


def test_the_tenant_is_not_asked_while_all_vectors_have_one_length():
    lengths = VectorLengths()
    lengths.learn("text", [("a", 2)], "alice")
    found = {"b": packed(2)}
    assert lengths.fit("text", found, pytest.fail) == found


def test_what_the_settings_ask_for_is_the_length_whatever_came_before():
    declared = [None, 3]
    lengths = VectorLengths(lambda: declared[0])
    assert lengths.learn("text", [("a", 2)]) == 2
    declared.reverse()
    assert lengths.learn("text", [("b", 2)]) == 3
    assert lengths.fit("text", {"a": packed(2), "b": packed(3)}, nobody) == {"b": packed(3)}


def test_cached_vectors_tell_the_length_to_a_new_process():
    lengths = VectorLengths()
    found = {"a": packed(3), "b": packed(3), "c": packed(2)}
    assert lengths.fit("text", found, nobody) == {"a": packed(3), "b": packed(3)}
    assert lengths.learn("text", [("d", 2)]) == 3


@pytest.mark.parametrize(
    ("found", "is_vector"),
    [
        (pack_vector([1.7e308, -1.7e308], "x"), True),
        (pack_vector([0.0, -0.0], ""), True),
        (b"", False),
        (b"seven b", False),
        (b"\x00\x00\x00\x00\x00\x00\xf8\x7f", False),  # NaN
        (b"\x00\x00\x00\x00\x00\x00\xf0\xff", False),  # minus infinity
        ("12345678", False),
    ],
)
def test_what_is_found_is_a_vector_only_if_it_could_have_been_kept(found, is_vector):
    assert is_packed(found) is is_vector
