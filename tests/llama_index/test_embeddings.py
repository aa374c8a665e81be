"""guard_embedding: texts embedded once, by a model that stays the model that it was."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import weakref
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from callers import Latch, new_loops, start
from llama_index.core import Document, MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.embeddings import MockMultiModalEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation.events.embedding import (
    EmbeddingEndEvent,
    EmbeddingStartEvent,
)
from llama_index.core.postprocessor import SentenceEmbeddingOptimizer
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index_instrumentation import root_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import BaseSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from pydantic import Field, PrivateAttr
from servers import wait_for

from llama_index.callbacks.toolops.callbacks import ToolOpsCallbackHandler
from llama_index.callbacks.toolops.embeddings import guard_embedding
from llama_index.callbacks.toolops.events import CacheHitEvent
from llama_index.callbacks.toolops.instrumentation import install, uninstall
from toolops_plugins import (
    Cache,
    ConfigurationError,
    Policy,
    RateLimit,
    RateLimited,
    Retry,
    Semantic,
    ToolOps,
)
from toolops_plugins.testing import FakeClock


class Asked:
    """The requests of a model, which can be delayed or made to fail; shared by its copies."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.batches: list[list[str]] = []
        self.started = Latch()
        self.gate: Latch | None = None
        self.errors: list[Exception] = []

    def __deepcopy__(self, memo):
        return self


class Lengths(BaseEmbedding):
    """Embeds a text as its length and its role."""

    scale: float = 1.0
    text_instruction: str | None = None
    query_instruction: str | None = None
    _asked: Asked = PrivateAttr(default_factory=Asked)

    @property
    def asked(self) -> Asked:
        return self._asked

    def _embedded(self, texts: list[str], role: float) -> list[list[float]]:
        if self._asked.errors:
            raise self._asked.errors.pop(0)
        return [[len(text) * self.scale, role, -1 / 3] for text in texts]

    def _get_query_embedding(self, query):
        self._asked.queries.append(query)
        return self._embedded([query], 0.5)[0]

    async def _aget_query_embedding(self, query):
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text):
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text):
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts):
        self._asked.batches.append(list(texts))
        self._asked.started.open()
        if self._asked.gate is not None:
            self._asked.gate.wait()
        return self._embedded(texts, 0.25)

    async def _aget_text_embeddings(self, texts):
        self._asked.batches.append(list(texts))
        self._asked.started.open()
        if self._asked.gate is not None:
            await self._asked.gate.opened()
        return self._embedded(texts, 0.25)


class Turns(BaseRateLimiter):
    def __init__(self) -> None:
        self.taken = 0

    def acquire(self, num_tokens: int = 0) -> None:
        self.taken += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.taken += 1


@pytest.fixture
def ops():
    runtime = ToolOps("guarded embeddings")
    yield runtime
    wait_for(lambda: not runtime._shared.flights, "an empty table of flights")


@pytest.fixture
def model():
    return Lengths(model_name="lengths")


@pytest.fixture
def guarded(model, ops):
    return guard_embedding(model, ops=ops)


@pytest.fixture
def loops():
    yield from new_loops()


