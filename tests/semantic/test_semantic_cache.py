"""SemanticCache used alone, as a user would."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import LONG, Latch, in_child, start
from servers import wait_for

from toolops_plugins import ConfigurationError, Semantic, SemanticCache, ToolOps
from toolops_plugins.errors import NotEncodableError, TierError
from toolops_plugins.semantic.index import shared
from toolops_plugins.semantic.index.chroma import Store
from toolops_plugins.testing import FakeClock

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"
SPAIN = "What is the capital of Spain?"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., SemanticCache]]:
    made: list[SemanticCache] = []

    def make(**options: Any) -> SemanticCache:
        options.setdefault("path", tmp_path / "index")
        made.append(SemanticCache(**options))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make: Callable[..., SemanticCache]) -> SemanticCache:
    return make()


def dump(folder: Path) -> bytes:
    """Everything that stands in a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


# Finding


def test_an_answer_is_found_by_other_words(cache):
    cache.put(FRANCE, {"city": "Paris"}, tags=["geography"])
    match = cache.find(AGAIN)
    assert match.value == {"city": "Paris"}
    assert match.question == FRANCE
    assert match.policy == "threshold"
    assert 0.8 < match.similarity < 1.0
    assert match.details["threshold"] <= match.similarity
    assert match.tags == ("geography",)
    assert match.expires == math.inf
    assert len(cache) == 1


def test_the_same_words_are_found_whatever_the_threshold(make):
    cache = make(threshold=1.0)
    cache.put(FRANCE, "Paris")
    match = cache.find(FRANCE)
    assert (match.value, match.policy) == ("Paris", "exact")
    assert match.similarity == pytest.approx(1.0, abs=1e-3)
    assert cache.find(AGAIN) is None


def test_another_question_is_not_found(cache):
    cache.put(FRANCE, "Paris")
    assert cache.find(SPAIN) is None
    assert cache.find("") is None
    assert cache.find("How do I bake bread?") is None


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, "text", 1.5, ["a", {"b": None}]])
def test_every_value_is_an_answer(cache, value):
    cache.put(FRANCE, value)
    assert cache.find(AGAIN).value == value
    assert type(cache.find(AGAIN).value) is type(value)


def test_changing_a_hit_changes_no_other(cache):
    value = ["Paris"]
    cache.put(FRANCE, value)
    value.append("changed after it was put")
    cache.find(AGAIN).value.append("changed after it was found")
    assert cache.find(AGAIN).value == ["Paris"]


def test_a_later_answer_takes_the_place_of_an_earlier(cache):
    for answer in ("Lutetia", "Paris"):
        cache.put(FRANCE, answer)
    assert cache.find(AGAIN).value == "Paris"
    cache.put(FRANCE, "Parigi")
    assert cache.find(AGAIN).value == "Parigi"
    cache.flush()
    assert len(cache) == 1


async def test_the_asynchronous_face_does_the_same(cache):
    await cache.aput(FRANCE, "Paris", tags=["geography"])
    assert (await cache.afind(AGAIN)).value == "Paris"
    assert (await cache.aexplain(AGAIN)).served
    await cache.ainvalidate(["geography"])
    assert await cache.afind(AGAIN) is None
    await cache.aput(FRANCE, "Paris")
    await cache.adelete(FRANCE)
    assert await cache.afind(AGAIN) is None
    await cache.aput(FRANCE, "Paris")
    await cache.aflush()
    await cache.aclear()
    assert await cache.afind(AGAIN) is None
    await cache.aclose()
    await cache.aclose()


async def test_many_ask_at_once(cache):
    await cache.aput(FRANCE, "Paris")
    found = await asyncio.gather(*(cache.afind(f"{AGAIN}{'?' * (i % 7)}") for i in range(100)))
    assert {match.value for match in found} == {"Paris"}


# Scope


