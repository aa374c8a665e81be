"""Tool calls of agents through ToolOpsMiddleware, the agents' models on a loopback server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from callers import LONG, Latch, start
from langchain.agents import AgentState, create_agent
from langchain.tools import ToolRuntime
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import (
    BaseTool,
    InjectedToolCallId,
    StructuredTool,
    Tool,
    ToolException,
    convert_runnable_to_tool,
    tool,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.prebuilt import InjectedState
from langgraph.types import Command, interrupt
from pydantic import BaseModel, Field
from servers import wait_for

from langchain_toolops.middleware import ToolOpsMiddleware
from langchain_toolops.tools import wrap_tool
from toolops_plugins import (
    Cache,
    CircuitBreaker,
    CircuitOpen,
    Policy,
    Redis,
    Retry,
    Semantic,
    SemanticCache,
    ToolOps,
)
from toolops_plugins.testing import FakeClock

KEPT = Policy(cache=Cache(ttl=60))
OTHER_WORDS = KEPT.replace(semantic=Semantic(on="query", threshold=0.8))


class Mine(AgentState):
    """A state that knows whose it is."""

    user: str


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps("middleware", clock=FakeClock()) as runtime:
        yield runtime


@pytest.fixture
def arguments() -> dict[str, Any]:
    """With which the model calls the tool."""
    return {}


@pytest.fixture
def agent(ops, chat, openai_server, arguments):
    """Return a function that makes agents whose model calls the last tool once."""

    def reply(body):
        last = body["messages"][-1]
        if last["role"] == "tool":
            return f"got {last['content']}"
        return [{"name": body["tools"][-1]["function"]["name"], "arguments": arguments}]

    def make(*tools, policy: Any = KEPT, runtime=None, injected="refuse", **given):
        openai_server.reply = reply
        ours = ToolOpsMiddleware(runtime or ops, model=None, tools=policy, injected=injected)
        return create_agent(chat(), [*tools], middleware=[ours], **given)

    return make


@pytest.fixture
def runs() -> list[Any]:
    """The calls that tools record."""
    return []


def result(run: dict[str, Any]) -> ToolMessage:
    """Return the message of the last tool call, which answers the model's own."""
    message = next(m for m in reversed(run["messages"]) if isinstance(m, ToolMessage))
    ids = [c["id"] for m in run["messages"] if m.type == "ai" for c in m.tool_calls]
    assert message.tool_call_id == ids[-1]
    return message


def aboard(ops: ToolOps) -> int:
    flights = ops._shared.flights
    return sum(map(flights.count_callers, list(flights._table)))


# Hits


def test_a_hit_is_a_message_for_the_call_that_asked(agent, ask, runs):
    @tool(response_format="content_and_artifact")
    def look() -> tuple[str, tuple[int, bytes]]:
        """Look."""
        runs.append(1)
        return "seen", (1, b"2")

    made = agent(look)
    messages = [result(ask(made, "hi")) for _ in "123"]
    assert len(runs) == 1
    assert len({m.id for m in messages}) == len({m.tool_call_id for m in messages}) == 3
    for message in messages:
        assert (message.content, message.artifact) == ("seen", (1, b"2"))
        assert (message.name, message.status) == ("look", "success")


def test_a_hit_survives_what_its_receiver_does_to_it(agent, ask):
    @tool(response_format="content_and_artifact")
    def look() -> tuple[str, list[int]]:
        """Look."""
        return "seen", [1]

    made = agent(look)
    for _ in "123":
        found = result(ask(made, "hi"))
        assert found.artifact == [1]
        found.artifact.append(2)


def test_artifacts_go_through_a_real_server(agent, ask, runs, valkey, namespace):
    @tool(response_format="content_and_artifact")
    def look() -> tuple[list[dict[str, str]], tuple[int, bytes]]:
        """Look."""
        runs.append(1)
        return [{"type": "text", "text": "seen"}], (1, b"2")

    for _ in "12":
        with ToolOps(namespace, [Redis(valkey.url)]) as runtime:
            found = result(ask(agent(look, runtime=runtime), "hi"))
    assert len(runs) == 1
    assert (found.content, found.artifact) == ([{"type": "text", "text": "seen"}], (1, b"2"))


def test_calls_are_equal_where_their_validated_arguments_are(agent, ask, arguments, runs):
    @tool
    def add(a: int, b: int = 2) -> int:
        """Add."""
        runs.append((a, b))
        return a + b

    made = agent(add)
    for given in ({"a": 1}, {"a": "1"}, {"b": 2, "a": 1}, {"a": 1, "b": 3}):
        arguments.clear()
        arguments.update(given)
        ask(made, "hi")
    assert runs == [(1, 2), (1, 3)]


