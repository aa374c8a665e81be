"""LangGraph's cache for nodes and tasks, on the tiers of a runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langgraph.cache.base import BaseCache, FullKey, Namespace, ValueT
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langchain_toolops._node_runs import LANGGRAPH, UNSEEN, NodeRun, NodeRuns
from langchain_toolops._node_writes import (
    INTERRUPTED,
    NotKeptError,
    StoredWrites,
    WritesCodec,
    has_signal,
)
from toolops_plugins import Cache, TierError, ToolOps
from toolops_plugins.adapters.notices import report_problem, report_unreached_tier
from toolops_plugins.adapters.options import runtime_of
from toolops_plugins.policy import NOTHING

__all__ = ["ToolOpsNodeCache"]

LOGGER = "langchain_toolops"

_INDEX = re.compile(r"\[\d+\]")

_AT_ONCE = 10
"""Keys that are asked for or written at the same time on an event loop."""
_LOCAL_TTL = 3600.0
"""Seconds for which results are kept that no other process can ask for, and soon nobody."""


class ToolOpsNodeCache(BaseCache[ValueT]):
    """A cache for ``graph.compile(cache=...)``; nodes say with ``CachePolicy`` what they keep.

    Results go to the runtime's tiers, for as long as the node's ``CachePolicy`` says. LangGraph
    looks up and writes in two separate steps, so equal nodes that run at the same time are not
    coalesced.

    What the serializer does not bring back in value and type at every depth is not kept: it turns
    tuples into lists, a Counter into a dict and exceptions into texts, and it loses time zones and
    artifacts. Neither is a node kept in whose run a human answered an ``interrupt()``, nor one that
    is seen to read the run beside its input: it, or a branch behind it, takes ``config``,
    ``runtime``, ``store``, ``writer`` or ``previous``, or calls ``get_config()`` or its like,
    itself or in a function that it names. Put what such a node needs into the state. A warning says
    so once for each node and reason.

    Nodes of one name are kept apart by the code of their functions and the functions that these
    name, by constants in them, by edges and branches. A node that holds an object, such as a
    closure over a client, a callable object or a model, is kept for this process, as long as the
    object lives, and for an hour at most, with a warning: other processes cannot name the object.
    Changes inside of it do not count.

    Safe to use from any threads and event loops. Trouble with a tier is a miss or a no-op, with a
    notice to the runtime's sinks; nothing here raises for it.

    Args:
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        serde: Turns what nodes have written into bytes. None: LangGraph's own serializer, without
            pickle, and reviving no classes but those that LangGraph calls safe. State of classes
            of your own is then not kept; name them in
            ``JsonPlusSerializer(allowed_msgpack_modules=[("shop.state", "Cart")])`` to keep it.
        ttl: Seconds for which results are kept whose ``CachePolicy`` does not say. None: as long as
            the tiers keep them.
        name: Name under which lookups are counted; caches of one name in one namespace are one
            cache. Default "langgraph.node".

    Raises:
        ConfigurationError: ``ttl`` is not more than 0.
    """

    def __init__(
        self,
        ops: ToolOps | None = None,
        *,
        serde: SerializerProtocol | None = None,
        ttl: float | None = None,
        name: str = "langgraph.node",
    ) -> None:
        super().__init__(
            serde=serde or JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
        )
        self._writes = WritesCodec(self.serde)
        self._runs = NodeRuns()
        self._ops = runtime_of(ops)
        self._name = name

        def serialized(namespace: Sequence[str], key: str) -> Any:
            """Names what makes up the key; it is never called."""

        def tags(namespace: Sequence[str], key: str) -> list[str]:  # noqa: ARG001 - as above
            return [name, self._tag(namespace)]

        # Without jitter: LangGraph's times are exact.
        cache = Cache(ttl=ttl, jitter=0.0, tags=tags)
        self._aside = self._ops.aside(serialized, cache=cache, name=name)

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """Return what is kept for the keys; those of which nothing is are left out."""
        names = self._names(keys)
        return self._read({key: self._aside.lookup(*name) for key, name in names.items()})

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, ValueT]:
        """As :meth:`get`, without blocking the event loop."""
        names = self._names(keys)
        found = await self._ops.gather(
            *(self._aside.alookup(*name) for name in names.values()), limit=_AT_ONCE
        )
        return self._read(dict(zip(names, found, strict=True)))

    def set(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """Keep values, each for its own number of seconds or, with None, as long as may be."""
        for name, stored, ttl in self._serialize(pairs):
            if ttl is None:
                self._aside.store(stored, *name)
            else:
                self._aside.store_for(ttl, stored, *name)

    async def aset(self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]) -> None:
        """As :meth:`set`, without blocking the event loop."""
        await self._ops.gather(
            *(
                self._aside.astore(stored, *name)
                if ttl is None
                else self._aside.astore_for(ttl, stored, *name)
                for name, stored, ttl in self._serialize(pairs)
            ),
            limit=_AT_ONCE,
        )

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Forget what is kept, in every tier and every process.

        Args:
            namespaces: The only namespaces to forget, those inside them not included. None: all
                that this cache keeps, and nothing else of the runtime.
        """
        try:
            self._ops.invalidate(self._tags(namespaces))
        except TierError as error:
            _cannot_clear(error)

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """As :meth:`clear`, without blocking the event loop."""
        try:
            await self._ops.ainvalidate(self._tags(namespaces))
        except TierError as error:
            _cannot_clear(error)

    def _tag(self, namespace: Sequence[str]) -> str:
        return f"{self._name}:{list(namespace)!r}"

    def _tags(self, namespaces: Sequence[Namespace] | None) -> list[str]:
        return [self._name] if namespaces is None else [self._tag(each) for each in namespaces]

    def _read(self, found: Mapping[FullKey, Any]) -> dict[FullKey, ValueT]:
        values: dict[FullKey, ValueT] = {}
        for key, stored in found.items():
            if stored is NOTHING:
                continue
            try:
                values[key] = self._writes.load(stored)
            except Exception:  # noqa: BLE001 - whatever cannot be read is a miss
                self._aside.warn("unreadable")
        return values

    def _names(self, keys: Sequence[FullKey]) -> dict[FullKey, tuple[list[str], str]]:
        """Return under what each key is kept, without those of nodes that are not kept."""
        names = {}
        runs = self._runs.look_up(keys)
        for key in keys:
            run = runs.get(key)
            if run is not None and run.reason:
                self._warn(key[0], run.reason, run.problem)
            else:
                names[key] = _name(key, run)
        return names

    def _serialize(
        self, pairs: Mapping[FullKey, tuple[ValueT, int | None]]
    ) -> Iterator[tuple[tuple[list[str], str], StoredWrites, float | None]]:
        for key, (value, given) in pairs.items():
            ttl: float | None = given
            if ttl is not None and ttl <= 0:
                continue  # it is over before anybody can ask
            run = self._runs.find_run(value)
            if run is None and key[0][:1] == (LANGGRAPH,):
                run = UNSEEN
            if run is not None and run.reason:
                self._warn(key[0], run.reason, run.problem)
                continue
            if has_signal(value):
                self._warn(key[0], "interrupted", INTERRUPTED)
                continue
            try:
                stored = self._writes.dump(value)
            except NotKeptError as error:
                self._warn(key[0], "not_encodable", str(error))
                continue
            if run is not None and run.local:
                self._warn_of_local(key[0], run.local)
                ttl = min(_LOCAL_TTL if ttl is None else ttl, _LOCAL_TTL)
            yield _name(key, run), stored, ttl

    def _warn(self, namespace: Sequence[str], reason: str, problem: str) -> None:
        """Say why the results of a node are not kept."""
        self._aside.warn(reason)
        report_problem(
            LOGGER,
            (tuple(namespace), _INDEX.sub("[]", problem)),
            "Results of the node %(name)r are not kept: %(why)s",
            name=namespace[-1],
            why=problem,
        )

    def _warn_of_local(self, namespace: Sequence[str], kind: str) -> None:
        report_problem(
            LOGGER,
            (tuple(namespace), kind),
            "Results of the node %(name)r are kept for this process and its own function alone, for"
            " an hour at most: it holds a %(kind)s, which other processes cannot name; make it a"
            " function of a module that holds no objects",
            name=namespace[-1],
            kind=kind,
        )


def _name(key: FullKey, run: NodeRun | None) -> tuple[list[str], str]:
    """Return the arguments that an entry is kept under."""
    namespace, digest = key
    return list(namespace), digest if run is None else f"{digest}:{run.identity}"


def _cannot_clear(error: TierError) -> None:
    # LangGraph's own caches raise nothing here; the runtime's sinks have had a notice too.
    report_unreached_tier(LOGGER, "cache of nodes", error)
