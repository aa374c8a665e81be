"""A Chroma server that processes share: lookups on event loops, and their failures."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chroma_servers import ChromaServer, make_row, make_vectors, scope_of

from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.semantic.index import chroma_connection
from toolops_plugins.semantic.index import chroma_server as server_module
from toolops_plugins.semantic.index.chroma import Store
from toolops_plugins.semantic.index.chroma_server import Server

NOW = 500.0


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine is shared: only the test of a server that hangs is about time."""
    monkeypatch.setattr(chroma_connection, "_TIMEOUT", 40.0)


@pytest.fixture
def store(chroma_server: ChromaServer, collection: str) -> Iterator[Store]:
    store = Store(url=chroma_server.url, collection=collection, embedder="test", dimension=16)
    store.open()
    yield store
    store.close()


async def find_ids(store: Store, number: int = 0) -> list[str]:
    x = make_vectors(20)
    (hits,) = await store.asearch([scope_of(0)], x[number : number + 1], 3, NOW)
    return [row.id for row, _ in hits]


def test_both_faces_agree(store: Store) -> None:
    x = make_vectors(40)
    store.write([make_row(n, n % 2, expires=NOW if n % 3 == 1 else NOW + 1) for n in range(40)], x)
    scopes = [scope_of(0), scope_of(1), scope_of(2)]

    async def ask() -> Any:
        try:
            return await store.asearch(scopes, x[:3], 5, NOW)
        finally:
            await store._link.queries.aclose()

    one, two = store.search(scopes, x[:3], 5, NOW), asyncio.run(ask())
    assert [[(row.id, s) for row, s in hits] for hits in one] == [
        [(row.id, s) for row, s in hits] for hits in two
    ]
    assert [len(hits) for hits in one] == [5, 5, 0]


def test_each_loop_has_its_own_connections_and_closes_them(store: Store) -> None:
    store.write([make_row(n) for n in range(20)], make_vectors(20))
    for number in range(server_module._LOOPS + 3):
        assert asyncio.run(find_ids(store, number))[0] == make_row(number).id
        gc.collect()  # a connection that was left open is a warning, and an error
    assert len(store._link.queries._seats) <= server_module._LOOPS


async def test_a_loop_in_another_thread(store: Store) -> None:
    await asyncio.to_thread(store.write, [make_row(n) for n in range(20)], make_vectors(20))
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(find_ids(store, 3))))
    mine = await find_ids(store, 4)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert mine[0] == make_row(4).id
    assert results[0][0] == make_row(3).id
    await store.aclose()


async def test_many_lookups_at_once(store: Store) -> None:
    await asyncio.to_thread(store.write, [make_row(n) for n in range(20)], make_vectors(20))
    answers = await asyncio.gather(*(find_ids(store, n % 20) for n in range(100)))
    assert [ids[0] for ids in answers] == [make_row(n % 20).id for n in range(100)]
    await store.aclose()
    await store.aclose()
    await asyncio.to_thread(store.open)
    assert (await find_ids(store, 1))[0] == make_row(1).id
    await store.aclose()


async def test_a_lookup_before_opening_is_a_tier_error(
    chroma_server: ChromaServer, collection: str
) -> None:
    store = Store(url=chroma_server.url, collection=collection, embedder="test", dimension=16)
    with pytest.raises(TierError, match="not open"):
        await find_ids(store)


async def test_a_cancelled_lookup_leaves_the_next_unharmed(store: Store) -> None:
    await asyncio.to_thread(store.write, [make_row(n) for n in range(20)], make_vectors(20))
    for steps in range(6):
        task = asyncio.ensure_future(find_ids(store))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert (await find_ids(store, 2))[0] == make_row(2).id
    await store.aclose()