def kinds(runs: list[Any]) -> Iterator[tuple[BaseTool, str]]:
    """Yield tools of each kind, with the name of their argument."""

    def look(place: str) -> str:
        runs.append(place)
        return place

    async def alook(place: str) -> str:
        return look(place)

    class Look(BaseTool):
        name: str = "look"
        description: str = "Look."

        def _run(self, place: str) -> str:
            return look(place)

    class Open(BaseTool):
        name: str = "look"
        description: str = "Look."

        def _run(self, **kwargs: Any) -> str:
            return look(kwargs.get("place") or kwargs["kwargs"]["place"])

    class Aliased(BaseModel):
        place: str = Field(alias="from")

    schema = {"title": "look", "type": "object", "properties": {"place": {"type": "string"}}}
    known = {"name": "look", "description": "Look."}
    yield Tool(func=look, coroutine=alook, **known), "__arg1"
    yield Look(), "place"
    yield Open(), "place"
    yield StructuredTool(func=look, coroutine=alook, args_schema=schema, **known), "place"
    yield StructuredTool(func=look, coroutine=alook, args_schema=Aliased, **known), "from"


@pytest.mark.parametrize("kind", range(5))
def test_every_kind_of_tool_is_known_by_its_arguments(agent, ask, arguments, runs, kind):
    each, argument = list(kinds(runs))[kind]
    made = agent(each)
    for place in ("attic", "cellar", "attic", "cellar"):
        arguments[argument] = place
        assert result(ask(made, "hi")).content == place
    assert runs == ["attic", "cellar"]


def test_tools_are_only_counted_unless_they_are_named(agent, ask, ops, runs):
    @tool
    def read() -> str:
        """Read."""
        runs.append("read")
        return "r"

    @tool
    def write() -> str:
        """Write."""
        runs.append("write")
        return "w"

    for policy, last in ((None, read), ({"read": KEPT}, read), ({"read": KEPT}, write)):
        first = write if last is read else read
        made = agent(first, last, policy=policy)
        for _ in "12":
            ask(made, "hi")
    assert runs == ["read", "read", "read", "write", "write"]
    calls = {report.name: report.calls for report in ops.stats().tools}
    assert (calls["read"], calls["write"]) == (4, 2)


def test_a_tool_that_was_wrapped_already_goes_its_own_way(agent, ask, ops, runs):
    @tool
    def look() -> str:
        """Look."""
        runs.append(1)
        return "seen"

    made = agent(wrap_tool(look, ops=ops, cache=Cache(ttl=60)))
    for _ in "12":
        assert result(ask(made, "hi")).content == "seen"
    assert len(runs) == 1
    assert {report.name: report.calls for report in ops.stats().tools}["look"] == 2


def test_both_ways_to_wrap_a_tool_keep_their_results_apart(agent, ask, ops):
    @tool
    def look() -> str:
        """Look."""
        return "seen"

    for policy in (KEPT, None, KEPT):
        each = look if policy else wrap_tool(look, ops=ops, cache=Cache(ttl=60))
        assert result(ask(agent(each, policy=policy), "hi")).content == "seen"


def test_a_message_and_what_the_tool_returned_are_kept_apart(agent, ask, ops, arguments):
    @tool(response_format="content_and_artifact")
    def look(place: str) -> tuple[str, list[int]]:
        """Look."""
        return place.upper(), [1]

    arguments["place"] = "attic"
    wrapped = wrap_tool(look, ops=ops, cache=Cache(ttl=60))
    for _ in "12":
        assert wrapped.invoke({"place": "attic"}) == "ATTIC"
        told = result(ask(agent(look, policy=KEPT), "hi"))
        assert (told.content, told.artifact) == ("ATTIC", [1])
    assert [report.misses for report in ops.stats().tools if report.name == "look"] == [2]


def test_results_can_be_tagged_by_arguments(agent, ask, ops, arguments, runs):
    @tool
    def look(place: str) -> str:
        """Look."""
        runs.append(place)
        return "seen"

    arguments["place"] = "attic"
    made = agent(look, policy=Policy(cache=Cache(ttl=60, tags=["place:{place}"])))
    for tag in ("place:cellar", "place:attic"):
        ask(made, "hi")
        ops.invalidate([tag])
    ask(made, "hi")
    assert len(runs) == 2