@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "b"), ("", None), (1, "1"), (1, True), ({"m": 1}, {"m": 2}), (["a"], ["a", "a"])],
)
def test_scopes_share_nothing(cache, one, other):
    cache.put(FRANCE, "one", scope=one)
    assert cache.find(FRANCE, scope=other) is None
    cache.put(FRANCE, "other", scope=other)
    assert cache.find(AGAIN, scope=one).value == "one"
    assert cache.find(AGAIN, scope=other).value == "other"


def test_the_order_of_keys_makes_no_other_scope(cache):
    cache.put(FRANCE, "Paris", scope={"model": "a", "system": "b"})
    assert cache.find(AGAIN, scope={"system": "b", "model": "a"}).value == "Paris"


def test_what_is_no_text_or_scope_is_refused(cache):
    with pytest.raises(ConfigurationError, match="text"):
        cache.find(["a", "list"])
    with pytest.raises(ConfigurationError, match="scope"):
        cache.put(FRANCE, "Paris", scope=object())
    with pytest.raises(ConfigurationError, match="tags"):
        cache.put(FRANCE, "Paris", tags="geography")
    with pytest.raises(ConfigurationError, match="ttl"):
        cache.put(FRANCE, "Paris", ttl=0)
    with pytest.raises(NotEncodableError):
        cache.put(FRANCE, object())


# Time and size


def test_what_has_expired_is_not_found_and_is_swept(make, tmp_path):
    clock = FakeClock()
    cache = make(clock=clock, ttl=100)
    cache.put(FRANCE, "Paris")
    cache.put(SPAIN, "Madrid", ttl=1_000)
    cache.flush()
    clock.advance(99)
    assert cache.find(AGAIN).value == "Paris"
    clock.advance(1)
    assert cache.find(AGAIN) is None
    assert cache.find(FRANCE) is None
    assert cache.find(SPAIN).value == "Madrid"
    cache.put("What is the capital of Italy?", "Rome")  # what is written brings the sweep
    cache.flush()
    wait_for(lambda: len(cache) == 2, "the sweep", LONG)
    cache.close()
    again = make(clock=clock)
    assert again.find(SPAIN).value == "Madrid"
    wait_for(lambda: again.answers.index._whole, "loading", LONG)
    assert len(again) == 2


def test_the_least_useful_answers_make_room(make):
    cache = make(max_items=20)
    cache.put(FRANCE, "Paris", took=10.0)
    for _ in range(5):
        assert cache.find(AGAIN)
    for number in range(60):
        cache.put(f"What is {number} plus {number}?", number + number)
        cache.find("How do I bake bread?")  # so that they come one by one
    assert cache.find(AGAIN).value == "Paris"
    assert len(cache) <= 20
    cache.flush()
    assert cache.answers.index.store.count() <= 20


# Forgetting


def test_tags_keys_scopes_and_all_can_be_forgotten(cache):
    def fill() -> None:
        cache.put(FRANCE, "Paris", "a", tags=["europe", "france"])
        cache.put(SPAIN, "Madrid", "a", tags=["europe"])
        cache.put(FRANCE, "Paris", "b")

    def left() -> list[bool]:
        return [
            cache.find(text, scope) is not None
            for text, scope in ((FRANCE, "a"), (SPAIN, "a"), (FRANCE, "b"))
        ]

    for flushed in (False, True):
        for forget, expected in (
            (lambda: cache.invalidate(["france"]), [False, True, True]),
            (lambda: cache.invalidate(["europe", "asia"]), [False, False, True]),
            (lambda: cache.delete(SPAIN, "a"), [True, False, True]),
            (lambda: cache.clear("a"), [False, False, True]),
            (lambda: cache.clear(), [False, False, False]),
        ):
            fill()
            if flushed:
                cache.flush()
            forget()
            assert left() == expected
            cache.flush()
            assert left() == expected
    with pytest.raises(ConfigurationError, match="tags"):
        cache.invalidate("europe")


