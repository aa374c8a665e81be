"""Make any stage of a call raise, for tests that no call suffers from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from toolops_plugins import BulkheadFull, Memory, SemanticCache, ToolOps
from toolops_plugins.errors import AttemptTimeout, NotEncodableError, TierError

__all__ = [
    "CORE",
    "INNER",
    "ODD_TROUBLES",
    "SEMANTIC",
    "SERVING",
    "TROUBLES",
    "Broken",
    "break_stage",
]

TROUBLES = (RuntimeError, IndexError, RecursionError, MemoryError, UnicodeError, OSError)
"""What stages are made to raise; some of it only very odd programs catch."""


class OwnTimeout(AttemptTimeout):
    """A timeout of this library that is not the caller's."""

    def __init__(self, message: str) -> None:
        super().__init__(message, seconds=1.0)


class NeitherTrueNorFalseError(Exception):
    """An error of a user's class whose methods raise too."""

    def __bool__(self) -> bool:
        raise ValueError("neither true nor false")

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class WrappedError(Exception):
    """An error with a cause that cannot be asked for anything."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.__cause__ = NeitherTrueNorFalseError()


ODD_TROUBLES = (
    *TROUBLES, OwnTimeout, NeitherTrueNorFalseError, WrappedError, TimeoutError, StopIteration,
    EOFError, BulkheadFull, TierError, NotEncodableError, ZeroDivisionError,
)  # fmt: skip
"""More of what the stages of the semantic cache are made to raise."""

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
    "sinks": [("telemetry.emitter.Emitter", "emit")],
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
    "agreeing": [
        ("semantic.bounded.learner.Bounded", name) for name in ("learn", "redundant", "add")
    ],
    "announcing": [
        ("semantic.index.learning.LearnerState", name) for name in ("announce", "withdraw")
    ],
    "pairing": [("semantic.guards.guards", name) for name in ("Pair", "are_equivalent")],
    "memory of the index": [
        ("semantic.index.memory.MemoryIndex", name) for name in ("search", "add", "remove", "touch")
    ],
    "digests": [("semantic.flows", "digest_of")],
    "mark": [("semantic.index.index.Index", "mark")],
    "dimension": [("semantic.embedding.models.WordLlama", "dimension")],
    "counting": [("telemetry.stats.ToolStats", "near_hits")],
    "flows": [("semantic.flows.SemanticFlows", "lookup"), ("semantic.flows.SemanticFlows", "keep")],
    "queue": [("semantic.index.write_behind.Writer", name) for name in ("put", "note_hit")],
    "lifetimes": [("semantic.index.lifetimes.Lifetimes", name) for name in ("begin", "left")],
    "judge": [("semantic.judge.Judge", "ask"), ("semantic.judge.Judge", "aask")],
    "copies": [("semantic.index.memory_copies.Copies", "note")],
    "hits": [("semantic.index.index.Index", "note_hit")],
    "evidence": [("semantic.lookup.Lookup", "details")],
    "rows": [("codec.Codec", "load")],
    "invalidations": [("semantic.index.index.Index", "is_void")],
}
_OF_MEANING = ("embedder", "guards", "opening", "index", "decision", "joining", "scope", "keeping")
SERVING = ("judge", "copies", "hits", "evidence", "rows", "invalidations")
"""Stages of a hit by meaning."""
_INNER = (
    "agreeing", "announcing", "pairing", "memory of the index", "digests", "mark", "dimension",
    "counting", "flows", "queue", "lifetimes",
)  # fmt: skip
SEMANTIC = (*_OF_MEANING, "writing", "learning")
"""Stages of a call whose question may be asked in other words."""
INNER = (*SEMANTIC, *_INNER, *SERVING)
"""The same, and the parts of which they are made."""
CORE = tuple(name for name in _METHODS if name not in INNER)
"""Stages of every call."""


def break_stage(patch: pytest.MonkeyPatch, stage: str, trouble: type[Exception]) -> None:
    """Make a stage raise, wherever it is reached from now on."""
    for place, method in _METHODS[stage]:
        asynchronous = method in ("aone", "amany", "aask")
        if method == "dimension":
            patch.setattr(f"toolops_plugins.{place}.{method}", property(raiser(trouble)))
            continue
        patch.setattr(
            f"toolops_plugins.{place}.{method}", (araiser if asynchronous else raiser)(trouble)
        )


def runtime(folder: Any, **options: Any) -> ToolOps:
    """Return a runtime with a semantic cache that learns."""
    semantic = SemanticCache(folder, **options)
    return ToolOps("broken", semantic=semantic)
