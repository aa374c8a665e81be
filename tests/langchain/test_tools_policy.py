"""Keys, stored results and policies of wrapped LangChain tools."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import Latch
from hypothesis import given
from hypothesis import strategies as st
from langchain.tools import ToolRuntime
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForToolRun
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool, Tool, ToolException, tool
from langgraph.config import get_config, get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command
from langsmith import RunTree, get_current_run_tree, tracing_context
from pydantic import BaseModel, Field, ValidationError
from servers import wait_for
from tool_kinds import KINDS

from langchain_toolops.tools import wrap_tool
from toolops_plugins import (
    Cache,
    CallEvent,
    CircuitBreaker,
    CircuitOpen,
    Policy,
    Retry,
    Semantic,
    SemanticCache,
    ToolOps,
)
from toolops_plugins.testing import FakeClock

ANEW = Retry(attempts=3, wait=0.0)


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps() as ops:
        yield ops


def call_of(tool: BaseTool, args: dict[str, Any], id_: str = "call-1") -> dict[str, Any]:
    return {"type": "tool_call", "id": id_, "name": tool.name, "args": args}


# What counts in the key


class Trip(BaseModel):
    city: str
    days: int = 3
    tags: frozenset[str] = frozenset()
    budget: float | None = None


ARGUMENTS = st.fixed_dictionaries(
    {"city": st.text(max_size=3)},
    optional={
        "days": st.integers(0, 5),
        "tags": st.frozensets(st.sampled_from("abc")),
        "budget": st.none() | st.integers(0, 3).map(float),
    },
)


@given(first=ARGUMENTS, second=ARGUMENTS, data=st.data())
def test_equal_arguments_share_one_call_however_they_are_spelt(
    first: dict[str, Any], second: dict[str, Any], data: st.DataObject
) -> None:
    runs: list[Trip] = []

    def trip(**arguments: Any) -> int:
        runs.append(Trip(**arguments))
        return len(runs)

    wrapped = wrap_tool(
        StructuredTool.from_function(trip, name="trip", description="Go.", args_schema=Trip),
        ops=ToolOps(),
    )

    def spelt(arguments: dict[str, Any]) -> dict[str, Any]:
        full = Trip(**arguments).model_dump() if data.draw(st.booleans()) else arguments
        other = {**full}
        if "days" in other and data.draw(st.booleans()):
            other["days"] = str(other["days"])
        if "tags" in other:
            other["tags"] = data.draw(st.permutations(sorted(other["tags"])))
        if other.get("budget") is not None and data.draw(st.booleans()):
            other["budget"] = int(other["budget"])
        names = data.draw(st.permutations(list(other)))
        return {name: other[name] for name in names}

    assert wrapped.invoke(spelt(first)) == 1
    assert wrapped.invoke(spelt(first)) == 1
    equal = Trip(**first) == Trip(**second)
    assert wrapped.invoke(spelt(second)) == (1 if equal else 2)
    assert (wrapped.key(spelt(first)) == wrapped.key(spelt(second))) is equal


def test_without_a_schema_defaults_are_those_of_the_signature(ops: ToolOps) -> None:
    class Adder(BaseTool):
        name: str = "add"
        description: str = "Add."
        runs: list[Any] = Field(default_factory=list)

        def _run(self, a: Any, b: int = 2, **more: int) -> int:
            self.runs.append((a, b, more))
            return len(self.runs)

    wrapped = wrap_tool(Adder(), ops=ops)
    given = [{"a": 1}, {"b": 2, "a": 1}, {"a": 1, "b": 2}]
    assert [wrapped.invoke(each) for each in given] == [1, 1, 1]
    assert wrapped.invoke({"a": "1"}) == 2  # nothing says that this is a number
    assert wrapped.invoke("1") == 2
    assert wrapped.invoke({"a": 1, "c": 3}) == 3


def test_a_json_schema_tells_what_is_missing_from_what_is_null(ops: ToolOps) -> None:
    runs: list[Any] = []

    def look(**given: Any) -> int:
        runs.append(given)
        return len(runs)

    schema = {"type": "object", "properties": {"on": {}, "a-b": {}, "class": {}}, "title": "look"}
    wrapped = wrap_tool(
        StructuredTool.from_function(look, name="look", description="L.", args_schema=schema),
        ops=ops,
    )
    asked: list[dict[str, Any]] = [{}, {"on": None}, {"a-b": 1}, {"a-b": 2}, {"class": 1}, {"x": 1}]
    assert [wrapped.invoke(each) for each in asked * 2] == [1, 2, 3, 4, 5, 6] * 2


def test_name_and_version_tell_tools_apart(ops: ToolOps) -> None:
    runs: list[str] = []

    def made(name: str) -> BaseTool:
        return Tool(name, lambda text: runs.append(name) or f"{name} {text}", "Say it.")

    say = wrap_tool(made("say"), ops=ops)
    assert wrap_tool(made("say"), ops=ops).key("x") == say.key("x")
    others = [wrap_tool(made("tell"), ops=ops), wrap_tool(made("say"), ops=ops, version="2")]
    assert [each.invoke("x") for each in (say, *others, say)] == [
        "say x",
        "tell x",
        "say x",
        "say x",
    ]
    assert runs == ["say", "tell", "say"]
    assert others[1].policy.cache is not None
    assert others[1].policy.cache.version == "2"


async def test_a_call_can_be_forgotten(ops: ToolOps) -> None:
    runs: list[Any] = []
    wrapped = wrap_tool(KINDS[0].make(runs), ops=ops)
    for forget in (
        lambda: wrapped.invalidate({"city": "Oslo", "days": "3"}),
        lambda: wrapped.invalidate(call_of(wrapped, {"city": "Oslo"})),
        lambda: wrapped.invalidate("Oslo"),
        lambda: None,
    ):
        await asyncio.to_thread(wrapped.invoke, {"city": "Oslo"})
        forget()
    assert len(runs) == 4
    await wrapped.ainvalidate({"city": "Oslo"})
    await asyncio.to_thread(wrapped.invoke, {"city": "Oslo"})
    assert len(runs) == 5
    with pytest.raises(ValidationError):
        wrapped.key({"days": 1})


def test_policies_know_the_arguments_by_name(ops: ToolOps) -> None:
    runs: list[Any] = []
    given: list[Any] = []

    def price(city: str, days: int = 3) -> int:
        runs.append((city, days))
        if city == "Atlantis":
            raise LookupError(city)
        return len(runs)

    wrapped = wrap_tool(
        StructuredTool.from_function(price, description="Price."),
        ops=ops,
        cache=Cache(ttl=60, tags=["city:{city}"], key=lambda city, days: city.lower()),
        retry=None,
        fallback=lambda error, arguments: given.append(arguments) or "none",
    )
    assert [wrapped.invoke({"city": city}) for city in ("Oslo", "oslo", "Rome")] == [1, 1, 2]
    ops.invalidate(tags=["city:Oslo"])
    assert wrapped.invoke({"city": "OSLO"}) == 3
    assert wrapped.invoke({"city": "Atlantis"}) == "none"
    assert given == [{"city": "Atlantis", "days": 3}]


# What is neither kept nor shared


def test_what_is_addressed_to_a_call_is_never_kept(ops: ToolOps) -> None:
    runs: list[str] = []

    @tool
    def act(what: str) -> Any:
        """Act."""
        runs.append(what)
        if what == "command":
            return Command(update={"done": True})
        message = ToolMessage("done", tool_call_id="own", status="error")
        return [message] if what == "messages" else message

    wrapped = wrap_tool(act, ops=ops)
    for what in ("command", "message", "messages"):
        expected = act.invoke({"what": what})
        assert [wrapped.invoke({"what": what}) for _ in range(2)] == [expected] * 2
    assert len(runs) == 9


def test_a_malformed_artifact_is_not_kept(ops: ToolOps) -> None:
    results: list[Any] = ["no tuple", ("three", "of", "them"), ("text", 1)]

    @tool(response_format="content_and_artifact")
    def find(what: str) -> Any:
        """Find it."""
        return results.pop(0)

    wrapped = wrap_tool(find, ops=ops, retry=None)
    for _ in range(2):
        with pytest.raises(ValueError, match="two-tuple"):
            wrapped.invoke({"what": "x"})
    assert [wrapped.invoke({"what": "x"}) for _ in range(2)] == ["text", "text"]


async def test_a_generator_passes_through(ops: ToolOps) -> None:
    # LangChain knows no tools that stream: it hands on the generator that the function made.
    @tool
    async def count(to: int) -> Any:
        """Count."""
        for n in range(to):
            yield n

    wrapped = wrap_tool(count, ops=ops)
    for _ in range(2):
        assert [n async for n in await wrapped.ainvoke({"to": 3})] == [0, 1, 2]


@pytest.mark.parametrize("kind", ["failing"])
def test_a_tool_exception_is_an_answer_to_the_model(kind: str, ops: ToolOps) -> None:
    runs: list[Any] = []
    original = next(each for each in KINDS if each.name == kind).make(runs)
    wrapped = wrap_tool(
        original,
        ops=ops,
        retry=ANEW,
        breaker=CircuitBreaker(min_calls=1, window=2),
        fallback="never",
        cache=Cache(ttl=60, stale_ttl=60, negative=Exception),
    )
    for n in range(1, 4):
        message = wrapped.invoke(call_of(wrapped, {"city": "Oslo"}, f"call-{n}"))
        assert (message.content, message.status) == ("sorry: no weather in Oslo", "error")
        assert message.tool_call_id == f"call-{n}"
        assert len(runs) == n
    wrapped.handle_tool_error = False
    with pytest.raises(ToolException, match="no weather"):
        wrapped.invoke({"city": "Oslo"})


def test_a_tool_exception_that_a_policy_names_is_a_failure() -> None:
    runs: list[str] = []

    @tool
    def look(where: str) -> str:
        """Look."""
        runs.append(where)
        raise ToolException(where)

    def count(**policy: Any) -> int:
        runs.clear()
        with ToolOps() as ops:
            wrapped = wrap_tool(look, ops=ops, policy=Policy(**policy))
            for _ in range(2):
                with pytest.raises(ToolException):
                    wrapped.invoke({"where": "x"})
        return len(runs)

    once = Retry(attempts=2, wait=0.0, on=(OSError, ToolException))
    assert count(retry=once) == 4
    assert count(retry=Retry(attempts=2, wait=0.0, on=lambda e: "x" in str(e))) == 4
    assert count(retry=Retry(attempts=2, wait=0.0, on=lambda e: "y" in str(e))) == 2
    assert count(cache=Cache(ttl=60, negative=ToolException)) == 1


def test_what_a_tool_cannot_do_is_no_trouble_that_passes(ops: ToolOps) -> None:
    class AsyncOnly(BaseTool):
        name: str = "later"
        description: str = "Later."
        runs: list[str] = Field(default_factory=list)

        def _run(self, text: str) -> str:
            self.runs.append("thread")
            raise NotImplementedError("only asynchronously")

        async def _arun(self, text: str) -> str:
            self.runs.append("loop")
            return text

    wrapped = wrap_tool(AsyncOnly(), ops=ops, retry=ANEW, fallback="never")
    with pytest.raises(NotImplementedError, match="only asynchronously"):
        wrapped.invoke("x")
    assert asyncio.run(wrapped.ainvoke("x")) == "x"
    assert wrapped.runs == ["thread", "loop"]


def test_failures_are_retried_counted_and_stood_in_for() -> None:
    clock, runs = FakeClock(), list[str]()
    trouble = [OSError("first")]

    @tool
    def look(where: str) -> str:
        """Look."""
        runs.append(where)
        if trouble:
            raise trouble[0] if where == "always" else trouble.pop()
        return f"{where} {len(runs)}"

    with ToolOps(clock=clock) as ops:
        wrapped = wrap_tool(
            look,
            ops=ops,
            cache=Cache(ttl=10, stale_if_error=100, jitter=0.0, beta=0.0),
            retry=ANEW,
            breaker=CircuitBreaker(min_calls=4, window=4, failure_rate=0.9),
        )
        assert wrapped.invoke({"where": "here"}) == "here 2"
        clock.advance(11)
        trouble.extend([OSError("down")] * 3)
        assert wrapped.invoke({"where": "here"}) == "here 2"
        trouble.append(OSError("down"))
        with pytest.raises(CircuitOpen):  # it opens at the first of the attempts
            wrapped.invoke({"where": "always"})
        assert len(runs) == 6


def test_a_hit_may_be_changed_without_harm(ops: ToolOps) -> None:
    kind = next(kind for kind in KINDS if kind.name == "documents")
    wrapped = wrap_tool(kind.make([]), ops=ops)
    for n in range(3):
        message = wrapped.invoke(call_of(wrapped, kind.args, str(n)))
        assert message.tool_call_id == str(n)
        assert [type(each) for each in message.artifact] == [Document, Document]
        assert message.artifact[0].metadata == {"n": 0}
        message.artifact[0].metadata["n"] = "changed"
        message.artifact.clear()


async def test_questions_in_other_words_share_an_answer(tmp_path: Path) -> None:
    runs: list[tuple[str, str]] = []

    @tool
    async def search(question: str, language: str = "en") -> str:
        """Search."""
        runs.append((question, language))
        return f"{question} ({language})"

    async with ToolOps(semantic=SemanticCache(path=tmp_path)) as ops:
        wrapped = wrap_tool(search, ops=ops, semantic=Semantic(on="question", threshold=0.7))
        first = await wrapped.ainvoke({"question": "How do I reset my password?"})
        again = {"question": "How can I reset my password?"}
        assert await wrapped.ainvoke(call_of(wrapped, again, "mine")) == ToolMessage(
            first, name="search", tool_call_id="mine"
        )
        assert await wrapped.ainvoke({**again, "language": "no"}) != first
        assert len(runs) == 2


@pytest.mark.parametrize("aio", [False, True])
def test_a_stale_result_is_served_while_a_fresh_one_is_fetched(*, aio: bool) -> None:
    runs: list[str] = []
    clock = FakeClock()

    def look(where: str) -> str:
        runs.append(where)
        return f"{where} {len(runs)}"

    async def alook(where: str) -> str:
        return look(where)

    with ToolOps(clock=clock) as ops:
        wrapped = wrap_tool(
            StructuredTool.from_function(look, alook, name="look", description="Look."),
            ops=ops,
            cache=Cache(ttl=10, stale_ttl=100, jitter=0.0, beta=0.0),
        )

        async def ask() -> str:
            message = await wrapped.ainvoke(call_of(wrapped, {"where": "here"}))
            await ops._on_loop().drain()
            return str(message.content)

        def asked() -> str:
            if aio:
                return asyncio.run(ask())
            return str(wrapped.invoke(call_of(wrapped, {"where": "here"})).content)

        assert asked() == "here 1"
        clock.advance(11)
        assert asked() == "here 1"
        wait_for(lambda: asked() == "here 2", "the fresh result")
        assert len(runs) == 2


class Heard(BaseCallbackHandler):
    """Notes the names of the runs that begin under it."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_chain_start(self, *_: Any, **given: Any) -> None:
        self.names.append(given["name"])


