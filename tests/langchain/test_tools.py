"""A wrapped tool is the tool it was, but for what its policy adds."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, Tool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_openai import ChatOpenAI
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from openai_server import OpenAIServer
from servers import Server
from tool_kinds import KINDS, Kind, Place

from langchain_toolops._event_dedup import has_run_note
from langchain_toolops.tools import ToolOpsTool, wrap_tool, wrap_tools
from toolops_plugins import (
    Bulkhead,
    Cache,
    ConfigurationError,
    Memory,
    Policy,
    Redis,
    Retry,
    ToolOps,
)

KEPT = [kind for kind in KINDS if kind.kept]
ANEW = Retry(attempts=3, wait=0.0)


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps() as ops:
        ops.codec.register(Place)
        yield ops


def call_of(tool: BaseTool, args: dict[str, Any], id_: str = "call-1") -> dict[str, Any]:
    return {"type": "tool_call", "id": id_, "name": tool.name, "args": args}


def outcome(function: Callable[[], Any]) -> Any:
    """Return what a call returns, or its error, so that two can be compared."""
    try:
        value = function()
    except Exception as error:
        return type(error), str(error)
    return type(value), value


def ways_of(tool: BaseTool, kind: Kind) -> list[Any]:
    """Return what becomes of a tool's calls, in every way in which it can be called."""
    args = kind.args
    text = next(iter(args.values()), "text")
    ways = [
        outcome(lambda: asyncio.run(tool.ainvoke(args))),
        outcome(lambda: asyncio.run(tool.ainvoke(call_of(tool, args, "call-2")))),
        outcome(lambda: asyncio.run(tool.ainvoke({"wrong": 1}))),
        outcome(lambda: asyncio.run(tool.ainvoke(text))),
        outcome(lambda: asyncio.run(tool.abatch([args, args]))),
    ]
    if kind.sync:
        ways += [
            outcome(lambda: tool.invoke(args)),
            outcome(lambda: tool.invoke(call_of(tool, args))),
            outcome(lambda: tool.invoke({"wrong": 1})),
            outcome(lambda: tool.invoke(text)),
            outcome(lambda: tool.run(args)),
            outcome(lambda: tool.batch([args, args])),
        ]
    return ways


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.sync], ids=repr)
def test_what_only_awaits_still_refuses_other_callers(kind: Kind, ops: ToolOps) -> None:
    runs: list[Any] = []
    for made in (kind.make(runs), wrap_tool(kind.make(runs), ops=ops)):
        with pytest.raises(NotImplementedError):
            made.invoke(kind.args)
    assert runs == []


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_every_call_gives_what_it_gave_before(kind: Kind, ops: ToolOps) -> None:
    original = kind.make([])
    wrapped = wrap_tool(kind.make([]), ops=ops, retry=None)
    expected = ways_of(original, kind)
    assert ways_of(wrapped, kind) == expected
    assert ways_of(wrapped, kind) == expected  # and now from the cache


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_equal_calls_run_once_in_whatever_way(kind: Kind, ops: ToolOps) -> None:
    runs: list[Any] = []
    wrapped = wrap_tool(kind.make(runs), ops=ops, retry=None)

    def call_all() -> None:
        asyncio.run(wrapped.ainvoke(call_of(wrapped, kind.args)))
        asyncio.run(wrapped.ainvoke(call_of(wrapped, copy.deepcopy(kind.args))))
        if kind.sync:
            wrapped.invoke(call_of(wrapped, kind.args))

    call_all()
    assert len(runs) == (1 if kind.kept else 2 + kind.sync)


@pytest.mark.parametrize("kind", KEPT, ids=repr)
def test_results_are_themselves_again_through_redis(
    kind: Kind, valkey: Server, namespace: str
) -> None:
    runs: list[Any] = []
    expected: list[Any] = []

    async def ask() -> list[Any]:
        # Each is another process, as far as the cache can tell.
        async with ToolOps(namespace, tiers=[Redis(valkey.url, ttl=60)]) as ops:
            ops.codec.register(Place)
            wrapped = wrap_tool(kind.make(runs), ops=ops)
            message = await wrapped.ainvoke(call_of(wrapped, kind.args, "mine"))
            return [await wrapped.ainvoke(kind.args), message, message.artifact]

    original = kind.make([])
    expected.append(asyncio.run(original.ainvoke(kind.args)))
    message = asyncio.run(original.ainvoke(call_of(original, kind.args, "mine")))
    expected += [message, message.artifact]
    for _ in range(2):
        found = asyncio.run(ask())
        assert found == expected
        assert [type(each) for each in found] == [type(each) for each in expected]
        assert repr(found[2]) == repr(expected[2])  # a tuple is a tuple, and bytes are bytes
    assert len(runs) == 1


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_it_stays_the_tool_it_was(kind: Kind, ops: ToolOps) -> None:
    runs: list[Any] = []
    original = kind.make(runs)
    before, was = type(original), original.model_dump(exclude={"args_schema"})
    wrapped = wrap_tool(original, ops=ops)
    assert isinstance(wrapped, before)
    assert isinstance(wrapped, ToolOpsTool)
    assert not isinstance(original, ToolOpsTool)
    assert type(original) is before
    assert original.model_dump(exclude={"args_schema"}) == was
    assert wrapped.model_dump(exclude={"args_schema"}) == was
    assert wrapped.args_schema is original.args_schema
    assert wrapped.args == original.args
    assert convert_to_openai_tool(wrapped) == convert_to_openai_tool(original)
    assert wrapped.get_input_schema().model_json_schema() == (
        original.get_input_schema().model_json_schema()
    )
    for _ in range(2):
        asyncio.run(original.ainvoke(call_of(original, kind.args)))
    assert len(runs) == 2  # the original keeps nothing


