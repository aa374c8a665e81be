"""The wait-for graph of work under way, which prevents deadlocks.

Work that callers wait for, a flight or a recording, is a node; an edge means that the body of one
waits for another. A caller whose wait would close a circle learns so before it waits. (Databases
keep such a graph against deadlock and break circles; here a circle is refused.)

Context variables tell the work that a caller belongs to. One graph serves all runtimes, since
their tools may call each other.
"""

from __future__ import annotations

import os
import threading
from contextvars import Context, ContextVar, Token, copy_context
from typing import NamedTuple

__all__ = [
    "Node",
    "Wait",
    "context_inside",
    "enter",
    "exit_work",
    "finish",
    "leave",
    "wait_for",
]


class Node:
    """Work under way. Contexts hold it for as long as they live, so it holds nothing itself."""

    done = False
    waits: dict[Node, int] | None = None
    """The work that it waits for, and how often; None: it has never waited."""


class Wait(NamedTuple):
    """A caller's wait: for which work, and inside of which work, if any."""

    goal: Node | None
    inside: Node | None


OUTSIDE = Wait(None, None)
"""The wait of any caller that belongs to no work, and so can close no circle."""

_inside: ContextVar[tuple[Node, ...]] = ContextVar("toolops_inside", default=())
"""The work that this code belongs to, innermost last."""
# Reentrant: the garbage collector may end an abandoned coroutine, and so a wait, anywhere.
_lock = threading.RLock()


def _reset_after_fork() -> None:
    global _lock  # noqa: PLW0603 - only the thread that forked lives on, and it may have been taken
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


def wait_for(goal: Node) -> Wait | None:
    """Record that the caller waits for ``goal``; return None if that would close a circle."""
    chain = _inside.get()
    if not chain:
        return OUTSIDE
    chain = tuple(node for node in chain if not node.done)
    if not chain:
        return OUTSIDE
    inside = chain[-1]
    with _lock:
        if _reaches(goal, chain):
            return None
        if inside.waits is None:
            inside.waits = {}
        inside.waits[goal] = inside.waits.get(goal, 0) + 1
    return Wait(goal, inside)


def _reaches(start: Node, goals: tuple[Node, ...]) -> bool:
    """Return whether ``start`` is one of ``goals``, or waits for one directly or through others."""
    seen = {start}
    stack = [start]
    while stack:
        node = stack.pop()
        if node in goals:
            return True
        fresh = [other for other in tuple(node.waits or ()) if other not in seen]
        seen.update(fresh)
        stack += fresh
    return False


def leave(wait: Wait) -> None:
    """Record that the caller waits no more."""
    if wait.inside is None or wait.goal is None:
        return
    with _lock:
        waits = wait.inside.waits
        if waits is None:  # it has ended, which ends its waits
            return
        left = waits.pop(wait.goal, 0) - 1
        if left > 0:
            waits[wait.goal] = left


def finish(node: Node) -> None:
    """Record that the work is done, and so waits for nothing."""
    node.done = True
    if node.waits is not None:
        with _lock:
            node.waits = None


def enter(node: Node) -> Token[tuple[Node, ...]]:
    """Make the code that follows in this context part of the work, until :func:`exit_work`."""
    chain = _inside.get()
    if chain:
        # A context may outlive the work that it was copied in, and so may contexts made of it.
        chain = tuple(other for other in chain if not other.done)
    return _inside.set((*chain, node))


exit_work = _inside.reset
"""Undoes :func:`enter`, given the token that it returned."""


def context_inside(node: Node) -> Context:
    """Return a copy of the caller's context whose code is part of the work."""
    context = copy_context()
    context.run(enter, node)
    return context