def child(name: str, config: Any = None) -> None:
    RunnableLambda(lambda x: x, name=name).invoke(1, config)


def by_config(city: str, config: RunnableConfig) -> str:
    """Look."""
    get_stream_writer()("looking")
    child("child", config)
    return str(config["configurable"]["user"])


def by_callbacks(city: str, callbacks: Any) -> str:
    """Look."""
    get_stream_writer()("looking")
    child("child", {"callbacks": callbacks})
    return str(get_config()["configurable"]["user"])


def by_context(city: str) -> str:
    """Look."""
    get_stream_writer()("looking")
    child("child")
    return str(get_config()["configurable"]["user"])


def by_runtime(city: str, runtime: ToolRuntime) -> str:
    """Look."""
    runtime.stream_writer("looking")
    child("child", runtime.config)
    return str(runtime.config["configurable"]["user"])


class Managed(BaseTool):
    name: str = "managed"
    description: str = "Look."

    def _run(self, city: str, run_manager: CallbackManagerForToolRun) -> str:
        get_stream_writer()("looking")
        child("child", {"callbacks": run_manager.get_child()})
        return str(get_config()["configurable"]["user"])


def both_ways(function: Any) -> BaseTool:
    async def aio(**given: Any) -> str:
        return str(function(**given))

    aio.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # the class says less
    aio.__annotations__ = function.__annotations__
    return StructuredTool.from_function(function, aio)


