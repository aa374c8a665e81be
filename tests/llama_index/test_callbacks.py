"""Models, embeddings and queries that LlamaIndex runs, as either system of events tells of them.

Most tests run three times: with ToolOpsCallbackHandler alone, with install() alone, and with both,
which must come to the same.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from callers import LONG, start
from llama_index.core import Document, MockEmbedding, Settings, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms import (
    ChatMessage,
    CompletionResponse,
    CustomLLM,
    LLMMetadata,
)
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.retrievers import BaseRetriever, RouterRetriever
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.tools import QueryEngineTool, RetrieverTool
from llama_index.embeddings.openai import OpenAIEmbedding
from pydantic import BaseModel
from servers import wait_for

from llama_index.callbacks.toolops._event_dedup import mark_inside
from llama_index.callbacks.toolops._event_run import calls_around
from llama_index.callbacks.toolops.callbacks import ToolOpsCallbackHandler
from llama_index.callbacks.toolops.instrumentation import _installation, install, uninstall
from llama_index.callbacks.toolops.prices import TokenPrice
from toolops_plugins import CallEvent, ToolOps
from toolops_plugins.testing import FakeClock

MODEL = "gpt-4o-mini"
PRICES = {MODEL: TokenPrice(2.0, 3.0, per=1)}
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
COST = 10 * 2.0 + 4 * 3.0
HELLO = [ChatMessage(role="user", content="hello there")]


class Sink:
    """Keeps all events."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []

    def on_call(self, event: CallEvent) -> None:
        self.events.append(event)

    def names(self) -> list[str]:
        return [event.name for event in self.events]


class System:
    """A counting system and its number of open calls."""

    def __init__(self, name: str, ops: ToolOps, **options: Any) -> None:
        self.name = name
        self.handler: ToolOpsCallbackHandler | None = None
        if name != "events":
            self.handler = ToolOpsCallbackHandler(ops, **options)
            Settings.callback_manager = CallbackManager([self.handler])
        if name != "callbacks":
            install(ops, **options)

    @property
    def open(self) -> int:
        listener = _installation._listener
        events = None if listener is None else listener._events
        return sum(len(each._calls) for each in (self.handler, events) if each is not None)


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def ops(sink):
    return ToolOps("callbacks", sinks=[sink])


@pytest.fixture(params=["callbacks", "events", "both"])
def system(request, ops, _settings) -> Iterator[System]:
    yield System(request.param, ops, prices=PRICES)
    uninstall()


@pytest.fixture
def handler(ops, _settings):
    made = ToolOpsCallbackHandler(ops, prices=PRICES)
    Settings.callback_manager = CallbackManager([made])
    return made


def counts(ops: ToolOps) -> dict[str, int]:
    return {tool.name: tool.calls for tool in ops.stats().tools}


async def read(stream: Any) -> list[Any]:
    return [each async for each in stream]


ENDPOINTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "chat": ("chat", lambda model: model.chat(HELLO)),
    "complete": ("llm", lambda model: model.complete("hello there")),
    "stream_chat": ("chat", lambda model: list(model.stream_chat(HELLO))),
    "stream_complete": ("llm", lambda model: list(model.stream_complete("hello there"))),
    "achat": ("chat", lambda model: asyncio.run(model.achat(HELLO))),
    "acomplete": ("llm", lambda model: asyncio.run(model.acomplete("hello there"))),
    "astream_chat": ("chat", lambda model: asyncio.run(_read_chat(model))),
    "astream_complete": ("llm", lambda model: asyncio.run(_read_text(model))),
}


async def _read_chat(model: Any) -> Any:
    return await read(await model.astream_chat(HELLO))


async def _read_text(model: Any) -> Any:
    return await read(await model.astream_complete("hello there"))


