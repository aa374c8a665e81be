"""The indexes of this process, one for each folder, closed at exit."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.semantic.embedding.embedders import Embedder
from toolops_plugins.semantic.index.chroma import Store
from toolops_plugins.semantic.index.index import Index

__all__ = ["index_for"]

_by_place: weakref.WeakValueDictionary[tuple[str, ...], Index] = weakref.WeakValueDictionary()
_places = fork_safe(sys.modules[__name__], threading.Lock(), "_places")
_indices: weakref.WeakSet[Index] = weakref.WeakSet()


def index_for(
    place: tuple[str, ...] | None, make_store: Callable[..., Store], embedder: Embedder, **rest: Any
) -> Index:
    """Return the index of an embedded folder, shared by all caches of this process.

    Args:
        place: The folder, the collection and a digest of the secret; None: not embedded, so a
            new one.
        make_store: As in :class:`~toolops_plugins.semantic.index.index.Index`.
        embedder: The same.
        rest: The same; the first caller's values count, and the last one's ``on_trouble``
            and ``health``.

    Raises:
        ConfigurationError: The folder is in use with another embedder.
    """
    if place is None:
        return _make_index(make_store, embedder, **rest)
    with _places:
        index = _by_place.get(place)
        if index is None:
            index = _by_place[place] = _make_index(make_store, embedder, **rest)
        elif index.embeddings.name != embedder.name:
            raise ConfigurationError(
                "embedder",
                f"is {embedder.name!r}, but {place[0]} is in use with {index.embeddings.name!r}",
            )
        else:
            # The earlier cache may be gone.
            index.on_trouble, index.health = rest["on_trouble"], rest["health"]
        return index


def _make_index(make_store: Callable[..., Store], embedder: Embedder, **rest: Any) -> Index:
    index = Index(make_store, embedder, **rest)
    _indices.add(index)
    return index


def _after_fork() -> None:
    for index in tuple(_indices):
        index.reset_after_fork()


def _at_exit() -> None:
    for index in tuple(_indices):
        index.close_at_exit()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
