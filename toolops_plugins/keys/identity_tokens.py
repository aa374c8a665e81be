"""Tokens of objects that have no canonical form and count as themselves."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from typing import Any

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.keys.encoding_failures import type_name

__all__ = ["IDENTITIES", "IdentityTokens"]


class IdentityTokens:
    """Tokens for objects that count as themselves, valid for as long as the object lives.

    Objects are found by address, since their own ``__eq__`` and ``__hash__`` must not run. The weak
    reference beside a token removes it when the object dies, before the address is used again.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._tokens: dict[int, tuple[weakref.ref[Any], bytes]] = {}
        self._lock = fork_safe(self, threading.Lock())
        self._numbers = itertools.count()

    def token_of(self, value: object) -> bytes:
        """Return the token of an object.

        Raises:
            NotCanonicalError: The object cannot be weakly referenced.
        """
        found = self._tokens.get(id(value))
        if found is not None and found[0]() is value:
            return found[1]
        with self._lock:
            address = id(value)
            found = self._tokens.get(address)
            if found is not None and found[0]() is value:
                return found[1]
            # A forked child repeats the numbers, and processes may share a Redis: random bytes
            # keep their tokens apart.
            token = b"%d:%b" % (next(self._numbers), os.urandom(16))

            def drop(dead: weakref.ref[Any]) -> None:
                entry = self._tokens.get(address)
                if entry is not None and entry[0] is dead:
                    self._tokens.pop(address, None)

            try:
                reference = weakref.ref(value, drop)
            except TypeError:
                name = type_name(type(value))
                raise NotCanonicalError(
                    f"{name} has no canonical form and cannot be told apart by a weak reference; "
                    "give it __toolops_key__()",
                    kind=name,
                ) from None
            self._tokens[address] = (reference, token)
            return token


IDENTITIES = IdentityTokens()
