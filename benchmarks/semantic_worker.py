"""The process that holds one semantic cache, and times it without disturbance by others.

``semantic_worker.py NAME`` reads one order a line from standard input, as JSON, and answers each
with a line on standard output. Times are taken here, so that the transport of an order does not
count. It is a program of its own since peers need other environments, and since memory is measured
by process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import peers
import semantic_questions
from memory import MB, resident
from semantic_peers import CONTESTANTS, Contestant, vector
from semantic_questions import Entry

CHUNK = 5_000


class Worker:
    """Answers orders; each public method is one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._cache: Contestant
        self._scopes = 1
        self._entries = 0
        self._before = 0.0
        self._runner = asyncio.Runner()  # one for all turns, since clients belong to their loop

    def open(
        self, folder: str, room: int, scopes: int, options: Mapping[str, Any], entries: int = 0
    ) -> dict[str, Any]:
        """Open the cache on the stored ``entries``, with its embedder loaded and warm."""
        began = time.perf_counter()
        vector("warm up")
        self._before = resident("VmRSS")
        self._scopes, self._entries = scopes, entries
        self._cache = CONTESTANTS[self._name](Path(folder), room, scopes, **options)
        return {"seconds": time.perf_counter() - began}

    def fill(self, entries: int, seconds: float) -> dict[str, Any]:
        """Store up to ``entries`` entries in at most ``seconds``."""
        began = time.perf_counter()
        while self._entries < entries:
            lap = time.perf_counter()
            until = min(entries, self._entries + CHUNK)
            self._cache.fill([self._entry(number) for number in range(self._entries, until)])
            now = time.perf_counter()
            to_come = (now - lap) * (entries - until) / (until - self._entries)
            self._entries = until
            if now - began + to_come > seconds:
                raise peers.Absent(f"filling would take more than {seconds:g} s")
        self._cache.settle()
        gc.collect()
        gc.freeze()
        return {}

    def hits(self, start: int, calls: int) -> dict[str, Any]:
        """Make one request after the other, and return the times of the hits."""
        requests = self._requests(start, calls)
        gc.collect()
        times, found = [], []
        for text, _, scope in requests:
            began = time.perf_counter()
            found.append(self._cache.find(text, scope))
            times.append(time.perf_counter() - began)
        right = sum(each.value == got for each, got in zip(requests, found, strict=True))
        served = [took for took, got in zip(times, found, strict=True) if got is not None]
        return {
            "seconds": sum(times),
            "asked": calls,
            "served": served,
            "right": right,
            "wrong": len(served) - right,
        }

    def puts(self, calls: int) -> dict[str, Any]:
        """Store new entries one by one, and then do the work that they left for later."""
        entries = [self._entry(self._entries + number) for number in range(calls)]
        self._entries += calls
        gc.collect()
        times = []
        for each in entries:
            began = time.perf_counter()
            self._cache.put(*each)
            times.append(time.perf_counter() - began)
        began = time.perf_counter()
        self._cache.settle()
        return {"times": times, "seconds": sum(times), "behind": time.perf_counter() - began}

    def rate(self, how: str, callers: int, start: int, calls: int) -> dict[str, Any]:
        """Make requests from several threads, or tasks of one loop, which share them."""
        requests = iter(self._requests(start, calls))
        gc.collect()
        if how == "tasks":
            return {"seconds": self._runner.run(self._tasks(requests, callers))}
        return {"seconds": self._threads(requests, callers)}

    async def _tasks(self, requests: Iterator[Entry], callers: int) -> float:
        async def ask() -> None:
            for text, _, scope in requests:
                await self._cache.afind(text, scope)

        began = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(callers)))
        return time.perf_counter() - began

    def _threads(self, requests: Iterator[Entry], callers: int) -> float:
        errors: list[BaseException] = []

        def ask() -> None:
            try:
                for text, _, scope in requests:
                    self._cache.find(text, scope)
            except BaseException as error:  # noqa: BLE001 - raised again below
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(callers)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        if errors:
            raise errors[0]
        return took

    def memory(self) -> dict[str, Any]:
        """Return resident memory in MB: before the cache was opened, now, peak, and of servers."""
        gc.collect()
        servers = 0.0
        for pid in self._cache.servers():
            status = Path(f"/proc/{pid}/status").read_text()
            servers += int(status.split("VmRSS:")[1].split()[0]) * 1024 / MB
        return {
            "before": self._before,
            "now": resident("VmRSS"),
            "peak": resident("VmHWM"),
            "servers": servers,
        }

    def pairs(self, pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """For each pair, store the candidate in an empty cache, and ask the question."""
        served = []
        for number, pair in enumerate(pairs):
            self._cache.renew()
            self._cache.put(pair["candidate"], "stored", f"pair{number}")
            served.append(self._cache.find(pair["question"], f"pair{number}") is not None)
        return {"served": served}

    def stream(self, marks: Sequence[int], seconds: float) -> dict[str, Any]:
        """Ask one question after the other, and store the answer of each miss.

        Returns:
            The numbers of hits and of wrong answers at each mark; it ends at the first mark after
            ``seconds``.
        """
        most = time.perf_counter() + seconds
        hits = wrong = 0
        found = []
        for number, (text, intent) in enumerate(semantic_questions.questions()[: marks[-1]], 1):
            got = self._cache.find(text, "stream")
            if got is None:
                self._cache.put(text, intent, "stream")
            else:
                hits += 1
                wrong += got != intent
            if number in marks:
                found.append((hits, wrong))
                if time.perf_counter() > most:
                    break
        return {"found": found}

    def close(self) -> dict[str, Any]:
        """Close the cache."""
        self._cache.close()
        return {}

    def _entry(self, number: int) -> Entry:
        return semantic_questions.entry(number, self._scopes)

    def _requests(self, start: int, calls: int) -> list[Entry]:
        asked = range(start, start + calls)
        return [semantic_questions.request(n, self._entries, self._scopes) for n in asked]


def main() -> None:
    # Libraries print to standard output, which is for answers only.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = getattr(worker, order.pop("do"))(**order)
        except peers.Absent as why:
            answer = {"absent": str(why)}
        except Exception:  # noqa: BLE001 - raised by the parent process
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
