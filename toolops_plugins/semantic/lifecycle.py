"""The lifecycle of the semantic cache: open, flush, close and invalidate."""

from __future__ import annotations

import hashlib
import hmac
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from toolops_plugins import check
from toolops_plugins.closing import Closing
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.concurrency.to_thread import run_in_pool
from toolops_plugins.errors import ConfigurationError, NotCanonicalError
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.semantic.flows import SemanticFlows
from toolops_plugins.semantic.index.remote_invalidations import Source
from toolops_plugins.semantic.long_texts import LongTexts
from toolops_plugins.semantic.lookup import Question

__all__ = ["Lifecycle"]


class Lifecycle(Closing, ABC):
    """The base of the semantic cache: it creates its flows at first use, opens and closes them.

    Safe to use from any threads and event loops.

    Args:
        pool: The pool in which blocking work of asynchronous callers runs.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._canon = Canon()
        self._lock = fork_safe(self, threading.RLock())
        self._secret: bytes | None = None
        self._answers: SemanticFlows | None = None
        self._long = LongTexts()
        self._source: Source | None = None

    @property
    def answers(self) -> SemanticFlows:
        """The flows, created at first use."""
        if self._answers is None:
            with self._lock:
                if self._answers is None:
                    self._answers = self._make_answers()
        return self._answers

    @abstractmethod
    def _make_answers(self) -> SemanticFlows:
        """Create the flows. Called once, with the lock held."""

    def _question(self, text: str, scope: Any) -> Question:
        if not isinstance(text, str):
            raise ConfigurationError("text", f"must be a string, not {type(text).__name__}")
        try:
            form = self._canon.encode(("toolops semantic", scope))
        except NotCanonicalError as error:
            raise ConfigurationError("scope", str(error)) from None
        digest = self._digest(form)[:16]
        own = self._digest(digest + text.encode("utf-8", "surrogatepass"))
        return Question(text, digest, own.hex()[:32])

    def _digest(self, data: bytes) -> bytes:
        # With a secret, nobody who sees ids can test guessed questions.
        if self._secret is None:
            return hashlib.sha256(data).digest()
        return hmac.digest(self._secret, data, "sha256")

    # -- invalidation ------------------------------------------------------------------------------

    def delete(self, text: str, scope: Any = "") -> None:
        """Delete the answer to a question, and the copies that a runtime served in other words.

        Entries of the same question in other words, with answers of their own, stay.

        Args:
            text: The question.
            scope: As in :meth:`~toolops_plugins.semantic.cache.SemanticCache.find`.

        Raises:
            TierError: The index could not be reached.
        """
        self.remove([self._question(text, scope).id])

    async def adelete(self, text: str, scope: Any = "") -> None:
        """Like :meth:`delete`, without blocking the event loop."""
        await run_in_pool(self._pool, partial(self.delete, text, scope))

    def remove(self, ids: Sequence[str]) -> None:
        """Delete entries by id, for runtimes.

        Args:
            ids: 32 hexadecimal digits each.

        Raises:
            TierError: The index could not be reached.
        """
        self._long.forget(ids)
        self.answers.index.remove(ids)

    def list_joiners(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the flights of questions that wait for one of other questions, for runtimes.

        Args:
            keys: The keys of these other questions.
        """
        return [] if self._answers is None else self._answers.in_flight.list_joiners(keys)

    def expire(
        self, ids: Sequence[str], tags: Sequence[str], moment: float, *, everything: bool
    ) -> None:
        """Serve nothing from before an invalidation by another process, for runtimes.

        Args:
            ids: 32 hexadecimal digits each.
            tags: The tags.
            moment: Seconds since the epoch of its start, by the other process's clock.
            everything: Whether all entries are invalidated.
        """
        if self._answers is not None:
            self._answers.index.expire(ids, tags, moment, everything=everything)

    def hear(self, ids: Sequence[str], tags: Sequence[str], *, everything: bool) -> None:
        """Drop what another process invalidated, for runtimes that cannot read its record.

        Args:
            ids: 32 hexadecimal digits each.
            tags: Tags of entries.
            everything: Whether all entries are invalidated.
        """
        if self._answers is not None:
            self._answers.index.hear(ids, tags, everything=everything)

    def hear_of_long(self, ids: Sequence[str], tags: Sequence[str], *, everything: bool) -> None:
        """Drop answers to long questions that another process invalidated, for runtimes."""
        self._long.forget(ids, tags=tags, everything=everything)

    def follow(self, source: Source) -> None:
        """Follow the record of the invalidations of other processes, for runtimes.

        Args:
            source: Reads the record.
        """
        self._source = source

    @property
    def place(self) -> str:
        """Identifies the index on a server, for runtimes; "" for an index of this process."""
        return ""

    def fall_behind(self) -> None:
        """Serve nothing of before now until :meth:`catch_up` has succeeded, for runtimes."""
        if self._answers is not None:
            self._answers.index.fall_behind()

    def catch_up(self, *, missed: bool = False) -> None:
        """Follow the invalidations of other processes, for runtimes.

        Args:
            missed: Whether messages about them may have been missed.

        Raises:
            TierError: The record could not be read.
        """
        if self._answers is not None:
            self._answers.index.catch_up(missed=missed)

    async def acatch_up(self) -> None:
        """Like :meth:`catch_up`, without blocking the event loop."""
        if self._answers is not None:
            await self._answers.index.acatch_up()

    async def aremove(self, ids: Sequence[str]) -> None:
        """Like :meth:`remove`, without blocking the event loop."""
        await run_in_pool(self._pool, partial(self.remove, ids))

    def invalidate(self, tags: Iterable[str]) -> None:
        """Delete all answers with any of the tags, including those being computed.

        Args:
            tags: The tags.

        Raises:
            ConfigurationError: ``tags`` is a string instead of a collection.
            TierError: The index could not be reached.
        """
        names = check.texts("tags", tags if isinstance(tags, str) else list(tags))
        self._long.forget(tags=names)
        self.answers.index.invalidate(names)

    async def ainvalidate(self, tags: Iterable[str]) -> None:
        """Like :meth:`invalidate`, without blocking the event loop."""
        await run_in_pool(self._pool, partial(self.invalidate, tags))

    def clear(self, scope: Any = None) -> None:
        """Delete all answers of this index, or those of one scope.

        Args:
            scope: The scope, as in :meth:`delete`. None: all of them.

        Raises:
            TierError: The index could not be reached.
        """
        chosen = None if scope is None else self._question("", scope).scope
        self._long.forget(scope=chosen, everything=chosen is None)
        self.answers.index.clear(chosen)

    async def aclear(self, scope: Any = None) -> None:
        """Like :meth:`clear`, without blocking the event loop."""
        await run_in_pool(self._pool, partial(self.clear, scope))

    # -- opening and closing ---------------------------------------------------------------------

    def open(self) -> None:
        """Open the index now instead of at first use; nothing if it is open.

        Raises:
            ConfigurationError: The index is of another embedder, or open in another process.
            TierError: It could not be reached.
        """
        index = self.answers.index
        if not index.ready:
            index.open()

    async def aopen(self) -> None:
        """Like :meth:`open`, without blocking the event loop."""
        if not self.answers.index.ready:
            await self.answers.index.aopen()

    def flush(self) -> None:
        """Write all pending entries.

        Raises:
            TierError: The index could not be reached.
        """
        if self._answers is not None and self._answers.index.ready:
            self._answers.index.flush()

    async def aflush(self) -> None:
        """Like :meth:`flush`, without blocking the event loop."""
        await run_in_pool(self._pool, self.flush)

    def close(self) -> None:
        """Write all pending entries and close the index; it reopens at the next use.

        Raises:
            TierError: The index could not be reached; pending entries are lost.
        """
        if self._answers is not None:
            self._answers.index.close()

    async def aclose(self) -> None:
        """Like :meth:`close`, without blocking the event loop."""
        if self._answers is not None:
            await self._answers.index.aclose()

    def __len__(self) -> int:
        """Return the number of answers that this process knows of."""
        return 0 if self._answers is None else len(self._answers.index)

    @property
    def entries_in_memory(self) -> int | None:
        """The number of answers that this process knows of, if that takes no I/O; else None."""
        return None if self._answers is None else self._answers.index.entries_in_memory

    def __bool__(self) -> bool:
        """Return True, for an empty cache too."""
        return True
