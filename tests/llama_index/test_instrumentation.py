"""install(): tools, agents and workflows from their spans, and what installing means."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from callers import LONG, start
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool, QueryEngineTool, ToolMetadata, ToolOutput
from llama_index.core.tools.types import BaseTool, adapt_to_async_tool
from llama_index.core.workflow import (
    Context,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from llama_index_instrumentation import get_dispatcher, root_dispatcher
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler
from workflows.errors import WorkflowCancelledByUser

from llama_index.callbacks.toolops._event_dedup import has_guard, mark_inside
from llama_index.callbacks.toolops.events import CacheHitEvent, tell_hit
from llama_index.callbacks.toolops.instrumentation import (
    ToolOpsEventHandler,
    ToolOpsSpanHandler,
    _installation,
    install,
    uninstall,
)
from toolops_plugins import CallEvent, ConfigurationError, ToolOps


class Sink:
    """Keeps all events."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []

    def on_call(self, event: CallEvent) -> None:
        self.events.append(event)

    def outcomes(self) -> list[tuple[str, str, str | None]]:
        return [(each.name, each.outcome, each.error or each.reason) for each in self.events]


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def ops(sink):
    return ToolOps("instrumentation", sinks=[sink])


@pytest.fixture
def installed(ops) -> Iterator[None]:
    install(ops)
    yield
    assert _installation._listener is None or len(_installation._listener._events._calls) == 0
    uninstall()


def counts(ops: ToolOps) -> dict[str, int]:
    return {tool.name: tool.calls for tool in ops.stats().tools}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def ours(handlers: list[Any]) -> list[Any]:
    return [each for each in handlers if type(each).__name__.startswith("ToolOps")]


# -- tools -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda tool: tool(a=1, b=2),
        lambda tool: tool.call(a=1, b=2),
        lambda tool: asyncio.run(tool.acall(a=1, b=2)),
    ],
    ids=["__call__", "call", "acall"],
)
def test_each_way_to_call_a_tool_is_one_call(call, installed, sink):
    assert call(FunctionTool.from_defaults(add, name="plus")).raw_output == 3
    assert sink.outcomes() == [("tool:plus", "bypass", "no_cache")]


class Plain(BaseTool):
    """A tool that has no asynchronous method, as the oldest ones are."""

    @property
    def metadata(self) -> ToolMetadata:
        return ToolMetadata(description="plain", name="plain")

    def __call__(self, given: Any) -> ToolOutput:
        return ToolOutput(content="so", tool_name="plain", raw_input={}, raw_output=given)


async def test_a_tool_behind_an_adapter_is_one_call(installed, sink):
    await adapt_to_async_tool(Plain()).acall("x")
    assert sink.outcomes() == [("tool:plain", "bypass", "no_cache")]


def test_a_tool_that_raises_is_an_error(installed, sink):
    def divide(a: int) -> float:
        return 1 / a

    with pytest.raises(ZeroDivisionError):
        FunctionTool.from_defaults(divide)(a=0)
    assert sink.outcomes() == [("tool:divide", "error", "ZeroDivisionError")]


def test_a_tool_whose_output_is_an_error_is_one(installed, sink):
    def bad() -> None:
        pass

    wrong = ToolOutput(content="no", tool_name="t", raw_input={}, raw_output=None, is_error=True)
    FunctionTool.from_defaults(bad, callback=lambda _: wrong)()
    assert sink.outcomes() == [("tool:bad", "error", "handled")]


async def test_a_tool_that_is_cancelled_is_an_error(installed, sink):
    entered = asyncio.Event()

    async def wait() -> None:
        entered.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(FunctionTool.from_defaults(async_fn=wait).acall())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sink.outcomes() == [("tool:wait", "error", "CancelledError")]


def test_tools_that_tools_call_are_calls_of_their_own(installed, ops):
    inner = FunctionTool.from_defaults(add, name="inner")
    outer = FunctionTool.from_defaults(lambda: inner(a=1, b=2).raw_output, name="outer")
    outer()
    assert counts(ops) == {"tool:inner": 1, "tool:outer": 1}


