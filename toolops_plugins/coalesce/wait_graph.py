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
from contextvars import Context, ContextVar, copy_context
from typing import NamedTuple

__all__ = ["Node", "Wait", "context_inside", "enter", "finish", "leave", "wait_for"]


class Node:
    """Work under way. Contexts hold it for as long as they live, so it holds nothing itself."""

    __slots__ = ("done", "waits")

    def __init__(self) -> None:
        self.done = False
        self.waits: dict[Node, int] = {}


class Wait(NamedTuple):
    """A caller's wait: for which work, and inside of which work, if any."""

    goal: Node
    inside: Node | None


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
    chain = [node for node in _inside.get() if not node.done]
    if not chain:
        return Wait(goal, None)
    inside = chain[-1]
    with _lock:
        if _reaches(goal, chain):
            return None
        inside.waits[goal] = inside.waits.get(goal, 0) + 1
    return Wait(goal, inside)


def _reaches(start: Node, goals: list[Node]) -> bool:
    """Return whether ``start`` is one of ``goals``, or waits for one directly or through others."""
    seen = {start}
    stack = [start]
    while stack:
        node = stack.pop()
        if node in goals:
            return True
        fresh = [other for other in tuple(node.waits) if other not in seen]
        seen.update(fresh)
        stack += fresh
    return False


def leave(wait: Wait) -> None:
    """Record that the caller waits no more."""
    if wait.inside is None:
        return
    with _lock:
        waits = wait.inside.waits
        left = waits.pop(wait.goal, 0) - 1
        if left > 0:
            waits[wait.goal] = left


def finish(node: Node) -> None:
    """Record that the work is done, and so waits for nothing."""
    node.done = True
    if node.waits:
        with _lock:
            node.waits.clear()


class enter:  # noqa: N801 - used as a context manager, like contextlib's
    """Run a block as part of the work."""

    __slots__ = ("_node", "_token")

    def __init__(self, node: Node) -> None:
        self._node = node

    def __enter__(self) -> None:
        self._token = _inside.set((*_inside.get(), self._node))

    def __exit__(self, *error: object) -> None:
        _inside.reset(self._token)


def context_inside(node: Node) -> Context:
    """Return a copy of the caller's context whose code is part of the work."""
    context = copy_context()
    context.run(_inside.set, (*_inside.get(), node))
    return context
