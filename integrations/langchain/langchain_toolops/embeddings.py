"""An embedder whose texts are embedded once: kept, and shared between callers under way.

A text is looked up alone, and what is missing goes to the embedder in one batch. Concurrent callers
share texts, not batches: who needs a text that is under way waits for the batch that holds it, and
sends only the rest. The batch itself is a coalesced call of the runtime, so whatever befalls its
caller (a timeout, a cancellation, a loop that ends), those who wait for it are served.
"""

from __future__ import annotations

import itertools
import sys
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias, Unpack

from langchain_core.embeddings import Embeddings

from langchain_toolops._embedder import model_of, name_of
from langchain_toolops._given import policy_of, runtime_of
from toolops_plugins import Cache, ConfigurationError, Policy, ToolOps
from toolops_plugins.locks import renewing
from toolops_plugins.policy import NOTHING, PolicyParts

__all__ = ["ToolOpsEmbeddings"]

Role: TypeAlias = Literal["document", "query"]
_Key: TypeAlias = tuple[Role, str]
_Packed: TypeAlias = bytes
"""A vector as eight bytes for each number: exact, immutable, and far quicker than as text."""

_AT_ONCE = 32
"""Texts that are looked up or written at the same time on an event loop."""
_RECENT = 10_000
"""Texts of which is known when they landed; it is asked within moments."""
_numbers = itertools.count(1)


class _Batch:
    """Texts that are embedded together, and who needs them.

    Attributes:
        number: Tells it from all others of this process.
        role: Whether they are documents or a query.
        texts: The texts.
        vectors: What came of them, in order, or None before.
        parties: Callers that need it; guarded by the owner's lock.
        kept: Whether somebody has begun to keep what came of it; guarded likewise.
    """

    __slots__ = ("kept", "number", "parties", "role", "texts", "vectors")

    def __init__(self, role: Role, texts: list[str]) -> None:
        self.number = next(_numbers)
        self.role = role
        self.texts = texts
        self.vectors: list[_Packed] | None = None
        self.parties = 0
        self.kept = False

    def take(self, vectors: Sequence[Iterable[float]]) -> None:
        """Take what the embedder gave.

        Raises:
            ValueError: These are not as many as the texts.
        """
        if len(vectors) != len(self.texts):
            raise ValueError(
                f"the embedder gave {len(vectors)} vectors for {len(self.texts)} texts"
            )
        self.vectors = [_packed(vector) for vector in vectors]

    def found(self) -> dict[_Key, _Packed]:
        """Return what came of the texts."""
        keys = [(self.role, text) for text in self.texts]
        return dict(zip(keys, self.vectors or (), strict=False))


