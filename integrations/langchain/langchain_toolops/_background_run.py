"""Run a tool without the run of its caller, who does not wait for the result.

The run that asked has ended by then, or is about to: nothing may begin under it any more, nor come
out of the stream of its graph. What the configuration says of user and thread stays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.callbacks.manager import BaseRunManager
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config

__all__ = ["background_run"]

_OF_THE_RUN = ("callbacks", "run_id", "run_name")
_OF_THE_GRAPH = ("__", "checkpoint")
"""Prefixes of what LangGraph puts into a configuration to find the task that is under way."""
_RUNTIME = "__pregel_runtime"
"""Where LangGraph keeps store, context and stream writer."""


@contextmanager
def background_run(body: partial[Any]) -> Iterator[Callable[[], Any]]:
    """Return the body of a tool made ready to run under no run at all, and hide the caller's.

    Args:
        body: A tool's ``_run`` or ``_arun`` with all its arguments.
    """
    from langsmith.run_helpers import (  # noqa: PLC0415 - LangChain puts this off too: it is slow
        get_tracing_context,
        tracing_context,
    )

    config = var_child_runnable_config.get()
    token = var_child_runnable_config.set(None if config is None else _alone(config))
    try:
        with tracing_context(**{**get_tracing_context(), "parent": False}):
            args = map(_detach, body.args)
            named = {name: _detach(value) for name, value in body.keywords.items()}
            yield partial(body.func, *args, **named)
    finally:
        with suppress(ValueError):  # the coroutine was left behind, and is ended elsewhere
            var_child_runnable_config.reset(token)


def _alone(config: RunnableConfig) -> RunnableConfig:
    """Return what a configuration holds beside the run and the graph that it was made for."""
    given = config.get("configurable") or {}
    kept = {n: value for n, value in given.items() if not str(n).startswith(_OF_THE_GRAPH)}
    if _RUNTIME in given:
        kept[_RUNTIME] = _silent(given[_RUNTIME])
    alone: Any = {name: value for name, value in config.items() if name not in _OF_THE_RUN}
    alone["configurable"] = kept
    left: RunnableConfig = alone
    return left


def _detach(value: Any) -> Any:
    """Return an argument of a tool's body without the run that it belongs to."""
    if isinstance(value, BaseRunManager):
        return type(value).get_noop_manager()
    if isinstance(value, BaseCallbackManager):
        return None
    if _is_config(value):
        return _alone(value)
    return _silent(value)


def _is_config(value: Any) -> bool:
    # No argument that a model writes looks like this: LangChain fills all of these in.
    return isinstance(value, dict) and {"callbacks", "configurable", "metadata"} <= value.keys()


def _silent(value: Any) -> Any:
    """Return LangGraph's ``Runtime`` or ``ToolRuntime`` with nobody to hear it; else the value."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    names = {field.name for field in dataclasses.fields(value)}
    if not {"stream_writer", "context", "store"} <= names:
        return value
    changed: dict[str, Any] = {"stream_writer": _discard}
    if "config" in names:
        changed["config"] = _alone(value.config)  # type: ignore[attr-defined] # it is among the names
    return dataclasses.replace(value, **changed)


def _discard(_: Any) -> None:
    """Take the place of a graph's stream, which has been read."""
