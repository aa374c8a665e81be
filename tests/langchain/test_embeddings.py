"""ToolOpsEmbeddings: texts embedded once, whoever asks, from threads and loops."""

from __future__ import annotations

import asyncio
import pickle
import struct
import threading
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
import tiktoken
from callers import LONG, Latch, Loop, in_child, new_loops, start
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_openai import OpenAIEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from pydantic import BaseModel, PrivateAttr, SecretStr
from servers import wait_for

from langchain_toolops.embeddings import ToolOpsEmbeddings
from toolops_plugins import (
    AttemptTimeout,
    Cache,
    CircuitBreaker,
    CircuitOpen,
    ConfigurationError,
    Memory,
    Policy,
    RateLimit,
    RateLimited,
    Redis,
    Retry,
    Semantic,
    Timeout,
    ToolOps,
)
from toolops_plugins.testing import FakeClock

PATIENT = {"socket_timeout": 10, "connect_timeout": 10}


class Lengths(Embeddings):
    """Embeds a text as its length and its role, and can be held."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.queries: list[str] = []
        self.started = Latch()
        self.gate: Latch | None = None
        self.errors: list[Exception] = []

    @property
    def texts(self) -> list[str]:
        return [text for batch in self.batches for text in batch]

    def _note(self, texts: list[str]) -> list[list[float]]:
        self.batches.append(list(texts))
        self.started.open()
        return [[len(text) + 0.1, -1 / 3] for text in texts]

    def embed_documents(self, texts):
        vectors = self._note(texts)
        if self.gate is not None:
            self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        return vectors

    def embed_query(self, text):
        self.queries.append(text)
        return [len(text) + 0.2]

    async def aembed_documents(self, texts):
        vectors = self._note(texts)
        if self.gate is not None:
            await self.gate.opened()
        if self.errors:
            raise self.errors.pop(0)
        return vectors

    async def aembed_query(self, text):
        return self.embed_query(text)


@pytest.fixture
def ops():
    runtime = ToolOps("embeddings")
    yield runtime
    wait_for(lambda: not runtime._shared.flights, "an empty table of flights")


@pytest.fixture
def inner():
    return Lengths()


@pytest.fixture
def embeddings(inner, ops):
    found = ToolOpsEmbeddings(inner, ops, model="lengths")
    yield found
    assert found._shared._under_way == {}


def boarded(embeddings, text):
    """Return the batch under way that holds a document."""
    shared = embeddings._shared
    return shared._under_way[shared._whose(), "document", text]


@pytest.fixture
def loops():
    yield from new_loops()


@pytest.fixture(params=["sync", "async"])
def embed(request, embeddings) -> Callable[..., Any]:
    """Embeds documents by either twin."""
    if request.param == "sync":
        return embeddings.embed_documents
    return lambda texts: asyncio.run(embeddings.aembed_documents(texts))


# -- LangChain's own suites


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self):
        return ToolOpsEmbeddings

    @property
    def embedding_model_params(self):
        return {
            "embedder": DeterministicFakeEmbedding(size=8),
            "ops": ToolOps("unit"),
            "model": "fake",
        }


class TestIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return ToolOpsEmbeddings

    @property
    def embedding_model_params(self):
        return {
            "embedder": DeterministicFakeEmbedding(size=8),
            "ops": ToolOps("integration"),
            "model": "fake",
        }


# -- what is sent, and what comes back


def test_only_missing_texts_are_sent_in_one_batch_and_order_is_kept(embed, inner):
    assert embed(["a", "bb", "a"]) == [[1.1, -1 / 3], [2.1, -1 / 3], [1.1, -1 / 3]]
    assert inner.batches == [["a", "bb"]]
    assert [vector[0] for vector in embed(["ccc", "bb", "dddd", "a"])] == [3.1, 2.1, 4.1, 1.1]
    assert inner.batches == [["a", "bb"], ["ccc", "dddd"]]
    assert embed(["a"]) == [[1.1, -1 / 3]]
    assert embed([]) == []
    assert len(inner.batches) == 2


def test_vectors_are_the_callers_own_lists_of_floats(embed, inner):
    for _ in range(2):
        first, second = embed(["a", "a"])
        assert type(first) is list
        assert {type(number) for number in first} == {float}
        first.clear()
        assert second == [1.1, -1 / 3]


def test_vectors_of_any_kind_come_back_as_exact_floats(ops):
    class Odd(Embeddings):
        def embed_documents(self, texts):
            return np.array([[0.1, 2.0, -1e-30]] * len(texts), np.float32)

        def embed_query(self, text):
            return [1, 2]

    odd = ToolOpsEmbeddings(Odd(), ops, model="odd")
    for _ in range(2):
        (vector,) = odd.embed_documents(["a"])
        assert vector == [float(np.float32(number)) for number in (0.1, 2.0, -1e-30)]
        query = odd.embed_query("a")
        assert query == [1.0, 2.0]
        assert {type(number) for number in (*vector, *query)} == {float}


def test_queries_and_documents_are_apart(embeddings, inner):
    for _ in range(2):
        assert embeddings.embed_query("a") == [1.2]
        assert embeddings.embed_documents(["a"]) == [[1.1, -1 / 3]]
    assert (inner.queries, inner.batches) == (["a"], [["a"]])


async def test_the_twins_share_what_is_kept(embeddings, inner):
    await embeddings.aembed_documents(["a"])
    await embeddings.aembed_query("a")
    assert await asyncio.to_thread(embeddings.embed_documents, ["a"]) == [[1.1, -1 / 3]]
    assert await asyncio.to_thread(embeddings.embed_query, "a") == [1.2]
    assert (inner.queries, inner.batches) == (["a"], [["a"]])


def test_redis_keeps_them_for_other_processes(valkey, namespace, inner):
    vector = [0.1, 1 / 3, 1e-300, 1.7e308, -0.0]
    inner.embed_query = lambda text: vector
    for _ in range(2):
        with ToolOps(namespace, [Redis(valkey.url, **PATIENT)]) as ops:
            embeddings = ToolOpsEmbeddings(inner, ops, model="lengths")
            assert embeddings.embed_query("a") == vector
            assert [v[0] for v in embeddings.embed_documents(["a", "bb"])] == [1.1, 2.1]
    assert inner.batches == [["a", "bb"]]


async def test_redis_serves_a_loop(valkey, namespace, inner):
    async with ToolOps(namespace, [Memory(), Redis(valkey.url, **PATIENT)]) as ops:
        embeddings = ToolOpsEmbeddings(inner, ops, model="lengths")
        texts = ["x" * n for n in range(1, 101)]
        assert [v[0] for v in await embeddings.aembed_documents(texts)] == [
            n + 0.1 for n in range(1, 101)
        ]
        await embeddings.aembed_documents([*texts, "new"])
        assert inner.batches == [texts, ["new"]]


def test_what_is_found_but_no_vector_is_a_miss(embeddings, inner):
    nan = struct.pack("<2d", 1.0, float("nan"))
    for planted in ("text", b"seven b", None, [1.0], b"", nan):
        embeddings._shared._aside.store(planted, "lengths", "document", "a")
        assert embeddings.embed_documents(["a"]) == [[1.1, -1 / 3]]
    assert len(inner.batches) == 6


@pytest.mark.parametrize("answer", [[], [[1.0], [2.0]]])
def test_an_embedder_that_gives_too_few_or_many_is_an_error(embeddings, inner, answer):
    inner.embed_documents = lambda texts: answer
    with pytest.raises(ValueError, match="for 1 texts"):
        embeddings.embed_documents(["a"])


# -- what tells models apart


def openai(**options):
    given = {"model": "text-embedding-3-small", "api_key": "sk-test", **options}
    return OpenAIEmbeddings(**{"check_embedding_ctx_length": False, **given})


def test_a_real_model_is_asked_once(openai_server, ops):
    embedder = openai(base_url=openai_server.url)
    embeddings = ToolOpsEmbeddings(embedder, ops)
    assert embeddings.embed_documents(["a", "b"]) == embedder.embed_documents(["a", "b"])
    embeddings.embed_documents(["b", "c", "a"])
    assert [request["input"] for request in openai_server.requests] == [
        ["a", "b"],
        ["a", "b"],
        ["c"],
    ]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"model": "text-embedding-3-large"}, False),
        ({"dimensions": 8}, False),
        ({"model_kwargs": {"user": "x"}}, False),
        ({"model_kwargs": {"extra_body": {"tags": ["x"]}}}, False),
        ({"check_embedding_ctx_length": True}, False),
        ({"tiktoken_enabled": False}, False),
        ({"tiktoken_model_name": "text-embedding-ada-002"}, False),
        ({"embedding_ctx_length": 100}, False),
        ({"skip_empty": True}, False),
        ({"allowed_special": {"<|endoftext|>"}}, False),
        ({"disallowed_special": "all"}, False),
        ({"disallowed_special": ["<|endoftext|>"]}, False),
        ({"deployment": "other"}, False),
        ({"openai_api_version": "2024-01-01"}, False),
        ({"default_headers": {"x-route": "eu"}}, False),
        ({"default_query": {"version": "2"}}, False),
        ({"model_kwargs": {"encoding_format": "float"}}, False),
        ({"api_key": "sk-other"}, True),
        ({"chunk_size": 5, "max_retries": 7, "timeout": 3.0}, True),
        ({"retry_min_seconds": 1, "retry_max_seconds": 2, "show_progress_bar": True}, True),
    ],
)
@pytest.mark.parametrize("name", [None, "mine"])
def test_models_share_vectors_only_if_they_answer_alike(openai_server, ops, change, same, name):
    encoding = tiktoken.Encoding(
        "bytes",
        pat_str=".",
        mergeable_ranks={bytes([n]): n for n in range(256)},
        special_tokens={"<|endoftext|>": 256},
    )
    with pytest.MonkeyPatch.context() as patched:
        # The real ones are downloaded.
        patched.setattr(tiktoken, "encoding_for_model", lambda name: encoding)
        patched.setattr(tiktoken, "get_encoding", lambda name: encoding)
        for options in ({}, change, {}, change):
            embedder = openai(base_url=openai_server.url, **options)
            guarded = ToolOpsEmbeddings(embedder, ops, model=name)
            guarded.embed_query("a")
    assert len(openai_server.requests) == (1 if same else 2)


def test_a_client_of_ones_own_is_no_part_of_what_tells_models_apart(openai_server, ops):
    for _ in range(2):
        with httpx.Client() as client:
            embedder = openai(base_url=openai_server.url, http_client=client)
            ToolOpsEmbeddings(embedder, ops).embed_query("a")
    assert len(openai_server.requests) == 1


def test_secrets_in_headers_are_no_part_of_what_tells_models_apart(openai_server, ops):
    for key in ("one", "two"):
        headers = {"Authorization": key, "api-key": key, "x-route": "eu"}
        embedder = openai(base_url=openai_server.url, default_headers=headers)
        ToolOpsEmbeddings(embedder, ops).embed_query("a")
    assert len(openai_server.requests) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "text-embedding-3-large"),
        ("dimensions", 8),
        ("dimensions", 32),
        ("model_kwargs", {"user": "x"}),
        ("skip_empty", True),
        ("embedding_ctx_length", 10_000),
    ],
)
def test_a_setting_of_a_real_client_that_changes_counts(openai_server, ops, name, value):
    embedder = openai(base_url=openai_server.url)
    guarded = ToolOpsEmbeddings(embedder, ops)
    before = getattr(embedder, name)
    for each in (before, value, before, value):
        setattr(embedder, name, each)
        assert guarded.embed_query("a") == embedder.embed_query("a")
    assert len(openai_server.requests) == 2 + 4


def test_a_setting_that_changes_inside_of_a_dict_counts(openai_server, ops):
    embedder = openai(base_url=openai_server.url, model_kwargs={"extra_body": {"tags": ["x"]}})
    guarded = ToolOpsEmbeddings(embedder, ops)
    for _ in range(2):
        guarded.embed_query("a")
    embedder.model_kwargs["extra_body"]["tags"].append("y")
    for _ in range(2):
        guarded.embed_query("a")
    assert len(openai_server.requests) == 2


def test_a_chunk_size_counts_where_nobody_knows_what_it_means(ops, inner):
    class Chunked(BaseModel, Embeddings):
        model: str = "m"
        chunk_size: int

        def embed_documents(self, texts):
            return inner.embed_documents(texts)

        def embed_query(self, text):
            return inner.embed_query(text)

    for size in (100, 200, 100):
        ToolOpsEmbeddings(Chunked(chunk_size=size), ops).embed_query("x")
    assert inner.queries == ["x", "x"]


class Cleaned(BaseModel, Embeddings):
    """Changes texts by a function."""

    model: str = "m"
    clean: Any = None

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        return [float(len(text if self.clean is None else self.clean(text)))]


def test_objects_tell_models_apart(ops):
    half, whole = (lambda text: text[: len(text) // 2]), (lambda text: text)
    found = [
        ToolOpsEmbeddings(Cleaned(clean=clean), ops).embed_query("four")
        for clean in (half, whole, half, whole)
    ]
    assert found == [[2.0], [4.0], [2.0], [4.0]]
    assert ops.stats()["embed:m"].hits == 2


def test_an_object_that_nothing_tells_from_others_needs_a_name(ops):
    odd = Cleaned(clean=None)
    odd.__dict__["clean"] = iter([])  # of which there are no weak references
    with pytest.raises(ConfigurationError, match="its clean cannot be told"):
        ToolOpsEmbeddings(odd, ops)
    assert ToolOpsEmbeddings(odd, ops, model="odd") is not None


@pytest.mark.parametrize(("given", "most"), [(None, 3), (2, 2), (10, 5)])
def test_batches_are_of_the_embedders_size_or_the_given_one(openai_server, ops, given, most):
    embedder = openai(base_url=openai_server.url, chunk_size=3 if given is None else 1000)
    guarded = ToolOpsEmbeddings(embedder, ops, batch_size=given)
    guarded.embed_documents(["a", "b", "c", "d", "e"])
    assert max(len(request["input"]) for request in openai_server.requests) == most
    assert (
        pickle.loads(pickle.dumps(ToolOpsEmbeddings(Cleaned(), ops, batch_size=7)))._batch_size == 7
    )
    with pytest.raises(ConfigurationError, match="batch_size"):
        ToolOpsEmbeddings(embedder, ops, batch_size=0)


def local(number: float) -> Embeddings:
    class Local(BaseModel, Embeddings):
        model: str = "m"

        def embed_query(self, text):
            return [number]

        def embed_documents(self, texts):
            return [[number] for _ in texts]

    return Local()


def private(number: float) -> Embeddings:
    embedder = Private()
    embedder._scale = number
    return embedder


class Private(BaseModel, Embeddings):
    """Keeps in private what it multiplies by."""

    model: str = "m"
    _scale: float = PrivateAttr(default=1.0)

    def embed_query(self, text):
        return [self._scale]

    def embed_documents(self, texts):
        return [[self._scale] for _ in texts]


@pytest.mark.parametrize("make", [local, private])
def test_classes_and_private_numbers_tell_models_apart(ops, make):
    found = [ToolOpsEmbeddings(make(n), ops).embed_query("a") for n in (1.0, 2.0)]
    assert found == [[1.0], [2.0]]


def test_a_model_that_cannot_be_told_needs_a_name(ops, inner):
    for embedder in (inner, DeterministicFakeEmbedding(size=8)):
        with pytest.raises(ConfigurationError, match="model"):
            ToolOpsEmbeddings(embedder, ops)
    ToolOpsEmbeddings(inner, ops, model="a").embed_query("x")
    ToolOpsEmbeddings(inner, ops, model="b").embed_query("x")
    ToolOpsEmbeddings(inner, ops, model="a").embed_query("x")
    assert inner.queries == ["x", "x"]


def test_a_secret_is_no_part_of_what_tells_models_apart(ops, inner):
    class Keyed(BaseModel, Embeddings):
        model: str
        api_key: str

        def embed_documents(self, texts):
            return inner.embed_documents(texts)

        def embed_query(self, text):
            return inner.embed_query(text)

    for key in ("one", "two"):
        ToolOpsEmbeddings(Keyed(model="m", api_key=key), ops).embed_query("x")
    assert inner.queries == ["x"]


def test_a_secret_of_another_name_is_no_part_either(ops, inner):
    class Keyed(BaseModel, Embeddings):
        model: str = "m"
        access_key_id: SecretStr

        def embed_documents(self, texts):
            return inner.embed_documents(texts)

        def embed_query(self, text):
            return inner.embed_query(text)

    for key in ("one", "two"):
        ToolOpsEmbeddings(Keyed(access_key_id=SecretStr(key)), ops).embed_query("x")
    assert inner.queries == ["x"]


def test_what_has_no_place_is_refused(ops, inner):
    for parts in ({"semantic": Semantic(on="text")}, {"fallback": []}):
        with pytest.raises(ConfigurationError, match="no place"):
            ToolOpsEmbeddings(inner, ops, model="a", **parts)
    with pytest.raises(ConfigurationError, match="embedder"):
        ToolOpsEmbeddings("text-embedding-3-small", ops)


# -- callers at the same time


def test_two_overlapping_batches_embed_no_text_twice(embeddings, inner):
    inner.gate = Latch()
    first = start(embeddings.embed_documents, ["a", "bb"])
    inner.started.wait()
    second = start(embeddings.embed_documents, ["bb", "ccc"])
    wait_for(lambda: len(inner.batches) == 2, "the second batch")
    inner.gate.open()
    assert [vector[0] for vector in first.result()] == [1.1, 2.1]
    assert [vector[0] for vector in second.result()] == [2.1, 3.1]
    assert inner.batches == [["a", "bb"], ["ccc"]]


async def test_fifty_tasks_embed_each_text_once(embeddings, inner):
    inner.gate = Latch()
    texts = ["x" * n for n in range(1, 11)]
    tasks = [asyncio.ensure_future(embeddings.aembed_documents(texts[n % 5 :])) for n in range(50)]
    await inner.started.opened()
    for _ in range(20):
        await asyncio.sleep(0)
    inner.gate.open()
    for n, vectors in enumerate(await asyncio.gather(*tasks)):
        assert [vector[0] for vector in vectors] == [len(text) + 0.1 for text in texts[n % 5 :]]
    assert sorted(inner.texts, key=len) == texts


def test_threads_and_loops_share_what_is_under_way(embeddings, inner, loops):
    inner.gate = Latch()
    leader = start(embeddings.embed_documents, ["a", "bb"])
    inner.started.wait()
    loop: Loop = loops()
    on_loop = loop.start(embeddings.aembed_documents(["bb", "ccc"]))
    wait_for(lambda: len(inner.batches) == 2, "the loop's own batch")
    thread = start(embeddings.embed_documents, ["ccc", "a"])
    wait_for(lambda: boarded(embeddings, "ccc").parties == 2, "the thread aboard")
    inner.gate.open()
    assert [v[0] for v in leader.result()] == [1.1, 2.1]
    assert [v[0] for v in on_loop.result()] == [2.1, 3.1]
    assert [v[0] for v in thread.result()] == [3.1, 1.1]
    assert inner.batches == [["a", "bb"], ["ccc"]]


async def test_a_leader_that_is_cancelled_leaves_others_unharmed(embeddings, inner):
    inner.gate = Latch()
    leader = asyncio.ensure_future(embeddings.aembed_documents(["a", "bb"]))
    await inner.started.opened()
    follower = asyncio.ensure_future(embeddings.aembed_documents(["bb"]))
    while boarded(embeddings, "bb").parties < 2:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    inner.gate.open()
    assert await follower == [[2.1, -1 / 3]]
    # What nobody but the leader wanted was paid for, and is kept all the same.
    assert await embeddings.aembed_documents(["a", "bb"]) == [[1.1, -1 / 3], [2.1, -1 / 3]]
    assert inner.batches == [["a", "bb"]]


async def test_when_all_leave_the_work_is_cancelled_and_can_be_done_anew(embeddings, inner):
    inner.gate = Latch()
    caller = asyncio.ensure_future(embeddings.aembed_documents(["a"]))
    await inner.started.opened()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert embeddings._shared._under_way == {}
    inner.gate.open()
    assert await embeddings.aembed_documents(["a"]) == [[1.1, -1 / 3]]
    assert inner.batches == [["a"], ["a"]]


def test_the_leaders_error_reaches_all_and_is_not_kept(embeddings, inner):
    inner.gate = Latch()
    inner.errors = [KeyError("down")]
    first = start(embeddings.embed_documents, ["a"])
    inner.started.wait()
    second = start(embeddings.embed_documents, ["a"])
    batch = boarded(embeddings, "a")
    flight = bytes.fromhex(embeddings._shared._run.key(batch.number, batch))
    # In the flight, and not only on the list of those who mean to be.
    wait_for(
        lambda: embeddings._shared._ops._shared.flights.count_callers(flight) == 2, "both aboard"
    )
    inner.gate.open()
    for caller in (first, second):
        with pytest.raises(KeyError, match="down"):
            caller.result()
    assert embeddings.embed_documents(["a"]) == [[1.1, -1 / 3]]


async def test_a_blocking_call_on_the_loop_that_does_the_work_does_not_hang(embeddings, inner):
    inner.gate = Latch()
    leader = asyncio.ensure_future(embeddings.aembed_documents(["a"]))
    await inner.started.opened()
    gate, inner.gate = inner.gate, None
    assert embeddings.embed_documents(["a"]) == [[1.1, -1 / 3]]
    gate.open()
    assert await leader == [[1.1, -1 / 3]]


def test_what_lands_between_a_lookup_and_its_batch_is_looked_up_again(embeddings, inner):
    look_up = embeddings._shared._look_up

    def overtaken(keys):
        found = look_up(keys)
        embeddings._shared._look_up = look_up
        assert embeddings.embed_documents(["a"]) == [[1.1, -1 / 3]]
        return found

    embeddings._shared._look_up = overtaken
    assert embeddings.embed_documents(["bb", "a"]) == [[2.1, -1 / 3], [1.1, -1 / 3]]
    assert inner.batches == [["a"], ["bb"]]


async def test_who_boards_a_batch_that_has_landed_gets_what_it_brought(embeddings, inner):
    kept, going = Latch(), Latch()
    astore = embeddings._shared._aside.astore_took

    async def slow(*args):
        going.open()
        await kept.opened()
        await astore(*args)

    embeddings._shared._aside.astore_took = slow
    first = asyncio.ensure_future(embeddings.aembed_documents(["a"]))
    await going.opened()
    assert await embeddings.aembed_documents(["a"]) == [[1.1, -1 / 3]]
    assert await asyncio.to_thread(embeddings.embed_documents, ["a"]) == [[1.1, -1 / 3]]
    kept.open()
    assert await first == [[1.1, -1 / 3]]
    assert inner.batches == [["a"]]


@pytest.mark.parametrize("aio", [False, True])
def test_a_text_takes_its_share_of_the_time_of_its_batch(aio):
    clock = FakeClock()

    class Slow(Lengths):
        def _note(self, texts):
            clock.advance(1.0)
            return super()._note(texts)

    with ToolOps("slow", clock=clock) as ops:
        embeddings = ToolOpsEmbeddings(Slow(), ops, model="slow")
        for _ in range(2):
            if aio:
                asyncio.run(embeddings.aembed_documents(["a", "bb", "ccc", "dddd"]))
            else:
                embeddings.embed_documents(["a", "bb", "ccc", "dddd"])
        assert ops.stats()["embed:slow"].saved_seconds == 1.0


def test_many_threads_over_many_texts_embed_each_once(embeddings, inner):
    texts = ["x" * n for n in range(1, 41)]
    ready = threading.Barrier(8)

    def ask(seed: int) -> list[float]:
        ready.wait()
        return [
            embeddings.embed_documents(texts[at : at + 5 + seed])[0][0] for at in range(0, 35, 5)
        ]

    callers = [start(ask, seed) for seed in range(8)]
    for caller in callers:
        assert caller.result() == [at + 1.1 for at in range(0, 35, 5)]
    assert sorted(inner.texts, key=len) == texts[: max(map(len, inner.texts))]
    assert embeddings._shared._under_way == {}


def test_without_coalescing_every_caller_sends_its_own(ops, inner):
    embeddings = ToolOpsEmbeddings(inner, ops, model="a", coalesce=False)
    inner.gate = Latch()
    callers = [start(embeddings.embed_documents, ["a"]) for _ in range(2)]
    wait_for(lambda: len(inner.batches) == 2, "both")
    inner.gate.open()
    assert [caller.result() for caller in callers] == [[[1.1, -1 / 3]]] * 2


def test_without_a_cache_nothing_is_kept(ops, inner):
    embeddings = ToolOpsEmbeddings(inner, ops, model="a", cache=None)
    for _ in range(2):
        assert embeddings.embed_documents(["a", "a"]) == [[1.1, -1 / 3]] * 2
    assert inner.batches == [["a"], ["a"]]
    assert embeddings._shared._recent == {}


# -- policies


def test_a_batch_is_tried_again(ops, inner):
    inner.errors = [OSError("reset"), OSError("reset")]
    embeddings = ToolOpsEmbeddings(inner, ops, model="a", retry=Retry(attempts=3, wait=0))
    assert embeddings.embed_documents(["a", "bb"])[1][0] == 2.1
    assert inner.batches == [["a", "bb"]] * 3


async def test_policies_stand_round_the_call(ops, inner):
    inner.gate = Latch()
    slow = ToolOpsEmbeddings(inner, ops, model="slow", policy=Policy(timeout=Timeout(attempt=0.01)))
    with pytest.raises(AttemptTimeout):
        await slow.aembed_documents(["a"])
    inner.gate = None
    limited = ToolOpsEmbeddings(inner, ops, model="b", rate_limit=RateLimit("1/h", wait=0))
    await limited.aembed_documents(["a", "bb"])
    await limited.aembed_documents(["bb", "a"])
    with pytest.raises(RateLimited):
        await limited.aembed_documents(["ccc"])
    broken = ToolOpsEmbeddings(inner, ops, model="c", breaker=CircuitBreaker(min_calls=1, window=1))
    inner.errors = [OSError("down")]
    with pytest.raises(OSError, match="down"):
        await broken.aembed_documents(["a"])
    with pytest.raises(CircuitOpen):
        await broken.aembed_documents(["a"])


def test_vectors_live_as_long_as_the_policy_says(inner):
    clock = FakeClock()
    ops = ToolOps("life", clock=clock)
    embeddings = ToolOpsEmbeddings(inner, ops, model="a", cache=Cache(ttl=10, jitter=0.0))
    for wait in (0, 9, 2):
        clock.advance(wait)
        embeddings.embed_query("a")
    assert inner.queries == ["a", "a"]


def test_texts_and_batches_are_counted_apart(inner):
    ops = ToolOps("counted")
    embeddings = ToolOpsEmbeddings(inner, ops, model="a", price=0.5, tags=["shop"])
    embeddings.embed_documents(["a", "bb", "a"])
    embeddings.embed_documents(["a", "bb", "ccc"])
    texts, batches = ops.stats()["embed:a"], ops.stats()["embed:a (batches)"]
    assert (texts.misses, texts.hits, texts.spent, texts.saved_price) == (3, 2, 1.5, 1.0)
    assert (batches.calls, batches.attempts, batches.spent) == (2, 2, 0.0)
    ops.invalidate(["shop"])
    embeddings.embed_documents(["a"])
    assert inner.batches[-1] == ["a"]


class Held(Embeddings):
    """Waits in each call until it is let go."""

    def __init__(self) -> None:
        self.started, self.release = Latch(), Latch()
        self.asked: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked += texts
        self.started.open()
        self.release.wait()
        return [[1.0] for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


# The other thread is what this is about.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_shares_no_batch_of_its_parent() -> None:
    held, clock = Held(), FakeClock()
    shared = ToolOpsEmbeddings(held, ToolOps(clock=clock), model="held", cache=Cache(ttl=60))
    caller = start(lambda: shared.embed_query("x"))
    held.started.wait()

    def child() -> bool:
        held.release = Latch()
        held.release.open()
        shared.embed_query("x")
        clock.advance(61)  # so that the embedder is asked again, and no batch of the parent is read
        return shared.embed_query("x") == [1.0] and held.asked == ["x"] * 3

    code = in_child(child)
    held.release.open()
    assert caller.result(LONG) == [1.0]
    assert code == 0


def test_a_pickle_is_the_same_cache() -> None:
    inner = DeterministicFakeEmbedding(size=3)
    shared = ToolOpsEmbeddings(inner, ToolOps(), model="pickled", cache=Cache(ttl=60))
    again = pickle.loads(pickle.dumps(shared))
    assert again.embed_query("x") == shared.embed_query("x")
    assert shared._ops.stats()["embed:pickled"].hits == 1
