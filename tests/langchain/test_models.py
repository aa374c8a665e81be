"""guard_llm: a chat model behind a policy, which stays the model that it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from callers import Latch
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models.chat_models import (
    BaseChatModel,
    agenerate_from_stream,
    generate_from_stream,
)
from langchain_core.language_models.fake_chat_models import (
    FakeListChatModel,
    GenericFakeChatModel,
)
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langchain_tests.unit_tests import ChatModelUnitTests
from openai import BadRequestError
from pydantic import BaseModel, create_model
from servers import wait_for

from langchain_toolops import (
    MODEL_POLICY,
    ModelPrices,
    ToolOpsCallbackHandler,
    ToolOpsMiddleware,
    guard_llm,
)
from toolops_plugins import (
    Bulkhead,
    Cache,
    CallEvent,
    CircuitBreaker,
    CircuitOpen,
    ConfigurationError,
    Hedge,
    Memory,
    Policy,
    RateLimit,
    Redis,
    Retry,
    Semantic,
    SemanticCache,
    ToolOps,
)
from toolops_plugins.testing import FakeClock

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"


@pytest.fixture
def events() -> list[CallEvent]:
    return []


@pytest.fixture
def ops(events: list[CallEvent]) -> Iterator[ToolOps]:
    with ToolOps(sinks=[events.append]) as ops:
        yield ops


@pytest.fixture
def model(ops: ToolOps, chat: Callable[..., ChatOpenAI]) -> ChatOpenAI:
    return guard_llm(chat(), ops=ops)


async def aread_stream(model: Any, question: Any) -> Any:
    whole = None
    async for chunk in model.astream(question):
        whole = chunk if whole is None else whole + chunk
    return whole


def read_stream(model: Any, question: Any) -> Any:
    whole = None
    for chunk in model.stream(question):
        whole = chunk if whole is None else whole + chunk
    return whole


WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "invoke": lambda model, question: model.invoke(question),
    "ainvoke": lambda model, question: asyncio.run(model.ainvoke(question)),
    "stream": read_stream,
    "astream": lambda model, question: asyncio.run(aread_stream(model, question)),
    "batch": lambda model, question: model.batch([question])[0],
}


@pytest.fixture(params=list(WAYS))
def ask(request: pytest.FixtureRequest) -> Callable[[Any, Any], Any]:
    return WAYS[request.param]


# An answer and a stream, in a thread and on a loop: policies hold alike for all.
@pytest.fixture(params=["invoke", "astream"])
def face(request: pytest.FixtureRequest) -> Callable[[Any, Any], Any]:
    return WAYS[request.param]


class TestAsAnyModel(ChatModelUnitTests):
    """LangChain's own suite for chat models, on a guarded one."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "gpt-test", "api_key": "sk-test", "max_retries": 0}

    @pytest.fixture
    def model(self, request: pytest.FixtureRequest) -> Any:
        given = {**self.standard_chat_model_params, **self.chat_model_params}
        with ToolOps() as ops:
            yield guard_llm(ChatOpenAI(**given, **(getattr(request, "param", None) or {})), ops=ops)

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"OPENAI_API_KEY": "sk-test"}, {"model": "gpt-test"}, {"openai_api_key": "sk-test"}

    @pytest.fixture
    def snapshot(self) -> Callable[..., Any]:
        """The model that the suite compares with: the guarded model."""
        given = {**self.standard_chat_model_params, **self.chat_model_params}
        return lambda name: dumpd(ChatOpenAI(**given))


def test_it_stays_what_it_was(model, chat):
    plain = chat()
    assert isinstance(model, ChatOpenAI)
    assert type(model).__name__ == "ChatOpenAI"
    assert model.model_dump() == plain.model_dump()
    assert model._get_llm_string() == plain._get_llm_string()
    assert model.get_name() == plain.get_name()
    assert model.lc_id() == plain.lc_id()
    assert model.model_copy() == model
    assert type(plain).__name__ == "ChatOpenAI"
    assert type(plain) is ChatOpenAI