REFRESHED = [
    *map(both_ways, (by_config, by_callbacks, by_context, by_runtime)),
    tool(by_context),
    Managed(),
]


@pytest.mark.parametrize("aio", [False, True])
@pytest.mark.parametrize("original", REFRESHED, ids=lambda each: each.name)
def test_a_refresh_begins_nothing_under_a_run_that_has_ended(
    original: BaseTool, *, aio: bool
) -> None:
    clock, runs, gone = FakeClock(), [], Latch()
    called = AIMessage(
        "", tool_calls=[{"id": "1", "name": original.name, "args": {"city": "Oslo"}}]
    )
    kept = Cache(ttl=10, stale_ttl=100, jitter=0.0, beta=0.0)
    with ToolOps(clock=clock, max_threads=1) as ops:

        @ops.tool(cache=kept)
        def occupy() -> None:
            runs.append(1)
            if len(runs) > 1:
                gone.wait()

        graph = StateGraph(MessagesState)
        graph.add_node(
            "tools", ToolNode([wrap_tool(original, ops=ops, injected="ignore", cache=kept)])
        )
        graph.add_edge(START, "tools")
        compiled = graph.compile()
        given = {"messages": [called]}

        async def ask(config: Any) -> list[Any]:
            heard = [each async for each in compiled.astream(given, config, stream_mode="custom")]
            gone.open()
            await ops._on_loop().drain()
            return heard

        def asked(heard: Heard) -> list[Any]:
            config: Any = {"configurable": {"user": "ann"}, "callbacks": [heard]}
            occupy()
            if aio:
                return asyncio.run(ask(config))
            return list(compiled.stream(given, config, stream_mode="custom"))

        first, second = Heard(), Heard()
        assert asked(first) == ["looking"]
        assert first.names.count("child") == 1
        clock.advance(11)
        # The one thread is busy until the graph has gone.
        assert asked(second) == []
        gone.open()

        def refreshes() -> list[int]:
            return [each.refreshes for each in ops.stats().tools if each.name == original.name]

        wait_for(lambda: refreshes() == [1], "the refresh")
        assert "child" not in second.names
        (stats,) = (each for each in ops.stats().tools if each.name == original.name)
        assert (stats.calls, stats.stale, stats.errors) == (2, 1, 0)
        assert asked(Heard()) == []
        (stats,) = (each for each in ops.stats().tools if each.name == original.name)
        assert (stats.hits, stats.refreshes) == (1, 1)


