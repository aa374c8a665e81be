"""Tell CrewAI of a failed call, and recognise the exceptions that are no failures."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from crewai.flow.async_feedback.types import HumanFeedbackPending
from crewai.hooks import HookAborted
from crewai.tools.tool_failure import (
    ToolExecutionFailedError,
    ToolFailure,
    failure_from_exception,
)

from toolops_plugins.errors import CallTimeout, ConfigurationError, Rejected

__all__ = ["OnError", "failure_of", "is_signal", "on_error_of", "reaches_crewai"]

OnError: TypeAlias = Literal["failure", "raise"]

_SIGNALS = (
    HookAborted,
    HumanFeedbackPending,
    ToolExecutionFailedError,
)


def on_error_of(wanted: Any) -> OnError:
    """Return the way to treat errors that was given.

    Raises:
        ConfigurationError: It is neither "failure" nor "raise".
    """
    if wanted not in ("failure", "raise"):
        raise ConfigurationError("on_error", f'must be "failure" or "raise", not {wanted!r}')
    checked: OnError = wanted
    return checked


def is_signal(error: Exception) -> bool:
    """Return whether an exception is one that CrewAI raises for itself, and no failure."""
    return isinstance(error, _SIGNALS)


def reaches_crewai(error: Exception) -> bool:
    """Return whether an exception is to reach CrewAI, or the user, as it is."""
    return isinstance(error, (*_SIGNALS, NotImplementedError, ConfigurationError))


def failure_of(error: Exception) -> ToolFailure:
    """Return what a tool returns to tell CrewAI that it failed."""
    failure = failure_from_exception(error, retryable=isinstance(error, Rejected | CallTimeout))
    after = getattr(error, "retry_after", None) if isinstance(error, Rejected) else None
    return (
        failure if after is None else failure.model_copy(update={"details": {"retry_after": after}})
    )