@pytest.fixture(params=["sync", "async"])
def face(request):
    """Calls a method by either twin."""

    def call(model: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if request.param == "sync":
            return getattr(model, method)(*args, **kwargs)
        return asyncio.run(getattr(model, f"a{method}")(*args, **kwargs))

    return call


class _Events(BaseEventHandler):
    heard: list[Any] = Field(default_factory=list)

    def handle(self, event, **kwargs):
        self.heard.append(event)


class _Spans(BaseSpanHandler[BaseSpan]):
    _entered: list[str] = PrivateAttr(default_factory=list)

    def new_span(self, id_, bound_args, instance=None, parent_span_id=None, tags=None, **kwargs):
        self._entered.append(id_[:-37])  # without its number

    def prepare_to_exit_span(self, *args, **kwargs):
        pass

    def prepare_to_drop_span(self, *args, **kwargs):
        pass


@pytest.fixture
def heard(monkeypatch):
    """The events that LlamaIndex's instrumentation fires."""
    handler = _Events()
    monkeypatch.setattr(root_dispatcher, "event_handlers", [handler])
    return lambda kind: [event for event in handler.heard if isinstance(event, kind)]


@pytest.fixture
def spans(monkeypatch):
    handler = _Spans()
    monkeypatch.setattr(root_dispatcher, "span_handlers", [handler])
    return handler._entered


# -- what is sent, and what comes back


def test_only_missing_texts_are_sent_and_order_is_kept(face, guarded, model):
    batch = "get_text_embedding_batch"
    found = face(guarded, batch, ["a", "bb", "a"])
    assert found == [[1.0, 0.25, -1 / 3], [2.0, 0.25, -1 / 3], [1.0, 0.25, -1 / 3]]
    assert [v[0] for v in face(guarded, batch, ["ccc", "bb", "dddd", "a"])] == [3, 2, 4, 1]
    assert face(guarded, "get_text_embedding", "a") == [1.0, 0.25, -1 / 3]
    assert face(guarded, batch, []) == []
    assert model.asked.batches == [["a", "bb"], ["ccc", "dddd"]]


def test_queries_and_texts_are_apart_and_aggregates_are_of_queries(face, guarded, model):
    for _ in range(2):
        assert face(guarded, "get_query_embedding", "a")[1] == 0.5
        assert face(guarded, "get_text_embedding", "a")[1] == 0.25
        assert face(guarded, "get_agg_embedding_from_queries", ["a", "bbb"])[:2] == [2.0, 0.5]
    assert (model.asked.queries, model.asked.batches) == (["a", "bbb"], [["a"]])


def test_the_twins_share_what_is_kept(guarded, model):
    asyncio.run(guarded.aget_text_embedding_batch(["a", "bb"]))
    asyncio.run(guarded.aget_query_embedding("a"))
    assert guarded.get_text_embedding("bb")[0] == 2.0
    assert guarded.get_query_embedding("a")[0] == 1.0
    assert (model.asked.queries, model.asked.batches) == (["a"], [["a", "bb"]])


def test_vectors_are_the_callers_own(face, guarded):
    for _ in range(2):
        first, second = face(guarded, "get_text_embedding_batch", ["a", "a"])
        first.clear()
        assert second == [1.0, 0.25, -1 / 3]


def test_misses_go_in_batches_of_the_models_size(face, guarded, model):
    guarded.embed_batch_size = 2
    face(guarded, "get_text_embedding_batch", ["bb"])
    texts = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"]
    found = face(guarded, "get_text_embedding_batch", texts)
    assert [vector[0] for vector in found] == [1, 2, 3, 4, 5, 6]
    assert sorted(model.asked.batches) == [["a", "ccc"], ["bb"], ["dddd", "eeeee"], ["ffffff"]]


async def test_num_workers_bound_how_many_batches_are_under_way(guarded, model):
    guarded.embed_batch_size, guarded.num_workers = 1, 2
    model.asked.gate = Latch()
    call = asyncio.ensure_future(guarded.aget_text_embedding_batch(["a", "bb", "ccc"]))
    while len(model.asked.batches) < 2:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(model.asked.batches) == 2
    model.asked.gate.open()
    assert [vector[0] for vector in await call] == [1, 2, 3]


def test_progress_is_shown_for_each_different_text(face, guarded, capsys):
    face(guarded, "get_text_embedding_batch", ["a"])
    found = face(guarded, "get_text_embedding_batch", ["a", "bb", "a"], show_progress=True)
    assert len(found) == 3
    shown = capsys.readouterr().err
    assert "Generating embeddings" in shown
    assert "2/2" in shown


# -- it stays the model that it was


def test_it_is_the_model_in_all_but_where_vectors_come_from(guarded, model):
    assert isinstance(guarded, Lengths)
    assert type(guarded).__name__ == "Lengths"
    assert guarded.class_name() == model.class_name()
    assert guarded.to_dict() == model.to_dict()
    assert guarded.to_payload() == model.to_payload()
    assert repr(guarded) == repr(model)
    assert type(model) is Lengths


def test_a_copy_is_guarded_alike_and_a_pickle_is_the_plain_model(guarded, model, ops):
    guarded.get_text_embedding("a")
    for twin in (guarded.model_copy(), copy.copy(guarded), copy.deepcopy(guarded)):
        assert twin.get_text_embedding("a")[0] == 1.0
    assert model.asked.batches == [["a"]]
    other = guarded.model_copy(update={"scale": 10.0})
    assert other.get_text_embedding("a")[0] == 10.0
    assert guarded.get_text_embedding("a")[0] == 1.0
    plain = pickle.loads(pickle.dumps(guard_embedding(MockEmbedding(embed_dim=3), ops=ops)))
    assert type(plain) is MockEmbedding
    assert plain.get_text_embedding("a") == [0.5] * 3


def test_what_is_changed_later_holds_from_the_next_call_on(guarded, model):
    assert guarded.get_text_embedding("a")[0] == 1.0
    guarded.scale = 2.0
    assert guarded.get_text_embedding("a")[0] == 2.0
    guarded.scale = 1.0
    assert guarded.get_text_embedding("a")[0] == 1.0
    assert (len(model.asked.batches), model.scale) == (2, 1.0)


def test_a_model_that_counts_in_its_own_fields_is_still_itself(ops):
    class Counting(Lengths):
        calls: int = 0
        texts: list[str] = Field(default_factory=list)

        def _get_text_embedding(self, text):
            self.calls += 1
            self.texts.append(text)
            return [1.0]

    guarded = guard_embedding(Counting(), ops=ops)
    for text in ("a", "b", "a", "b"):
        guarded.get_text_embedding(text)
    assert (guarded.calls, guarded.texts) == (2, ["a", "b"])


def test_the_models_of_an_index_and_of_the_settings(guarded, model):
    Settings.embed_model = guarded
    assert Settings.embed_model is guarded
    documents = [Document(text=text) for text in ("one", "three")]
    index = VectorStoreIndex.from_documents(documents)
    VectorStoreIndex.from_documents(documents)
    assert model.asked.batches == [["one", "three"]]
    retriever = index.as_retriever(similarity_top_k=1)
    for _ in range(2):
        assert len(retriever.retrieve("seven")) == 1
        assert len(asyncio.run(retriever.aretrieve("seven"))) == 1
    assert model.asked.queries == ["seven"]


def test_a_step_of_an_ingestion_pipeline(guarded, model):
    def nodes():
        return [TextNode(text=text) for text in ("a", "bb", "a")]

    pipeline = IngestionPipeline(transformations=[guarded], disable_cache=True)
    done = pipeline.run(nodes=nodes())
    assert [node.embedding[0] for node in done] == [1, 2, 1]
    again = asyncio.run(pipeline.arun(nodes=nodes()))
    assert [node.embedding[0] for node in again] == [1, 2, 1]
    assert model.asked.batches == [["a", "bb"]]


def test_the_methods_behind_the_public_ones_are_guarded_too(guarded, model):
    optimizer = SentenceEmbeddingOptimizer(
        embed_model=guarded, percentile_cutoff=0.5, tokenizer_fn=lambda text: text.split(". ")
    )
    for _ in range(2):
        node = NodeWithScore(node=TextNode(text="One. Sentence three"))
        optimizer.postprocess_nodes([node], query_bundle=QueryBundle("query"))
    assert (model.asked.queries, model.asked.batches) == (["query"], [["One", "Sentence three"]])
    assert guarded._get_query_embedding("query")[1] == 0.5
    assert asyncio.run(guarded._aget_text_embeddings(["One"]))[0][1] == 0.25
    assert len(model.asked.batches) == 1


# -- events, and who counts


def test_one_embedding_event_for_each_call_of_the_provider(face, guarded, heard, spans):
    debug = LlamaDebugHandler(print_trace_on_end=False)
    Settings.callback_manager = CallbackManager([debug])
    Settings.embed_model = guarded
    Settings.embed_model.embed_batch_size = 2
    for _ in range(3):
        face(guarded, "get_text_embedding_batch", ["a", "bb", "ccc"])
    face(guarded, "get_query_embedding", "a")
    face(guarded, "get_query_embedding", "a")
    assert len(debug.get_event_pairs(CBEventType.EMBEDDING)) == 3
    assert (len(heard(EmbeddingStartEvent)), len(heard(EmbeddingEndEvent))) == (3, 3)
    hits = heard(CacheHitEvent)
    assert [(hit.name, hit.kind) for hit in hits] == [("embed:lengths", "embedding")] * 3
    public = [span for span in spans if "._" not in span and "agg" not in span]
    assert [span.replace(".a", ".") for span in public if "run_jobs" not in span] == [
        "Lengths.get_text_embedding_batch",
        "Lengths.get_text_embedding",
        "Lengths.get_query_embedding",
    ]


def test_the_models_own_rate_limiter_is_asked_for_misses_alone(face, guarded):
    guarded.rate_limiter = turns = Turns()
    guarded.embed_batch_size = 2
    for _ in range(2):
        face(guarded, "get_text_embedding_batch", ["a", "bb", "ccc", "a"])
        face(guarded, "get_text_embedding", "a")
        face(guarded, "get_query_embedding", "a")
    assert turns.taken == 3


def test_the_policys_limit_counts_batches_that_are_sent(face, model, ops):
    policy = Policy(rate_limit=RateLimit("2/h", wait=0))
    guarded = guard_embedding(model, policy, ops=ops)
    guarded.embed_batch_size = 2
    for _ in range(3):
        face(guarded, "get_text_embedding_batch", ["a", "bb", "ccc", "a"])
    with pytest.raises(RateLimited):
        face(guarded, "get_text_embedding", "dddd")
    assert sorted(model.asked.batches) == [["a", "bb"], ["ccc"]]


def test_texts_and_batches_are_counted_apart(model, ops):
    guarded = guard_embedding(model, ops=ops, price=0.5, tags=["shop"])
    guarded.get_text_embedding_batch(["a", "bb", "a"])
    guarded.get_text_embedding_batch(["a", "bb", "ccc"])
    texts, batches = ops.stats()["embed:lengths"], ops.stats()["embed:lengths (batches)"]
    assert (texts.misses, texts.hits, texts.saved_price) == (3, 2, 1.0)
    assert batches.calls == 2
    ops.invalidate(["shop"])
    guarded.get_text_embedding("a")
    assert model.asked.batches[-1] == ["a"]


def test_a_text_takes_its_share_of_the_time_of_its_batch(face):
    clock, events = FakeClock(), []

    class Slow(Lengths):
        def _embedded(self, texts, role):
            clock.advance(1.0)
            return super()._embedded(texts, role)

    with ToolOps("slow", clock=clock, sinks=[events.append]) as ops:
        guarded = guard_embedding(Slow(model_name="slow"), ops=ops)
        for texts in (["a", "bb", "ccc", "dddd"], ["eeeee"], ["a", "bb", "ccc", "dddd", "eeeee"]):
            face(guarded, "get_text_embedding_batch", texts)
        hits = [event.saved_latency for event in events if event.outcome == "hit"]
        assert hits == [0.25] * 4 + [1.0]
        assert ops.stats()["embed:slow"].saved_seconds == 2.0  # what the two batches took


def test_no_handler_counts_what_the_runtime_counts(face, guarded, ops):
    handler = ToolOpsCallbackHandler(ops)
    Settings.callback_manager = CallbackManager([handler])
    Settings.embed_model = guarded
    install(ops)
    try:
        for _ in range(2):
            face(Settings.embed_model, "get_text_embedding_batch", ["a", "bb"])
            face(guarded, "get_text_embedding", "ccc")
            face(guarded, "get_query_embedding", "a")
        names = {row.name for row in ops.stats()}
        assert names == {"embed:lengths", "embed:lengths (batches)"}
        assert MockEmbedding(embed_dim=1).get_text_embedding("a")
        assert len({row.name for row in ops.stats()}) == 3
    finally:
        uninstall()


# -- callers at the same time


def test_overlapping_callers_of_threads_and_loops_embed_no_text_twice(guarded, model, loops):
    asked = model.asked
    asked.gate = Latch()
    first = start(guarded.get_text_embedding_batch, ["a", "bb"])
    asked.started.wait()
    second = loops().start(guarded.aget_text_embedding_batch(["bb", "ccc"]))
    wait_for(lambda: len(asked.batches) == 2, "the second batch")
    third = start(guarded.get_text_embedding, "ccc")
    asked.gate.open()
    assert [vector[0] for vector in first.result()] == [1, 2]
    assert [vector[0] for vector in second.result()] == [2, 3]
    assert third.result()[0] == 3
    assert asked.batches == [["a", "bb"], ["ccc"]]


async def test_fifty_tasks_embed_each_text_once(guarded, model):
    model.asked.gate = Latch()
    texts = ["x" * n for n in range(1, 11)]
    tasks = [
        asyncio.ensure_future(guarded.aget_text_embedding_batch(texts[n % 5 :])) for n in range(50)
    ]
    await model.asked.started.opened()
    model.asked.gate.open()
    for n, vectors in enumerate(await asyncio.gather(*tasks)):
        assert [vector[0] for vector in vectors] == [len(text) for text in texts[n % 5 :]]
    assert sorted((t for batch in model.asked.batches for t in batch), key=len) == texts


async def test_one_caller_that_is_cancelled_leaves_others_unharmed(guarded, model):
    model.asked.gate = Latch()
    leader = asyncio.ensure_future(guarded.aget_text_embedding("a"))
    await model.asked.started.opened()
    follower = asyncio.ensure_future(guarded.aget_text_embedding("a"))
    for _ in range(20):
        await asyncio.sleep(0)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    model.asked.gate.open()
    assert (await follower)[0] == 1.0
    assert model.asked.batches == [["a"]]


# -- policies


def test_a_batch_is_tried_again_alone(face, model, ops):
    guarded = guard_embedding(model, Policy(retry=Retry(attempts=2, wait=0)), ops=ops)
    guarded.embed_batch_size = 1
    model.asked.errors = [OSError("reset")]
    found = face(guarded, "get_text_embedding_batch", ["a", "bb"])
    assert [vector[0] for vector in found] == [1, 2]
    assert sorted(model.asked.batches) == [["a"], ["a"], ["bb"]]


def test_errors_reach_the_caller_and_are_not_kept(face, guarded, model):
    model.asked.errors = [ValueError("too long")]
    with pytest.raises(ValueError, match="too long"):
        face(guarded, "get_text_embedding", "a")
    assert face(guarded, "get_text_embedding", "a")[0] == 1.0


def test_vectors_live_as_long_as_the_policy_says(model):
    clock = FakeClock()
    ops = ToolOps("life", clock=clock)
    guarded = guard_embedding(model, Policy(cache=Cache(ttl=10, jitter=0.0)), ops=ops)
    for wait in (0, 9, 2):
        clock.advance(wait)
        guarded.get_query_embedding("a")
    assert model.asked.queries == ["a", "a"]


def test_without_a_cache_nothing_is_kept(face, model, ops):
    guarded = guard_embedding(model, ops=ops, cache=None)
    for _ in range(2):
        assert len(face(guarded, "get_text_embedding_batch", ["a", "a"])) == 2
    assert model.asked.batches == [["a"], ["a"]]


def test_what_has_no_place_is_refused(model, ops, guarded):
    for parts in ({"semantic": Semantic(on="text")}, {"fallback": []}):
        with pytest.raises(ConfigurationError, match="no place"):
            guard_embedding(model, ops=ops, **parts)
    with pytest.raises(ConfigurationError, match="already"):
        guard_embedding(guarded, ops=ops)
    with pytest.raises(ConfigurationError, match="BaseEmbedding"):
        guard_embedding("text-embedding-3-small", ops=ops)
    with pytest.raises(ConfigurationError, match="make one of the class"):
        guard_embedding(OpenAIEmbedding, ops=ops)
    with pytest.raises(ConfigurationError, match="embeddings_cache"):
        guard_embedding(Lengths(embeddings_cache=SimpleKVStore()), ops=ops)
    with pytest.raises(ConfigurationError, match="embeddings_cache"):
        guarded.embeddings_cache = SimpleKVStore()
    guarded.embeddings_cache = None


# -- what tells models apart


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"model_name": "other"}, False),
        ({"scale": 2.0}, False),
        ({"text_instruction": "passage: "}, False),
        ({"query_instruction": "query: "}, False),
        ({"embed_batch_size": 3, "num_workers": 2}, True),
        ({"rate_limiter": Turns()}, True),
    ],
)
def test_models_share_vectors_only_if_they_answer_alike(ops, change, same):
    asked = 0
    for fields in ({}, change):
        model = Lengths(**{"model_name": "lengths", **fields})
        guard_embedding(model, ops=ops).get_text_embedding("a")
        asked += len(model.asked.batches)
    assert asked == (1 if same else 2)


