"""Guarded models and tools beside CrewAI's own retries, guardrails, caches, hooks and flows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from crewai import Agent, Crew, Task
from crewai.events import crewai_event_bus
from crewai.flow.flow import Flow, listen, router, start
from crewai.flow.persistence import SQLiteFlowPersistence, persist
from crewai.hooks import (
    HookAborted,
    clear_all_global_hooks,
    register_after_llm_call_hook,
    register_after_tool_call_hook,
    register_before_llm_call_hook,
    register_before_tool_call_hook,
)
from crewai.tools import tool
from pydantic import BaseModel

from crewai_toolops import guard_llm, install, uninstall, wrap_tool
from toolops_plugins import Cache, CallEvent, CircuitBreaker, Policy, Retry, ToolOps

MODEL = Policy(cache=Cache(ttl=60), retry=Retry(attempts=3, wait=0))
LOOK = {"name": "look", "arguments": {"q": "ACME"}}

WAYS: dict[str, Callable[[Crew], Any]] = {
    "kickoff": lambda crew: crew.kickoff(),
    "akickoff": lambda crew: asyncio.run(crew.akickoff()),
    "kickoff_async": lambda crew: asyncio.run(crew.kickoff_async()),
    "kickoff_for_each": lambda crew: crew.kickoff_for_each([{}])[0],
}


@pytest.fixture
def events() -> list[CallEvent]:
    return []


@pytest.fixture
def ops(events: list[CallEvent]) -> Iterator[ToolOps]:
    with ToolOps("beside", sinks=[events.append]) as ops:
        yield ops


@pytest.fixture
def model(ops: ToolOps, llm: Callable[..., Any]) -> Any:
    return guard_llm(llm(), MODEL, ops=ops)


@pytest.fixture(params=["kickoff", "akickoff"])
def kickoff(request: pytest.FixtureRequest) -> Callable[[Crew], Any]:
    return WAYS[request.param]


def crew_of(llm: Any, *, agent: Any = None, cache: bool = True, **task: Any) -> Crew:
    made = Agent(role="Analyst", goal="Answer.", backstory="You know.", llm=llm, **(agent or {}))
    given = {"description": "What costs ACME?", "expected_output": "A price.", **task}
    return Crew(agents=[made], tasks=[Task(agent=made, **given)], cache=cache)


def outcomes(events: list[CallEvent]) -> list[tuple[str, int]]:
    return [(event.outcome, event.attempts) for event in events]


# Retries


@pytest.mark.parametrize("way", list(WAYS))
def test_attempts_of_an_agent_are_added_and_not_multiplied(model, openai_server, events, way):
    openai_server.reply = lambda body: {"status": 500}
    with pytest.raises(Exception, match="500"):
        WAYS[way](crew_of(model))
    assert outcomes(events) == [("error", 3), ("error", 1), ("error", 1)]
    assert len(openai_server.requests) == 5


def test_attempts_are_added_where_an_agent_has_a_time_limit(model, openai_server, events):
    openai_server.reply = lambda body: {"status": 500}
    with pytest.raises(Exception, match="500"):
        crew_of(model, agent={"max_execution_time": 60}).kickoff()
    assert outcomes(events) == [("error", 3), ("error", 1), ("error", 1)]


def test_a_call_that_passes_at_the_second_try_fails_no_task(model, openai_server, events, kickoff):
    replies = iter([{"status": 500}, "well"])
    openai_server.reply = lambda body: next(replies)
    crew = crew_of(model)
    assert [kickoff(crew).raw, kickoff(crew).raw] == ["well", "well"]
    assert outcomes(events) == [("miss", 2), ("hit", 0)]


def test_an_agent_that_has_failed_before_has_all_attempts_at_its_next_kickoff(
    ops, model, openai_server, events, kickoff
):
    replies = iter([*[{"status": 500}] * 3, "well", {"status": 500}, "anew"])
    openai_server.reply = lambda body: next(replies)
    crew = crew_of(model)
    assert kickoff(crew).raw == "well"
    with ops.force_refresh():
        assert kickoff(crew).raw == "anew"
    assert outcomes(events) == [("error", 3), ("miss", 1), ("miss", 2)]


def test_calls_before_the_one_that_failed_are_hits_when_the_agent_tries_again(
    ops, model, openai_server, events, kickoff
):
    runs = []

    @tool
    def look(q: str) -> str:
        """Look something up."""
        runs.append(q)
        return "7"

    replies = iter([[LOOK], *[{"status": 500}] * 3, "It costs 7."])
    openai_server.reply = lambda body: next(replies)
    wrapped = wrap_tool(look, ops=ops, policy=MODEL)
    assert kickoff(crew_of(model, agent={"tools": [wrapped]}, cache=False)).raw == "It costs 7."
    assert runs == ["ACME"]
    made = [(event.name, *pair) for event, pair in zip(events, outcomes(events), strict=True)]
    assert made == [
        ("openai:gpt-4o-mini", "miss", 1),
        ("look", "miss", 1),
        ("openai:gpt-4o-mini", "error", 3),
        ("openai:gpt-4o-mini", "hit", 0),
        ("look", "hit", 0),
        ("openai:gpt-4o-mini", "miss", 1),
    ]


def test_a_flow_tries_as_often_as_the_policy(model, openai_server, events):
    openai_server.reply = lambda body: {"status": 500}

    class Asking(Flow[Any]):
        @start()
        def ask(self) -> Any:
            return model.call("hi")

    with pytest.raises(Exception, match="500"):
        Asking().kickoff()
    assert outcomes(events) == [("error", 3)]


# Guardrails


def only_good(output: Any):
    return (True, output.raw) if output.raw == "good" else (False, "not good")


@pytest.mark.parametrize("several", [False, True])
def test_a_retry_in_the_same_words_does_not_get_the_refused_answer_again(
    model, openai_server, events, kickoff, several
):
    # The third request is the same as the second, since the answer before it was.
    replies = iter(["bad", "bad", "good"])
    openai_server.reply = lambda body: next(replies)
    given: Any = {"guardrails": [only_good]} if several else {"guardrail": only_good}
    assert kickoff(crew_of(model, **given)).raw == "good"
    assert openai_server.requests[1] == openai_server.requests[2]
    assert outcomes(events) == [("miss", 1)] * 3


@pytest.mark.parametrize("retries", [0, 1])
def test_a_kickoff_after_one_that_was_refused_asks_anew(model, openai_server, kickoff, retries):
    replies = iter([*["bad"] * (retries + 1), "good"])
    openai_server.reply = lambda body: next(replies)
    crew = crew_of(model, guardrail=only_good, guardrail_max_retries=retries)
    with pytest.raises(Exception, match="not good"):
        kickoff(crew)
    assert kickoff(crew).raw == "good"


def test_an_answer_that_a_guardrail_accepts_is_kept(model, openai_server, kickoff):
    openai_server.reply = lambda body: "good"
    crew = crew_of(model, guardrail=only_good)
    assert {kickoff(crew).raw for _ in range(3)} == {"good"}
    assert len(openai_server.requests) == 1


# Hooks


def test_what_a_hook_makes_of_an_answer_is_not_kept(model, openai_server, events, kickoff):
    openai_server.reply = lambda body: "7"
    seen: list[Any] = []

    def number(context: Any) -> str:
        seen.append(context.response)
        return f"{context.response}, told {len(seen)} times"

    register_after_llm_call_hook(number)
    answers = [kickoff(crew_of(model)).raw for _ in range(2)]
    assert answers == ["7, told 1 times", "7, told 2 times"]
    assert seen == ["7", "7"]
    clear_all_global_hooks()
    assert kickoff(crew_of(model)).raw == "7"
    assert outcomes(events) == [("miss", 1), ("hit", 0), ("hit", 0)]


def test_what_a_hook_makes_of_the_messages_counts(model, openai_server, events, kickoff):
    openai_server.reply = lambda body: body["messages"][-1]["content"][-6:]
    plain = kickoff(crew_of(model)).raw

    def ask_politely(context: Any) -> None:
        context.messages[-1]["content"] += " Please"

    register_before_llm_call_hook(ask_politely)
    for _ in range(2):
        assert kickoff(crew_of(model)).raw == "Please"
    clear_all_global_hooks()
    assert kickoff(crew_of(model)).raw == plain != "Please"
    assert outcomes(events) == [("miss", 1), ("miss", 1), ("hit", 0), ("hit", 0)]


@pytest.mark.parametrize("way", ["before", "after"])
def test_a_hook_that_aborts_is_no_failure_and_no_answer(
    ops, llm, openai_server, events, kickoff, way
):
    openai_server.reply = lambda body: "well"
    breaker = CircuitBreaker(failure_rate=0.5, min_calls=1, window=1)
    model = guard_llm(llm(), MODEL.replace(breaker=breaker), ops=ops)
    runs = []

    def abort(context: Any) -> None:
        runs.append(context)
        raise HookAborted("not today")

    (register_before_llm_call_hook if way == "before" else register_after_llm_call_hook)(abort)
    for _ in range(2):
        with pytest.raises(HookAborted):
            kickoff(crew_of(model))
    assert len(runs) == 2
    clear_all_global_hooks()
    assert kickoff(crew_of(model)).raw == "well"
    assert len(openai_server.requests) == 1
    assert not [event for event in events if event.outcome not in ("miss", "hit")]


# Tools, statistics and flows


def test_hooks_around_a_tool_run_once_for_each_call_and_change_nothing_that_is_kept(
    ops, model, openai_server, events, kickoff
):
    runs: list[Any] = []
    seen: list[Any] = []

    @tool
    def look(q: str) -> str:
        """Look something up."""
        runs.append(q)
        if len(runs) == 1:
            raise ConnectionError("away")
        return "7"

    def reply(body: Any) -> Any:
        last = body["messages"][-1]
        return last["content"] if last["role"] == "tool" else [LOOK]

    def number(context: Any) -> str:
        seen.append(context.tool_result)
        return f"{context.tool_result}, told {len(seen)} times"

    openai_server.reply = reply
    register_before_tool_call_hook(lambda context: seen.append(context.tool_input["q"]))
    register_after_tool_call_hook(number)
    wrapped = wrap_tool(look, ops=ops, policy=MODEL)
    crew = crew_of(model, agent={"tools": [wrapped]}, cache=False)
    assert [kickoff(crew).raw for _ in range(2)] == ["7, told 2 times", "7, told 4 times"]
    assert seen == ["ACME", "7"] * 2
    assert [
        pair for event, pair in zip(events, outcomes(events), strict=True) if event.name == "look"
    ] == [("miss", 2), ("hit", 0)]


def test_a_tool_is_kept_once_and_run_once(ops, model, openai_server, events, kickoff):
    runs = []

    @tool
    def look(q: str) -> str:
        """Look something up."""
        runs.append(q)
        return "7"

    openai_server.reply = lambda body: "7." if body["messages"][-1]["role"] == "tool" else [LOOK]
    wrapped = wrap_tool(look, ops=ops, policy=MODEL)
    for _ in range(2):  # CrewAI's own cache lives as long as its crew
        crew = crew_of(model, agent={"tools": [wrapped]}, cache=False)
        assert kickoff(crew).raw == "7."
        assert kickoff(crew).raw == "7."
    assert runs == ["ACME"]
    told = [event.outcome for event in events if event.name == "look"]
    assert told == ["miss", "hit", "hit", "hit"]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_calls_in_a_flow_are_counted_once(ops, model, llm, openai_server, events, way):
    openai_server.reply = lambda body: "well"
    plain = llm()

    class Asking(Flow[Any]):
        @start()
        def crew(self) -> Any:
            return crew_of(model).kickoff().raw

        @listen(crew)
        def call(self, answer: str) -> Any:
            return model.call(f"direct {answer}")

        @router(call)
        def choose(self) -> str:
            return "chosen"

        @listen("chosen")
        async def acall(self) -> Any:
            return await model.acall("awaited")

        @listen(acall)
        def unguarded(self) -> Any:
            return plain.call("unguarded")

        @listen(unguarded)
        def agent(self) -> Any:
            made = Agent(role="Analyst", goal="Answer.", backstory="You know.", llm=model)
            return made.kickoff("alone").raw

    install(ops)
    try:
        for _ in range(2):
            flow = Asking()
            told = flow.kickoff() if way == "sync" else asyncio.run(flow.kickoff_async())
            assert told == "well"
        crewai_event_bus.flush()
    finally:
        uninstall()
    assert len(openai_server.requests) == 6
    counts = Counter((event.name, event.outcome) for event in events if "gpt" in event.name)
    assert counts == {
        ("openai:gpt-4o-mini", "miss"): 4,
        ("openai:gpt-4o-mini", "hit"): 4,
        ("chat:gpt-4o-mini", "bypass"): 2,
    }


def test_a_flow_that_is_taken_up_again_pays_for_no_answer_twice(
    model, openai_server, events, tmp_path
):
    class State(BaseModel):
        id: str = "one"
        price: str = ""

    @persist(SQLiteFlowPersistence(str(tmp_path / "flows.db")))
    class Asking(Flow[State]):
        @start()
        def ask(self) -> None:
            self.state.price = model.call("What costs ACME?")

        @listen(ask)
        def judge(self) -> Any:
            return model.call(f"Is {self.state.price} much?")

    replies = iter(["7", *[{"status": 500}] * 3, "no"])
    openai_server.reply = lambda body: next(replies)
    with pytest.raises(Exception, match="500"):
        Asking().kickoff(inputs={"id": "one"})
    assert Asking().kickoff(inputs={"id": "one"}) == "no"
    assert outcomes(events) == [("miss", 1), ("error", 3), ("hit", 0), ("miss", 1)]
