"""Embeddings that are cached, shared between callers and computed in batches.

One batch runs at a time; the texts that threads and event loops ask for meanwhile form the next.
So the first caller never waits for others, and batches grow under load, like group commit in
databases.

- A thread that finds no batch running embeds its texts itself; an event loop uses a thread of the
  pool. The pool runs all later batches, so no caller works longer for others than for itself.
- An embedder with ``aembed`` is awaited on the caller's event loop in a separate task, so that a
  cancelled caller affects no other. Each loop then has its own batches.
- Texts for which the embedder is ``quick`` are embedded directly, since waking a waiter costs more.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import TypeAlias

import numpy as np

from toolops_plugins.check import count
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.concurrency.pool import Outcome, Pool
from toolops_plugins.cooldown import Cooldown
from toolops_plugins.errors import EmbeddingError, ThreadPoolFull
from toolops_plugins.semantic.embedding.batches import (
    Aembed,
    Result,
    Vector,
    aembed_each,
    embed_each,
    failure,
)
from toolops_plugins.semantic.embedding.embedders import Embedder, Matrix, with_checks

__all__ = ["Embeddings"]

_AT_ONCE = 4  # quick texts embedded on an event loop in one go
_ATTEMPTS = 4  # hanging batches after which no further one is tried
_LEASE = 30.0  # seconds for which the first attempt after a pause excludes others
_KEY_MOST = 256  # characters of a text that is its own key

Key: TypeAlias = str | bytes


class _Line:
    """The texts of the next batch and the running batch; guarded by the owner's lock."""

    __slots__ = ("__weakref__", "busy", "jobs", "queue", "task")

    def __init__(self) -> None:
        self.busy = False
        self.jobs: dict[Key, Future[Result]] = {}
        self.queue: deque[tuple[Key, str]] = deque()
        self.task: asyncio.Task[None] | None = None


