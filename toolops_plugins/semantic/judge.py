"""The comparison of two answers, by digest or by the user's judge.

Equal answers have equal digests. Only free texts, which hardly ever repeat word for word, need a
judge or their similarity.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from toolops_plugins import check
from toolops_plugins.concurrency.pool import Outcome, Pool
from toolops_plugins.concurrency.tasks import run_with_timeout
from toolops_plugins.concurrency.to_thread import run_in_pool
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.keys.canonical import Canon

__all__ = ["Judge", "JudgeLike", "digest_of", "is_free_text"]

JudgeLike: TypeAlias = Callable[[str, Any, Any], bool | Awaitable[bool]]

_FEW_WORDS = 12
"""Longer texts, in words, are free text: two right answers are hardly ever identical."""


def is_free_text(value: Any) -> bool:
    """Return whether an answer is free text, which is not compared by equality."""
    return isinstance(value, str) and len(value.split(maxsplit=_FEW_WORDS)) > _FEW_WORDS


def digest_of(canon: Canon, value: Any, data: bytes, secret: bytes | None) -> bytes:
    """Return 16 bytes that are equal for equal answers.

    Case and white space of texts and the order of keys do not count.

    Args:
        canon: The canonical encoding.
        value: The answer.
        data: Its encoded form, used where it has no canonical form.
        secret: Key of the digest, so that guessed answers cannot be tested; or None.
    """
    if isinstance(value, str):
        form = b"t" + " ".join(value.split()).casefold().encode("utf-8", "surrogatepass")
    else:
        try:
            form = b"c" + canon.encode(value)
        except Exception:  # noqa: BLE001 - methods of a user's class may raise anything
            form = b"d" + data
    return hashlib.blake2b(form, digest_size=16, key=(secret or b"")[:64]).digest()


class Judge:
    """The user's judge with a timeout. Safe to use from any threads and event loops.

    Args:
        function: Takes the question, the cached answer and the fresh one; the last is None where
            the question is whether to serve. May be a coroutine function.
        seconds: Timeout; a late judgement counts as no.
        pool: The pool in which plain functions run.
        on_failure: Called with "judge" and the error when the judge fails or is late.

    Raises:
        ConfigurationError: ``function`` is not callable.
    """

    def __init__(
        self,
        function: JudgeLike,
        seconds: float,
        pool: Pool,
        on_failure: Callable[[str, Exception], None],
    ) -> None:
        if not callable(function):
            raise ConfigurationError("judge", f"must be callable, not {function!r}")
        self._function = function
        self._seconds = check.seconds("judge_timeout", seconds, zero=False)
        self._pool = pool
        self._on_failure = on_failure
        self._aio = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - an object may have an async one
        )

    @property
    def is_async(self) -> bool:
        """Return whether the judge is a coroutine function."""
        return self._aio

    def refuse_sync(self) -> None:
        """Raise if the judge must be awaited, for synchronous callers.

        Raises:
            ConfigurationError: The judge is a coroutine function.
        """
        if self._aio:
            raise ConfigurationError(
                "judge", "is a coroutine function, which a synchronous call cannot await"
            )

    def ask(self, question: str, cached: Any, fresh: Any) -> bool:
        """Return whether the judge agrees; an error or a late answer counts as no."""
        self.refuse_sync()
        outcome = Outcome()
        judging = partial(self._function, question, cached, fresh)
        try:
            ticket = self._pool.submit(partial(outcome.run, judging))
            if not outcome.wait(self._seconds):
                ticket.drop()
                raise TimeoutError  # noqa: TRY301 - a late judgement is a failure
            return bool(outcome.result())
        except Exception as error:  # noqa: BLE001 - when in doubt the answers differ
            self._on_failure("judge", error)
            return False

    async def aask(self, question: str, cached: Any, fresh: Any) -> bool:
        """Like :meth:`ask`, without blocking the event loop."""
        try:
            judging: Any = partial(self._function, question, cached, fresh)
            judgement = judging() if self._aio else run_in_pool(self._pool, judging)
            return bool(await run_with_timeout(judgement, self._seconds))
        except Exception as error:  # noqa: BLE001 - when in doubt the answers differ
            self._on_failure("judge", error)
            return False
