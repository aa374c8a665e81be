"""Guarded tools in the hands of LlamaIndex's agents."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core.agent.workflow import (
    AgentWorkflow,
    CodeActAgent,
    FunctionAgent,
    ReActAgent,
    ToolCallResult,
)
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.tools import FunctionTool, QueryEngineTool
from llama_index.core.workflow import Context, HumanResponseEvent, InputRequiredEvent
from openai_server import OpenAIServer

from llama_index.callbacks.toolops.tools import GuardedTool, guard_tool, guard_tools
from toolops_plugins import (
    Cache,
    CircuitBreaker,
    CircuitOpen,
    Policy,
    RateLimit,
    RateLimited,
    Retry,
    ToolOps,
)

# What agents of LlamaIndex 0.14 do by themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),
]
KINDS = ["function", "react", "workflow"]


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps() as ops:
        yield ops


def calling(name: str, **arguments: Any) -> Callable[[dict[str, Any]], Any]:
    """Return a model that calls a tool once, and then says what that has brought."""

    def reply(body: dict[str, Any]) -> Any:
        last = body["messages"][-1]
        if "tools" not in body:  # a ReAct agent is told of its tools in words
            if "Observation:" in str(last["content"]):
                return f"Thought: I can answer.\nAnswer: {last['content']}"
            said = re.sub("'", '"', str(arguments))
            return f"Thought: I need a tool.\nAction: {name}\nAction Input: {said}"
        if last["role"] == "tool":
            return str(last["content"])
        return {"tool_calls": [{"name": name, "arguments": arguments}]}

    return reply


def agent_of(kind: str, tools: list[Any], model: Any) -> Any:
    if kind == "function":
        return FunctionAgent(tools=tools, llm=model)
    if kind == "react":
        return ReActAgent(tools=tools, llm=model)
    return AgentWorkflow.from_tools_or_functions(tools, llm=model)


async def ask(agent: Any, text: str = "Go.") -> tuple[str, list[ToolCallResult]]:
    handler = agent.run(text)
    results = [e async for e in handler.stream_events() if isinstance(e, ToolCallResult)]
    return str(await handler), results


@pytest.mark.parametrize("kind", KINDS)
async def test_every_agent_takes_it(
    kind: str, ops: ToolOps, llm: Callable[..., Any], openai_server: OpenAIServer
) -> None:
    runs: list[int] = []

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        runs.append(a + b)
        return a + b

    openai_server.reply = calling("add", a=2, b=40)
    tool = guard_tool(FunctionTool.from_defaults(add), ops=ops)
    for _ in range(3):
        said, results = await ask(agent_of(kind, [tool], llm()))
        assert "42" in said
        (result,) = results
        assert result.tool_output.raw_output == 42
        assert result.tool_output.is_error is False
    assert runs == [42]
    assert (ops.stats()["add"].misses, ops.stats()["add"].hits) == (1, 2)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_query_engine_tool_too(
    kind: str, ops: ToolOps, llm: Callable[..., Any], openai_server: OpenAIServer
) -> None:
    runs: list[str] = []

    class Echo(CustomQueryEngine):
        def custom_query(self, query_str: str) -> str:
            runs.append(query_str)
            return f"Found {query_str}."

    openai_server.reply = calling("docs", input="rain")
    engine_tool = QueryEngineTool.from_defaults(Echo(), name="docs", description="Look it up.")
    tool = guard_tool(engine_tool, ops=ops)
    for _ in range(2):
        said, _ = await ask(agent_of(kind, [tool], llm()))
        assert "Found rain." in said
    assert runs == ["rain"]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_policy_refuses_is_an_error_and_the_agent_goes_on(
    kind: str, ops: ToolOps, llm: Callable[..., Any], openai_server: OpenAIServer
) -> None:
    runs: list[str] = []

    def fetch(page: str) -> str:
        """Fetch a page."""
        runs.append(page)
        raise OSError("the server is down")

    policy = Policy(breaker=CircuitBreaker(window=1, min_calls=1))
    tool = guard_tool(FunctionTool.from_defaults(fetch), policy, ops=ops)
    openai_server.reply = calling("fetch", page="x")
    for expected in (OSError, CircuitOpen, CircuitOpen):
        said, results = await ask(agent_of(kind, [tool], llm()))
        (result,) = results
        assert result.tool_output.is_error
        assert type(result.tool_output.exception) is expected
        assert str(result.tool_output.exception) in said
    assert runs == ["x"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_limit_refuses_and_the_agent_goes_on(
    kind: str, ops: ToolOps, llm: Callable[..., Any], openai_server: OpenAIServer
) -> None:
    async def look(page: str) -> str:
        """Look at a page."""
        return page

    tool = guard_tool(
        FunctionTool.from_defaults(async_fn=look),
        Policy(rate_limit=RateLimit("1/h", wait=0)),
        ops=ops,
    )
    openai_server.reply = calling("look", page="x")
    await ask(agent_of(kind, [tool], llm()))
    said, (result,) = await ask(agent_of(kind, [tool], llm()))
    assert type(result.tool_output.exception) is RateLimited
    assert str(result.tool_output.exception) in said


# Humans, and agents that hand over


def asking(runs: list[str]) -> FunctionTool:
    async def buy(ctx: Context, what: str) -> str:
        """Buy something, if the human says so."""
        runs.append("begun")
        answer = await ctx.wait_for_event(
            HumanResponseEvent, waiter_event=InputRequiredEvent(prefix=f"Buy {what}?")
        )
        runs.append(answer.response)
        return f"{what}: {answer.response}"

    # LlamaIndex does not see a Context behind the text of an annotation.
    buy.__annotations__["ctx"] = Context
    return FunctionTool.from_defaults(async_fn=buy)


@pytest.mark.parametrize("context", ["refuse", "ignore"])
@pytest.mark.parametrize("kind", ["function", "workflow"])
async def test_a_human_is_asked_and_his_answer_is_not_handed_on(
    kind: str, context: Any, ops: ToolOps, llm: Callable[..., Any], openai_server: OpenAIServer
) -> None:
    runs: list[str] = []
    openai_server.reply = calling("buy", what="a boat")
    policy = Policy(
        cache=Cache(ttl=60),
        retry=Retry(attempts=3, wait=0.0),
        breaker=CircuitBreaker(window=1, min_calls=1),
        fallback="never",
    )
    tool = guard_tool(asking(runs), policy, ops=ops, context=context)
    for reply in ("yes", "no"):
        handler = agent_of(kind, [tool], llm()).run("Buy me a boat.")
        async for event in handler.stream_events():
            if isinstance(event, InputRequiredEvent):
                handler.ctx.send_event(HumanResponseEvent(response=reply))
        assert str(await handler) == f"a boat: {reply}"
    assert runs == ["begun", "begun", "yes", "begun", "begun", "no"]


@pytest.mark.parametrize("reply", ["yes"])
async def test_two_agents_that_ask_at_the_same_time_ask_each_for_itself(
    reply: str, ops: ToolOps, llm: Callable[..., Any], openai_server: OpenAIServer
) -> None:
    runs: list[str] = []
    openai_server.reply = calling("buy", what="a boat")
    tool = guard_tool(asking(runs), ops=ops, context="ignore")

    async def shop(answer: str) -> str:
        handler = FunctionAgent(tools=[tool], llm=llm()).run("Buy me a boat.")
        async for event in handler.stream_events():
            if isinstance(event, InputRequiredEvent):
                handler.ctx.send_event(HumanResponseEvent(response=answer))
        return str(await handler)

    assert await asyncio.gather(shop("yes"), shop("no")) == ["a boat: yes", "a boat: no"]


async def test_agents_hand_over_between_guarded_tools(
    ops: ToolOps, llm: Callable[..., Any], openai_server: OpenAIServer
) -> None:
    runs: list[str] = []

    def look(city: str) -> str:
        """Look."""
        runs.append(city)
        return f"Rain in {city}."

    def reply(body: dict[str, Any]) -> Any:
        names = {tool["function"]["name"] for tool in body.get("tools", [])}
        last = body["messages"][-1]
        if "look" not in names:
            given = {"to_agent": "forecaster", "reason": "weather"}
            return {"tool_calls": [{"name": "handoff", "arguments": given}]}
        if "Rain" in str(last["content"]):
            return str(last["content"])
        return {"tool_calls": [{"name": "look", "arguments": {"city": "Oslo"}}]}

    openai_server.reply = reply
    (tool,) = guard_tools([FunctionTool.from_defaults(look)], ops=ops)

    def workflow() -> AgentWorkflow:
        first = FunctionAgent(name="desk", description="D.", system_prompt="Desk.", llm=llm())
        second = FunctionAgent(
            name="forecaster", description="F.", system_prompt="F.", tools=[tool], llm=llm()
        )
        return AgentWorkflow(agents=[first, second], root_agent="desk")

    for _ in range(2):
        said, results = await ask(workflow(), "Weather in Oslo?")
        assert said == "Rain in Oslo."
        assert [result.tool_name for result in results] == ["handoff", "look"]
    assert runs == ["Oslo"]


async def test_handing_over_can_be_guarded_and_is_never_kept(ops: ToolOps) -> None:
    from llama_index.core.agent.workflow.multi_agent_workflow import handoff

    class Store:
        def __init__(self) -> None:
            self.kept: dict[str, Any] = {
                "agents": ["a", "b"],
                "current_agent_name": "a",
                "can_handoff_to": {"a": ["b"]},
            }

        async def get(self, name: str, default: Any = None) -> Any:
            return self.kept.get(name, default)

        async def set(self, name: str, value: Any) -> None:
            self.kept[name] = value

    class Fake:
        def __init__(self) -> None:
            self.store = Store()

    tool: Any = guard_tool(FunctionTool.from_defaults(async_fn=handoff), ops=ops)
    assert tool.ctx_param_name == "ctx"
    for _ in range(2):
        context = Fake()
        await tool.acall(ctx=context, to_agent="b", reason="r")
        assert context.store.kept["next_agent"] == "b"


async def test_an_agent_that_writes_code_calls_the_guarded_function(
    ops: ToolOps, llm: Callable[..., Any], openai_server: OpenAIServer
) -> None:
    runs: list[int] = []

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        runs.append(a + b)
        return a + b

    tool: GuardedTool = guard_tool(FunctionTool.from_defaults(add), ops=ops)
    known: dict[str, Any] = {}

    def execute(code: str) -> str:
        return str(eval(code, {each.__name__: each for each in known["functions"]}))

    def reply(body: dict[str, Any]) -> str:
        if len(body["messages"]) > 3:
            return "Done."
        return "<execute>add(a=1, b=2) + add(1, 2)</execute>"

    openai_server.reply = reply
    agent = CodeActAgent(tools=[tool], llm=llm(), code_execute_fn=execute)
    known["functions"] = agent._get_tool_fns([tool])
    described = agent._get_tool_descriptions([FunctionTool.from_defaults(add)])
    assert agent._get_tool_descriptions([tool]) == described
    _, (result,) = await ask(agent)
    assert result.tool_output.content.strip().endswith("6")
    assert runs == [3]
