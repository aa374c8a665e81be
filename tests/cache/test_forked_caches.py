"""Workers that are forked from a process whose runtime is in use already."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from servers import wait_for

from toolops_plugins import Cache, Memory, Redis, Semantic, SemanticCache, ToolOps

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
CONTEXT = multiprocessing.get_context("fork")
PATIENCE = 20.0
PATIENT = {"socket_timeout": 10.0, "connect_timeout": 10.0}  # a busy machine is no failure


class Worker:
    """A forked process that does one thing after the other as it is told, and tells the result."""

    def __init__(self) -> None:
        self._pipe, inner = CONTEXT.Pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._process = CONTEXT.Process(target=self._work, args=(inner,), daemon=True)
            self._jobs: list[Callable[[], Any]] = []

    def begin(self, *jobs: Callable[[], Any]) -> Worker:
        self._jobs = list(jobs)
        self._process.start()
        return self

    def _work(self, pipe: Any) -> None:
        for job in self._jobs:
            pipe.recv()
            try:
                pipe.send(job())
            except BaseException as error:
                pipe.send(repr(error))

    def next(self) -> Any:
        self._pipe.send(None)
        assert self._pipe.poll(PATIENCE), "the worker hangs"
        return self._pipe.recv()

    def end(self) -> None:
        self._process.join(PATIENCE)
        assert self._process.exitcode == 0


@pytest.fixture(params=[True, False], ids=["used", "unused"])
def parent(request, valkey, namespace):
    """A runtime that its process has used before it forks, or not."""
    with ToolOps(namespace, [Memory(), Redis(valkey.url, **PATIENT)]) as ops:

        @ops.tool(cache=Cache(ttl=600, tags=["all"]))
        def tool(x):
            return os.urandom(4).hex()

        if request.param:
            tool("parent's")
        yield ops, tool


def ready(ops: ToolOps) -> bool:
    return ops._shared.bus.ready.wait(PATIENCE)


@pytest.mark.parametrize(
    "void",
    [
        lambda ops, tool: ops.invalidate(tags=["all"]),
        lambda ops, tool: tool.invalidate("x"),
        lambda ops, tool: ops.clear(),
    ],
    ids=["tag", "key", "all"],
)
def test_siblings_hear_each_other(parent, void):
    ops, tool = parent
    known = []
    one = Worker().begin(
        lambda: (tool("x"), ready(ops), known.append(tool("x")), known[0])[3],
        lambda: _another(tool, known[0]),
    )
    first = one.next()
    other = Worker().begin(lambda: (tool("x"), void(ops, tool))[0])
    assert other.next() == first
    assert one.next() != first
    one.end()
    other.end()


def _another(tool: Any, known: str) -> Any:
    wait_for(lambda: tool("x") != known, "the news of an invalidation")
    return tool("x")


def test_what_a_child_inherits_is_void_if_it_became_void_before_it_began(valkey, namespace):
    with ToolOps(namespace, [Memory(), Redis(valkey.url, **PATIENT)]) as ops:
        tool = ops.tool(cache=Cache(ttl=600, tags=["all"]))(lambda x: os.urandom(4).hex())
        inherited = tool("x")
        worker = Worker().begin(lambda: tool("x"))
        ops.invalidate(tags=["all"])  # nobody listens in the worker yet
        assert worker.next() != inherited
        worker.end()


def test_each_worker_closes_without_an_error_and_leaves_its_parent_well(parent):
    ops, tool = parent
    before = tool("x")
    workers = [Worker().begin(lambda: tool("x"), ops.close, lambda: tool("x")) for _ in range(4)]
    for worker in workers:
        assert [worker.next() for _ in range(3)] == [before, None, before]
        worker.end()
    assert tool("x") == before
    assert ops._tiers.all[1].ping() is None


def test_workers_close_a_semantic_cache_of_their_parents(valkey, namespace, tmp_path):
    ops = ToolOps(
        namespace,
        [Memory(), Redis(valkey.url, **PATIENT)],
        semantic=SemanticCache(path=tmp_path / "index"),
    )
    with ops:
        tool = ops.tool(cache=Cache(ttl=600), semantic=Semantic(on="question", threshold=0.8))(
            lambda question: question.upper()
        )
        tool("How tall is the Eiffel tower?")
        workers = [
            Worker().begin(lambda: tool("Who painted the Mona Lisa?"), ops.close) for _ in range(2)
        ]
        for worker in workers:
            assert [worker.next() for _ in range(2)] == ["WHO PAINTED THE MONA LISA?", None]
            worker.end()


def test_a_child_uses_none_of_its_parents_connections(parent, valkey):
    ops, tool = parent
    tool("x")
    tier = ops._tiers.all[1]
    mine = tier.send("CLIENT", "ID")
    worker = Worker().begin(lambda: tier.send("CLIENT", "ID"))
    assert worker.next() != mine
    assert tier.send("CLIENT", "ID") == mine
    worker.end()
