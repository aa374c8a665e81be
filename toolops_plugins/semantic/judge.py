"""Whether two answers are the same answer: by equality, by likeness, or by a judge of the user's.

Equal answers need no asking: each has a digest, and digests are compared. What remains are free
texts, which hardly ever repeat word for word.
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
from toolops_plugins.errors import ConfigurationError, NotCanonicalError
from toolops_plugins.keys.canonical import Canon

__all__ = ["Judge", "JudgeLike", "digest_of", "is_free_text"]

JudgeLike: TypeAlias = Callable[[str, Any, Any], bool | Awaitable[bool]]

_FEW_WORDS = 12
"""Texts of more words are free texts: two right ones hardly ever agree to the letter."""


def is_free_text(value: Any) -> bool:
    """Return whether an answer is text of so many words that equality says nothing."""
    return isinstance(value, str) and len(value.split(maxsplit=_FEW_WORDS)) > _FEW_WORDS


def digest_of(canon: Canon, value: Any, data: bytes, secret: bytes | None) -> bytes:
    """Return 16 bytes that are equal for equal answers.

    Texts count as equal whatever their case and white space; the order of keys does not matter.

    Args:
        canon: The canonical encoding.
        value: The answer.
        data: Its encoded form, which stands in where it has no canonical one.
        secret: Key of the digest, so that guesses of an answer cannot be tested; or None.
    """
    if isinstance(value, str):
        form = b"t" + " ".join(value.split()).casefold().encode("utf-8", "surrogatepass")
    else:
        try:
            form = b"c" + canon.encode(value)
        except NotCanonicalError:
            form = b"d" + data
    return hashlib.blake2b(form, digest_size=16, key=(secret or b"")[:64]).digest()


class Judge:
    """A user's judgement of two answers, bounded in time. Safe to use from any threads and loops.

    Args:
        function: Gets the question, the cached answer and the fresh one, or None in its place
            where it is asked whether to serve the cached one. May be a coroutine function.
        seconds: After which a judgement counts as none.
        pool: Where plain functions run.
        on_failure: Told of a judgement that failed or was late, with the word "judge".

    Raises:
        ConfigurationError: The function is none.
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
        """Whether the judge is a coroutine function."""
        return self._aio

    def refuse_sync(self) -> None:
        """Refuse a synchronous caller where the judge must be awaited.

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
                raise TimeoutError  # noqa: TRY301 - a late judgement is one that failed
            return bool(outcome.result())
        except Exception as error:  # noqa: BLE001 - when in doubt the answers differ
            self._on_failure("judge", error)
            return False

    async def aask(self, question: str, cached: Any, fresh: Any) -> bool:
        """As :meth:`ask`, without blocking the event loop."""
        try:
            judging: Any = partial(self._function, question, cached, fresh)
            judgement = judging() if self._aio else run_in_pool(self._pool, judging)
            return bool(await run_with_timeout(judgement, self._seconds))
        except Exception as error:  # noqa: BLE001 - when in doubt the answers differ
            self._on_failure("judge", error)
            return False