def test_an_answer_is_paid_for_once(model, openai_server, ask, events):
    first, second = ask(model, FRANCE), ask(model, FRANCE)
    assert len(openai_server.requests) == 1
    assert first.content == second.content == FRANCE
    assert type(first) is type(second)
    assert not first.response_metadata.get("toolops", {"hit": False})["hit"]
    assert second.response_metadata["toolops"] == {"hit": True}
    assert type(second.usage_metadata) is type(first.usage_metadata)  # streams tell none here
    if first.usage_metadata:
        assert first.usage_metadata["total_tokens"] > second.usage_metadata["total_tokens"] == 0
    assert first.id != second.id
    assert [event.outcome for event in events] == ["miss", "hit"]


def test_both_ways_of_asking_share_answers(model, openai_server):
    for way in ("invoke", "ainvoke", "batch"):
        assert WAYS[way](model, FRANCE).content == FRANCE
    assert len(openai_server.requests) == 1
    for way in ("stream", "astream"):
        assert WAYS[way](model, FRANCE).content == FRANCE
    assert len(openai_server.requests) == 2


def test_other_models_and_prompts_do_not_share(ops, chat, openai_server):
    model = guard_llm(chat(), ops=ops)
    model.invoke(FRANCE)
    model.invoke([SystemMessage("Be brief."), HumanMessage(FRANCE)])
    model.invoke(FRANCE, stop=["."])
    model.bind(temperature=0.3).invoke(FRANCE)
    guard_llm(chat(temperature=0.5), ops=ops).invoke(FRANCE)
    guard_llm(chat(model="gpt-other"), ops=ops).invoke(FRANCE)
    assert len(openai_server.requests) == 6
    guard_llm(chat(), ops=ops).invoke(FRANCE)
    assert len(openai_server.requests) == 6


def test_a_model_that_was_changed_is_another(ops, chat, openai_server):
    model = guard_llm(chat(), ops=ops)
    model.invoke(FRANCE)
    model.temperature = 0.9
    model.invoke(FRANCE)
    assert len(openai_server.requests) == 2


def test_it_can_be_configured_as_before(model, openai_server):
    flexible = model.configurable_fields(temperature=ConfigurableField(id="temperature"))
    for heat in (0.1, 0.2, 0.1):
        flexible.with_config(configurable={"temperature": heat}).invoke(FRANCE)
    assert [body["temperature"] for body in openai_server.requests] == [0.1, 0.2]


def test_tools_are_bound_as_before(model, openai_server):
    @tool
    def add(a: int) -> int:
        """Add."""
        return a

    openai_server.reply = lambda body: [{"name": "add", "arguments": {"a": 1}}]
    bound = model.bind_tools([add])
    for _ in range(2):
        (call,) = bound.invoke("add").tool_calls
        assert (call["name"], call["args"]) == ("add", {"a": 1})
    assert len(openai_server.requests) == 1
    assert openai_server.requests[0]["tools"][0]["function"]["name"] == "add"
    model.invoke("add")
    assert len(openai_server.requests) == 2


class Answer(BaseModel):
    city: str


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_structured_output_works_as_before(model, openai_server, method):
    if method == "function_calling":
        reply: Any = [{"name": "Answer", "arguments": {"city": "Paris"}}]
    else:
        reply = json.dumps({"city": "Paris"})
    openai_server.reply = lambda body: reply
    structured = model.with_structured_output(Answer, method=method)
    found = [structured.invoke(FRANCE), asyncio.run(structured.ainvoke(FRANCE))]
    assert found == [Answer(city="Paris")] * 2
    assert len(openai_server.requests) == 1


def test_a_schema_of_the_same_name_with_other_fields_is_another(model, openai_server):
    openai_server.reply = lambda body: json.dumps({"city": "Paris", "land": "France"})
    for fields in ({"city": (str, ...)}, {"city": (str, ...), "land": (str, ...)}):
        schema = create_model("Answer", **fields)
        assert model.with_structured_output(schema).invoke(FRANCE).city == "Paris"
    assert len(openai_server.requests) == 2


