"""The fallback of a policy, in place of an error."""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from copy import deepcopy
from inspect import Parameter
from typing import Any, NamedTuple, get_origin

from toolops_plugins.callables.target import Kind
from toolops_plugins.calls.call import Call
from toolops_plugins.calls.results import decode_entry
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import NOTHING

__all__ = ["bind_fallback", "check_fallback", "copy_value", "fallback_items", "values_for_fallback"]

_OFFERED = ("error", "arguments", "stale")
_COLLECTIONS = (list, tuple, set, frozenset, deque, range, Iterator, AsyncIterator)


class _Parameters(NamedTuple):
    """The number and names of the offered values that a callable takes."""

    positional: int
    named: tuple[str, ...] = ()


def copy_value(value: Any) -> Any:
    """Return a copy of a fallback's value, which the caller may change.

    A value that cannot be copied is shared, which is better than an error.
    """
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001 - a user's class may raise anything
        return value


def values_for_fallback(call: Call, error: Exception) -> tuple[Any, Any, Any]:
    """Return the values that a fallback may take: see :func:`bind_fallback`."""
    return error, call.plan.arguments(call.args, call.kwargs), _last_value(call)


def bind_fallback(fallback: Callable[..., Any], offered: tuple[Any, Any, Any]) -> Callable[[], Any]:
    """Return a function without parameters that calls a fallback with the values that it takes.

    Args:
        fallback: The callable.
        offered: The error, the arguments by name, and a stale answer or None.
    """
    try:
        parameters = _parameters_of(fallback)
    except ConfigurationError:  # which check_fallback has raised already
        parameters = _Parameters(1)
    named = {name: offered[_OFFERED.index(name)] for name in parameters.named}
    return lambda: fallback(*offered[: parameters.positional], **named)


def fallback_items(value: Any) -> Any:
    """Return the items of a fallback that stands in for a stream.

    A list, another plain collection or an iterator holds the items; None is an empty stream. Any
    other value is the only item: a text is one message, not its letters.
    """
    if value is None:
        return ()
    return value if isinstance(value, _COLLECTIONS) else (value,)


def check_fallback(fallback: Any, kind: Kind) -> None:
    """Refuse a fallback that would fail when it is needed.

    Args:
        fallback: A value or a callable.
        kind: The kind of the function that it stands in for.

    Raises:
        ConfigurationError: It needs other arguments than error, arguments and stale; it can be
            used once only; or it is asynchronous and the function is not.
    """
    if fallback is NOTHING:
        return
    if isinstance(fallback, Iterator | AsyncIterator | Awaitable):
        raise ConfigurationError(
            "fallback",
            f"is a {type(fallback).__name__}, which can be used once; give a list, or a function "
            "that makes a new one",
        )
    if not callable(fallback):
        return
    _parameters_of(fallback)
    if kind not in ("function", "generator"):
        return
    call = type(fallback).__call__
    if inspect.iscoroutinefunction(fallback) or inspect.iscoroutinefunction(call):
        raise ConfigurationError(
            "fallback", "is a coroutine function, which a synchronous call cannot await"
        )
    if kind == "generator" and (
        inspect.isasyncgenfunction(fallback) or inspect.isasyncgenfunction(call)
    ):
        raise ConfigurationError(
            "fallback", "is an asynchronous generator, which a synchronous stream cannot read"
        )


def _parameters_of(fallback: Callable[..., Any]) -> _Parameters:
    """Return which of error, arguments and stale a callable takes.

    Raises:
        ConfigurationError: It needs other arguments.
    """
    shape = get_origin(fallback) or fallback
    while isinstance(shape, functools.partial):
        shape = shape.func
    try:
        parameters = list(inspect.signature(fallback).parameters.values())
    except (TypeError, ValueError):  # written in C
        return (
            _parameters_of_c_class(shape, fallback) if isinstance(shape, type) else _Parameters(1)
        )
    named = tuple(
        p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.name in _OFFERED
    )
    missing = [
        p.name
        for p in parameters
        if p.kind is Parameter.KEYWORD_ONLY and p.default is p.empty and p.name not in _OFFERED
    ]
    places = [
        p
        for p in parameters
        if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    needed = [p.name for p in places if p.default is p.empty]
    if isinstance(shape, type):
        return _parameters_of_class(shape, [p.name for p in places], needed, missing, named)
    if len(needed) > len(_OFFERED) or missing:
        raise ConfigurationError(
            "fallback",
            f"{_name(fallback)} needs {', '.join([*needed, *missing])}; a fallback gets error, "
            "arguments (by name, in a dict) and stale (an older answer, or None), or as many of "
            "these as it takes",
        )
    kinds = {p.kind for p in parameters}
    if Parameter.VAR_POSITIONAL in kinds:
        return _Parameters(len(_OFFERED), ())
    if Parameter.VAR_KEYWORD in kinds and not places:
        return _Parameters(0, _OFFERED)
    return _Parameters(min(len(_OFFERED), len(places)), named)


def _parameters_of_class(
    kind: type, places: list[str], needed: list[str], missing: list[str], named: tuple[str, ...]
) -> _Parameters:
    """Return which of the offered values a class gets: those that it needs, and those it names."""
    if issubclass(kind, BaseException):
        raise ConfigurationError(
            "fallback",
            f"is the exception class {kind.__name__}, which would be returned; give a function "
            "that raises it",
        )
    if missing or (len(needed) > 1 and not set(needed) <= set(_OFFERED)):
        raise ConfigurationError(
            "fallback",
            f"is the class {kind.__name__}, which needs {', '.join([*needed, *missing])}; give an "
            "object of it, or a function that makes one",
        )
    count = len(needed)
    for name in places[count:]:
        if name not in _OFFERED[count : count + 1]:
            break
        count += 1
    return _Parameters(min(count, len(_OFFERED)), named)


def _parameters_of_c_class(kind: type, make: Callable[..., Any]) -> _Parameters:
    if issubclass(kind, BaseException):
        return _parameters_of_class(kind, [], [], [], ())
    problem = (
        f"is the class {kind.__name__}, which cannot be called without arguments; give an object "
        "of it, or a function that makes one"
    )
    try:
        make()  # dict, list and str, for example, make an empty one
    except Exception as error:
        raise ConfigurationError("fallback", problem) from error
    return _Parameters(0)


def _name(fallback: Any) -> str:
    return str(getattr(fallback, "__qualname__", None) or type(fallback).__qualname__)


def _last_value(call: Call) -> Any:
    """Return the value of the entry that this process still holds, however old, or None."""
    plan = call.plan
    if call.key is None or plan.policy.cache is None:
        return None
    near = plan.tiers.near(call.key, call.tags)
    if near is None or near[0].kind != "value":
        return None
    value = decode_entry(call, near[0])
    return None if value is NOTHING else value
