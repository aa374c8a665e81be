from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from callers import LONG, Latch, Loop, in_child, new_loops, shaken, start
from hypothesis import given
from hypothesis import strategies as st
from servers import wait_for

from toolops_plugins import ConfigurationError
from toolops_plugins.concurrency.pool import Pool
from toolops_plugins.errors import EmbeddingError
from toolops_plugins.semantic.embedding import cached as module
from toolops_plugins.semantic.embedding.cached import Embeddings
from toolops_plugins.semantic.embedding.models import WordLlama
from toolops_plugins.testing import FakeClock


@pytest.fixture
def loops() -> Iterator[Callable[[], Loop]]:
    yield from new_loops()


class Held:
    """An embedder whose batches wait to be let go; it knows of every batch, and where it ran."""

    name = "held"
    dimension = 2

    def __init__(self, bad: Callable[[list[str]], bool] = lambda texts: False) -> None:
        self.bad = bad
        self.batches: list[list[str]] = []
        self.threads: list[threading.Thread] = []
        self.started = Latch()
        self.release = Latch()

    def _begin(self, texts: list[str]) -> None:
        self.batches.append(texts)
        self.threads.append(threading.current_thread())
        self.started.open()

    def _end(self, texts: list[str]) -> Any:
        if self.bad(texts):
            raise LookupError("bad text in it")
        return vectors(texts)

    def embed(self, texts: list[str]) -> Any:
        self._begin(texts)
        self.release.wait()
        return self._end(texts)


class HeldTwin(Held):
    """The same with a native asynchronous face."""

    async def aembed(self, texts: list[str]) -> Any:
        self._begin(texts)
        await self.release.opened()
        return self._end(texts)


def vectors(texts: list[str]) -> np.ndarray:
    angles = np.array([sum(text.encode()) % 97 for text in texts], np.float32)
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def free(kind: type[Held] = Held, **options: Any) -> Any:
    embedder = kind(**options)
    embedder.release.open()
    return embedder


def aboard(embeddings: Embeddings) -> int:
    lines = [embeddings._line, *embeddings._lines.values()]
    return sum(len(line.jobs) for line in lines)


def await_aboard(embeddings: Embeddings, texts: int) -> None:
    wait_for(lambda: aboard(embeddings) == texts, f"{texts} texts aboard", LONG)


async def reach_aboard(embeddings: Embeddings, texts: int) -> None:
    async with asyncio.timeout(LONG):
        while aboard(embeddings) != texts:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)


# What comes back


async def test_the_four_ways_agree() -> None:
    embeddings = Embeddings(free())
    texts = ["one", "two", "three"]
    expected = vectors(texts)
    np.testing.assert_allclose(embeddings.one("one"), expected[0], atol=1e-6)
    np.testing.assert_allclose(await embeddings.aone("two"), expected[1], atol=1e-6)
    np.testing.assert_allclose(embeddings.many(texts), expected, atol=1e-6)
    np.testing.assert_allclose(await embeddings.amany(texts), expected, atol=1e-6)
    assert (embeddings.name, embeddings.dimension) == ("held", 2)


@given(st.lists(st.text(max_size=300)), st.integers(1, 5))
def test_every_text_gets_its_own_vector(texts: list[str], max_batch: int) -> None:
    embedder = free()
    embeddings = Embeddings(embedder, max_batch=max_batch)
    matrix = embeddings.many(texts)
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(texts), 2)
    if texts:
        np.testing.assert_allclose(matrix, vectors(texts), atol=1e-6)
    assert sorted(text for batch in embedder.batches for text in batch) == sorted(set(texts))
    assert all(0 < len(batch) <= max_batch for batch in embedder.batches)


async def test_no_texts_give_no_rows() -> None:
    embeddings = Embeddings(free())
    assert embeddings.many([]).shape == (0, 2)
    assert (await embeddings.amany([])).shape == (0, 2)


async def test_vectors_cannot_be_changed_and_matrices_are_ones_own() -> None:
    embeddings = Embeddings(free())
    vector = embeddings.one("x")
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 7.0
    assert vector.base is None  # it keeps no batch alive
    matrix = embeddings.many(["x", "y"])
    matrix[:] = 7.0
    np.testing.assert_allclose(await embeddings.aone("x"), vectors(["x"])[0], atol=1e-6)