def test_a_tool_that_calls_itself_is_called_twice(installed, ops):
    def count(n: int) -> int:
        return n and tool(n=n - 1).raw_output

    tool = FunctionTool.from_defaults(count)
    tool(n=1)
    assert counts(ops) == {"tool:count": 2}


def test_a_query_engine_as_a_tool_is_a_row_beside_its_query(installed, ops, mock_llm):
    documents = [Document(text="water boils")]
    index = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(3))
    QueryEngineTool.from_defaults(index.as_query_engine(llm=mock_llm()), name="ask")("when?")
    assert counts(ops)["tool:ask"] == 1
    assert counts(ops)["query:RetrieverQueryEngine"] == 1


def test_a_guarded_tool_is_not_counted_but_what_it_calls_is(installed, ops):
    class Guarded(FunctionTool):
        __toolops_guarded__ = True

    other = FunctionTool.from_defaults(add, name="other")
    inner = FunctionTool.from_defaults(lambda: other(a=1, b=2).raw_output, name="inner")

    def run() -> Any:
        with mark_inside("tool", inner):
            return inner().raw_output

    assert Guarded(run, ToolMetadata(description="", name="guarded"))().raw_output == 3
    assert counts(ops) == {"tool:other": 1}
    assert not has_guard(inner)
    assert not has_guard(None)


def test_eight_threads_call_one_tool(installed, ops):
    tool = FunctionTool.from_defaults(add, name="plus")
    gate = threading.Barrier(8)

    def work() -> None:
        gate.wait()
        for number in range(25):
            assert tool(a=number, b=1).raw_output == number + 1

    for thread in [start(work) for _ in range(8)]:
        thread.result(LONG)
    assert counts(ops) == {"tool:plus": 200}


# -- agents and workflows --------------------------------------------------------------------------


def adding(body: dict[str, Any]) -> Any:
    """Reply as a model that adds once, and then says what it was told."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return f"it is {last['content']}"
    return [{"name": "plus", "arguments": {"a": 1, "b": 2}}]


def remember() -> ChatMemoryBuffer:
    """Return a memory that needs no database."""
    return ChatMemoryBuffer.from_defaults(token_limit=1_000)


async def test_an_agent_its_tools_and_its_models_are_rows(installed, ops, llm, openai_server):
    openai_server.reply = adding
    tool = FunctionTool.from_defaults(add, name="plus")
    agent = FunctionAgent(name="clerk", tools=[tool], llm=llm())
    answer = await agent.run("1 and 2?", memory=remember())
    assert str(answer) == "it is 3"
    assert counts(ops) == {"agent:clerk": 1, "tool:plus": 1, "chat:gpt-4o-mini": 2}
    assert len(openai_server.requests) == 2


async def test_a_tool_of_an_agent_that_fails_is_an_error_and_the_agent_none(
    installed, sink, llm, openai_server
):
    def plus(a: int, b: int) -> int:
        raise LookupError(a, b)

    openai_server.reply = adding
    agent = FunctionAgent(name="clerk", tools=[FunctionTool.from_defaults(plus)], llm=llm())
    await agent.run("1 and 2?", memory=remember())
    failed = [each for each in sink.outcomes() if each[1] == "error"]
    assert failed == [("tool:plus", "error", "LookupError")]
    assert ("agent:clerk", "bypass", "no_cache") in sink.outcomes()


class Knowing(CustomLLM):
    """A model that answers as a reasoning agent expects it."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="knowing")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise NotImplementedError

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        yield CompletionResponse(text="Thought: I know.\nAnswer: 4", delta="")


@pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning")  # LlamaIndex itself
async def test_a_reasoning_agent_over_a_custom_model_is_counted(installed, ops):
    agent = ReActAgent(name="thinker", tools=[], llm=Knowing())
    assert str(await agent.run("2 and 2?", memory=remember())) == "4"
    assert counts(ops) == {"agent:thinker": 1, "chat:knowing": 1}