class Embeddings:
    """A cache of embeddings. Safe to use from any threads and event loops.

    Vectors are read-only float32 arrays of unit length, or of zeros for a text without meaning. A
    forked child keeps the cached vectors and drops the running batches.

    Args:
        embedder: The embedder.
        cache_items: Vectors at most; the least recently used are dropped first. Keys of long texts
            are digests, so each costs its vector and a few hundred bytes. Default 10,000.
        max_batch: Texts of a batch at most. Default 256.
        pool: The pool for batches that no caller's thread runs. Its work must not wait for
            embeddings. None: an own thread, or a few with a timeout.
        timeout: Seconds that callers wait for a vector. An embedder that takes longer is not called
            for a growing pause. None: no limit.
        clock: Its monotonic time measures the pause.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        cache_items: int = 10_000,
        max_batch: int = 256,
        pool: Pool | None = None,
        timeout: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._embedder = with_checks(embedder)
        self._aembed: Aembed | None = getattr(self._embedder, "aembed", None)
        self._quick: Callable[[str], bool] | None = getattr(self._embedder, "quick", None)
        self._cache_items = count("cache_items", cache_items, least=0)
        self._max_batch = count("max_batch", max_batch)
        self._own_pool = pool is None
        self._timeout = timeout
        self._cooldown = Cooldown(clock, lease=_LEASE)
        # A hanging batch keeps its thread, so the next attempt needs another.
        if pool is None:
            pool = Pool(limit=1 if timeout is None else _ATTEMPTS)
            pool.end_with(self)
        self._pool = pool
        self._kept: OrderedDict[Key, Vector] = OrderedDict()
        self._start_empty()
        _all.add(self)

    def _start_empty(self) -> None:
        self._lock = threading.Lock()
        self._line = _Line()
        self._lines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = (
            weakref.WeakKeyDictionary()
        )

    def _reset_after_fork(self) -> None:
        self._start_empty()
        if self._own_pool:
            self._pool.reset_after_fork()

    def __len__(self) -> int:
        """Return the number of cached vectors."""
        return len(self._kept)

    @property
    def name(self) -> str:
        """The embedder's name."""
        return self._embedder.name

    @property
    def dimension(self) -> int:
        """The length of every vector.

        If the embedder does not know it before its first embedding, this embeds a text in the
        calling thread; on an event loop, read it after the first embedding.

        Raises:
            EmbeddingError: The embedder failed.
        """
        try:
            return self._ask_dimension()
        except Exception as error:  # noqa: BLE001 - an embedder may raise anything
            problem = failure(error)
            raise problem from problem.__cause__

    def _ask_dimension(self) -> int:
        if self._timeout is None or self._quick is not None:
            return self._embedder.dimension
        outcome = Outcome()
        self._pool.submit(partial(outcome.run, lambda: self._embedder.dimension))
        if not outcome.wait(self._timeout):
            raise self._slow()
        found: int = outcome.result()
        return found

    def one(self, text: str) -> Vector:
        """Return the vector of a text.

        Raises:
            EmbeddingError: The embedder failed for it.
        """
        return self._vectors([text])[0]

    async def aone(self, text: str) -> Vector:
        """Return the vector of a text, without blocking the event loop.

        Raises:
            EmbeddingError: The embedder failed for it.
        """
        return (await self._avectors([text]))[0]

    def many(self, texts: Iterable[str]) -> Matrix:
        """Return the vectors of texts as the rows of a new array.

        Raises:
            EmbeddingError: The embedder failed for one of them.
        """
        return self._stack(self._vectors(list(texts)))

    async def amany(self, texts: Iterable[str]) -> Matrix:
        """Return the vectors of texts as the rows of a new array; does not block the event loop.

        Raises:
            EmbeddingError: The embedder failed for one of them.
        """
        return self._stack(await self._avectors(list(texts)))

    def _stack(self, vectors: Sequence[Vector]) -> Matrix:
        return np.stack(vectors) if vectors else np.empty((0, self.dimension), np.float32)

    # -- callers -----------------------------------------------------------------------------

    def _vectors(self, texts: Sequence[str]) -> list[Vector]:
        keys = [_key(text) for text in texts]
        found, missing = self._look_up(keys, texts)
        if missing:
            if self._quick_all(missing):
                found.update(self._embed_here(missing))
            else:
                ticket = self._enter()
                line = self._line
                jobs, leads = self._board(line, missing)
                if leads and self._timeout is None:
                    self._lead(line)
                elif leads:
                    self._submit(line)
                until = None if self._timeout is None else time.monotonic() + self._timeout
                for key, job in jobs.items():
                    try:
                        left = None if until is None else max(0.0, until - time.monotonic())
                        found[key] = job.result(left)
                    except TimeoutError:
                        raise self._give_up(line, ticket) from None
                self._leave(ticket)
        return _unwrap(found, keys)

    async def _avectors(self, texts: Sequence[str]) -> list[Vector]:
        keys = [_key(text) for text in texts]
        found, missing = self._look_up(keys, texts)
        if missing:
            if len(missing) <= _AT_ONCE and self._quick_all(missing):
                found.update(self._embed_here(missing))
            else:
                ticket = self._enter()
                line, jobs = self._aboard(missing)
                try:
                    async with asyncio.timeout(self._timeout):
                        for key, job in jobs.items():
                            if not job.done():
                                await _await_job(job)
                            found[key] = job.result()
                except TimeoutError:
                    raise self._give_up(line, ticket) from None
                self._leave(ticket)
        return _unwrap(found, keys)

    def _enter(self) -> int:
        ticket = self._cooldown.enter()
        if ticket is None:
            raise EmbeddingError("the embedder was too slow and is left alone for a while")
        return ticket

    def _leave(self, ticket: int) -> None:
        if self._cooldown.is_down:
            self._cooldown.succeed(ticket)

    def _slow(self) -> EmbeddingError:
        return EmbeddingError(f"the embedder did not answer within {self._timeout} s")

    def _give_up(self, line: _Line, ticket: int) -> EmbeddingError:
        """Release all waiters of a line and start another; return the error."""
        self._cooldown.fail(ticket)
        error = self._slow()
        task, line.task = line.task, None
        self._abandon(line, error)
        with self._lock:
            if self._line is line:
                self._line = _Line()
            for loop, known in list(self._lines.items()):
                if known is line:
                    del self._lines[loop]
        if task is not None:
            task.cancel()
        return error

    def _look_up(
        self, keys: Sequence[Key], texts: Sequence[str]
    ) -> tuple[dict[Key, Result], dict[Key, str]]:
        """Return the cached results and the missing texts."""
        found: dict[Key, Result] = {}
        missing: dict[Key, str] = {}
        kept = self._kept
        with self._lock:
            for key, text in zip(keys, texts, strict=True):
                vector = kept.get(key)
                if vector is None:
                    missing[key] = text
                else:
                    kept.move_to_end(key)
                    found[key] = vector
        return found, missing

    def _quick_all(self, missing: dict[Key, str]) -> bool:
        if self._quick is None:
            return False
        try:
            return all(map(self._quick, missing.values()))
        except Exception:  # noqa: BLE001 - what the embedder cannot tell is not quick
            return False

    def _embed_here(self, missing: dict[Key, str]) -> dict[Key, Result]:
        results = dict(
            zip(missing, embed_each(self._embedder.embed, list(missing.values())), strict=True)
        )
        with self._lock:
            self._keep(results)
        return results

    def _board(
        self, line: _Line, missing: dict[Key, str]
    ) -> tuple[dict[Key, Future[Result]], bool]:
        """Queue the texts that are not queued; return the jobs, and whether to start a batch."""
        jobs: dict[Key, Future[Result]] = {}
        with self._lock:
            for key, text in missing.items():
                job = line.jobs.get(key)
                if job is None:
                    vector = self._kept.get(key)
                    job = Future()
                    if vector is not None:  # it arrived since the first look
                        job.set_result(vector)
                    else:
                        line.jobs[key] = job
                        line.queue.append((key, text))
                jobs[key] = job
            leads = bool(line.queue) and not line.busy
            line.busy = line.busy or leads
        return jobs, leads

    def _aboard(self, missing: dict[Key, str]) -> tuple[_Line, dict[Key, Future[Result]]]:
        if self._aembed is None:
            line = self._line
            jobs, leads = self._board(line, missing)
            if leads:
                self._submit(line)
            return line, jobs
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop) or self._line_of(loop)
        jobs, leads = self._board(line, missing)
        if leads:
            line.task = task = loop.create_task(self._awork(self._aembed, line))
            task.add_done_callback(lambda task: self._end_batch(line, task))
        return line, jobs

    def _line_of(self, loop: asyncio.AbstractEventLoop) -> _Line:
        with self._lock:
            # A loop that was closed during a batch stays referenced by the task of that batch.
            for gone in [known for known in self._lines if known.is_closed()]:
                del self._lines[gone]
            return self._lines.setdefault(loop, _Line())

    # -- batches -----------------------------------------------------------------------------

    def _lead(self, line: _Line) -> None:
        """Embed the first batch in the caller's thread; the pool runs the next ones."""
        batch = self._next(line)
        try:
            self._run(line, batch)
        except BaseException:
            # A KeyboardInterrupt concerns this caller only.
            with self._lock:
                line.queue.extendleft(reversed(batch))
            raise
        finally:
            with self._lock:
                line.busy = bool(line.queue)
            if line.busy:
                self._submit(line)

    def _submit(self, line: _Line) -> None:
        try:
            self._pool.submit(partial(self._work, line))
        except (RuntimeError, ThreadPoolFull) as error:  # no thread can be started, as at exit
            self._abandon(line, error)

    def _work(self, line: _Line) -> None:
        while batch := self._next(line):
            try:
                self._run(line, batch)
            except BaseException as error:  # noqa: BLE001 - SystemExit ends no thread of the pool
                self._settle(line, batch, [failure(error)] * len(batch))

    def _run(self, line: _Line, batch: list[tuple[Key, str]]) -> None:
        self._settle(line, batch, embed_each(self._embedder.embed, [text for _, text in batch]))

    async def _awork(self, aembed: Aembed, line: _Line) -> None:
        while batch := self._next(line):
            results = await aembed_each(aembed, [text for _, text in batch])
            self._settle(line, batch, results)

    def _end_batch(self, line: _Line, task: asyncio.Task[None]) -> None:
        if line.task is not task:  # the next one is running already
            return
        line.task = None
        if line.busy:  # it was cancelled
            self._abandon(line, asyncio.CancelledError())

    def _next(self, line: _Line) -> list[tuple[Key, str]]:
        """Take the next batch; without one the line becomes idle."""
        with self._lock:
            size = min(len(line.queue), self._max_batch)
            line.busy = size > 0
            return [line.queue.popleft() for _ in range(size)]

    def _settle(self, line: _Line, batch: list[tuple[Key, str]], results: Sequence[Result]) -> None:
        """Cache the results of a batch and wake its waiters."""
        by_key = {key: result for (key, _), result in zip(batch, results, strict=True)}
        with self._lock:
            self._keep(by_key)
            jobs = {key: line.jobs.pop(key, None) for key in by_key}
        for key, job in jobs.items():
            if job is not None:
                job.set_result(by_key[key])

    def _abandon(self, line: _Line, error: BaseException) -> None:
        """Fail all queued and running texts, so that no caller waits for them."""
        with self._lock:
            jobs = list(line.jobs.values())
            line.jobs.clear()
            line.queue.clear()
            line.busy = False
        for job in jobs:
            job.set_result(failure(error))

    def _keep(self, results: dict[Key, Result]) -> None:
        """Cache vectors; called with the lock held."""
        kept = self._kept
        for key, result in results.items():
            if not isinstance(result, EmbeddingError):
                kept[key] = result
        while len(kept) > self._cache_items:
            kept.popitem(last=False)


def _unwrap(found: dict[Key, Result], keys: Sequence[Key]) -> list[Vector]:
    vectors: list[Vector] = []
    for key in keys:
        result = found[key]
        if isinstance(result, EmbeddingError):
            # A new error each time: the traceback of a shared one would grow with every caller.
            raise EmbeddingError(*result.args) from result.__cause__
        vectors.append(result)
    return vectors


def _key(text: str) -> Key:
    if len(text) <= _KEY_MOST:
        return text
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


async def _await_job(job: Future[Result]) -> None:
    """Wait on this loop until a job is done; a cancelled waiter leaves the job alone."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def ring() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def call(_: Future[Result]) -> None:
        with suppress(RuntimeError):  # the loop is closed, so it has no waiters
            loop.call_soon_threadsafe(ring)

    job.add_done_callback(call)
    await waiter


_all: weakref.WeakSet[Embeddings] = weakref.WeakSet()


def _reset_after_fork() -> None:
    # Only the forking thread survives: running batches will never end.
    for embeddings in tuple(_all):
        embeddings._reset_after_fork()  # noqa: SLF001 - a method of this class in all but place


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
