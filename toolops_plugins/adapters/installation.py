"""Keep the one installation of an adapter's listeners in a process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from toolops_plugins.concurrency.fork_locks import fork_safe

__all__ = ["Installation"]


class _Listener(Protocol):
    def attach(self) -> None: ...
    def close(self) -> None: ...


class Installation:
    """The listener that is installed. Safe to use from any threads.

    A listener has ``attach``, which may be called again to put back what somebody has removed, and
    ``close``.
    """

    def __init__(self) -> None:
        self._lock = fork_safe(self, threading.Lock())
        self._listener: _Listener | None = None
        self._options: tuple[Any, ...] = ()

    def put(self, make: Callable[[], _Listener], *options: Any) -> None:
        """Install a listener in place of one with other options; attach an equal one again.

        Args:
            make: Makes the listener.
            options: What it is made with.
        """
        with self._lock:
            if self._listener is None or self._options != options:
                self._remove()
                self._listener = make()
                self._options = options
            self._listener.attach()

    def take(self) -> None:
        """Remove the listener, if one is installed."""
        with self._lock:
            self._remove()

    def _remove(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._listener = None
        self._options = ()