def test_models_without_a_name_are_told_by_what_they_hold(ops):
    models = [Lengths(), Lengths(model_name="")]
    for model in (*models, *models):
        guard_embedding(model, ops=ops).get_query_embedding("x")
    assert [model.asked.queries for model in models] == [["x"], ["x"]]
    for _ in range(2):
        assert guard_embedding(MockEmbedding(embed_dim=2), ops=ops).get_query_embedding("x")
    assert ops.stats()["embed:MockEmbedding"].hits == 1


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("made", [int, float, lambda n: {"scale": n}], ids=["int", "float", "dict"])
def test_what_a_model_keeps_in_private_counts(ops, named, made):
    class Private(Lengths):
        _how: Any = PrivateAttr(default=None)

    def embedded(model: Any) -> int:
        guarded = guard_embedding(model, ops=ops)
        guarded.get_query_embedding("x")
        return len(model.asked.queries)

    asked = Asked()
    found = []
    for number in (1, 2, 1):
        model = Private(model_name="m" if named else "unknown")
        model._how, model._asked = made(number), asked
        found.append(embedded(model))
    assert found == [1, 2, 2]


def test_a_setting_that_is_not_dumped_counts(ops):
    class Hidden(Lengths):
        layers: int = Field(exclude=True)

    models = [Hidden(model_name="m", layers=n) for n in (1, 2, 1)]
    for model in models:
        guard_embedding(model, ops=ops).get_query_embedding("x")
    assert [model.asked.queries for model in models] == [["x"], ["x"], []]


