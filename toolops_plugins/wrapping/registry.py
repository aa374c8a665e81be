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


class _Item(Generic[State]):
    """A state, the policy that it was made from, and the functions that use it."""

    __slots__ = ("definitions", "policy", "state")

    def __init__(self, policy: Any, state: State) -> None:
        self.policy = policy
        self.state = state
        self.definitions: dict[str, Definition] = {}


class Registry(Generic[State]):
    """States by name, such as the breakers of a runtime. Thread-safe.

    Args:
        option: The name of the policy's part, for errors.
        make: Makes a state from a policy and a name.
        limit: The maximum number of states; the least recently used is dropped. Default 10,000.
    """

    def __init__(self, option: str, make: Callable[[Any, str], State], limit: int = 10_000) -> None:
        self._option = option
        self._make = make
        self._limit = limit
        self._lock = fork_safe(self, threading.Lock())
        self._known: OrderedDict[str, _Item[State]] = OrderedDict()

    def get(self, name: str, policy: Any, definition: Definition | None = None) -> State:
        """Return the state of that name; the first policy of the name makes it.

        If a function with another policy replaces one that uses the state, such as the function of
        a notebook cell that runs again, a new state is made.

        Args:
            name: The name.
            policy: The policy.
            definition: The definition of the function. None: it replaces no other.

        Raises:
            ConfigurationError: The name is in use with another policy.
        """
        with self._lock:
            item = self._known.get(name)
            if item is not None and not same_policy(item.policy, policy):
                before = None if definition is None else item.definitions.get(definition.place)
                if definition is None or before is None or not definition.replaces(before):
                    raise ConfigurationError(
                        self._option,
                        f"{name!r} is in use with another policy: {item.policy!r}; give the same"
                        " policy, or give one of the two another name by name=",
                    )
                item = None
            if item is None:
                item = self._known[name] = _Item(policy, self._make(policy, name))
            if definition is not None and len(item.definitions) < _DEFINITIONS:
                item.definitions[definition.place] = definition
            self._known.move_to_end(name)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
            return item.state

    def find(self, name: str) -> State | None:
        """Return the state of that name, or None."""
        item = self._known.get(name)
        return item.state if item is not None else None

    def items(self) -> dict[str, State]:
        """Return all states by name."""
        with self._lock:
            return {name: item.state for name, item in self._known.items()}
