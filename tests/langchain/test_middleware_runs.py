"""Runs of a model that the middleware shows where the model itself was not asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from callers import Latch
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain.chat_models import init_chat_model
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models._compat_bridge import chunks_to_events
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from servers import wait_for

from langchain_toolops import ToolOpsCallbackHandler, ToolOpsMiddleware, guard_llm, wrap_tool
from toolops_plugins import Cache, CallEvent, Policy, ToolOps

QUESTION = {"messages": [("user", "one plus two")]}


class City(BaseModel):
    name: str


def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


def call_tool_first(body: dict[str, Any]) -> Any:
    if body["messages"][-1]["role"] == "tool":
        return "It is three."
    return [{"name": "add", "arguments": {"a": 1}}]


@pytest.fixture
def events() -> list[CallEvent]:
    return []


@pytest.fixture
def ops(events: list[CallEvent]) -> Iterator[ToolOps]:
    with ToolOps(sinks=[events.append]) as ops:
        yield ops


@pytest.fixture
def agent(ops: ToolOps, chat: Callable[..., ChatOpenAI]) -> Callable[..., Any]:
    def make(tools: Any = (), model: Any = None, middleware: Any = None, **options: Any) -> Any:
        guard = [ToolOpsMiddleware(ops, **(middleware or {}))]
        return create_agent(model or chat(), list(tools), middleware=guard, **options)

    return make


class Runs(BaseCallbackHandler):
    """Notes what it hears of models, by run."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.parents: list[Any] = []
        self.messages: list[Any] = []
        self.asked: list[list[str]] = []

    def on_chat_model_start(self, serialized, messages, *, parent_run_id=None, **kwargs: Any):
        self.kinds.append(f"start {serialized['id'][-1]} {kwargs['metadata']['ls_model_name']}")
        self.parents.append(parent_run_id)
        self.asked.append([message.text for message in messages[0]])

    def on_llm_end(self, response, **kwargs: Any):
        self.kinds.append("end")
        self.messages.append(response.generations[0][0].message)

    def on_llm_error(self, error, **kwargs: Any):
        self.kinds.append("error")


def read_stream(agent: Any, aio: bool, mode: Any = "messages") -> list[Any]:
    if not aio:
        return list(agent.stream(QUESTION, stream_mode=mode))

    async def read() -> list[Any]:
        return [item async for item in agent.astream(QUESTION, stream_mode=mode)]

    return asyncio.run(read())


def join(items: list[tuple[Any, Any]]) -> list[Any]:
    """Return the messages of a stream of messages, each joined of its chunks, by their ids."""
    joined: dict[Any, Any] = {}
    for message, _ in items:
        known = joined.get(message.id)
        joined[message.id] = message if known is None else known + message
    return list(joined.values())


# What is heard


def test_a_hit_is_heard_as_the_call_itself_was(agent, ask, openai_server):
    openai_server.reply = call_tool_first
    made = agent([add], name="bob", system_prompt="Be brief.")
    heard = []
    for _ in range(3):
        runs = Runs()
        state = ask(made, "one plus two", {"callbacks": [runs]})
        heard.append(runs)
        said = [message for message in state["messages"] if isinstance(message, AIMessage)]
        assert [message.id for message in said] == [message.id for message in runs.messages]
        assert [message.name for message in said] == ["bob", "bob"]
    assert len(openai_server.requests) == 2
    first, *hits = heard
    assert first.kinds == ["start ChatOpenAI gpt-test", "end"] * 2
    for hit in hits:
        assert hit.kinds == first.kinds
        assert hit.asked == first.asked
        assert None not in hit.parents
        assert len(set(hit.parents)) == 2  # each in its own run of the node
        texts = [(m.text, [call["args"] for call in m.tool_calls]) for m in hit.messages]
        assert texts == [(m.text, [c["args"] for c in m.tool_calls]) for m in first.messages]
        marks = [message.response_metadata["toolops"] for message in hit.messages]
        assert marks == [{"hit": True}] * 2


@pytest.mark.parametrize("streaming", [False, True])
def test_a_hit_tells_its_end_where_the_call_itself_has_told_it(agent, ask, chat, streaming):
    made = agent(model=chat(streaming=streaming))
    results: list[Any] = []

    class Results(BaseCallbackHandler):
        def on_llm_end(self, response, **kwargs: Any):
            results.append(response)

    for _ in range(2):
        ask(made, "one plus two", {"callbacks": [Results()]})
    ends = [each.generations[0][0].generation_info["finish_reason"] for each in results]
    assert ends == ["stop", "stop"]
    assert [each.generations[0][0].message.text for each in results] == ["one plus two"] * 2
    if not streaming:
        made_output, hit_output = (each.llm_output for each in results)
        assert made_output["token_usage"]["total_tokens"] > 0
        assert hit_output["token_usage"]["total_tokens"] == 0
        assert hit_output["model_name"] == made_output["model_name"]