def test_what_cannot_be_told_apart_goes_past(ops, events):
    model = guard_llm(Plain(), ops=ops)
    for _ in range(2):
        model.bind(client=object()).invoke(FRANCE)
    assert [event.outcome for event in events] == ["bypass"] * 2


@pytest.mark.parametrize(
    "reply", [{"content": ""}, {"content": "Once upon", "finish_reason": "length"}]
)
def test_empty_and_truncated_answers_are_not_kept(model, openai_server, reply, face, events):
    openai_server.reply = lambda body: reply
    face(model, FRANCE)
    face(model, FRANCE)
    assert len(openai_server.requests) == 2
    assert [event.reason for event in events] == ["not_wanted"] * 2


def test_usage_can_be_zeroed(ops, chat, face):
    model = guard_llm(chat(stream_usage=True), ops=ops, usage_on_hit="zero")
    assert face(model, FRANCE).usage_metadata["total_tokens"] > 0
    assert face(model, FRANCE).usage_metadata["total_tokens"] == 0


# Callbacks


class Seen(BaseCallbackHandler):
    def __init__(self) -> None:
        self.told: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.told.append("start")

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.told.append(token)

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        self.told.append("end")

    def on_llm_error(self, *args: Any, **kwargs: Any) -> None:
        self.told.append("error")


def test_callbacks_hear_each_run_once(ops, chat, ask):
    seen, plain = Seen(), Seen()
    ask(chat(callbacks=[plain]), FRANCE)
    model = guard_llm(chat(callbacks=[seen]), ops=ops)
    ask(model, FRANCE)
    assert seen.told == plain.told
    seen.told.clear()
    ask(model, FRANCE)
    assert [told for told in seen.told if told in ("start", "end")] == ["start", "end"]
    tokens = [told for told in seen.told if told not in ("start", "end")]
    assert "".join(tokens) in ("", FRANCE)


def test_a_model_that_streams_within_is_guarded_once(ops, chat, openai_server, events):
    model = guard_llm(chat(streaming=True), ops=ops)
    for _ in range(2):
        assert model.invoke(FRANCE).content == FRANCE
    assert len(openai_server.requests) == 1
    assert [event.outcome for event in events] == ["miss", "hit"]


def test_the_callback_handler_counts_nothing_twice(ops, model, ask, events):
    handler = ToolOpsCallbackHandler(ops)
    for _ in range(2):
        ask(model.with_config(callbacks=[handler]), FRANCE)
    assert [event.outcome for event in events] == ["miss", "hit"]


class Limit(BaseRateLimiter):
    def __init__(self) -> None:
        self.asked = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.asked += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        return self.acquire()


def test_only_real_calls_ask_the_rate_limiter(ops, chat, ask):
    limit = Limit()
    model = guard_llm(chat(rate_limiter=limit), ops=ops)
    for _ in range(3):
        ask(model, FRANCE)
    assert limit.asked == 1


class Least(BaseChatModel):
    """A model of a user's own, whose methods are written by means of each other."""

    @property
    def _llm_type(self) -> str:
        return "least"


class OfStream(Least):
    """Collects its stream for an answer."""

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        for text in "a", "b":
            yield ChatGenerationChunk(message=AIMessageChunk(text))

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for text in "a", "b":
            yield ChatGenerationChunk(message=AIMessageChunk(text))

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))


class OfAnswer(Least):
    """Streams its whole answer as one chunk."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("ab"))])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return self._generate(messages, stop, run_manager, **kwargs)

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        yield self._chunk(self._generate(messages, stop, run_manager, **kwargs))

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        yield self._chunk(await self._agenerate(messages, stop, run_manager, **kwargs))

    def _chunk(self, result):
        content = result.generations[0].message.content
        return ChatGenerationChunk(message=AIMessageChunk(content))


@pytest.mark.parametrize("make", [lambda: FakeListChatModel(responses=["ab"]), OfStream, OfAnswer])
def test_models_that_call_their_own_methods_are_one_call(ops, ask, events, make):
    model = guard_llm(make(), ONE_AT_A_TIME, ops=ops)
    assert ask(model, FRANCE).content == "ab"
    assert [event.outcome for event in events] == ["bypass"]


class Told(BaseCallbackHandler):
    """Notes the tokens that a run was told of, and its error."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.errors: list[BaseException] = []

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.tokens.append(token)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.errors.append(error)