@pytest.mark.parametrize("policy", [OTHER_WORDS, {"search": OTHER_WORDS}], ids=["all", "named"])
def test_a_tool_can_be_asked_in_other_words(
    agent, ask, arguments, runs, policy, tmp_path: Path, caplog
):
    @tool
    def search(query: str, top: int = 3) -> str:
        """Search."""
        runs.append(query)
        return query

    with ToolOps(semantic=SemanticCache(tmp_path / "index")) as runtime:
        made = agent(search, policy=policy, runtime=runtime)
        for query in ("What is the capital of France?", "what's the capital of France"):
            arguments["query"] = query
            found = result(ask(made, "hi")).content
    assert runs == [found] == ["What is the capital of France?"]
    lines = [record for record in caplog.records if record.name == "langchain_toolops"]
    assert not lines  # the policy fits the tool


# What is not kept


def test_a_fallback_may_be_a_message(agent, ask):
    @tool
    def look() -> str:
        """Look."""
        raise ConnectionError

    instead = ToolMessage("blind", tool_call_id="", status="error", artifact=[1])
    messages = ask(agent(look, policy=Policy(fallback=instead)), "hi")["messages"]
    (found,) = (message for message in messages if isinstance(message, ToolMessage))
    assert (found.content, found.status, found.artifact) == ("blind", "error", [1])


def test_what_is_no_plain_result_is_never_kept(agent, ask, runs):
    @tool
    def command(call_id: Annotated[str, InjectedToolCallId]) -> Command:
        """Command."""
        runs.append("command")
        return Command(update={"messages": [ToolMessage("done", tool_call_id=call_id)]})

    @tool
    def message(call_id: Annotated[str, InjectedToolCallId]) -> ToolMessage:
        """Make a message."""
        runs.append("message")
        return ToolMessage("made", tool_call_id=call_id, additional_kwargs={"mine": call_id})

    @tool
    def named(call_id: Annotated[str, InjectedToolCallId]) -> ToolMessage:
        """Make a message in another name."""
        runs.append("named")
        return ToolMessage("made", tool_call_id=call_id, name="somebody")

    @tool
    def failing() -> str:
        """Fail, and say so."""
        runs.append("failing")
        raise ToolException("sorry")

    failing.handle_tool_error = True
    for each, content in (
        (command, "done"),
        (message, "made"),
        (named, "made"),
        (failing, "sorry"),
    ):
        made = agent(each, injected="ignore")
        for _ in "12":
            assert result(ask(made, "hi")).content == content
    assert runs == ["command"] * 2 + ["message"] * 2 + ["named"] * 2 + ["failing"] * 2


def test_what_does_not_fit_the_schema_is_told_to_the_model(agent, ask, arguments, openai_server):
    @tool
    def add(a: int) -> int:
        """Add."""
        return a

    arguments["a"] = "many"
    made = agent(add)
    for _ in "12":
        found = result(ask(made, "hi"))
        assert found.status == "error"
        assert "valid integer" in found.content
    arguments["a"] = 1
    assert result(ask(made, "hi")).content == "1"


def test_errors_are_tried_again_and_not_kept(agent, ask, runs):
    @tool
    def look() -> str:
        """Look."""
        runs.append(1)
        if len(runs) < 3:
            raise ConnectionError
        return "seen"

    made = agent(look, policy=KEPT.replace(retry=Retry(attempts=2)))
    with pytest.raises(ConnectionError):
        ask(made, "hi")
    assert result(ask(made, "hi")).content == "seen"


def test_a_breaker_and_a_fallback_stand_before_a_tool(agent, ask, runs):
    @tool
    def look() -> str:
        """Look."""
        runs.append(1)
        raise ConnectionError

    breaker = CircuitBreaker(window=2, min_calls=2)
    made = agent(look, policy=Policy(breaker=breaker))
    for _ in "12":
        with pytest.raises(ConnectionError):
            ask(made, "hi")
    with pytest.raises(CircuitOpen):
        ask(made, "hi")
    assert len(runs) == 2
    found = result(ask(agent(look, policy=Policy(breaker=breaker, fallback="blind")), "hi"))
    assert (found.content, found.name) == ("blind", "look")


# Injected arguments


