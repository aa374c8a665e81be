"""The semantic cache as a whole: what opens it, closes it, and makes it forget."""

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
from toolops_plugins.semantic.long_texts import LongTexts
from toolops_plugins.semantic.lookup import Question

__all__ = ["Lifecycle"]


class Lifecycle(Closing, ABC):
    """Has answers that are made when they are first needed, and tends them.

    Safe to use from any threads and event loops.

    Args:
        pool: Where blocking work of asynchronous callers runs.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._canon = Canon()
        self._lock = fork_safe(self, threading.RLock())
        self._secret: bytes | None = None
        self._answers: SemanticFlows | None = None
        self._long = LongTexts()

    @property
    def answers(self) -> SemanticFlows:
        """What looks up and keeps; made when it is first asked for."""
        if self._answers is None:
            with self._lock:
                if self._answers is None:
                    self._answers = self._make_answers()
        return self._answers

    @abstractmethod
    def _make_answers(self) -> SemanticFlows:
        """Return what looks up and keeps. Called once, with the lock held."""

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
        # With a secret, somebody who sees ids cannot test guesses of what was asked.
        if self._secret is None:
            return hashlib.sha256(data).digest()
        return hmac.digest(self._secret, data, "sha256")

    # -- forgetting ------------------------------------------------------------------------------

    def delete(self, text: str, scope: Any = "") -> None:
        """Forget the answer to a question, and what a runtime has served of it in other words.

        Entries of the same in other words, with answers of their own, stay.

        Args:
            text: The question.
            scope: As in :meth:`~toolops_plugins.semantic.cache.SemanticCache.find`.

        Raises:
            TierError: The index could not be reached.
        """
        self.remove([self._question(text, scope).id])

    async def adelete(self, text: str, scope: Any = "") -> None:
        """As :meth:`delete`, without blocking the event loop."""
        await run_in_pool(self._pool, partial(self.delete, text, scope))

    def remove(self, ids: Sequence[str]) -> None:
        """Forget entries by id, as runtimes do.

        Args:
            ids: 32 hexadecimal digits each.

        Raises:
            TierError: The index could not be reached.
        """
        self._long.forget(ids)
        self.answers.index.remove(ids)

    def expire(
        self, ids: Sequence[str], tags: Sequence[str], moment: float, *, everything: bool
    ) -> None:
        """Serve nothing from before an invalidation by another process, as a runtime was told.

        Args:
            ids: 32 hexadecimal digits each.
            tags: The tags.
            moment: Seconds since the epoch at which it began, by the other's clock.
            everything: Whether all entries are void.
        """
        if self._answers is not None:
            self._answers.index.expire(ids, tags, moment, everything=everything)

    def hear(self, ids: Sequence[str], tags: Sequence[str]) -> None:
        """Forget what another process has invalidated, as runtimes do; never waits, never raises.

        Args:
            ids: 32 hexadecimal digits each.
            tags: Tags of entries.
        """
        self.answers.index.hear(ids, tags)

    async def aremove(self, ids: Sequence[str]) -> None:
        """As :meth:`remove`, without blocking the event loop."""
        await run_in_pool(self._pool, partial(self.remove, ids))

    def invalidate(self, tags: Iterable[str]) -> None:
        """Forget all answers with any of the tags, and those that are being computed now.

        Args:
            tags: The tags.

        Raises:
            ConfigurationError: ``tags`` is a lone string.
            TierError: The index could not be reached.
        """
        names = check.texts("tags", tags if isinstance(tags, str) else list(tags))
        self._long.forget(tags=names)
        self.answers.index.invalidate(names)

    async def ainvalidate(self, tags: Iterable[str]) -> None:
        """As :meth:`invalidate`, without blocking the event loop."""
        await run_in_pool(self._pool, partial(self.invalidate, tags))

    def clear(self, scope: Any = None) -> None:
        """Forget all answers of this index, or those of one scope.

        Args:
            scope: The scope, as in :meth:`delete`. None: all of them.

        Raises:
            TierError: The index could not be reached.
        """
        chosen = None if scope is None else self._question("", scope).scope
        self._long.forget(scope=chosen, everything=chosen is None)
        self.answers.index.clear(chosen)

    async def aclear(self, scope: Any = None) -> None:
        """As :meth:`clear`, without blocking the event loop."""
        await run_in_pool(self._pool, partial(self.clear, scope))

    # -- opening and closing ---------------------------------------------------------------------

    def open(self) -> None:
        """Open the index now rather than at first use; nothing if it is open.

        Raises:
            ConfigurationError: The index is of another embedder, or open in another process.
            TierError: It could not be reached.
        """
        index = self.answers.index
        if not index.ready:
            index.open()

    async def aopen(self) -> None:
        """As :meth:`open`, without blocking the event loop."""
        if not self.answers.index.ready:
            await self.answers.index.aopen()

    def flush(self) -> None:
        """Store everything that waits to be stored.

        Raises:
            TierError: The index could not be reached.
        """
        if self._answers is not None and self._answers.index.ready:
            self._answers.index.flush()

    async def aflush(self) -> None:
        """As :meth:`flush`, without blocking the event loop."""
        await run_in_pool(self._pool, self.flush)

    def close(self) -> None:
        """Store everything that waits, and let go of the index; it opens again when it is used.

        Raises:
            TierError: The index could not be reached; what waited is lost.
        """
        if self._answers is not None:
            self._answers.index.close()

    async def aclose(self) -> None:
        """As :meth:`close`, without blocking the event loop."""
        if self._answers is not None:
            await self._answers.index.aclose()

    def __len__(self) -> int:
        """Return how many answers there are, as far as this process knows."""
        return 0 if self._answers is None else len(self._answers.index)

    def __bool__(self) -> bool:
        """Return True: a cache without answers is a cache."""
        return True
