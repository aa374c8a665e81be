"""The thread that updates live views.

A cell keeps its thread busy, and often the kernel's event loop with it, so updates come from a
thread of their own. Jupyter's channel to the page takes messages from any thread, while the state
of a widget may be set on the kernel's own thread only. So this thread sends messages, and the
state is set when a cell ends.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.telemetry.log import write_line

if TYPE_CHECKING:
    from toolops_plugins.telemetry.live.live_stats import LiveStats

__all__ = ["UPDATER", "Updater", "find_shell"]

_SHARE = 0.05
"""The share of one core that updates may take; those of a thousand tools come less often."""


class Updater:
    """Updates live views from one thread, which ends with the last of them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = fork_safe(self, threading.Lock())
        self._views: weakref.WeakSet[LiveStats] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._changed = threading.Event()

    def add(self, view: LiveStats, shell: Any) -> None:
        """Update a view until it is removed or nobody holds it.

        Args:
            view: The view.
            shell: The IPython shell whose cells the view follows.
        """
        shell.events.register("post_run_cell", self.on_cell_end)  # IPython keeps one of each
        with self._lock:
            self._views.add(view)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="toolops-live", daemon=True)
                self._thread.start()
        self._changed.set()

    def remove(self, view: LiveStats) -> bool:
        """End the updates of a view, and return whether there were any."""
        with self._lock:
            known = view in self._views
            self._views.discard(view)
        self._changed.set()
        return known

    def on_cell_end(self, _: object = None) -> None:
        """Set the state of every view, on the kernel's thread."""
        for view in tuple(self._views):
            self._update(view, on_kernel_thread=True)

    def reset_after_fork(self) -> None:
        """Forget all views in a forked child, whose kernel is the parent's."""
        self._views = weakref.WeakSet()
        self._thread = None
        self._changed = threading.Event()

    def _run(self) -> None:
        due: weakref.WeakKeyDictionary[LiveStats, float] = weakref.WeakKeyDictionary()
        pause = 0.0
        while True:
            self._changed.wait(pause)
            self._changed.clear()
            with self._lock:
                if not self._views:
                    self._thread = None
                    return
            # In a function of its own, whose variables keep no view alive until the next round.
            pause = self._update_due(due)

    def _update_due(self, due: weakref.WeakKeyDictionary[LiveStats, float]) -> float:
        """Update the views whose time has come, and return the seconds until the next one's."""
        for view in tuple(self._views):
            began, used = time.monotonic(), time.thread_time()
            if due.get(view, 0.0) <= began:
                self._update(view, on_kernel_thread=False)
                took = time.thread_time() - used
                due[view] = began + max(view.interval, took / _SHARE)
        now = time.monotonic()
        return max(0.01, min(due.values(), default=now) - now)

    def _update(self, view: LiveStats, *, on_kernel_thread: bool) -> None:
        try:
            view.update(on_kernel_thread=on_kernel_thread)
        except Exception as error:  # noqa: BLE001 - neither a cell nor this thread may end by it
            if self.remove(view):  # a cell may end at the same time
                text = "A live view has stopped, since it could not be sent (%(kind)s)"
                write_line("toolops_plugins.telemetry", text, kind=type(error).__name__)
        else:
            if view.has_ended:
                self.remove(view)


UPDATER = Updater()


def find_shell() -> Any:
    """Return the shell of a notebook's kernel; None in a terminal, a script or a server."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    terminal = sys.modules.get("IPython.terminal.interactiveshell")
    if terminal is not None and isinstance(shell, terminal.TerminalInteractiveShell):
        return None
    return shell