# -- models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_each_endpoint_of_a_provider_is_one_call_with_its_tokens_and_price(
    endpoint, system, ops, sink, llm, openai_server
):
    openai_server.reply = lambda body: {"content": "yes it is", "usage": USAGE}
    kind, call = ENDPOINTS[endpoint]
    options = {"additional_kwargs": {"stream_options": {"include_usage": True}}}
    call(llm(**(options if "stream" in endpoint else {})))
    assert sink.names() == [f"{kind}:{MODEL}"]
    event = sink.events[0]
    assert (event.outcome, event.reason, event.attempts) == ("bypass", "no_cache", 1)
    assert event.price == COST
    assert event.details["model"] == MODEL
    assert event.details["input_tokens"] == 10
    assert event.details["output_tokens"] == 4
    assert event.details["total_tokens"] == 14
    seen = system.name != "callbacks" and "stream" in endpoint
    assert ("time_to_first_token" in event.details) == seen
    assert counts(ops)[f"{kind}:{MODEL}"] == 1
    assert system.open == 0


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_endpoints_of_a_custom_model_that_call_each_other_are_one_call(
    endpoint, system, sink, echo
):
    kind, call = ENDPOINTS[endpoint]
    model = echo()
    call(model)
    assert model.calls == 1
    assert sink.names() == [f"{kind}:echo"]
    assert system.open == 0


async def test_calls_side_by_side_are_not_parts_of_each_other(system, sink, echo):
    model = echo()
    await asyncio.gather(*(model.achat(HELLO) for _ in range(3)))
    stream = model.stream_chat(HELLO)
    next(stream)
    model.complete("while the stream is open")
    list(stream)
    assert sorted(sink.names()) == ["chat:echo"] * 4 + ["llm:echo"]
    assert system.open == 0


async def test_two_streams_of_one_question_that_are_open_at_once_are_two_calls(system, sink, echo):
    model = echo()
    first = await model.astream_chat(HELLO)
    second = await model.astream_chat([ChatMessage(role="user", content="another")])
    third = model.stream_complete("more")
    await read(second)
    await read(first)
    list(third)
    assert sorted(sink.names()) == ["chat:echo", "chat:echo", "llm:echo"]
    assert system.open == 0


def test_an_open_stream_is_not_around_what_a_chat_engine_calls(system, sink, echo):
    model = echo()
    stream = model.stream_complete("never read so far")
    memory = ChatMemoryBuffer.from_defaults(llm=model)  # the default one leaves a database open
    engine = SimpleChatEngine.from_defaults(llm=model, memory=memory)  # it traces a "chat" too
    engine.chat("hello")
    assert sink.names() == ["chat:echo"]
    list(stream)
    assert sink.names() == ["chat:echo", "llm:echo"]


def test_a_model_without_a_name_goes_by_its_class(system, sink, mock_llm):
    mock_llm().complete("x")
    assert sink.names() == ["llm:MockLLM"]
    assert sink.events[0].details is None


class Person(BaseModel):
    """A person to extract."""

    name: str


def test_a_structured_model_is_one_call_with_the_tokens_of_its_inner_one(
    system, sink, llm, openai_server
):
    openai_server.reply = lambda body: {"content": '{"name": "Ada"}', "usage": USAGE}
    answer = llm().as_structured_llm(Person).chat(HELLO)
    assert answer.raw == Person(name="Ada")
    assert sink.names() == [f"chat:{MODEL}"]
    assert sink.events[0].details["total_tokens"] == 14
    assert sink.events[0].price == COST
    assert len(openai_server.requests) == 1
    assert system.open == 0


def test_the_tokens_of_several_parts_are_summed(system, sink, llm, openai_server):
    openai_server.reply = lambda body: {"content": "yes", "usage": USAGE}
    Twice(inner=llm()).chat(HELLO)
    assert sink.names() == ["chat:twice"]
    assert sink.events[0].details["total_tokens"] == 28
    assert sink.events[0].price == 2 * COST


class Twice(CustomLLM):
    """A model that asks another one twice, and tells no tokens."""

    inner: Any

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="twice")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        for _ in range(2):
            text = self.inner.chat(HELLO).message.content
        return CompletionResponse(text=text)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


def test_a_dated_model_has_the_price_of_its_model(ops, sink, llm, openai_server):
    openai_server.reply = lambda body: {"content": "yes", "usage": USAGE}
    handler = ToolOpsCallbackHandler(ops, prices={MODEL: (2.0, 3.0)})
    model = llm(model=f"{MODEL}-2024-07-18", callback_manager=CallbackManager([handler]))
    model.chat(HELLO)
    assert sink.names() == [f"chat:{MODEL}-2024-07-18"]
    assert sink.events[0].price == COST / 1_000_000


