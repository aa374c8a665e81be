"""The other end of :mod:`semantic_worker`: contestants in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from peers import FOLDER, Absent
from report import OURS
from semantic_peers import SEPARATE

ENVIRONMENT = FOLDER.with_name("semantic-peers")
PROGRAM = Path(__file__).with_name("semantic_worker.py")
# Nothing may be fetched while something is measured, whatever a library would do by itself.
OFFLINE = {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "ANONYMIZED_TELEMETRY": "False"}


class Process:
    """A contestant in a process of its own.

    Args:
        name: Whose.
        folder: For what it stores.
        room: Entries that it must be able to hold.
        scopes: How many scopes there will be.
        entries: How many entries the folder holds already.
        options: Further arguments of the cache.

    Raises:
        Absent: It is not installed.
    """

    def __init__(
        self, name: str, folder: Path, room: int, scopes: int, entries: int = 0, **options: Any
    ) -> None:
        python = Path(sys.executable)
        if name in SEPARATE:
            python = ENVIRONMENT / "bin" / "python"
            if not python.exists():
                raise Absent("not installed; `make bench` installs it")
        self.name, self.folder = name, folder
        self._asked = 0
        self._told = tempfile.TemporaryFile(  # noqa: SIM115 - stop() closes it
            "w+", encoding="utf-8", errors="replace"
        )
        self._process = subprocess.Popen(
            [python, PROGRAM, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._told,
            text=True,
            env={**os.environ, **OFFLINE},
        )
        try:
            self.ask(
                "open",
                folder=str(folder),
                room=room,
                scopes=scopes,
                options=options,
                entries=entries,
            )
        except BaseException:
            self.stop()
            raise

    def ask(self, order: str, **details: Any) -> dict[str, Any]:
        """Give an order.

        Raises:
            Absent: A peer cannot do that, or failed.
            RuntimeError: Ours cannot or failed, so that there is nothing to hold against others.
        """
        assert self._process.stdin
        assert self._process.stdout
        line = ""
        try:
            self._process.stdin.write(json.dumps({"do": order, **details}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            pass
        answer: dict[str, Any] = json.loads(line) if line else {"error": self._last_words()}
        why = answer.get("absent") or answer.get("error")
        if why and self.name == OURS:
            raise RuntimeError(f"{order}: {why}")
        if "absent" in answer:
            raise Absent(why)
        if "error" in answer:
            last = answer["error"].strip().splitlines()[-1:]
            raise Absent(f"failed ({' '.join(last)})")
        return answer

    def take(self, order: str, calls: int, **details: Any) -> dict[str, Any]:
        """Give an order that makes requests, none of which was made before."""
        start = self._asked
        self._asked += calls
        return self.ask(order, start=start, calls=calls, **details)

    def _last_words(self) -> str:
        ended = f"the process ended with {self._process.wait()}"
        self._told.seek(0)
        return f"{self._told.read()[-2_000:]}\n{ended}"

    def stop(self) -> None:
        """Let the process end, and wait for it."""
        try:
            self._process.communicate()
        finally:
            self._told.close()


@contextmanager
def opened(name: str, room: int, scopes: int, **options: Any) -> Iterator[Process]:
    """Run a contestant in a new folder; close it in the end."""
    with tempfile.TemporaryDirectory(prefix="semantic-") as folder:
        process = Process(name, Path(folder), room, scopes, **options)
        try:
            yield process
            with suppress(Absent):  # what could not be filled may not close either
                process.ask("close")
        finally:
            process.stop()
