"""ToolOpsKVStore: LlamaIndex's caches on our tiers, with model and role in the key."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import uuid
from pathlib import Path
from typing import Any

import pytest
from broken_stages import TROUBLES, Broken
from llama_index.core import Document
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.schema import TextNode, TransformComponent
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.openai import OpenAIEmbedding
from pydantic import PrivateAttr

from llama_index.callbacks.toolops.kvstore import ToolOpsKVStore
from toolops_plugins import (
    Cache,
    ConfigurationError,
    Memory,
    Policy,
    Redis,
    Retry,
    ToolOps,
)
from toolops_plugins.testing import FakeClock

PATIENT = {"socket_timeout": 10, "connect_timeout": 10}


class Known(BaseEmbedding):
    """Embeds every text as the number of its model and its role."""

    number: float = 1.0
    _asked: list[str] = PrivateAttr(default_factory=list)

    def _embedded(self, role: float, text: str) -> list[float]:
        self._asked.append(text)
        return [self.number, role]

    def _get_query_embedding(self, query):
        return self._embedded(0.5, query)

    async def _aget_query_embedding(self, query):
        return self._embedded(0.5, query)

    def _get_text_embedding(self, text):
        return self._embedded(0.25, text)

    async def _aget_text_embedding(self, text):
        return self._embedded(0.25, text)


@pytest.fixture
def ops():
    return ToolOps("kv")


@pytest.fixture
def store(ops):
    return ToolOpsKVStore(ops)


@pytest.fixture
def notices(ops):
    found = []

    class Sink:
        def on_call(self, event): ...

        def on_notice(self, notice):
            found.append((notice.kind, notice.detail))

    ops.add_sink(Sink())
    return found


@pytest.fixture(params=["sync", "async"])
def face(request):
    """Calls a method by either twin."""

    def call(thing: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if request.param == "sync":
            return getattr(thing, method)(*args, **kwargs)

        async def run() -> Any:  # so that the method is called on a loop, as coroutines are
            return await getattr(thing, f"a{method}")(*args, **kwargs)

        return asyncio.run(run())

    return call


# -- vectors


def test_the_stock_store_gives_one_models_vector_to_another():
    # What all this is for; it fails once LlamaIndex has mended it.
    stock = SimpleKVStore()
    one, two = (Known(number=n, embeddings_cache=stock) for n in (1.0, 2.0))
    one.get_text_embedding("a")
    assert two.get_query_embedding("a") == [1.0, 0.25]


def test_two_models_on_one_store_share_nothing(face, store):
    models = [Known(number=n, embeddings_cache=store) for n in (1.0, 2.0)]
    for _ in range(2):
        for model in models:
            assert face(model, "get_text_embedding", "a") == [model.number, 0.25]
            assert face(model, "get_query_embedding", "a") == [model.number, 0.5]
    assert [model._asked for model in models] == [["a", "a"]] * 2


def test_two_names_of_one_class_share_nothing_and_one_name_does(face, store):
    models = [Known(model_name=name, embeddings_cache=store) for name in ("a", "b", "a")]
    for model in models:
        face(model, "get_text_embedding", "x")
    assert [len(model._asked) for model in models] == [1, 1, 0]


def test_every_way_to_a_text_is_one_and_none_is_a_querys(face, store):
    model = Known(embeddings_cache=store)
    batch = "get_text_embedding_batch"
    for _ in range(2):
        assert face(model, batch, ["a", "b"]) == [[1.0, 0.25]] * 2
        assert face(model, "get_text_embedding", "b") == [1.0, 0.25]
        assert face(model, batch, ["b"], show_progress=True) == [[1.0, 0.25]]
        model.num_workers = 2
        model.embed_batch_size = 1
        assert face(model, batch, ["a", "b", "c"]) == [[1.0, 0.25]] * 3
        assert face(model, "get_query_embedding", "b") == [1.0, 0.5]
    assert sorted(model._asked) == ["a", "b", "b", "c"]


def test_the_twins_share_what_is_kept(store):
    model = Known(embeddings_cache=store)
    model.get_text_embedding("a")
    model.get_query_embedding("a")
    assert asyncio.run(model.aget_text_embedding_batch(["a"])) == [[1.0, 0.25]]
    assert asyncio.run(model.aget_query_embedding("a")) == [1.0, 0.5]
    assert model._asked == ["a", "a"]


def test_a_model_that_was_changed_or_copied_is_another(store):
    model = Known(embeddings_cache=store)
    model.get_text_embedding("a")
    other = model.model_copy(update={"number": 2.0})
    assert other.get_text_embedding("a") == [2.0, 0.25]
    model.number = 3.0
    assert model.get_text_embedding("a") == [3.0, 0.25]
    assert copy.deepcopy(model).embeddings_cache is store


@pytest.mark.parametrize(
    "odd", [[float("nan"), 0.5], [float("inf"), 0.5], [0.0, 0.0], [1.0], [1.0, 2.0, 3.0], []]
)
def test_what_is_no_vector_is_not_kept(face, store, notices, odd):
    class Odd(Known):
        _odd: Any = PrivateAttr(default=None)

        def _embedded(self, role, text):
            found = super()._embedded(role, text)
            return self._odd if text == "b" and self._odd is not None else found

    model = Odd(embeddings_cache=store)
    model._odd = odd
    for _ in range(2):
        assert face(model, "get_text_embedding", "a") == [1.0, 0.25]
        assert repr(face(model, "get_text_embedding", "b")) == repr(odd)
    model._odd = None
    for _ in range(2):
        batch = face(model, "get_text_embedding_batch", ["a", "b"])
        assert batch == [[1.0, 0.25]] * 2
    assert model._asked == ["a", "b", "b", "b"]
    assert notices == [("bypass", "vector_unsound")]


def test_what_a_subclass_makes_of_its_methods_is_still_told(store):
    class Own(Known):
        def get_query_embedding(self, query):
            return super().get_query_embedding("query: " + query)

    model = Own(embeddings_cache=store)
    for _ in range(2):
        assert model.get_query_embedding("a") == [1.0, 0.5]
        assert model.get_text_embedding("query: a") == [1.0, 0.25]
    assert model._asked == ["query: a"] * 2


def test_who_asks_for_vectors_without_being_a_model_is_told_nothing(face, store, notices):
    Known(embeddings_cache=store).get_text_embedding("a")
    face(store, "put", "a", {"x": [9.0]}, collection="embeddings")
    assert face(store, "get", "a", collection="embeddings") is None
    assert face(store, "delete", "a", collection="embeddings") is False

    class Wrapper(SimpleKVStore):
        def get(self, key, collection="data"):
            return store.get(key, collection)

        def put(self, key, val, collection="data"):
            store.put(key, val, collection)

    wrapped = Wrapper()
    models = [Known(number=n, embeddings_cache=wrapped) for n in (1.0, 2.0)]
    assert [model.get_text_embedding("a")[0] for model in models] == [1.0, 2.0]
    assert notices == [("bypass", "model_unknown")]


def test_a_model_that_does_not_say_for_which_role_it_asks_is_told_nothing(store, notices):
    class Helped(Known):
        def get_query_embedding(self, query):
            return self._kept(query, 0.5)

        def get_text_embedding(self, text):
            return self._kept(text, 0.25)

        def _kept(self, text, role):
            found = self.embeddings_cache.get(text, collection="embeddings")
            if found is None:
                found = {"x": [role]}
                self.embeddings_cache.put(text, found, collection="embeddings")
            return found["x"]

    model = Helped(embeddings_cache=store)
    assert (model.get_text_embedding("a"), model.get_query_embedding("a")) == ([0.25], [0.5])
    assert notices == [("bypass", "model_unknown")]


@pytest.mark.usefixtures("llm")  # for its certificate
def test_openais_models_share_a_store(openai_server, store):
    given = {"api_key": "k", "max_retries": 0, "api_base": openai_server.url}
    names = ["text-embedding-3-small", "text-embedding-3-large"]
    for _ in range(2):
        for name in names:
            model = OpenAIEmbedding(model=name, embeddings_cache=store, **given)
            model.get_text_embedding_batch(["a", "b"])
            asyncio.run(model.aget_query_embedding("a"))
    asked = [(request["model"], request["input"]) for request in openai_server.requests]
    assert asked == [(name, texts) for name in names for texts in (["a", "b"], ["a"])]


def test_vectors_come_back_exactly_from_redis(valkey, namespace):
    class Exact(Known):
        model_name: str = "exact"

        def _embedded(self, role, text):
            self._asked.append(text)
            return [0.1, 1 / 3, 1e-300, -0.0]

    asked = []
    for _ in range(2):
        with ToolOps(namespace, [Redis(valkey.url, **PATIENT)]) as ops:
            model = Exact(embeddings_cache=ToolOpsKVStore(ops))
            assert model.get_text_embedding("a") == [0.1, 1 / 3, 1e-300, -0.0]
            asked += model._asked
    assert asked == ["a"]


# -- ingestion


class Shout(TransformComponent):
    _runs: list[int] = PrivateAttr(default_factory=list)

    def __call__(self, nodes, **kwargs):
        self._runs.append(len(nodes))
        return [TextNode(text=node.text.upper(), embedding=[0.1]) for node in nodes]


def test_an_ingestion_cache_keeps_what_steps_have_made(store):
    step = Shout()
    pipeline = IngestionPipeline(transformations=[step], cache=IngestionCache(cache=store))
    documents = [Document(text="one")]
    first = pipeline.run(documents=documents)
    for again in (
        pipeline.run(documents=documents),
        asyncio.run(pipeline.arun(documents=documents)),
    ):
        assert again == first
        assert (type(again[0]), again[0].embedding) == (TextNode, [0.1])
    store.clear("llama_cache")
    assert pipeline.run(documents=documents)[0].text == "ONE"
    assert step._runs == [1, 1]


def test_a_step_hashes_alike_whatever_holds_its_vectors(ops):
    model, again = (Known(embeddings_cache=ToolOpsKVStore(ops)) for _ in range(2))
    assert str(model.to_dict()) == str(again.to_dict())


# -- keys and values


def test_what_is_put_is_got_as_a_copy(face, store):
    value = {"a": [1, 2.5, None, {"b": "c"}]}
    face(store, "put", "k", value)
    for _ in range(2):
        found = face(store, "get", "k")
        assert found == value
        found["a"].clear()
    assert face(store, "get", "other") is None


def test_collections_are_apart(face, store):
    face(store, "put", "k", {"n": 1})
    face(store, "put", "k", {"n": 2}, collection="c")
    assert face(store, "get", "k") == {"n": 1}
    assert face(store, "get", "k", collection="c") == {"n": 2}
    face(store, "clear", "c")
    assert face(store, "get", "k") == {"n": 1}
    assert face(store, "get", "k", collection="c") is None
    face(store, "clear")
    assert face(store, "get", "k") is None


def test_a_later_value_takes_the_place_of_an_earlier_one(face, store):
    for n in (1, 2):
        face(store, "put", "k", {"n": n})
        assert face(store, "get", "k") == {"n": n}


def test_many_are_put_at_once(face, store):
    face(store, "put_all", [(str(n), {"n": n}) for n in range(50)], batch_size=7)
    assert [face(store, "get", str(n)) for n in (0, 49)] == [{"n": 0}, {"n": 49}]


def test_what_is_deleted_is_gone_and_can_be_put_again(face, store):
    assert face(store, "delete", "k") is False
    face(store, "put", "k", {"n": 1})
    assert face(store, "delete", "k") is True
    assert face(store, "get", "k") is None
    assert face(store, "delete", "k") is False
    face(store, "put", "k", {"n": 2})
    assert face(store, "get", "k") == {"n": 2}


def test_copies_and_pickles_are_the_same_store(store):
    assert copy.copy(store) is copy.deepcopy(store) is store
    store.put("k", {"n": 1})
    again = pickle.loads(pickle.dumps(store))
    assert again.get("k") == {"n": 1}
    assert repr(again) == repr(store)


def test_a_pickle_holds_policy_and_name():
    policy = Policy(cache=Cache(ttl=5), tags=["mine"])
    store = ToolOpsKVStore(ToolOps("kv-pickled"), policy=policy, name="named")
    again = pickle.loads(pickle.dumps(store))
    again.put("k", {"n": 1})
    assert store.get("k") == {"n": 1}
    store.clear()
    assert again.get("k") is None


def test_a_store_with_a_secret_says_what_to_do():
    with pytest.raises(TypeError, match=r"it has a secret; keep the runtime in a module"):
        pickle.dumps(ToolOpsKVStore(ToolOps(secret="hunter2")))


class Noting(TransformComponent):
    """Leaves a file behind for each node that it is run on."""

    folder: str

    def __call__(self, nodes, **kwargs):
        for node in nodes:
            with (Path(self.folder) / uuid.uuid4().hex).open("w") as file:
                file.write(f"{os.getpid()} {node.text}")
        return nodes


@pytest.mark.allow_blocking("LlamaIndex starts its worker processes on the event loop")
async def test_a_pipeline_with_two_workers_shares_the_store(
    valkey, namespace, tmp_path, monkeypatch
):
    monkeypatch.setattr("multiprocessing.cpu_count", lambda: 2)
    ops = ToolOps(namespace, [Memory(), Redis(valkey.url, **PATIENT)])
    store = ToolOpsKVStore(ops)
    # Each is embedded by the same model, whose vectors are kept in the same store.
    pipeline = IngestionPipeline(
        transformations=[Noting(folder=str(tmp_path)), Known(embeddings_cache=store)],
        cache=IngestionCache(cache=store, collection="pipeline"),
    )
    documents = [Document(text=f"text {n}", id_=str(n)) for n in range(4)]

    async def run(documents, workers=None):
        return await pipeline.arun(documents=documents, num_workers=workers)

    def noted():
        return [path.read_text().split(" ", 1) for path in tmp_path.iterdir()]

    parts = [await run(documents, 2)]
    # LlamaIndex looks up what a worker has got as one.
    parts.append([*await run(documents[:2]), *await run(documents[2:])])
    for nodes in parts:
        assert sorted(node.text for node in nodes) == [f"text {n}" for n in range(4)]
        assert all(node.embedding == [1.0, 0.25] for node in nodes)
    found = noted()
    assert sorted(text for _, text in found) == [f"text {n}" for n in range(4)]  # each once
    assert str(os.getpid()) not in {pid for pid, _ in found}
    model = Known(embeddings_cache=store)
    assert model.get_text_embedding("text 1") == [1.0, 0.25]
    assert model._asked == []
    await ops.aclose()


def test_a_cache_cannot_list_what_it_holds(face, store):
    with pytest.raises(NotImplementedError, match="clear"):
        face(store, "get_all")
    with pytest.raises(NotImplementedError, match=r"llama_cache.* ToolOpsKVStore.clear\(\)"):
        IngestionCache(cache=store).clear()


def test_entries_live_as_long_as_the_policy_says():
    clock = FakeClock()
    ops = ToolOps("life", clock=clock)
    store = ToolOpsKVStore(ops, policy=Policy(cache=Cache(ttl=10, jitter=0.0), tags=["shop"]))
    store.put("k", {"n": 1})
    clock.advance(9)
    assert store.get("k") == {"n": 1}
    clock.advance(2)
    assert store.get("k") is None
    store.put("k", {"n": 1})
    ops.invalidate(["shop"])
    assert store.get("k") is None


def test_tags_may_be_made_of_the_key(ops):
    policy = Policy(tags=lambda collection, key, model, role: [f"key:{key}"])
    store = ToolOpsKVStore(ops, policy=policy, name="{odd}")
    for key in ("a", "b"):
        store.put(key, {"n": 1})
    ops.invalidate(["key:a"])
    assert (store.get("a"), store.get("b")) == (None, {"n": 1})
    store.clear("data")
    assert store.get("b") is None


def test_stores_of_one_name_are_one(ops):
    ToolOpsKVStore(ops).put("k", {"n": 1})
    assert ToolOpsKVStore(ops).get("k") == {"n": 1}
    assert ToolOpsKVStore(ops, name="other").get("k") is None


def test_what_has_no_exact_form_is_not_kept(store, notices):
    store.put("k", {"n": object()})
    assert store.get("k") is None
    assert [kind for kind, _ in notices] == ["not_encodable"]


def test_what_has_no_place_is_refused(ops):
    with pytest.raises(ConfigurationError, match="retry"):
        ToolOpsKVStore(ops, policy=Policy(retry=Retry()))
    with pytest.raises(ConfigurationError, match="policy"):
        ToolOpsKVStore(ops, policy=Cache())


def test_trouble_with_a_tier_is_no_error(face, caplog):
    store = ToolOpsKVStore(ToolOps("down", [Redis("redis://127.0.0.1:1/0")]))
    face(store, "put", "k", {"n": 1})
    assert face(store, "get", "k") is None
    assert face(store, "delete", "k") is False
    face(store, "clear")
    assert "could not forget" in caplog.text


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_tier_that_raises_is_a_miss_and_no_error(trouble, local):
    store = ToolOpsKVStore(ToolOps(tiers=[Broken(trouble, local=local, forgets=True)]))
    store.put("k", {"n": 1})
    await store.aput("k", {"n": 1})
    store.put_all([("k", {"n": 1})])
    await store.aput_all([("k", {"n": 1})])
    assert store.get("k") is await store.aget("k") is None
    assert store.delete("k") is await store.adelete("k") is False
    for collection in (None, "data"):
        store.clear(collection)
        await store.aclear(collection)