async def test_a_workflow_of_agents_is_a_workflow(installed, ops, llm, openai_server):
    openai_server.reply = adding
    tool = FunctionTool.from_defaults(add, name="plus")
    agent = FunctionAgent(name="clerk", description="adds", tools=[tool], llm=llm())
    await AgentWorkflow(agents=[agent], root_agent="clerk").run("1 and 2?", memory=remember())
    assert counts(ops) == {
        "workflow:AgentWorkflow": 1,
        "tool:plus": 1,
        "chat:gpt-4o-mini": 2,
    }


class Steps(Workflow):
    """A workflow that does what its start says."""

    @step
    async def work(self, ev: StartEvent) -> StopEvent:
        if ev.get("fails", default=False):
            raise LookupError
        if ev.get("waits", default=None) is not None:
            ev.waits.set()
            await asyncio.Event().wait()
        return StopEvent(result="done")


async def test_a_workflow_is_a_row(installed, sink):
    assert await Steps().run() == "done"
    assert sink.outcomes() == [("workflow:Steps", "bypass", "no_cache")]


async def test_a_workflow_that_fails_is_an_error(installed, sink):
    with pytest.raises(LookupError):
        await Steps().run(fails=True)
    assert sink.outcomes() == [("workflow:Steps", "error", "LookupError")]


async def test_a_workflow_that_its_user_cancels_is_no_error(installed, sink):
    entered = asyncio.Event()
    handler = Steps(timeout=None).run(waits=entered)
    await entered.wait()
    await handler.cancel_run()
    with pytest.raises(WorkflowCancelledByUser):
        await handler
    assert sink.outcomes() == [("workflow:Steps", "bypass", "cancelled")]


class Asking(Workflow):
    """A workflow whose tool waits for a human."""

    @step
    async def work(self, ctx: Context, ev: StartEvent) -> StopEvent:
        async def ask() -> str:
            answer = await ctx.wait_for_event(
                HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="well?")
            )
            return str(answer.response)

        output = await FunctionTool.from_defaults(async_fn=ask).acall()
        return StopEvent(result=output.raw_output)


async def test_a_tool_that_waits_for_a_human_is_no_error(installed, sink):
    handler = Asking().run()
    async for event in handler.stream_events():
        if isinstance(event, InputRequiredEvent):
            assert handler.ctx is not None
            handler.ctx.send_event(HumanResponseEvent(response="yes"))
    assert await handler == "yes"
    assert sink.outcomes() == [
        ("tool:ask", "bypass", "interrupted"),
        ("tool:ask", "bypass", "no_cache"),
        ("workflow:Asking", "bypass", "no_cache"),
    ]


# -- installing ------------------------------------------------------------------------------------


def test_installing_twice_is_installing_once(ops):
    others = list(root_dispatcher.event_handlers), list(root_dispatcher.span_handlers)
    install(ops, prices={"m": (1.0, 2.0)})
    events = _installation._listener._events
    install(ops, prices={"m": (1.0, 2.0)})
    assert _installation._listener._events is events
    assert len(ours(root_dispatcher.event_handlers)) == 1
    assert len(ours(root_dispatcher.span_handlers)) == 1
    FunctionTool.from_defaults(add)(a=1, b=2)
    assert counts(ops) == {"tool:add": 1}
    uninstall()
    uninstall()
    after = root_dispatcher.event_handlers, root_dispatcher.span_handlers
    assert all(
        one is two
        for old, new in zip(others, after, strict=True)
        for one, two in zip(old, new, strict=True)
    )
    FunctionTool.from_defaults(add)(a=1, b=2)
    assert counts(ops) == {"tool:add": 1}


def test_another_runtime_takes_the_place_of_the_first(ops):
    other = ToolOps("other")
    install(ops)
    install(other)
    try:
        FunctionTool.from_defaults(add)(a=1, b=2)
    finally:
        uninstall()
    assert counts(ops) == {}
    assert counts(other) == {"tool:add": 1}