def test_the_time_to_the_first_token_is_that_of_the_first_text(sink, echo):
    clock = FakeClock()
    ops = ToolOps("callbacks", sinks=[sink], clock=clock)
    install(ops)
    try:
        stream = echo().stream_complete("two words")
        clock.advance(2.0)
        next(stream)
        clock.advance(3.0)
        list(stream)
    finally:
        uninstall()
    assert sink.events[0].details["time_to_first_token"] == pytest.approx(2.0)
    assert sink.events[0].latency == pytest.approx(5.0)


# -- streams that are left -----------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["stream_chat", "stream_complete"])
def test_a_stream_that_is_left_early_is_no_error(endpoint, system, sink, echo):
    stream = getattr(echo(), endpoint)(HELLO if "chat" in endpoint else "one two three")
    next(stream)
    stream.close()
    assert [(event.outcome, event.reason) for event in sink.events] == [("bypass", "left")]
    assert system.open == 0


def test_a_stream_that_is_dropped_early_is_no_error(system, sink, echo):
    stream = echo().stream_complete("one two three")
    next(stream)
    del stream
    gc.collect()
    assert [(event.outcome, event.reason) for event in sink.events] == [("bypass", "left")]
    assert system.open == 0


@pytest.mark.parametrize("endpoint", ["astream_chat", "astream_complete"])
async def test_an_asynchronous_stream_that_is_left_early_is_no_error(endpoint, system, sink, echo):
    stream = await getattr(echo(), endpoint)(HELLO if "chat" in endpoint else "one two three")
    await anext(stream)
    await stream.aclose()
    del stream
    for _ in range(5):  # the loop closes one generator within another
        gc.collect()
        await asyncio.sleep(0)
    assert [(event.outcome, event.reason) for event in sink.events] == [("bypass", "left")]
    assert system.open == 0


async def test_streams_that_are_never_read_leave_nothing_open(system, ops, sink, echo):
    model = echo()
    for _ in range(3):
        model.stream_chat(HELLO)
        model.stream_complete("hello there")
        await model.astream_chat(HELLO)
        await model.astream_complete("hello there")
    gc.collect()
    assert sink.events == []
    if system.name != "callbacks":  # which are told of no end
        assert system.open == 0
    model.chat(HELLO)
    assert sink.names() == ["chat:echo"]


def test_streams_side_by_side_do_not_stand_around_each_other(system, ops, echo):
    model = echo()
    streams = [model.stream_complete("hello there") for _ in range(20)]
    assert len(list(calls_around(ops))) == 1
    del streams


async def test_what_is_never_read_gives_way_with_callbacks_alone(ops, sink, echo):
    handler = ToolOpsCallbackHandler(ops, max_calls=5)
    model = echo(callback_manager=CallbackManager([handler]))
    streams = [await model.astream_chat(HELLO) for _ in range(20)]
    assert len(handler._calls) == 5
    assert len(handler._calls._lazy) <= 5
    del streams
    model.complete("hello")
    assert sink.names() == ["llm:echo"]


# -- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_error_of_the_provider_is_one_error_with_its_type(
    endpoint, system, sink, llm, openai_server
):
    openai_server.reply = lambda body: {"status": 500}
    kind, call = ENDPOINTS[endpoint]
    with pytest.raises(openai.InternalServerError):
        call(llm())
    assert [(event.name, event.outcome, event.error) for event in sink.events] == [
        (f"{kind}:{MODEL}", "error", "InternalServerError")
    ]
    assert system.open == 0


class Broken(CustomLLM):
    """A model that fails before its stream, or in the middle of it."""

    early: bool = True

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="broken")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        raise KeyError(prompt)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        if self.early:
            raise KeyError(prompt)

        def chunks() -> Iterator[CompletionResponse]:
            yield CompletionResponse(text="so", delta="so")
            raise ValueError(prompt)

        return chunks()


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("early", [True, False])
def test_an_error_that_passes_through_endpoints_is_one_error(endpoint, early, system, sink):
    kind, call = ENDPOINTS[endpoint]
    with pytest.raises((KeyError, ValueError)):
        call(Broken(early=early))
    late = "stream" in endpoint and not early
    assert [(event.name, event.outcome, event.error) for event in sink.events] == [
        (f"{kind}:broken", "error", "ValueError" if late else "KeyError")
    ]
    assert system.open == 0


