"""A result that depends on injected arguments reaches nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Optional

import pytest
from callers import LONG, Latch, start
from langchain.agents import create_agent
from langchain.tools import ToolRuntime
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import (
    BaseTool,
    InjectedToolArg,
    InjectedToolCallId,
    StructuredTool,
    Tool,
    convert_runnable_to_tool,
    create_retriever_tool,
    tool,
)
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphInterrupt
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, InjectedStore, ToolNode
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, interrupt
from openai_server import OpenAIServer
from pydantic import BaseModel
from servers import wait_for

from langchain_toolops._tool_injection import config_arguments, injection_names
from langchain_toolops.tools import ToolOpsTool, wrap_tool, wrap_tools
from toolops_plugins import (
    Cache,
    CircuitBreaker,
    ConfigurationError,
    Policy,
    Retry,
    Timeout,
    ToolOps,
)

RUNS: list[Any] = []


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    RUNS.clear()
    with ToolOps() as ops:
        yield ops


@tool
def of_state(city: str, state: Annotated[dict[str, Any], InjectedState]) -> str:
    """Tell."""
    RUNS.append(city)
    return f"{city} for {state['user']}"


@tool
def of_field(city: str, who: Annotated[str, InjectedState("user")]) -> str:
    """Tell."""
    RUNS.append(city)
    return f"{city} for {who}"


@tool
def of_store(city: str, store: Annotated[Any, InjectedStore()]) -> str:
    """Tell."""
    RUNS.append(city)
    return f"{city} for {store.get(('users',), 'user').value['name']}"


@tool
async def of_runtime(city: str, runtime: ToolRuntime) -> str:
    """Tell."""
    RUNS.append(city)
    return f"{city} for {runtime.state['user']}"


@tool
def of_config(city: str, config: RunnableConfig) -> str:
    """Tell."""
    RUNS.append(city)
    return f"{city} for {config['configurable']['user']}"


class OfConfig(BaseTool):
    name: str = "of_config_class"
    description: str = "Tell."

    def _run(self, city: str, setting: RunnableConfig) -> str:
        RUNS.append(city)
        return f"{city} for {setting['configurable']['user']}"


def of_user(given: Any, config: RunnableConfig) -> str:
    city = given if isinstance(given, str) else given["city"]
    RUNS.append(city)
    return f"{city} for {config['configurable']['user']}"


RUNNABLE: RunnableLambda[Any, str] = RunnableLambda(of_user)
OF_RUNNABLE = convert_runnable_to_tool(
    RUNNABLE, name="of_runnable", description="Tell.", arg_types={"city": str}
)
OF_TEXT = convert_runnable_to_tool(
    RUNNABLE.with_types(input_type=str), name="of_text", description="Tell."
)


class State(MessagesState):
    user: str


INJECTED = [of_state, of_field, of_store, of_runtime, of_config, OfConfig(), OF_RUNNABLE, OF_TEXT]
NAMES = {
    "of_state": "state",
    "of_field": "who",
    "of_store": "store",
    "of_runtime": "runtime",
    "of_config": "config",
    "of_config_class": "setting",
    "of_runnable": "config",
    "of_text": "config",
}


def ask(made: BaseTool, user: str, id_: str = "call-1") -> str:
    """Have a graph call the tool for a user; return what it says."""
    store = InMemoryStore()
    store.put(("users",), "user", {"name": user})
    graph = StateGraph(State)
    graph.add_node("tools", ToolNode([made]))
    graph.add_edge(START, "tools")
    graph.add_edge("tools", END)
    called = AIMessage("", tool_calls=[{"id": id_, "name": made.name, "args": {"city": "Oslo"}}])
    given = {"messages": [called], "user": user}
    config: RunnableConfig = {"configurable": {"user": user, "thread_id": user}}
    said = asyncio.run(graph.compile(store=store).ainvoke(given, config))["messages"][-1]
    assert said.tool_call_id == id_
    return str(said.content)


@pytest.mark.parametrize("made", INJECTED, ids=lambda made: made.name)
def test_one_users_answer_never_reaches_another(made: BaseTool, ops: ToolOps) -> None:
    wrapped = wrap_tool(made, ops=ops)
    for user in ("ann", "bob", "ann"):
        assert ask(wrapped, user) == ask(made, user) == f"Oslo for {user}"
    assert len(RUNS) == 6
    assert wrapped.policy.cache is None
    assert not wrapped.policy.coalesces
    assert wrapped.policy.retry == Retry()
    with pytest.raises(ConfigurationError, match=f"injected with {NAMES[made.name]}"):
        wrapped.key({"city": "Oslo"})


@pytest.mark.parametrize("made", INJECTED, ids=lambda made: made.name)
def test_what_counts_can_be_said(made: BaseTool, ops: ToolOps) -> None:
    def user_of(given: Any) -> Any:
        if isinstance(given, InMemoryStore):
            found = given.get(("users",), "user")
            return found and found.value
        if isinstance(given, ToolRuntime):
            return given.state["user"]
        if isinstance(given, str):
            return given
        return given["configurable"]["user"] if "configurable" in given else given["user"]

    wrapped = wrap_tool(made, ops=ops, include_injected={NAMES[made.name]: user_of})
    for n in range(2):
        for user in ("ann", "bob"):
            assert ask(wrapped, user, f"call-{n}") == f"Oslo for {user}"
    assert len(RUNS) == 2


@pytest.mark.parametrize(
    "made",
    [of_field, of_config, OfConfig(), OF_RUNNABLE, OF_TEXT],
    ids=lambda made: made.name,
)
def test_names_alone_may_do(made: BaseTool, ops: ToolOps) -> None:
    (wrapped,) = wrap_tools([made], ops=ops, include_injected=[NAMES[made.name]])
    for user in ("ann", "bob", "ann", "bob"):
        assert ask(wrapped, user) == f"Oslo for {user}"
    assert len(RUNS) == 2


@pytest.mark.parametrize("made", INJECTED, ids=lambda made: made.name)
def test_they_can_be_declared_harmless(made: BaseTool, ops: ToolOps) -> None:
    wrapped = wrap_tool(made, ops=ops, injected="ignore")
    assert {ask(wrapped, user) for user in ("ann", "bob")} == {"Oslo for ann"}
    wrapped.invalidate({"city": "Oslo"})
    assert ask(wrapped, "bob") == "Oslo for bob"


def test_a_key_can_be_told_with_what_counts(ops: ToolOps) -> None:
    wrapped = wrap_tool(of_field, ops=ops, include_injected=["who"])
    ann = wrapped.key({"city": "Oslo", "who": "ann"})
    assert ann != wrapped.key({"city": "Oslo", "who": "bob"})
    ask(wrapped, "ann")
    wrapped.invalidate({"city": "Oslo", "who": "bob"})
    ask(wrapped, "ann")
    assert len(RUNS) == 1
    wrapped.invalidate({"city": "Oslo", "who": "ann"})
    ask(wrapped, "ann")
    assert len(RUNS) == 2


def test_all_but_one_is_not_enough(ops: ToolOps) -> None:
    @tool
    def both(city: str, who: Annotated[str, InjectedToolArg], config: RunnableConfig) -> str:
        """Tell."""
        return city

    assert wrap_tool(both, ops=ops, include_injected=["who"]).policy.cache is None
    assert wrap_tool(both, ops=ops, include_injected=["who", "config"]).policy.cache is not None
    some = wrap_tool(both, ops=ops, include_injected=["who"], injected="ignore")
    given = {"city": "Oslo", "who": "ann"}
    assert some.key(given) != some.key({**given, "who": "bob"})


def test_injection_is_seen_wherever_it_is_written() -> None:
    class Schema(BaseModel):
        x: int
        hidden: Annotated[str, InjectedToolArg()] = ""

    def with_schema(x: int, hidden: str = "") -> int:
        return x

    def optional(
        x: int,
        a: Optional[Annotated[str, InjectedToolArg]] = None,  # noqa: UP045 - the old way to write it
        b: Annotated[str, InjectedToolCallId] | None = None,
        c: "Annotated[int, InjectedToolArg]" = 0,  # noqa: UP037 - a forward reference
    ) -> int:
        return x

    class OnlyAsync(BaseTool):
        name: str = "only"
        description: str = "Only."

        def _run(self, x: int) -> int:
            raise NotImplementedError

        async def _arun(self, x: int, runtime: ToolRuntime, config: RunnableConfig) -> int:
            return x

    class Object:
        def __call__(
            self, x: int, config: RunnableConfig, who: Annotated[str, InjectedToolArg]
        ) -> int:
            return x

    class Bare(BaseModel):
        x: int

    objects = StructuredTool(name="o", description="O.", args_schema=Bare, func=Object())
    assert injection_names(objects) >= {"who"}
    bound = StructuredTool(
        name="o", description="O.", args_schema=Bare, func=partial(optional, x=1)
    )
    assert injection_names(bound) == set("abc")
    made = StructuredTool.from_function(with_schema, description="D.", args_schema=Schema)
    assert injection_names(made) == {"hidden"}
    assert injection_names(StructuredTool.from_function(optional, description="D.")) == set("abc")
    assert injection_names(OnlyAsync()) == {"runtime", "config"}
    assert config_arguments(OnlyAsync()) == {"config"}
    for each in INJECTED:
        assert injection_names(each) == {NAMES[each.name]}
        assert injection_names(wrap_tool(each, ops=ToolOps())) == {NAMES[each.name]}


def test_a_tool_that_runs_a_runnable_has_its_configuration() -> None:
    class Found(BaseRetriever):
        def _get_relevant_documents(self, query: str, **_: Any) -> list[Document]:
            return [Document(query)]

    class Index:
        def search(self, query: str) -> str:
            return query

    def ask(query: str) -> str:
        return RUNNABLE.invoke(query)

    given = {"name": "made", "description": "Made."}
    for bare in (RUNNABLE.invoke, partial(RUNNABLE.invoke, config=None), of_config.run):
        assert injection_names(Tool(func=bare, **given)) == {"config"}
    only = Tool(func=None, coroutine=RUNNABLE.ainvoke, **given)
    assert injection_names(only) == {"config"}
    for harmless in (ask, Index().search, Tool(func=ask, **given).run):
        assert injection_names(Tool(func=harmless, **given)) == set()
    assert injection_names(create_retriever_tool(Found(), "found", "Find.")) == set()


def fail(_: Any) -> Any:
    raise LookupError("nobody is logged in")


@pytest.mark.parametrize("made", [of_field, of_config, OF_RUNNABLE], ids=lambda made: made.name)
def test_a_call_that_cannot_be_told_apart_goes_past_the_cache(
    made: BaseTool, ops: ToolOps, caplog: pytest.LogCaptureFixture
) -> None:
    wrapped = wrap_tool(made, ops=ops, include_injected={NAMES[made.name]: fail})
    for user in ("ann", "bob", "ann"):
        assert ask(wrapped, user) == f"Oslo for {user}"
    assert len(RUNS) == 3
    assert caplog.text.count("go past the cache") == 1


def test_a_tool_of_an_mcp_server_may_be_kept(ops: ToolOps) -> None:
    async def call_tool(runtime: Any = None, **arguments: Any) -> tuple[list[Any], Any]:
        assert isinstance(runtime, ToolRuntime)
        RUNS.append(arguments)
        return [{"type": "text", "text": arguments["city"]}], {"structured_content": {"n": 1}}

    made = StructuredTool(
        name="remote",
        description="Tell.",
        args_schema={"type": "object", "properties": {"city": {"type": "string"}}},
        coroutine=call_tool,
        response_format="content_and_artifact",
    )
    assert injection_names(made) == {"runtime"}
    kept = wrap_tool(made, ops=ops, injected="ignore")
    assert len({ask(kept, user) for user in ("ann", "bob")}) == len(RUNS) == 1
    refused = wrap_tool(made, ops=ops)
    assert ask(refused, "ann") == ask(refused, "ann") == ask(kept, "eve")
    assert len(RUNS) == 3

    @tool
    def measure(runtime: float) -> float:
        """Measure how long it runs."""
        return runtime

    assert injection_names(measure) == set()


# Whose call it is


@tool
def own_message(city: str, id_: Annotated[str, InjectedToolCallId]) -> ToolMessage:
    """Tell."""
    RUNS.append(id_)
    return ToolMessage(city, tool_call_id=id_)


@tool
def command(city: str, id_: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    """Tell."""
    RUNS.append(id_)
    return Command(update={"messages": [ToolMessage(city, tool_call_id=id_)]})


def call_of(made: BaseTool, id_: str) -> dict[str, Any]:
    return {"type": "tool_call", "id": id_, "name": made.name, "args": {"city": "Oslo"}}


@pytest.mark.parametrize("made", [own_message, command], ids=lambda made: made.name)
def test_what_is_addressed_to_a_call_reaches_no_other(made: BaseTool, ops: ToolOps) -> None:
    wrapped = wrap_tool(made, ops=ops, injected="ignore")
    ids = ["one", "two", "three"]
    assert [wrapped.invoke(call_of(made, id_)) for id_ in ids] == [
        made.invoke(call_of(made, id_)) for id_ in ids
    ]


def test_followers_get_messages_of_their_own(ops: ToolOps) -> None:
    release, plain = Latch(), [True]

    @tool
    def slow(city: str, id_: Annotated[str, InjectedToolCallId]) -> Any:
        """Tell."""
        RUNS.append(id_)
        release.wait()
        return city if plain[0] else ToolMessage(city, tool_call_id=id_)

    wrapped = wrap_tool(slow, ops=ops, injected="ignore", cache=None)
    for plain[0] in (True, False):
        RUNS.clear()
        calls = [start(wrapped.invoke, call_of(slow, str(n))) for n in range(5)]
        key = bytes.fromhex(wrapped.key({"city": "Oslo"}))
        wait_for(lambda key=key: ops._shared.flights.count_callers(key) == 5, "all aboard")
        release.open()
        said = [call.result(LONG) for call in calls]
        assert [message.tool_call_id for message in said] == list("01234")
        assert len(RUNS) == (1 if plain[0] else 5)
        release.__init__()  # type: ignore[misc] # closed again


# Interrupts


def test_an_interrupt_is_no_failure(ops: ToolOps) -> None:
    def buy(what: str) -> str:
        RUNS.append(what)
        raise GraphInterrupt(())

    async def abuy(what: str) -> str:
        return buy(what)

    wrapped = wrap_tool(
        StructuredTool.from_function(buy, abuy, description="Buy."),
        ops=ops,
        policy=Policy(
            cache=Cache(ttl=60, stale_ttl=60, negative=Exception),
            retry=Retry(attempts=3, wait=0.0, on_result=lambda value: value != "bought"),
            breaker=CircuitBreaker(min_calls=1, window=2, on_result=lambda value: True),
            timeout=Timeout(total=LONG),
            fallback="never",
            price=lambda value: len(value),
        ),
    )
    for n in range(1, 4):
        with pytest.raises(GraphInterrupt):
            wrapped.invoke({"what": "tea"})
        assert len(RUNS) == n
    with pytest.raises(GraphInterrupt):
        asyncio.run(wrapped.ainvoke({"what": "tea"}))
    assert len(RUNS) == 4


class Shop:
    """Agents of two customers, one tool that asks each of them, and one model."""

    def __init__(self, ops: ToolOps, server: OpenAIServer, model: ChatOpenAI) -> None:
        @tool
        def buy(what: str) -> str:
            """Buy."""
            RUNS.append(what)
            return f"{what}: {interrupt('really?')}"

        def reply(body: dict[str, Any]) -> Any:
            last = body["messages"][-1]
            if last["role"] == "tool":
                return last["content"]
            return {"tool_calls": [{"name": "buy", "arguments": {"what": "tea"}}]}

        server.reply = reply
        self.agent = create_agent(model, [wrap_tool(buy, ops=ops)], checkpointer=InMemorySaver())

    def ask(self, who: str, given: Any) -> dict[str, Any]:
        return self.agent.invoke(given, {"configurable": {"thread_id": who}})


def test_each_human_is_asked_and_gets_his_own_answer(
    ops: ToolOps, openai_server: OpenAIServer, chat: Callable[..., ChatOpenAI]
) -> None:
    shop = Shop(ops, openai_server, chat())
    asked = {"messages": "Buy tea."}
    for who in ("ann", "bob"):
        assert [each.value for each in shop.ask(who, asked)["__interrupt__"]] == ["really?"]
    for who, answer in (("ann", "yes"), ("bob", "no")):
        said = shop.ask(who, Command(resume=answer))["messages"]
        assert said[-1].content == f"tea: {answer}"
    # Nor is what a human has said once a thing to be remembered.
    assert "__interrupt__" in shop.ask("ann", asked)
    assert shop.ask("ann", Command(resume="no"))["messages"][-1].content == "tea: no"
    assert len(RUNS) == 6


def test_humans_who_are_asked_at_once_answer_for_themselves(ops: ToolOps) -> None:
    release = Latch()

    @tool
    def buy(what: str) -> str:
        """Buy."""
        RUNS.append(what)
        release.wait()
        return f"{what}: {interrupt('really?')}"

    graph = StateGraph(MessagesState)
    wrapped: ToolOpsTool = wrap_tool(buy, ops=ops)
    graph.add_node("tools", ToolNode([wrapped]))
    graph.add_edge(START, "tools")
    compiled = graph.compile(checkpointer=InMemorySaver())
    called = AIMessage("", tool_calls=[{"id": "1", "name": "buy", "args": {"what": "tea"}}])

    def go(who: str, given: Any) -> Any:
        return compiled.invoke(given, {"configurable": {"thread_id": who}})

    people = ["ann", "bob", "eve"]
    first = [start(go, who, {"messages": [called]}) for who in people]
    key = bytes.fromhex(wrapped.key({"what": "tea"}))
    wait_for(lambda: ops._shared.flights.count_callers(key) == 3, "all aboard")
    release.open()
    interrupts = [each.result(LONG)["__interrupt__"][0] for each in first]
    assert len({each.id for each in interrupts}) == 3
    assert len(RUNS) == 3
    second = [start(go, who, Command(resume=who)) for who in people]
    assert [each.result(LONG)["messages"][-1].content for each in second] == [
        f"tea: {who}" for who in people
    ]
