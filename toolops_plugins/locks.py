"""Locks that a forked child can take.

A fork copies every lock as it is, and only the thread that forked: a lock that another thread held
at that moment stays taken in the child for ever. So each lock here is replaced by a new one there.
What it guarded may have been in the middle of a change; all of it is counters and caches, for which
being off by one call is better than standing still.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, TypeVar

__all__ = ["renewing"]

L = TypeVar("L")

_REENTRANT = type(threading.RLock())
_kept: dict[int, tuple[weakref.ref[Any], str, bool]] = {}


def renewing(owner: object, lock: L, attribute: str = "_lock") -> L:
    """Return ``lock``, which ``owner`` keeps, and have it replaced in forked children.

    Args:
        owner: Whose lock it is; it can be weakly referenced.
        lock: A ``threading.Lock`` or ``threading.RLock``.
        attribute: The name under which the owner keeps it. Default "_lock".
    """
    number = id(owner)

    def gone(dead: weakref.ref[Any]) -> None:
        known = _kept.get(number)
        if known is not None and known[0] is dead:
            _kept.pop(number, None)

    _kept[number] = weakref.ref(owner, gone), attribute, isinstance(lock, _REENTRANT)
    return lock


def _renew() -> None:
    for reference, attribute, reentrant in tuple(_kept.values()):
        owner = reference()
        if owner is not None:
            setattr(owner, attribute, threading.RLock() if reentrant else threading.Lock())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