async def test_a_call_that_is_cancelled_is_an_error(system, sink, llm, openai_server):
    openai_server.gate = threading.Event()
    task = asyncio.create_task(llm().achat(HELLO))
    try:
        await asyncio.to_thread(wait_for, lambda: openai_server.requests, "a request")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    finally:
        openai_server.gate.set()
    assert [(event.outcome, event.error) for event in sink.events] == [("error", "CancelledError")]
    assert system.open == 0


# -- embeddings, retrievers, queries ---------------------------------------------------------------


class Vectors(BaseEmbedding):
    """An embedding that may fail."""

    fails: bool = False

    def _get_text_embedding(self, text: str) -> list[float]:
        if self.fails:
            raise OSError(text)
        return [1.0, 0.0]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def test_each_request_for_embeddings_is_a_call(system, sink):
    model = Vectors(model_name="vectors", embed_batch_size=2)
    model.get_query_embedding("q")
    model.get_text_embedding("t")
    model.get_text_embedding_batch(["a", "b", "c"])
    assert sink.names() == ["embedding:vectors"] * 4
    assert {event.outcome for event in sink.events} == {"bypass"}
    assert sink.events[0].details == {"model": "vectors"}
    assert system.open == 0


async def test_each_asynchronous_request_for_embeddings_is_a_call(system, sink):
    model = Vectors(model_name="vectors", embed_batch_size=2)
    await model.aget_query_embedding("q")
    await model.aget_text_embedding("t")
    await model.aget_text_embedding_batch(["a", "b", "c"])
    assert sink.names() == ["embedding:vectors"] * 4
    assert system.open == 0


def test_embeddings_of_a_provider_are_counted(system, sink, openai_server):
    model = OpenAIEmbedding(api_base=openai_server.url, api_key="sk-test", max_retries=0)
    model.get_text_embedding("hello")
    assert sink.names() == [f"embedding:{model.model_name}"]


def test_an_embedding_that_fails_is_an_error(system, sink):
    model = Vectors(model_name="vectors", fails=True)
    for call in (model.get_query_embedding, model.get_text_embedding):
        with pytest.raises(OSError, match="x"):
            call("x")
    with pytest.raises(OSError, match="x"):
        model.get_text_embedding_batch(["x"])
    assert [(event.name, event.error) for event in sink.events] == [
        ("embedding:vectors", "OSError")
    ] * 3
    assert system.open == 0


async def test_an_asynchronous_batch_that_fails_is_an_error_where_spans_are_told(system, sink):
    model = Vectors(model_name="vectors", fails=True)
    with pytest.raises(OSError, match="x"):
        await model.aget_text_embedding_batch(["x"])
    if system.name == "callbacks":  # which are told of no end
        assert sink.events == []
    else:
        assert [event.error for event in sink.events] == ["OSError"]
        assert system.open == 0
    model.fails = False
    await model.aget_text_embedding_batch(["x"])
    assert sink.names()[-1:] == ["embedding:vectors"]


def index() -> VectorStoreIndex:
    documents = [Document(text="water boils at a hundred degrees")]
    return VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(3))


def test_a_query_and_all_that_it_runs_are_rows(system, ops, sink, mock_llm):
    engine = index().as_query_engine(llm=mock_llm())
    engine.query("when does water boil?")
    assert counts(ops) == {
        "embedding:MockEmbedding": 2,
        "retriever:VectorIndexRetriever": 1,
        "llm:MockLLM": 1,
        "synthesizer:CompactAndRefine": 1,
        "query:RetrieverQueryEngine": 1,
    }
    assert {event.outcome for event in sink.events} == {"bypass"}
    assert system.open == 0


async def test_an_asynchronous_query_and_all_that_it_runs_are_rows(system, ops, mock_llm):
    engine = index().as_query_engine(llm=mock_llm(), streaming=True)
    response = await engine.aquery("when does water boil?")
    await read(response.async_response_gen())
    assert counts(ops) == {
        "embedding:MockEmbedding": 2,
        "retriever:VectorIndexRetriever": 1,
        "llm:MockLLM": 1,
        "synthesizer:CompactAndRefine": 1,
        "query:RetrieverQueryEngine": 1,
    }
    assert system.open == 0