def test_callbacks_of_the_model_itself_hear_a_hit(agent, ask, chat):
    runs = Runs()
    made = agent(model=chat(callbacks=[runs]))
    for _ in range(2):
        ask(made, "hi")
    assert runs.kinds == ["start ChatOpenAI gpt-test", "end"] * 2


@pytest.mark.parametrize("aio", [False, True])
def test_a_stream_of_messages_shows_a_hit_in_chunks(agent, openai_server, aio):
    openai_server.reply = call_tool_first
    made = agent([add])
    for _ in range(2):
        items = read_stream(made, aio, ["messages", "values"])
        state = items[-1][1]["messages"][1:]
        told = [item for mode, item in items if mode == "messages"]
        for message, metadata in told:
            is_model = isinstance(message, AIMessageChunk)
            assert is_model or isinstance(message, ToolMessage)
            assert metadata["langgraph_node"] == ("model" if is_model else "tools")
        shown = join(told)
        # Each once, and the same as in the state.
        assert [message.id for message in shown] == [message.id for message in state]
        assert [message.text for message in shown] == ["", "3", "It is three."]
        (call,) = shown[0].tool_calls
        assert (call["name"], call["args"]) == ("add", {"a": 1})
        assert call["id"] == state[0].tool_calls[0]["id"] == state[1].tool_call_id
    assert len(openai_server.requests) == 2


def test_stream_events_show_a_hit_as_one_run(agent, openai_server):
    openai_server.reply = call_tool_first
    made = agent([add])

    async def read() -> list[Any]:
        found = [event async for event in made.astream_events(QUESTION, version="v2")]
        return [event for event in found if "chat_model" in event["event"]]

    for number in range(2):
        events = asyncio.run(read())
        kinds = [event["event"] for event in events if "_stream" not in event["event"]]
        assert kinds == ["on_chat_model_start", "on_chat_model_end"] * 2
        assert len({event["run_id"] for event in events}) == 2
        assert {event["name"] for event in events} == {"ChatOpenAI"}
        assert {event["metadata"]["langgraph_node"] for event in events} == {"model"}
        assert all(len(event["parent_ids"]) == 2 for event in events)
        chunks = [e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream"]
        assert "".join(chunk.text for chunk in chunks) == "It is three."
        ended = [e["data"]["output"] for e in events if e["event"] == "on_chat_model_end"]
        is_hit = [message.response_metadata.get("toolops") == {"hit": True} for message in ended]
        assert is_hit == [bool(number)] * 2
    assert len(openai_server.requests) == 2


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize("aio", [False, True])
def test_the_newest_stream_events_show_a_hit(agent, openai_server, aio):
    openai_server.reply = call_tool_first
    made = agent([add])

    async def aread() -> list[Any]:
        stream = await made.astream_events(QUESTION, version="v3")
        return [event async for event in stream]

    told = []
    for _ in range(2):
        events = asyncio.run(aread()) if aio else list(made.stream_events(QUESTION, version="v3"))
        messages = [e["params"]["data"][0] for e in events if e["method"] == "messages"]
        told.append([event["event"] for event in messages if "delta" not in event["event"]])
        states = [e["params"]["data"] for e in events if e["method"] == "values"]
        said = [m for m in states[-1]["messages"] if isinstance(m, AIMessage)]
        starts = [event["id"] for event in messages if event["event"] == "message-start"]
        assert starts == [message.id for message in said]
        ends = [e["content"] for e in messages if e["event"] == "content-block-finish"]
        assert [block.get("args", block.get("text")) for block in ends] == [
            {"a": 1},
            "It is three.",
        ]
    assert told[0] == told[1]
    assert len(openai_server.requests) == 2


class Events(ChatOpenAI):
    """A model that makes the newest stream events by itself."""

    def _stream_chat_model_events(self, messages, stop=None, run_manager=None, **kwargs: Any):
        chunks = ChatOpenAI._stream(self, messages, stop=stop, **kwargs)
        yield from chunks_to_events(chunks, message_id=f"lc_run--{run_manager.run_id}")


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
def test_a_model_that_makes_events_itself_is_guarded_and_shown(agent, ops, openai_server) -> None:
    own = Events(model="gpt-test", api_key="k", max_retries=0, base_url=openai_server.url)
    for made in (
        agent(model=own),
        create_agent(guard_llm(own, ops=ops), []),
    ):
        before = len(openai_server.requests)
        for _ in range(2):
            events = list(made.stream_events(QUESTION, version="v3"))
            told = [e["params"]["data"][0] for e in events if e["method"] == "messages"]
            assert [e["event"] for e in told if "message" in e["event"]] == [
                "message-start",
                "message-finish",
            ]
            ends = [e["content"] for e in told if e["event"] == "content-block-finish"]
            assert [block["text"] for block in ends] == ["one plus two"]
        assert len(openai_server.requests) == before + 1


def test_a_model_that_does_not_stream_looks_the_same_twice(agent):
    class Plain(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "plain"

        def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage("It is three."))])

    made = agent(model=Plain())
    for _ in range(2):
        ((message, _),) = read_stream(made, aio=False)
        assert (type(message), message.text) == (AIMessage, "It is three.")


