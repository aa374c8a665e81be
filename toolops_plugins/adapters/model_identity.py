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
from typing import Any

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
    "replace_values",
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
_lock = fork_safe(sys.modules[__name__], threading.Lock())


class Unknown:
    """A value that cannot be told from others, so that its call bypasses the cache with a warning.

    Args:
        error: The reason.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __toolops_key__(self) -> Any:
        raise NotCanonicalError(type(self._error).__name__) from self._error


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
    *,
    skip: Container[str] = WATCH_FIELDS,
    settings: tuple[type, ...] = SETTINGS,
) -> dict[str, Any]:
    """Return the fields of a pydantic model that may change its answers, by name.

    Args:
        model: The live model.
        replace: Returns a field's value as it counts.
        skip: Names of fields that change nothing, or count in another way.
        settings: Types that count in fields that the class does not write down, most of which are
            clients.
    """
    found = {}
    for name, field in type(model).model_fields.items():
        value = None if name in skip else getattr(model, name, None)
        # Most are None, and to leave them out says the same.
        if value is not None and (not field.exclude or isinstance(value, settings)):
            found[name] = replace(value)
    return found


def replace_values(value: Any, replace: Callable[[Any], Any]) -> Any:
    """Return a value with some of the values in it replaced, at any depth of lists and mappings.

    Args:
        value: The value; it is left as it is, and containers are copied.
        replace: Returns what stands in a value's place, or NOTHING for one that stays.
    """
    found = replace(value)
    if found is not NOTHING:
        return found
    if isinstance(value, Mapping):  # such as headers, whatever the class of the mapping
        return {name: replace_values(each, replace) for name, each in value.items()}
    if type(value) in (list, tuple):
        return [replace_values(each, replace) for each in value]
    return value