@pytest.mark.parametrize("kind", ["state", "runtime"])
def test_one_users_data_never_reaches_another(agent, runs, kind):
    @tool
    def by_state(user: Annotated[str, InjectedState("user")]) -> str:
        """Look."""
        runs.append(user)
        return user

    @tool
    def by_runtime(runtime: ToolRuntime) -> str:
        """Look."""
        runs.append(runtime.state["user"])
        return runtime.state["user"]

    def asked(injected):
        each = by_state if kind == "state" else by_runtime
        made = agent(each, injected=injected, state_schema=Mine)
        runs.clear()
        for user in ("ann", "bob", "ann"):
            yield result(made.invoke({"messages": [("user", "hi")], "user": user})).content

    assert list(asked("refuse")) == ["ann", "bob", "ann"]
    assert runs == ["ann", "bob", "ann"]
    assert list(asked(lambda request: request.state["user"])) == ["ann", "bob", "ann"]
    assert runs == ["ann", "bob"]
    assert list(asked("ignore")) == ["ann", "ann", "ann"]  # which is what the user has asked for
    assert runs == ["ann"]


@pytest.mark.parametrize("kind", [str, dict])
def test_one_users_configuration_never_answers_another(agent, ask, arguments, runs, kind):
    def of_user(_: Any, config: RunnableConfig) -> str:
        runs.append(config["configurable"]["user"])
        return runs[-1]

    options = {"arg_types": {"city": str}} if kind is dict else {}
    look = convert_runnable_to_tool(
        RunnableLambda(of_user).with_types(input_type=kind),
        name="look",
        description="L.",
        **options,
    )
    arguments["city" if kind is dict else "__arg1"] = "Oslo"

    def asked(injected):
        made = agent(look, injected=injected)
        runs.clear()
        for user in ("ann", "bob", "ann"):
            yield result(ask(made, "hi", {"configurable": {"user": user}})).content

    assert list(asked("refuse")) == ["ann", "bob", "ann"]
    assert runs == ["ann", "bob", "ann"]
    counted = asked(lambda request: request.runtime.config["configurable"]["user"])
    assert list(counted) == ["ann", "bob", "ann"]
    assert runs == ["ann", "bob"]
    assert list(asked("ignore")) == ["ann", "ann", "ann"]


def test_a_call_that_cannot_be_told_apart_goes_past_the_cache(agent, ask, runs, caplog):
    @tool
    def look(user: Annotated[str, InjectedToolCallId]) -> str:
        """Look."""
        runs.append(user)
        return "seen"

    def fail(_: Any) -> Any:
        raise LookupError("nobody is logged in")

    made = agent(look, injected=fail)
    assert [result(ask(made, "hi")).content for _ in "12"] == ["seen", "seen"]
    assert len(runs) == 2
    assert caplog.text.count("go past the cache") == 1


# Behind the graph's back, and names that nobody has


def test_nothing_is_refreshed_behind_a_graph_that_has_gone(agent, ask, ops, runs):
    @tool
    def look() -> str:
        """Look."""
        runs.append(1)
        ops.clock.advance(0.1)  # what takes no time is never fetched early
        if len(runs) > 2:
            raise ConnectionError
        return f"seen {len(runs)}"

    eager = Cache(ttl=10, stale_ttl=1_000, jitter=0.0, beta=1e12)
    made = agent(look, policy=Policy(cache=eager))
    said = [result(ask(made, "hi")).content]
    ops.clock.advance(9.99)
    said += [result(ask(made, "hi")).content for _ in "12"]
    assert said == ["seen 1"] * 3
    ops.clock.advance(1)
    said = [result(ask(made, "hi")).content for _ in "12"]
    assert said == ["seen 2"] * 2
    ops.clock.advance(11)
    assert result(ask(made, "hi")).content == "seen 2"  # it stands in for the error
    assert len(runs) == 3
    assert not any(each.refreshes for each in ops.stats().tools)


@pytest.mark.parametrize("patience", [0.0, 5.0])
def test_how_long_a_result_stands_in_for_errors_can_still_be_said(agent, ask, ops, runs, patience):
    @tool
    def look() -> str:
        """Look."""
        runs.append(1)
        if len(runs) > 1:
            raise ConnectionError
        return "seen"

    kept = Cache(ttl=10, stale_ttl=1_000, stale_if_error=patience, jitter=0.0)
    made = agent(look, policy=Policy(cache=kept))
    ask(made, "hi")
    ops.clock.advance(12)
    if patience:
        assert result(ask(made, "hi")).content == "seen"
    else:
        with pytest.raises(ConnectionError):
            ask(made, "hi")