async def test_a_collection_that_another_process_replaced(
    store: Store, chroma_server: ChromaServer
) -> None:
    await asyncio.to_thread(store.write, [make_row(n) for n in range(20)], make_vectors(20))
    assert len(await find_ids(store)) == 3
    options: Any = {"collection": store._link.name, "embedder": "test", "dimension": 16}
    other = Store(url=chroma_server.url, **options)
    await asyncio.to_thread(other.clear)
    await asyncio.to_thread(other.write, [make_row(7)], make_vectors(1))
    assert await find_ids(store) == [make_row(7).id]
    assert await asyncio.to_thread(store.count) == 1
    await asyncio.to_thread(other.clear)
    await asyncio.to_thread(store.write, [make_row(8)], make_vectors(1))
    assert await find_ids(store) == [make_row(8).id]
    # Made anew with another embedder, it is none of ours any more.
    await asyncio.to_thread(other._link.client.delete_collection, store._link.name)
    third = Store(url=chroma_server.url, **(options | {"embedder": "other"}))
    await asyncio.to_thread(third.open)
    with pytest.raises(TierError, match="other"):
        await find_ids(store)
    with pytest.raises((TierError, ConfigurationError), match="other"):
        await asyncio.to_thread(store.search, [scope_of(0)], make_vectors(1), 3, NOW)
    await asyncio.to_thread(other.close)
    await asyncio.to_thread(third.close)
    await store.aclose()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_two_processes_share_what_they_store(store: Store, chroma_server: ChromaServer) -> None:
    assert store.search([scope_of(0)], make_vectors(1), 3, NOW) == [[]]
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            signal.alarm(40)
            # The parent's store, but none of its connections.
            assert store._link.queries._client is None
            store.write([make_row(1)], make_vectors(1))
            assert len(store.search([scope_of(0)], make_vectors(1), 3, NOW)[0]) == 1
            store.states.write("child", b"learned")
            status = 7
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    ((hit, _),) = store.search([scope_of(0)], make_vectors(1), 3, NOW)[0]
    assert hit.id == make_row(1).id
    assert store.states.read() == {"child": b"learned"}


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as taken:  # bound, but it listens to nobody
        taken.bind(("127.0.0.1", 0))
        store = Store(
            url=f"http://127.0.0.1:{taken.getsockname()[1]}", embedder="test", dimension=16
        )
        with pytest.raises(TierError, match="Chroma at http://127"):
            store.count()


async def test_a_server_that_hangs_dies_and_comes_back(
    own_server: ChromaServer, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(url=own_server.url, collection=collection, embedder="test", dimension=16)
    x = make_vectors(20)
    await asyncio.to_thread(store.write, [make_row(n) for n in range(20)], x)
    own_server.pause()
    link = store._link
    with monkeypatch.context() as hasty:
        hasty.setattr(link, "timeout", 0.2)
        hasty.setattr(link.queries, "timeout", 0.2)
        with pytest.raises(TierError):
            await find_ids(store)
        with pytest.raises(TierError):
            await asyncio.to_thread(store.search, [scope_of(0)], x[:1], 3, NOW)
    own_server.stop()
    with pytest.raises(TierError):
        await find_ids(store)
    await asyncio.to_thread(own_server.start)
    assert len(await find_ids(store)) == 3
    again = await asyncio.to_thread(store.search, [scope_of(0)], x[:1], 3, NOW)
    assert len(again[0]) == 3
    await store.aclose()


def test_a_folder_moves_to_a_server_and_back(tmp_path: Path) -> None:
    x = make_vectors(20)
    folder = Store(path=tmp_path / "data", embedder="test", dimension=16)
    folder.write([make_row(n) for n in range(10)], x[:10])
    folder.close()
    server = ChromaServer(tmp_path / "data")
    try:
        shared = Store(url=server.url, embedder="test", dimension=16)
        shared.write([make_row(n) for n in range(10, 20)], x[10:])
        assert [h[0][0].id for h in shared.search([scope_of(0)] * 20, x, 1, NOW)] == [
            make_row(n).id for n in range(20)
        ]
        shared.close()
    finally:
        server.stop()
    assert folder.count() == 20
    folder.close()


@pytest.mark.parametrize(
    ("url", "base", "tenant"),
    [
        ("http://localhost", "http://localhost:8000", "default_tenant"),
        ("https://chroma.example", "https://chroma.example:443", "default_tenant"),
        ("http://[::1]:9/prefix/?tenant=a%20b", "http://[::1]:9/prefix", "a b"),
    ],
)
def test_urls(url: str, base: str, tenant: str) -> None:
    server = Server(url)
    assert (server.base, server.tenant) == (base, tenant)


def test_signed_rows_come_back_whatever_their_numbers(
    chroma_server: ChromaServer, collection: str
) -> None:
    """The server's parser may round a number by its last bit."""
    store = Store(
        url=chroma_server.url,
        collection=collection,
        embedder="test",
        dimension=16,
        secret=b"secret",
    )
    rows = [
        make_row(n, created=1.7e9 + n / 7, expires=1.8e9 + n / 3, took=n / 9, price=n / 11)
        for n in range(200)
    ]
    store.write(rows, make_vectors(200))
    assert sum(len(found) for found, _ in store.load()) == 200
    assert store.tampered == 0
    store.close()
