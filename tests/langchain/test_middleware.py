"""Model calls of agents through ToolOpsMiddleware, by real clients of a server on loopback."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from callers import LONG, Latch, Notices, start
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelResponse
from langchain.agents.middleware.types import ExtendedModelResponse
from langchain.agents.structured_output import (
    ProviderStrategy,
    StructuredOutputValidationError,
    ToolStrategy,
)
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel, create_model
from servers import wait_for
from typing_extensions import TypedDict

from langchain_toolops.callbacks import ToolOpsCallbackHandler
from langchain_toolops.middleware import ToolOpsMiddleware
from toolops_plugins import (
    Cache,
    CircuitBreaker,
    CircuitOpen,
    ConfigurationError,
    Policy,
    Price,
    Redis,
    Retry,
    Semantic,
    SemanticCache,
    Timeout,
    ToolOps,
    TotalTimeout,
)
from toolops_plugins.adapters.usage import zero_counts, zero_tokens
from toolops_plugins.testing import FakeClock

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"
SPAIN = "What is the capital of Spain?"
WITH_MEANING = ToolOpsMiddleware.MODEL.replace(semantic=Semantic(on="question", threshold=0.8))


@tool
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


class LastTurn(AgentMiddleware):
    """Shows the model the last question alone, as trimmed conversations are."""

    def wrap_model_call(self, request, handler):
        return handler(self._trim(request))

    async def awrap_model_call(self, request, handler):
        return await handler(self._trim(request))

    def _trim(self, request):
        last = max(i for i, m in enumerate(request.messages) if isinstance(m, HumanMessage))
        return request.override(messages=request.messages[last:])


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ops(clock: FakeClock) -> Iterator[ToolOps]:
    with ToolOps("middleware", clock=clock) as runtime:
        yield runtime


@pytest.fixture
def meaningful(tmp_path: Path) -> Iterator[ToolOps]:
    with ToolOps("middleware", semantic=SemanticCache(tmp_path / "index")) as runtime:
        yield runtime


@pytest.fixture
def agent(ops, chat):
    """Return a function that makes agents with our middleware innermost."""

    def make(tools=(), *, model=None, policy=ToolOpsMiddleware.MODEL, outer=(), inner=(), **given):
        options = {k: given.pop(k) for k in ("runtime", "usage_on_hit", "semantic_after_tools")
                   if k in given}  # fmt: skip
        ours = ToolOpsMiddleware(options.pop("runtime", ops), model=policy, **options)
        return create_agent(
            chat() if model is None else model, [*tools],
            middleware=[*outer, ours, *inner], **given,
        )  # fmt: skip

    return make


def aboard(ops: ToolOps) -> int:
    """Return how many callers are in any flight."""
    flights = ops._shared.flights
    return sum(map(flights.count_callers, list(flights._table)))


def call_tool_first(body: dict[str, Any]) -> Any:
    """Call the tool first, and say its result then."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return f"It is {last['content']}."
    return [{"name": "add", "arguments": {"a": 1}}]


# Hits


def test_the_second_run_of_an_agent_with_tools_makes_no_model_call(agent, ask, openai_server):
    openai_server.reply = call_tool_first
    made = agent([add])
    first, second = ask(made, "1 + 2?"), ask(made, "1 + 2?")
    assert len(openai_server.requests) == 2
    assert [m.content for m in first["messages"]] == [m.content for m in second["messages"]]
    ids = [m.tool_calls[0]["id"] for run in (first, second) for m in run["messages"][1:2]]
    assert ids[0] != ids[1]
    assert second["messages"][2].tool_call_id == ids[1]


def test_a_hit_is_marked_and_has_no_id_of_the_run_that_made_it(agent, ask, ops):
    made = agent()
    first, second = ask(made, "hi")["messages"][-1], ask(made, "hi")["messages"][-1]
    assert "toolops" not in first.response_metadata
    assert second.response_metadata.pop("toolops") == {"hit": True}
    assert second.id != first.id
    assert second.usage_metadata["total_tokens"] == 0
    first.id = second.id = None
    for message in (first, second):  # both tell tokens, and in the same form
        message.usage_metadata = zero_tokens(message.usage_metadata)
        zero_counts(message.response_metadata)
    assert first == second
    assert ops.stats().tools[0].name == "openai:gpt-test"


