"""Rows as Chroma's records, and scopes folded into vectors."""

from __future__ import annotations

import json
import math

import numpy as np
from chroma_servers import fields, make_row, make_vectors, row_strategy, scope_of
from hypothesis import given
from hypothesis import strategies as st

from toolops_plugins.semantic.index import chroma_records as records
from toolops_plugins.semantic.index.chroma_scopes import CODE, fold, similarity

rows = row_strategy(st.text(st.characters(codec="utf-8")))


@given(rows)
def test_every_row_comes_back(row):
    x = make_vectors(1)[0]
    record = records.metadata(row, x)
    json.dumps(record).encode("utf-8")
    document = records.document(row)
    document.encode("utf-8")
    found = records.decode(row.id, document, {k: v for k, v in record.items() if v is not None})
    assert fields(found) == fields(row)


scraps = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.data())
def test_no_record_of_any_form_raises(data):
    row = make_row(1, tags=("a",), expires=7.0)
    record = records.metadata(row, make_vectors(1)[0])
    entry = json.loads(record["entry"])
    for target in (entry, record):
        for name in data.draw(st.lists(st.sampled_from(sorted(target)), max_size=2)):
            target[name] = data.draw(scraps)
    if data.draw(st.booleans()):
        record["entry"] = json.dumps(entry)
    id_ = data.draw(st.just(row.id) | st.text())
    document = data.draw(st.none() | st.text())
    found = records.decode(id_, document, data.draw(st.just(record) | scraps))
    if found is not None:
        assert isinstance(found.data, bytes)
        assert isinstance(found.expires, float)
    records.vector(record, 16)


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 10), st.integers(1, 100))
def test_parts_cover_all_and_keep_to_their_bounds(sizes, size, weight):
    some = [make_row(n, text=None, data=b"x" * length) for n, length in enumerate(sizes)]
    parts = list(records.parts(some, size, weight))
    assert [row for part in parts for row in some[part]] == some
    for part in parts:
        load = sum(len(row.data) for row in some[part])
        assert 1 <= part.stop - part.start <= size
        assert load <= weight or part.stop - part.start == 1


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1))
def test_the_cosine_follows_from_the_folded_vectors(scope, seed):
    x = make_vectors(2, 64, seed)
    folded = fold([scope, scope], x)
    assert folded.shape == (2, 64 + CODE)
    assert folded.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(folded, axis=1), 1, atol=1e-5)
    assert abs(similarity(1 - float(folded[0] @ folded[1])) - float(x[0] @ x[1])) < 1e-5


def test_codes_do_not_change_between_versions_and_machines():
    """Stored records were folded with these codes."""
    folded = fold([bytes(range(16))], np.zeros((1, 2), np.float32))[0]
    signs = "".join("+" if value > 0 else "-" for value in folded[2:])
    assert signs == SIGNS
    np.testing.assert_allclose(np.abs(folded[2:]), math.sqrt(3 / 4 / 32), rtol=1e-6)


SIGNS = "+---+++++-+--+--+--+----+-+---+-"


def test_scopes_are_far_apart():
    x = np.repeat(make_vectors(1, 64), 1000, axis=0)
    folded = fold([scope_of(n) for n in range(1000)], x)
    between = np.sort((folded @ folded.T)[np.triu_indices(1000, 1)])
    # The same question in another scope counts as less like it than another one in its own.
    assert similarity(1 - float(between[len(between) * 999 // 1000])) < 0
    assert similarity(1 - float(between[-1])) < 0.5
