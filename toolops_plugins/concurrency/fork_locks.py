"""Locks that work in a forked child.

A fork copies every lock in its state, but only one thread: a lock that another thread held stays
locked in the child for ever. So a forked child gets a new lock for each one that is registered
here. The data that it guards may have been in the middle of a change; all of it is counters and
caches, where an error of one call is better than a deadlock. Objects that count threads or tasks of
the parent, such as bulkheads, have a method ``reset_after_fork`` that empties them.
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
        owner: The object or module that holds the lock; it must support weak references.
        lock: A ``threading.Lock`` or ``threading.RLock``.
        attribute: The owner's attribute that holds the lock. Default "_lock".
    """
    number = id(owner), attribute

    def forget(dead: weakref.ref[Any]) -> None:
        known = _locks.get(number)
        if known is not None and known[0] is dead:
            _locks.pop(number, None)

    _locks[number] = weakref.ref(owner, forget), attribute, isinstance(lock, _REENTRANT)
    return lock


def _replace_locks() -> None:
    locks = [(known[0](), known[1], known[2]) for known in tuple(_locks.values())]
    for owner, attribute, reentrant in locks:
        if owner is not None:
            setattr(owner, attribute, threading.RLock() if reentrant else threading.Lock())
    for owner, _, _ in locks:
        reset = getattr(owner, "reset_after_fork", None)
        if reset is not None:
            reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_locks)