class Listener(BaseCallbackHandler):
    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.runs: list[Any] = []

    def on_tool_start(self, serialized: Any, input_str: str, **kwargs: Any) -> None:
        self.heard.append(("start", serialized, input_str, kwargs.get("inputs"), kwargs["tags"]))

    def on_tool_end(self, output: Any, **kwargs: Any) -> None:
        self.heard.append(("end", output))
        self.runs.append(kwargs["run_id"])

    def on_tool_error(self, error: BaseException, **kwargs: Any) -> None:
        self.heard.append(("error", str(error)))
        self.runs.append(kwargs["run_id"])

    def on_retriever_start(self, *args: Any, **kwargs: Any) -> None:
        self.heard.append(("retriever", kwargs["parent_run_id"] is not None))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.sync], ids=repr)
def test_callbacks_are_told_of_every_call_once(kind: Kind, ops: ToolOps) -> None:
    original, wrapped = kind.make([]), wrap_tool(kind.make([]), ops=ops)
    heard = []
    for each in (original, wrapped, wrapped):
        listener = Listener()
        each.invoke(call_of(each, kind.args), {"callbacks": [listener], "tags": ["mine"]})
        heard.append([event for event in listener.heard if event[0] != "retriever"])
        noted = [has_run_note(run) for run in listener.runs]
        assert noted == [each is wrapped]
    assert heard[0] == heard[1] == heard[2]


async def test_the_handler_counts_an_asynchronous_run_no_second_time(ops: ToolOps) -> None:
    @tool
    async def add(a: int) -> int:
        """Add one."""
        return a + 1

    wrapped, run = wrap_tool(add, ops=ops), uuid4()
    await wrapped.ainvoke({"a": 1}, {"run_id": run})
    assert has_run_note(run)
    ops.active = False  # nor does the runtime count now
    second = uuid4()
    await wrapped.ainvoke({"a": 1}, {"run_id": second})
    assert not has_run_note(second)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
async def test_a_tool_node_takes_it(kind: Kind, ops: ToolOps) -> None:
    original, wrapped = kind.make([]), wrap_tool(kind.make([]), ops=ops)
    calls = [{"id": id_, "name": original.name, "args": kind.args} for id_ in ("one", "two")]
    asked = {"messages": [AIMessage("", tool_calls=calls)]}
    config = {"configurable": {"__pregel_runtime": Runtime()}}
    expected = await ToolNode([original]).ainvoke(asked, config)
    node = ToolNode([wrapped])
    assert await node.ainvoke(asked, config) == expected
    assert await node.ainvoke(asked, config) == expected
    assert [message.tool_call_id for message in expected["messages"]] == ["one", "two"]


def test_an_agent_takes_it(
    ops: ToolOps, openai_server: OpenAIServer, chat: Callable[..., ChatOpenAI]
) -> None:
    runs: list[str] = []

    @tool
    def capital(country: str) -> str:
        """Tell the capital."""
        runs.append(country)
        return f"The capital of {country} is Oslo."

    def reply(body: dict[str, Any]) -> Any:
        last = body["messages"][-1]
        if last["role"] == "tool":
            return last["content"]
        return {"tool_calls": [{"name": "capital", "arguments": {"country": "Norway"}}]}

    openai_server.reply = reply
    agent = create_agent(chat(), tools=wrap_tools([capital], ops=ops))
    for _ in range(2):
        answer = agent.invoke({"messages": "What is the capital of Norway?"})
        called, said = answer["messages"][1:3]
        assert said.tool_call_id == called.tool_calls[0]["id"]
        assert answer["messages"][-1].content == "The capital of Norway is Oslo."
    assert runs == ["Norway"]
    assert openai_server.requests[0]["tools"] == [convert_to_openai_tool(capital)]


# How it is made


def wrap_one(tool: BaseTool, **options: Any) -> ToolOpsTool:
    return wrap_tools([tool], **options)[0]


