"""Registries of what other processes have counted, whose metrics nobody knows before a scrape."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

__all__ = ["ViewRegistry"]


class ViewRegistry(CollectorRegistry):
    """A registry with one collector, which can be asked for single metrics too.

    The client's own registry knows only the names that a collector has said when it was registered.

    Args:
        collector: The collector.
    """

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self.register(collector)

    def restricted_registry(self, names: Iterable[str]) -> Any:
        """Return a registry of the samples with these names."""
        return _Chosen(self, frozenset(names))


class _Chosen(Collector):
    """The samples of a registry that have one of the names."""

    def __init__(self, registry: CollectorRegistry, names: frozenset[str]) -> None:
        self._registry = registry
        self._names = names

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            chosen = copy.copy(metric)
            chosen.samples = [each for each in metric.samples if each.name in self._names]
            if chosen.samples:
                yield chosen
