"""A full, damaged or locked folder: a miss and a notice."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from callers import LONG, Notices

from toolops_plugins import Semantic, SemanticCache, ToolOps
from toolops_plugins.errors import ConfigurationError, TierError
from toolops_plugins.semantic.index.chroma_folder_lock import FolderError, FolderLock

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"


def make_tool(ops: ToolOps) -> tuple[Any, list[str]]:
    questions: list[str] = []

    @ops.readonly(name="ask", semantic=Semantic(on="question", threshold=0.8))
    def ask(question: str) -> str:
        questions.append(question)
        return question.upper()

    return ask, questions


def make_folder(folder: Path) -> Path:
    """Return a folder with entries, and nobody in it."""
    with ToolOps("t", semantic=SemanticCache(folder)) as ops:
        ask, _ = make_tool(ops)
        for number in range(50):
            ask(f"What is question {number} about?")
    return folder / "chroma.sqlite3"


def scramble(file: Path) -> None:
    file.write_bytes(os.urandom(20_000))


def scramble_inside(file: Path) -> None:
    with file.open("r+b") as database:
        for place in range(8192, file.stat().st_size, 12_288):
            database.seek(place)
            database.write(os.urandom(4096))


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def overwrite(file: Path) -> None:
    file.write_text("hello")


def zero(file: Path) -> None:
    with file.open("r+b") as database:
        database.seek(100)
        database.write(bytes(3000))


def sprinkle(file: Path) -> None:
    """Change bytes everywhere, the names of tables too, over which Chroma may abort the process."""
    data = bytearray(file.read_bytes())
    chosen = random.Random(7)
    for _ in range(2_000):
        data[chosen.randrange(100, len(data))] = chosen.randrange(256)
    file.write_bytes(data)


DAMAGES = [scramble, scramble_inside, sprinkle, cut, overwrite, zero]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_corrupt_database_is_set_aside_and_a_new_one_begins(
    damage: Callable[[Path], None], tmp_path: Path, caplog: Any
) -> None:
    file = make_folder(tmp_path)
    damage(file)
    damaged = file.read_bytes()
    with ToolOps("t", semantic=SemanticCache(tmp_path)) as ops:
        notices = Notices(ops)
        ask, questions = make_tool(ops)
        assert [ask(FRANCE), ask(AGAIN)] == [FRANCE.upper()] * 2
        assert questions == [FRANCE]
        assert [notice.kind for notice in notices.all] == ["tier_failed"]
    (aside,) = tmp_path.glob("corrupt-*")
    assert (aside / "chroma.sqlite3").read_bytes() == damaged
    assert str(aside) in caplog.text
    assert "corrupt" in caplog.text
    # What was kept since then is there the next time.
    with ToolOps("t", semantic=SemanticCache(tmp_path)) as ops:
        ask, questions = make_tool(ops)
        assert ask(AGAIN) == FRANCE.upper()
        assert questions == []
    assert list(tmp_path.glob("corrupt-*")) == [aside]


@pytest.mark.parametrize("damage", [scramble, overwrite], ids=lambda damage: damage.__name__)
def test_a_database_that_is_damaged_while_it_is_open_harms_no_call(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    make_folder(tmp_path)
    with ToolOps("t", semantic=SemanticCache(tmp_path)) as ops:
        ask, _ = make_tool(ops)
        ask(FRANCE)
        ops.semantic.flush()
        assert ops.semantic.answers.index.is_loaded.wait(LONG)
        damage(tmp_path / "chroma.sqlite3")
        for number in range(5):
            question = f"And what about number {number}?"
            assert ask(question) == question.upper()
            try:
                ops.semantic.flush()
            except TierError:
                continue
        assert ask(AGAIN) == FRANCE.upper()


def test_a_database_that_is_no_longer_ours_is_no_reason_to_fail(tmp_path: Path) -> None:
    file = make_folder(tmp_path)
    file.unlink()
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE something (other)")
    other.commit()
    other.close()
    with ToolOps("t", semantic=SemanticCache(tmp_path)) as ops:
        ask, _ = make_tool(ops)
        assert [ask(FRANCE), ask(AGAIN)] == [FRANCE.upper()] * 2


FULL = """
import json, resource, signal, sys
from toolops_plugins import Semantic, SemanticCache, ToolOps
from toolops_plugins.testing import FakeClock

class Sink:
    def __init__(self): self.details = []
    def on_call(self, event): pass
    def on_notice(self, notice): self.details.append(notice.detail)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

def fill(folder, room):
    clock = FakeClock()
    ops = ToolOps("t", semantic=SemanticCache(folder), clock=clock)
    sink = Sink()
    ops.add_sink(sink)
    questions = []
    @ops.readonly(semantic=Semantic(on="question", threshold=0.8))
    def ask(question):
        questions.append(question)
        return question.upper()

    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    full = [ask("What is the capital of France?") for _ in range(2)]
    full.append(ask("Where are the Alps?"))
    try:
        ops.semantic.flush()
    except Exception as error:
        full.append(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    clock.advance(120)
    ask("How long is a year?")
    again = [ask("how long is a year"), ask("tell me how long a year is")]
    ops.semantic.flush()
    ops.close()
    return room, full, sink.details, again, questions

print(json.dumps([fill(f"{sys.argv[1]}/{room}", int(room)) for room in sys.argv[2:]]))
"""


def test_a_full_disk_is_a_miss_and_no_lock_stays_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), "0", "10", "5000", "60000"],
        capture_output=True,
        text=True,
        timeout=2 * LONG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for room, full, details, again, questions in json.loads(done.stdout):
        assert full[:3] == ["WHAT IS THE CAPITAL OF FRANCE?"] * 2 + ["WHERE ARE THE ALPS?"], room
        assert details, room
        # Once there is room, the same process goes on with the folder.
        assert again == ["HOW LONG IS A YEAR?"] * 2, room
        assert questions[-1] == "How long is a year?", room
    assert "Traceback" not in done.stderr


def test_a_lock_that_cannot_be_noted_is_let_go_of(tmp_path: Path, monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("toolops_plugins.semantic.index.chroma_folder_lock._put", fail)
        with pytest.raises(FolderError, match="No space left"):
            FolderLock(tmp_path)
    FolderLock(tmp_path).close()


def test_a_folder_that_another_process_holds_is_a_miss_that_is_told(
    tmp_path: Path, caplog: Any
) -> None:
    lock = FolderLock(tmp_path)  # as another process would hold it
    ops = ToolOps("t", semantic=SemanticCache(tmp_path))
    notices = Notices(ops)
    ask, questions = make_tool(ops)
    assert [ask(FRANCE), ask(AGAIN)] == [FRANCE.upper(), AGAIN.upper()]
    assert questions == [FRANCE, AGAIN]
    assert {notice.kind for notice in notices.all} == {"folder_in_use"}
    assert caplog.text.count("in use by another process") == 1
    assert "chroma run" in caplog.text
    with pytest.raises(ConfigurationError, match="another process"):
        SemanticCache(tmp_path).open()
    lock.close()
    ops.close()


def test_a_folder_that_cannot_be_made_is_a_miss_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    ops = ToolOps("t", semantic=SemanticCache(tmp_path / "file" / "index"))
    notices = Notices(ops)
    ask, _ = make_tool(ops)
    assert [ask(FRANCE), ask(AGAIN)] == [FRANCE.upper(), AGAIN.upper()]
    assert {notice.kind for notice in notices.all} == {"tier_failed"}
    ops.close()
