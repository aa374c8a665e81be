"""The recorder of each registry, which all its sinks share."""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.prometheus.metrics import Metrics, is_multiprocess
from toolops_plugins.telemetry.prometheus.recorder import Recorder

__all__ = ["find_recorder"]


class _Known:
    """The recorders of every registry, and that of the files, of which a process has one."""

    def __init__(self) -> None:
        self._lock = fork_safe(self, threading.Lock())
        self._by_registry: WeakKeyDictionary[CollectorRegistry, Recorder] = WeakKeyDictionary()
        self._of_files: Recorder | None = None

    def find(
        self, registry: CollectorRegistry | None, buckets: tuple[float, ...], max_label_values: int
    ) -> Recorder:
        """Return the recorder of a registry; see :func:`find_recorder`."""
        with self._lock:
            if is_multiprocess():
                # Two counters of one name in one process would overwrite each other's file.
                if self._of_files is None:
                    self._of_files = Recorder(Metrics(None, buckets, max_label_values))
                found = self._of_files
            else:
                registry = REGISTRY if registry is None else registry
                known = self._by_registry.get(registry)
                if known is None:
                    metrics = Metrics(registry, buckets, max_label_values)
                    known = self._by_registry[registry] = Recorder(metrics)
                found = known
        for name, given, first in zip(
            ("buckets", "max_label_values"),
            (buckets, max_label_values),
            found.metrics.options,
            strict=True,
        ):
            if given != first:
                raise ConfigurationError(
                    name,
                    f"is {given!r}, but another PrometheusSink of this registry has {first!r};"
                    " give both the same, or a registry of their own",
                )
        return found


_KNOWN = _Known()


def find_recorder(
    registry: CollectorRegistry | None, buckets: tuple[float, ...], max_label_values: int
) -> Recorder:
    """Return the recorder of a registry, or of the files of several processes; made once.

    Raises:
        ConfigurationError: It was made with other options, or the registry has metrics of the
            same names from elsewhere.
    """
    return _KNOWN.find(registry, buckets, max_label_values)