def test_a_refresh_that_begins_at_once_is_none_of_its_callers() -> None:
    clock, runs, began = FakeClock(), [], Latch()

    def look() -> str:
        """Look."""
        runs.append(1)
        if len(runs) > 1:
            began.open()
        child("child")
        return "seen"

    def told(event: CallEvent) -> None:
        if event.outcome == "stale":
            began.wait()  # and the caller with it

    first, second = Heard(), Heard()
    with ToolOps(clock=clock, sinks=[told]) as ops:
        wrapped = wrap_tool(look, ops=ops, cache=Cache(ttl=10, stale_ttl=100, jitter=0.0))
        wrapped.invoke({}, {"callbacks": [first]})
        clock.advance(11)
        wrapped.invoke({}, {"callbacks": [second]})
        wait_for(lambda: ops.stats().tools[0].refreshes == 1, "the refresh")
    assert first.names == ["child"]
    assert second.names == []


def test_a_refresh_belongs_to_no_trace() -> None:
    clock, parents = FakeClock(), []

    async def look() -> str:
        """Look."""
        parents.append(get_current_run_tree())
        return "seen"

    async def ask() -> None:
        await wrapped.ainvoke({})
        await ops._on_loop().drain()

    with ToolOps(clock=clock) as ops:
        wrapped = wrap_tool(look, ops=ops, cache=Cache(ttl=10, stale_ttl=100, jitter=0.0))
        trace = RunTree(name="asked", run_type="chain")
        with tracing_context(parent=trace, enabled=False):
            asyncio.run(ask())
            clock.advance(11)
            asyncio.run(ask())
    assert parents == [trace, None]