def test_a_guarded_model_that_nobody_has_any_more_is_gone(ops):
    guarded = guard_embedding(Lengths(), ops=ops)
    guarded.get_query_embedding("x")
    kind = weakref.ref(type(guarded))
    del guarded
    gc.collect()
    assert kind() is None


def test_a_model_without_a_name_that_is_set_back_is_itself_again(ops):
    model = Lengths()
    guarded = guard_embedding(model, ops=ops)
    for scale in (1.0, 2.0, 1.0):
        guarded.scale = scale
        guarded.get_query_embedding("x")
    assert model.asked.queries == ["x", "x"]


def test_a_name_tells_models_apart(ops):
    models = [Lengths() for _ in range(3)]
    for name, model in zip(("a", "b", "a"), models, strict=True):
        guard_embedding(model, ops=ops, name=name).get_query_embedding("x")
    assert [model.asked.queries for model in models] == [["x"], ["x"], []]
    assert ops.stats()["embed:a"].hits == 1


def test_a_model_that_nothing_tells_from_others_needs_a_name(ops):
    class Odd(Lengths):
        prefix: Any = None

    odd = Odd(prefix=iter([]))  # of which there are no weak references
    with pytest.raises(ConfigurationError, match="name"):
        guard_embedding(odd, ops=ops)
    assert guard_embedding(odd, ops=ops, name="odd").get_query_embedding("x")


