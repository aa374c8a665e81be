"""ToolOpsNodeCache: LangGraph's node cache on the tiers of a runtime."""

from __future__ import annotations

import asyncio
import operator
import socket
from collections import Counter, deque
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from broken_stages import TROUBLES, Broken
from callers import Notices
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy, Command, Send, interrupt
from typing_extensions import TypedDict
from value_kinds import KINDS, PLAIN, describe

from langchain_toolops.node_cache import ToolOpsNodeCache
from toolops_plugins import ConfigurationError, Memory, Redis, ToolOps
from toolops_plugins.testing import FakeClock

NS = ("writes", "shop.node", "shop")
KEY = (NS, "k")
PATIENT = {"socket_timeout": 10, "connect_timeout": 10}


@pytest.fixture(params=["memory", "redis", "both"])
def ops(request, namespace):
    if request.param == "memory":
        yield ToolOps(namespace)
        return
    tiers = [Redis(request.getfixturevalue("valkey").url, **PATIENT)]
    if request.param == "both":
        tiers.insert(0, Memory())
    with ToolOps(namespace, tiers) as runtime:
        yield runtime


class Twins:
    """The cache's methods, each by its synchronous or its asynchronous twin."""

    def __init__(self, cache: ToolOpsNodeCache[Any], kind: str) -> None:
        self._cache = cache
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        if self._kind == "async":
            return getattr(self._cache, f"a{name}")
        method = getattr(self._cache, name)
        return lambda *args: asyncio.to_thread(method, *args)


@pytest.fixture(params=["sync", "async"])
async def cache(request, ops):
    yield Twins(ToolOpsNodeCache(ops), request.param)
    await ops.aclose()


async def test_what_was_set_is_got_and_nothing_else(cache):
    value = deque([("answer", {"text": "four", "parts": [1, 2.5, None]})])
    other = (NS, "other")
    await cache.set({KEY: (value, None), (("elsewhere",), "k"): ([1], 60)})
    found = await cache.get([KEY, other])
    assert found == {KEY: deque([("answer", {"text": "four", "parts": [1, 2.5, None]})])}
    assert await cache.get([]) == {}
    found[KEY].clear()
    assert len((await cache.get([KEY]))[KEY]) == 1


async def test_messages_come_back_as_messages(cache):
    message = AIMessage("hi", id="m1", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c1"}])
    await cache.set({KEY: (deque([("messages", message)]), None)})
    assert (await cache.get([KEY]))[KEY][0][1] == message


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ([HumanMessage("a", id="1"), SystemMessage("b"), RemoveMessage(id="2")], True),
        (ToolMessage("a", tool_call_id="c", artifact={"a": 1}, status="error"), True),
        (ToolMessage("a", tool_call_id="c", artifact=[]), True),
        (ToolMessage("a", tool_call_id="c", artifact=(1, 2)), False),
        (ToolMessage("a", tool_call_id="c", artifact={"a": Counter("a")}), False),
        (AIMessage("a", additional_kwargs={"a": ValueError("x")}), False),
        (AIMessage([{"type": "text", "text": "a"}], response_metadata={"a": [1.5, None]}), True),
        ([Document("a", metadata={"a": 1}), Document("b", id="3")], True),
        ([Document("a", metadata={"a": (1,)})], False),
        (Send("node", {"a": 1}), True),
        (Send("node", {"a": (1,)}), False),
    ],
)
def test_messages_are_kept_with_what_they_hold_or_not_at_all(value, kept):
    cache = ToolOpsNodeCache(ToolOps("messages"))
    cache.set({KEY: (deque([("messages", value)]), None)})
    found = cache.get([KEY])
    assert found == ({KEY: deque([("messages", value)])} if kept else {})


async def test_clear_forgets_the_namespaces_that_are_named(cache, ops):
    kept, inside = (("writes", "b"), "k"), ((*NS, "deeper"), "k")
    await cache.set({KEY: ([1], None), kept: ([2], None), inside: ([3], None)})
    await cache.clear([NS, ("writes",)])
    assert await cache.get([KEY, kept, inside]) == {kept: [2], inside: [3]}
    await cache.clear([])
    assert len(await cache.get([kept, inside])) == 2


