"""Log lines about trouble: at once, then at most once a minute with a count.

Every :class:`~toolops_plugins.telemetry.events.Notice` that is emitted comes through here, so a
part of the library with something to report emits a notice and writes no line of its own. A new
kind of notice gets a row in ``_LINES``, or is added to ``SILENT``. A part without a runtime, and so
without an emitter, makes a :class:`ProblemLog` and calls it directly::

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
from toolops_plugins.keys.encoding_failures import READ_ONCE, TOO_DEEP

__all__ = ["SILENT", "ProblemLog", "write_line"]

_CACHE = "toolops_plugins.cache"
_SEMANTIC = "toolops_plugins.semantic"
_RESILIENCE = "toolops_plugins.resilience"
_TELEMETRY = "toolops_plugins.telemetry"


class _Line(NamedTuple):
    """The text of a kind of notice; ``%(name)r`` and ``%(detail)s`` are the notice's own."""

    logger: str
    text: str
    recovery_of: str | None = None
    """The kind of notice whose trouble has ended."""
    apart: bool = False
    """True if notices of one name with different details have different causes."""


_LINES = {
    "tier_failed": _Line(
        _CACHE, "The cache tier %(name)r failed (%(detail)s); calls go on without it"
    ),
    "tier_recovered": _Line(
        _CACHE, "The cache tier %(name)r works again", recovery_of="tier_failed"
    ),
    "unknown_format": _Line(
        _CACHE, "Stored bytes of %(name)r cannot be read (%(detail)s) and count as a miss"
    ),
    "tampered": _Line(
        _CACHE,
        "Stored bytes of %(name)r are not signed with this runtime's secret (%(detail)s) and count"
        " as a miss",
    ),
    "not_encodable": _Line(
        _CACHE,
        "A result or error of %(name)r is not kept, since no codec takes %(detail)s",
        apart=True,
    ),
    "too_large": _Line(
        _CACHE,
        "A result of %(name)r is not kept, since it is a %(detail)s; ToolOps(max_value_bytes=...)"
        " raises the bound",
    ),
    "breaker": _Line(_RESILIENCE, "The circuit breaker %(name)r changed (%(detail)s)"),
    "bypass": _Line(_CACHE, "Calls of %(name)r go past the cache (%(detail)s)", apart=True),
    "refresh_failed": _Line(
        _CACHE, "The refresh of %(name)r in the background failed (%(detail)s)"
    ),
    "threads_full": _Line(
        _RESILIENCE,
        "Calls of %(name)r wait for a thread: %(detail)s; ToolOps(max_threads=...) makes more",
    ),
    "sink_failed": _Line(
        _TELEMETRY, "The sink %(name)r raised %(detail)s; further ones are counted"
    ),
    "stage_failed": _Line(
        _CACHE,
        "A part of the cache failed in a call of %(name)r (%(detail)s), which went on without it",
        apart=True,
    ),
}
SILENT = frozenset({"invalidated", "folder_in_use"})
"""Kinds of notices that make no line: they are no trouble, or the index has written one itself."""

_REGISTER = "; register its type with codec.register(), or return plain data"
_TAKE_OUT = "; return plain data made from it, such as a list, a dict or a text"
_CANONICAL = (
    "an argument%(error)s has no canonical form; leave it out with ignore=[...], register its type"
    " with ops.canon.register(), or give its class a __toolops_key__() method"
)
_PAST = "Calls of %(name)r go past the cache (%(detail)s): "

_BYPASSES = {
    "not_canonical": _PAST + _CANONICAL,
    "scope_not_canonical": "Questions to %(name)r are compared exactly only (%(detail)s): "
    + _CANONICAL,
    "key_failed": _PAST
    + "to make the key raised%(error)s; see key=, tenant= and what the arguments define",
    "tags_failed": _PAST + "to make the tags raised%(error)s; see tags=",
    "when_failed": "A result of %(name)r is not kept (%(detail)s): Cache(when=...) raised%(error)s",
    "price_failed": "A call of %(name)r counts as free (%(detail)s): price= raised%(error)s",
    "name_taken": "Several functions are called %(name)r (%(detail)s): each but the first has a"
    " cache of its own, in this process; give name= to those that may share answers",
    "process_local": "Answers of %(name)r are shared within this process only (%(detail)s):"
    "%(error)s is a function or another object that only this process knows; give it the attribute"
    " __toolops_key__, such as the name of an account, to share them with others",
    "address_in_model": _PAST
    + "the model's parameters hold an object that its text names by address; use guard_llm() or"
    " ToolOpsMiddleware, which see the model itself",
    "schema_version_missing": _PAST
    + "of the schema of a structured output only the name is known; give"
    " ToolOpsCache(schema_version=...), and change it with the schema",
    "not_encodable": "A value of %(name)r is not kept (%(detail)s): the serializer does not bring"
    " it back as it was; give serde= with an allowlist of its classes",
    "unreadable": "A stored value of %(name)r cannot be read (%(detail)s) and counts as a miss",
    "model_unknown": _PAST
    + "no embedding model is known to ask for it; see ToolOpsKVStore, or use guard_embedding()",
    "end_untold": "A stream of %(name)r is not kept (%(detail)s): it ended without a finish reason,"
    " so it may have been cut; let a model of your own say one with its last chunk, such as"
    ' {"finish_reason": "stop"} in the metadata',
    "call_streamed": "A tool call of %(name)r is not kept (%(detail)s): it was made of a stream, of"
    " which a cache does not see whether all arguments came; use guard_llm() or ToolOpsMiddleware,"
    " which see the stream",
    "request_changed": "Results of %(name)r are not kept (%(detail)s): middleware inside of"
    " ToolOpsMiddleware changes what is asked; put ToolOpsMiddleware last in the list",
    "image_unknown": _PAST + "an image is neither a file nor a BytesIO",
    "vector_unsound": "A vector of %(name)r is not kept (%(detail)s): it is empty, all zeros, or"
    " not of finite numbers, or has another length than its settings ask for or its others have;"
    " the caller has it as the embedder gave it",
    "settings_changed": "Vectors of %(name)r are not kept (%(detail)s): the embedder's settings"
    " changed while it made them",
}
"""Lines of notices of kind "bypass", by their reason; ``%(error)s`` may be empty."""

