"""Contestants in processes of their own, which run :mod:`semantic_worker`."""

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
# No library may download anything during a measurement.
OFFLINE = {"HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1", "ANONYMIZED_TELEMETRY": "False"}


class Process:
    """A contestant in a process of its own.

    Args:
        name: The name of the contestant.
        folder: The folder of its files.
        room: The number of entries that it must be able to hold.
        scopes: The number of scopes.
        entries: The number of entries that the folder already holds.
        options: Further arguments of the cache.

    Raises:
        Absent: The contestant is not installed.
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
        self._requests = 0
        self._stderr = tempfile.TemporaryFile(  # noqa: SIM115 - stop() closes it
            "w+", encoding="utf-8", errors="replace"
        )
        self._process = subprocess.Popen(
            [python, PROGRAM, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
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
        """Send an order and return its answer.

        Raises:
            Absent: A peer has no such feature, or failed.
            RuntimeError: Ours has no such feature, or failed, so that a comparison is impossible.
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
        """Send an order that makes requests, with requests that were not made before."""
        start = self._requests
        self._requests += calls
        return self.ask(order, start=start, calls=calls, **details)

    def _last_words(self) -> str:
        status = f"the process ended with {self._process.wait()}"
        self._stderr.seek(0)
        return f"{self._stderr.read()[-2_000:]}\n{status}"

    def stop(self) -> None:
        """Close the input of the process, and wait for its end."""
        try:
            self._process.communicate()
        finally:
            self._stderr.close()


@contextmanager
def open_process(name: str, room: int, scopes: int, **options: Any) -> Iterator[Process]:
    """Run a contestant in a new folder, and close it at the end."""
    with tempfile.TemporaryDirectory(prefix="semantic-") as folder:
        process = Process(name, Path(folder), room, scopes, **options)
        try:
            yield process
            with suppress(Absent):  # a cache that could not be filled may not close either
                process.ask("close")
        finally:
            process.stop()
