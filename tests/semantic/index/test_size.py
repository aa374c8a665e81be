"""The size of a full index in which scopes come and go."""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from callers import LONG
from chroma_servers import make_row, make_vectors
from servers import wait_for

from toolops_plugins import Cache, Memory, Semantic, SemanticCache, ToolOps
from toolops_plugins.semantic.index import index as module
from toolops_plugins.semantic.index.chroma import Store

MOST = 64


def ours() -> Counter[str]:
    """Count the objects of this library's classes, and the containers that they hold."""
    gc.collect()
    return Counter(
        type(each).__name__
        for each in gc.get_objects()
        if str(type(each).__module__).startswith("toolops_plugins")
    )


@pytest.mark.parametrize("max_error", [None, 0.05], ids=["threshold", "bounded"])
def test_scopes_that_come_and_go_leave_nothing_behind(tmp_path: Path, max_error: Any) -> None:
    semantic = SemanticCache(tmp_path, max_items=MOST, flush_every=0.01)
    with ToolOps("size", [Memory(max_items=MOST)], semantic=semantic) as ops:

        @ops.tool(cache=Cache(ttl=60.0), semantic=Semantic(on="question", max_error=max_error))
        def ask(question: str, user: int) -> str:
            return question.upper()

        def come_and_go(first: int, last: int) -> None:
            for user in range(first, last):
                ask(f"What is the price of item {user % 40}?", user)
            semantic.flush()

        come_and_go(0, 200)
        before = ours()
        index = semantic.answers.index
        come_and_go(200, 800)
        grown = {name: n - before[name] for name, n in ours().items() if n > before[name] + 8}
        assert grown == {}
        memory = index.memory
        assert len(memory) <= MOST
        assert memory.scopes() <= MOST
        assert len(memory._ids) <= 2 * MOST + 64
        assert len(memory._ends) <= 2 * MOST + 64
        assert len(memory._tags) == 0
        assert len(index._evicted) < module._EVICTED
        assert len(index.copies) == 0
        # What made room is deleted from the store too, some hundred at a time.
        wait_for(
            lambda: index.store.count() <= MOST + module._EVICTED + 1, "room in the store", LONG
        )
    with SemanticCache(tmp_path, max_items=MOST, collection=semantic._collection) as again:
        again.open()
        assert again.answers.index.store.count() <= MOST + 1


def test_places_of_what_was_deleted_are_reclaimed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(
        "toolops_plugins.semantic.index.chroma_connection.INDEX",
        {"hnsw": {"space": "ip", "sync_threshold": 20, "batch_size": 10}},
    )
    store = Store(path=tmp_path, embedder="test", dimension=16)
    x = make_vectors(300)
    for start in range(0, 300, 50):
        rows = [make_row(n) for n in range(start, start + 50)]
        store.write(rows, x[start : start + 50])
        if start:
            store.delete([make_row(n).id for n in range(start - 50, start)])
    assert store.count() == 50
    before = store._link.places()
    assert before > 200
    assert not store.compact(1_000)
    assert store.compact(100)
    assert store.stale
    store.rebuild()
    assert not store.stale
    assert store.count() == 50
    assert store._link.places() < before / 2
    ((hit, similarity), *_) = store.search([make_row(0).scope], x[299:], 1, 0.0)[0]
    assert hit.id == make_row(299).id
    assert similarity > 0.99
    store.close()


def test_a_sweep_ends_and_opens_nothing_where_the_index_is_closed_meanwhile(tmp_path: Path) -> None:
    with SemanticCache(tmp_path) as cache:
        cache.put("What is the price of the lamp?", "12", ttl=0.001)
        cache.flush()
        index = cache.answers.index
        index._close_store()
        memory = index.memory
        wait_for(lambda: memory.ids_past_expiry(index.clock.time(), 1), "the end of its life", LONG)
        index.sweep()
        index._upkeep()
        index._delete_if_open(["any"])
    with SemanticCache(tmp_path) as again:  # nobody holds the folder
        again.open()