class Direct(ChatOpenAI):
    """A model with a way of its own to its provider, past the methods that LangChain names."""

    paid: ClassVar[list[str]] = []

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        self.paid.append("invoke")
        return super().invoke(*args, **kwargs)

    async def ainvoke(self, *args: Any, **kwargs: Any) -> Any:
        self.paid.append("ainvoke")
        return await super().ainvoke(*args, **kwargs)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        self.paid.append("generate")
        return super().generate(*args, **kwargs)


def test_a_model_of_any_class_is_not_asked_for_the_run_of_a_hit(agent, ask, openai_server):
    model = Direct(model="gpt-test", api_key="k", max_retries=0, base_url=openai_server.url)
    Direct.paid.clear()
    made = agent(model=model)
    runs = Runs()
    ask(made, "hi")
    paid = list(Direct.paid)
    assert ask(made, "hi", {"callbacks": [runs]})["messages"][-1].text == "hi"
    assert runs.kinds == ["start Direct gpt-test", "end"]
    assert Direct.paid == paid
    assert len(openai_server.requests) == 1


def test_a_tracer_sees_the_same_tree_of_runs(agent, ask, openai_server):
    openai_server.reply = call_tool_first
    made = agent([add])

    def tree(run: Any) -> Any:
        return run.name, run.run_type, [tree(child) for child in run.child_runs]

    trees = []
    for _ in range(2):
        collector = RunCollectorCallbackHandler()
        ask(made, "one plus two", {"callbacks": [collector]})
        trees.append([tree(run) for run in collector.traced_runs])
    assert trees[0] == trees[1]
    assert "ChatOpenAI" in str(trees)


def test_a_configured_model_and_a_bound_one_show_their_hits(agent, chat, openai_server):
    field = ConfigurableField(id="temperature")
    models = [
        chat().configurable_fields(temperature=field),
        chat().with_config(tags=["bound"]),
    ]
    for model in models:
        made = agent(model=model)
        for _ in range(2):
            runs = Runs()
            made.invoke(QUESTION, {"callbacks": [runs]})
            assert runs.kinds == ["start ChatOpenAI gpt-test", "end"]
    assert len(openai_server.requests) <= len(models)


# Heard once


def test_a_guarded_model_below_is_heard_once(agent, ask, chat, ops, openai_server):
    model = guard_llm(chat(), ops=ops)
    for made in (agent(model=model), agent(model=model, middleware={"version": "2"})):
        for _ in range(2):
            runs = Runs()
            ask(made, "hi", {"callbacks": [runs]})
            assert runs.kinds == ["start ChatOpenAI gpt-test", "end"]
            assert len(join(read_stream(made, aio=False))) == 1
    # The stream is another kind of call to the guarded model.
    assert len(openai_server.requests) <= 4


def test_the_runtimes_own_handler_counts_no_run_of_a_hit(agent, ask, ops, events):
    handler = ToolOpsCallbackHandler(ops, chains="none")
    made = agent()
    for _ in range(3):
        ask(made, "hi", {"callbacks": [handler]})
    assert [event.outcome for event in events] == ["miss", "hit", "hit"]
    assert ops.stats().total.calls == 3


def test_a_model_with_a_cache_of_langchains_own_is_heard_once(agent, ask, chat, ops):
    made = agent(model=chat(cache=InMemoryCache()))
    for _ in range(3):
        runs = Runs()
        ask(made, "hi", {"callbacks": [runs]})
        assert runs.kinds == ["start ChatOpenAI gpt-test", "end"]


# Answers from elsewhere than the cache


def aboard(ops: ToolOps) -> int:
    """Return how many callers are in any flight."""
    flights = ops._shared.flights
    return sum(map(flights.count_callers, list(flights._table)))


