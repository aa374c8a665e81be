"""Signatures and encryption of the records of the index."""

from __future__ import annotations

import copy
import json
import math
from base64 import b64decode, b64encode

import pytest
from chroma_servers import fields, make_row, make_vectors, row_strategy
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.codec.encryption import Cipher
from toolops_plugins.errors import TamperedError
from toolops_plugins.semantic.index import chroma_records as records
from toolops_plugins.semantic.index.invalidations import Voids
from toolops_plugins.semantic.index.protection import Protection

SIGNED = Protection(b"secret", "desk")
ENCRYPTED = Protection(b"secret", "desk", Cipher([b"secret"]))
BOTH = pytest.mark.parametrize("protection", [SIGNED, ENCRYPTED], ids=["signed", "encrypted"])
X, Y = make_vectors(2)

rows = row_strategy(st.text(st.characters()))


def store_row(row, protection, x=X):
    """Return document and metadata as Chroma gives them back."""
    record = json.loads(json.dumps(records.metadata(row, x, protection)))
    document = records.document(row, protection)
    document.encode("utf-8")
    return document, {name: value for name, value in record.items() if value is not None}


@BOTH
@given(row=rows)
def test_every_row_comes_back(protection, row):
    document, record = store_row(row, protection)
    assert fields(records.decode(row.id, document, record, protection)) == fields(row)


def assert_refused(id_, document, record, protection):
    with pytest.raises(TamperedError):
        records.decode(id_, document, record, protection)


@BOTH
@given(row=rows, data=st.data())
def test_no_changed_bit_goes_unseen(protection, row, data):
    document, record = store_row(row, protection)
    name = data.draw(
        st.sampled_from(sorted(record.keys() - {"hits", "used", "tags", "scope", "expires"}))
    )
    text = record[name]
    place = data.draw(st.integers(0, len(text) - 1))
    other = chr(ord(text[place]) ^ (1 << data.draw(st.integers(0, 6))))
    record[name] = text[:place] + other + text[place + 1 :]
    try:
        found = records.decode(row.id, document, record, protection)
    except TamperedError:
        return
    # Base64 may have bits that count for nothing.
    assert fields(found) == fields(row)
    assert name in ("signature", "entry")


@BOTH
@given(row=rows, cut=st.integers(0, 10_000))
def test_nothing_cut_short_is_read(protection, row, cut):
    document, record = store_row(row, protection)
    for name in ("entry", "vector", "signature"):
        shorter = copy.deepcopy(record)
        shorter[name] = record[name][: cut % len(record[name])]
        assert_refused(row.id, document, shorter, protection)


@BOTH
def test_a_changed_end_or_tag_is_not_believed(protection):
    """They are there for filters; those in the entry count."""
    row = make_row(1, expires=5e9, tags=("a",))
    document, record = store_row(row, protection)
    for changes in ({"expires": 9e9}, {"expires": "x"}, {"tags": ["b"]}, {"tags": 7}):
        assert fields(records.decode(row.id, document, record | changes, protection)) == fields(row)
    del record["expires"], record["tags"]
    assert fields(records.decode(row.id, document, record, protection)) == fields(row)


@pytest.mark.parametrize("planted", [-1, 1e308, -1e308, 10**18, math.inf, -math.inf, math.nan])
def test_counts_that_are_not_signed_stay_within_bounds(planted):
    row = make_row(1)
    document, record = store_row(row, SIGNED)
    try:
        found = records.decode(
            row.id, document, record | {"hits": planted, "used": planted}, SIGNED
        )
    except TamperedError:
        assert math.isnan(planted)
        return
    assert 0 <= found.hits <= 2**53
    assert 0 <= found.used <= 2**53
    assert found.text == row.text


SWAPS = ["id", "document", "scope", "entry", "vector", "signature"]


@BOTH
@pytest.mark.parametrize("name", SWAPS)
def test_fields_of_two_rows_cannot_be_swapped(protection, name):
    one = make_row(1, scope=1, expires=5e9, tags=("a",))
    two = make_row(2, scope=2, expires=6e9, tags=("b",), data=b'"other"')
    ids = {"one": one.id, "two": two.id}
    document, record = store_row(one, protection)
    other_document, other = store_row(two, protection, Y)
    if name == "id":
        assert_refused(ids["two"], document, record, protection)
    elif name == "document":
        if protection is SIGNED:  # encrypted, no question is taken from there
            assert_refused(one.id, other_document, record, protection)
    else:
        assert_refused(one.id, document, record | {name: other[name]}, protection)


@BOTH
def test_a_whole_row_does_not_fit_another_scope_or_collection(protection):
    row = make_row(1, scope=1)
    document, record = store_row(row, protection)
    assert_refused(
        row.id, document, record | {"scope": make_row(1, scope=2).scope.hex()}, protection
    )
    assert_refused(row.id, document, record, Protection(b"secret", "other"))
    assert_refused(row.id, document, record, Protection(b"guess", "desk"))
    assert_refused(row.id, document, record, Protection(b"guess", "desk", Cipher([b"guess"])))


def test_a_record_without_a_signature_is_refused():
    row = make_row(1)
    document, record = store_row(row, SIGNED)
    del record["signature"]
    assert_refused(row.id, document, record, SIGNED)
    plain = records.metadata(row, X)
    assert records.decode(row.id, document, plain) is not None
    assert_refused(row.id, document, plain, SIGNED)