def test_an_error_inside_a_query_is_one_of_each_of_its_levels(system, sink):
    engine = index().as_query_engine(llm=Broken())
    with pytest.raises(KeyError):
        engine.query("when?")
    failed = {event.name: event.error for event in sink.events if event.outcome == "error"}
    assert failed == {
        "llm:broken": "KeyError",
        "synthesizer:CompactAndRefine": "KeyError",
        "query:RetrieverQueryEngine": "KeyError",
    }
    assert system.open == 0


def test_a_query_inside_another_error_is_none(system, sink, mock_llm):
    engine = index().as_query_engine(llm=mock_llm())
    try:
        {}["x"]
    except KeyError:
        engine.query("when?")
    assert {event.outcome for event in sink.events} == {"bypass"}


class Chosen(CustomLLM):
    """A model that chooses the first of what it is offered."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="chosen")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text='[{"choice": 1, "reason": "it is the first"}]')

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


def test_a_router_and_what_it_chooses_are_two_queries(system, ops):
    engine = index().as_query_engine(llm=Chosen())
    tools = [QueryEngineTool.from_defaults(engine, name=name) for name in ("one", "two")]
    selector = LLMSingleSelector.from_defaults(llm=Chosen())
    RouterQueryEngine(selector=selector, query_engine_tools=tools, llm=Chosen()).query("when?")
    assert counts(ops)["query:RouterQueryEngine"] == 1
    assert counts(ops)["query:RetrieverQueryEngine"] == 1
    assert system.open == 0


class Found(BaseRetriever):
    """A retriever that finds one node."""

    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(text="found"), score=1.0)]


def test_a_router_that_fires_its_callback_twice_is_one_retrieval(system, ops):
    tools = [RetrieverTool.from_defaults(Found(), description=name) for name in ("one", "two")]
    selector = LLMSingleSelector.from_defaults(llm=Chosen())
    RouterRetriever(selector=selector, retriever_tools=tools, llm=Chosen()).retrieve("when?")
    assert counts(ops)["retriever:RouterRetriever"] == 1
    assert counts(ops)["retriever:Found"] == 1
    assert system.open == 0


# -- what the runtime counts itself ----------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["chat", "complete", "stream_chat", "stream_complete"])
def test_models_inside_a_guarded_call_are_not_counted(endpoint, system, sink, echo):
    with mark_inside("llm"):
        ENDPOINTS[endpoint][1](echo())
    assert sink.events == []
    assert system.open == 0


@pytest.mark.parametrize("endpoint", ["astream_chat", "astream_complete"])
async def test_a_stream_that_begins_inside_is_not_counted_wherever_it_is_read(
    endpoint, system, sink, echo
):
    model = echo()
    with mark_inside("llm"):
        stream = await getattr(model, endpoint)(HELLO if "chat" in endpoint else "hello there")
    await read(stream)
    assert sink.events == []
    assert system.open == 0
    await model.achat(HELLO)
    assert sink.names() == ["chat:echo"]


def test_embeddings_inside_a_guarded_call_are_not_counted_but_models_are(system, sink, echo):
    with mark_inside("embedding"):
        Vectors(model_name="vectors").get_text_embedding("x")
        echo().complete("x")
    assert sink.names() == ["llm:echo"]


# -- many at once ----------------------------------------------------------------------------------


def test_eight_threads_on_one_manager_are_all_counted(system, ops, echo):
    model = echo()
    gate = threading.Barrier(8)

    def work() -> None:
        gate.wait()
        for _ in range(25):
            model.chat(HELLO)
            list(model.stream_complete("hello"))

    for thread in [start(work) for _ in range(8)]:
        thread.result(LONG)
    assert counts(ops)["chat:echo"] == 200
    assert counts(ops)["llm:echo"] == 200
    assert system.open == 0


def test_two_runs_of_asyncio_in_a_row_are_counted(system, ops, echo):
    model = echo()
    for _ in range(2):
        asyncio.run(model.achat(HELLO))
    assert counts(ops)["chat:echo"] == 2


def test_a_forked_child_counts_although_another_thread_held_the_lock(handler, ops, echo):
    model = echo()
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with handler._calls._lock:
            held.set()
            release.wait(LONG)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(LONG)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(LONG))  # a child that hangs dies, and so fails the test
        model.complete("in the child")
        os._exit(0 if counts(ops)["llm:echo"] == 1 else 1)
    release.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
