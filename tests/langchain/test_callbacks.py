"""ToolOpsCallbackHandler: what LangChain runs, in the runtime's statistics and sinks."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from callers import start
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseChatModel, FakeListLLM
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    LLMResult,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import ToolException, tool
from langgraph.errors import GraphInterrupt

from langchain_toolops import ToolOpsCache, guard_llm
from langchain_toolops._event_dedup import (
    has_error_note,
    has_run_note,
    mark_inside,
    mark_tool,
    note_error,
    note_run,
)
from langchain_toolops.callbacks import ToolOpsCallbackHandler
from langchain_toolops.middleware import ToolOpsMiddleware
from langchain_toolops.prices import ModelPrices, TokenPrice
from langchain_toolops.tools import wrap_tool
from toolops_plugins import Cache, CallEvent, ConfigurationError, Policy, ToolOps
from toolops_plugins.testing import FakeClock

PRICES = {"gpt-test": TokenPrice(2.0, 3.0, per=1)}
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
COST = 10 * 2.0 + 4 * 3.0


class Sink:
    """Keeps all events."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []

    def on_call(self, event: CallEvent) -> None:
        self.events.append(event)

    def of(self, name: str) -> list[CallEvent]:
        return [event for event in self.events if event.name == name]


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def ops(sink):
    return ToolOps("callbacks", sinks=[sink])


@pytest.fixture
def handler(ops):
    found = ToolOpsCallbackHandler(ops, prices=PRICES)
    yield found
    assert not found._runs


@pytest.fixture
def config(handler):
    return {"callbacks": [handler]}


@pytest.fixture
def server(openai_server):
    openai_server.reply = lambda body: {"content": "it is four", "usage": USAGE}
    return openai_server


# -- models


def test_a_chat_model_is_counted_with_tokens_and_price(server, chat, ops, config, sink):
    chat().invoke("how many?", config)
    report = ops.stats()["chat:gpt-test"]
    assert (report.bypassed, report.attempts, report.spent) == (1, 1, COST)
    (event,) = sink.events
    assert event.namespace == "callbacks"
    assert event.latency > 0
    assert event.reason == "no_cache"
    assert event.details == {
        "model": "gpt-test",
        "input_tokens": 10,
        "output_tokens": 4,
        "total_tokens": 14,
        "provider": "openai",
    }


async def test_a_chat_model_is_counted_on_a_loop(server, chat, ops, config):
    await asyncio.gather(*(chat().ainvoke("how many?", config) for _ in range(5)))
    report = ops.stats()["chat:gpt-test"]
    assert (report.bypassed, report.spent) == (5, 5 * COST)


async def test_runs_of_a_loop_are_counted_on_that_loop(server, chat, ops, config):
    threads = []
    ops.add_sink(lambda event: threads.append(threading.current_thread()))
    await a_chain(chat()).ainvoke({"of": "they"}, config)
    await asearch.ainvoke("a", config)
    assert threads == [threading.current_thread()] * 3


def test_a_stream_is_counted_with_its_tokens_and_its_first_token(server, chat, ops, config, sink):
    chunks = list(chat(stream_usage=True).stream("how many?", config))
    assert len(chunks) > 3
    (event,) = sink.of("chat:gpt-test")
    assert (event.outcome, event.price) == ("bypass", COST)
    assert 0 < event.details["time_to_first_token"] < event.latency


async def test_a_stream_is_counted_on_a_loop(server, chat, ops, config, sink):
    chunks = [chunk async for chunk in chat(stream_usage=True).astream("how many?", config)]
    assert len(chunks) > 3
    (event,) = sink.of("chat:gpt-test")
    assert event.price == COST
    assert event.details["time_to_first_token"] > 0


def test_an_error_is_counted_and_reaches_the_caller(server, chat, ops, config, sink):
    server.reply = lambda body: {"status": 500, "content": "secret words"}
    with pytest.raises(Exception, match="secret words") as caught:
        chat().invoke("how many?", config)
    kind = type(caught.value).__name__
    (event,) = sink.events
    assert (event.outcome, event.error, event.price) == ("error", kind, 0.0)
    assert "secret" not in repr(event)


def test_several_choices_are_paid_for_once(server, chat, ops, config):
    chat(n=3).generate([[HumanMessage("how many?")]], callbacks=config["callbacks"])
    assert ops.stats()["chat:gpt-test"].spent == COST


