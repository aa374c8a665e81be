"""What a policy offers a caller in place of an error."""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from copy import deepcopy
from inspect import Parameter
from typing import Any, NamedTuple, get_origin

from toolops_plugins.callables.target import Kind
from toolops_plugins.calls.plan import Call
from toolops_plugins.calls.results import decoded
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import NOTHING
from toolops_plugins.steps import Ask, Flow

__all__ = ["check_fallback", "copy_of_value", "fallback_call", "fallback_items", "fallen_back"]

_GIVEN = ("error", "arguments", "stale")
_SEVERAL = (list, tuple, set, frozenset, deque, range, Iterator, AsyncIterator)


class _Accepted(NamedTuple):
    """Which of error, arguments and stale answer a callable takes, and how."""

    positional: int
    named: tuple[str, ...] = ()


def fallen_back(call: Call, error: Exception) -> Flow:
    """Return what the policy offers in place of the error; its own error reaches the caller."""
    plan = call.plan
    fallback = plan.policy.fallback
    if not callable(fallback):
        return copy_of_value(fallback)
    given = (error, plan.arguments(call.args, call.kwargs), _last_known(call))
    return (yield Ask(fallback_call(fallback, given)))


def copy_of_value(value: Any) -> Any:
    """Return a copy of a fallback's value, which the caller may change; or itself, if it has none.

    What cannot be copied is shared, since an error of ours would be the worse answer.
    """
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001 - of a user's class
        return value


def fallback_call(fallback: Callable[..., Any], given: tuple[Any, Any, Any]) -> Callable[[], Any]:
    """Return a function that calls a fallback with what it takes.

    Args:
        fallback: The callable.
        given: The error, the arguments by name, and a stale answer or None.
    """
    try:
        accepted = _accepted(fallback)
    except ConfigurationError:  # which was refused when the policy was put to use
        accepted = _Accepted(1)
    named = {name: given[_GIVEN.index(name)] for name in accepted.named}
    return lambda: fallback(*given[: accepted.positional], **named)


def fallback_items(value: Any) -> Any:
    """Return what a fallback offers in place of a stream, as its items.

    A list, another plain collection or an iterator holds the items; None stands for none, and
    whatever else is the only one: a text is one message, not its letters.
    """
    if value is None:
        return ()
    return value if isinstance(value, _SEVERAL) else (value,)


def check_fallback(fallback: Any, kind: Kind) -> None:
    """Refuse a fallback that could not stand in when it is needed.

    Args:
        fallback: A value or a callable.
        kind: What it is to stand in for.

    Raises:
        ConfigurationError: It cannot be called with what there is, or used more than once; it is
            asynchronous where the function is not.
    """
    if fallback is NOTHING:
        return
    if isinstance(fallback, Iterator | AsyncIterator | Awaitable):
        raise ConfigurationError(
            "fallback",
            f"is a {type(fallback).__name__}, which can be used once; give a list, or a function "
            "that makes it anew",
        )
    if not callable(fallback):
        return
    _accepted(fallback)
    if kind not in ("function", "generator"):
        return
    called = type(fallback).__call__
    if inspect.iscoroutinefunction(fallback) or inspect.iscoroutinefunction(called):
        raise ConfigurationError(
            "fallback", "is a coroutine function, which a synchronous call cannot await"
        )
    if kind == "generator" and (
        inspect.isasyncgenfunction(fallback) or inspect.isasyncgenfunction(called)
    ):
        raise ConfigurationError(
            "fallback", "is an asynchronous generator, which a synchronous stream cannot read"
        )


def _accepted(fallback: Callable[..., Any]) -> _Accepted:
    """Return what a callable takes of error, arguments and stale answer.

    Raises:
        ConfigurationError: It needs more than there is.
    """
    shape = get_origin(fallback) or fallback
    while isinstance(shape, functools.partial):
        shape = shape.func
    try:
        parameters = list(inspect.signature(fallback).parameters.values())
    except (TypeError, ValueError):  # written in C
        return _of_class_in_c(shape, fallback) if isinstance(shape, type) else _Accepted(1)
    named = tuple(
        p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.name in _GIVEN
    )
    lacking = [
        p.name
        for p in parameters
        if p.kind is Parameter.KEYWORD_ONLY and p.default is p.empty and p.name not in _GIVEN
    ]
    places = [
        p
        for p in parameters
        if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    needed = [p.name for p in places if p.default is p.empty]
    if isinstance(shape, type):
        return _of_class(shape, [p.name for p in places], needed, lacking, named)
    if len(needed) > len(_GIVEN) or lacking:
        raise ConfigurationError(
            "fallback",
            f"{_name(fallback)} needs {', '.join([*needed, *lacking])}; a fallback gets error, "
            "arguments (by name, in a dict) and stale (an older answer, or None), or as many of "
            "these as it takes",
        )
    kinds = {p.kind for p in parameters}
    if Parameter.VAR_POSITIONAL in kinds:
        return _Accepted(len(_GIVEN), ())
    if Parameter.VAR_KEYWORD in kinds and not places:
        return _Accepted(0, _GIVEN)
    return _Accepted(min(len(_GIVEN), len(places)), named)


def _of_class(
    kind: type, places: list[str], needed: list[str], lacking: list[str], named: tuple[str, ...]
) -> _Accepted:
    """Return what the maker of a class is given: what it needs, and what bears the names."""
    if issubclass(kind, BaseException):
        raise ConfigurationError(
            "fallback",
            f"is the exception class {kind.__name__}, which would be returned; give a function "
            "that raises it",
        )
    if lacking or (len(needed) > 1 and not set(needed) <= set(_GIVEN)):
        raise ConfigurationError(
            "fallback",
            f"is the class {kind.__name__}, which needs {', '.join([*needed, *lacking])}; give an "
            "object of it, or a function that makes one",
        )
    count = len(needed)
    for name in places[count:]:
        if name not in _GIVEN[count : count + 1]:
            break
        count += 1
    return _Accepted(min(count, len(_GIVEN)), named)


def _of_class_in_c(kind: type, make: Callable[..., Any]) -> _Accepted:
    if issubclass(kind, BaseException):
        return _of_class(kind, [], [], [], ())
    problem = (
        f"is the class {kind.__name__}, which cannot be made from nothing; give an object of it, "
        "or a function that makes one"
    )
    try:
        make()  # as dict, list, str and their kin can be, from nothing
    except Exception as error:
        raise ConfigurationError("fallback", problem) from error
    return _Accepted(0)


def _name(fallback: Any) -> str:
    return str(getattr(fallback, "__qualname__", None) or type(fallback).__qualname__)


def _last_known(call: Call) -> Any:
    """Return the value of an entry that this process still holds, however old, or None."""
    plan = call.plan
    if call.key is None or plan.policy.cache is None:
        return None
    near = plan.tiers.near(call.key, call.tags)
    if near is None or near[0].kind != "value":
        return None
    value = decoded(call, near[0])
    return None if value is NOTHING else value
