"""States by name, such as breakers, that several functions of a runtime share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.wrapping.redefinition import Definition, same_policy

__all__ = ["Registry"]

_DEFINITIONS = 1_000
"""Definitions of functions that are remembered for one state."""

State = TypeVar("State")


class _Kept(Generic[State]):
    """A state, with the policy that it was made by and whoever asked for it."""

    __slots__ = ("definitions", "policy", "state")

    def __init__(self, policy: Any, state: State) -> None:
        self.policy = policy
        self.state = state
        self.definitions: dict[str, Definition] = {}


class Registry(Generic[State]):
    """States by name, such as the breakers of a runtime; at most ``limit``, least used dropped."""

    def __init__(self, option: str, make: Callable[[Any, str], State], limit: int = 10_000) -> None:
        self._option = option
        self._make = make
        self._limit = limit
        self._lock = fork_safe(self, threading.Lock())
        self._known: OrderedDict[str, _Kept[State]] = OrderedDict()

    def get(self, name: str, policy: Any, definition: Definition | None = None) -> State:
        """Return the state of that name, made by the first policy that asks for it.

        A function that takes the place of one that has asked before, such as that of a notebook
        cell that is run again, has a new state made where it brings another policy.

        Args:
            name: The name.
            policy: What is asked for.
            definition: Of the function that asks; None: it takes nobody's place.

        Raises:
            ConfigurationError: The name is known with another policy.
        """
        with self._lock:
            kept = self._known.get(name)
            if kept is not None and not same_policy(kept.policy, policy):
                before = None if definition is None else kept.definitions.get(definition.place)
                if definition is None or before is None or not definition.replaces(before):
                    raise ConfigurationError(
                        self._option,
                        f"{name!r} is known with another policy: {kept.policy!r}; ask for the same,"
                        " or give one of the two a name of its own by name=",
                    )
                kept = None
            if kept is None:
                kept = self._known[name] = _Kept(policy, self._make(policy, name))
            if definition is not None and len(kept.definitions) < _DEFINITIONS:
                kept.definitions[definition.place] = definition
            self._known.move_to_end(name)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
            return kept.state

    def find(self, name: str) -> State | None:
        """Return the state of that name, or None."""
        kept = self._known.get(name)
        return kept.state if kept is not None else None

    def items(self) -> dict[str, State]:
        """Return all states by name."""
        with self._lock:
            return {name: kept.state for name, kept in self._known.items()}