@BOTH
def test_who_has_no_secret_reads_nothing_that_is_signed(protection):
    row = make_row(1)
    assert records.decode(row.id, *store_row(row, protection)) is None


@pytest.mark.parametrize("protection", [None, SIGNED, ENCRYPTED])
@pytest.mark.parametrize("codec", ["error", "local", "pickle", "", ["json"]])
def test_a_kind_that_is_no_answer_is_refused(protection, codec):
    row = make_row(1, codec=codec if isinstance(codec, str) else "json", data=b'["ValueError",[]]')
    document, record = store_row(row, protection)
    if not isinstance(codec, str):
        entry = json.loads(record["entry"]) if protection is not ENCRYPTED else {}
        record["entry"] = json.dumps(entry | {"codec": codec})
    if protection is None:
        assert records.decode(row.id, document, record) is None
    else:
        assert_refused(row.id, document, record, protection)


scraps = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@BOTH
@given(data=st.data())
def test_no_record_of_any_form_raises_anything_else(protection, data):
    row = make_row(1, tags=("a",), expires=7.0)
    document, record = store_row(row, protection)
    names = sorted(record.keys() - {"hits", "used", "tags"})
    for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2)):
        record[name] = data.draw(scraps)
    try:
        found = records.decode(row.id, document, record, protection)
    except TamperedError:
        return
    assert fields(found) == fields(row)


def test_what_is_encrypted_shows_no_question_answer_or_tag():
    row = make_row(1, text="is ann pregnant?", data=b'"congratulations"', tags=("ann",))
    for changes in ({}, {"text": None, "traits": '["pregnant"]'}):
        one = make_row(1, **{name: getattr(row, name) for name in ("data", "tags")} | changes)
        document, record = store_row(one, ENCRYPTED)
        shown = document + json.dumps(record)
        shown += b64decode(record["entry"].removeprefix("encrypted:")).decode("latin-1")
        for word in ("pregnant", "congratulations", "ann", b64encode(row.data).decode()):
            assert word not in shown
    assert ENCRYPTED.tag("ann") == ENCRYPTED.tag("ann") != ENCRYPTED.tag("bob")


def test_what_was_signed_before_encryption_was_asked_for_is_read():
    row = make_row(1, tags=("a",))
    assert fields(records.decode(row.id, *store_row(row, SIGNED), ENCRYPTED)) == fields(row)
    for kind in ("state", "void"):
        encode, decode = (f"{verb}_{kind}" for verb in ("encode", "decode"))
        old = getattr(SIGNED, encode)("p", b"learned")
        assert getattr(ENCRYPTED, decode)("p", old) == b"learned"


@BOTH
@pytest.mark.parametrize("kind", ["state", "void"])
def test_states_and_invalidations_are_signed(protection, kind):
    encode, decode = (getattr(protection, f"{verb}_{kind}") for verb in ("encode", "decode"))
    record = encode("p", b"learned")
    assert decode("p", record) == b"learned"
    others = [
        ("q", record),
        ("p", {kind: record[kind]}),
        ("p", record | {kind: b64encode(b"other").decode()}),
        ("p", record | {"signature": 7}),
        ("p", record | {"signature": "ä"}),
        ("p", {}),
    ]
    for id_, changed in others:
        with pytest.raises(TamperedError):
            decode(id_, changed)
    other = "void" if kind == "state" else "state"
    with pytest.raises(TamperedError):  # what is signed as one is not good as the other
        getattr(protection, f"decode_{other}")("p", {other: record[kind], **record})


def test_rows_older_than_an_invalidation_are_void():
    voids = Voids()
    row = make_row(1, tags=("a", "b"), created=10.0)
    assert not voids.covers(row)
    for names in ({"ids": [row.id]}, {"tags": ["b"]}, {"scopes": [row.scope]}):
        voids = Voids()
        voids.add(10.0, **names)
        assert voids.covers(row)
        assert not voids.covers(make_row(2, scope=2, tags=("c",), created=1.0))
        assert not voids.covers(make_row(1, tags=("a", "b"), created=10.5))
        again = Voids.loads(voids.dumps())
        assert again.covers(row)
        merged = Voids()
        merged.merge(again)
        merged.add(9.0, **names)  # an older one takes nothing back
        assert merged.covers(row)
    voids.add(11.0, everything=True)
    assert len(voids) == 0
    assert voids.covers(make_row(2, created=11.0))
    assert Voids.loads(voids.dumps()).covers(row)


def test_a_row_that_is_written_after_an_invalidation_is_younger_though_the_clock_stands():
    voids = Voids()
    row = make_row(1, created=voids.row_time(5.0))
    voids.add(voids.void_time(5.0), ids=[row.id])
    assert voids.covers(row)
    new = make_row(1, created=voids.row_time(5.0))
    assert not voids.covers(new)
    voids.add(voids.void_time(3.0), ids=[row.id])  # the clock has gone back
    assert voids.covers(new)
    assert not voids.covers(make_row(1, created=voids.row_time(3.0)))


def test_invalidations_are_bounded():
    voids = Voids()
    for number in range(12_000):
        voids.add(float(number), ids=[f"{number:032x}"])
    assert len(voids) == 10_000
    assert voids.covers(make_row(1, id=f"{11_999:032x}", created=1.0))


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"[1,2,3,4]", b"[null,{},{},{},{}]", b"\xff"])
def test_what_is_no_table_of_invalidations_is_refused(data):
    with pytest.raises(ValueError):
        Voids.loads(data)