class Watched(Least):
    """Collects the stream of another model, and tells that the run."""

    inner: Any

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        yield from self.inner._stream(messages, stop, run_manager, **kwargs)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        async for chunk in self.inner._astream(messages, stop, run_manager, **kwargs):
            yield chunk

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_stream_tells_the_run_that_it_is_given_of_tokens_and_errors(
    ops, chat, openai_server, way
):
    model = Watched(inner=guard_llm(chat(), ops=ops))
    for _ in range(2):  # a stream of the server, and a hit
        told = Told()
        assert WAYS[way](model.with_config(callbacks=[told]), FRANCE).content == FRANCE
        assert "".join(told.tokens) == FRANCE
    assert len(openai_server.requests) == 1
    openai_server.reply = lambda body: {"status": 400}
    told = Told()
    with pytest.raises(BadRequestError) as caught:
        WAYS[way](model.with_config(callbacks=[told]), "and of Spain?")
    assert told.errors == [caught.value]


ONE_AT_A_TIME = Policy(bulkhead=Bulkhead(1))


def test_hits_have_tool_calls_of_their_own(model, openai_server, ask):
    @tool
    def add(a: int) -> int:
        """Add."""
        return a

    openai_server.reply = lambda body: [{"name": "add", "arguments": {"a": 1}}]
    bound = model.bind_tools([add])
    ids = {call["id"] for _ in range(3) for call in ask(bound, "add").tool_calls}
    assert len(ids) == 3
    assert len(openai_server.requests) == 1


async def test_a_stream_of_many_chunks_does_not_block_the_loop(ops):
    class Many(Plain):
        def _stream(self, messages, stop=None, run_manager=None, **kwargs):
            for number in range(3_000):
                part = {"name": None, "args": "x", "id": None, "index": 0}
                if not number:
                    part |= {"name": "f", "id": "c"}
                yield ChatGenerationChunk(
                    message=AIMessageChunk(content="x", tool_call_chunks=[part])
                )

    import langchain_toolops._llm_answers as answers

    chunks = list(Many()._stream([]))
    assert answers.merge_chunks(chunks).text == "x" * 3_000
    model = guard_llm(Many(), Policy(cache=Cache()), ops=ops)
    assert len([chunk async for chunk in model.astream("q")]) >= 3_000


# Policies


def test_a_failure_is_tried_again_where_that_may_help(ops, chat, openai_server, face):
    answers = iter([{"status": 503}, "Paris"])
    openai_server.reply = lambda body: next(answers)
    policy = Policy(cache=Cache(), retry=Retry(attempts=2, wait=0.0))
    assert face(guard_llm(chat(), policy, ops=ops), FRANCE).content == "Paris"
    answers = iter([{"status": 401}, "Paris"])
    with pytest.raises(Exception, match="401"):
        face(guard_llm(chat(), policy, ops=ops), AGAIN)


def test_both_ways_of_asking_share_a_breaker(ops, chat, openai_server):
    openai_server.reply = lambda body: {"status": 500}
    policy = Policy(breaker=CircuitBreaker(min_calls=2, window=2))
    model = guard_llm(chat(), policy, ops=ops)
    for way in ("invoke", "stream"):
        with pytest.raises(Exception, match="500"):
            WAYS[way](model, FRANCE)
    for ask in WAYS.values():
        with pytest.raises(CircuitOpen):
            ask(model, FRANCE)
    assert len(openai_server.requests) == 2