def test_what_was_forgotten_stays_forgotten(make):
    cache = make()
    cache.put(FRANCE, "Paris", tags=["europe"])
    cache.put(SPAIN, "Madrid")
    cache.flush()
    cache.invalidate(["europe"])
    cache.close()
    again = make()
    assert again.find(AGAIN) is None
    assert again.find(SPAIN).value == "Madrid"


# Keeping


def test_answers_outlive_the_process_and_are_found_at_once_after_it(make):
    cache = make()
    cache.put(FRANCE, ["Paris"], tags=["europe"], ttl=1_000)
    cache.close()
    again = make()
    match = again.find(AGAIN)
    assert match.value == ["Paris"]
    assert match.tags == ("europe",)
    assert match.expires < math.inf


def test_a_cache_that_was_closed_opens_again(cache):
    cache.put(FRANCE, "Paris")
    cache.close()
    cache.close()
    assert cache.find(AGAIN).value == "Paris"
    cache.close()
    cache.put(SPAIN, "Madrid")
    assert cache.find(SPAIN).value == "Madrid"


def test_two_caches_on_one_folder_are_one(make):
    one, other = make(), make()
    one.put(FRANCE, "Paris")
    assert other.find(AGAIN).value == "Paris"
    one.close()
    assert other.find(AGAIN).value == "Paris"
    other.put(SPAIN, "Madrid")
    assert one.find(SPAIN).value == "Madrid"


def run(program: str, *args: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_normal_exit_stores_what_waits(make, tmp_path):
    child = run(
        """
        import sys
        from toolops_plugins import SemanticCache
        cache = SemanticCache(sys.argv[1], flush_every=1000)
        cache.put("What is the capital of France?", "Paris")
        """,
        tmp_path / "index",
    )
    child.communicate(timeout=LONG)
    assert child.returncode == 0
    assert make().find(AGAIN).value == "Paris"


def test_a_killed_process_loses_nothing_that_was_flushed(make, tmp_path):
    child = run(
        """
        import sys
        from toolops_plugins import SemanticCache
        cache = SemanticCache(sys.argv[1])
        for number in range(1_000_000):
            cache.put(f"What is {number} squared?", number ** 2)
            if number % 20 == 19:
                cache.flush()
                print(number, flush=True)
        """,
        tmp_path / "index",
    )
    flushed = 0
    while flushed < 100:
        flushed = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    flushed = int((rest.split() or [flushed])[-1])
    again = make()
    for number in range(flushed + 1):
        assert again.find(f"What is {number} squared?").value == number**2


def test_a_second_process_is_refused_and_told_what_to_do(cache, tmp_path):
    cache.put(FRANCE, "Paris")
    child = run(
        """
        import sys
        from toolops_plugins import ConfigurationError, SemanticCache
        try:
            SemanticCache(sys.argv[1]).open()
        except ConfigurationError as error:
            print(error)
        """,
        tmp_path / "index",
    )
    said, _ = child.communicate(timeout=LONG)
    assert "chroma run" in said
    assert "url=" in said
    assert str(tmp_path) in said


def test_an_index_refuses_another_embedder(make):
    with make() as cache:
        cache.put(FRANCE, "Paris")

    def other(texts: list[str]) -> Any:
        return [[1.0, 0.0]] * len(texts)

    refusing = SemanticCache(cache.path, embedder=other)
    with pytest.raises(ConfigurationError, match="wordllama") as refused:
        refusing.open()
    assert "other" in str(refused.value)
    assert refusing.find(FRANCE) is None
    refusing.put(FRANCE, "Lyon")
    assert refusing.find(FRANCE) is None


def test_a_forked_child_reads_and_does_not_disturb(cache):
    cache.put(FRANCE, "Paris")
    cache.flush()
    assert cache.find(AGAIN)
    assert in_child(lambda: cache.find(AGAIN).value == "Paris") == 0
    cache.put(SPAIN, "Madrid")
    cache.flush()
    assert cache.find(SPAIN).value == "Madrid"


def test_a_child_forked_amid_calls_answers_from_memory_and_says_so(tmp_path):
    with ToolOps("t", semantic=SemanticCache(tmp_path)) as ops:

        @ops.readonly(semantic=Semantic(on="question", threshold=0.9), tags=["all"])
        def ask(question: str) -> str:
            return question.upper()

        ask(FRANCE)
        stop = threading.Event()

        def busy(who: int) -> None:
            for number in itertools.count():
                ask(f"What is number {number} of {who}?")
                if stop.is_set():
                    return

        callers = [start(busy, who) for who in range(3)]
        try:
            for number in range(3):
                assert in_child(lambda n=number: _works_in_child(ops, ask, n)) == 0
        finally:
            stop.set()
            for caller in callers:
                caller.result(LONG)
        ops.semantic.flush()
        kept = len(ops.semantic)
    shared._by_place.clear()
    with SemanticCache(tmp_path, collection="toolops-t") as again:
        again.open()
        assert again.answers.index.is_loaded.wait(LONG)
        assert len(again) == kept


def _works_in_child(ops: ToolOps, ask: Any, number: int) -> bool:
    told: list[str] = []
    log = logging.getLogger("toolops_plugins.semantic")
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]  # a handler made here
    log.addHandler(handler)
    answers = [ask(AGAIN), ask(f"And now {number}?"), ask(f"And now {number}?")]
    try:
        ops.semantic.flush()
    except TierError:
        told.append("refused")
    ops.close()
    answers.append(ask(FRANCE))
    assert answers == [FRANCE.upper(), *[f"AND NOW {number}?"] * 2, FRANCE.upper()], answers
    return "refused" in told and any("forked" in line and "a server" in line for line in told)


