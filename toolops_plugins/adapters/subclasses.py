"""Subclasses made for the objects that are guarded, one for each class that they are of."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["SubclassCache", "refuse_pickle"]


class SubclassCache:
    """Makes a subclass of each class once. Thread-safe.

    Both live as long as their instances, and no longer.

    Args:
        make: Makes the subclass of a class.
    """

    def __init__(self, make: Callable[[Any], type[Any]]) -> None:
        self._make = make
        self._lock = fork_safe(self, threading.Lock())
        self._known: weakref.WeakKeyDictionary[type[Any], weakref.ref[type[Any]]] = (
            weakref.WeakKeyDictionary()
        )

    def of(self, kind: type[Any]) -> type[Any]:
        """Return the subclass of a class."""
        with self._lock:
            known = self._known.get(kind)
            found = known() if known is not None else None
            if found is None:
                found = self._make(kind)
                self._known[kind] = weakref.ref(found)
            return found


def refuse_pickle(guarded: Any, protocol: Any) -> NoReturn:  # noqa: ARG001 - as pickle calls it
    """Say that an instance of such a subclass stays here; to stand as its ``__reduce_ex__``.

    Raises:
        TypeError: Always.
    """
    name = type(guarded).__name__
    raise TypeError(
        f"a guarded {name} cannot be pickled: its runtime belongs to this process. Pickle the "
        f"{name} as it was, and guard it there"
    )