def test_a_stale_answer_is_a_hit(chat, openai_server, face):
    clock = FakeClock()
    policy = Policy(cache=Cache(ttl=10, stale_if_error=100))
    with ToolOps(clock=clock) as ops:
        model = guard_llm(chat(stream_usage=True), policy, ops=ops, usage_on_hit="zero")
        face(model, FRANCE)
        clock.advance(20)
        openai_server.reply = lambda body: {"status": 500}
        stale = face(model, FRANCE)
    assert stale.content == FRANCE
    assert stale.response_metadata["toolops"] == {"hit": True}
    assert stale.usage_metadata["total_tokens"] == 0


def test_other_policies_for_one_model_stand_beside_each_other(ops, chat, openai_server, face):
    policies = [
        MODEL_POLICY,
        MODEL_POLICY.replace(breaker=CircuitBreaker(min_calls=3)),
        MODEL_POLICY.replace(rate_limit=RateLimit("5/s")),
        MODEL_POLICY.replace(rate_limit=RateLimit("6/s")),
        MODEL_POLICY,
    ]
    for policy in policies:
        face(guard_llm(chat(), policy, ops=ops), FRANCE)
    agent = create_agent(chat(), middleware=[ToolOpsMiddleware(ops)])
    agent.invoke({"messages": [("user", FRANCE)]})
    names = set(ops.breakers.items())
    assert names == {"openai:gpt-test", "openai:gpt-test #2"}


@pytest.mark.parametrize("planted", ["text", ["a"], {"generations": []}])
def test_an_entry_of_another_kind_is_no_answer(ops, chat, openai_server, face, planted):
    policy = Policy(cache=Cache())
    model = guard_llm(chat(), policy, ops=ops)
    asked = model.__toolops_guard__.question(chat(), [HumanMessage(FRANCE)], None, {})
    for name in ("openai:gpt-test", "openai:gpt-test stream"):

        def plant(question, scope, own):
            return planted

        ops.tool(plant, name=name, policy=policy, ignore=["own"])(*asked, None)
    assert face(model, FRANCE).content == FRANCE


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_of_another_kind_is_no_answer(ops, chat, openai_server, way):
    policy = Policy(cache=Cache())
    model = guard_llm(chat(), policy, ops=ops)
    asked = model.__toolops_guard__.question(chat(), [HumanMessage(FRANCE)], None, {})

    def plant(question, scope, own):
        yield "text"

    planted = ops.tool(plant, name="openai:gpt-test stream", policy=policy, ignore=["own"])
    assert list(planted(*asked, None)) == ["text"]
    assert WAYS[way](model, FRANCE).content == FRANCE
    assert len(openai_server.requests) == 1


@pytest.mark.parametrize(
    "fallback",
    [
        "Ask me later.",
        AIMessageChunk("Ask me later."),
        lambda error, arguments: ChatGenerationChunk(message=AIMessageChunk("Ask me later.")),
    ],
    ids=["text", "message", "chunk"],
)
def test_a_fallback_is_a_text_or_a_message(ops, chat, openai_server, face, fallback):
    openai_server.reply = lambda body: {"status": 500}
    policy = Policy(cache=Cache(), fallback=fallback)
    assert face(guard_llm(chat(), policy, ops=ops), FRANCE).content == "Ask me later."


def test_the_rest_of_a_policy_has_its_place(ops, chat, face, openai_server):
    policy = Policy(cache=Cache(), bulkhead=Bulkhead(2), hedge=Hedge(), price=lambda _: 0.5)
    face(guard_llm(chat(), policy, ops=ops), FRANCE)
    assert ops.stats().total.spent == 0.5


def test_tokens_are_priced_every_way(ops, chat, face):
    prices = ModelPrices({"gpt-test": (1_000_000.0, 0.0)})
    policy = MODEL_POLICY.replace(price=prices)
    model = guard_llm(chat(stream_usage=True), policy, ops=ops, usage_on_hit="keep")
    for _ in range(2):
        tokens = face(model, FRANCE).usage_metadata["input_tokens"]
    total = ops.stats().total
    assert (total.spent, total.saved_price) == (tokens, tokens)
    assert tokens > 0


