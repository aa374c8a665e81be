"""guard_llm: what agents, crews and listeners see of a guarded model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from callers import Latch
from crewai import Agent, Crew, Task
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.llm_events import (
    LLMCallCompletedEvent,
    LLMCallFailedEvent,
    LLMCallStartedEvent,
    LLMStreamChunkEvent,
)
from crewai.hooks import register_before_llm_call_hook
from crewai.llms.base_llm import BaseLLM
from crewai.tools import tool
from pydantic import BaseModel
from servers import wait_for

from crewai_toolops.llms import MODEL_POLICY, guard_llm
from toolops_plugins import (
    Cache,
    CallEvent,
    CircuitBreaker,
    CircuitOpen,
    Policy,
    Retry,
    ToolOps,
)

FRANCE = "What is the capital of France?"
CALL = {"name": "quote", "arguments": {"ticker": "ACME"}}


class Capital(BaseModel):
    city: str
    people: int


@pytest.fixture
def events() -> list[CallEvent]:
    return []


@pytest.fixture
def ops(events: list[CallEvent]) -> Iterator[ToolOps]:
    with ToolOps(sinks=[events.append]) as ops:
        yield ops


@pytest.fixture
def crew_llm(ops: ToolOps, llm: Callable[..., Any]) -> Any:
    return guard_llm(llm(), ops=ops)


@pytest.fixture
def call_events() -> Iterator[Callable[[], list[Any]]]:
    """The events about model calls that CrewAI's listeners receive, in order."""
    events: list[Any] = []
    with crewai_event_bus.scoped_handlers():
        for kind in (
            LLMCallStartedEvent,
            LLMStreamChunkEvent,
            LLMCallCompletedEvent,
            LLMCallFailedEvent,
        ):
            crewai_event_bus.on(kind)(lambda source, event: events.append(event))

        def all_of_them() -> list[Any]:
            crewai_event_bus.flush()
            return sorted(events, key=lambda event: event.timestamp)

        yield all_of_them


WAYS: dict[str, Callable[..., Any]] = {
    "kickoff": lambda crew, **given: crew.kickoff(**given),
    "akickoff": lambda crew, **given: asyncio.run(crew.akickoff(**given)),
    "kickoff_async": lambda crew, **given: asyncio.run(crew.kickoff_async(**given)),
}