def test_callers_that_share_a_call_are_each_shown_a_run(agent, openai_server, ops):
    gate = openai_server.gate = Latch()
    made = agent()
    heard = [Runs() for _ in range(3)]

    def call(runs: Runs) -> Any:
        return made.invoke(QUESTION, {"callbacks": [runs]})

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(call, runs) for runs in heard]
        wait_for(lambda: aboard(ops) == 3, "the callers to share a flight")
        gate.open()
        states = [each.result() for each in calls]
    assert len(openai_server.requests) == 1
    for runs, state in zip(heard, states, strict=True):
        assert runs.kinds == ["start ChatOpenAI gpt-test", "end"]
        assert state["messages"][-1].id == runs.messages[0].id
    assert len({state["messages"][-1].id for state in states}) == 3


@pytest.mark.parametrize("aio", [False, True])
@pytest.mark.parametrize("value", ["Sorry.", AIMessage("Sorry.", id="own")])
def test_a_fallback_is_shown_as_an_answer(agent, openai_server, aio, value):
    openai_server.reply = lambda body: {"status": 500}
    policy = ToolOpsMiddleware.MODEL.replace(fallback=value, retry=None)
    made = agent(middleware={"model": policy})
    for _ in range(2):
        items = read_stream(made, aio, ["messages", "values"])
        (message,) = join([item for mode, item in items if mode == "messages"])
        assert isinstance(message, AIMessageChunk)
        assert message.text == "Sorry."
        assert "toolops" not in message.response_metadata
        assert items[-1][1]["messages"][-1].id == message.id


def test_a_model_that_is_chosen_by_the_configuration_is_shown_too(agent, openai_server):
    openai_server.reply = lambda body: {"status": 500}
    model = init_chat_model(
        "gpt-test",
        model_provider="openai",
        configurable_fields=("temperature",),
        base_url=openai_server.url,
        api_key="sk-test",
        max_retries=0,
    )
    policy = ToolOpsMiddleware.MODEL.replace(fallback="Sorry.", retry=None)
    runs = Runs()
    agent(model=model, middleware={"model": policy}).invoke(QUESTION, {"callbacks": [runs]})
    start = "start ChatOpenAI gpt-test"
    assert runs.kinds == [start, "error", start, "end"]


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_structured_responses_are_shown_once(agent, openai_server, strategy):
    tool_call = [{"name": "City", "arguments": {"name": "Paris"}}]
    openai_server.reply = lambda body: (
        tool_call if strategy is ToolStrategy else '{"name": "Paris"}'
    )
    made = agent(response_format=strategy(City))
    for _ in range(2):
        items = read_stream(made, aio=False, mode=["messages", "values"])
        state = items[-1][1]
        assert state["structured_response"] == City(name="Paris")
        shown = join([item for mode, item in items if mode == "messages"])
        assert [message.id for message in shown] == [m.id for m in state["messages"][1:]]
        runs = Runs()
        made.invoke(QUESTION, {"callbacks": [runs]})
        assert runs.kinds == ["start ChatOpenAI gpt-test", "end"]
    assert len(openai_server.requests) == 1


def test_a_handler_that_raises_is_heard_on_a_hit_too(agent, ask):
    class Strict(BaseCallbackHandler):
        raise_error = True

        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            raise PermissionError("not this one")

    made = agent()
    ask(made, "hi")
    with pytest.raises(PermissionError, match="not this one"):
        ask(made, "hi", {"callbacks": [Strict()]})


def test_a_forced_refresh_asks_the_model_and_the_tools_of_an_agent_anew(
    ops, chat, ask, openai_server
):
    openai_server.reply = call_tool_first
    added: list[int] = []

    @tool
    def plus(a: int, b: int = 2) -> int:
        """Add two numbers."""
        added.append(a)
        return a + b

    openai_server.reply = lambda body: (
        f"number {len(openai_server.requests)}"
        if body["messages"][-1]["role"] == "tool"
        else [{"name": "plus", "arguments": {"a": 1}}]
    )
    kept = Policy(cache=Cache(ttl=60.0))
    agents = [
        create_agent(chat(), [plus], middleware=[ToolOpsMiddleware(ops, tools=kept)]),
        create_agent(guard_llm(chat(temperature=0.5), ops=ops), [wrap_tool(plus, kept, ops=ops)]),
    ]
    for made in agents:
        before, calls = len(openai_server.requests), len(added)
        for _ in range(2):
            assert ask(made, "hi")["messages"][-1].text == f"number {before + 2}"
        with ops.force_refresh():
            assert ask(made, "hi")["messages"][-1].text == f"number {before + 4}"
        assert ask(made, "hi")["messages"][-1].text == f"number {before + 4}"
        assert len(openai_server.requests) == before + 4
        assert len(added) == calls + 2


def test_a_forced_refresh_reaches_the_threads_of_a_batch(ops, chat, openai_server):
    model = guard_llm(chat(), ops=ops)
    for _ in range(2):
        with ops.force_refresh():
            model.batch(["a", "b", "a"])
    assert len(openai_server.requests) == 4
