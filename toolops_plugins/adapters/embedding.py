"""Texts that are embedded once: kept, and shared between callers under way.

A text is looked up alone, and what is missing goes to the embedder in one batch. Concurrent callers
share texts, not batches: who needs a text that is under way waits for the batch that holds it, and
sends only the rest. The batch itself is a coalesced call of the runtime, so whatever befalls its
caller (a timeout, a cancellation, a loop that ends), those who wait for it are served. Where it
fails, though, and holds texts that they do not need, they send their own texts again without those.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from toolops_plugins.adapters.embedding_batch import NO_BATCH, Batch, Found, Key, Role
from toolops_plugins.adapters.embedding_costs import EmbeddingCosts, price_text
from toolops_plugins.adapters.embedding_lanes import run_each
from toolops_plugins.adapters.embedding_vectors import (
    Packed,
    VectorLengths,
    is_packed,
    unpack_vector,
)
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.policy import NOTHING, Policy
from toolops_plugins.runtime import ToolOps

__all__ = ["SharedEmbedding"]

Told: TypeAlias = Callable[[Sequence[str], bool], None]
"""Takes texts whose vectors are there now, and whether they had been kept."""
_AT_ONCE = 32
"""Batches of an asynchronous caller that are under way at once, unless something else is said."""
_RECENT = 10_000
"""Texts of which is known when they landed; it is asked within moments."""


class SharedEmbedding:
    """The embedding of texts, behind the cache and the policies of a runtime.

    Each text is kept by namespace, model, role and its own characters. Texts that stand in a list
    twice are embedded once, and so are those that several callers need at the same time, from any
    mix of threads and event loops. Vectors come back exactly, as lists of floats that are the
    caller's own. What is no sound vector is handed on as the embedder gave it, and not kept: see
    :mod:`toolops_plugins.adapters.embedding_vectors`.

    Retry, timeout, breaker, rate limit and bulkhead stand around the call of the embedder, which
    gets all missing texts of a caller at once, or as many as ``most`` says. Each batch is kept as
    soon as it is there, so that a call that fails halfway pays only for the rest when it is tried
    again. Two names are counted: under "embed:<name>" each text, under "embed:<name> (batches)"
    each call of the embedder. A ``price`` is that of a text, and the time that a hit saves is a
    text's share of that of its batch. Frameworks tell no tokens of embeddings: by a table of
    prices, and by published ones, four characters count as a token.

    Safe to use from any threads and event loops.

    Args:
        ops: The runtime.
        policy: What is asked of it; with no cache nothing is kept, without ``coalesce`` nothing is
            shared.
        name: The model's name.
        model: What tells the model from others, to be hashed.
        embed: Embeds texts of a role, in order.
        aembed: The same, without blocking the event loop.
        most: Says how many texts the embedder may get at once. None: any number.
        workers: Says how many batches of one asynchronous caller may be under way at once. None:
            32.
        dimensions: Says how many numbers a vector must have, if the embedder's settings tell it.
        is_current: Says whether the embedder still is the model that ``model`` tells. What it gave
            while it changed is not kept.
        provider: The model's provider, as the framework calls it. Default "": not known.

    Raises:
        ConfigurationError: The policy asks for something that has no place here: ``semantic``,
            ``fallback`` or ``hedge``.
    """

    def __init__(
        self,
        ops: ToolOps,
        policy: Policy,
        *,
        name: str,
        model: Any,
        embed: Callable[[Role, list[str]], Any],
        aembed: Callable[[Role, list[str]], Awaitable[Any]],
        most: Callable[[], int] | None = None,
        workers: Callable[[], int] | None = None,
        dimensions: Callable[[], int | None] | None = None,
        is_current: Callable[[], bool] | None = None,
        provider: str = "",
    ) -> None:
        for part in ("semantic", "hedge"):
            if getattr(policy, part) is not None:
                raise ConfigurationError(part, "has no place around an embedder")
        if policy.fallback is not NOTHING:
            raise ConfigurationError("fallback", "has no place around an embedder")
        self._ops = ops
        self._model = model
        self._embed = embed
        self._aembed = aembed
        self._most = most
        self._workers = workers
        self._lengths = VectorLengths(dimensions)
        self._is_current = is_current
        self._storing: set[asyncio.Task[None]] = set()
        costs = EmbeddingCosts(ops, name, provider, policy.price)
        name = f"embed:{name}"
        self._shares = policy.coalesce is not False
        self._aside = None
        if policy.cache is not None:
            kept = Policy(cache=policy.cache, price=costs.price, tags=policy.tags)
            self._aside = ops.aside(_text, policy=kept, name=name)
            costs.describe(self._aside)
        calls = replace(policy, cache=None, price=None, coalesce=self._shares)
        if callable(calls.tags) or any("{" in tag for tag in calls.tags):
            calls = replace(calls, tags=())  # these are of a text
        wrap = ops.tool(policy=calls, name=f"{name} (batches)", ignore=["batch"])
        self._run = wrap(self._fetch)
        self._arun = wrap(self._afetch_batch)
        for run in (self._run, self._arun):
            costs.describe(run, kind="embeddings")
        self._lock = fork_safe(self, threading.Lock())
        self._under_way: dict[tuple[str, Role, str], Batch] = {}
        self._landed = 0
        # By hash, since texts may be long: when a text has landed last.
        self._recent: OrderedDict[int, int] = OrderedDict()

    def vectors(
        self, role: Role, texts: Sequence[str], told: Told | None = None
    ) -> list[list[float]]:
        """Return the vectors of texts, in order.

        Args:
            role: What the texts are to the model, such as "document" or "query".
            texts: The texts.
            told: Called as soon as vectors are there, for each different text once.

        Raises:
            Exception: What the embedder raised, or a policy in its place.
        """
        wanted = _select_texts(role, texts)
        found: dict[Key, Found] = {}
        alone: set[Key] = set()
        missing = list(wanted)
        while missing:
            seen = self._landed
            found.update(self._look_up(missing))
            _tell(told, missing, found, kept=True)
            rest = {key: None for key in missing if key not in found}
            own, others = self._board(role, list(rest), seen, alone)
            try:
                alone |= self._fetch_all(own, others, rest, found, told)
            finally:
                self._leave((*own, *others))
            missing = [key for key in wanted if key not in found]
        return [unpack_vector(found[role, text]) for text in texts]

    async def avectors(
        self, role: Role, texts: Sequence[str], told: Told | None = None
    ) -> list[list[float]]:
        """As :meth:`vectors`, without blocking the event loop."""
        wanted = _select_texts(role, texts)
        found: dict[Key, Found] = {}
        alone: set[Key] = set()
        missing = list(wanted)
        while missing:
            seen = self._landed
            found.update(await self._alook_up(missing))
            _tell(told, missing, found, kept=True)
            rest = {key: None for key in missing if key not in found}
            own, others = self._board(role, list(rest), seen, alone)
            try:
                alone |= await self._afetch_all(own, others, rest, found, told)
            finally:
                self._leave((*own, *others))
            missing = [key for key in wanted if key not in found]
        return [unpack_vector(found[role, text]) for text in texts]

    def warn(self, reason: str) -> None:
        """Tell, once for each reason, that something goes past this cache.

        Args:
            reason: A short machine word.
        """
        if self._aside is not None:
            self._aside.warn(reason)

    def _fetch_all(
        self,
        own: Sequence[Batch],
        others: Sequence[Batch],
        rest: dict[Key, None],
        found: dict[Key, Found],
        told: Told | None,
    ) -> set[Key]:
        """Fetch batches, and return the texts of those that failed for what others put into them.

        Args:
            own: Batches of the caller.
            others: Batches of other callers.
            rest: What the caller still needs.
            found: Takes what came of them.
            told: As in :meth:`vectors`.
        """
        failed: set[Key] = set()
        # The own batch first: nobody may wait for others before those can go on.
        for batch in (*own, *others):
            is_apart = batch not in own and not batch.is_within(rest)
            try:
                if not (is_apart and batch.has_failed):  # by now
                    self._run(batch.number, batch)
            except Exception:
                if not is_apart:
                    raise
            if batch.vectors is None:
                failed.update(batch.keys())
                continue
            found.update(batch.found())
            if self._keeps(batch):
                self._store(batch)
            _tell(told, batch.keys(), rest)
        return failed

    async def _afetch_all(
        self,
        own: Sequence[Batch],
        others: Sequence[Batch],
        rest: dict[Key, None],
        found: dict[Key, Found],
        told: Told | None,
    ) -> set[Key]:
        """As :meth:`_fetch_all`, some at a time; after a failure no further one is begun."""
        failed: set[Key] = set()
        errors: list[Exception] = []

        async def fetch(batch: Batch) -> None:
            if errors:
                return
            is_apart = batch not in own and not batch.is_within(rest)
            try:
                if not (is_apart and batch.has_failed):  # by now
                    await self._arun(batch.number, batch)
            except Exception as error:  # noqa: BLE001 - raised below, when the others are kept
                if not is_apart:
                    errors.append(error)
            if batch.vectors is None:
                failed.update(batch.keys())
                return
            found.update(batch.found())
            if self._keeps(batch):
                # Apart, so that a caller who leaves now does not lose what was paid for.
                task = asyncio.ensure_future(self._astore(batch))
                self._storing.add(task)
                task.add_done_callback(self._storing.discard)
                await asyncio.shield(task)
            _tell(told, batch.keys(), rest)

        limit = _AT_ONCE if self._workers is None else self._workers()
        await self._ops.gather(*map(fetch, (*own, *others)), limit=limit)
        if errors:
            raise errors[0]
        return failed

    # -- batches ---------------------------------------------------------------------------------

    def _fetch(self, number: int, batch: Batch) -> None:  # noqa: ARG002 - the number is the key
        if batch.vectors is None:
            began = self._ops.clock.monotonic()
            with batch.attempt():
                vectors = self._embed(batch.role, batch.texts)
                self._take(batch, vectors, self._ops.clock.monotonic() - began)

    async def _afetch_batch(self, number: int, batch: Batch) -> None:  # noqa: ARG002 - as above
        if batch.vectors is None:
            began = self._ops.clock.monotonic()
            with batch.attempt():
                vectors = await self._aembed(batch.role, batch.texts)
                self._take(batch, vectors, self._ops.clock.monotonic() - began)

    def _take(self, batch: Batch, vectors: Any, took: float) -> None:
        is_certain = self._is_current is None or self._is_current()
        batch.take(vectors, took, self._lengths, is_certain=is_certain)
        if self._aside is not None and len(batch.sound()) < len(batch.texts):
            self._aside.warn("vector_unsound" if is_certain else "settings_changed")

    def _board(
        self, role: Role, missing: Sequence[Key], seen: int, alone: Container[Key]
    ) -> tuple[list[Batch], list[Batch]]:
        """Return the batches to send, if any, and those of others that hold missing texts.

        Args:
            role: The role of the texts.
            missing: What was looked up in vain.
            seen: How many batches had landed before that; if one of the texts has landed since,
                nothing is boarded, since it may be found now.
            alone: Texts whose batch has failed, which the caller sends without the texts of others.
        """
        if not missing:
            return [], []
        whose = self._whose()
        if whose is None:
            return self._batches(role, [text for _, text in missing]), []
        keys = [(whose, *key) for key in missing]
        with self._lock:
            if any(self._recent.get(hash(key), 0) > seen for key in keys):
                return [], []
            shared = [key for key in keys if key in self._under_way and key[1:] not in alone]
            others = {self._under_way[key]: None for key in shared}
            rest = dict.fromkeys(keys)
            for key in shared:
                del rest[key]
            own = self._batches(role, [key[-1] for key in rest])
            for batch in own:
                batch.whose = whose
                for text in batch.texts:
                    self._under_way.setdefault((whose, role, text), batch)
            for batch in (*own, *others):
                batch.parties += 1
        return own, list(others)

    def _whose(self) -> str | None:
        """Return what tells the caller's tenant from others, or None where nothing is shared."""
        if not self._shares:
            return None
        try:
            whose: str = self._run.key(0, NO_BATCH)
        except Exception:  # noqa: BLE001 - the lookup has told of it
            return None
        return whose

    def _batches(self, role: Role, texts: list[str]) -> list[Batch]:
        most = max(1, len(texts)) if self._most is None else self._most()
        return [Batch(role, texts[at : at + most]) for at in range(0, len(texts), most)]

    def reset_after_fork(self) -> None:
        """Forget the batches of the parent, which nobody brings here; for a forked child."""
        self._under_way = {}

    def _leave(self, batches: Iterable[Batch]) -> None:
        """Give batches up, whatever came of them; one that nobody needs is under way no more."""
        with self._lock:
            for batch in batches:
                batch.parties -= 1
                if batch.parties <= 0:
                    self._land(batch)

    def _land(self, batch: Batch) -> None:
        """Let nobody board a batch any more; under the lock."""
        self._landed += 1
        for text in batch.texts:
            key = batch.whose, batch.role, text
            if self._under_way.get(key) is batch:
                del self._under_way[key]
            if batch.vectors is not None and self._aside is not None:
                self._recent[hash(key)] = self._landed
                self._recent.move_to_end(hash(key))
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    # -- the cache -------------------------------------------------------------------------------

    def _keeps(self, batch: Batch) -> bool:
        """Return whether it is the caller who is to keep what came of a batch."""
        with self._lock:
            first, batch.kept = not batch.kept, True
        return first and self._aside is not None

    def _look_up(self, keys: Sequence[Key]) -> dict[Key, Found]:
        if self._aside is None:
            return {}
        look = self._aside.lookup
        return self._hits(keys, [look(self._model, role, text) for role, text in keys])

    async def _alook_up(self, keys: Sequence[Key]) -> dict[Key, Found]:
        if self._aside is None:
            return {}
        look = self._aside.alookup
        if len(keys) == 1:  # without the price of a task
            return self._hits(keys, [await look(self._model, *keys[0])])
        found: list[Any] = [None] * len(keys)

        async def one(number: int) -> None:
            found[number] = await look(self._model, *keys[number])

        await run_each(self._ops.gather, one, range(len(keys)))
        return self._hits(keys, found)

    def _hits(self, keys: Sequence[Key], found: Sequence[Any]) -> dict[Key, Found]:
        """Return the vectors among what was found, all of one role."""
        pairs = zip(keys, found, strict=True)
        vectors = {key[1]: value for key, value in pairs if is_packed(value)}
        role = keys[0][0] if keys else ""
        sound = self._lengths.fit(role, vectors, lambda: self._whose() or "")
        return {(role, text): value for text, value in sound.items()}

    def _store(self, batch: Batch) -> None:
        if self._aside is not None:
            for (role, text), vector in batch.sound().items():
                with price_text(role, text):
                    self._aside.store_took(batch.took, vector, self._model, role, text)

    async def _astore(self, batch: Batch) -> None:
        if self._aside is not None:
            store = self._aside.astore_took

            async def one(kept: tuple[Key, Packed]) -> None:
                key, vector = kept
                with price_text(*key):
                    await store(batch.took, vector, self._model, *key)

            await run_each(self._ops.gather, one, batch.sound().items())


def _select_texts(role: Role, texts: Sequence[str]) -> dict[Key, None]:
    """Return the keys of texts, each once.

    Raises:
        TypeError: They are no texts, or one text, whose letters nobody wants the vectors of.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"must be a list of texts, not {texts!r:.100}")
    return {(role, text): None for text in texts}


def _tell(
    told: Told | None, missing: Sequence[Key], found: Container[Key], *, kept: bool = False
) -> None:
    if told is not None:
        texts = [key[1] for key in missing if key in found]
        if texts:
            told(texts, kept)


def _text(model: Any, role: Role, text: str) -> Any:
    """Names what makes up the key of a vector; it is never called."""