@pytest.mark.parametrize("kept", [True, False])
def test_the_tokens_of_a_hit_are_kept_or_none(agent, ask, kept):
    made = agent(usage_on_hit="keep") if kept else agent()
    first, second = (ask(made, "hi there")["messages"][-1].usage_metadata for _ in "12")
    assert first["total_tokens"] == 4
    assert second["total_tokens"] == (4 if kept else 0)


def test_a_hit_survives_what_its_receiver_does_to_it(agent, ask):
    made = agent()
    ask(made, "hi")
    hit = ask(made, "hi")["messages"][-1]
    hit.content = "poison"
    hit.response_metadata.clear()
    assert ask(made, "hi")["messages"][-1].content == "hi"


def test_a_thread_asked_twice_ends_with_four_messages(agent, ask, openai_server):
    made = agent(outer=[LastTurn()], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    ask(made, "hi", config)
    messages = ask(made, "hi", config)["messages"]
    assert [m.content for m in messages] == ["hi"] * 4
    assert len({m.id for m in messages}) == 4
    assert len(openai_server.requests) == 1


def test_tool_calls_of_two_hits_in_one_thread_differ(agent, ask, openai_server):
    openai_server.reply = call_tool_first
    made = agent([add], outer=[LastTurn()], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    for _ in range(3):
        messages = ask(made, "1 + 2?", config)["messages"]
    calls = [m.tool_calls[0]["id"] for m in messages if isinstance(m, AIMessage) and m.tool_calls]
    assert len(set(calls)) == 3
    assert [m.tool_call_id for m in messages if m.type == "tool"] == calls
    assert len(openai_server.requests) == 2


@pytest.mark.parametrize("aio", [False, True])
def test_a_stream_of_messages_brings_a_hit_too(agent, aio):
    made = agent(outer=[LastTurn()], checkpointer=InMemorySaver())
    state = {"messages": [("user", "one two")]}
    config = {"configurable": {"thread_id": "1"}}

    async def read_stream():
        return [c async for c, _ in made.astream(state, config, stream_mode="messages")]

    def texts():
        if aio:
            chunks = asyncio.run(read_stream())
        else:
            chunks = [chunk for chunk, _ in made.stream(state, config, stream_mode="messages")]
        return [chunk.content for chunk in chunks if chunk.type != "human" and chunk.content]

    assert [texts(), texts()] == [["one ", "two"], ["one two"]]


# The key


def test_what_changes_the_answer_changes_the_key(agent, ask, chat, openai_server):
    model = chat()
    made = agent(model=model)
    ask(made, "hi")
    for name, value in {
        "temperature": 0.5,
        "model_name": "gpt-other",
        "default_headers": {"X-Tenant": "blue"},
        "model_kwargs": {"user": "ann"},
        "stop": ["\n"],
    }.items():
        before = len(openai_server.requests)
        setattr(model, name, value)
        ask(made, "hi")
        assert len(openai_server.requests) == before + 1, name
    before = len(openai_server.requests)
    model.max_retries = 1
    model.tags = ["a tag"]
    ask(made, "hi")
    assert len(openai_server.requests) == before
    others = [chat(api_key="sk-other"), chat(organization="ours"), chat()]
    for other in others:
        ask(agent(model=other), "hi")
    assert len(openai_server.requests) == before + 2  # the last one is as the first was


def test_tools_and_prompts_are_part_of_the_key(agent, ask, openai_server):
    @tool("add")
    def other_words(a: int, b: int = 2) -> int:
        """Add two numbers, but in other words."""
        return a + b

    @tool("add")
    def other_types(a: float, b: float = 2) -> float:
        """Add two numbers."""
        return a + b

    agents = [
        agent(),
        agent([add]),
        agent([other_words]),
        agent([other_types]),
        agent(system_prompt="Be brief."),
        agent(system_prompt="Be kind."),
        agent(name="ann"),
    ]
    for made in [*agents, *agents]:
        ask(made, "hi")
    assert len(openai_server.requests) == len(agents)


def test_a_hit_carries_the_name_of_its_own_agent(agent, ask):
    for name in ("ann", "bob", "ann"):
        assert ask(agent(name=name), "hi")["messages"][-1].name == name


def test_the_model_settings_are_part_of_the_key(agent, ask, openai_server):
    class Set(AgentMiddleware):
        seed = 1

        def wrap_model_call(self, request, handler):
            return handler(request.override(model_settings={"seed": self.seed}))

        async def awrap_model_call(self, request, handler):
            return await handler(request.override(model_settings={"seed": self.seed}))

    setting = Set()
    made = agent(outer=[setting])
    for setting.seed in (1, 2, 1, 2):
        ask(made, "hi")
    assert [body["seed"] for body in openai_server.requests] == [1, 2]


def test_a_model_without_a_canonical_form_goes_past_the_cache_with_one_warning(agent, ask, ops):
    notices = Notices(ops)
    model = GenericFakeChatModel(messages=iter([AIMessage("one"), AIMessage("two")]))
    made = agent(model=model)
    assert [ask(made, "hi")["messages"][-1].content for _ in "12"] == ["one", "two"]
    assert notices.reasons == ["not_canonical"]


def test_another_version_is_another_key(ask, chat, ops, openai_server):
    for version in ("1", "2", "1"):
        ask(create_agent(chat(), middleware=[ToolOpsMiddleware(ops, version=version)]), "hi")
    assert len(openai_server.requests) == 2


# Structured responses


class City(BaseModel):
    name: str
    people: int


@dataclasses.dataclass
class Place:
    name: str
    people: int


class Spot(TypedDict):
    name: str
    people: int


PARIS = {"name": "Paris", "people": 2}


def answer_place(body: dict[str, Any]) -> Any:
    """Answer in the form that was asked for, whatever its name."""
    if "response_format" in body:
        return '{"name": "Paris", "people": 2}'
    return [{"name": body["tools"][-1]["function"]["name"], "arguments": PARIS}]


@pytest.mark.parametrize("schema", [City, Place, Spot, City.model_json_schema()])
@pytest.mark.parametrize(
    ("strategy", "model"),
    [
        (ToolStrategy, "gpt-test"),
        (ProviderStrategy, "gpt-test"),
        (lambda schema: schema, "gpt-test"),  # of which LangChain makes a ToolStrategy
        (lambda schema: schema, "gpt-4o"),  # and of this a ProviderStrategy
    ],
)
def test_a_structured_hit_is_made_by_the_requests_own_schema(
    agent, chat, openai_server, schema, strategy, model
):
    openai_server.reply = answer_place
    made = agent(model=chat(model=model), response_format=strategy(schema))
    first, second = (made.invoke({"messages": [("user", "where?")]}) for _ in "12")
    assert len(openai_server.requests) == 1
    assert first["structured_response"] == second["structured_response"]
    assert type(first["structured_response"]) is type(second["structured_response"])
    assert second["structured_response"] is not first["structured_response"]
    for message in second["messages"][2:]:
        assert message.tool_call_id == second["messages"][1].tool_calls[0]["id"]


def test_a_schema_of_the_same_name_with_other_fields_is_another_key(
    agent, ask, chat, openai_server
):
    openai_server.reply = answer_place
    schemas = [
        City,
        create_model("City", name=(str, ...), people=(float, ...)),
        create_model("City", name=(str, ...)),
    ]
    for strategy in (ToolStrategy, ProviderStrategy):
        for schema in [*schemas, *schemas]:
            found = ask(agent(response_format=strategy(schema)), "where?")
            assert type(found["structured_response"]) is schema
    assert len(openai_server.requests) == 6


def test_a_schema_that_has_become_stricter_is_asked_again(agent, ask, openai_server):
    openai_server.reply = answer_place

    def schema(least):
        class Town(BaseModel):
            people: int

            def model_post_init(self, context: Any) -> None:
                if self.people < least:
                    openai_server.reply = lambda body: '{"people": 9}'
                    raise ValueError("too few")

        return Town

    ask(agent(response_format=ProviderStrategy(schema(1))), "where?")
    found = ask(agent(response_format=ProviderStrategy(schema(5))), "where?")
    assert found["structured_response"].people == 9


def test_an_answer_at_odds_with_its_schema_is_not_kept(agent, ask, openai_server):
    wrong = [{"name": "City", "arguments": {"name": "Paris"}}]
    replies = iter([wrong, answer_place, wrong, answer_place])

    def reply(body):
        return found(body) if callable(found := next(replies)) else found

    openai_server.reply = reply
    made = agent(response_format=ToolStrategy(City))
    for _ in range(2):
        assert ask(made, "where?")["structured_response"] == City(**PARIS)
    # The turn after the mistake is the same in both runs.
    assert len(openai_server.requests) == 3


def test_what_an_inner_middleware_has_made_itself_is_not_kept(agent, ask, openai_server, ops):
    class Own(AgentMiddleware):
        def wrap_model_call(self, request, handler):
            return self._change(handler(request))

        async def awrap_model_call(self, request, handler):
            return self._change(await handler(request))

        def _change(self, response):
            return ModelResponse(response.result, structured_response=City(name="?", people=0))

    openai_server.reply = answer_place
    made = agent(response_format=ProviderStrategy(City), inner=[Own()])
    for _ in range(2):
        assert ask(made, "where?")["structured_response"].name == "?"
    assert len(openai_server.requests) == 2
    # Nor is it shared.
    openai_server.gate = gate = Latch()
    runs = [start(ask, made, "where?") for _ in range(2)]
    wait_for(lambda: aboard(ops) == 2, "both aboard", LONG)
    gate.open()
    assert {run.result(LONG)["structured_response"].name for run in runs} == {"?"}
    assert len(openai_server.requests) == 4


@pytest.mark.parametrize("bare", [True, False])
def test_inner_middleware_may_return_what_langchain_lets_it(agent, ask, openai_server, bare):
    class Own(AgentMiddleware):
        def wrap_model_call(self, request, handler):
            return self._of(handler(request))

        async def awrap_model_call(self, request, handler):
            return self._of(await handler(request))

        def _of(self, response):
            return response.result[0] if bare else ExtendedModelResponse(response)

    made = agent(inner=[Own()])
    assert [ask(made, "hi")["messages"][-1].content for _ in "12"] == ["hi", "hi"]
    assert len(openai_server.requests) == 1


# What is not kept


@pytest.mark.parametrize(
    "reply",
    [
        {"content": ""},
        {"content": "  \n"},
        {"content": "cut o", "finish_reason": "length"},
        {"content": "", "finish_reason": "content_filter"},
        [{"name": "add", "arguments": '{"a": '}],
    ],
)
def test_empty_and_cut_off_answers_are_not_kept(agent, ask, openai_server, reply):
    openai_server.reply = lambda body: reply
    made = agent([add])
    for _ in range(2):
        ask(made, "hi")
    assert len(openai_server.requests) == 2


def test_errors_are_not_kept(agent, ask, openai_server):
    openai_server.reply = lambda body: {"status": 400}
    made = agent()
    with pytest.raises(openai.BadRequestError):
        ask(made, "hi")
    openai_server.reply = lambda body: "well"
    assert ask(made, "hi")["messages"][-1].content == "well"


# Resilience


@pytest.mark.parametrize(("status", "attempts"), [(400, 1), (401, 1), (429, 3), (503, 3)])
def test_only_what_may_pass_is_tried_again(agent, ask, openai_server, status, attempts):
    openai_server.reply = lambda body: {"status": status}
    for policy in (ToolOpsMiddleware.MODEL, Policy(retry=Retry())):
        openai_server.requests.clear()
        with pytest.raises(openai.APIStatusError):
            ask(agent(policy=policy), "hi")
        assert len(openai_server.requests) == attempts


def test_whoever_names_exceptions_decides(agent, ask, openai_server):
    openai_server.reply = lambda body: {"status": 400}
    with pytest.raises(openai.BadRequestError):
        ask(agent(policy=Policy(retry=Retry(on=(openai.BadRequestError,)))), "hi")
    assert len(openai_server.requests) == 3


def test_a_server_is_asked_again_when_it_says(agent, ask, openai_server, clock):
    replies = iter([{"status": 429, "headers": {"Retry-After": "7"}}, "well"])
    openai_server.reply = lambda body: next(replies)
    assert ask(agent(), "hi")["messages"][-1].content == "well"
    assert [7 <= seconds <= 7.7 for seconds in clock.slept] == [True]


def test_a_breaker_opens_for_one_model_and_never_by_bad_requests(agent, ask, chat, openai_server):
    policy = Policy(breaker=CircuitBreaker(window=2, min_calls=2, failure_rate=1.0))
    status = 400
    openai_server.reply = lambda body: {"status": status} if body["model"] == "bad" else "well"
    bad, good = agent(model=chat(model="bad"), policy=policy), agent(policy=policy)
    for _ in range(4):
        with pytest.raises(openai.BadRequestError):
            ask(bad, "hi")
    status = 500
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            ask(bad, "hi")
    with pytest.raises(CircuitOpen):
        ask(bad, "hi")
    assert ask(good, "hi")["messages"][-1].content == "well"


def test_answers_that_do_not_fit_speak_against_no_service(agent, ask, openai_server):
    openai_server.reply = lambda body: "no JSON at all"
    policy = Policy(retry=Retry(), breaker=CircuitBreaker(window=2, min_calls=2))
    made = agent(policy=policy, response_format=ProviderStrategy(City))
    with pytest.raises(StructuredOutputValidationError):
        ask(made, "where?")
    assert len(openai_server.requests) == 3


def test_a_stale_answer_stands_in_for_an_error(agent, ask, openai_server, clock):
    made = agent(policy=Policy(cache=Cache(ttl=10, jitter=0, beta=0, stale_if_error=100)))
    ask(made, "hi")
    clock.advance(50)
    openai_server.reply = lambda body: {"status": 500}
    hit = ask(made, "hi")["messages"][-1]
    assert (hit.content, hit.response_metadata["toolops"]) == ("hi", {"hit": True})
    clock.advance(100)
    with pytest.raises(openai.InternalServerError):
        ask(made, "hi")


@pytest.mark.parametrize(
    "fallback",
    [
        "later",
        AIMessage("later"),
        ModelResponse([AIMessage("later")]),
        lambda error, arguments: (
            f"later{arguments['question'][:0]}{arguments['request'].tools!r:.0}"
        ),
    ],
)
def test_a_fallback_answers_in_place_of_an_error(agent, ask, openai_server, fallback):
    openai_server.reply = lambda body: {"status": 500}
    found = ask(agent(policy=Policy(fallback=fallback)), "hi")["messages"][-1]
    assert (found.content, found.response_metadata) == ("later", {})


def test_a_slow_model_runs_out_of_time(agent, ask, openai_server):
    openai_server.gate = gate = Latch()
    with ToolOps("in real time") as runtime, pytest.raises(TotalTimeout):
        ask(agent(policy=Policy(timeout=Timeout(total=0.05)), runtime=runtime), "hi")
    gate.open()


def test_without_a_policy_calls_are_counted_and_nothing_else(agent, ask, openai_server, ops):
    made = agent(policy=None)
    for _ in range(2):
        assert ask(made, "hi")["messages"][-1].response_metadata.get("toolops") is None
    assert len(openai_server.requests) == 2
    assert [(t.name, t.calls) for t in ops.stats().tools] == [("openai:gpt-test", 2)]


@pytest.mark.parametrize("aio", [False, True])
def test_a_refresh_in_the_background_streams_into_no_graph(agent, openai_server, clock, ops, aio):
    class Lingering(AgentMiddleware):
        """Keeps the graph running until the refresh has ended."""

        def after_model(self, state, runtime):
            if openai_server.reply({}) == "new":
                wait_for(is_fresh, "the refresh", LONG)

        async def aafter_model(self, state, runtime):
            async with asyncio.timeout(LONG):
                while openai_server.reply({}) == "new" and not is_fresh():  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.001)

    def is_fresh():
        return ops.stats().tools[0].refreshes == 1

    made = agent(
        policy=Policy(cache=Cache(ttl=10, jitter=0, beta=0, stale_ttl=100)), outer=[Lingering()]
    )
    state = {"messages": [("user", "hi")]}

    async def read_stream():
        return [c async for c, _ in made.astream(state, stream_mode="messages")]

    def text():
        if aio:
            chunks = asyncio.run(read_stream())
        else:
            chunks = [chunk for chunk, _ in made.stream(state, stream_mode="messages")]
        return "".join(chunk.content for chunk in chunks)

    openai_server.reply = lambda body: "old"
    assert text() == "old"
    clock.advance(50)
    openai_server.reply = lambda body: "new"
    assert [text(), text()] == ["old", "new"]


# Coalescing


async def test_fifty_tasks_that_ask_the_same_make_one_call(agent, openai_server):
    openai_server.reply = call_tool_first
    made = agent([add])
    state = {"messages": [("user", "1 + 2?")]}
    runs = await asyncio.gather(*(made.ainvoke(state) for _ in range(50)))
    assert len(openai_server.requests) == 2
    calls = {run["messages"][1].tool_calls[0]["id"] for run in runs}
    assert len(calls) == 50
    assert {run["messages"][-1].content for run in runs} == {"It is 3."}


def test_fifty_threads_that_ask_the_same_make_one_call(agent, openai_server, ops):
    openai_server.reply = call_tool_first
    openai_server.gate = gate = Latch()
    made = agent([add])
    runs = [start(made.invoke, {"messages": [("user", "1 + 2?")]}) for _ in range(50)]
    wait_for(lambda: aboard(ops) == 50, "all aboard", LONG)
    gate.open()
    found = [run.result(LONG) for run in runs]
    assert len(openai_server.requests) == 2
    assert len({run["messages"][1].tool_calls[0]["id"] for run in found}) == 50
    marked = [run["messages"][1].response_metadata.get("toolops") for run in found]
    assert marked.count(None) == 1


async def test_a_cancelled_leader_leaves_the_others_unharmed(agent, openai_server, ops):
    openai_server.gate = gate = Latch()
    made = agent()
    tasks = [asyncio.create_task(made.ainvoke({"messages": [("user", "hi")]})) for _ in range(3)]
    async with asyncio.timeout(LONG):
        while aboard(ops) < 3:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    gate.open()
    for task in tasks[1:]:
        assert (await task)["messages"][-1].content == "hi"
    assert len(openai_server.requests) == 1


# SemanticKeyer


def test_the_same_question_in_other_words_shares_an_answer(meaningful, agent, ask, openai_server):
    openai_server.reply = lambda body: body["messages"][-1]["content"] + " " + body["model"]
    made = agent(policy=WITH_MEANING, runtime=meaningful)
    first = ask(made, FRANCE)["messages"][-1].content
    assert ask(made, AGAIN)["messages"][-1].content == first
    assert ask(made, SPAIN)["messages"][-1].content != first
    assert len(openai_server.requests) == 2


def test_models_and_prompts_have_answers_of_their_own(meaningful, agent, ask, chat, openai_server):
    openai_server.reply = lambda body: body["messages"][0]["content"] + body["model"]
    options = {"policy": WITH_MEANING, "runtime": meaningful}
    agents = [
        agent(system_prompt="Be brief.", **options),
        agent(system_prompt="Be kind.", **options),
        agent(system_prompt="Be kind.", model=chat(model="gpt-other"), **options),
    ]
    for question in (FRANCE, AGAIN):
        answers = [ask(made, question)["messages"][-1].content for made in agents]
        assert answers == ["Be brief.gpt-test", "Be kind.gpt-test", "Be kind.gpt-other"]
    assert len(openai_server.requests) == 3


def test_a_judge_is_shown_what_an_answer_says(agent, ask, openai_server, tmp_path: Path):
    shown: list[Any] = []

    def judge(question, cached, fresh):
        shown.append(cached)
        return True

    with ToolOps(
        "middleware", semantic=SemanticCache(tmp_path / "index", judge=judge, judge_band=0.5)
    ) as runtime:
        for question in (FRANCE, AGAIN):
            ask(agent(policy=WITH_MEANING, runtime=runtime), question)
    assert shown == [FRANCE]


@pytest.mark.parametrize("after", [False, True])
def test_a_turn_after_tool_results_is_shared_if_asked_for(
    meaningful, agent, ask, openai_server, after
):
    openai_server.reply = call_tool_first
    made = agent([add], policy=WITH_MEANING, runtime=meaningful, semantic_after_tools=after)
    for question in (FRANCE, AGAIN):
        ask(made, question)
    assert len(openai_server.requests) == (2 if after else 3)


def test_meaning_needs_a_runtime_that_knows_it(ops):
    with pytest.raises(ConfigurationError, match="semantic"):
        ToolOpsMiddleware(ops, model=WITH_MEANING)
    with pytest.raises(ConfigurationError, match="semantic"):
        ToolOpsMiddleware(ops, model=ToolOpsMiddleware.MODEL.replace(semantic=Semantic(on="text")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"usage_on_hit": "some"},
        {"injected": "include"},
        {"version": "2", "model": Policy(cache=Cache(version="3"))},
        {"version": "2", "tools": {"add": Policy(cache=Cache(version="3"))}},
        {"tools": [add]},
        {"tools": Policy(cache=Cache(), semantic=Semantic(on="a"))},
    ],
)
def test_a_wrong_value_is_told_at_once(ops, wrong):
    with pytest.raises(ConfigurationError):
        ToolOpsMiddleware(ops, **wrong)


