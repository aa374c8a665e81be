"""The Chroma store in a folder, in memory and on a server."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from chroma_servers import ChromaServer, fields, make_row, make_vectors, scope_of

from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.semantic.index import chroma as store_module
from toolops_plugins.semantic.index.chroma import Store
from toolops_plugins.semantic.index.rows import Row

NOW = 500.0
KINDS = ("folder", "server", "memory")
# A user's client of a server differs from a URL in how it connects, not in what is asked of it.
WITH_HTTP_CLIENT = pytest.mark.parametrize("make", [*KINDS, "http client"], indirect=True)


@pytest.fixture(params=KINDS)
def make(
    request: pytest.FixtureRequest, tmp_path: Any, collection: str
) -> Iterator[Callable[..., Store]]:
    """Makes stores of one and the same collection."""
    import chromadb
    from chromadb.config import Settings

    silent = Settings(anonymized_telemetry=False)
    client: Any = None
    made: list[Store] = []
    if request.param == "folder":
        place: dict[str, Any] = {"path": tmp_path / "index"}
    elif request.param == "memory":
        client = chromadb.EphemeralClient(settings=silent)
        place = {"client": client}
    else:
        server: ChromaServer = request.getfixturevalue("chroma_server")
        place = {"url": server.url}
        if request.param == "http client":
            client = chromadb.HttpClient(server.host, server.port, settings=silent)
            place = {"client": client}

    def new(**options: Any) -> Store:
        values = {"collection": collection, "embedder": "test", "dimension": 16}
        made.append(Store(**place, **(values | options)))
        return made[-1]

    yield new
    for store in made:
        store.close()
    if client is not None:
        client.close()
        if request.param == "http client":
            for part in (client, client._admin_client):  # Chroma leaves them open
                part._server._session.close()


@pytest.fixture
def store(make: Callable[..., Store]) -> Store:
    return make()


def load_all(store: Store, page: int = 2_000) -> dict[str, tuple[Row, Any]]:
    return {
        row.id: (row, x)
        for rows, vectors in store.load(page)
        for row, x in zip(rows, vectors, strict=True)
    }


def texts(found: list[tuple[Row, float]]) -> list[str | None]:
    return [row.text for row, _ in found]


@WITH_HTTP_CLIENT
def test_rows_come_back_as_they_were(store: Store) -> None:
    rows = [
        make_row(0, tags=("a", "ü b"), expires=2000.5, hits=3, used=1234.5),
        make_row(1, text=None, traits='{"numbers": ["5"]}'),
        make_row(2, text=None, traits=None),
        make_row(3, text="", data=b""),
        make_row(4, text="line\nbreak \x00 and \U0001f600 and half \ud83d"),
        make_row(5, tags=("half \ud83d",), price=math.inf),
    ]
    vectors = make_vectors(6)
    store.write(rows, vectors)
    found = load_all(store, page=4)
    assert [fields(found[row.id][0]) for row in rows[:5]] == [fields(row) for row in rows[:5]]
    assert found[rows[5].id][0].tags == ("half \\ud83d",)
    for row, x in zip(rows, vectors, strict=True):
        np.testing.assert_allclose(found[row.id][1], x, atol=2e-4)
        assert abs(float(found[row.id][1] @ x) - 1) < 1e-6
        assert found[row.id][1].dtype == np.float32


def test_nothing_is_there_at_first(store: Store) -> None:
    assert store.count() == 0
    assert list(store.load()) == []
    assert store.search([scope_of(0)], make_vectors(1), 5, NOW) == [[]]
    assert store.states.read() == {}


@WITH_HTTP_CLIENT
def test_search_finds_the_nearest_of_its_scope_with_true_cosines(store: Store) -> None:
    vectors = make_vectors(60)
    for scope in range(3):
        store.write([make_row(n, scope) for n in range(60)], vectors)
    question = make_vectors(2, seed=9)
    found = store.search([scope_of(1), scope_of(2)], question, 10, NOW)
    for scope, x, hits in zip((1, 2), question, found, strict=True):
        cosines = vectors @ x
        best = np.argsort(-cosines)[:10]
        assert [row.id for row, _ in hits] == [make_row(int(n), scope).id for n in best]
        np.testing.assert_allclose([s for _, s in hits], cosines[best], atol=1e-5)
        assert {row.scope for row, _ in hits} == {scope_of(scope)}


def test_one_text_in_two_scopes_stands_side_by_side(store: Store) -> None:
    x = make_vectors(1)
    store.write([make_row(1, 1)], x)
    store.write([make_row(1, 2)], x)
    assert store.count() == 2
    for scope in (1, 2):
        ((row, cosine),) = store.search([scope_of(scope)], x, 5, NOW)[0]
        assert row.scope == scope_of(scope)
        assert cosine == pytest.approx(1.0, abs=1e-5)
    assert store.search([scope_of(3)], x, 5, NOW) == [[]]


def test_what_has_expired_is_not_found(store: Store) -> None:
    x = make_vectors(1)
    rows = [make_row(0, expires=NOW), make_row(1, expires=NOW + 0.001), make_row(2)]
    store.write(rows, np.repeat(x, 3, axis=0))
    assert {row.id for row, _ in store.search([scope_of(0)], x, 5, NOW)[0]} == {
        rows[1].id,
        rows[2].id,
    }


def test_many_expired_entries_do_not_hide_a_live_one(store: Store) -> None:
    x = make_vectors(2)
    rows = [make_row(n, expires=NOW) for n in range(100)]
    store.write([*rows, make_row(100)], np.concatenate([np.repeat(x[:1], 100, axis=0), x[:1]]))
    ((row, _),) = store.search([scope_of(0)], x[:1], 3, NOW)[0]
    assert row.id == make_row(100).id


def test_the_same_id_replaces_all_of_the_older_entry(store: Store) -> None:
    x = make_vectors(2)
    store.write([make_row(1, tags=("old",), expires=NOW + 1)], x[:1])
    store.write([make_row(1, text=None, traits="{}", data=b"new")], x[1:])
    ((row, cosine),) = store.search([scope_of(0)], x[1:], 5, NOW + 2)[0]
    assert fields(row) == fields(make_row(1, text=None, traits="{}", data=b"new"))
    assert cosine == pytest.approx(1.0, abs=1e-5)
    assert store.delete_where(tags=["old"]) == 0
    assert store.count() == 1


def test_of_two_rows_with_one_id_in_a_batch_the_last_stays(store: Store) -> None:
    x = make_vectors(3)
    rows = [make_row(1, data=b"first"), make_row(2), make_row(1, data=b"last")]
    store.write(rows, x)
    row, vector = load_all(store)[rows[0].id]
    assert row.data == b"last"
    np.testing.assert_allclose(vector, x[2], atol=2e-4)
    assert store.count() == 2


def test_a_write_larger_than_a_batch(store: Store) -> None:
    rows = [make_row(n) for n in range(1_100)]
    store.write(rows, make_vectors(1_100))
    assert store.count() == 1_100
    assert set(load_all(store, page=500)) == {row.id for row in rows}


@WITH_HTTP_CLIENT
def test_large_answers(store: Store) -> None:
    rows = [make_row(n, data=bytes([n]) * 3_000_000) for n in range(3)]
    store.write(rows, make_vectors(3))
    assert {row.data for row, _ in load_all(store).values()} == {row.data for row in rows}


def test_delete(store: Store) -> None:
    rows = [make_row(n) for n in range(5)]
    store.write(rows, make_vectors(5))
    store.delete([rows[0].id, rows[1].id, rows[1].id, "unknown"])
    store.delete([])
    assert set(load_all(store)) == {row.id for row in rows[2:]}
    found = store.search([scope_of(0)], make_vectors(1), 5, NOW)[0]
    assert {row.id for row, _ in found} == {row.id for row in rows[2:]}


@pytest.mark.parametrize(
    ("wanted", "gone"),
    [
        ({"tags": ["a"]}, {0, 1}),
        ({"tags": ["a", "c"]}, {0, 1, 2}),
        ({"tags": ["half \ud83d"]}, {3}),
        ({"tags": ["$contains"]}, set()),
        ({"tags": []}, set()),
        ({"scope": scope_of(1)}, {4}),
        ({"expired": 100.0}, {1, 2}),
        ({"tags": ["a"], "expired": 100.0}, {1}),
        ({"tags": ["a"], "scope": scope_of(1)}, set()),
    ],
)
def test_delete_where(store: Store, wanted: dict[str, Any], gone: set[int]) -> None:
    rows = [
        make_row(0, tags=("a", "b")),
        make_row(1, tags=("a",), expires=50.0),
        make_row(2, tags=("c",), expires=100.0),
        make_row(3, tags=("half \ud83d",), expires=100.5),
        make_row(4, 1),
    ]
    store.write(rows, make_vectors(5))
    assert store.delete_where(**wanted) == len(gone)
    assert set(load_all(store)) == {row.id for n, row in enumerate(rows) if n not in gone}


def test_delete_where_wants_to_know_which(store: Store) -> None:
    with pytest.raises(ValueError, match="at least one of tags"):
        store.delete_where()


def test_touch_persists_use_and_nothing_else(store: Store) -> None:
    row = make_row(1, tags=("a",), expires=NOW)
    store.write([row], make_vectors(1))
    row.hits, row.used = 7, 4321.5
    ghost = make_row(2)
    store.touch([row, row, ghost])
    assert [fields(found) for found, _ in load_all(store).values()] == [fields(row)]


@pytest.mark.parametrize("same", [False, True])
def test_shrink_drops_what_was_served_longest_ago(store: Store, same: bool) -> None:
    rows = [make_row(n, used=7.0 if same else 1000.0 + n) for n in range(50)]
    store.write(rows, make_vectors(50))
    assert store.shrink(50) == 0
    assert store.shrink(40) == 12  # with room for a twentieth of 40
    left = set(load_all(store))
    assert len(left) == 38
    if not same:
        assert left == {row.id for row in rows[12:]}


def test_shrink_estimates_from_a_sample(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_SAMPLE", 60)
    monkeypatch.setattr(random, "sample", random.Random(1).sample)
    rows = [make_row(n, used=1000.0 + n) for n in range(300)]
    store.write(rows, make_vectors(300))
    gone = store.shrink(200)
    assert 50 <= gone <= 110  # 110 are wanted, and a sample of 60 is coarse
    assert store.count() == 300 - gone
    assert {row.id for row in rows[200:]} <= set(load_all(store))


@WITH_HTTP_CLIENT
def test_clear_leaves_a_store_that_works(make: Callable[..., Store]) -> None:
    store, other = make(), make()
    x = make_vectors(3)
    store.write([make_row(n) for n in range(3)], x)
    assert other.count() == 3
    store.states.write("p", b"learned")
    store.clear()
    for each in (store, other):
        assert each.count() == 0
        assert each.search([scope_of(0)], x[:1], 5, NOW) == [[]]
    other.write([make_row(9)], x[:1])
    assert texts(store.search([scope_of(0)], x[:1], 5, NOW)[0]) == [make_row(9).text]
    assert store.states.read() == {"p": b"learned"}


@WITH_HTTP_CLIENT
def test_learned_states(make: Callable[..., Store]) -> None:
    store = make()
    large = bytes(range(256)) * 1_000
    store.states.write("one", b"\x00old")
    store.states.write("one", large)
    store.states.write("two", b"")
    assert make().states.read() == {"one": large, "two": b""}
    store.states.drop(["one", "unknown"])
    store.states.drop([])
    assert store.states.read() == {"two": b""}
    assert store.count() == 0


def test_records_of_other_hands_are_passed_over_and_counted(store: Store) -> None:
    x = make_vectors(8)
    store.write([make_row(0)], x[:1])
    good = store._link.collection.get(include=["metadatas", "embeddings", "documents"])
    record, folded = good["metadatas"][0], good["embeddings"][0]
    broken: list[Any] = [
        {"n": 1},
        record | {"entry": "{"},
        record | {"entry": "[" * 10_000},
        record | {"entry": '{"codec": 3}'},
        record | {"hits": "many"},
        record | {"scope": "zz"},
        record | {"expires": "never"},
        record | {"tags": 5},
    ]
    ids = [f"{n:032x}" for n in range(1, 9)]
    store._link.collection.add(ids=ids, embeddings=np.stack([folded] * 8), metadatas=broken)
    store._link.collection.add(ids=["no id of ours"], embeddings=[folded], metadatas=[record])
    store._link.collection.add(ids=["a" * 32], embeddings=[folded])
    store._link.collection.add(
        ids=["b" * 32],
        embeddings=[folded],
        metadatas=[record | {"vector": "AAAA"}],
        documents=["?"],
    )
    assert set(load_all(store)) == {make_row(0).id}
    assert store.skipped == 11
    found = store.search([scope_of(0)], x[:1], 20, NOW)[0]
    # The entry with a broken vector can be served, as it was found by a good one.
    assert {row.id for row, _ in found} == {make_row(0).id, "b" * 32}
    store.states.write("good", b"state")
    store._link.state.add(ids=["bad"], embeddings=[[1.0]], metadatas=[{"state": "%%%"}])
    assert store.states.read() == {"good": b"state"}


def test_people_can_read_what_is_stored(store: Store) -> None:
    store.write([make_row(1, tags=("a",))], make_vectors(1))
    found = store._link.collection.get()
    assert found["documents"] == ["what is question 1?"]
    assert found["metadatas"][0]["tags"] == ["a"]


@WITH_HTTP_CLIENT
def test_another_embedder_is_refused_and_both_are_named(make: Callable[..., Store]) -> None:
    make().open()
    for options in ({"embedder": "other"}, {"dimension": 17}):
        with pytest.raises(ConfigurationError, match=r"embedder.*'test' of 16.*choose another"):
            make(**options).open()


def test_a_collection_of_somebody_else_is_refused(make: Callable[..., Store]) -> None:
    store = make()
    store.open()
    store._link.client.create_collection(f"{store._link.name}-foreign", embedding_function=None)
    with pytest.raises(ConfigurationError, match="not made by toolops-plugins"):
        make(collection=f"{store._link.name}-foreign").open()
    store._link.client.create_collection(
        f"{store._link.name}-later", embedding_function=None, metadata={"toolops_layout": 999}
    )
    with pytest.raises(ConfigurationError, match="layout 999"):
        make(collection=f"{store._link.name}-later").open()


@WITH_HTTP_CLIENT
def test_a_closed_store_opens_again(make: Callable[..., Store]) -> None:
    store = make()
    store.close()
    store.write([make_row(1)], make_vectors(1))
    store.close()
    store.close()
    assert store.count() == 1


@WITH_HTTP_CLIENT
def test_threads_share_a_store(store: Store) -> None:
    vectors = make_vectors(24)

    def work(number: int) -> int:
        store.write([make_row(number)], vectors[number : number + 1])
        found = store.search([scope_of(0)], vectors[number : number + 1], 3, NOW)[0]
        store.touch([make_row(number, hits=1)])
        return int(found[0][0].id == make_row(number).id)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(24))) == 24
    assert store.count() == 24
    assert {row.hits for row, _ in load_all(store).values()} == {1}


@WITH_HTTP_CLIENT
def test_what_chroma_refuses_is_a_tier_error(store: Store) -> None:
    with pytest.raises(TierError, match="Chroma at"):
        store.write([make_row(1, id="")], make_vectors(1) * math.nan)
    with pytest.raises(TierError, match="1, 7.*takes .1, 16"):
        store.write([make_row(1)], make_vectors(1, dimension=7))
    with pytest.raises(TierError, match="1, 7.*takes .1, 16"):
        store.search([scope_of(0)], make_vectors(1, dimension=7), 5, NOW)
    store.write([make_row(1)], make_vectors(1))
    assert store.count() == 1