def test_names_that_a_model_makes_up_leave_nothing_behind(agent, ask, ops, openai_server):
    @tool
    def look() -> str:
        """Look."""
        return "seen"

    made = agent(look, policy=Policy(cache=Cache(), breaker=CircuitBreaker()))
    names = iter(("none", "nothing"))

    def reply(body):
        last = body["messages"][-1]
        return "done" if last["role"] == "tool" else [{"name": next(names), "arguments": {}}]

    openai_server.reply = reply
    for name in ("none", "nothing"):
        assert f"{name} is not a valid tool" in result(ask(made, "hi")).content
    assert not {"none", "nothing"} & {each.name for each in ops.stats().tools}


# Coalescing


async def test_fifty_tasks_run_a_tool_once(agent, ops, runs):
    release = Latch()

    @tool
    async def look() -> str:
        """Look."""
        runs.append(1)
        await release.opened()
        return "seen"

    made = agent(look)
    tasks = [asyncio.create_task(made.ainvoke({"messages": [("user", "hi")]})) for _ in range(50)]
    async with asyncio.timeout(LONG):
        while aboard(ops) < 50:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
    release.open()
    found = [result(run) for run in await asyncio.gather(*tasks)]
    assert len(runs) == 1
    assert {m.content for m in found} == {"seen"}
    assert len({m.tool_call_id for m in found}) == len({m.id for m in found}) == 50


def test_fifty_threads_run_a_tool_once(agent, ops, runs):
    release = Latch()

    @tool
    def look() -> str:
        """Look."""
        runs.append(1)
        release.wait()
        return "seen"

    made = agent(look)
    started = [start(made.invoke, {"messages": [("user", "hi")]}) for _ in range(50)]
    wait_for(lambda: aboard(ops) == 50, "all aboard", LONG)
    release.open()
    found = [result(run.result(LONG)) for run in started]
    assert len(runs) == 1
    assert len({m.tool_call_id for m in found}) == 50


def test_a_command_reaches_nobody_but_its_own_graph(agent, ops, runs):
    release = Latch()

    @tool
    def command(call_id: Annotated[str, InjectedToolCallId]) -> Command:
        """Command."""
        runs.append(call_id)
        release.wait()
        return Command(update={"messages": [ToolMessage("done", tool_call_id=call_id)]})

    made = agent(command, injected="ignore")
    started = [start(made.invoke, {"messages": [("user", "hi")]}) for _ in range(3)]
    wait_for(lambda: aboard(ops) == 3, "all aboard", LONG)
    assert len(runs) == 1
    release.open()
    assert {result(run.result(LONG)).tool_call_id for run in started} == set(runs)
    assert len(runs) == 3


# Interrupts


def test_an_interrupt_passes_through_every_policy(agent, ask, chat, ops, runs):
    @tool
    def buy() -> str:
        """Buy."""
        runs.append(1)
        return f"bought, since {interrupt('may I?')}"

    policy = Policy(
        cache=Cache(ttl=60, negative=Exception),
        retry=Retry(attempts=3),
        breaker=CircuitBreaker(window=1, min_calls=1),
        fallback="not bought",
    )
    made = agent(buy, policy=policy, checkpointer=InMemorySaver())
    for number, answer in enumerate(("yes", "of course")):
        config = {"configurable": {"thread_id": str(number)}}
        run = ask(made, "hi", config)
        assert [i.value for i in run["__interrupt__"]] == ["may I?"]
        assert len(runs) == 2 * number + 1
        run = made.invoke(Command(resume=answer), config)
        assert result(run).content == f"bought, since {answer}"
        assert len(runs) == 2 * number + 2
    assert ops.breakers.find("buy").state == "closed"


def test_graphs_that_run_a_tool_together_are_interrupted_each_for_itself(agent, ops, runs):
    release = Latch()

    @tool
    def buy() -> str:
        """Buy."""
        runs.append(1)
        release.wait()
        return f"bought, since {interrupt('may I?')}"

    made = agent(buy, checkpointer=InMemorySaver())
    configs = [{"configurable": {"thread_id": str(number)}} for number in range(3)]
    state = {"messages": [("user", "hi")]}
    started = [start(made.invoke, state, config) for config in configs]
    wait_for(lambda: aboard(ops) == 3, "all aboard", LONG)
    release.open()
    asked = list(itertools.chain(*(run.result(LONG)["__interrupt__"] for run in started)))
    assert len({each.id for each in asked}) == 3
    for number, config in enumerate(configs):
        run = made.invoke(Command(resume=str(number)), config)
        assert result(run).content == f"bought, since {number}"
