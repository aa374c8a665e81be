"""The begin and the end of a call, brought together.

CrewAI hands events to its listeners in ten threads of its own, so the end of a quick call may come
before its begin. An end tells the id of its begin, but not always the right one: a model that fails
tells so twice, and its second telling closes whatever is around it. So calls are known by what they
are as well: by agent and task, say. When they began and ended is read from the events, which were
made where it happened.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

from toolops_plugins.adapters.internals import Outcome, fork_safe
from toolops_plugins.adapters.run_events import Details

__all__ = ["Begin", "End", "Pairs"]


class Begin(NamedTuple):
    """The start of a call.

    Args:
        event_id: The id of the event that tells it.
        at: When, in seconds since the epoch.
    """

    event_id: str
    at: float


class End(NamedTuple):
    """The end of a call, without arguments and results.

    Args:
        began: The id of the event with which it began, as far as CrewAI knows.
        at: When, in seconds since the epoch.
        kind: The word before the colon of its row.
        name: The word behind it.
        outcome: How it ended.
        model: The name of the model that was called, or nothing.
        usage: Its tokens.
        details: What sinks get beside.
        reason: As of a :class:`~toolops_plugins.CallEvent`.
        error: As of one too.
        provider: The provider of the model, or nothing.
        agent: The role of the agent that has called, as it was written, or nothing.
    """

    began: str | None
    at: float
    kind: str
    name: str
    outcome: Outcome
    model: str = ""
    usage: dict[str, Any] | None = None
    details: Details | None = None
    reason: str | None = None
    error: str | None = None
    provider: str = ""
    agent: str = ""


E = TypeVar("E", Begin, End)


class _Waiting(Generic[E]):
    """Events that wait for their counterpart, by key; the oldest is dropped beyond a limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._number = 0
        self._held: OrderedDict[Hashable, list[E]] = OrderedDict()

    def __len__(self) -> int:
        return self._number

    def add(self, key: Hashable, half: E) -> None:
        self._held.setdefault(key, []).append(half)
        self._number += 1
        if self._number > self._most:
            oldest, halves = next(iter(self._held.items()))
            self._remove(oldest, halves[0])

    def take(self, key: Hashable, *choices: Callable[[E], bool]) -> E | None:
        """Return what the first choice takes that takes any; of several, the latest."""
        for choice in choices:
            for half in self._held.get(key, [])[::-1]:
                if choice(half):
                    self._remove(key, half)
                    return half
        return None

    def _remove(self, key: Hashable, half: E) -> None:
        halves = self._held[key]
        halves.remove(half)
        self._number -= 1
        if not halves:
            del self._held[key]


class Pairs:
    """Brings begins and ends together, in whatever order they come. Safe to use from any threads.

    Args:
        most: Begins that may wait for their end at once, and ends for their begin.
    """

    def __init__(self, most: int) -> None:
        self._lock = fork_safe(self, threading.RLock())
        self._most = most
        self._begins: _Waiting[Begin] = _Waiting(most)
        self._ends: _Waiting[End] = _Waiting(most)
        self._firsts: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many halves wait, and first tokens with them."""
        with self._lock:
            return len(self._begins) + len(self._ends) + len(self._firsts)

    def add_begin(self, key: Hashable, begin: Begin) -> End | None:
        """Note that a call has begun; return its end, if that came first."""
        with self._lock:
            end = self._ends.take(
                key,
                lambda end: end.began == begin.event_id,
                lambda end: end.at >= begin.at,
            )
            if end is None:
                self._begins.add(key, begin)
            return end

    def add_end(self, key: Hashable, end: End) -> Begin | None:
        """Note that a call has ended; return its begin, unless that is still to come."""
        with self._lock:
            begin = self._begins.take(
                key,
                lambda begin: begin.event_id == end.began,
                lambda begin: begin.at <= end.at,
            )
            if begin is None:
                self._ends.add(key, end)
            return begin

    def add_token(self, call: str, at: float) -> None:
        """Note that a token of a model's call has come."""
        if call in self._firsts:  # a look without the lock, since each token comes here
            return
        with self._lock:
            self._firsts.setdefault(call, at)
            if len(self._firsts) > self._most:
                self._firsts.popitem(last=False)

    def first(self, call: str) -> float | None:
        """Return when the first token of a model's call came, once; None if none did."""
        with self._lock:
            return self._firsts.pop(call, None)