@pytest.fixture(params=list(WAYS))
def kickoff(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return WAYS[request.param]


def react(tool: str, arguments: str) -> str:
    """Return what a model without function calling writes to call a tool."""
    return f"Thought: I look it up.\nAction: {tool}\nAction Input: {arguments}"


def final(answer: str) -> str:
    """Return what such a model writes in the end."""
    return f"Thought: I now know the final answer.\nFinal Answer: {answer}"


@tool("quote")
def quote(ticker: str) -> str:
    """The price of a share."""
    return f"{ticker} costs 7"


def crew_of(llm: Any, **task: Any) -> Crew:
    agent = Agent(role="Analyst", goal="Answer.", backstory="You know.", tools=[quote], llm=llm)
    given = {"description": "What costs {share}?", "expected_output": "A price.", **task}
    return Crew(agents=[agent], tasks=[Task(agent=agent, **given)])


def by_tool(body: dict[str, Any]) -> Any:
    """Call the tool once, then answer; with function calling."""
    return "It costs 7." if body["messages"][-1]["role"] == "tool" else [CALL]


def by_text(body: dict[str, Any]) -> str:
    """Call the tool once, then answer; in text."""
    told = any("costs 7" in str(message["content"]) for message in body["messages"])
    return final("It costs 7.") if told else react("quote", '{"ticker": "ACME"}')


# Crews


@pytest.mark.parametrize("native", [True, False])
def test_a_second_kickoff_makes_no_request(ops, llm, openai_server, kickoff, native):
    openai_server.reply = by_tool if native else by_text
    crew_llm = guard_llm(llm(native=native), ops=ops)
    crew = crew_of(crew_llm)
    first = kickoff(crew, inputs={"share": "ACME"})
    made = len(openai_server.requests)
    assert made == 2
    second = kickoff(crew, inputs={"share": "ACME"})
    assert first.raw == second.raw == "It costs 7."
    assert len(openai_server.requests) == made
    kickoff(crew, inputs={"share": "BETA"})
    assert len(openai_server.requests) > made


def test_a_second_crew_makes_no_request_and_counts_no_tokens(ops, llm, openai_server, kickoff):
    openai_server.reply = by_tool
    assert kickoff(crew_of(guard_llm(llm(), ops=ops))).token_usage.total_tokens > 0
    made = len(openai_server.requests)
    other = kickoff(crew_of(guard_llm(llm(), ops=ops)))
    assert other.token_usage.total_tokens == 0
    assert other.token_usage.successful_requests == 0
    assert len(openai_server.requests) == made


def test_stop_words_reach_the_provider_and_are_no_obstacle(ops, llm, openai_server):
    openai_server.reply = by_text
    crew_of(guard_llm(llm(native=False, stop=["END"]), ops=ops)).kickoff()
    plain = llm(native=False, stop=["END"])
    made = len(openai_server.requests)
    crew_of(plain).kickoff()
    ours, theirs = openai_server.requests[0], openai_server.requests[made]
    assert {**ours, "messages": None} == {**theirs, "messages": None}


def test_what_is_sent_is_what_the_plain_model_sends(ops, llm, openai_server):
    openai_server.reply = by_tool
    crew_of(guard_llm(llm(), ops=ops)).kickoff()
    crew_of(llm()).kickoff()
    assert len(openai_server.requests) == 4
    assert openai_server.requests[0] == openai_server.requests[2]


def test_copies_of_crews_share(ops, llm, openai_server):
    openai_server.reply = by_tool
    crew = crew_of(guard_llm(llm(), ops=ops))
    shares = [{"share": "ACME"}, {"share": "ACME"}, {"share": "BETA"}]
    answers = crew.kickoff_for_each(inputs=shares)
    assert [answer.raw for answer in answers] == ["It costs 7."] * 3
    assert len(openai_server.requests) == 4
    asyncio.run(crew.kickoff_for_each_async(inputs=shares))
    assert len(openai_server.requests) == 4


def test_crews_at_the_same_time_share(ops, llm, openai_server):
    openai_server.reply = by_tool
    openai_server.gate = gate = Latch()
    crews = [crew_of(guard_llm(llm(), ops=ops)) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(crew.kickoff) for crew in crews]
        wait_for(lambda: openai_server.requests, "a request")
        gate.open()
        assert {answer.result().raw for answer in answers} == {"It costs 7."}
    assert len(openai_server.requests) == 2


def test_an_agent_alone(ops, llm, openai_server):
    openai_server.reply = by_tool
    agent = Agent(
        role="Analyst", goal="g", backstory="b", tools=[quote], llm=guard_llm(llm(), ops=ops)
    )
    assert agent.kickoff(FRANCE).raw == agent.kickoff(FRANCE).raw == "It costs 7."
    assert asyncio.run(agent.kickoff_async(FRANCE)).raw == "It costs 7."
    assert len(openai_server.requests) == 2


@pytest.mark.parametrize("field", ["output_pydantic", "response_model", "output_json"])
def test_structured_outputs_of_tasks(ops, llm, openai_server, field):
    openai_server.reply = lambda body: '{"city": "Paris", "people": 2}'
    crew = crew_of(guard_llm(llm(), ops=ops), **{field: Capital})
    crew.agents[0].tools = []
    first = crew.kickoff()
    made = len(openai_server.requests)
    second = crew.kickoff()
    assert first.raw == second.raw
    if field == "output_pydantic":
        assert first.pydantic == second.pydantic == Capital(city="Paris", people=2)
    assert first.json_dict == second.json_dict
    assert len(openai_server.requests) == made


def test_under_a_rate_limit_the_guard_is_entered_once(ops, llm, openai_server, events):
    replies = iter([{"status": 429}, {"status": 429}, "Paris"])
    openai_server.reply = lambda body: next(replies)
    fast = MODEL_POLICY.replace(retry=Retry(attempts=3, wait=0.0))
    crew = crew_of(guard_llm(llm(), fast, ops=ops))
    assert crew.kickoff().raw == "Paris"
    assert [(event.outcome, event.attempts) for event in events] == [("miss", 3)]


def test_a_streaming_crew_streams_hits_too(crew_llm, openai_server):
    openai_server.reply = lambda body: "It costs 7."
    crew = crew_of(crew_llm)
    crew.stream = True
    texts = []
    for _ in range(2):
        streaming = crew.kickoff()
        texts.append("".join(chunk.content for chunk in streaming))
        assert streaming.result.raw == "It costs 7."
    assert texts == ["It costs 7."] * 2
    assert len(openai_server.requests) == 1


def test_hooks_of_an_agent_run_for_hits(crew_llm, openai_server):
    openai_server.reply = by_tool
    seen: list[Any] = []
    register_before_llm_call_hook(lambda context: seen.append(context.agent.role))
    crew = crew_of(crew_llm)
    crew.kickoff()
    crew.kickoff()
    assert seen == ["Analyst"] * 4
    assert len(openai_server.requests) == 2


# Listeners


@pytest.mark.parametrize("way", ["call", "acall"])
def test_a_hit_is_a_pair_of_events_that_counts_no_tokens(crew_llm, call_events, way):
    for _ in range(2):
        if way == "call":
            crew_llm.call(FRANCE)
        else:
            asyncio.run(crew_llm.acall(FRANCE))
    _, paid, start, hit = call_events()
    assert isinstance(start, LLMCallStartedEvent)
    assert isinstance(hit, LLMCallCompletedEvent)
    assert start.call_id == hit.call_id != paid.call_id
    assert hit.started_event_id == start.event_id
    assert hit.response == paid.response == FRANCE
    assert hit.model == paid.model
    assert hit.call_type == paid.call_type
    assert paid.usage["total_tokens"] > 0
    assert hit.usage is None
    assert paid.fingerprint_metadata is None
    told = {"hit": True, "usage": paid.usage}
    assert hit.fingerprint_metadata == start.fingerprint_metadata == {"toolops": told}


def test_events_of_hits_name_their_agent(crew_llm, openai_server, call_events):
    openai_server.reply = by_tool
    crew = crew_of(crew_llm)
    crew.kickoff()
    crew.kickoff()
    completed = [event for event in call_events() if isinstance(event, LLMCallCompletedEvent)]
    assert [event.agent_role for event in completed] == ["Analyst"] * 4
    assert [event.task_id for event in completed] == [str(crew.tasks[0].id)] * 4
    assert [event.call_type.value for event in completed] == ["tool_call", "llm_call"] * 2
    assert [event.usage is None for event in completed] == [False, False, True, True]


def test_who_waits_for_anothers_answer_emits_a_pair_too(crew_llm, openai_server, call_events):
    openai_server.gate = gate = Latch()
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(crew_llm.call, FRANCE) for _ in range(3)]
        wait_for(lambda: openai_server.requests, "a request")
        gate.open()
        assert {answer.result() for answer in answers} == {FRANCE}
    completed = [event for event in call_events() if isinstance(event, LLMCallCompletedEvent)]
    assert sorted(event.usage is None for event in completed) == [False, True, True]
    assert len(call_events()) == 6


