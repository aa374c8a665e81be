"""Guarded models, tools and nodes beside LangGraph's own policies for nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

import pytest
from callers import Latch
from langchain_core.tools import BaseTool, tool
from langgraph.cache.memory import InMemoryCache
from langgraph.errors import NodeTimeoutError
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy, RetryPolicy, TimeoutPolicy

from langchain_toolops import ToolOpsNodeCache, guard_model, wrap_tool
from toolops_plugins import Cache, CallEvent, Policy, Retry, ToolOps

AGAIN = RetryPolicy(max_attempts=3, initial_interval=0.001, jitter=False, retry_on=Exception)
MODEL = Policy(cache=Cache(ttl=60), retry=Retry(attempts=3, wait=0))


class State(TypedDict, total=False):
    question: str
    answer: str


@pytest.fixture
def events() -> list[CallEvent]:
    return []


@pytest.fixture
def ops(events: list[CallEvent]) -> Iterator[ToolOps]:
    with ToolOps("nodes", sinks=[events.append]) as ops:
        yield ops


@pytest.fixture(params=["sync", "async"])
def run(request) -> Callable[..., Any]:
    """Runs a graph of one node; returns its answer, or the name of its error."""

    def run(ask: Callable[[str, bool], Any], cache: Any = None, **policies: Any) -> str:
        graph = StateGraph(State)
        if request.param == "sync":

            def node(state: State) -> State:
                return {"answer": ask(state["question"], False)}

        else:

            async def node(state: State) -> State:
                return {"answer": await ask(state["question"], True)}

        graph.add_node("node", node, **policies)
        graph.add_edge(START, "node")
        app = graph.compile(cache=cache)
        try:
            if request.param == "sync":
                return str(app.invoke({"question": "hi"})["answer"])
            return str(asyncio.run(app.ainvoke({"question": "hi"}))["answer"])
        except Exception as error:
            return type(error).__name__

    return run


def outcomes(events: list[CallEvent]) -> list[tuple[str, int]]:
    return [(event.outcome, event.attempts) for event in events]


@pytest.fixture
def ask(chat, ops) -> Callable[[str, bool], Any]:
    model = guard_model(chat(), ops, policy=MODEL)

    def ask(question: str, aio: bool) -> Any:
        if not aio:
            return model.invoke(question).content

        async def answer() -> Any:
            return (await model.ainvoke(question)).content

        return answer()

    return ask


def test_attempts_of_a_node_are_added_and_not_multiplied(run, ask, openai_server, events):
    openai_server.reply = lambda body: {"status": 500}
    run(ask, retry_policy=AGAIN)
    assert outcomes(events) == [("error", 3), ("error", 1), ("error", 1)]
    assert len(openai_server.requests) == 5


def test_a_call_that_passes_at_the_second_try_does_not_fail_its_node(
    run, ask, openai_server, events
):
    replies = iter([{"status": 500}, "well"])
    openai_server.reply = lambda body: next(replies)
    assert [run(ask, retry_policy=AGAIN), run(ask, retry_policy=AGAIN)] == ["well", "well"]
    assert outcomes(events) == [("miss", 2), ("hit", 0)]


def test_a_node_that_langgraph_caches_asks_the_model_once(run, ask, openai_server, events):
    openai_server.reply = lambda body: "well"
    cache = InMemoryCache()
    for _ in range(2):
        assert run(ask, cache, cache_policy=CachePolicy()) == "well"
    assert len(openai_server.requests) == 1
    assert outcomes(events)[0] == ("miss", 1)


def test_a_cached_node_is_counted_as_a_node_and_its_model_as_a_model(
    run, ask, ops, openai_server, events
):
    openai_server.reply = lambda body: "well"
    cache = ToolOpsNodeCache(ops)
    for _ in range(2):
        assert run(ask, cache, cache_policy=CachePolicy()) == "well"
    assert len(openai_server.requests) == 1
    told = [event.outcome for event in events if event.name.startswith("openai:")]
    assert told[0] == "miss"
    assert told.count("miss") == 1


def test_a_node_that_runs_out_of_time_leaves_nothing_behind(chat, ops, openai_server, events):
    model = guard_model(chat(), ops, policy=MODEL)

    async def node(state: State) -> State:
        return {"answer": (await model.ainvoke(state["question"])).content}

    graph = StateGraph(State)
    graph.add_node("node", node, timeout=TimeoutPolicy(run_timeout=0.2))
    graph.add_edge(START, "node")
    app = graph.compile()

    async def ask_twice() -> None:
        openai_server.gate = gate = Latch()
        try:
            with pytest.raises(NodeTimeoutError):
                await app.ainvoke({"question": "hi"})
        finally:
            openai_server.gate = None
            gate.open()
        assert (await app.ainvoke({"question": "hi"}))["answer"] == "hi"
        await ops.aclose()

    asyncio.run(ask_twice())
    assert [event.outcome for event in events if event.outcome != "error"] == ["miss"]


def test_attempts_of_a_tool_in_a_node_are_those_of_its_policy(run, ops):
    runs = []

    @tool
    def look(q: str) -> str:
        """Look something up."""
        runs.append(q)
        if len(runs) < 3:
            raise ConnectionError("away")
        return q

    wrapped: BaseTool = wrap_tool(look, ops=ops, policy=MODEL)

    def ask(question: str, aio: bool) -> Any:
        return wrapped.ainvoke({"q": question}) if aio else wrapped.invoke({"q": question})

    assert run(ask, retry_policy=AGAIN) == "hi"
    assert len(runs) == 3
