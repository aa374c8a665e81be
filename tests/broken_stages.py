"""Make any stage of a call raise, for tests that no call suffers from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from toolops_plugins import Memory, SemanticCache, ToolOps

__all__ = ["CORE", "SEMANTIC", "TROUBLES", "Broken", "break_stage"]

TROUBLES = (RuntimeError, IndexError, RecursionError, MemoryError, UnicodeError, OSError)
"""What stages are made to raise; some of it only very odd programs catch."""


FORGETTING = ("delete", "invalidate", "clear")
"""Methods of a tier that forget."""


class Broken(Memory):
    """A tier whose every method raises.

    Args:
        trouble: What it raises.
        local: Whether it counts as memory of this process.
        forgets: Whether what forgets raises too.
    """

    def __init__(self, trouble: type[Exception], *, local: bool, forgets: bool = False) -> None:
        super().__init__(label="broken")
        self.local = local
        self._fail = raiser(trouble)
        self._afail = araiser(trouble)
        self.peek = self._fail
        for name in ("get", "set", "get_many", "set_many", *(FORGETTING if forgets else ())):
            setattr(self, name, self._fail)
            setattr(self, f"a{name}", self._afail)


def raiser(trouble: type[Exception]) -> Callable[..., Any]:
    """Return a function that raises."""

    def fail(*_: Any, **__: Any) -> Any:
        raise trouble("a stage of ours failed")

    return fail


def araiser(trouble: type[Exception]) -> Callable[..., Any]:
    """Return a coroutine function that raises."""

    async def afail(*_: Any, **__: Any) -> Any:
        raise trouble("a stage of ours failed")

    return afail


_METHODS = {
    "key": [("keys.keyer.Keyer", "key")],
    "memory read": [("cache.memory.Memory", "get")],
    "memory write": [("cache.memory.Memory", "set")],
    "encoding": [("codec.Codec", "encode")],
    "decoding": [("codec.Codec", "decode")],
    "event": [("telemetry.stats.ToolStats", "count"), ("telemetry.stats.ToolStats", "hit")],
    "sinks": [("telemetry.events.Emitter", "emit")],
    "embedder": [
        ("semantic.embedding.cached.Embeddings", n) for n in ("one", "aone", "many", "amany")
    ],
    "guards": [("semantic.guards.Guards", name) for name in ("weigh", "veto", "traits")],
    "opening": [("semantic.index.index.Index", "open")],
    "index": [("semantic.index.index.Index", "search")],
    "decision": [("semantic.lookup.Decider", "decide")],
    "joining": [("semantic.in_flight.InFlight", "board"), ("semantic.in_flight.InFlight", "leave")],
    "scope": [("calls.semantic_keyer.SemanticKeyer", "question")],
    "keeping": [("semantic.index.index.Index", "put")],
    "writing": [("semantic.index.chroma.Store", "write"), ("semantic.index.chroma.Store", "touch")],
    "learning": [("semantic.bounded.learner.Bounded", name) for name in ("learn", "decide")],
}
_OF_MEANING = ("embedder", "guards", "opening", "index", "decision", "joining", "scope", "keeping")
CORE = tuple(name for name in _METHODS if name not in (*_OF_MEANING, "writing", "learning"))
"""Stages of every call."""
SEMANTIC = (*_OF_MEANING, "writing", "learning")
"""Stages of a call whose question may be asked in other words."""


def break_stage(patch: pytest.MonkeyPatch, stage: str, trouble: type[Exception]) -> None:
    """Make a stage raise, wherever it is reached from now on."""
    for place, method in _METHODS[stage]:
        asynchronous = method in ("aone", "amany")
        patch.setattr(
            f"toolops_plugins.{place}.{method}", (araiser if asynchronous else raiser)(trouble)
        )


def runtime(folder: Any, **options: Any) -> ToolOps:
    """Return a runtime with a semantic cache that learns."""
    semantic = SemanticCache(folder, **options)
    return ToolOps("broken", semantic=semantic)
