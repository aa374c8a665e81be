"""The runs of nodes for which LangGraph asks its cache.

LangGraph tells its cache the name of a node's function and a digest of its input. That is not
enough: the answer of a human, the user of the run and the code of the node are not in it. The rest
stands in the task of the run, which LangGraph has at hand when it asks; nothing public leads there
from the cache. So the local variables of the caller are read, and nothing of LangGraph's is
changed. Where they are not as known, no node is kept, with a warning.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

from langgraph.cache.base import FullKey

from langchain_toolops._node_identity import identify
from langchain_toolops._node_writes import INTERRUPTED
from langchain_toolops._tool_injection import has_human_answer
from toolops_plugins.adapters.internals import fork_safe

__all__ = ["LANGGRAPH", "UNSEEN", "NodeRun", "NodeRuns"]

LANGGRAPH = "__pregel_ns_writes"
"""The first part of every namespace that LangGraph itself uses."""
_ASKING = frozenset(("match_cached_writes", "amatch_cached_writes"))
_MOST_FRAMES = 20
_NULL_TASK = "00000000-0000-0000-0000-000000000000"
_ANSWERS = frozenset(("__interrupt__", "__resume__"))


class NodeRun(NamedTuple):
    """A node as it was when LangGraph asked for it."""

    identity: str
    """A digest of all that tells it apart from other nodes of its name."""
    local: str = ""
    """The type of an object in it that other processes cannot name, or ""."""
    reason: str = ""
    """A word for why it is not kept, or ""."""
    problem: str = ""


UNSEEN = NodeRun(
    "", reason="run_not_seen", problem="this version of LangGraph does not show which node it runs"
)


class NodeRuns:
    """The runs of which a cache has been asked, by their writes. Thread-safe."""

    def __init__(self) -> None:
        self._runs: dict[int, tuple[weakref.ref[Any], NodeRun]] = {}
        self._lock = fork_safe(self, threading.Lock())

    def __reduce__(self) -> tuple[Any, ...]:
        return NodeRuns, ()

    def look_up(self, keys: Iterable[FullKey]) -> dict[FullKey, NodeRun]:
        """Return the runs for which LangGraph asks, by their keys, and remember them.

        It is called by the methods of the cache that LangGraph calls. Keys that somebody else asks
        for have no run.
        """
        wanted = {key for key in keys if key[0][:1] == (LANGGRAPH,)}
        if not wanted:
            return {}
        loop = _asking_loop()
        runs = dict.fromkeys(wanted, UNSEEN)
        if loop is None:
            return runs
        try:
            for task in tuple(loop.tasks.values()):
                cache_key = task.cache_key
                if cache_key is not None and (key := (cache_key.ns, cache_key.key)) in wanted:
                    runs[key] = self._remember(task.writes, _make_run(loop, task))
        except Exception:  # noqa: BLE001 - LangGraph's tasks are not as they were
            return dict.fromkeys(wanted, UNSEEN)
        return runs

    def find_run(self, writes: Any) -> NodeRun | None:
        """Return the run that has made these writes, or None if nobody has asked for it."""
        with self._lock:
            found = self._runs.get(id(writes))
        return found[1] if found is not None and found[0]() is writes else None

    def _remember(self, writes: Any, run: NodeRun) -> NodeRun:
        address = id(writes)

        def drop(dead: weakref.ref[Any]) -> None:
            found = self._runs.get(address)
            if found is not None and found[0] is dead:
                self._runs.pop(address, None)

        with self._lock:
            found = self._runs.get(address)
            if found is not None and found[0]() is writes:
                return found[1]  # as it was at the start of its run
            self._runs[address] = weakref.ref(writes, drop), run
        return run


def _asking_loop() -> Any:
    """Return LangGraph's loop that asks the cache, or None."""
    frame = sys._getframe(2)  # noqa: SLF001 - as logging and warnings do
    for _ in range(_MOST_FRAMES):
        if frame.f_code.co_name in _ASKING:
            loop = frame.f_locals.get("self")
            return loop if isinstance(getattr(loop, "tasks", None), dict) else None
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def _make_run(loop: Any, task: Any) -> NodeRun:
    if _is_answered(loop, task):
        return NodeRun("", reason="interrupted", problem=INTERRUPTED)
    node = loop.nodes.get(task.name) if len(task.cache_key.ns) > 2 else None
    try:
        if node is None:  # a task of the functional interface
            identity = identify(task.proc)
        else:
            identity = identify(node.bound, node.writers, loop.specs)
    except TypeError as error:
        return NodeRun("", reason="node_not_known", problem=str(error))
    if identity.reads:
        return NodeRun(
            "",
            reason="reads_run",
            problem=f"{identity.reads}, so that another user's or thread's may differ; put what it"
            " needs into the state",
        )
    return NodeRun(identity.digest, identity.local)


def _is_answered(loop: Any, task: Any) -> bool:
    """Return whether a human may answer the node, or a graph inside of it, in this run."""
    for owner, channel, _ in loop.checkpoint_pending_writes:
        if channel in _ANSWERS and owner in (task.id, _NULL_TASK):
            return True
    return has_human_answer(task.config)
