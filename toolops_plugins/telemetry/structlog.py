"""structlog: a sink that writes calls and notices to the application's own structlog.

It needs the extra ``structlog``. The core does not import this module.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, get_args

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.events import OUTCOMES, CallEvent, Notice, NoticeKind
from toolops_plugins.telemetry.log import ProblemLog
from toolops_plugins.telemetry.notice_lines import cause_of, ends_trouble

try:
    import structlog as _structlog
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "toolops_plugins.telemetry.structlog needs structlog:"
        " pip install 'toolops-plugins[structlog]'",
        name=error.name,
    ) from error

__all__ = ["CALL", "LEVELS", "NOTICE", "NOTICE_LEVELS", "StructlogSink"]

CALL = "toolops.call"
"""The event of every call."""
NOTICE = "toolops.notice"
"""The event of every notice."""
LEVELS: Mapping[str, str] = {
    "hit": "debug",
    "coalesced": "debug",
    "stale": "debug",
    "miss": "info",
    "bypass": "info",
    "refresh": "info",
    "fallback": "warning",
    "rejected": "warning",
    "error": "warning",
}
"""Levels of calls by outcome; a stale answer in place of an error, and a refresh that failed, are
warnings too."""
NOTICE_LEVELS: Mapping[str, str] = {
    **dict.fromkeys(get_args(NoticeKind), "warning"),
    "tier_recovered": "info",
    "ledger_recovered": "info",
    "invalidated": "debug",
}
"""Levels of notices by kind; that a breaker closes is an info too."""

_NUMBERS = {"critical": 50, "error": 40, "warning": 30, "info": 20, "debug": 10}
_SAMPLED = frozenset({"hit", "coalesced", "stale"})
_RESERVED = frozenset(
    {
        *("event", "level", "logger", "timestamp", "exc_info", "stack_info", "stacklevel"),
        *("extra", "name", "msg", "message", "args", "module", "process", "thread", "created"),
        *("self", "trace_id", "span_id", "sample_rate", "positional_args", "logger_name"),
    }
)
"""Names of details that structlog, logging or this sink use otherwise."""


class StructlogSink:
    """A sink that writes each call as the event "toolops.call", each notice as "toolops.notice".

    A library never configures structlog: processors, rendering and levels are the application's.
    The logger is made when the first event comes, and anew after each ``structlog.configure`` and
    each fork, whatever ``cache_logger_on_first_use`` says.

    A call has the keys ``tool``, ``kind``, ``outcome`` and ``latency_s``, and where they apply
    ``namespace``, ``tier``, ``worked_s``, ``saved_latency_s``, ``price``, ``saved_price``,
    ``attempts``, ``hedged``, ``key``, ``tags``, ``reason``, ``error``, ``semantic_similarity`` and
    other facts of the semantic decision, and a model's details such as ``model`` and
    ``input_tokens``. A notice has ``kind``, ``subject`` (the tier, tool, breaker or sink), and
    where they apply ``detail``, ``namespace``, ``error``, ``parameter``, ``calls``, ``duration_s``
    and ``repeats``. Both have the variables of ``structlog.contextvars``, and ``trace_id`` and
    ``span_id`` where a span of OpenTelemetry is current. Times are in seconds. There is never an
    argument, a result, a question or a secret.

    Of one trouble the first notice is written, and then one a minute at most, whose ``repeats``
    counts those between.

    It writes in the thread or event loop of the call, so a slow renderer or file delays it: let a
    ``logging.handlers.QueueHandler`` do the writing. Asynchronous methods of a logger are not
    used. Safe to use from any threads and event loops, and after a fork.

    Args:
        logger: A structlog logger. Default: ``structlog.get_logger("toolops_plugins")``.
        levels: Levels of calls by outcome, in place of those of :data:`LEVELS`: "debug", "info",
            "warning", "error" or "critical", or None for no event. Default none.
        notice_levels: The same for notices by kind, in place of those of :data:`NOTICE_LEVELS`.
        hit_sample: The share of hits, stale answers and coalesced calls without an error that are
            written, from 0 to 1; they have it as ``sample_rate`` if it is below 1. Default 1.

    Raises:
        ConfigurationError: The logger, a level, an outcome, a kind or the share is none.

    Example:
        >>> import structlog
        >>> from toolops_plugins import ToolOps
        >>> with structlog.testing.capture_logs() as lines, ToolOps(sinks=[StructlogSink()]) as ops:
        ...     ops.call(len, "abc", name="measure")
        3
        >>> lines[0]["event"], lines[0]["tool"], lines[0]["outcome"], lines[0]["log_level"]
        ('toolops.call', 'measure', 'bypass', 'info')
    """

    def __init__(
        self,
        logger: Any = None,
        *,
        levels: Mapping[str, str | None] | None = None,
        notice_levels: Mapping[str, str | None] | None = None,
        hit_sample: float = 1.0,
    ) -> None:
        if logger is not None and not callable(getattr(logger, "bind", None)):
            raise ConfigurationError(
                "logger", f"must be a logger of structlog, not a {type(logger).__name__}"
            )
        if isinstance(hit_sample, bool) or not isinstance(hit_sample, int | float):
            raise ConfigurationError("hit_sample", f"must be a number, not {hit_sample!r}")
        if not 0 <= hit_sample <= 1:
            raise ConfigurationError("hit_sample", f"must be from 0 to 1, not {hit_sample!r}")
        self._logger = logger
        self._chosen = _check_levels("levels", levels, OUTCOMES)
        self._chosen_notices = _check_levels("notice_levels", notice_levels, NOTICE_LEVELS)
        self._hit_sample = hit_sample
        self._bound: tuple[tuple[Any, ...], Any] = (), None
        # A little less than the minute of notices that come once a minute already.
        self._problems = ProblemLog(interval=59.0)

    def on_call(self, event: CallEvent) -> None:
        """Write the event of a call."""
        outcome = event.outcome
        if outcome in self._chosen:
            level = self._chosen[outcome]
        elif event.error is not None and outcome in ("stale", "refresh"):
            level = "warning"
        else:
            level = LEVELS[outcome]
        sampled = self._hit_sample < 1 and outcome in _SAMPLED and event.error is None
        if sampled and random.random() >= self._hit_sample:  # noqa: S311 - not for secrets
            return
        write = self._find_method(level)
        if write is not None:
            values = _call_values(event)
            if sampled:
                values["sample_rate"] = self._hit_sample
            write(CALL, **_add_context(values))

    def on_notice(self, notice: Notice) -> None:
        """Write a notice, unless one about the same trouble was written just now."""
        kind = notice.kind
        ends = ends_trouble(kind, notice.detail)
        level: str | None
        if kind in self._chosen_notices:
            level = self._chosen_notices[kind]
        elif kind == "breaker" and ends is not False:
            level = "info"  # it closes, or tries to
        else:
            level = NOTICE_LEVELS.get(kind, "warning")
        write = self._find_method(level)
        if write is None:
            return
        values = _notice_values(notice)
        if ends is not None:
            cause = cause_of(kind, notice.name, notice.detail, notice.place)
            log = self._problems
            report = log.count_recovery(cause) if ends else log.count_failure(cause)
            if report is None:
                return
            if report.more:
                values["repeats"] = report.more
        write(NOTICE, **_add_context(values))

    def _find_method(self, level: str | None) -> Callable[..., object] | None:
        """Return the logger's method for a level, or None if nothing would be written."""
        if level is None:
            return None
        logger = self._find_logger()
        with suppress(AttributeError):  # not every logger tells
            if not logger.is_enabled_for(_NUMBERS[level]):
                return None
        write: Callable[..., object] = getattr(logger, level)
        return write

    def _find_logger(self) -> Any:
        """Return a bound logger, made anew after each ``structlog.configure`` and each fork."""
        settings = (*_structlog.get_config().values(), os.getpid())
        known, logger = self._bound
        if known != settings:
            given = self._logger
            if given is None:
                given = _structlog.get_logger("toolops_plugins")
            logger = given.bind()
            logger = getattr(logger, "sync_bl", logger)  # of an AsyncBoundLogger
            self._bound = settings, logger
        return logger