@pytest.mark.parametrize("make", [wrap_tool, ToolOpsTool, ToolOpsTool.from_tool, wrap_one])
def test_all_ways_to_make_one_make_the_same(make: Any, ops: ToolOps) -> None:
    runs: list[Any] = []
    wrapped = make(KINDS[0].make(runs), ops=ops)
    assert isinstance(wrapped, ToolOpsTool)
    assert type(wrapped) is type(wrap_tool(KINDS[0].make([]), ops=ops))
    assert wrapped.policy == Policy(cache=Cache(ttl=300), retry=Retry(), coalesce=True)
    for _ in range(2):
        wrapped.invoke({"city": "Oslo"})
    assert len(runs) == 1


def test_functions_are_made_tools_of(ops: ToolOps) -> None:
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    (wrapped,) = wrap_tools([add], ops=ops)
    assert wrapped.name == "add"
    assert wrapped.invoke({"a": "1", "b": 2}) == 3


def test_copies_are_behind_the_same_policy(ops: ToolOps) -> None:
    runs: list[Any] = []
    wrapped = wrap_tool(KINDS[0].make(runs), ops=ops)
    copies = [wrapped, wrapped.model_copy(), copy.copy(wrapped), copy.deepcopy(wrapped)]
    for each in copies:
        each.invoke({"city": "Oslo"})
    assert len(runs) == 1
    # One that is made by the class alone has no policy.
    plain = type(wrapped)(**dict(wrapped))
    assert plain.invoke({"city": "Oslo"}) == wrapped.invoke({"city": "Oslo"})
    assert len(runs) == 2
    with pytest.raises(ConfigurationError, match="not made by wrap_tool"):
        plain.key({"city": "Oslo"})
    assert not hasattr(plain, "policy")


def test_what_a_tool_has_of_its_own_is_not_hidden(ops: ToolOps) -> None:
    class Odd(BaseTool):
        name: str = "odd"
        description: str = "Odd."
        key: str = "key"
        policy: str = "policy"
        invalidate: int = 1
        _private: str = "private"

        def _run(self, text: str) -> str:
            return " ".join([text, self.key, self.policy, str(self.invalidate), self._private])

    wrapped = wrap_tool(Odd(policy="mine"), ops=ops)
    for _ in range(2):
        assert wrapped.invoke("x") == "x key mine 1 private"
    assert ToolOpsTool.key(wrapped, "x") == wrap_tool(Odd(), ops=ops)._toolops_guard.key(Odd(), "x")


def test_a_tool_whose_methods_use_each_other_is_called_once(ops: ToolOps) -> None:
    kind = next(kind for kind in KINDS if kind.name == "delegating_class")
    runs: list[Any] = []
    wrapped = wrap_tool(kind.make(runs), ops=ops, bulkhead=Bulkhead(1), cache=None, coalesce=True)
    asyncio.run(wrapped.ainvoke(kind.args))
    assert len(runs) == 1
    assert sum(each.calls for each in ops.stats().tools) == 1


def test_mistakes_are_refused(ops: ToolOps) -> None:
    made = [kind.make([]) for kind in KINDS[:2]]
    wrapped = wrap_tool(made[0], ops=ops)
    for option, make in {
        "tool": lambda: wrap_tool(wrapped, ops=ops),
        "tool ": lambda: wrap_tools([wrapped], ops=ops),
        "tool  ": lambda: wrap_tool({"type": "web_search"}, ops=ops),
        "tool   ": lambda: wrap_tool(Tool, ops=ops),
        "tools": lambda: wrap_tools(made, ops=ops),
        "injected": lambda: wrap_tool(made[0], ops=ops, injected="maybe"),
        "include_injected": lambda: wrap_tool(made[0], ops=ops, include_injected=["user"]),
        "include_injected ": lambda: wrap_tools(made[:1], ops=ops, include_injected=["user"]),
        "include_injected  ": lambda: wrap_tools(made[:1], ops=ops, include_injected="user"),
        "include_injected   ": lambda: wrap_tool(made[0], ops=ops, include_injected={"user": 1}),
        "version": lambda: wrap_tool(made[0], ops=ops, version="2", cache=Cache(version="3")),
        "tags": lambda: wrap_tool(made[0], ops=ops, cache=Cache(tags=["{town}"])),
    }.items():
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert caught.value.parameter == option.strip()


def test_the_default_runtime_serves_where_none_is_given() -> None:
    from toolops_plugins import get_default, set_default

    before = get_default()
    with ToolOps("mine", tiers=[Memory()]) as ops:
        set_default(ops)
        try:
            wrapped = wrap_tool(KINDS[0].make([]))
        finally:
            set_default(before)
        wrapped.invoke({"city": "Oslo"})
        assert [(each.name, each.calls) for each in ops.stats().tools] == [("forecast", 1)]


def test_a_callable_without_a_name_is_refused_in_our_words(ops: ToolOps) -> None:
    for wanted in (functools.partial(str.upper), type("Foreign", (), {"__call__": len})()):
        with pytest.raises(ConfigurationError, match="must be a LangChain tool or a function"):
            wrap_tool(wanted, ops=ops)