# Telemetry


def test_nothing_is_counted_twice_beside_the_callback_handler(chat, ask, ops, openai_server):
    openai_server.reply = call_tool_first
    events: list[Any] = []
    ops.add_sink(events.append)
    for tools in (None, Policy(cache=Cache(ttl=60))):
        made = create_agent(chat(), [add], middleware=[ToolOpsMiddleware(ops, tools=tools)])
        config = {"callbacks": [ToolOpsCallbackHandler(ops, chains="none")]}
        events.clear()
        ask(made, "1 + 2?", config)
        assert [event.name for event in events] == ["openai:gpt-test", "add", "openai:gpt-test"]


def test_hits_cost_nothing_and_tell_what_they_saved(agent, ask, ops, openai_server):
    def tokens(response):
        return response.result[0].usage_metadata["total_tokens"]

    made = agent(policy=ToolOpsMiddleware.MODEL.replace(price=Price(per_token=2, tokens=tokens)))
    for _ in "123":
        ask(made, "hi")
    told = ops.stats().total
    assert (told.spent, told.saved_price) == (4.0, 8.0)


# Redis


def test_answers_go_through_a_real_server_without_secrets(
    agent, ask, chat, valkey, namespace, openai_server
):
    openai_server.reply = call_tool_first
    model = chat(api_key="sk-hidden", default_headers={"X-Token": "header-hidden"})
    for _ in range(2):
        with ToolOps(namespace, [Redis(valkey.url)]) as runtime:
            made = agent(
                [add], model=model, runtime=runtime, system_prompt="prompt-hidden: be kind"
            )
            messages = ask(made, "1 + 2, question-hidden?")["messages"]
            assert messages[-1].content == "It is 3."
    assert len(openai_server.requests) == 2
    assert messages[2].tool_call_id == messages[1].tool_calls[0]["id"]
    assert openai_server.headers[0]["x-token"] == "header-hidden"
    with valkey.client() as client:
        keys = [key for key in client.keys("*") if namespace.encode() in key]
        dump = b"".join(client.dump(key) for key in keys) + b"".join(keys)
    assert len(keys) >= 2
    assert b"hidden" not in dump