def test_questions_in_other_words_share_an_answer(chat, openai_server, tmp_path: Path, face):
    with ToolOps(semantic=SemanticCache(path=tmp_path)) as ops:
        policy = MODEL_POLICY.replace(semantic=Semantic(on="question", threshold=0.8))
        model = guard_llm(chat(), policy, ops=ops)
        assert face(model, FRANCE).content == FRANCE
        assert face(model, AGAIN).content == FRANCE
        face(model, [SystemMessage("Answer in French."), HumanMessage(AGAIN)])
        assert len(openai_server.requests) == 2


def test_answers_and_streams_are_shared_through_redis(chat, openai_server, namespace, valkey, face):
    for _ in range(2):
        with ToolOps(namespace, [Memory(), Redis(valkey.url, ttl=60)]) as ops:
            assert face(guard_llm(chat(), ops=ops), FRANCE).content == FRANCE
    assert len(openai_server.requests) == 1


# Concurrency


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_fifty_threads_ask_once(model, openai_server, events, way):
    openai_server.gate = gate = Latch()
    with ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(WAYS[way], model, FRANCE) for _ in range(50)]
        wait_for(lambda: len(openai_server.requests) == 1, "the request")
        gate.open()
        assert {each.result(20).content for each in asked} == {FRANCE}
    assert len(openai_server.requests) == 1


@pytest.mark.parametrize("streams", [False, True])
async def test_fifty_tasks_ask_once(model, openai_server, streams):
    async def ask() -> Any:
        return await (aread_stream(model, FRANCE) if streams else model.ainvoke(FRANCE))

    answers = await asyncio.gather(*(ask() for _ in range(50)))
    assert {answer.content for answer in answers} == {FRANCE}
    assert len(openai_server.requests) == 1


async def test_a_caller_that_leaves_harms_nobody(model, openai_server):
    openai_server.gate = gate = Latch()
    tasks = [asyncio.create_task(model.ainvoke(FRANCE)) for _ in range(3)]
    await asyncio.to_thread(wait_for, lambda: openai_server.requests, "the request")
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    gate.open()
    assert [(await task).content for task in tasks[1:]] == [FRANCE] * 2
    assert len(openai_server.requests) == 1


# What is refused, and other models


def test_the_default_retries_of_a_client_are_warned_of(ops, chat):
    with pytest.warns(UserWarning, match="max_retries=2"):
        guard_llm(chat(max_retries=None), ops=ops)


def test_what_cannot_be_guarded_is_refused(ops, chat):
    with pytest.raises(ConfigurationError, match="usage_on_hit"):
        guard_llm(chat(), ops=ops, usage_on_hit="half")
    with pytest.raises(ConfigurationError, match="semantic"):
        guard_llm(
            chat(), MODEL_POLICY.replace(semantic=Semantic(on="question", threshold=0.8)), ops=ops
        )


class Plain(BaseChatModel):
    """A model with the least that a model must have."""

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("fine"))])


def test_the_least_model_is_guarded_every_way(ops, ask, events):
    model = guard_llm(Plain(), Policy(cache=Cache()), ops=ops)
    assert [ask(model, "how?").content for _ in range(2)] == ["fine", "fine"]
    assert [event.outcome for event in events] == ["miss", "hit"]


def test_a_tool_call_without_an_id_stays_without_one(ops, ask):
    class Caller(Plain):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            call = {"name": "add", "args": {"a": 1}, "id": None}
            message = AIMessage("", tool_calls=[call])
            return ChatResult(generations=[ChatGeneration(message=message)])

    model = guard_llm(Caller(), Policy(cache=Cache()), ops=ops)
    found = [ask(model, "add") for _ in range(2)]
    assert [[call["id"] for call in each.tool_calls] for each in found] == [[None], [None]]


def test_models_of_langchains_own_tests_are_guarded(ops):
    model = guard_llm(GenericFakeChatModel(messages=iter([AIMessage("a b")])), ops=ops)
    assert model.invoke("x").content == "a b"