def test_installing_again_puts_back_what_somebody_has_removed(ops):
    before = root_dispatcher.event_handlers, root_dispatcher.span_handlers
    install(ops)
    root_dispatcher.event_handlers, root_dispatcher.span_handlers = before
    install(ops)
    try:
        FunctionTool.from_defaults(add)(a=1, b=2)
    finally:
        uninstall()
    assert counts(ops) == {"tool:add": 1}


def test_threads_that_install_at_once_install_one(ops):
    gate = threading.Barrier(8)

    def work() -> None:
        gate.wait()
        install(ops)

    try:
        for thread in [start(work) for _ in range(8)]:
            thread.result(LONG)
        assert len(ours(root_dispatcher.event_handlers)) == 1
        assert len(ours(root_dispatcher.span_handlers)) == 1
    finally:
        uninstall()


def test_what_is_under_way_while_handlers_come_and_go_does_no_harm(ops, sink):
    def change() -> None:
        first = _installation._listener._events
        assert len(first._calls) == 1
        uninstall()
        assert len(first._calls) == 0
        install(ops)

    try:
        install(ops)
        FunctionTool.from_defaults(change)()
        assert sink.events == []
        FunctionTool.from_defaults(add)(a=1, b=2)
        assert counts(ops) == {"tool:add": 1}
    finally:
        uninstall()


@pytest.mark.parametrize(
    ("option", "value"),
    [("prices", 3), ("prices", {"m": 3}), ("max_calls", 0), ("ops", "no")],
)
def test_a_wrong_option_installs_nothing(option, value):
    with pytest.raises(ConfigurationError):
        install(**{option: value})
    assert ours(root_dispatcher.event_handlers) == []


def test_the_handlers_can_be_added_to_one_dispatcher_alone(ops):
    events = ToolOpsEventHandler(ops)
    spans = ToolOpsSpanHandler(events)
    dispatcher = get_dispatcher("test_instrumentation_alone")
    dispatcher.event_handlers = [events]
    dispatcher.span_handlers = [spans]

    class Alone(Plain):
        @dispatcher.span
        def __call__(self, given: Any) -> ToolOutput:
            return super().__call__(given)

    Alone()("x")
    FunctionTool.from_defaults(add)(a=1, b=2)
    assert counts(ops) == {"tool:plain": 1}
    assert (spans.open_spans, spans.completed_spans, spans.dropped_spans) == ({}, [], [])


def test_shutting_the_dispatcher_down_does_no_harm(installed, ops):
    root_dispatcher.shutdown()
    FunctionTool.from_defaults(add)(a=1, b=2)
    assert counts(ops) == {"tool:add": 1}


# -- hits ------------------------------------------------------------------------------------------


class Hearing(BaseEventHandler):
    """Keeps all events, and may fail."""

    heard: list[Any] = []  # noqa: RUF012 - pydantic copies it
    fails: bool = False

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        if self.fails:
            raise KeyError
        self.heard.append(event)


@pytest.fixture
def hearing() -> Iterator[Hearing]:
    made = Hearing()
    before = root_dispatcher.event_handlers
    root_dispatcher.event_handlers = [*before, made]
    yield made
    root_dispatcher.event_handlers = before


def test_a_hit_is_an_event_that_counts_nothing(installed, hearing, sink):
    tell_hit("llm:m", "llm", tier="L1", age=1.0, saved_seconds=2.0, saved_price=3.0)
    event = hearing.heard[0]
    assert isinstance(event, CacheHitEvent)
    assert (event.name, event.kind, event.tier) == ("llm:m", "llm", "L1")
    assert (event.age, event.saved_seconds, event.saved_price) == (1.0, 2.0, 3.0)
    assert event.model_dump()["class_name"] == "CacheHitEvent"
    assert sink.events == []


def test_telling_of_a_hit_never_raises(hearing):
    tell_hit("m", "no such kind")
    assert hearing.heard == []
    hearing.fails = True
    tell_hit("m", "tool")
