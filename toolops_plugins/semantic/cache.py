"""The semantic cache, which serves an answer to a question in other words."""

from __future__ import annotations

import hashlib
import math
import os
import re
import weakref
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from toolops_plugins import check
from toolops_plugins.clock import SYSTEM_CLOCK, Clock
from toolops_plugins.codec import Codec
from toolops_plugins.codec.encryption import Cipher, make_cipher
from toolops_plugins.codec.signing import derive_key
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.concurrency.running_loop import is_loop_running
from toolops_plugins.errors import CodecError, ConfigurationError, TamperedError
from toolops_plugins.semantic.answers.agreement import Agreement
from toolops_plugins.semantic.embedding.embedders import (
    Embedder,
    default_model,
    embedder_of,
    thresholds_of,
)
from toolops_plugins.semantic.flows import Learning, SemanticFlows
from toolops_plugins.semantic.guards import Guard, Guards, prepare
from toolops_plugins.semantic.health import IndexHealth
from toolops_plugins.semantic.index.chroma import Store
from toolops_plugins.semantic.index.chroma_folder import warn_if_in_use
from toolops_plugins.semantic.index.shared import index_for
from toolops_plugins.semantic.judge import Judge, JudgeLike
from toolops_plugins.semantic.lifecycle import Lifecycle
from toolops_plugins.semantic.long_texts import LongText
from toolops_plugins.semantic.lookup import DEFAULT_MAX_ERROR, Lookup, Question, Rule
from toolops_plugins.semantic.matches import Explanation, Match
from toolops_plugins.steps import (
    Io,
    as_tier_error,
    awalk,
    describe_problem,
    tier_problem,
    trouble_kind,
    walk,
)
from toolops_plugins.telemetry.log import ProblemLog

__all__ = ["SemanticCache"]

_ELSEWHERE = (
    "The questions of a runtime's tools are in scopes of their own: use tool.explain(...), or "
    "explain_answer(model, ...) for a guarded model."
)
_REMEMBERED = 1_000
"""Misses that wait for their answers, from which the bounded policy learns."""