async def test_clear_without_names_forgets_this_cache_only(cache, ops):
    calls = []

    @ops.readonly(name="other")
    async def other(number: int) -> int:
        calls.append(number)
        return number

    second = ToolOpsNodeCache(ops, name="second")
    await other(1)
    await second.aset({KEY: ([2], None)})
    await cache.set({KEY: ([1], None)})
    await cache.clear()
    assert await cache.get([KEY]) == {}
    assert await second.aget([KEY]) == {KEY: [2]}
    await other(1)
    assert calls == [1]


async def test_what_was_cleared_meanwhile_is_not_kept(cache):
    await cache.get([KEY])
    await cache.clear([NS])
    await cache.set({KEY: ([1], None)})
    assert await cache.get([KEY]) == {}


def test_each_key_has_its_own_life():
    clock = FakeClock()
    cache = ToolOpsNodeCache(ToolOps("life", clock=clock), ttl=100)
    short, long, own = ((NS, name) for name in ("short", "long", "own"))
    none, past = (NS, "none"), (NS, "past")
    cache.set({short: (1, 10), long: (2, 1000), own: (3, None), none: (4, 0), past: (5, -1)})
    assert cache.get([short, long, own, none, past]) == {short: 1, long: 2, own: 3}
    clock.advance(9.99)
    assert cache.get([short, long, own]) == {short: 1, long: 2, own: 3}
    clock.advance(0.02)
    assert cache.get([short, long, own]) == {long: 2, own: 3}
    clock.advance(89.98)
    assert cache.get([own]) == {own: 3}
    clock.advance(0.02)
    assert cache.get([short, long, own]) == {long: 2}
    with pytest.raises(ConfigurationError, match="ttl"):
        ToolOpsNodeCache(ToolOps("life"), ttl=0)


def test_namespaces_that_look_alike_when_joined_are_apart():
    cache = ToolOpsNodeCache(ToolOps("alike"))
    keys = [(("a", "b"), "k"), (("a:b",), "k"), (("a",), "b:k"), (("a', 'b",), "k")]
    cache.set({key: (number, None) for number, key in enumerate(keys)})
    assert cache.get(keys) == {key: number for number, key in enumerate(keys)}
    cache.clear([("a", "b")])
    assert list(cache.get(keys)) == keys[1:]


@dataclass
class Cart:
    items: int


def test_a_class_that_may_not_be_revived_is_not_kept(caplog):
    ops = ToolOps("carts")
    notices = Notices(ops)
    cache = ToolOpsNodeCache(ops)
    cache.set({KEY: (deque([("cart", Cart(1))]), None), (NS, "plain"): ([1], None)})
    assert cache.get([KEY, (NS, "plain")]) == {(NS, "plain"): [1]}
    assert notices.reasons == ["not_encodable"]
    allowed = JsonPlusSerializer(allowed_msgpack_modules=[(Cart.__module__, "Cart")])
    cache = ToolOpsNodeCache(ops, serde=allowed)
    cache.set({KEY: (deque([("cart", Cart(1))]), None)})
    assert isinstance(cache.get([KEY])[KEY], deque)


def test_what_cannot_be_written_or_read_is_no_error():
    ops = ToolOps("broken")
    notices = Notices(ops)
    cache = ToolOpsNodeCache(ops)
    cache.set({KEY: (object(), None)})
    assert cache.get([KEY]) == {}
    for planted in (("msgpack", b"\xc1"), ("pickle", b"\x80\x04N."), "text", None, ("null",)):
        cache._aside.store(planted, list(NS), "k")
        assert cache.get([KEY]) == {}
    assert notices.reasons == ["not_encodable", "unreadable"]


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_trouble_with_a_tier_is_a_miss_and_a_notice(caplog):
    tier = Redis(f"redis://127.0.0.1:{closed_port()}", socket_timeout=1, connect_timeout=1)
    async with ToolOps("down", [tier]) as ops:
        notices = Notices(ops)
        cache = ToolOpsNodeCache(ops)
        await cache.aset({KEY: ([1], 60)})
        assert await cache.aget([KEY]) == {}
        await cache.aclear()
        await asyncio.to_thread(cache.clear, [NS])
        assert "tier_failed" in {notice.kind for notice in notices.all}
        assert await asyncio.to_thread(cache.get, [KEY]) == {}