_OPEN = "The circuit breaker %(name)r opened (%(detail)s); its calls are rejected"
_CLOSED = (
    "The circuit breaker %(name)r closed (%(detail)s); its calls are made again; %(calls)d were"
    " rejected"
)


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
        now = self._clock.monotonic()
        with self._lock:
            problem = self._problem(cause, now)
            if problem is self._overflow:
                text = "More than %(most)d causes of trouble in %(seconds).0f s; others failed too"
                values = {"most": self._max_causes, "seconds": self._interval}
            if problem.since is None:
                problem.since, problem.count = now, 0
            problem.count += 1
            problem.seen = now
            if problem.written is not None and now - problem.written < self._interval:
                problem.unwritten += 1
                return
            more, problem.unwritten = problem.unwritten, 0
            earlier, problem.written, problem.announced = problem.written, now, True
        if more and earlier is not None:
            text += " (%(more)d more in the last %(ago).0f s)"
            values = {**values, "more": more, "ago": now - earlier}
        write_line(logger, text, **values)

    def report_recovery(self, logger: str, cause: Hashable, text: str, /, **values: object) -> None:
        """Write that failures have ended, if a line reported them.

        Args:
            logger: The logger's name.
            cause: As in :meth:`report_failure`.
            text: As in :meth:`report_failure`; the duration and number of failures are added.
            values: As in :meth:`report_failure`.
        """
        with self._lock:
            problem = self._problems.get(cause)
            if problem is None or problem.since is None:
                return
            seconds = self._clock.monotonic() - problem.since
            failures, announced = problem.count, problem.announced
            problem.since, problem.announced = None, False
            if not announced:
                return
            problem.unwritten = 0
        text += ", after %(seconds).1f s (%(failures)d times)"
        write_line(logger, text, **{**values, "seconds": seconds, "failures": failures})

    def write_notice(
        self,
        kind: str,
        name: str,
        detail: str = "",
        started: float = 0.0,  # noqa: ARG002 - lines have a time of their own
        namespace: str = "",
        error: str = "",
        calls: int = 0,
    ) -> None:
        """Write the line of a notice, if it is about trouble.

        Args:
            kind: The notice's kind; one without a row in the table gets a plain line.
            name: The notice's name.
            detail: The notice's detail.
            started: Ignored.
            namespace: The runtime's namespace; written unless it is the default one.
            error: The notice's error, a type's name.
            calls: The notice's calls.
        """
        line = _LINES.get(kind)
        if kind in SILENT:
            return
        if line is None:
            line = _Line("toolops_plugins", f"{kind.replace('_', ' ')}: %(name)r (%(detail)s)")
        logger, text = line.logger, line.text
        if name == "semantic" and logger == _CACHE:  # the label of the semantic cache
            logger, text = _SEMANTIC, text.replace("cache tier", "index")
            if kind == "stage_failed":
                text = (
                    "A part of the semantic cache failed (%(detail)s); its call went on without it"
                )
        cause: tuple[str, ...] = (line.recovery_of or kind, name, detail if line.apart else "")
        recovery = line.recovery_of is not None
        if kind == "breaker":
            state = detail.rpartition(" -> ")[2]
            if state == "half_open":
                return
            recovery = state not in ("open", "forced_open")
            text = _CLOSED if recovery else _OPEN
            if error and not recovery:
                text += "; the last failure was %(error)s"
        if kind == "not_encodable" and "codec.register_error(" not in detail:
            once = detail.endswith(READ_ONCE)
            text += _TAKE_OUT if once else "" if TOO_DEEP in detail else _REGISTER
        if kind == "bypass":
            text = _BYPASSES.get(detail, text)
            error = error and f" {'of type ' if detail.endswith('canonical') else ''}{error}"
        if namespace not in ("", "default"):
            text += " (namespace %(namespace)r)"
        write = self.report_recovery if recovery else self.report_failure
        write(
            logger, cause, text, name=name, detail=repr(detail)[1:-1], namespace=namespace,
            error=repr(error)[1:-1], calls=calls,
        )  # fmt: skip

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
