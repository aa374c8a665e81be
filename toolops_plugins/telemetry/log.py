"""Log lines about trouble: at once, then at most once a minute with a count.

Every :class:`~toolops_plugins.telemetry.events.Notice` that is emitted comes through here, so a
part of the library with something to report emits a notice and writes no line of its own; the texts
are in :mod:`toolops_plugins.telemetry.notice_lines`. A part without a runtime, and so without an
emitter, makes a :class:`ProblemLog` and calls it directly::

    log = ProblemLog()
    logger = "toolops_plugins.semantic"
    log.report_failure(logger, "open", "the index %(name)r cannot be opened", name=path)
    log.report_recovery(logger, "open", "the index %(name)r is open again", name=path)

Lines go to loggers that are named by package (``toolops_plugins.cache``,
``toolops_plugins.semantic``, ``toolops_plugins.resilience``, ``toolops_plugins.telemetry``) and
never configured here. They name tiers, tools, breakers and types of exceptions, and never an
argument, a result, a key, a question or an exception's message.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import suppress
from typing import NamedTuple

from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.telemetry.notice_lines import (
    cause_of,
    ends_trouble,
    line_of,
    line_values,
)

__all__ = ["SHARED_LOG", "ProblemLog", "Report", "write_line"]


class Report(NamedTuple):
    """A line that was written, or is about to be.

    Args:
        more: Of trouble: failures of its cause since the line before, without the present one.
        seconds: Of trouble: seconds since the line before, or 0. Of a recovery: since the first
            failure.
        failures: Of a recovery: the number of failures.
    """

    more: int = 0
    seconds: float = 0.0
    failures: int = 0


class _Problem:
    """The record of one cause."""

    __slots__ = ("announced", "count", "seen", "since", "unwritten", "written")

    def __init__(self) -> None:
        self.since: float | None = None  # time of the first failure since the last recovery
        self.count = 0  # failures since then
        self.seen = 0.0  # time of the latest failure
        self.written: float | None = None  # time of the latest line
        self.unwritten = 0  # failures since that line
        self.announced = False  # whether a line reported the present failures


class ProblemLog:
    """Writes one WARNING at once for each cause, then at most one each interval with a count.

    A recovery is written too, with the duration of the trouble and the number of failures, if a
    line reported the trouble. A cause that fails and recovers all the time gets at most one line of
    each sort in an interval. No exception leaves this class, whatever a handler raises.

    Safe to use from any threads and event loops, and after a fork.

    Args:
        clock: The clock whose monotonic time is used.
        interval: Seconds between two lines about one cause. Default 60.
        max_causes: Causes that are told apart. Of further causes that fail in one interval only the
            number is written. Default 1,000.
    """

    def __init__(
        self, clock: Clock = SYSTEM_CLOCK, *, interval: float = 60.0, max_causes: int = 1_000
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._max_causes = max_causes
        # Reentrant: a signal handler or a finalizer may fail while its thread is in here.
        self._lock = fork_safe(self, threading.RLock())
        self._problems: OrderedDict[Hashable, _Problem] = OrderedDict()
        self._overflow = _Problem()

    def report_failure(self, logger: str, cause: Hashable, text: str, /, **values: object) -> None:
        """Count a failure, and write it unless a line about its cause was written just now.

        Args:
            logger: The logger's name.
            cause: The identity of the cause, such as a kind of trouble and a name.
            text: The line, with places such as ``%(name)r``; no place for a possible secret.
            values: The values of the places.
        """
        report = self.count_failure(cause)
        if report is not None:
            self._write_failure(report, logger, text, values)

    def report_recovery(self, logger: str, cause: Hashable, text: str, /, **values: object) -> None:
        """Write that failures have ended, if a line reported them.

        Args:
            logger: The logger's name.
            cause: As in :meth:`report_failure`.
            text: As in :meth:`report_failure`, with places for the ``duration`` of the trouble and
                the number of ``failures``.
            values: As in :meth:`report_failure`.
        """
        report = self.count_recovery(cause)
        if report is not None:
            _write_recovery(report, logger, text, values)

    def write_notice(
        self,
        kind: str,
        name: str,
        detail: str = "",
        started: float = 0.0,  # noqa: ARG002 - lines have a time of their own
        namespace: str = "",
        error: str = "",
        calls: int = 0,
        place: str = "",
        seconds: float = 0.0,  # noqa: ARG002 - it is measured here
    ) -> Report | None:
        """Write the line of a notice, if it is about trouble.

        Args:
            kind: The notice's kind; one without a row in the table gets a plain line.
            name: The notice's name.
            detail: The notice's detail.
            started: Ignored.
            namespace: The runtime's namespace; written unless it is the default one.
            error: The notice's error, a type's name.
            calls: The notice's calls.
            place: The notice's place.
            seconds: Ignored.

        Returns:
            What the line counts; None if no line was written.
        """
        ends = ends_trouble(kind, detail)
        if ends is None:
            return None
        cause = cause_of(kind, name, detail, place)
        report = self.count_recovery(cause) if ends else self.count_failure(cause)
        if report is None:
            return None
        line = line_of(kind, name, detail, error, place)
        text = line.text
        if namespace not in ("", "default"):
            text += " (namespace %(namespace)r)"
        values = line_values(name, detail, namespace, error, calls, place)
        if ends:
            _write_recovery(report, line.logger, text, values)
        else:
            self._write_failure(report, line.logger, text, values)
        return report

    def clear(self) -> None:
        """Forget all causes, so that the next failure of each is written at once."""
        with self._lock:
            self._problems.clear()
            self._overflow = _Problem()

    def reset_after_fork(self) -> None:
        """Start anew in a forked child, whose own trouble nobody has read of."""
        self.clear()

    def count_failure(self, cause: Hashable) -> Report | None:
        """Count a failure; return the counts of its line, or None if it gets none."""
        now = self._clock.monotonic()
        with self._lock:
            problem = self._problem(cause, now)
            if problem.since is None:
                problem.since, problem.count = now, 0
            problem.count += 1
            problem.seen = now
            if problem.written is not None and now - problem.written < self._interval:
                problem.unwritten += 1
                return None
            more, problem.unwritten = problem.unwritten, 0
            ago = 0.0 if problem.written is None else now - problem.written
            problem.written, problem.announced = now, True
            return _Overflow(more, ago) if problem is self._overflow else Report(more, ago)

    def count_recovery(self, cause: Hashable) -> Report | None:
        """Forget the failures of a cause; return their counts if a line reported them."""
        with self._lock:
            problem = self._problems.get(cause)
            if problem is None or problem.since is None:
                return None
            seconds = self._clock.monotonic() - problem.since
            failures, announced = problem.count, problem.announced
            problem.since, problem.announced = None, False
            if not announced:
                return None
            problem.unwritten = 0
            return Report(seconds=seconds, failures=failures)

    def _write_failure(
        self, report: Report, logger: str, text: str, values: dict[str, object]
    ) -> None:
        if isinstance(report, _Overflow):
            text = "More than %(most)d causes of trouble in %(interval).0f s; others failed too"
            values = {"most": self._max_causes, "interval": self._interval}
        if report.more:
            text += " (%(more)d more in the last %(ago).0f s)"
            values = {**values, "more": report.more, "ago": report.seconds}
        write_line(logger, text, **values)

    def _problem(self, cause: Hashable, now: float) -> _Problem:
        problem = self._problems.get(cause)
        if problem is not None:
            self._problems.move_to_end(cause)
            return problem
        if len(self._problems) >= self._max_causes:
            oldest = next(iter(self._problems.values()))
            if now - oldest.seen < self._interval:
                return self._overflow
            self._problems.popitem(last=False)
        problem = self._problems[cause] = _Problem()
        return problem


class _Overflow(Report):
    """The line about causes that are not told apart."""


def _write_recovery(report: Report, logger: str, text: str, values: dict[str, object]) -> None:
    from toolops_plugins.telemetry.formats import duration  # noqa: PLC0415 - rarely needed

    values = {**values, "duration": duration(report.seconds), "failures": report.failures}
    write_line(logger, text, **values)


def write_line(logger: str, text: str, /, **values: object) -> None:
    """Write a WARNING; no exception leaves it, whatever a handler raises.

    Args:
        logger: The logger's name.
        text: The line, with places such as ``%(name)r``; no place for a possible secret.
        values: The values of the places.
    """
    with suppress(Exception):  # a handler or filter of the user's may raise anything
        import logging  # noqa: PLC0415 - takes 3 ms to import, and is needed in trouble only

        logging.getLogger(logger).warning(text, values)


SHARED_LOG = ProblemLog()
"""The log of parts that belong to the process rather than to a runtime."""
