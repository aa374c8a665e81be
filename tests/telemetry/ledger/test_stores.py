"""Stores of a ledger keep and add up alike: SQLite, Redis, a cluster, and behind a Sentinel."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import examples
from servers import Server, start_valkey, wait_for

from toolops_plugins.cache.redis import Redis
from toolops_plugins.telemetry.ledger import Command, LedgerError, LedgerReader, StoredNotice
from toolops_plugins.telemetry.ledger.levels import DAY
from toolops_plugins.telemetry.ledger.records import ProcessState
from toolops_plugins.telemetry.ledger.redis_store import RedisStore
from toolops_plugins.telemetry.ledger.sqlite import SQLiteStore
from toolops_plugins.telemetry.ledger.store import Batch, Record, Store
from toolops_plugins.telemetry.ledger.sums import Cell

KINDS = ("sqlite", "redis", "cluster", "sentinel")

MakeStore = Callable[[], Store]


@pytest.fixture(params=KINDS)
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    """A function that opens the same empty ledger each time, as each process does."""
    made: list[Store] = []
    name = {"redis": "valkey", "cluster": "valkey_cluster", "sentinel": "valkey_sentinels"}
    server = request.getfixturevalue(name[request.param]) if request.param in name else None

    def make() -> Store:
        if server is None:
            store: Store = SQLiteStore(tmp_path / "ledger.db")
        else:
            store = RedisStore.of_url(server.url)
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


def state(namespace: str, name: str = "w1", **more: Any) -> ProcessState:
    return ProcessState(name, "host", 1, namespace, **more)


def batch(
    namespace: str,
    sums: dict[tuple[int, Cell], Record] | None = None,
    *,
    writer: str = "w1",
    serial: int = 1,
    notices: list[StoredNotice] | None = None,
) -> Batch:
    return Batch(writer, serial, sums or {}, notices or [], state(namespace, writer))


def minute_of(store: Store) -> int:
    return int(store.now()) // 60 * 60


def total(store: Store, namespace: str) -> Record:
    """Return the sums of the last two days, whatever their tool."""
    found: Record = {}
    now = int(store.now())
    for _, cell, data in store.read(DAY, (now - DAY) // DAY * DAY, now + DAY, namespace):
        if cell.namespace == namespace:
            record: Record = orjson.loads(data)
            for group, numbers in record.items():
                sums = found.setdefault(group, {})
                for name, number in numbers.items():
                    sums[name] = sums.get(name, 0) + number
    return found


def test_batches_add_up_at_every_level(make_store: MakeStore, namespace: str):
    store, other = make_store(), make_store()
    at = minute_of(store)
    cell = Cell(namespace, "f", "chat", "gpt", "a")
    store.add(batch(namespace, {(at, cell): {"o": {"hit": 2}, "n": {"spent_cost": 0.1}}}))
    more: Record = {"o": {"hit": 1, "miss": 3}, "n": {"spent_cost": 0.2}, "w": {"7": 4}}
    other.add(batch(namespace, {(at, cell): more}, writer="w2"))
    for level in (60, 600, 3_600, DAY):
        start = at - at % level
        ((found_at, found, data),) = (
            row for row in store.read(level, start, start + level) if row[1].namespace == namespace
        )
        assert (found_at, found) == (start, cell)
        record = orjson.loads(data)
        assert record["o"] == {"hit": 3, "miss": 3}
        assert record["w"] == {"7": 4}
        assert record["n"]["spent_cost"] == pytest.approx(0.3)


def test_a_batch_that_comes_twice_counts_once(make_store: MakeStore, namespace: str):
    store = make_store()
    at = minute_of(store)
    sums: dict[tuple[int, Cell], Record] = {(at, Cell(namespace, "f")): {"o": {"hit": 2}}}
    notice = StoredNotice("breaker", "b", at=float(at), namespace=namespace)
    first = batch(namespace, sums, notices=[notice])
    store.add(first)
    store.add(first)
    make_store().add(first)
    assert total(store, namespace) == {"o": {"hit": 2}}
    mine = [each for each in store.notices(at - 1, at + 1, 1_000) if each.namespace == namespace]
    assert mine == [notice]
    store.add(batch(namespace, sums, serial=2))
    assert total(store, namespace) == {"o": {"hit": 4}}


def test_odd_names_come_back(make_store: MakeStore, namespace: str):
    store = make_store()
    at = minute_of(store)
    odd = Cell(f"{namespace} {{a}}:*é\n", 'tool "x" {y}', "chat", "模型", "agent\x00 1")
    store.add(batch(odd.namespace, {(at, odd): {"o": {"hit": 1}, "e": {"Ärger": 2}}}))
    ((_, found, data),) = (
        row for row in store.read(60, at, at + 60) if row[1].namespace == odd.namespace
    )
    assert found == odd
    assert orjson.loads(data)["e"] == {"Ärger": 2}


def test_large_numbers_stay_exact(make_store: MakeStore, namespace: str):
    store = make_store()
    at, cell = minute_of(store), Cell(namespace, "f")
    for serial, count in enumerate((12_345_678_901, 1), 1):
        store.add(batch(namespace, {(at, cell): {"n": {"input_tokens": count}}}, serial=serial))
    assert total(store, namespace) == {"n": {"input_tokens": 12_345_678_902}}


def test_processes_are_listed_while_they_write(make_store: MakeStore, namespace: str):
    store = make_store()
    first = state(namespace, "w1", version="1", tiers=(), index={"entries": 3})
    store.add(Batch("w1", 1, {}, [], first))
    store.add(batch(namespace, writer="w2"))
    found = {each.id: each for each in store.processes() if each.namespace == namespace}
    assert set(found) == {"w1", "w2"}
    assert found["w1"].index == {"entries": 3}
    assert abs(found["w1"].seen - store.now()) < 30


def test_commands_reach_their_namespace_for_a_minute(make_store: MakeStore, namespace: str):
    store = make_store()
    with_reader = LedgerReader(store)
    store.add(batch(namespace))
    sent = with_reader.send(Command("invalidate", namespace, tags=("a", "b")))
    assert [*store.add(batch(namespace, serial=2))] == [sent]
    assert [*store.add(batch(f"{namespace}-2", writer="w2"))] == []
    old = Command("invalidate", namespace, tags=("c",), id="old", sent=store.now() - 61)
    store.send(old)
    assert old not in store.add(batch(namespace, serial=3))


@pytest.mark.parametrize("make_store", ["sqlite", "redis"], indirect=True)
@pytest.mark.parametrize(
    "odd",
    [
        {"kind": "shut_down"},  # of a later version
        {"kind": ["invalidate"]},
        {"tags": [1]},
        {"tags": None},
        {"name": None},
        {"id": 7},
        {"sent": "now"},
    ],
)
def test_commands_that_nobody_can_read_do_not_stop_the_ledger(
    make_store: MakeStore, namespace: str, odd: dict[str, Any]
):
    store = make_store()
    store.add(batch(namespace))
    sent = store.now()

    class Odd(Command):
        def to_record(self) -> dict[str, Any]:
            return super().to_record() | odd

    store.send(Odd("invalidate", namespace, tags=("a",), id="odd", sent=sent))
    good = Command("invalidate", namespace, tags=("b",), id="good", sent=sent)
    store.send(good)
    assert [*store.add(batch(namespace, serial=2))] == [good]


@pytest.mark.parametrize("make_store", ["sqlite", "redis"], indirect=True)
def test_threads_and_stores_add_up_exactly(make_store: MakeStore, namespace: str):
    stores = [make_store() for _ in range(4)]
    at, cell = minute_of(stores[0]), Cell(namespace, "f")

    def write(number: int, store: Store) -> None:
        for serial in range(1, 26):
            record: Record = {"o": {"hit": number + 1, "miss": 1}, "w": {str(serial): 1}}
            store.add(batch(namespace, {(at, cell): record}, writer=f"w{number}", serial=serial))

    threads = [threading.Thread(target=write, args=each) for each in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = total(stores[0], namespace)
    assert found["o"] == {"hit": 25 * (1 + 2 + 3 + 4), "miss": 100}
    assert found["w"] == {str(serial): 4 for serial in range(1, 26)}


NUMBERS = st.dictionaries(
    st.sampled_from(["hit", "miss", "612", "é"]), st.integers(1, 10**9), min_size=1, max_size=3
)
RECORDS = st.dictionaries(st.sampled_from("otwn"), NUMBERS, min_size=1, max_size=3)


@pytest.fixture(scope="module")
def redis_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisStore]:
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    store = RedisStore.of_url(server.url)
    yield store
    store.close()
    server.stop()


@examples(0.2)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), RECORDS), max_size=8))
def test_random_increments_are_summed_alike(
    redis_ledger: RedisStore, tmp_path_factory: pytest.TempPathFactory, parts: list[Any]
):
    namespace = f"random-{time.monotonic_ns()}"
    files = SQLiteStore(tmp_path_factory.mktemp("ledger") / "ledger.db")
    for store in (files, redis_ledger):
        at = minute_of(store)
        for serial, (writer, tool, record) in enumerate(parts, 1):
            sums = {(at - 60 * writer, Cell(namespace, f"tool {tool}")): record}
            store.add(batch(namespace, sums, writer=f"{namespace}-{writer}", serial=serial))
    wanted: Record = {}
    for _, _, record in parts:
        for group, numbers in record.items():
            sums = wanted.setdefault(group, {})
            for name, number in numbers.items():
                sums[name] = sums.get(name, 0) + number
    assert total(files, namespace) == total(redis_ledger, namespace) == wanted
    files.close()


# SQLite -------------------------------------------------------------------------------------------


def test_old_records_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = SQLiteStore(tmp_path / "ledger.db", retention=3_600)
    now = 1_800_000_000.0
    monkeypatch.setattr(store, "now", lambda: now)
    cell = Cell("n", "f")
    store.add(batch("n", {(int(now), cell): {"o": {"hit": 1}}}))
    now += 3 * DAY
    store.add(batch("n", {(int(now), cell): {"o": {"hit": 1}}}, serial=2))
    now += 3_700  # after such a jump of the clock, nothing is dropped for an hour
    store.add(batch("n", serial=3))
    assert len(list(store.read(60, 0, int(now)))) == 1
    assert len(list(store.read(DAY, 0, int(now)))) == 1
    store.close()


def test_a_clock_far_ahead_drops_nothing_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    right, wrong = (SQLiteStore(tmp_path / "ledger.db") for _ in range(2))
    at = minute_of(right)
    right.add(batch("n", {(at, Cell("n", "f")): {"o": {"hit": 1}}}))
    monkeypatch.setattr(wrong, "now", lambda: time.time() + 3_000 * DAY)
    wrong.add(batch("n", writer="w2"))
    assert list(right.read(60, at, at + 60))
    right.close()
    wrong.close()


def test_a_file_that_is_locked_is_waited_for(tmp_path: Path):
    store = SQLiteStore(tmp_path / "ledger.db")
    store.add(batch("n"))
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    writing = threading.Thread(target=store.add, args=(batch("n", serial=2),))
    writing.start()
    other.execute("COMMIT")
    other.close()
    writing.join()
    store.close()


def test_a_folder_that_is_missing_is_one_clear_line(tmp_path: Path):
    with pytest.raises(LedgerError, match=r"sqlite:///.*unable to open database file"):
        SQLiteStore(tmp_path / "absent" / "ledger.db").add(batch("n"))


def test_a_full_disk_changes_nothing_and_is_got_over(tmp_path: Path):
    store = SQLiteStore(tmp_path / "ledger.db")
    at = minute_of(store)
    store.add(batch("n", {(at, Cell("n", "f")): {"o": {"hit": 1}}}))
    assert store._connection is not None
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    full = {(at, Cell("n", f"tool {number}")): {"o": {"hit": 1}} for number in range(500)}
    with pytest.raises(LedgerError, match="disk is full"):
        store.add(batch("n", full, serial=2))
    assert total(store, "n") == {"o": {"hit": 1}}
    store._connection.execute("PRAGMA max_page_count = 1000000")
    store.add(batch("n", full, serial=2))
    assert total(store, "n") == {"o": {"hit": 501}}
    store.close()


def test_a_file_that_was_deleted_is_made_again(tmp_path: Path):
    store = SQLiteStore(tmp_path / "ledger.db")
    store.add(batch("n"))
    for path in tmp_path.glob("ledger.db*"):
        path.unlink()
    at = minute_of(store)
    store.add(batch("n", {(at, Cell("n", "f")): {"o": {"hit": 1}}}, serial=2))
    assert total(SQLiteStore(tmp_path / "ledger.db", read_only=True), "n") == {"o": {"hit": 1}}
    store.close()


# Redis --------------------------------------------------------------------------------------------


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    server = start_valkey(tmp_path)
    yield server
    server.stop()


def test_a_tier_lends_its_servers(valkey: Server, namespace: str):
    store = RedisStore.of_tier(Redis(valkey.url))
    at = minute_of(store)
    store.add(batch(namespace, {(at, Cell(namespace, "f")): {"o": {"hit": 1}}}))
    assert total(store, namespace) == {"o": {"hit": 1}}
    assert store.place == valkey.url
    store.close()


def test_all_keys_expire_and_lie_in_one_slot(own_server: Server):
    store = RedisStore.of_url(own_server.url)
    at = minute_of(store)
    store.add(batch("a b", {(at, Cell("a b", "f")): {"o": {"hit": 1}}}))
    with own_server.client(decode_responses=True) as client:
        names: list[Any] = client.keys("*")
        sums = [key for key in names if key.count(":") == 4]
        assert len(sums) == 4
        slots = {client.execute_command("CLUSTER", "KEYSLOT", key) for key in client.keys("*{a*")}
        assert len(slots) == 1
        assert all(0 < client.ttl(key) <= 404 * DAY for key in sums)
    store.close()


def test_a_server_without_memory_refuses_a_batch_as_a_whole(own_server: Server):
    store = RedisStore.of_url(own_server.url)
    at = minute_of(store)
    store.add(batch("n", {(at, Cell("n", "f")): {"o": {"hit": 1}}}))
    own_server.command("CONFIG", "SET", "maxmemory", "1")
    more: dict[tuple[int, Cell], Record] = {
        (at, Cell("n", name)): {"o": {"hit": 1}} for name in "fg"
    }
    with pytest.raises(LedgerError, match="OutOfMemoryError|OOM"):
        store.add(batch("n", more, serial=2))
    own_server.command("CONFIG", "SET", "maxmemory", "0")
    assert total(store, "n") == {"o": {"hit": 1}}
    store.add(batch("n", more, serial=2))
    assert total(store, "n") == {"o": {"hit": 3}}
    store.close()


def test_a_server_that_is_down_is_one_clear_line_and_found_again(own_server: Server):
    store = RedisStore.of_url(own_server.url)
    store.add(batch("n"))
    own_server.stop()
    with pytest.raises(LedgerError, match=r"redis://127\.0\.0\.1:\d+/0: ConnectionError"):
        store.add(batch("n", serial=2))
    with pytest.raises(LedgerError, match="ConnectionError"):
        RedisStore.of_url(own_server.url, read_only=True)
    own_server.start()
    wait_for(lambda: store.add(batch("n", serial=2)) == [], "the server")
    store.close()


def test_a_newer_ledger_in_redis_is_refused_and_an_absent_one_named(own_server: Server):
    with pytest.raises(LedgerError, match="no process has written"):
        RedisStore.of_url(own_server.url, read_only=True)
    store = RedisStore.of_url(own_server.url)
    store.add(batch("n"))
    own_server.command("HSET", "toolops:{n}:ledger:meta", "version", "99")
    with pytest.raises(LedgerError, match=r"version 99.*upgrade"):
        RedisStore.of_url(own_server.url, read_only=True)
    with pytest.raises(LedgerError, match=r"version 99.*upgrade"):
        store.add(batch("n", serial=2))
    store.close()