def test_a_forked_child_does_not_write_what_waits_in_its_parent(make):
    cache = make(flush_every=3_600.0)
    cache.put(FRANCE, "Paris")
    assert cache.find(AGAIN)
    writer = cache.answers.index._writer
    assert len(writer) == 1
    assert in_child(lambda: len(writer) == 0 and cache.find(AGAIN).value == "Paris") == 0
    assert len(writer) == 1


# Judges


def test_a_judge_decides_inside_the_band_only(make):
    asked = []

    def judge(question: str, cached: Any, fresh: Any) -> bool:
        asked.append((question, cached, fresh))
        return False

    cache = make(judge=judge, judge_band=0.5)
    cache.put(FRANCE, "Paris")
    assert cache.find(AGAIN) is None
    assert asked == [(AGAIN, "Paris", None)]
    assert cache.find(FRANCE).value == "Paris"
    assert len(asked) == 1
    with_narrow_band = make(judge=judge, judge_band=0.0)
    assert with_narrow_band.find(AGAIN).value == "Paris"
    assert len(asked) == 1


@pytest.mark.parametrize("says", [True, False])
async def test_a_judge_may_be_a_coroutine_function(make, says):
    async def judge(question: str, cached: Any, fresh: Any) -> bool:
        await asyncio.sleep(0)
        return says

    cache = make(judge=judge, judge_band=0.5)
    await cache.aput(FRANCE, "Paris")
    assert (await cache.afind(AGAIN) is not None) is says
    for sync in (lambda: cache.find(AGAIN), lambda: cache.put(SPAIN, "Madrid")):
        with pytest.raises(ConfigurationError, match="judge"):
            sync()


@pytest.mark.parametrize("trouble", ["error", "late"])
def test_a_judge_that_fails_or_is_late_is_a_miss(make, trouble):
    never = Latch()

    def judge(question: str, cached: Any, fresh: Any) -> bool:
        if trouble == "error":
            raise OSError("no judgement today")
        never.wait()
        return True

    cache = make(judge=judge, judge_band=0.5, judge_timeout=0.01)
    cache.put(FRANCE, "Paris")
    assert cache.find(AGAIN) is None
    never.open()