def _check_levels(
    option: str, given: Mapping[str, str | None] | None, known: Collection[str]
) -> dict[str, str | None]:
    chosen = dict(given or {})
    for name, level in chosen.items():
        if name not in known:
            raise ConfigurationError(option, f"has {name!r}, which is none of {', '.join(known)}")
        if level is not None and level not in _NUMBERS:
            raise ConfigurationError(
                option, f"has {level!r}; a level is None or one of {', '.join(_NUMBERS)}"
            )
    return chosen


def _call_values(event: CallEvent) -> dict[str, Any]:
    values: dict[str, Any] = {
        "tool": event.name,
        "kind": event.kind,
        "outcome": event.outcome,
        "latency_s": event.latency,
    }
    optional = {
        "namespace": event.namespace,
        "tier": event.tier,
        "worked_s": event.worked,
        "saved_latency_s": event.saved_latency,
        "price": event.price,
        "saved_price": event.saved_price,
        "attempts": event.attempts,
        "hedged": event.hedged,
        "key": event.key,
        "tags": list(event.tags),
        "reason": event.reason,
        "error": event.error,
    }
    values.update((name, value) for name, value in optional.items() if value)
    for name, value in (event.semantic or {}).items():
        if name != "question":
            values[f"semantic_{name}"] = value
    for name, value in (event.details or {}).items():
        taken = name in values or name in optional or name in _RESERVED
        values[f"details_{name}" if taken else name] = value
    return values


def _notice_values(notice: Notice) -> dict[str, Any]:
    values: dict[str, Any] = {"kind": notice.kind, "subject": notice.name}
    optional = {
        "detail": notice.detail,
        "namespace": notice.namespace,
        "error": notice.error,
        "parameter": notice.place,
        "calls": notice.calls,
        "duration_s": notice.seconds,
    }
    values.update((name, value) for name, value in optional.items() if value)
    return values


def _add_context(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with those of this context, which must not take their names.

    The processor ``merge_contextvars`` adds the same variables; but an application may have none.
    """
    found: dict[str, Any] = {
        name: value
        for name, value in _structlog.contextvars.get_contextvars().items()
        if name not in ("event", "self")
    }
    trace = sys.modules.get("opentelemetry.trace")  # only where the application has imported it
    if trace is not None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            found["trace_id"] = format(context.trace_id, "032x")
            found["span_id"] = format(context.span_id, "016x")
    return found | values
