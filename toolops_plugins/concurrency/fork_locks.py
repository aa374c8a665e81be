"""Locks that a forked child can take, and what else has to begin anew there.

A fork copies every lock as it is, and only the thread that forked: a lock that another thread held
at that moment stays taken in the child for ever. So each lock here is replaced by a new one there.
What it guarded may have been in the middle of a change; all of it is counters and caches, for which
being off by one call is better than standing still. What counts threads and tasks of the parent,
such as the places of a bulkhead, has a method ``reset_after_fork`` that makes it empty.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, TypeVar

__all__ = ["fork_safe"]

L = TypeVar("L")

_REENTRANT = type(threading.RLock())
_locks: dict[tuple[int, str], tuple[weakref.ref[Any], str, bool]] = {}


def fork_safe(owner: object, lock: L, attribute: str = "_lock") -> L:
    """Register an owner's lock for replacement in forked children, and return the lock.

    If the owner has a method ``reset_after_fork``, it is called there once all locks are replaced.

    Args:
        owner: Whose lock it is, an object or a module; it can be weakly referenced.
        lock: A ``threading.Lock`` or ``threading.RLock``.
        attribute: The name under which the owner keeps it. Default "_lock".
    """
    number = id(owner), attribute

    def forget(dead: weakref.ref[Any]) -> None:
        known = _locks.get(number)
        if known is not None and known[0] is dead:
            _locks.pop(number, None)

    _locks[number] = weakref.ref(owner, forget), attribute, isinstance(lock, _REENTRANT)
    return lock


def _replace_locks() -> None:
    kept = [(known[0](), known[1], known[2]) for known in tuple(_locks.values())]
    for owner, attribute, reentrant in kept:
        if owner is not None:
            setattr(owner, attribute, threading.RLock() if reentrant else threading.Lock())
    for owner, _, _ in kept:
        begin_anew = getattr(owner, "reset_after_fork", None)
        if begin_anew is not None:
            begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_locks)