def test_lookups_and_what_they_saved_are_counted():
    clock = FakeClock()
    ops = ToolOps("counted", clock=clock)
    cache = ToolOpsNodeCache(ops, name="nodes")
    cache.get([KEY])
    clock.advance(2.0)
    cache.set({KEY: ([1], 60)})
    cache.get([KEY])
    cache.get([KEY])
    report = ops.stats()["nodes"]
    assert (report.misses, report.hits, report.saved_seconds) == (1, 2, 4.0)


KEPT = {
    *PLAIN,
    "IP address",
    "Decimal",
    "Decimal nan",
    "Path",
    "UUID",
    "ZoneInfo",
    "bytes",
    "date",
    "datetime in UTC",
    "deque",
    "frozenset",
    "infinity",
    "int keys",
    "minus zero",
    "mixed keys",
    "naive datetime",
    "named timezone",
    "nan",
    "numpy array",
    "numpy array in Fortran order",
    "numpy array inside",
    "numpy array with nan",
    "regular expression",
    "set",
    "time",
    "timedelta",
    "tuple as a key",
}
"""Kinds that LangGraph's serializer brings back whole."""
OWN = {
    "IntEnum",
    "NamedTuple",
    "SecretStr",
    "dataclass with slots",
    "enum",
    "namedtuple",
    "namedtuple inside",
    "pydantic model",
}
"""Kinds that it brings back too where their classes are allowed; it knows no other way to tell."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_come_back_in_value_and_type_is_not_kept(kind, caplog):
    for serde, kept in (
        (None, KEPT),
        (JsonPlusSerializer(allowed_msgpack_modules=True), KEPT | OWN),
    ):
        cache = ToolOpsNodeCache(ToolOps("kinds"), serde=serde)
        value = KINDS[kind]()
        cache.set({KEY: (deque([("out", value), ("branch:to:next", None)]), None)})
        found = cache.get([KEY])
        assert (KEY in found) is (kind in kept)
        for writes in found.values():
            assert type(writes) is deque
            assert [type(write) for write in writes] == [tuple, tuple]
            assert describe(writes[0][1]) == describe(value)


def test_a_warning_names_the_node_the_place_and_the_kind_once(caplog):
    cache = ToolOpsNodeCache(ToolOps("told"))
    for number in range(3):
        key = (NS, str(number))
        cache.set({key: (deque([("out", {"seen": [Counter("a")]})]), None)})
    cache.set({KEY: (deque([("out", {"seen": [(number, 2)]})]), None)})
    cache.set({KEY: (deque([("out", {"seen": object()})]), None)})
    told = [record.getMessage() for record in caplog.records if record.name == "langchain_toolops"]
    start = "Results of the node 'shop' are not kept: in 'out', "
    assert [each.removeprefix(start) for each in told] == [
        "seen[0]: collections.Counter comes back as dict",
        "seen[0]: tuple comes back as list",
        "the serializer refuses dict (TypeError)",
    ]


# -- in a graph


class State(TypedDict):
    question: str
    answers: Annotated[list, operator.add]


def a_graph(cache, runs, *, ttl=60, aio=False):
    def answer(state):
        runs.append(state["question"])
        return {"answers": [f"{state['question']}!"]}

    async def aanswer(state):
        return answer(state)

    def other(state):
        runs.append("other")
        return {"answers": ["other"]}

    graph = StateGraph(State)
    graph.add_node("answer", aanswer if aio else answer, cache_policy=CachePolicy(ttl=ttl))
    graph.add_node("other", other, cache_policy=CachePolicy())
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "other")
    graph.add_edge("other", END)
    return graph.compile(cache=cache)


def test_a_graph_runs_each_node_once(ops):
    runs: list[str] = []
    graph = a_graph(ToolOpsNodeCache(ops), runs)
    given = {"question": "why", "answers": []}
    first, second = graph.invoke(given), graph.invoke(given)
    assert first == second == {"question": "why", "answers": ["why!", "other"]}
    assert runs == ["why", "other"]
    chunks = list(graph.stream(given, stream_mode="updates"))
    assert chunks[0]["__metadata__"] == {"cached": True}
    graph.invoke({"question": "how", "answers": []})
    assert runs == ["why", "other", "how", "other"]
    graph.clear_cache(["answer"])
    graph.invoke(given)
    assert runs[4:] == ["why"]


async def test_a_graph_runs_each_node_once_on_a_loop(ops):
    runs: list[str] = []
    graph = a_graph(ToolOpsNodeCache(ops), runs, aio=True)
    given = {"question": "why", "answers": []}
    first, second = await graph.ainvoke(given), await graph.ainvoke(given)
    assert first == second == {"question": "why", "answers": ["why!", "other"]}
    assert runs == ["why", "other"]
    await graph.aclear_cache()
    await graph.ainvoke(given)
    assert len(runs) == 4
    await ops.aclose()


def test_two_loops_after_each_other_share_the_cache(ops):
    runs: list[str] = []
    graph = a_graph(ToolOpsNodeCache(ops), runs, aio=True)

    async def ask():
        return await graph.ainvoke({"question": "why", "answers": []})

    assert asyncio.run(ask()) == asyncio.run(ask())
    assert runs == ["why", "other"]


def test_a_node_that_fails_or_interrupts_is_not_kept():
    runs = []

    def fail(state):
        runs.append(state["question"])
        if state["question"] == "ask":
            interrupt("are you sure?")
        raise KeyError(state["question"])

    graph = StateGraph(State)
    graph.add_node("fail", fail, cache_policy=CachePolicy())
    graph.add_edge(START, "fail")
    graph = graph.compile(cache=ToolOpsNodeCache(ToolOps("failing")))
    for _ in range(2):
        with pytest.raises(KeyError):
            graph.invoke({"question": "fail", "answers": []})
    assert runs == ["fail", "fail"]


async def run(graph, given, config, way):
    """Run a graph to its end, or to where it waits for an answer, in one of LangGraph's ways."""
    if way == "invoke":
        return await asyncio.to_thread(graph.invoke, given, config)
    if way == "ainvoke":
        return await graph.ainvoke(given, config)
    if way == "stream":
        chunks = await asyncio.to_thread(
            lambda: list(graph.stream(given, config, stream_mode="values"))
        )
    else:
        chunks = [each async for each in graph.astream(given, config, stream_mode="values")]
    return chunks[-1]