def test_a_refresh_of_a_tool_that_delegates_runs_it() -> None:
    clock, runs = FakeClock(), []
    kind = next(kind for kind in KINDS if kind.name == "delegating_class")

    async def ask() -> None:
        await wrapped.ainvoke(kind.args)
        await ops._on_loop().drain()

    with ToolOps(clock=clock) as ops:
        kept = Cache(ttl=10, stale_ttl=100, jitter=0.0)
        wrapped = wrap_tool(kind.make(runs), ops=ops, cache=kept)
        for n in (1, 2, 2):
            asyncio.run(ask())
            assert len(runs) == n
            if n == 1:
                clock.advance(11)


def test_a_policy_that_is_given_is_all_that_applies(ops: ToolOps) -> None:
    def send(text: str) -> str:
        """Send it."""
        return text

    for policy in (Policy(), Policy(retry=ANEW), Policy(cache=Cache(ttl=5))):
        assert wrap_tool(send, ops=ops, policy=policy).policy == policy
    assert wrap_tool(send, ops=ops, cache=None).policy == Policy(retry=Retry(), coalesce=True)
    assert wrap_tool(send, ops=ops, policy=Policy(retry=ANEW), retry=None).policy == Policy()


def test_a_runtime_that_is_switched_off_leaves_the_tool_alone(ops: ToolOps) -> None:
    runs: list[Any] = []
    wrapped = wrap_tool(KINDS[0].make(runs), ops=ops)
    ops.active = False
    for n in range(1, 3):
        wrapped.invoke({"city": "Oslo"})
        assert len(runs) == n