@pytest.mark.allow_leaks("two loops have gone, and their clients with them")
def test_two_loops_in_one_process_both_work(agent, valkey, namespace, openai_server):
    with ToolOps(namespace, [Redis(valkey.url)]) as runtime:
        made = agent(runtime=runtime)
        for text in ("a", "a", "b"):
            answer = asyncio.run(made.ainvoke({"messages": [("user", text)]}))
            assert answer["messages"][-1].content == text
    assert len(openai_server.requests) == 2


def test_a_model_that_is_configured_when_it_runs_is_the_one_that_it_then_is(
    ops, chat, openai_server
):
    openai_server.reply = lambda body: body["model"]
    fields = chat().configurable_fields(model_name=ConfigurableField(id="m"))
    others = chat(model="a").configurable_alternatives(
        ConfigurableField(id="m"), default_key="a", b=chat(model="b")
    )
    for model in (fields, others, fields.bind(seed=1)):
        agent = create_agent(model, middleware=[ToolOpsMiddleware(ops)])
        asked = {"messages": [("user", "hi")]}
        for name in ("a", "b", "a"):
            state = agent.invoke(asked, {"configurable": {"m": name}})
            assert state["messages"][-1].content == name
    assert len(openai_server.requests) == 6


def test_a_configuration_that_stands_on_the_model_counts(ops, chat, openai_server):
    openai_server.reply = lambda body: body["model"]
    fields = chat().configurable_fields(model_name=ConfigurableField(id="m"))
    for name in ("a", "b", "a"):
        bound = fields.bind(seed=1).with_config(configurable={"m": name})
        agent = create_agent(bound, middleware=[ToolOpsMiddleware(ops)])
        state = agent.invoke({"messages": [("user", "hi")]})
        assert state["messages"][-1].content == name
    assert len(openai_server.requests) == 2