def test_two_classes_of_one_name_share_nothing(ops):
    def make(number):
        class Fixed(MockEmbedding):
            def _get_vector(self):
                return [number]

        return Fixed(embed_dim=1)

    found = [guard_embedding(make(n), ops=ops).get_text_embedding("a") for n in (1.0, 2.0)]
    assert found == [[1.0], [2.0]]


# -- OpenAI's


@pytest.fixture
def openai(openai_server, llm):  # for its certificate
    def make(**options: Any) -> OpenAIEmbedding:
        given = {"model": "text-embedding-3-small", "api_key": "sk-test", "max_retries": 0}
        return OpenAIEmbedding(api_base=openai_server.url, **{**given, **options})

    return make


def test_openai_is_asked_once(face, openai, ops, openai_server):
    model = openai(embed_batch_size=2)
    guarded = guard_embedding(model, ops=ops)
    found = face(guarded, "get_text_embedding_batch", ["a", "b", "a", "c"])
    assert found == model.get_text_embedding_batch(["a", "b", "a", "c"])
    face(guarded, "get_text_embedding_batch", ["b", "d", "a"])
    for _ in range(2):
        face(guarded, "get_query_embedding", "a")
    inputs = [request["input"] for request in openai_server.requests]
    assert sorted(inputs[:2]) == [["a", "b"], ["c"]]
    assert inputs[2:] == [["a", "b"], ["a", "c"], ["d"], ["a"]]