WAYS = ["invoke", "ainvoke", "stream", "astream"]


async def answers_of_two_threads(graph, way):
    """Let two threads run into an interrupt each, and answer each in its own way."""
    found = []
    for thread in ("yes", "no"):
        config = {"configurable": {"thread_id": thread}}
        asked = await run(graph, {"question": "pay?"}, config, way)
        while "__interrupt__" in asked:
            asked = await run(graph, Command(resume=thread), config, way)
        found.append(asked["answers"])
    return found


@pytest.mark.parametrize("way", WAYS)
async def test_an_answer_of_a_human_is_of_its_thread_alone(way):
    def ask(state):
        return {"answers": [interrupt("sure?"), interrupt("really?")]}

    graph = StateGraph(State)
    graph.add_node("ask", ask, cache_policy=CachePolicy())
    graph.add_edge(START, "ask")
    compiled = graph.compile(
        cache=ToolOpsNodeCache(ToolOps("asking")), checkpointer=InMemorySaver()
    )
    assert await answers_of_two_threads(compiled, way) == [["yes", "yes"], ["no", "no"]]


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_tier_that_raises_is_a_miss_and_no_error(trouble, local):
    cache = ToolOpsNodeCache(ToolOps(tiers=[Broken(trouble, local=local, forgets=True)]))
    key = (("node",), "key")
    cache.set({key: (1, None)})
    await cache.aset({key: (1, 60)})
    assert cache.get([key]) == await cache.aget([key]) == {}
    for namespaces in (None, [("node",)]):
        cache.clear(namespaces)
        await cache.aclear(namespaces)


async def test_the_text_of_a_message_is_kept(cache):
    text = AIMessage("sunny").text
    assert type(text) is not str
    await cache.set({KEY: (deque([("out", {"a": [text]})]), None)})
    kept = await cache.get([KEY])
    assert kept == {KEY: deque([("out", {"a": ["sunny"]})])}
