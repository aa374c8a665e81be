"""Notices and log lines of adapters."""

from __future__ import annotations

from collections.abc import Hashable

from toolops_plugins.errors import TierError
from toolops_plugins.runtime import ToolOps
from toolops_plugins.steps import tier_problem
from toolops_plugins.telemetry.log import SHARED_LOG

__all__ = [
    "report_problem",
    "report_unreached_tier",
    "warn_of_changed_request",
    "warn_of_local_value",
    "warn_of_untold_end",
]


def report_problem(logger: str, cause: Hashable, text: str, /, **values: object) -> None:
    """Write a WARNING at once, and of the same cause at most one a minute with a count.

    It is for what is wrong with a framework's objects; what concerns the calls of a runtime is a
    notice, which sinks get too. No exception leaves it.

    Args:
        logger: The logger's name, which is that of the adapter's package.
        cause: The identity of the cause, such as a word and a name.
        text: The line, with places such as ``%(name)r``; no place for a possible secret.
        values: The values of the places.
    """
    SHARED_LOG.report_failure(logger, (logger, cause), text, **values)


def report_unreached_tier(logger: str, what: str, error: TierError) -> None:
    """Write that results were not forgotten everywhere, where a framework expects no error.

    Args:
        logger: The logger's name.
        what: The framework's object, such as "cache of nodes".
        error: The error, of whose cause only the type is written.
    """
    report_problem(
        logger,
        what,
        "The %(what)s could not forget everywhere (%(detail)s): a tier that was not reached still"
        " has its results until they expire; forget them again when it works",
        what=what,
        detail=tier_problem(error),
    )


def warn_of_untold_end(ops: ToolOps, name: str) -> None:
    """Warn that a stream is not kept, since it may have been cut; see :meth:`Emitter.warn`.

    Args:
        ops: The runtime.
        name: The name under which the stream is counted.
    """
    _warn(ops, name, "end_untold")


def warn_of_changed_request(ops: ToolOps, name: str) -> None:
    """Warn that what others have changed on the way is not kept; see :meth:`Emitter.warn`.

    Args:
        ops: The runtime.
        name: The name of the model or tool.
    """
    _warn(ops, name, "request_changed")


def warn_of_local_value(ops: ToolOps, name: str, place: str) -> None:
    """Warn that answers are shared within this process only; see :meth:`Emitter.warn`.

    Args:
        ops: The runtime.
        name: The name under which the model's calls are counted.
        place: The class and the field that hold the value.
    """
    _warn(ops, name, "process_local", place)


def _warn(ops: ToolOps, name: str, reason: str, error: str = "") -> None:
    emitter = ops._emitter  # noqa: SLF001 - of this package
    emitter.warn(name, reason, started=ops.clock.time(), namespace=ops.namespace, error=error)
