"""An embedded folder: locked by one process, shared in it, and intact after a kill."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from callers import start
from chroma_servers import fields, make_row, make_vectors, scope_of
from servers import wait_for

from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.semantic.index import chroma_connection
from toolops_plugins.semantic.index.chroma import Store
from toolops_plugins.semantic.index.chroma_folder import index_files
from toolops_plugins.semantic.index.chroma_folder_lock import FolderLock

NOW = 500.0
LONG = 40.0  # seconds after which a process is taken to hang; only a failing test waits them


def open_store(folder: Path, **options: Any) -> Store:
    store = Store(path=folder, **({"embedder": "test", "dimension": 16} | options))
    store.open()
    return store


def ids_of(store: Store) -> set[str]:
    return {row.id for rows, _ in store.load() for row in rows}


@pytest.fixture
def child(tmp_path: Path) -> Any:
    """Starts other processes, which run a script with the tests' helpers at hand."""
    running: list[subprocess.Popen[str]] = []
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}

    def start(script: str, *args: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PRELUDE + script, *map(str, args)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


PRELUDE = """
import os, sys
from pathlib import Path
import numpy as np
from chroma_servers import make_row, make_vectors
from toolops_plugins.semantic.index import chroma_connection as module
from toolops_plugins.semantic.index.chroma import Store
folder = Path(sys.argv[1])
module.INDEX["hnsw"] |= {"sync_threshold": 20, "batch_size": 10}
store = Store(path=folder, embedder="test", dimension=16)
store.open()
print("open", flush=True)
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path, child: Any) -> None:
    other = child("sys.stdin.read()", tmp_path)
    assert other.stdout.readline() == "open\n"
    with pytest.raises(ConfigurationError) as caught:
        open_store(tmp_path)
    text = str(caught.value)
    assert str(tmp_path) in text
    assert f"pid {other.pid}" in text
    assert f"chroma run --path {tmp_path}" in text
    assert "SemanticCache(url='http://localhost:8000')" in text
    other.kill()
    other.wait()
    open_store(tmp_path).close()


def test_a_closed_folder_is_free_for_others(tmp_path: Path, child: Any) -> None:
    one, two = open_store(tmp_path), open_store(tmp_path)
    one.close()
    with pytest.raises(ConfigurationError, match="another process"):
        open_in_child(tmp_path, child)
    two.close()
    assert child("", tmp_path).stdout.readline() == "open\n"


def open_in_child(folder: Path, child: Any) -> None:
    process = child("", folder)
    if process.stdout.readline() != "open\n":
        raise ConfigurationError("path", "another process")


def test_stores_of_one_folder_share_a_client(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "index", target_is_directory=True)
    one, two = open_store(tmp_path / "index"), open_store(tmp_path / "link")
    assert one._link.client is two._link.client
    one.write([make_row(1)], make_vectors(1))
    assert two.count() == 1
    one.close()
    assert two.count() == 1
    two.close()


def test_a_folder_is_let_go_of_between_two_writes(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    folder = store._link.folder
    with folder.write_note():
        closing = start(store.close)
        wait_for(lambda: store._link.folder is None, "the closing", LONG)
        assert state(tmp_path) == "w"
    closing.result(LONG)
    assert state(tmp_path) == "-"
    with pytest.raises(TierError, match="closed"), folder.write_note():
        pass


def test_a_client_of_the_user_is_used_and_left_open(tmp_path: Path, child: Any) -> None:
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    with chromadb.PersistentClient(str(tmp_path), settings=settings) as client:
        store = Store(client=client, embedder="test", dimension=16)
        store.write([make_row(1)], make_vectors(1))
        assert not store.shared
        with pytest.raises(ConfigurationError, match="another process"):
            open_in_child(tmp_path, child)
        store.close()
        assert client.get_collection("toolops", embedding_function=None).count() == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "exactly one"),
        ({"path": "x", "url": "http://localhost"}, "exactly one"),
        ({"url": "localhost:8000"}, "must be like"),
        ({"url": "http://me:secret@localhost"}, "credentials"),
        ({"url": "http://localhost?user=me"}, "unknown option: 'user'"),
        ({"url": "http://localhost:port"}, "not a URL"),
        ({"url": "http://me:se/cret@localhost"}, "not a URL"),
        ({"client": object()}, "no client of chromadb"),
        ({"path": "x", "collection": "a"}, "3 to 500"),
        ({"path": "x", "collection": "no spaces"}, "3 to 500"),
        ({"path": "x", "dimension": 0}, "whole number"),
    ],
)
def test_wrong_settings(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        Store(**({"embedder": "test", "dimension": 16} | options))
    assert "secret" not in str(caught.value)


async def test_an_asynchronous_client_is_refused(chroma_server: Any) -> None:
    import chromadb

    client = await chromadb.AsyncHttpClient(chroma_server.host, chroma_server.port)
    try:
        with pytest.raises(ConfigurationError, match="asynchronous"):
            Store(client=client, embedder="test", dimension=16)
    finally:
        await client._server._cleanup()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        open_store(tmp_path / "file" / "index")


def test_without_chromadb_the_command_to_install_it_is_told(tmp_path: Path) -> None:
    script = "import sys; sys.path_importer_cache.clear(); sys.modules['chromadb'] = None\n"
    script += "from toolops_plugins.semantic.index import chroma, chroma_connection\n"
    script += "chroma_connection.find_spec = lambda name: None\n"
    script += "chroma.Store(path='x', embedder='e', dimension=2)"
    process = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert 'pip install "toolops-plugins[semantic]"' in process.stderr


def test_closing_leaves_no_files_open(tmp_path: Path) -> None:
    def open_files() -> list[str]:
        found = []
        for link in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # the listing's own
                found.append(str(link.readlink()))
        return [name for name in found if name.startswith(str(tmp_path))]

    for _ in range(3):
        store = open_store(tmp_path)
        store.write([make_row(1)], make_vectors(1))
        store.search([scope_of(0)], make_vectors(1), 5, NOW)
        assert open_files()
        store.close()
    wait_for(lambda: not open_files(), "the files' end")  # Chroma's own threads close them


# -- forks --------------------------------------------------------------------------------------


def run_in_fork(body: Any) -> int:
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            signal.alarm(int(LONG))
            status = body()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_uses_neither_the_client_nor_the_lock(tmp_path: Path, child: Any) -> None:
    store = open_store(tmp_path)
    store.write([make_row(1)], make_vectors(1))

    def body() -> int:
        for attempt in (
            store.count,
            lambda: list(store.load()),
            lambda: store.search([scope_of(0)], make_vectors(1), 5, NOW),
            lambda: store.write([make_row(2)], make_vectors(1)),
        ):
            with pytest.raises(TierError, match="forked"):
                attempt()
        with pytest.raises(ConfigurationError, match="in use by another process"):
            open_store(tmp_path)
        store.close()
        return 7

    assert run_in_fork(body) == 7
    with pytest.raises(ConfigurationError, match="another process"):
        open_in_child(tmp_path, child)
    assert store.count() == 1
    store.close()


def test_a_child_that_outlives_a_killed_parent_does_not_hold_the_lock(
    tmp_path: Path, child: Any
) -> None:
    script = """
import signal
if os.fork() == 0:
    print("child", os.getpid(), flush=True)
    signal.pause()
os.wait()
"""
    parent = child(script, tmp_path)
    assert parent.stdout.readline() == "open\n"
    orphan = int(parent.stdout.readline().split()[1])
    try:
        parent.kill()
        parent.wait()
        open_store(tmp_path).close()
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_a_forked_child_can_exit_as_usual(tmp_path: Path, child: Any) -> None:
    """Chroma's own destructor would wait for threads that the child does not have."""
    script = """
pid = os.fork()
if pid == 0:
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
store.close()
"""
    out, _ = child(script, tmp_path).communicate(timeout=LONG)
    assert out.split() == ["open", "3"]


# -- kills --------------------------------------------------------------------------------------

WRITE = """
number = int(sys.argv[2])
while True:
    rows = [make_row(n) for n in range(number, number + 5)]
    store.write(rows, np.concatenate([make_vectors(1, seed=n) for n in range(number, number + 5)]))
    number += 5
    print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_was_committed(tmp_path: Path, child: Any) -> None:
    committed = 0
    for moment in (0.0, 0.017, 0.05):
        process = child(WRITE, tmp_path, committed)
        assert process.stdout.readline() == "open\n"
        process.stdout.readline()
        time.sleep(moment)  # the moment of the kill is what is tested, nothing is waited for
        process.kill()
        out, _ = process.communicate()
        numbers = [committed + 5, *map(int, out.split())]
        committed = numbers[-1]
        store = open_store(tmp_path)
        store.rebuild()
        found = {
            row.id: (row, x) for rows, xs in store.load() for row, x in zip(rows, xs, strict=True)
        }
        missed = 0
        for number in range(committed):
            row, x = found[make_row(number).id]
            assert fields(row) == fields(make_row(number))
            np.testing.assert_allclose(x, make_vectors(1, seed=number)[0], atol=2e-4)
            ((hit, cosine),) = store.search([scope_of(0)], x[None], 1, NOW)[0]
            if hit.id == row.id:
                assert cosine > 0.9999
            else:
                missed += 1
        # HNSW is approximate: once in many runs it returned a neighbour of one row.
        assert missed <= max(1, committed // 100)
        assert store.skipped == 0
        store.close()


@pytest.mark.parametrize("how", ["cut", "old"])
def test_an_index_that_was_torn_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Chroma crashes on one that is cut in two, and does not notice that one is old."""
    monkeypatch.setitem(chroma_connection.INDEX["hnsw"], "sync_threshold", 50)
    monkeypatch.setitem(chroma_connection.INDEX["hnsw"], "batch_size", 20)
    x = make_vectors(120)
    rows = [make_row(n, n % 2) for n in range(120)]
    store = open_store(tmp_path)
    store.write(rows[:60], x[:60])
    (files,) = index_files(tmp_path, "toolops")
    shutil.copytree(files, tmp_path / "old")
    store.write(rows[60:], x[60:])
    store.states.write("p", b"learned")
    store.close()
    if how == "old":
        shutil.rmtree(files)
        (tmp_path / "old").rename(files)
    else:
        for file in files.iterdir():
            os.truncate(file, file.stat().st_size // 2)
    (tmp_path / "toolops.lock").write_text('w{"pid": 1, "stale": []}\n')

    store = open_store(tmp_path)
    assert store.stale
    assert ids_of(store) == {row.id for row in rows}
    assert store.states.read() == {"p": b"learned"}
    store.delete([rows[0].id])
    store.touch([rows[1]])
    store.write([make_row(500)], x[:1])
    store.close()

    store = open_store(tmp_path)  # a rebuild may wait for the next process
    assert store.stale
    store.rebuild(page=50)
    assert not store.stale
    for number in range(1, 120):
        ((hit, _),) = store.search([scope_of(number % 2)], x[number : number + 1], 1, NOW)[0]
        assert hit.id == rows[number].id
    assert store.count() == 120
    store.close()
    store = open_store(tmp_path)
    assert not store.stale
    store.close()


def test_collections_of_others_in_the_folder_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    theirs = store._link.client.create_collection(
        "theirs",
        metadata={"owner": "somebody"},
        embedding_function=None,
        configuration={"hnsw": {"sync_threshold": 10, "batch_size": 5}},
    )
    theirs.add(ids=[str(n) for n in range(40)], embeddings=make_vectors(40))
    store.close()
    (tmp_path / "toolops.lock").write_text("w")
    store = open_store(tmp_path)
    theirs = store._link.client.get_collection("theirs", embedding_function=None)
    assert len(theirs.get(include=["embeddings"])["embeddings"]) == 40
    store.close()


def test_a_folder_that_a_server_left_broken_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(chroma_connection.INDEX["hnsw"], "sync_threshold", 50)
    monkeypatch.setitem(chroma_connection.INDEX["hnsw"], "batch_size", 20)
    store = open_store(tmp_path)
    store.write([make_row(n) for n in range(120)], make_vectors(120))
    store.close()
    (files,) = index_files(tmp_path, "toolops")
    (files / "index_metadata.pickle").write_bytes(b"no pickle")
    store = open_store(tmp_path)
    assert store.stale
    store.rebuild()
    ((hit, _),) = store.search([scope_of(0)], make_vectors(120)[7:8], 1, NOW)[0]
    assert hit.id == make_row(7).id
    store.close()


def test_clearing_frees_the_files(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write([make_row(1)], make_vectors(1))
    (before,) = index_files(tmp_path, "toolops")
    store.clear()
    assert not before.exists()
    store.close()


# -- the lock file ------------------------------------------------------------------------------


def state(folder: Path) -> str:
    return (folder / "toolops.lock").read_text()[0]


def test_the_lock_file_tells_of_writes(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    assert (state(tmp_path), lock.torn, lock.stale) == ("-", False, set())
    with lock.write_note():
        assert state(tmp_path) == "w"
    assert state(tmp_path) == "-"
    with pytest.raises(KeyError), lock.write_note():
        raise KeyError
    assert state(tmp_path) == "w"  # what a failed write left to do, a later call may be doing
    with lock.write_note():
        pass
    assert state(tmp_path) == "-"
    lock.mend({"toolops"})
    lock.close()
    lock = FolderLock(tmp_path)
    assert (lock.torn, lock.stale) == (False, {"toolops"})
    lock.close()


@pytest.mark.parametrize("text", ["w", "?", "-{", '-{"pid": 3}', "-[]", '-{"stale": 3, "pid": 1}'])
def test_a_lock_file_that_cannot_be_read_is_taken_for_the_worst(tmp_path: Path, text: str) -> None:
    (tmp_path / "toolops.lock").write_text(text)
    lock = FolderLock(tmp_path)
    assert lock.torn
    with lock.write_note():
        pass
    assert state(tmp_path) == "w"  # until what may be torn is gone
    lock.mend(set())
    assert state(tmp_path) == "-"
    lock.close()


def test_a_missing_index_folder_is_no_trouble(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write([make_row(1)], make_vectors(1))
    store.close()
    for files in index_files(tmp_path, "toolops"):
        shutil.rmtree(files)
    (tmp_path / "toolops.lock").write_text("w")
    store = open_store(tmp_path)
    store.rebuild()
    assert len(store.search([scope_of(0)], make_vectors(1), 5, NOW)[0]) == 1
    store.close()