class SemanticCache(Lifecycle):
    """A cache of answers by the meaning of their question, alone or as ``ToolOps(semantic=...)``.

    Trouble with the index, the embedder, a guard or the judge is a miss and a line in the log, and
    raises in no lookup or write. So is an embedded folder that another process uses: it is said
    once, when this object is made or when it is found, and the folder is used once it is free.

    Entries are stored in Chroma. Safe to use from any threads and event loops. Nothing is opened
    before the first use. Writes are searchable at once and stored in the background within
    ``flush_every`` seconds; ``flush()``, ``close()`` and a normal exit store them immediately. A
    killed process loses its last writes.

    Args:
        path: Folder of an embedded index, for one process at a time. None, without ``url`` and
            ``client``: ".toolops".
        url: A Chroma server's URL, such as "http://localhost:8000", for several processes; start
            one with ``chroma run``.
        client: A Chroma client of your own, such as one for Chroma Cloud.
        embedder: Turns questions into vectors: None for WordLlama, which needs no download;
            "chroma" for Chroma's default, MiniLM, which is downloaded at first use; a Chroma
            EmbeddingFunction, a LangChain Embeddings, a LlamaIndex BaseEmbedding, an object of
            the :class:`~toolops_plugins.semantic.embedding.embedders.Embedder` protocol, or a
            function from a list of texts to vectors. An index stores the name of its embedder and
            refuses another one.
        threshold: Least cosine similarity to serve. None: the threshold calibrated for the
            embedder.
        max_error: Share of all requests that may get a wrong answer: the bounded policy, which
            learns from every miss, decides instead of the threshold. None: the threshold decides
            for this cache's own lookups, and a bound of 0.01 for the tools of a runtime, unless
            ``threshold`` is given.
        guards: Names of built-in guards, and functions ``(question, candidate) -> Veto | None``
            of your own, which veto an answer whatever its similarity. None: all built-in guards.
        judge: Decides whether two answers are the same and, close to the threshold, whether to
            serve: ``(question, cached_answer, fresh_answer) -> bool | None`` or a coroutine
            function; ``fresh_answer`` is None where there is none yet. None means that it cannot
            tell, as an error or a late answer does: nothing is served or learned. Default None: no
            judge.
        judge_band: Width of the band of similarity around the threshold in which the judge is asked
            before serving. Default 0.05.
        judge_timeout: Seconds for the judge. Default 10.
        answers_alike: Least cosine, by ``embedder``, of two free-text answers that count as the
            same under the bounded policy unless their numbers, names or negations differ. None:
            their words decide, and the included model. Default None.
        ttl: Seconds for which an answer without a TTL of its own is served. None: no limit.
        near_ttl: Seconds for which a runtime keeps a semantic hit in its memory tier under the
            question's own key. Default 60.
        timeout: Seconds for a lookup, an invalidation or closing on a server, all requests and
            slow replies together, and twice that for connecting. Then the lookup is a miss; other
            operations raise ``TierError``. An embedded folder has no timeout. Default 3.
        embed_timeout: Seconds that callers wait for the embedder. A call that waits longer is a
            miss, and the embedder is not called for a growing pause, up to half a minute. None: no
            limit. Default 5.
        max_text: Characters of a question at most. A longer question matches exactly only: it is
            not embedded, checked by guards or stored in the index, and a cache that is used alone
            keeps its answer in memory only. Default 8,000.
        max_items: Entries at most; then expired entries are evicted first, then the least useful.
            Default 100,000.
        store_text: False: questions are stored as keyed digests of their words only. Then guards no
            longer recognise typing errors and near synonyms, guards of your own cannot run, and
            :meth:`explain` cannot show stored questions.
        secret: Signs scope, question, vector and answer of each entry. An entry that is unsigned,
            changed, moved to another question or tenant, or restored after an invalidation is a
            miss and is reported; the threat model in docs/ says what remains possible. Also the key
            of all digests. All processes that share the index need the same secret. None: the
            runtime's, or no signatures.
        encrypt: True: questions, answers and tags are encrypted where they are stored, with a key
            derived from the secret; text or bytes: with a key derived from these. Vectors are not
            encrypted; they reveal roughly what a question is about. Needs the package
            ``cryptography`` (extra "encrypt") and a secret. Default False, or the runtime's value.
        collection: The name of the Chroma collection. None: "toolops", or in a runtime a name made
            from its namespace.
        flush_every: Seconds for which writes are gathered. Default 0.25.
        codec: Turns answers into bytes. None: the runtime's, or a new one.
        clock: The source of time. Default: the system clock.

    Raises:
        ConfigurationError: A value is invalid; the error names the parameter.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        url: str | None = None,
        client: Any = None,
        embedder: Embedder | Any = None,
        threshold: float | None = None,
        max_error: float | None = None,
        guards: Sequence[str | Guard] | None = None,
        judge: JudgeLike | None = None,
        judge_band: float = 0.05,
        judge_timeout: float = 10.0,
        answers_alike: float | None = None,
        ttl: float | None = None,
        near_ttl: float = 60.0,
        timeout: float = 3.0,
        embed_timeout: float | None = 5.0,
        max_text: int = 8_000,
        max_items: int = 100_000,
        store_text: bool = True,
        secret: str | bytes | None = None,
        encrypt: bool | str | bytes = False,
        collection: str | None = None,
        flush_every: float = 0.25,
        codec: Codec | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if sum(place is not None for place in (path, url, client)) > 1:
            raise ConfigurationError("path", "cannot stand beside url or client; choose one")
        if threshold is not None and max_error is not None:
            raise ConfigurationError("threshold", "cannot stand beside max_error; choose one")
        super().__init__(Pool(8))
        # The index may be shared by other caches, and its work runs in this pool.
        weakref.finalize(self, self._pool.end_idle_threads).atexit = False
        self.path = Path(path or ".toolops").absolute() if url is None and client is None else None
        self.url = url
        self._embed_timeout = None
        if embed_timeout is not None:
            self._embed_timeout = check.seconds("embed_timeout", embed_timeout, zero=False)
        self.max_text = check.count("max_text", max_text)
        self._timeout = check.seconds("timeout", timeout, zero=False)
        self.near_ttl = check.seconds("near_ttl", near_ttl, zero=False)
        self._ttl = math.inf if ttl is None else check.seconds("ttl", ttl, zero=False)
        self._answers_alike = None
        if answers_alike is not None:
            self._answers_alike = check.share("answers_alike", answers_alike)
        self._judge_band = check.share("judge_band", judge_band, zero=True)
        self._client = client
        if collection is not None and not _COLLECTION.fullmatch(collection):
            raise ConfigurationError(
                "collection",
                "must be 3 to 512 letters of ASCII, digits, dots, dashes or underscores, without "
                f"two dots in a row, and begin and end with a letter or digit, not {collection!r}",
            )
        self._collection = collection
        self._max_items = check.count("max_items", max_items)
        self._flush_every = check.seconds("flush_every", flush_every, zero=False)
        self._secret = check.secret("secret", secret)
        self._encrypt = encrypt
        self._cipher: Cipher | None = None
        if self._secret is not None:
            self._cipher = make_cipher(encrypt, self._secret)
        self._store_text = store_text
        self._embedder = embedder_of(embedder)
        self._rule_given = threshold is not None or max_error is not None
        self._rule = self._make_rule(threshold, max_error)
        self._judge = (
            None if judge is None else Judge(judge, judge_timeout, self._pool, self._report_failure)
        )
        self._guards = guards
        if Guards(guards).custom and not store_text:
            raise ConfigurationError(
                "guards", "of your own need the texts, which store_text=False does not keep"
            )
        self._codec = codec
        self._clock = clock
        # Not methods of this object, which a shared index must not keep alive.
        problems = ProblemLog(clock)
        self._on_trouble: Callable[[Exception], None] = partial(_log, problems)
        self._on_failure: Callable[[str, Exception], None] = partial(_log_failure, problems)
        self.health = IndexHealth(partial(problems.write_notice, "tier_recovered", "semantic"))
        self._bound = False
        self._misses: OrderedDict[str, Lookup] = OrderedDict()
        if self.path is not None:
            look = partial(warn_if_in_use, self.path)
            if is_loop_running():  # which no file may block
                self._pool.offer(look)
            else:
                look()

    # -- the parts, created at first use ----------------------------------------------

    def bind(
        self,
        namespace: str,
        codec: Codec,
        clock: Clock,
        secret: bytes | None,
        on_trouble: Callable[[Exception], None],
        on_failure: Callable[[str, Exception], None] | None = None,
        cipher: Cipher | None = None,
        on_recovery: Callable[[], object] | None = None,
    ) -> None:
        """Attach to a runtime: use its codec, clock and secret, and report failures to it.

        Without ``collection``, the name is made from the runtime's namespace.

        Raises:
            ConfigurationError: It belongs to another runtime, was used alone, or is to encrypt
                without a secret.
        """
        if self._bound or self._answers is not None:
            raise ConfigurationError(
                "semantic", "serves another runtime, or was used alone; make one for each"
            )
        self._bound = True
        self._collection = self._collection or collection_of(namespace)
        self._codec = self._codec or codec
        self._clock = clock
        self._secret = self._secret or secret
        self._cipher = self._cipher or make_cipher(self._encrypt, self._secret) or cipher
        self._on_trouble = on_trouble
        self._on_failure = on_failure or self._on_failure
        self.health.on_recovery = on_recovery or self.health.on_recovery

    def _report_failure(self, stage: str, error: Exception) -> None:
        self._on_failure(stage, error)

    def _make_answers(self) -> SemanticFlows:
        self._collection = self._collection or "toolops"
        self._require_cipher()
        # Another secret means other entries in the same folder.
        key = "" if self._secret is None else derive_key(self._secret, "shared index").hex()
        place = None if self.path is None else (str(self.path), self._collection, key)
        index = index_for(
            place,
            partial(
                Store if self._guards == [] else _make_store,
                path=self.path,
                url=self.url,
                client=self._client,
                collection=self._collection,
                secret=self._secret,
                cipher=self._cipher,
                timeout=self._timeout,
            ),
            self._embedder,
            max_items=self._max_items,
            pause=self._flush_every,
            clock=self._clock,
            pool=self._pool,
            on_trouble=self._on_trouble,
            health=self.health,
            embed_timeout=self._embed_timeout,
        )
        if self._source is not None:
            index.remote.source = self._source
            index.remote.place = self.place
        self._codec = self._codec or Codec()
        return SemanticFlows(
            index,
            self._codec,
            Guards(self._guards, secret=self._secret, on_failure=self._on_failure),
            judge=self._judge,
            judge_band=self._judge_band,
            agreement=Agreement(default_model()),
            answers_alike=self._answers_alike,
            pool=self._pool,
            store_text=self._store_text,
            secret=self._secret,
            on_failure=self._on_failure,
        )

    @property
    def place(self) -> str:
        """Identifies the index on a server, for runtimes; "" for an index of this process."""
        if self.path is not None:
            return ""
        server = self.url if self.url is not None else "a client"
        form = f"{server}\0{self._collection}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(form).hexdigest()[:16]

    def rule(self, threshold: float | None, max_error: float | None) -> Rule:
        """Return the rule of a tool's policy, with the values given to this cache as defaults.

        Where neither says how to decide, the bound is 1 %: a tool's misses are what it learns from.
        """
        if threshold is None and max_error is None:
            if self._rule_given:
                return self._rule
            max_error = DEFAULT_MAX_ERROR
        return self._make_rule(threshold, max_error)

    def _make_rule(self, threshold: float | None, max_error: float | None) -> Rule:
        """Return the rule of a threshold or a bound, else that of the calibrated threshold.

        A given threshold holds for all questions; a calibrated one is lower for equivalent ones.
        """
        if threshold is not None:
            least = check.share("threshold", threshold)
            return Rule(least, least)
        share = None if max_error is None else check.share("max_error", max_error)
        return Rule(*thresholds_of(self._embedder), share)

    def _question(self, text: str, scope: Any) -> Question:
        self._require_cipher()  # before the index, whose trouble is a miss
        return super()._question(text, scope)

    def _require_cipher(self) -> None:
        if self._cipher is None and self._encrypt is not False:
            self._cipher = make_cipher(self._encrypt, self._secret)

    def refuse_sync(self) -> None:
        """Raise if the judge must be awaited, for synchronous callers.

        Raises:
            ConfigurationError: The judge is a coroutine function.
        """
        if self._judge is not None:
            self._judge.refuse_sync()

    # -- use without a runtime ---------------------------------------------------------------------

    def _lookup(self, asked: Question, *, dry: bool = False) -> Generator[Io, Any, Lookup]:
        return self.answers.lookup(asked, self._rule, dry=dry)

    def find(self, text: str, scope: Any = "") -> Match | None:
        """Return the answer that may be served for a question, or None.

        Trouble with the index or the embedder is a miss too, and a line in the log.

        Args:
            text: The question.
            scope: Everything that must be identical, such as model, tenant and system prompt: any
                value with a canonical form, such as text, numbers, and lists or dictionaries of
                them. Default "".

        Raises:
            ConfigurationError: An argument is invalid, or the judge is a coroutine function.
        """
        self.refuse_sync()
        if self._is_long(text):
            return self._exact_match(text, scope)
        asked = self._question(text, scope)
        try:
            found = walk(self._lookup(asked))
            self.health.succeed("read")
            return self._match(found)
        except Exception as error:  # noqa: BLE001 - trouble with a cache is a miss
            self._report_failed_lookup(error)
            return None

    async def afind(self, text: str, scope: Any = "") -> Match | None:
        """Like :meth:`find`, without blocking the event loop."""
        if self._is_long(text):
            return self._exact_match(text, scope)
        asked = self._question(text, scope)
        try:
            found = await awalk(self._lookup(asked))
            self.health.succeed("read")
            return self._match(found)
        except Exception as error:  # noqa: BLE001 - trouble with a cache is a miss
            self._report_failed_lookup(error)
            return None

    def _report_failed_lookup(self, error: Exception) -> None:
        self.health.fail("read")
        self._report_trouble(error)

    def _report_trouble(self, error: Exception) -> None:
        with suppress(Exception):  # an exception of a user's class may raise when it is described
            self._on_trouble(error)

    def _is_long(self, text: str) -> bool:
        return isinstance(text, str) and len(text) > self.max_text

    def _exact_match(self, text: str, scope: Any) -> Match | None:
        """Return this process's answer to a long question, or None."""
        found = self._long.get(self._question(text, scope).id, self._clock)
        if found is None:
            return None
        try:
            value = self.answers.codec.decode(found.payload)
        except CodecError:
            return None
        return Match(value, 1.0, None, "exact", {}, found.created, found.expires, found.tags)

    def _match(self, lookup: Lookup) -> Match | None:
        row = lookup.row
        value = None
        if row is not None:
            try:
                value = self.answers.value_of(row)
            except CodecError:  # written by a process that knows more types than this one
                row = None
        if row is None:
            with self._lock:
                self._misses[lookup.asked.id] = lookup
                if len(self._misses) > _REMEMBERED:
                    self._misses.popitem(last=False)
            return None
        return Match(
            value,
            lookup.similarity,
            row.text,
            lookup.policy,
            lookup.details(),
            row.created,
            row.expires,
            row.tags,
        )

    def put(
        self,
        text: str,
        value: Any,
        scope: Any = "",
        *,
        ttl: float | None = None,
        tags: Sequence[str] = (),
        took: float = 0.0,
        price: float = 0.0,
    ) -> None:
        """Store the answer to a question; it is searchable at once and written in the background.

        Where the index cannot be used, nothing is stored, and a line in the log says so.

        After a miss in :meth:`find`, the bounded policy also learns whether the nearest answer
        would have been right.

        Args:
            text: The question.
            value: The answer, of a type that the codec takes.
            scope: As in :meth:`find`.
            ttl: Seconds for which it may be served. None: the cache's own ``ttl``.
            tags: Names under which it can be invalidated.
            took: Seconds that it took to compute; expensive answers are kept longer. Default 0.
            price: Money that it cost. Default 0.

        Raises:
            ConfigurationError: As in :meth:`find`.
            NotEncodableError: No codec takes the answer.
        """
        self.refuse_sync()
        keep = self._prepare(text, value, scope, ttl, tags, took, price)
        if keep is None:
            return
        try:
            self.open()
            if (learning := keep()) is not None:
                self.learn_later(learning)
        except Exception as error:  # noqa: BLE001 - trouble with a cache is a miss
            self._report_trouble(error)

    def learn_later(self, learning: Learning) -> None:
        """Learn in a thread of this cache, if no event loop is needed."""
        if self._judge is None or not self._judge.is_async:
            self._pool.offer(lambda: quietly(lambda: walk(learning()), self._on_trouble))

    async def aput(
        self,
        text: str,
        value: Any,
        scope: Any = "",
        *,
        ttl: float | None = None,
        tags: Sequence[str] = (),
        took: float = 0.0,
        price: float = 0.0,
    ) -> None:
        """Like :meth:`put`, without blocking the event loop; awaits the judge."""
        keep = self._prepare(text, value, scope, ttl, tags, took, price)
        if keep is None:
            return
        try:
            await self.aopen()
            if (learning := keep()) is not None:
                await awalk(learning())
        except Exception as error:  # noqa: BLE001 - trouble with a cache is a miss
            self._report_trouble(error)

    def _prepare(
        self,
        text: str,
        value: Any,
        scope: Any,
        ttl: float | None,
        tags: Sequence[str],
        took: float,
        price: float,
    ) -> Callable[[], Learning | None] | None:
        """Check and encode an answer; return the function that stores it, or None if it has."""
        asked = self._question(text, scope)
        seconds = self._ttl if ttl is None else check.seconds("ttl", ttl, zero=False)
        names = tuple(sorted(set(check.texts("tags", tags))))
        self._codec = self._codec or Codec()
        payload = self._codec.encode(value)
        if self._is_long(text):
            now, until = self._clock.time(), self._clock.monotonic() + seconds
            kept = LongText(asked.scope, payload, now, now + seconds, until, names)
            self._long.put(asked.id, kept)
            return None
        with self._lock:
            lookup = self._misses.pop(asked.id, None)

        def keep() -> Learning | None:
            return self.answers.keep(
                asked,
                self._rule,
                lookup,
                value,
                payload,
                mark=self.answers.index.mark(),  # as of now, whenever it was looked up
                expires=self._clock.time() + seconds,
                tags=names,
                took=took,
                price=price,
            )

        return keep

    def explain(self, text: str, scope: Any = "") -> Explanation:
        """Return why a question would be a hit or a miss now, among those of one scope.

        It counts, serves and learns nothing, and asks no judge. It looks where :meth:`put` and
        :meth:`find` of this cache do, under its own threshold or bound. A tool of a runtime has
        scopes and a policy of its own: use ``tool.explain(...)`` with the arguments of its call,
        and ``explain_answer`` of the adapters for a guarded model.

        Args:
            text: The question.
            scope: As in :meth:`find`.

        Raises:
            ConfigurationError: An argument is invalid.
        """
        if self._is_long(text):
            return self._explain_long(text, scope)
        asked = self._question(text, scope)
        try:
            return self._explain(walk(self._lookup(asked, dry=True)), scope)
        except Exception as error:  # noqa: BLE001 - which is what explains a miss
            return self._explain_trouble(text, scope, error)

    async def aexplain(self, text: str, scope: Any = "") -> Explanation:
        """Like :meth:`explain`, without blocking the event loop."""
        if self._is_long(text):
            return self._explain_long(text, scope)
        asked = self._question(text, scope)
        try:
            return self._explain(await awalk(self._lookup(asked, dry=True)), scope)
        except Exception as error:  # noqa: BLE001 - as above
            return self._explain_trouble(text, scope, error)

    def _explain(self, lookup: Lookup, scope: Any) -> Explanation:
        explanation = self.answers.explain(lookup, scope)
        if self._bound and explanation.reason == "nothing_near":
            return replace(explanation, note=_ELSEWHERE)
        return explanation

    def _explain_trouble(self, text: str, scope: Any, error: Exception) -> Explanation:
        policy = self._rule.policy
        details = {"error": describe_problem(error)}
        return Explanation(text, scope, False, "unavailable", policy, details, ())  # noqa: FBT003 - its fields

    def _explain_long(self, text: str, scope: Any) -> Explanation:
        served = self._exact_match(text, scope) is not None
        reason = "exact" if served else "too_long"
        details = {"characters": len(text), "max_text": self.max_text}
        policy = self._rule.policy
        return Explanation(text, scope, served, reason, policy, details, ())

    def __repr__(self) -> str:
        place = f"path={str(self.path)!r}" if self.path is not None else f"url={self.url!r}"
        return f"SemanticCache({place}, embedder={self._embedder.name!r})"


_COLLECTION = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{1,510}[A-Za-z0-9]")
"""Names of collections that Chroma takes."""


def _make_store(**options: Any) -> Store:
    """Return a store, with the tables of the guards built where it is opened."""
    prepare()
    return Store(**options)


def collection_of(namespace: str) -> str:
    """Return the name of a namespace's collection, in a form that Chroma takes."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", namespace)[:64].strip("._-")
    if plain == namespace:
        return f"toolops-{plain}"
    digest = hashlib.sha256(namespace.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"toolops-{plain}-{digest}" if plain else f"toolops-{digest}"


def quietly(work: Callable[[], Any], on_trouble: Callable[[Exception], None]) -> None:
    """Run work in the background and report its error."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - errors in the background are reported
        on_trouble(as_tier_error(error))


def _log_failure(problems: ProblemLog, stage: str, error: Exception) -> None:
    problems.write_notice("stage_failed", "semantic", f"{stage}: {type(error).__name__}")


def _log(problems: ProblemLog, error: Exception) -> None:
    kind = "tampered" if isinstance(error, TamperedError) else trouble_kind(error)
    problems.write_notice(kind, "semantic", tier_problem(error))
