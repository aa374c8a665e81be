"""Identities of models: the values that tell one model from others that might answer differently.

What frameworks say of a model shows secrets, or lacks some of what is sent. So identities are made
of live values. They are hashed, and nothing of them, secrets included, is kept or shown.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Any

from toolops_plugins.adapters.live_values import LiveValues
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.policy import NOTHING

__all__ = [
    "SETTINGS",
    "WATCH_FIELDS",
    "Unknown",
    "class_identity",
    "field_identities",
    "identify",
    "private_identities",
    "replace_values",
    "replacer",
]

WATCH_FIELDS = frozenset(
    (
        "callback_manager",
        "callbacks",
        "max_retries",
        "rate_limiter",
        "request_timeout",
        "timeout",
        "verbose",
    )
)
"""Fields of models that only say how a call is watched, and how long and often it is tried."""
SETTINGS = (str, bool, int, float, Mapping)
"""Types of private attributes, and of fields that are not written down, that count in an identity.

Whole numbers count, though some are counters: a counter costs hits, and an uncounted limit of
tokens would serve one model's answer for another's.
"""
_local_classes: weakref.WeakKeyDictionary[type, bytes] = weakref.WeakKeyDictionary()
_PLAIN = frozenset((type(None), str, bool, int, float))
_lock = fork_safe(sys.modules[__name__], threading.Lock())


class Unknown:
    """A value that cannot be told from others, so that its call bypasses the cache with a warning.

    Args:
        error: The reason.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __toolops_key__(self) -> Any:
        kind = getattr(self._error, "kind", "")
        unknown = NotCanonicalError(type(self._error).__name__, kind=kind)
        unknown.argument = "model."
        raise unknown from self._error


def identify(make: Callable[[], tuple[str, Any]]) -> tuple[str, Any]:
    """Return the question of a call, and everything else that its answer depends on.

    Args:
        make: Makes both. Where it raises, the call bypasses the cache with a warning.
    """
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - of users' classes, which may raise anything
        return "", Unknown(error)


def class_identity(kind: type) -> Any:
    """Return a class of models as it counts in keys: itself, with a token if it is local.

    Two classes that one function has made may have one definition and work with different things.
    """
    if "<locals>" not in kind.__qualname__:
        return kind
    with _lock:
        return [kind, _local_classes.setdefault(kind, os.urandom(16))]


def field_identities(
    model: Any,
    replace: Callable[[Any], Any],
    live: LiveValues,
    *,
    skip: Container[str] = WATCH_FIELDS,
    settings: tuple[type, ...] = SETTINGS,
) -> dict[str, Any]:
    """Return the fields of a pydantic model that may change its answers, by name.

    Args:
        model: The live model.
        replace: Returns what stands in place of a value, or NOTHING.
        live: Makes what functions and credentials count as.
        skip: Names of fields that change nothing, or count in another way.
        settings: Types that count in fields that the class does not write down, most of which are
            clients.

    Raises:
        NotCanonicalError: A field cannot be told from others; the error names it.
    """
    kind = type(model)
    make = replacer(replace, live)
    found = {}
    for name, field in kind.model_fields.items():
        value = None if name in skip else getattr(model, name, None)
        # Most are None, and to leave them out says the same.
        if value is not None:
            whole = not field.exclude or isinstance(value, settings)
            counted = live.identity_of(kind, name, make if whole else live.added, value)
            if counted is not NOTHING:
                found[name] = counted
    return found


def private_identities(
    model: Any,
    replace: Callable[[Any], Any],
    live: LiveValues,
    *,
    skip: Container[str] = (),
    counts: Callable[[Any], bool] = lambda value: isinstance(value, SETTINGS),
) -> dict[str, Any]:
    """Return the private attributes of a pydantic model that may change its answers, by name.

    Args:
        model: The live model.
        replace: As for :func:`field_identities`.
        live: As for :func:`field_identities`.
        skip: Names of attributes that change nothing, without leading underscores.
        counts: Whether a value counts as it is. Of others only credentials do, and what a client
            adds to requests.

    Raises:
        NotCanonicalError: An attribute cannot be told from others; the error names it.
    """
    kind = type(model)
    make = replacer(replace, live)
    added = partial(live.added, hidden=True)
    found = {}
    for name, value in (model.__pydantic_private__ or {}).items():
        if value is not None and name.lstrip("_") not in skip:
            counted = live.identity_of(kind, name, make if counts(value) else added, value)
            if counted is not NOTHING:
                found[name] = counted
    return found


def replacer(replace: Callable[[Any], Any], live: LiveValues) -> Callable[[Any], Any]:
    """Return a function that makes what an attribute of a model counts as.

    Args:
        replace: As for :func:`field_identities`.
        live: As for :func:`field_identities`.
    """

    def replace_any(value: Any) -> Any:
        found = replace(value)
        return live.replace(value) if found is NOTHING else found

    return partial(replace_values, replace=replace_any)


def replace_values(value: Any, replace: Callable[[Any], Any]) -> Any:
    """Return a value with some of the values in it replaced, at any depth of lists and mappings.

    Args:
        value: The value; it is left as it is, and containers are copied.
        replace: Returns what stands in a value's place, or NOTHING for one that stays. It is not
            asked about texts, numbers, truth values and None, which are most of what there is.
    """
    if type(value) in _PLAIN:
        return value
    found = replace(value)
    if found is not NOTHING:
        return found
    if isinstance(value, Mapping):  # such as headers, whatever the class of the mapping
        return {
            name: each if type(each) in _PLAIN else replace_values(each, replace)
            for name, each in value.items()
        }
    if type(value) in (list, tuple):
        return [each if type(each) in _PLAIN else replace_values(each, replace) for each in value]
    return value