def test_a_call_that_was_made_is_never_told_as_a_hit(ops, call_events):
    class Silent(BaseLLM):
        def call(self, messages, **kwargs):
            return None

    crew_llm = guard_llm(Silent(model="silent"), ops=ops)
    assert [crew_llm.call(FRANCE), crew_llm.call(FRANCE)] == [None, None]
    assert call_events() == []


def test_a_hit_of_a_stream_is_one_chunk(ops, llm, openai_server, call_events):
    crew_llm = guard_llm(llm(stream=True), ops=ops)
    crew_llm.call(FRANCE)
    before = len(call_events())
    assert before > 3
    crew_llm.call(FRANCE)
    start, chunk, end = call_events()[before:]
    assert chunk.chunk == FRANCE
    assert chunk.call_id == start.call_id == end.call_id
    assert start.stream


def test_a_hit_of_streamed_tool_calls_is_a_chunk_for_each(ops, llm, openai_server, call_events):
    openai_server.reply = lambda body: [CALL, CALL]
    crew_llm = guard_llm(llm(stream=True), ops=ops)
    tools = [{"type": "function", "function": {"name": "quote", "parameters": {}}}]
    crew_llm.call(FRANCE, tools=tools)
    before = len(call_events())
    calls = crew_llm.call(FRANCE, tools=tools)
    _, first, second, _ = call_events()[before:]
    assert [first.tool_call.id, second.tool_call.id] == [call["id"] for call in calls]
    assert first.tool_call.function.name == "quote"