def test_two_loops_in_a_row_work(openai, ops, openai_server):
    guarded = guard_embedding(openai(reuse_client=False), ops=ops)
    for text in ("a", "b"):
        assert asyncio.run(guarded.aget_text_embedding(text))
    assert len(openai_server.requests) == 2


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"model": "text-embedding-3-large"}, False),
        ({"dimensions": 8}, False),
        ({"additional_kwargs": {"user": "x"}}, False),
        ({"default_headers": {"x-route": "eu"}}, False),
        ({"api_key": "sk-other"}, True),
        ({"default_headers": {"Authorization": "other"}}, False),  # other headers than none
        ({"timeout": 3.0, "reuse_client": False}, True),
    ],
)
def test_openais_models_share_only_if_they_answer_alike(openai, ops, openai_server, change, same):
    for options in ({}, change):
        guard_embedding(openai(**options), ops=ops).get_query_embedding("a")
    assert len(openai_server.requests) == (1 if same else 2)


def test_which_model_openai_really_calls_is_known(openai, ops, openai_server):
    # The mode is kept in private attributes alone.
    for mode in ("similarity", "text_search"):
        model = openai(model="davinci", mode=mode)
        guard_embedding(model, ops=ops).get_query_embedding("a")
    asked = [request["model"] for request in openai_server.requests]
    assert asked == ["text-similarity-davinci-001", "text-search-davinci-query-001"]


