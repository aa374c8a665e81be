"""The user's judge of two answers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from toolops_plugins import check
from toolops_plugins.concurrency.pool import Outcome, Pool
from toolops_plugins.concurrency.tasks import run_with_timeout
from toolops_plugins.concurrency.to_thread import run_in_pool
from toolops_plugins.errors import ConfigurationError

__all__ = ["Judge", "JudgeLike"]

JudgeLike: TypeAlias = Callable[[str, Any, Any], bool | Awaitable[bool | None] | None]


class Judge:
    """The user's judge with a timeout. Safe to use from any threads and event loops.

    Args:
        function: Takes the question, the cached answer and the fresh one; the last is None where
            the question is whether to serve. Returns None where it cannot tell. May be a coroutine
            function.
        seconds: Timeout; a late judgement tells nothing.
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

    def ask(self, question: str, cached: Any, fresh: Any) -> bool | None:
        """Return whether the judge agrees; None if it cannot tell, failed or was late."""
        self.refuse_sync()
        outcome = Outcome()
        judging = partial(self._function, question, cached, fresh)
        try:
            ticket = self._pool.submit(partial(outcome.run, judging))
            if not outcome.wait(self._seconds):
                ticket.drop()
                raise TimeoutError  # noqa: TRY301 - a late judgement is a failure
            return _as_verdict(outcome.result())
        except Exception as error:  # noqa: BLE001 - of the user's function
            self._on_failure("judge", error)
            return None

    async def aask(self, question: str, cached: Any, fresh: Any) -> bool | None:
        """Like :meth:`ask`, without blocking the event loop."""
        try:
            judging: Any = partial(self._function, question, cached, fresh)
            judgement = judging() if self._aio else run_in_pool(self._pool, judging)
            return _as_verdict(await run_with_timeout(judgement, self._seconds))
        except Exception as error:  # noqa: BLE001 - of the user's function
            self._on_failure("judge", error)
            return None


def _as_verdict(judgement: Any) -> bool | None:
    return None if judgement is None else bool(judgement)