# Privacy


def test_texts_need_not_be_stored(make, tmp_path):
    cache = make(store_text=False, secret="key")
    where = "clinic of Zaragoza"
    cache.put("Is Xanthippe pregnant?", "yes", where)
    cache.flush()
    match = cache.find("is xanthippe pregnant", where)
    assert match.value == "yes"
    assert match.question is None
    assert cache.find("Is Xanthippe not pregnant?", where) is None
    assert cache.find("Is Euphrosyne pregnant?", where) is None
    explanation = cache.explain("is xanthippe pregnant", where)
    assert explanation.candidates[0].question is None
    assert "(not kept)" in str(explanation)
    cache.close()
    kept = dump(tmp_path).lower()
    for word in (b"xanthippe", b"pregnant", b"zaragoza"):
        assert word not in kept
    assert make(store_text=False, secret="key").find("is xanthippe pregnant", where).value == "yes"


def test_guards_of_ones_own_need_the_texts(make):
    with pytest.raises(ConfigurationError, match="guards"):
        make(store_text=False, guards=["numbers", lambda question, candidate: None])


def test_scopes_are_never_stored(make, tmp_path):
    cache = make()
    cache.put(FRANCE, "Paris", scope={"system": "The password is xyzzy."})
    cache.close()
    kept = dump(tmp_path)
    assert b"capital of France" in kept  # so this is where things are kept
    assert b"xyzzy" not in kept


# Explaining


def test_an_explanation_tells_everything(cache):
    cache.put(FRANCE, "Paris")
    cache.put("What is the capital of France in winter?", "Paris")
    explanation = cache.explain(SPAIN)
    assert not explanation.served
    assert explanation.policy == "threshold"
    assert explanation.details["threshold"] > 0
    assert explanation.candidates[0].question == FRANCE
    assert explanation.candidates[0].veto.guard == "words"
    assert "Spain".lower() in explanation.candidates[0].veto.reason.lower()
    assert FRANCE in str(explanation)
    assert "vetoed" in str(explanation)
    assert FRANCE in explanation._repr_html_()
    served = cache.explain(AGAIN)
    assert (served.served, served.reason) == (True, "served")
    assert cache.explain(FRANCE).reason == "exact"
    assert cache.explain("How do I bake bread?", scope="empty").reason == "nothing_near"


@pytest.mark.parametrize("aio", [False, True])
def test_trouble_explains_a_miss(make, aio):
    def embed(texts):
        raise OSError("no model")

    cache = make(embedder=embed)
    found = asyncio.run(cache.aexplain(FRANCE)) if aio else cache.explain(FRANCE)
    assert (found.served, found.reason, found.policy) == (False, "unavailable", "threshold")
    assert "embedder" in found.details["error"]
    with pytest.raises(ConfigurationError, match="scope"):
        cache.explain(FRANCE, object())


def test_an_explanation_escapes_what_it_shows(cache):
    cache.put("<script>alert(1)</script> capital?", "Paris")
    shown = cache.explain("<b>capital</b>?")._repr_html_()
    assert "<script>" not in shown
    assert "<b>capital" not in shown


def test_explaining_changes_nothing(make):
    cache = make(max_error=0.05)
    cache.put(FRANCE, "Paris")
    cache.flush()
    before = cache.answers.index.learned.learner().state()
    hits = [row.hits for row in cache.answers.index.memory.rows()]
    for question in (FRANCE, AGAIN, SPAIN):
        cache.explain(question)
    assert cache.answers.index.learned.learner().state() == before
    assert [row.hits for row in cache.answers.index.memory.rows()] == hits


# Learning