def test_stream_events_of_a_hit(crew_llm, openai_server):
    for _ in range(2):
        frames = list(crew_llm.stream_events(FRANCE))
        assert "".join(str(frame.content or "") for frame in frames) == FRANCE
    assert len(openai_server.requests) == 1


def test_a_rejection_is_a_failed_call(ops, llm, openai_server, call_events):
    policy = Policy(breaker=CircuitBreaker(failure_rate=0.5, min_calls=1, window=1))
    crew_llm = guard_llm(llm(), policy, ops=ops)
    openai_server.reply = lambda body: {"status": 500}
    with pytest.raises(Exception, match="500"):
        crew_llm.call(FRANCE)
    before = len(call_events())
    with pytest.raises(CircuitOpen):
        crew_llm.call(FRANCE)
    start, failed = call_events()[before:]
    assert isinstance(start, LLMCallStartedEvent)
    assert "CircuitOpen" in failed.error
    assert failed.fingerprint_metadata == {"toolops": {"called": False}}


def test_a_denial_is_a_failed_call(crew_llm, openai_server, call_events):
    register_before_llm_call_hook(lambda context: False)
    with pytest.raises(ValueError, match="blocked"):
        crew_llm.call(FRANCE)
    start, failed = call_events()
    assert isinstance(start, LLMCallStartedEvent)
    assert "blocked" in failed.error
    assert not openai_server.requests


def test_a_fallback_is_a_pair_of_events(ops, llm, openai_server, call_events):
    openai_server.reply = lambda body: {"status": 500}
    policy = Policy(cache=Cache(), fallback="I cannot say.")
    assert guard_llm(llm(), policy, ops=ops).call(FRANCE) == "I cannot say."
    end = call_events()[-1]
    assert end.response == "I cannot say."
    assert end.fingerprint_metadata == {"toolops": {"fallback": True}}


def test_a_structured_hit_tells_what_a_paid_one_does(crew_llm, openai_server, call_events):
    openai_server.reply = lambda body: '{"city": "Paris", "people": 2}'
    for _ in range(2):
        crew_llm.call(FRANCE, response_model=Capital)
    _, paid, _, hit = call_events()
    assert hit.response == paid.response


# Made anew


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_forced_refresh_reaches_the_calls_of_a_crew(
    ops, crew_llm, openai_server, kickoff, in_thread
):
    openai_server.reply = lambda body: f"number {len(openai_server.requests)}"
    crew = crew_of(crew_llm, async_execution=in_thread)
    assert [kickoff(crew).raw for _ in range(2)] == ["number 1"] * 2
    with ops.force_refresh():
        assert kickoff(crew).raw == "number 2"
    assert [kickoff(crew).raw for _ in range(2)] == ["number 2"] * 2