def test_an_embedder_of_ones_own_is_checked_too() -> None:
    class Rubbish:
        name = "rubbish"
        dimension = 3

        def embed(self, texts: list[str]) -> Any:
            return [[3.0, 4.0]] * len(texts)

    with pytest.raises(EmbeddingError, match="length 2 instead of 3"):
        Embeddings(Rubbish()).one("x")
    Rubbish.dimension = 2
    np.testing.assert_allclose(Embeddings(Rubbish()).one("x"), [0.6, 0.8])


@pytest.mark.parametrize(
    ("option", "value"), [("cache_items", -1), ("max_batch", 0), ("max_batch", "many")]
)
def test_wrong_options_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=option):
        Embeddings(free(), **{option: value})


# What is kept


async def test_a_text_is_embedded_once() -> None:
    embedder = free()
    embeddings = Embeddings(embedder)
    for _ in range(3):
        embeddings.many(["a", "b", "a"])
        await embeddings.aone("a")
    assert embedder.batches == [["a", "b"]]
    assert len(embeddings) == 2


def test_the_least_recently_used_vector_goes_first() -> None:
    embedder = free()
    embeddings = Embeddings(embedder, cache_items=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        embeddings.one(text)
    assert embedder.batches == [["a"], ["b"], ["c"], ["b"]]
    assert len(embeddings) == 2


def test_nothing_need_be_kept() -> None:
    embedder = free()
    embeddings = Embeddings(embedder, cache_items=0)
    embeddings.one("a")
    embeddings.one("a")
    assert embedder.batches == [["a"], ["a"]]
    assert len(embeddings) == 0


def test_a_long_text_is_kept_by_its_digest() -> None:
    embedder = free()
    embeddings = Embeddings(embedder)
    texts = ["x" * 100_000, "x" * 99_999 + "y", "\ud800" * 300]
    with pytest.raises(EmbeddingError):
        embeddings.one(texts[2])  # vectors() cannot encode it, which is all the same to its key
    embeddings.many(texts[:2])
    embeddings.many(texts[:2])
    assert embedder.batches[1:] == [texts[:2]]
    assert all(len(key) <= 256 for key in embeddings._kept)


# Batches


def test_a_lone_thread_embeds_in_itself() -> None:
    embedder = free()
    Embeddings(embedder).one("x")
    assert embedder.threads == [threading.current_thread()]


async def test_a_loop_has_a_thread_embed() -> None:
    embedder = free()
    await Embeddings(embedder).aone("x")
    assert embedder.threads != [threading.current_thread()]


def test_texts_that_arrive_during_a_batch_go_together_as_the_next(
    loops: Callable[[], Loop],
) -> None:
    embedder = Held()
    embeddings = Embeddings(embedder)
    loop = loops()
    calls = [start(embeddings.one, "first")]
    embedder.started.wait()
    calls += [start(embeddings.one, f"thread {n}") for n in range(5)]
    calls += [loop.start(embeddings.aone(f"loop {n}")) for n in range(5)]
    calls.append(start(embeddings.many, ["thread 0", "loop 0", "more"]))
    await_aboard(embeddings, 12)
    embedder.release.open()
    results = [call.result(LONG) for call in calls]
    assert [len(batch) for batch in embedder.batches] == [1, 11]
    np.testing.assert_allclose(results[3], vectors(["thread 2"])[0], atol=1e-6)
    np.testing.assert_allclose(results[-1], vectors(["thread 0", "loop 0", "more"]), atol=1e-6)
    assert aboard(embeddings) == 0


def test_batches_have_a_largest_size() -> None:
    embedder = Held()
    embeddings = Embeddings(embedder, max_batch=4)
    calls = [start(embeddings.one, "first")]
    embedder.started.wait()
    calls += [start(embeddings.one, f"text {n}") for n in range(10)]
    await_aboard(embeddings, 11)
    embedder.release.open()
    for call in calls:
        call.result(LONG)
    assert [len(batch) for batch in embedder.batches] == [1, 4, 4, 2]


def test_a_vector_that_came_since_the_look_is_not_made_again() -> None:
    embeddings = Embeddings(free())
    vector = embeddings.one("x")  # by another caller, after this one had found nothing
    jobs, leads = embeddings._board(embeddings._line, {"x": "x"})
    assert jobs["x"].result(0) is vector
    assert not leads


@pytest.mark.parametrize("leader", ["thread", "loop"])
def test_callers_of_one_text_share_one_embedding(loops: Callable[[], Loop], leader: str) -> None:
    embedder = Held()
    embeddings = Embeddings(embedder)
    first, second = loops(), loops()
    calls: list[Future[Any]] = []

    def call(kind: str) -> None:
        calls.append(
            start(embeddings.one, "x") if kind == "thread" else first.start(embeddings.aone("x"))
        )

    call(leader)
    embedder.started.wait()
    for _ in range(5):
        call("thread")
        call("loop")
        calls.append(second.start(embeddings.amany(["x", "x"])))
    embedder.release.open()
    for one in calls:
        one.result(LONG)
    assert embedder.batches == [["x"]]


async def test_a_thousand_tasks_make_a_few_batches() -> None:
    embedder = Held()
    embeddings = Embeddings(embedder)
    tasks = [asyncio.create_task(embeddings.aone(f"text {n}")) for n in range(1_000)]
    await reach_aboard(embeddings, 1_000)
    embedder.release.open()
    await asyncio.gather(*tasks)
    assert len(embedder.batches) <= 5


def test_under_any_interleaving_every_caller_gets_its_own() -> None:
    embedder = free()
    embeddings = Embeddings(embedder, cache_items=3, max_batch=3)

    def work() -> None:
        for n in range(10):
            texts = [f"text {n}", f"text {(n * 7) % 10}"]
            np.testing.assert_allclose(embeddings.many(texts), vectors(texts), atol=1e-6)

    shaken(module, work)
    wait_for(lambda: aboard(embeddings) == 0 and not embeddings._line.busy, "an idle line", LONG)


# Batches on a loop


async def test_a_native_twin_runs_on_the_callers_loop() -> None:
    embedder = free(HeldTwin)
    embeddings = Embeddings(embedder)
    await embeddings.aone("x")
    assert embedder.threads == [threading.current_thread()]
    embeddings.one("y")
    assert embedder.batches == [["x"], ["y"]]


async def test_a_native_twin_gets_batches_too() -> None:
    embedder = HeldTwin()
    embeddings = Embeddings(embedder, max_batch=6)
    tasks = [asyncio.create_task(embeddings.aone("first"))]
    await embedder.started.opened()
    tasks += [asyncio.create_task(embeddings.aone(f"text {n % 10}")) for n in range(20)]
    await reach_aboard(embeddings, 11)
    embedder.release.open()
    results = await asyncio.gather(*tasks)
    assert [len(batch) for batch in embedder.batches] == [1, 6, 4]
    np.testing.assert_allclose(results[20], vectors(["text 9"])[0], atol=1e-6)


async def test_a_batch_that_begins_as_the_last_one_ends_is_not_taken_for_it() -> None:
    class Gated(HeldTwin):
        async def aembed(self, texts: list[str]) -> Any:
            self._begin(texts)
            await gates[len(self.batches) - 1]
            return vectors(texts)

    gates = [asyncio.get_running_loop().create_future() for _ in range(2)]
    embedder = Gated()
    embeddings = Embeddings(embedder)
    first = asyncio.create_task(embeddings.aone("x"))
    await embedder.started.opened()

    async def follow() -> Any:
        await gates[0]  # one step behind the task of the first batch
        return await embeddings.aone("y")

    second = asyncio.create_task(follow())
    await asyncio.sleep(0)
    gates[0].set_result(None)
    await first
    gates[1].set_result(None)
    np.testing.assert_allclose(await second, vectors(["y"])[0], atol=1e-6)


def test_loops_do_not_wait_for_each_other_with_a_native_twin(loops: Callable[[], Loop]) -> None:
    embedder = HeldTwin()
    embeddings = Embeddings(embedder)
    first, second = loops(), loops()
    lost = first.start(embeddings.aone("x"))
    embedder.started.wait()
    first.stop()  # and with it the batch
    call = second.start(embeddings.aone("x"))
    wait_for(lambda: len(embedder.batches) == 2, "a batch of the second loop", LONG)
    embedder.release.open()
    call.result(LONG)
    assert not lost.done()
    (stopped,) = [line for line in embeddings._lines.values() if line.busy]
    first.loop.run_until_complete(stopped.task)
    first.loop.run_until_complete(asyncio.sleep(0))
    np.testing.assert_allclose(lost.result(LONG), vectors(["x"])[0], atol=1e-6)


def test_a_loop_closed_in_the_middle_of_a_batch_is_let_go() -> None:
    embedder = HeldTwin()
    embeddings = Embeddings(embedder)
    loop = asyncio.new_event_loop()
    caller = loop.create_task(embeddings.aone("x"))
    while not embedder.batches:
        loop.run_until_complete(asyncio.sleep(0))
    (line,) = embeddings._lines.values()
    left = [caller, line.task]
    loop.close()
    embedder.release.open()
    assert asyncio.run(embeddings.aone("x")).shape == (2,)
    assert loop not in embeddings._lines
    for task in left:
        task._log_destroy_pending = False  # asyncio would say so, and rightly


def test_a_loop_that_is_gone_leaves_nothing_behind() -> None:
    embedder = free(HeldTwin)
    embeddings = Embeddings(embedder)
    asyncio.run(embeddings.aone("x"))
    gc.collect()
    assert len(embeddings._lines) == 0


# Failures


def test_one_bad_text_fails_its_own_caller_only() -> None:
    embedder = Held(bad=lambda texts: "bad" in texts)
    embeddings = Embeddings(embedder)
    calls = [start(embeddings.one, "first")]
    embedder.started.wait()
    texts = [*(f"text {n}" for n in range(30)), "bad", *(f"late {n}" for n in range(33))]
    calls += [start(embeddings.one, text) for text in texts]
    await_aboard(embeddings, 65)
    embedder.release.open()
    outcomes = dict(zip(["first", *texts], calls, strict=True))
    error = outcomes.pop("bad").exception(LONG)
    for text, call in outcomes.items():
        np.testing.assert_allclose(call.result(LONG), vectors([text])[0], atol=1e-6)
    assert isinstance(error, EmbeddingError)
    assert isinstance(error.__cause__, LookupError)
    assert "bad text" not in str(error)  # the message may quote the question
    assert len(embedder.batches) <= 2 + 2 * 6
    assert "bad" not in embeddings._kept


async def test_one_bad_text_fails_its_own_caller_only_with_a_native_twin() -> None:
    embedder = free(HeldTwin, bad=lambda texts: "bad" in texts)
    embeddings = Embeddings(embedder)
    texts = ["a", "bad", "b", "c"]
    outcomes = await asyncio.gather(
        *(embeddings.aone(text) for text in texts), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [
        np.ndarray,
        EmbeddingError,
        np.ndarray,
        np.ndarray,
    ]


def test_of_two_texts_both_may_be_bad() -> None:
    embeddings = Embeddings(free(bad=lambda texts: True))
    with pytest.raises(EmbeddingError):
        embeddings.many(["a", "b"])


def test_a_service_that_is_down_is_not_asked_for_every_text() -> None:
    embedder = free(bad=lambda texts: True)
    embeddings = Embeddings(embedder)
    with pytest.raises(EmbeddingError, match="failed with LookupError"):
        embeddings.many(f"text {n}" for n in range(200))
    assert len(embedder.batches) == 3
    embedder.bad = lambda texts: False
    assert embeddings.one("text 7") is embeddings.one("text 7")


def test_all_callers_of_a_bad_text_get_an_error_of_their_own() -> None:
    embedder = Held(bad=lambda texts: True)
    embeddings = Embeddings(embedder)
    calls = [start(embeddings.one, "x")]
    embedder.started.wait()
    calls += [start(embeddings.one, "x") for _ in range(3)]
    embedder.release.open()
    errors = [call.exception(LONG) for call in calls]
    assert all(isinstance(error, EmbeddingError) for error in errors)
    assert len({id(error) for error in errors}) == 4


@pytest.mark.parametrize("death", [KeyboardInterrupt, SystemExit])
def test_who_waits_survives_the_death_of_the_leading_thread(death: type[BaseException]) -> None:
    class Deadly(Held):
        def embed(self, texts: list[str]) -> Any:
            rows = super().embed(texts)
            if len(self.batches) == 1:
                raise death
            return rows

    embedder = Deadly()
    embeddings = Embeddings(embedder)
    leader = start(embeddings.one, "x")
    embedder.started.wait()
    calls = [start(embeddings.one, "x"), start(embeddings.one, "y")]
    await_aboard(embeddings, 2)
    embedder.release.open()
    assert isinstance(leader.exception(LONG), death)
    for call, text in zip(calls, "xy", strict=True):
        np.testing.assert_allclose(call.result(LONG), vectors([text])[0], atol=1e-6)


async def test_an_embedder_that_ends_its_thread_is_an_error() -> None:
    class Ending(Held):
        def embed(self, texts: list[str]) -> Any:
            raise SystemExit

    embeddings = Embeddings(Ending())
    for _ in range(2):
        with pytest.raises(EmbeddingError, match="SystemExit"):
            await embeddings.aone("x")


async def test_nobody_waits_when_no_thread_is_to_be_had() -> None:
    class Exhausted(Pool):
        def submit(self, function: Callable[[], Any]) -> None:
            raise RuntimeError("can't start new thread")  # as Python does at exit

    embedder = free()
    embeddings = Embeddings(embedder, pool=Exhausted())
    for _ in range(2):
        with pytest.raises(EmbeddingError, match="RuntimeError"):
            await embeddings.aone("x")
    embeddings.one("x")


# Cancellation


@pytest.mark.parametrize("kind", [Held, HeldTwin])
async def test_a_cancelled_caller_harms_nobody(kind: type[Held]) -> None:
    embedder = kind()
    embeddings = Embeddings(embedder)
    leader = asyncio.create_task(embeddings.aone("x"))
    await embedder.started.opened()
    follower = asyncio.create_task(embeddings.aone("x"))
    later = asyncio.create_task(embeddings.aone("y"))
    gone = asyncio.create_task(embeddings.aone("y"))
    await reach_aboard(embeddings, 2)
    leader.cancel()
    gone.cancel()
    await asyncio.wait({leader, gone})
    assert leader.cancelled()
    assert gone.cancelled()
    embedder.release.open()
    np.testing.assert_allclose(await follower, vectors(["x"])[0], atol=1e-6)
    np.testing.assert_allclose(await later, vectors(["y"])[0], atol=1e-6)
    assert embedder.batches == [["x"], ["y"]]


def test_a_loop_that_closes_leaves_the_batch_to_the_others(
    loops: Callable[[], Loop], caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Held()
    embeddings = Embeddings(embedder)
    first = loops()
    first.start(embeddings.aone("x"))
    embedder.started.wait()
    call = start(embeddings.one, "x")
    late = start(embeddings.one, "y")
    await_aboard(embeddings, 2)
    first.close()
    embedder.release.open()
    np.testing.assert_allclose(call.result(LONG), vectors(["x"])[0], atol=1e-6)
    np.testing.assert_allclose(late.result(LONG), vectors(["y"])[0], atol=1e-6)
    assert caplog.text == ""


async def test_a_batch_cancelled_from_outside_fails_who_waits_and_nobody_after() -> None:
    embedder = HeldTwin()
    embeddings = Embeddings(embedder)
    calls = [asyncio.create_task(embeddings.aone("x"))]
    await embedder.started.opened()
    calls.append(asyncio.create_task(embeddings.aone("y")))
    await reach_aboard(embeddings, 2)
    (task,) = asyncio.all_tasks() - {asyncio.current_task(), *calls}
    task.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, EmbeddingError) for outcome in outcomes)
    embedder.release.open()
    np.testing.assert_allclose(await embeddings.aone("y"), vectors(["y"])[0], atol=1e-6)


# Forks


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_child_inherits_no_batch_that_is_under_way() -> None:
    embedder = free()
    embeddings = Embeddings(embedder)
    kept = asyncio.run(embeddings.aone("kept"))  # from here on there is a thread in the pool
    embedder.release, embedder.started = Latch(), Latch()
    call = start(embeddings.one, "x")
    embedder.started.wait()
    queued = start(embeddings.one, "y")
    await_aboard(embeddings, 2)

    def child() -> bool:
        embedder.release = Latch()
        embedder.release.open()
        one = embeddings.one("x")
        two = asyncio.run(embeddings.aone("z" * 400))
        return embeddings.one("kept") is kept and one.shape == two.shape == kept.shape

    with embeddings._lock:  # as another thread may hold it
        assert in_child(child) == 0
    embedder.release.open()
    call.result(LONG)
    queued.result(LONG)


def test_what_is_dropped_is_gone() -> None:
    embeddings = Embeddings(free())
    embeddings.one("x")
    gone = weakref.ref(embeddings)
    del embeddings
    gc.collect()
    assert gone() is None


# WordLlama


class Watched(WordLlama):
    """WordLlama that knows whether it ran in the thread of the test's loop."""

    def __init__(self) -> None:
        super().__init__()
        self.here: list[bool] = []

    def embed(self, texts: list[str]) -> Any:
        self.here.append(threading.current_thread() is threading.main_thread())
        return super().embed(texts)


async def test_short_texts_are_embedded_on_the_spot_and_long_ones_in_a_thread() -> None:
    embedder = Watched()
    await asyncio.to_thread(embedder.embed, ["warm"])
    embeddings = Embeddings(embedder)
    vector = await embeddings.aone("a short question")
    np.testing.assert_array_equal(vector, WordLlama.embed(embedder, ["a short question"])[0])
    await embeddings.amany(["four", "short", "questions", "here"])
    assert embedder.here[1:] == [True, True]
    await embeddings.aone("a long question " * 50)
    await embeddings.amany(f"question {n}" for n in range(100))
    assert embedder.here[3:] == [False, False]
    embeddings.many(f"request {n}" for n in range(100))
    assert embedder.here[5:] == [True]


async def test_the_first_load_does_not_block_the_loop() -> None:
    embedder = Watched()
    embeddings = Embeddings(embedder)
    await asyncio.gather(*(embeddings.aone(f"question {n}") for n in range(50)))
    assert True not in embedder.here
    assert len(embedder.here) <= 2
    await embeddings.aone("another question")
    assert embedder.here[-1]


# An embedder that is too slow


class Stuck:
    """Embeds nothing before it is let go, in a thread or on an event loop."""

    name, dimension = "stuck", 2

    def __init__(self) -> None:
        self.release = threading.Event()
        self.asked: list[list[str]] = []

    def embed(self, texts: list[str]) -> Any:
        self.asked.append(texts)
        assert self.release.wait(LONG)
        return np.array([[1.0, 0.0]] * len(texts))


class StuckLoop(Stuck):
    def __init__(self) -> None:
        super().__init__()
        self.cancelled = 0

    async def aembed(self, texts: list[str]) -> Any:
        self.asked.append(texts)
        try:
            while not self.release.is_set():  # noqa: ASYNC110 - an event of no loop
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return np.array([[1.0, 0.0]] * len(texts))


def test_a_slow_embedder_is_left_alone_for_a_while():
    embedder, clock = Stuck(), FakeClock()
    embeddings = Embeddings(embedder, timeout=0.05, clock=clock)
    for text in ("one", "two"):  # the second is not even tried
        with pytest.raises(EmbeddingError, match=r"did not answer within 0.05 s|left alone"):
            embeddings.one(text)
    assert embedder.asked == [["one"]]
    clock.advance(1)
    with pytest.raises(EmbeddingError):
        embeddings.one("three")
    assert embedder.asked == [["one"], ["three"]]  # in another thread
    embedder.release.set()
    clock.advance(60)
    assert embeddings.one("four").tolist() == [1.0, 0.0]
    assert embeddings.one("five").tolist() == [1.0, 0.0]


def test_all_who_wait_for_a_slow_embedder_share_one_wait():
    embedder = Stuck()
    embeddings = Embeddings(embedder, timeout=0.3, clock=FakeClock())
    callers = [start(embeddings.one, f"text {n}") for n in range(20)]
    for caller in callers:
        with pytest.raises(EmbeddingError):
            caller.result(LONG)
    assert len(embedder.asked) == 1
    embedder.release.set()


@pytest.mark.parametrize("kind", [Stuck, StuckLoop])
async def test_so_it_is_on_an_event_loop(kind: type[Stuck]):
    embedder, clock = kind(), FakeClock()
    embeddings = Embeddings(embedder, timeout=0.05, clock=clock)
    async with asyncio.timeout(LONG):
        errors = await asyncio.gather(
            *(embeddings.aone(f"text {n}") for n in range(20)), return_exceptions=True
        )
    assert {type(error) for error in errors} == {EmbeddingError}
    assert len(embedder.asked) == 1
    assert getattr(embedder, "cancelled", 1) == 1
    embedder.release.set()
    clock.advance(60)
    assert (await embeddings.aone("later")).tolist() == [1.0, 0.0]


def test_an_embedder_that_hangs_for_ever_keeps_few_threads():
    embedder, clock = Stuck(), FakeClock()
    embeddings = Embeddings(embedder, timeout=0.02, clock=clock)
    for number in range(10):
        with pytest.raises(EmbeddingError):
            embeddings.one(f"text {number}")
        clock.advance(60)
    assert len(embedder.asked) == 4
    embedder.release.set()
