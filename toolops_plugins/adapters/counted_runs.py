"""Remember the runs that the runtime has counted, so that no handler counts them again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["Runs"]

R = TypeVar("R", bound=Hashable)

_RUNS = 10_000
"""Runs that are remembered until somebody asks, and as many afterwards."""
_RUNS_OF_ERROR = 100
"""Runs of which is remembered that an error was theirs; most errors are of one."""
_MARK = "__toolops_counted__"
"""Where an error says in how many runs that nobody has asked about it was counted, and in which."""


class Runs(Generic[R]):
    """Runs that the runtime counts.

    Each handler of a run asks, all of them within moments. So what was asked about gives way to
    what was asked about later, and never takes the place of a run that is still under way. Safe to
    use from any threads.
    """

    def __init__(self) -> None:
        self._lock = fork_safe(self, threading.Lock())
        self._noted: OrderedDict[R, None] = OrderedDict()
        self._asked: OrderedDict[R, None] = OrderedDict()

    def note(self, run: R) -> None:
        """Note that the runtime counts this run."""
        with self._lock:
            self._keep(self._noted, run)

    def has(self, run: R) -> bool:
        """Return whether the runtime counts this run; any number of handlers may ask."""
        with self._lock:
            if self._noted.pop(run, False) is None:
                self._keep(self._asked, run)
            return run in self._asked

    def note_error(self, error: BaseException) -> None:
        """Note that the runtime has counted this error, in a run whose id nobody there knows."""
        with self._lock:
            # In its dict, past any __setattr__, and plain, since errors are pickled and copied.
            vars(error).setdefault(_MARK, [0, []])[0] += 1

    def has_error(self, error: BaseException, run: R) -> bool:
        """Return whether the runtime has counted this error of a run.

        The first run that asks is the one in which it was raised; to those around it, through which
        it passes later, the error is their own. An error that was noted in several runs is each
        one's.
        """
        with self._lock:
            mark = vars(error).get(_MARK)
            if mark is None:
                return False
            if run not in mark[1]:
                if not mark[0]:
                    return False
                mark[0] -= 1
                mark[1] = [*mark[1], run][-_RUNS_OF_ERROR:]
            return True

    def _keep(self, runs: OrderedDict[R, None], run: R) -> None:
        runs[run] = None
        if len(runs) > _RUNS:
            runs.popitem(last=False)