def test_a_batch_is_as_many_calls(server, chat, ops, config):
    chat().batch(["a", "b", "c"], config)
    report = ops.stats()["chat:gpt-test"]
    assert (report.calls, report.spent) == (3, 3 * COST)


def test_a_model_of_text_is_counted(ops, config):
    FakeListLLM(responses=["a", "b"]).generate(["x", "y"], callbacks=config["callbacks"])
    assert ops.stats()["llm:FakeListLLM"].bypassed == 2


def test_a_stream_that_calls_a_tool_has_a_first_token(server, chat, config, sink):
    call = {"name": "search", "arguments": {"query": "a"}}
    server.reply = lambda body: {"tool_calls": [call], "usage": USAGE}
    list(chat().stream("how many?", config))
    assert sink.events[0].details["time_to_first_token"] > 0


def test_tokens_that_only_the_models_output_tells(ops, handler, sink):
    run = uuid4()
    handler.on_llm_start({"name": "old"}, ["x"], run_id=run)
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    output = {"token_usage": usage, "model_name": "gpt-test"}
    handler.on_llm_end(
        LLMResult(generations=[[Generation(text="a")]], llm_output=output), run_id=run
    )
    assert ops.stats()["llm:old"].spent == COST
    assert sink.events[0].details["model"] == "gpt-test"


# -- hits


def test_a_hit_of_langchains_own_cache_is_a_hit_and_free(server, chat, ops, config, sink):
    model = chat(cache=InMemoryCache())
    for _ in range(3):
        model.invoke("how many?", config)
    assert [event.outcome for event in sink.events] == ["bypass", "hit", "hit"]
    assert [event.price for event in sink.events] == [COST, 0.0, 0.0]
    assert [event.saved_price for event in sink.events] == [0.0, COST, COST]
    assert sink.events[1].tier == "langchain"
    model.invoke("why?", config)
    assert sink.events[-1].outcome == "miss"  # by now it is known that a cache is asked
    report = ops.stats()["chat:gpt-test"]
    assert (report.hit_rate, report.spent, report.saved_price) == (2 / 3, 2 * COST, 2 * COST)


def test_with_a_global_cache_the_first_call_is_a_miss(server, chat, ops, config, sink):
    set_llm_cache(InMemoryCache())
    try:
        chat().invoke("how many?", config)
        chat().invoke("how many?", config)
        list(chat().stream("how many?", config))
    finally:
        set_llm_cache(None)
    assert [event.outcome for event in sink.events] == ["miss", "hit", "bypass"]
    assert ops.stats().total.hit_rate == 0.5


def test_what_a_toolops_cache_has_counted_is_not_counted_again(server, chat, ops, config, sink):
    price = ModelPrices(PRICES)
    model = chat(cache=ToolOpsCache(ops, policy=Policy(price=price), name="models"))
    for _ in range(3):
        model.invoke("how many?", config)
    assert {event.name for event in sink.events} == {"models"}
    report = ops.stats().total
    assert (report.calls, report.misses, report.hits) == (3, 1, 2)
    assert (report.spent, report.saved_price) == (COST, 2 * COST)
    list(model.stream("how many?", config))  # which asks no cache
    assert ops.stats()["chat:gpt-test"].bypassed == 1


async def test_what_a_toolops_cache_has_counted_on_a_loop(server, chat, ops, config, sink):
    model = chat(cache=ToolOpsCache(ops, name="models"))
    for _ in range(3):
        await model.ainvoke("how many?", config)
    assert {event.name for event in sink.events} == {"models"}


def test_what_another_model_gives_is_counted_beside_a_toolops_cache(
    server, chat, ops, config, sink
):
    cached, plain = chat(cache=ToolOpsCache(ops, name="models")), chat(cache=False)
    for model in (cached, plain, cached, plain):
        model.invoke("how many?", config)
    assert [event.name for event in sink.events] == ["models", "chat:gpt-test"] * 2


def test_models_behind_a_guard_are_counted_by_it_alone(server, chat, ops, config, sink):
    with mark_inside():
        chat().invoke("how many?", config)
        list(chat().stream("how many?", config))
    assert sink.events == []
    chat().invoke("how many?", config)
    assert len(sink.events) == 1


# -- tools, retrievers, chains