def test_retries_that_multiply_are_warned_of(openai, ops):
    with pytest.warns(UserWarning, match="max_retries=2"):
        guard_embedding(openai(max_retries=2), Policy(retry=Retry()), ops=ops)
    guard_embedding(openai(max_retries=0), Policy(retry=Retry()), ops=ops)
    guard_embedding(openai(max_retries=2), ops=ops)


# -- images


class Pixels(MockMultiModalEmbedding):
    _seen: list[bytes] = PrivateAttr(default_factory=list)
    _errors: list[Exception] = PrivateAttr(default_factory=list)

    def _get_image_embedding(self, img_file_path):
        if isinstance(img_file_path, BytesIO):
            content = img_file_path.read()
        elif img_file_path.startswith("http"):
            content = img_file_path.encode()
        else:
            content = Path(img_file_path).read_bytes()
        self._seen.append(content)
        if self._errors:
            raise self._errors.pop(0)
        return [float(len(content))]

    async def _aget_image_embedding(self, img_file_path):
        return await asyncio.to_thread(self._get_image_embedding, img_file_path)


@pytest.fixture
def pixels():
    return Pixels(embed_dim=1, model_name="pixels")


def test_images_are_known_by_their_bytes(face, pixels, ops, tmp_path):
    guarded = guard_embedding(pixels, ops=ops)
    paths = [str(tmp_path / name) for name in ("one.png", "two.png")]
    for path in paths:
        (tmp_path / path).write_bytes(b"same")
    batch = "get_image_embedding_batch"
    assert face(guarded, batch, [*paths, BytesIO(b"same"), BytesIO(b"other")]) == [
        [4.0], [4.0], [4.0], [5.0]
    ]  # fmt: skip
    assert face(guarded, "get_image_embedding", paths[1]) == [4.0]
    assert face(guarded, batch, []) == []
    assert sorted(pixels._seen) == [b"other", b"same"]
    (tmp_path / "two.png").write_bytes(b"changed")
    assert face(guarded, "get_image_embedding", paths[1]) == [7.0]
    assert guarded.get_text_embedding("same") == [0.5]


def test_an_address_goes_past_the_cache_with_a_notice(face, pixels, ops):
    notices = []

    class Sink:
        def on_call(self, event): ...

        def on_notice(self, notice):
            notices.append((notice.kind, notice.detail))

    ops.add_sink(Sink())
    guarded = guard_embedding(pixels, ops=ops)
    images = ["http://host/a.png", BytesIO(b"b"), "http://host/a.png"]
    for _ in range(2):
        assert face(guarded, "get_image_embedding_batch", images) == [[17.0], [1.0], [17.0]]
    assert pixels._seen.count(b"http://host/a.png") == 4
    assert pixels._seen.count(b"b") == 1
    assert notices == [("bypass", "image_unknown")]


def test_another_attempt_finds_the_whole_image(face, pixels, ops):
    guarded = guard_embedding(pixels, Policy(retry=Retry(attempts=2, wait=0)), ops=ops)
    pixels._errors.append(OSError("reset"))
    assert face(guarded, "get_image_embedding", BytesIO(b"four")) == [4.0]
    assert pixels._seen == [b"four", b"four"]