def test_what_was_learned_outlives_the_process_and_is_kept_once(make):
    labels = []
    for round_ in range(3):
        cache = make(max_error=0.05)
        for number in range(5):
            question = f"What is {round_ * 10 + number} plus one?"
            assert cache.find(question) is None
            cache.put(question, round_ * 10 + number + 1)
        wait_for(
            lambda index=cache.answers.index: index.learned._recalled, "what was learned", LONG
        )
        learner = cache.answers.index.learned.learner()
        labels.append(learner._window.count + learner._other_count)
        cache.flush()
        assert len(cache.answers.index.store.states.read()) == 1
        cache.close()
    assert labels[0] >= 4
    assert labels[0] < labels[1] < labels[2]


def test_closing_waits_until_what_was_learned_before_has_been_read(make, monkeypatch):
    cache = make(max_error=0.05)
    index = cache.answers.index
    index.open()
    store, release, done = index.store, Latch(), []
    read, close = store.states.read, store.close

    def slow_read():
        release.wait()
        try:
            return read()
        finally:
            done.append("read")

    monkeypatch.setattr(store.states, "read", slow_read)
    monkeypatch.setattr(store, "close", lambda: (done.append("closed"), close()))
    index.learned.learner()
    closing = start(cache.close)
    wait_for(
        lambda: index.learned._recall_done._cond._waiters or "closed" in done, "the closing", LONG
    )
    release.open()
    closing.result(LONG)
    assert done == ["read", "closed"]


# Being made


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"path": "a", "url": "http://localhost:8000"}, "path"),
        ({"threshold": 0.9, "max_error": 0.02}, "threshold"),
        ({"threshold": 1.5}, "threshold"),
        ({"max_error": 0.0}, "max_error"),
        ({"embedder": 3}, "embedder"),
        ({"guards": ["spelling"]}, "guards"),
        ({"judge": "gpt"}, "judge"),
        ({"max_items": 0}, "max_items"),
        ({"ttl": -1}, "ttl"),
        ({"flush_every": 0}, "flush_every"),
        ({"collection": "c1"}, "collection"),
        ({"collection": "a..b"}, "collection"),
        ({"collection": "räume"}, "collection"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, options, name):
    with pytest.raises(ConfigurationError, match=name):
        SemanticCache(**({"path": tmp_path} | options))


def test_nothing_is_opened_before_it_is_used(tmp_path):
    cache = SemanticCache(tmp_path / "index")
    assert len(cache) == 0
    assert bool(cache)
    cache.flush()
    cache.close()
    assert not (tmp_path / "index").exists()
    assert repr(str(tmp_path / "index")) in repr(cache)


def test_callers_in_threads_find_what_others_put(cache):
    def work(number: int) -> list[Any]:
        questions = [f"What is {number} times {other}?" for other in range(20)]
        for other, question in enumerate(questions):
            cache.put(question, number * other)
        return [cache.find(question).value for question in questions]

    callers = [start(work, number) for number in range(8)]
    for number, caller in enumerate(callers):
        assert caller.result(LONG) == [number * other for other in range(20)]
    cache.flush()
    assert len(cache) == 160


def test_the_default_folder_is_hidden_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with SemanticCache() as cache:
        cache.put(FRANCE, "Paris")
    assert [path.name for path in tmp_path.iterdir()] == [".toolops"]


@pytest.mark.parametrize(
    "forget",
    [
        lambda cache: cache.clear("ann"),
        lambda cache: cache.invalidate(["geography"]),
        lambda cache: cache.clear(),
    ],
    ids=["scope", "tag", "all"],
)
def test_what_is_invalidated_while_it_is_loaded_stays_out_of_memory(make, monkeypatch, forget):
    first = make()
    first.put(FRANCE, "Paris", scope="ann", tags=["geography"])
    first.close()
    load = Store.load

    def load_late(store):
        batches = list(load(store))  # they were read before the invalidation
        assert batches
        forget(again)
        yield from batches

    monkeypatch.setattr(Store, "load", load_late)
    again = make()
    again.answers.index.open()
    wait_for(again.answers.index.is_loaded.is_set, "loading", LONG)
    assert again.find(AGAIN, "ann") is None
    assert len(again) == 0