@tool
def search(query: str) -> str:
    """Search."""
    if query == "fail":
        raise KeyError("secret words")
    if query == "tell":
        raise ToolException("told")
    if query == "ask":
        raise GraphInterrupt
    return query.upper()


@tool
async def asearch(query: str) -> str:
    """Search."""
    return query.upper()


class Shelf(BaseRetriever):
    """Holds one document."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        if query == "fail":
            raise OSError
        return [Document(query)]


def test_tools_are_counted(ops, config, sink):
    search.invoke("a", config)
    with pytest.raises(KeyError):
        search.invoke("fail", config)
    report = ops.stats()["tool:search"]
    assert (report.bypassed, report.errors) == (1, 1)
    assert sink.events[1].error == "KeyError"
    assert "secret" not in repr(sink.events)


async def test_tools_are_counted_on_a_loop(ops, config):
    await asearch.ainvoke("a", config)
    await search.ainvoke("a", config)
    assert ops.stats()["tool:asearch"].calls == ops.stats()["tool:search"].calls == 1


def test_an_error_that_the_model_is_told_is_an_error(ops, config, sink):
    told = search.model_copy(update={"handle_tool_error": True})
    call = {"type": "tool_call", "id": "c", "name": "search", "args": {"query": "tell"}}
    assert told.invoke(call, config).status == "error"
    assert (sink.events[0].outcome, sink.events[0].reason) == ("error", "handled")


def test_an_interrupt_is_no_error(ops, config, sink):
    with pytest.raises(GraphInterrupt):
        search.invoke("ask", config)
    assert (sink.events[0].outcome, sink.events[0].reason) == ("bypass", "interrupted")


def test_a_wrapped_tool_is_counted_by_the_runtime_alone(ops, config, sink):
    wrapped = wrap_tool(search, ops=ops)
    for _ in range(2):
        wrapped.invoke("a", config)
    with pytest.raises(KeyError):
        wrapped.invoke("fail", config)
    assert "tool:search" not in {event.name for event in sink.events}
    assert ops.stats().total.calls == 3
    assert ops.stats().total.errors == 1


def test_a_run_that_is_noted_is_not_counted(ops, handler, sink):
    ends = [
        (handler.on_tool_start, handler.on_tool_end, "x"),
        (handler.on_tool_start, handler.on_tool_error, KeyError()),
        (handler.on_llm_start, handler.on_llm_end, LLMResult(generations=[[]])),
        (handler.on_llm_start, handler.on_llm_error, KeyError()),
    ]
    for begin, end, result in ends:
        run = uuid4()
        begin({"name": "t"}, "x", run_id=run)
        note_run(run)
        end(result, run_id=run)
    assert sink.events == []


def test_a_tool_call_behind_a_guard_is_counted_by_it_and_what_it_calls_is_not(ops, config, sink):
    @tool
    def outer(query: str) -> str:
        """Search."""
        call = {"type": "tool_call", "id": "inner", "name": "search", "args": {"query": query}}
        return search.invoke(call).content + search.invoke(query)

    call = {"type": "tool_call", "id": "c1", "name": "outer", "args": {"query": "a"}}
    with mark_tool("c1"):
        assert outer.invoke(call, config).content == "AA"
    assert [event.name for event in sink.events] == ["tool:search"] * 2
    with mark_tool(None):
        outer.invoke({"query": "a"}, config)
    assert ops.stats()["tool:outer"].calls == 1


class Twice:
    """Calls a tool once, and answers from its result."""

    def __call__(self, body):
        if body["messages"][-1]["role"] == "tool":
            return {"content": "done", "usage": USAGE}
        call = {"name": "search", "arguments": {"query": "a"}}
        return {"tool_calls": [call], "usage": USAGE}


def test_an_agent_behind_the_middleware_pays_and_counts_its_models_once(
    server, chat, ops, handler, config
):
    server.reply = Twice()
    policy = Policy(cache=Cache(), price=lambda answer: 1.0)
    agent = create_agent(
        chat(), [wrap_tool(search, ops=ops)], middleware=[ToolOpsMiddleware(ops, model=policy)]
    )
    for _ in range(2):
        agent.invoke({"messages": [HumanMessage("how many?")]}, config)
    assert len(server.requests) == 2
    stats = ops.stats()
    names = {report.name for report in stats}
    assert not names & {"chat:gpt-test", "tool:search"}
    assert stats["chain:LangGraph"].calls == 2
    assert stats.total.spent == 2.0
    assert stats.total.saved_price == 2.0


def test_tool_calls_behind_the_middleware_are_counted_by_it_alone(server, chat, ops, config):
    server.reply = Twice()
    agent = create_agent(chat(), [search], middleware=[ToolOpsMiddleware(ops)])
    agent.invoke({"messages": [HumanMessage("how many?")]}, config)
    assert "tool:search" not in {report.name for report in ops.stats()}
    assert ops.stats()["search"].calls == 1


async def test_tool_calls_behind_the_middleware_on_a_loop(server, chat, ops, config):
    server.reply = Twice()
    agent = create_agent(chat(), [search], middleware=[ToolOpsMiddleware(ops)])
    await agent.ainvoke({"messages": [HumanMessage("how many?")]}, config)
    assert "tool:search" not in {report.name for report in ops.stats()}
    assert ops.stats()["search"].calls == 1


def test_a_guarded_model_is_counted_by_the_runtime_alone(server, chat, ops, config, sink):
    model = guard_llm(chat(), ops=ops)
    for _ in range(2):
        model.invoke("how many?", config)
    server.reply = lambda body: {"status": 400}
    with pytest.raises(Exception, match="as told"):
        model.invoke("why?", config)
    assert "chat:gpt-test" not in {event.name for event in sink.events}
    assert [event.outcome for event in sink.events] == ["miss", "hit", "error"]


def test_a_guarded_stream_that_is_left_is_counted_by_the_runtime_alone(
    server, chat, ops, config, sink
):
    stream = guard_llm(chat(), ops=ops).stream("how many?", config)
    next(stream)
    stream.close()
    assert [event.name for event in sink.events] == ["openai:gpt-test stream"]


async def test_a_guarded_stream_that_is_left_on_a_loop(server, chat, ops, config, sink):
    stream = guard_llm(chat(), ops=ops).astream("how many?", config)
    await anext(stream)
    await stream.aclose()
    while not sink.events:  # noqa: ASYNC110 - the loop closes what is inside, in its own time
        await asyncio.sleep(0)
    assert [event.name for event in sink.events] == ["openai:gpt-test stream"]


def test_a_guarded_stream_that_fails_at_once_is_one_error(server, chat, ops, config, sink):
    server.reply = lambda body: {"status": 400}
    model = guard_llm(chat(), ops=ops)
    chain = RunnableLambda(lambda question: list(model.stream(question)), name="around")
    with pytest.raises(Exception, match="as told"):
        list(model.stream("why?", config))
    with pytest.raises(Exception, match="as told"):
        chain.invoke("why?", config)
    guard = ("openai:gpt-test stream", "error")
    told = [(event.name, event.outcome) for event in sink.events]
    assert told == [guard, guard, ("chain:around", "error")]


async def test_a_guarded_stream_that_fails_on_a_loop(server, chat, ops, config, sink):
    server.reply = lambda body: {"status": 400}
    model = guard_llm(chat(), ops=ops)

    async def read() -> None:
        with pytest.raises(Exception, match="as told"):
            assert [chunk async for chunk in model.astream("why?", config)]

    await asyncio.gather(*(read() for _ in range(3)))  # they share one call and its error
    assert {event.name for event in sink.events} == {"openai:gpt-test stream"}
    assert ops.stats().total.errors == 3


def test_the_mark_of_a_guarded_stream_is_enough(handler, sink):
    run = uuid4()
    handler.on_chat_model_start(None, [[]], run_id=run)
    message = AIMessageChunk("", response_metadata={"toolops": {"hit": False}})
    handler.on_llm_new_token("", chunk=ChatGenerationChunk(message=message), run_id=run)
    assert not handler._runs
    handler.on_llm_error(GeneratorExit(), run_id=run)
    assert sink.events == []


def test_an_error_that_the_runtime_has_counted_is_that_of_one_run(ops, handler, sink):
    second, error = ToolOpsCallbackHandler(ops), KeyError()
    inner, outer = uuid4(), uuid4()
    for run in (outer, inner):
        for each in (handler, second):
            each.on_llm_start({"name": "t"}, ["x"], run_id=run)
    note_error(error)
    for run in (inner, outer):  # as it passes outwards
        for each in (handler, second):
            each.on_llm_error(error, run_id=run)
    assert [event.name for event in sink.events] == ["llm:t"] * 2
    assert not second._runs


def test_an_error_that_threads_share_is_counted_in_each():
    ready, error = threading.Barrier(8), KeyError()

    def fail() -> int:
        ready.wait()
        found = 0
        for _ in range(10):
            run = uuid4()
            note_error(error)
            found += has_error_note(error, run) and has_error_note(error, run)
        return found

    assert [caller.result() for caller in [start(fail) for _ in range(8)]] == [10] * 8
    assert not has_error_note(error, uuid4())


def test_an_error_that_is_noted_stays_small_and_can_be_pickled():
    error, run = KeyError("a"), uuid4()
    for _ in range(1_000):  # one error for all, as some raise it
        note_error(error)
        run = uuid4()
        assert has_error_note(error, run)
    pickled = pickle.dumps(error)
    assert len(pickled) < 10_000
    copy = pickle.loads(pickled)
    assert repr(copy) == repr(error) == "KeyError('a')"
    assert has_error_note(copy, run)


def test_an_error_that_takes_no_attributes_can_be_noted():
    @dataclass(frozen=True)
    class FrozenError(Exception):
        code: int

    error = FrozenError(3)
    note_error(error)
    assert has_error_note(error, uuid4())


def test_a_second_handler_counts_nothing_twice(server, chat, ops, config, sink):
    config["callbacks"].append(ToolOpsCallbackHandler(ops))
    model = guard_llm(chat(), ops=ops)
    for _ in range(2):
        model.invoke("how many?", config)
        list(model.stream("how many?", config))
    wrap_tool(search, ops=ops).invoke("a", config)
    server.reply = lambda body: {"status": 400}
    for fail in (model.invoke, lambda *asked: list(model.stream(*asked))):
        with pytest.raises(Exception, match="as told"):
            fail("why?", config)
    assert {event.name for event in sink.events} == {
        "openai:gpt-test",
        "openai:gpt-test stream",
        "search",
    }
    assert ops.stats().total.calls == 7
    assert not config["callbacks"][1]._runs


async def test_a_second_handler_on_a_loop(server, chat, ops, config, sink):
    config["callbacks"].append(ToolOpsCallbackHandler(ops))
    model = guard_llm(chat(), ops=ops)
    for _ in range(2):
        await model.ainvoke("how many?", config)
        assert [chunk async for chunk in model.astream("how many?", config)]
    assert {event.name for event in sink.events} == {"openai:gpt-test", "openai:gpt-test stream"}
    assert ops.stats().total.calls == 4


def test_a_run_under_way_is_not_forgotten_for_those_that_have_ended():
    under_way = uuid4()
    note_run(under_way)
    for _ in range(20_000):
        run = uuid4()
        note_run(run)
        assert has_run_note(run)
    assert has_run_note(run)  # as a second handler asks
    assert has_run_note(under_way)
    assert not has_run_note(uuid4())


class Around(BaseChatModel):
    """Asks another model without telling it of its run."""

    inner: Any

    @property
    def _llm_type(self) -> str:
        return "around"

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return self.inner._generate(messages, stop)

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any):
        yield from self.inner._stream(messages, stop)


def test_a_guarded_model_that_knows_of_no_run(server, chat, ops, config):
    model = Around(inner=guard_llm(chat(), ops=ops))
    for _ in range(2):
        assert model.invoke("how many?", config).content == "it is four"
        assert "".join(chunk.text for chunk in model.stream("how many?", config)) == "it is four"
    server.reply = lambda body: {"status": 400}
    for fail in (model.invoke, lambda *asked: list(model.stream(*asked))):
        with pytest.raises(Exception, match="as told"):
            fail("why?", config)
    for name in ("openai:gpt-test", "openai:gpt-test stream"):
        report = ops.stats()[name]
        assert (report.misses, report.hits, report.errors) == (1, 1, 1)


def test_retrievers_are_counted(ops, config):
    Shelf().invoke("a", config)
    with pytest.raises(OSError):
        Shelf().invoke("fail", config)
    report = ops.stats()["retriever:Shelf"]
    assert (report.bypassed, report.errors) == (1, 1)


def a_chain(model):
    prompt = ChatPromptTemplate.from_template("How many are {of}?")
    return (prompt | model | StrOutputParser()).with_config(run_name="count")


def test_a_chain_costs_nothing_beside_its_model(server, chat, ops, config, sink):
    assert a_chain(chat()).invoke({"of": "they"}, config) == "it is four"
    names = [event.name for event in sink.events]
    assert names == ["chat:gpt-test", "chain:count"]
    stats = ops.stats()
    assert stats["chain:count"].spent == 0.0
    assert stats.total.spent == COST


async def test_a_chain_is_counted_on_a_loop(server, chat, ops, config, sink):
    await a_chain(chat()).ainvoke({"of": "they"}, config)
    assert [event.name for event in sink.events] == ["chat:gpt-test", "chain:count"]
    assert [chunk async for chunk in a_chain(chat()).astream({"of": "they"}, config)]
    assert ops.stats()["chain:count"].calls == 2


def test_all_chains_or_none_may_be_counted(server, chat, ops, sink):
    for chains, expected in (
        (
            "all",
            {"chat:gpt-test", "chain:ChatPromptTemplate", "chain:StrOutputParser", "chain:count"},
        ),
        ("none", {"chat:gpt-test"}),
    ):
        sink.events.clear()
        handler = ToolOpsCallbackHandler(ops, chains=chains)
        a_chain(chat()).invoke({"of": "they"}, {"callbacks": [handler]})
        assert {event.name for event in sink.events} == expected
        assert not handler._runs


def test_a_chain_that_fails_is_counted(ops, config):
    def fail(_: Any) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        RunnableLambda(fail, name="failing").invoke(1, config)
    assert ops.stats()["chain:failing"].errors == 1


# -- trouble


def test_ends_without_a_beginning_and_twice_are_nothing(ops, handler, sink):
    run = uuid4()
    result = LLMResult(generations=[[]])
    handler.on_llm_end(result, run_id=run)
    handler.on_llm_error(KeyError(), run_id=run)
    handler.on_llm_new_token("a", run_id=run)
    handler.on_tool_end("x", run_id=run)
    handler.on_chain_end({}, run_id=run)
    handler.on_retriever_end([], run_id=run)
    assert sink.events == []
    handler.on_llm_start(None, ["x"], run_id=run)
    handler.on_llm_end(result, run_id=run)
    handler.on_llm_end(result, run_id=run)
    assert [event.name for event in sink.events] == ["llm:unknown"]


def test_runs_that_never_end_are_forgotten(ops, sink):
    handler = ToolOpsCallbackHandler(ops, max_runs=10)
    runs = [uuid4() for _ in range(100)]
    for run in runs:
        handler.on_tool_start({"name": "t"}, "x", run_id=run)
    assert len(handler._runs) == 10
    for run in runs:
        handler.on_tool_end("x", run_id=run)
    assert len(sink.events) == 10


def test_a_stream_that_is_left_is_no_error(server, chat, config, sink):
    stream = chat().stream("how many?", config)
    next(stream)
    stream.close()
    (event,) = sink.events
    assert (event.outcome, event.reason, event.error) == ("bypass", "left", None)


async def test_a_call_that_is_cancelled_has_no_end_and_is_not_counted(server, chat, ops, sink):
    handler = ToolOpsCallbackHandler(ops, max_runs=1)
    server.gate = threading.Event()
    call = asyncio.ensure_future(chat().ainvoke("how many?", {"callbacks": [handler]}))
    while not server.requests:  # noqa: ASYNC110 - the server is in another thread
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    server.gate.set()
    assert len(handler._runs) == 1  # LangChain does not tell
    await asearch.ainvoke("a", {"callbacks": [handler]})
    assert not handler._runs
    assert [event.name for event in sink.events] == ["tool:asearch"]


def test_sinks_and_prices_that_fail_disturb_nobody(server, chat, ops, caplog):
    def broken(*args: Any) -> float:
        raise KeyError("secret words")

    ops.add_sink(broken)
    handler = ToolOpsCallbackHandler(ops, prices=broken)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert chat().invoke("how many?", {"callbacks": [handler]}).content == "it is four"
    assert ops.stats()["chat:gpt-test"].calls == 2
    ours = [each for each in caplog.records if "price= raised KeyError" in each.getMessage()]
    assert len(ours) == 1
    assert "secret" not in caplog.text


def test_a_handler_keeps_nothing_of_what_was_asked_or_answered(server, chat, handler, sink):
    server.reply = lambda body: {"content": "secret answer", "usage": USAGE}
    chat().invoke("secret question", {"callbacks": [handler]})
    search.invoke("secret query", {"callbacks": [handler]})
    assert "secret" not in repr(sink.events)
    assert "secret" not in repr(handler.__dict__)


def test_threads_lose_no_count(ops, handler):
    ready = threading.Barrier(8)

    def run() -> None:
        ready.wait()
        for _ in range(200):
            run_id = uuid4()
            handler.on_tool_start({"name": "t"}, "x", run_id=run_id)
            handler.on_tool_end("x", run_id=run_id)

    for caller in [start(run) for _ in range(8)]:
        caller.result()
    assert ops.stats()["tool:t"].calls == 1600


def test_times_are_of_the_runtimes_clock(sink):
    clock = FakeClock()
    handler = ToolOpsCallbackHandler(ToolOps("time", clock=clock, sinks=[sink]))
    run = uuid4()
    handler.on_chat_model_start(None, [[]], run_id=run, invocation_params={"model": "m"})
    began = clock.time()
    clock.advance(1.0)
    handler.on_llm_new_token("", run_id=run)
    clock.advance(1.0)
    handler.on_llm_new_token("a", run_id=run)
    clock.advance(0.5)
    handler.on_llm_new_token("b", run_id=run)
    clock.advance(0.5)
    handler.on_llm_end(LLMResult(generations=[[Generation(text="ab")]]), run_id=run)
    (event,) = sink.events
    assert (event.name, event.started, event.latency) == ("chat:m", began, 3.0)
    assert event.details == {"model": "m", "time_to_first_token": 2.0}


def test_a_runtime_that_is_not_active_counts_nothing(ops, config, sink):
    ops.active = False
    search.invoke("a", config)
    assert sink.events == []
    assert not ops.stats()


def test_what_is_wrong_is_refused(ops):
    for wrong in ({"chains": "some"}, {"prices": 3}, {"max_runs": 0}, {"prices": {"m": 3}}):
        with pytest.raises(ConfigurationError):
            ToolOpsCallbackHandler(ops, **wrong)


# -- prices


@pytest.mark.parametrize(
    ("model", "money"),
    [
        ("gpt-test", COST),
        ("gpt-test-2024-08-06", COST),
        ("gpt-test-20240806", COST),
        ("gpt-test-latest", COST),
        ("gpt-test-mini", 0.0),
        ("gpt", 0.0),
    ],
)
def test_a_dated_version_has_the_price_of_its_model(model, money):
    usage = {"input_tokens": 10, "output_tokens": 4}
    assert ModelPrices(PRICES).of([model], usage) == money


def test_prices_are_by_the_million_and_less_for_what_the_provider_had_cached():
    usage = {"input_tokens": 10, "output_tokens": 4, "input_token_details": {"cache_read": 6}}
    assert TokenPrice(2.0, 3.0)(usage) == COST / 1_000_000
    assert TokenPrice(2.0, 3.0, 0.5, per=1)(usage) == 4 * 2.0 + 6 * 0.5 + 4 * 3.0
    assert ModelPrices({"m": (2.0, 3.0)}).of(["m"], usage) == COST / 1_000_000
    with pytest.raises(ConfigurationError, match="input"):
        TokenPrice(-1, 2)


def test_a_price_is_one_of_whatever_a_model_gives():
    usage = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}
    message = AIMessage(
        "a", usage_metadata=usage, response_metadata={"model_name": "gpt-test-2024-08-06"}
    )
    generations = [ChatGeneration(message=message)]
    prices = ModelPrices(PRICES)
    for result in (message, generations, generations * 2, LLMResult(generations=[generations])):
        assert prices(result) == COST
    for result in (None, "text", [], [Generation(text="a")], AIMessage("a")):
        assert prices(result) == 0.0


def test_a_callable_gets_model_and_usage(server, chat, ops):
    seen = []

    def price(model, usage):
        seen.append((model, usage["output_tokens"]))
        return 1.5

    chat().invoke("how many?", {"callbacks": [ToolOpsCallbackHandler(ops, prices=price)]})
    assert ops.stats().total.spent == 1.5
    assert seen == [("gpt-test", 4)]