class ToolOpsEmbeddings(Embeddings):
    """Any embedder, behind the cache and the policies of a runtime.

    Each text is kept by namespace, model, role (query or document) and its own characters. Texts
    that stand in a list twice are embedded once, and so are those that several callers need at the
    same time, from any mix of threads and event loops. Vectors come back exactly, as lists of
    floats that are the caller's own.

    Retry, timeout, breaker, rate limit and bulkhead stand around the call of the embedder, which
    gets all missing texts of a caller at once. Two names are counted: under "embed:<model>" each
    text, under "embed:<model> (batches)" each call of the embedder. A ``price`` is that of a text.

    Safe to use from any threads and event loops.

    Args:
        embedder: The embedder.
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        model: What tells the model from others, whatever changes its vectors included. None: the
            class and the plain fields of the embedder, without those that are secret or say how it
            is reached; it then needs a field that names the model, such as ``model``.
        policy: A policy to start from. None: keep vectors as long as the tiers do.
        parts: Its parts by name, as :meth:`toolops_plugins.ToolOps.tool` takes them;
            ``cache=None`` keeps nothing, ``coalesce=False`` shares nothing.

    Raises:
        ConfigurationError: The model cannot be told from others, or the policy asks for something
            that has no place here: ``semantic``, ``fallback`` or ``hedge``.
    """

    def __init__(
        self,
        embedder: Embeddings,
        ops: ToolOps | None = None,
        *,
        model: str | None = None,
        policy: Policy | None = None,
        **parts: Unpack[PolicyParts],
    ) -> None:
        if not isinstance(embedder, Embeddings):
            raise ConfigurationError("embedder", f"must be an Embeddings, not {embedder!r}")
        whole = (Policy(cache=Cache()) | policy_of(policy)).replace(**parts)
        for part in ("semantic", "hedge"):
            if getattr(whole, part) is not None:
                raise ConfigurationError(part, "has no place around an embedder")
        if whole.fallback is not NOTHING:
            raise ConfigurationError("fallback", "has no place around an embedder")
        self.embedder = embedder
        self._ops = runtime_of(ops)
        self._model: Any = model_of(embedder) if model is None else model
        name = f"embed:{name_of(embedder) if model is None else model}"
        self._shares = whole.coalesce is not False
        self._aside = None
        if whole.cache is not None:
            kept = Policy(cache=whole.cache, price=whole.price, tags=whole.tags)
            self._aside = self._ops.aside(_text, policy=kept, name=name)
        calls = replace(whole, cache=None, price=None, coalesce=self._shares)
        if callable(calls.tags) or any("{" in tag for tag in calls.tags):
            calls = replace(calls, tags=())  # these are of a text
        wrap = self._ops.tool(policy=calls, name=f"{name} (batches)", ignore=["batch"])
        self._run = wrap(self._embed)
        self._arun = wrap(self._aembed)
        self._lock = renewing(self, threading.Lock())
        self._under_way: dict[_Key, _Batch] = {}
        self._landed = 0
        # By hash, since texts may be long: when a text has landed last.
        self._recent: OrderedDict[int, int] = OrderedDict()

    # -- the four faces --------------------------------------------------------------------------

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of documents, in order.

        Raises:
            Exception: What the embedder raised, or a policy in its place.
        """
        return self._vectors("document", texts)

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query.

        Raises:
            Exception: As :meth:`embed_documents`.
        """
        return self._vectors("query", [text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As :meth:`embed_documents`, without blocking the event loop."""
        return await self._avectors("document", texts)

    async def aembed_query(self, text: str) -> list[float]:
        """As :meth:`embed_query`, without blocking the event loop."""
        return (await self._avectors("query", [text]))[0]

    # -- callers ---------------------------------------------------------------------------------

    def _vectors(self, role: Role, texts: Sequence[str]) -> list[list[float]]:
        wanted = _wanted(role, texts)
        found: dict[_Key, _Packed] = {}
        missing = list(wanted)
        while missing:
            seen = self._landed
            found.update(self._look_up(missing))
            own, others = self._board(role, [key for key in missing if key not in found], seen)
            try:
                # The own batch first: nobody may wait for others before those can go on.
                for batch in (*own, *others):
                    self._run(batch.number, batch)
                    found.update(batch.found())
                    if self._keeps(batch):
                        self._store(batch)
            finally:
                self._leave((*own, *others))
            missing = [key for key in wanted if key not in found]
        return [_unpacked(found[role, text]) for text in texts]

    async def _avectors(self, role: Role, texts: Sequence[str]) -> list[list[float]]:
        wanted = _wanted(role, texts)
        found: dict[_Key, _Packed] = {}
        missing = list(wanted)
        while missing:
            seen = self._landed
            found.update(await self._alook_up(missing))
            own, others = self._board(role, [key for key in missing if key not in found], seen)
            try:
                await self._ops.gather(
                    *(self._abring(batch, found) for batch in (*own, *others)), limit=_AT_ONCE
                )
            finally:
                self._leave((*own, *others))
            missing = [key for key in wanted if key not in found]
        return [_unpacked(found[role, text]) for text in texts]

    async def _abring(self, batch: _Batch, found: dict[_Key, _Packed]) -> None:
        await self._arun(batch.number, batch)
        found.update(batch.found())
        if self._keeps(batch):
            await self._astore(batch)

    # -- batches ---------------------------------------------------------------------------------

    def _embed(self, number: int, batch: _Batch) -> None:  # noqa: ARG002 - the number is the key
        if batch.vectors is None:
            if batch.role == "query":
                batch.take([self.embedder.embed_query(batch.texts[0])])
            else:
                batch.take(self.embedder.embed_documents(batch.texts))

    async def _aembed(self, number: int, batch: _Batch) -> None:  # noqa: ARG002 - as above
        if batch.vectors is None:
            if batch.role == "query":
                batch.take([await self.embedder.aembed_query(batch.texts[0])])
            else:
                batch.take(await self.embedder.aembed_documents(batch.texts))

    def _board(
        self, role: Role, missing: Sequence[_Key], seen: int
    ) -> tuple[list[_Batch], list[_Batch]]:
        """Return the batch to send, if any, and those of others that hold missing texts.

        Args:
            role: The role of the texts.
            missing: What was looked up in vain.
            seen: How many batches had landed before that; if one of the texts has landed since,
                nothing is boarded, since it may be found now.
        """
        if not missing:
            return [], []
        if not self._shares:
            return [_Batch(role, [text for _, text in missing])], []
        with self._lock:
            if any(self._recent.get(hash(key), 0) > seen for key in missing):
                return [], []
            others = {self._under_way[key]: None for key in missing if key in self._under_way}
            rest = [text for role_, text in missing if (role_, text) not in self._under_way]
            own = [_Batch(role, rest)] if rest else []
            for batch in own:
                self._under_way.update(((role, text), batch) for text in rest)
            for batch in (*own, *others):
                batch.parties += 1
        return own, list(others)

    def _leave(self, batches: Iterable[_Batch]) -> None:
        """Give batches up, whatever came of them; one that nobody needs is under way no more."""
        with self._lock:
            for batch in batches:
                batch.parties -= 1
                if batch.parties <= 0:
                    self._land(batch)

    def _land(self, batch: _Batch) -> None:
        """Let nobody board a batch any more; under the lock."""
        self._landed += 1
        for text in batch.texts:
            key = batch.role, text
            if self._under_way.get(key) is batch:
                del self._under_way[key]
            if batch.vectors is not None and self._aside is not None:
                self._recent[hash(key)] = self._landed
                self._recent.move_to_end(hash(key))
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    # -- the cache -------------------------------------------------------------------------------

    def _keeps(self, batch: _Batch) -> bool:
        """Return whether it is the caller who is to keep what came of a batch."""
        with self._lock:
            first, batch.kept = not batch.kept, True
        return first and self._aside is not None

    def _look_up(self, keys: Sequence[_Key]) -> dict[_Key, _Packed]:
        if self._aside is None:
            return {}
        look = self._aside.lookup
        return _hits(keys, [look(self._model, role, text) for role, text in keys])

    async def _alook_up(self, keys: Sequence[_Key]) -> dict[_Key, _Packed]:
        if self._aside is None:
            return {}
        look = self._aside.alookup
        if len(keys) == 1:  # without the price of a task
            return _hits(keys, [await look(self._model, *keys[0])])
        calls = (look(self._model, role, text) for role, text in keys)
        return _hits(keys, await self._ops.gather(*calls, limit=_AT_ONCE))

    def _store(self, batch: _Batch) -> None:
        if self._aside is not None:
            for (role, text), vector in batch.found().items():
                self._aside.store(vector, self._model, role, text)

    async def _astore(self, batch: _Batch) -> None:
        if self._aside is not None:
            store = self._aside.astore
            calls = (
                store(vector, self._model, role, text)
                for (role, text), vector in batch.found().items()
            )
            await self._ops.gather(*calls, limit=_AT_ONCE)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.embedder!r})"


def _wanted(role: Role, texts: Sequence[str]) -> dict[_Key, None]:
    """Return the keys of texts, each once.

    Raises:
        TypeError: They are no texts, or one text, whose letters nobody wants the vectors of.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"must be a list of texts, not {texts!r:.100}")
    return {(role, text): None for text in texts}


def _text(model: Any, role: Role, text: str) -> Any:
    """Names what makes up the key of a vector; it is never called."""


def _hits(keys: Sequence[_Key], found: Sequence[Any]) -> dict[_Key, _Packed]:
    # Whatever else is found there is none of ours.
    return {
        key: vector
        for key, vector in zip(keys, found, strict=True)
        if isinstance(vector, bytes) and len(vector) % 8 == 0
    }


def _packed(vector: Iterable[float]) -> _Packed:
    numbers = array("d", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _unpacked(vector: _Packed) -> list[float]:
    numbers = array("d")
    numbers.frombytes(vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
