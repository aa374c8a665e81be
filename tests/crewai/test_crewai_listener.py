"""The event listener: what is counted of real agents and crews, and that it is counted once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from crew_agents import WAYS, agent_of, calling, crew_of, kickoff
from crewai import Crew, Task
from crewai.events.event_bus import crewai_event_bus
from crewai.hooks import register_before_tool_call_hook
from crewai.llms.base_llm import BaseLLM
from crewai.tools import BaseTool, tool
from crewai.tools.tool_failure import ToolFailure
from servers import wait_for

from crewai_toolops.listener import ToolOpsListener
from crewai_toolops.llms import MODEL_POLICY, guard_llm
from crewai_toolops.mixin import ToolOpsMixin
from crewai_toolops.prices import ModelPrices, TokenPrice
from crewai_toolops.tools import wrap_tool
from toolops_plugins import Cache, CallEvent, Policy, ToolOps

PRICES = {"gpt-4o-mini": (1_000_000.0, 0.0)}
"""Each token that goes in costs 1."""
KEPT = Policy(cache=Cache(ttl=60.0, jitter=0.0, beta=0.0))
ASKED = ("quote", {"ticker": "ACME"})
MODEL = "chat:gpt-4o-mini"


@tool("quote")
def quote(ticker: str) -> str:
    """The price of a share."""
    return f"{ticker}: 1"


@tool("bad")
def bad(ticker: str) -> str:
    """Raise."""
    raise LookupError(ticker)


class Told:
    """The events of a runtime."""

    def __init__(self, ops: ToolOps) -> None:
        self._events: list[CallEvent] = []
        ops.add_sink(self._events.append)

    @property
    def events(self) -> list[CallEvent]:
        """All events, once CrewAI has handed over what it has."""
        crewai_event_bus.flush()
        return self._events

    @property
    def rows(self) -> dict[tuple[str, str], int]:
        """Return the count of each outcome, by row."""
        return Counter((event.name, event.outcome) for event in self.events)

    def of(self, name: str) -> list[CallEvent]:
        """Return the events of a row."""
        return [event for event in self.events if event.name == name]


@pytest.fixture
def told(ops: ToolOps) -> Told:
    return Told(ops)


@pytest.fixture
def listener(ops: ToolOps) -> Iterator[ToolOpsListener]:
    with ToolOpsListener(ops, prices=PRICES) as listener:
        yield listener
        assert listener._counts is not None
        crewai_event_bus.flush()


heard = pytest.mark.usefixtures("listener")


# What is counted --------------------------------------------------------------------------------


@heard
@pytest.mark.parametrize("native", [True, False], ids=["functions", "text"])
@pytest.mark.parametrize("way", WAYS)
def test_each_level_has_its_row(way, native, openai_server, llm, told) -> None:
    openai_server.reply = calling([ASKED])
    assert kickoff(way, agent_of(llm(native=native), quote)) == "ACME: 1"
    rows = {(MODEL, "bypass"): 2, ("tool:quote", "bypass"): 1, ("agent:analyst", "bypass"): 1}
    if not way.startswith("agent"):
        rows |= {("task:analyst", "bypass"): 1, ("crew:crew", "bypass"): 1}
    assert told.rows == rows


@heard
def test_models_tell_their_tokens_and_price(openai_server, llm, told, ops) -> None:
    openai_server.reply = lambda _: {
        "content": "7",
        "usage": {
            "prompt_tokens": 40,
            "completion_tokens": 2,
            "total_tokens": 42,
            "prompt_tokens_details": {"cached_tokens": 10},
        },
    }
    llm().call("What does it cost?")
    (event,) = told.events
    assert event.price == 40.0
    assert event.details == {
        "model": "gpt-4o-mini",
        "input_tokens": 40,
        "output_tokens": 2,
        "total_tokens": 42,
        "cache_read_tokens": 10,
        "provider": "openai",
    }
    (report,) = ops.stats().tools
    assert (report.name, report.calls, report.spent) == (MODEL, 1, 40.0)


@pytest.mark.parametrize(
    ("prices", "money"),
    [
        (ModelPrices({"gpt-4o": TokenPrice(1.0, 0.0, cached_input=0.0, per=1)}), 30.0),
        (ModelPrices({"other": (1.0, 1.0)}, published=False), 0.0),
        (ModelPrices({"other": (1.0, 1.0)}), (30 * 2.5 + 10 * 1.25 + 2 * 10) / 1e6),
        (lambda model, usage: len(model) + usage["output_tokens"], 19.0),
        (lambda model, usage: usage["nothing"], 0.0),
        (None, (30 * 2.5 + 10 * 1.25 + 2 * 10) / 1e6),  # as published
    ],
)
def test_prices(prices, money, openai_server, llm, told, ops) -> None:
    openai_server.reply = lambda _: {
        "content": "7",
        "usage": {
            "prompt_tokens": 40,
            "completion_tokens": 2,
            "total_tokens": 42,
            "prompt_tokens_details": {"cached_tokens": 10},
        },
    }
    with ToolOpsListener(ops, prices=prices):
        llm(model="gpt-4o-2024-08-06").call("What?")
        assert [event.price for event in told.events] == [pytest.approx(money)]


@heard
def test_streams_tell_when_they_began_to_speak(openai_server, llm, told) -> None:
    openai_server.reply = calling([ASKED])
    crew_of(agent_of(llm(stream=True), quote)).kickoff()
    events = told.of(MODEL)
    assert len(events) == 2
    for event in events:
        assert 0.0 < event.details["time_to_first_token"] <= event.latency
    assert events[0].details["total_tokens"] > 0


@heard
def test_what_a_kickoff_fills_in_is_no_part_of_a_row(openai_server, llm, told) -> None:
    agent = agent_of(llm(), role="expert on {share}\n")
    tasks = [
        Task(description="What does {share} cost?", expected_output="e", agent=agent),
        Task(name="sum up", description="Sum {share} up.", expected_output="e", agent=agent),
    ]
    crew = Crew(name="desk", agents=[agent], tasks=tasks)
    for share in ("ACME", "BETA"):
        crew.kickoff(inputs={"share": share})
    assert told.rows == {
        (MODEL, "bypass"): 4,
        ("agent:expert on {share}", "bypass"): 4,
        ("task:expert on {share}", "bypass"): 2,
        ("task:sum up", "bypass"): 2,
        ("crew:desk", "bypass"): 2,
    }
    assert "ACME" not in repr(told.events)


@heard
def test_no_row_holds_the_description_of_a_task(openai_server, llm, told) -> None:
    asked = "Does Jane Doe owe us money?"
    agent = agent_of(llm())
    task = Task(description=asked, expected_output="e", agent=agent)
    Crew(agents=[agent], tasks=[task]).kickoff()
    assert told.rows["task:analyst", "bypass"] == 1
    assert "Jane" not in repr(told.events)


@heard
def test_latencies_are_of_the_calls(openai_server, llm, told) -> None:
    openai_server.reply = calling([ASKED])
    crew_of(agent_of(llm(), quote)).kickoff()
    (crew,), (task,), (agent,) = (
        told.of(name) for name in ("crew:crew", "task:analyst", "agent:analyst")
    )
    inner = [*told.of(MODEL), *told.of("tool:quote")]
    assert crew.latency >= task.latency >= agent.latency >= sum(e.latency for e in inner) > 0
    assert crew.started <= task.started <= agent.started <= min(e.started for e in inner)


# What goes wrong --------------------------------------------------------------------------------


@heard
def test_a_model_that_fails(openai_server, llm, told) -> None:
    openai_server.reply = lambda _: {"status": 400}
    with pytest.raises(Exception, match="as told"):
        crew_of(agent_of(llm(), quote)).kickoff()
    asked = len(openai_server.requests)
    assert asked > 1  # the agent has tried again
    assert told.rows == {
        (MODEL, "error"): asked,  # though CrewAI tells twice of each
        ("agent:analyst", "error"): asked,
        ("task:analyst", "error"): 1,
        ("crew:crew", "error"): 1,
    }
    assert {event.error for event in told.of("task:analyst")} == {"BadRequestError"}


@heard
@pytest.mark.parametrize(("native", "attempts"), [(True, 1), (False, 3)])
def test_a_tool_that_raises(native, attempts, openai_server, llm, told) -> None:
    openai_server.reply = calling([("bad", {"ticker": "ACME"})])
    crew_of(agent_of(llm(native=native), bad)).kickoff()
    # Both halves of an attempt are handed over by threads, in any order.
    wait_for(lambda: len(told.of("tool:bad")) >= attempts, "all attempts told")
    events = told.of("tool:bad")
    assert [event.outcome for event in events] == ["error"] * attempts
    assert {event.error for event in events} == {"LookupError"}


@heard
def test_tools_that_tell_of_a_failure(openai_server, llm, told) -> None:
    @tool("fails")
    def fails() -> Any:
        """Fail."""
        return ToolFailure(message="no")

    openai_server.reply = calling([("fails", {})], [("made_up", {})])
    crew_of(agent_of(llm(), fails)).kickoff()
    tools = [event for event in told.events if event.name.startswith("tool:")]
    assert [(e.name, e.outcome, e.error, e.reason) for e in tools] == [
        ("tool:fails", "error", "ToolFailure", "tool_reported"),
        ("tool:unknown", "error", "ToolFailure", "unknown_tool"),
    ]


@heard
def test_a_call_that_a_hook_has_stopped(openai_server, llm, told) -> None:
    register_before_tool_call_hook(lambda _: False)
    openai_server.reply = calling([ASKED])
    crew_of(agent_of(llm(), quote)).kickoff()
    (event,) = told.of("tool:quote")
    assert (event.outcome, event.reason) == ("rejected", "blocked")


@heard
@pytest.mark.parametrize("native", [True, False], ids=["functions", "text"])
def test_a_model_that_fails_inside_a_tool(native, openai_server, llm, told) -> None:
    """CrewAI tells twice of it, and the second telling closes the tool's events."""
    broken = llm(model="broken")

    @tool("ask")
    def ask(question: str) -> str:
        """Ask another model."""
        try:
            return str(broken.call(question))
        except Exception:
            return "unknown"

    steps = calling([("ask", {"question": "What?"})])
    openai_server.reply = lambda body: {"status": 400} if body["model"] == "broken" else steps(body)
    assert crew_of(agent_of(llm(native=native), ask)).kickoff().raw == "unknown"
    assert told.rows == {
        (MODEL, "bypass"): 2,
        ("chat:broken", "error"): 1,
        ("tool:ask", "bypass"): 1,
        ("agent:analyst", "bypass"): 1,
        ("task:analyst", "bypass"): 1,
        ("crew:crew", "bypass"): 1,
    }


@heard
@pytest.mark.allow_blocking("CrewAI itself writes files on the caller's loop")
async def test_what_is_cancelled_is_not_counted(openai_server, llm, told) -> None:
    gate = openai_server.gate = threading.Event()
    crew = crew_of(agent_of(llm()))
    task = asyncio.create_task(crew.akickoff())
    await asyncio.to_thread(wait_for, lambda: openai_server.requests, "a request")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    openai_server.gate = None
    other = crew_of(agent_of(llm(), role="other"), name="other")
    await other.akickoff()
    rows = told.rows
    assert rows["crew:other", "bypass"] == rows["agent:other", "bypass"] == 1
    assert not told.of("crew:crew") + told.of("agent:analyst")


@heard
def test_nothing_is_raised_into_a_crew(openai_server, llm, ops, monkeypatch, told) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("crewai_toolops.listener.key_of", broken)
    printed: list[str] = []
    monkeypatch.setattr(crewai_event_bus._console, "print", lambda *a, **_: printed.append(str(a)))
    openai_server.reply = calling([ASKED])
    assert crew_of(agent_of(llm(), quote)).kickoff().raw == "ACME: 1"
    assert not told.events
    assert not printed


# CrewAI's own cache -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "hook", "outcomes"),
    [
        (True, True, ["miss", "miss", "hit"]),
        (True, False, ["miss", "miss", "miss"]),  # its events do not say
        (False, False, ["miss", "miss", "hit"]),
        (False, True, ["miss", "miss", "hit"]),
    ],
)
def test_hits_of_crewais_own_cache(native, hook, outcomes, openai_server, llm, told, ops) -> None:
    asked = [[("quote", {"ticker": ticker})] for ticker in ("ACME", "BETA", "ACME")]
    openai_server.reply = calling(*asked)
    with ToolOpsListener(ops, tool_hook=hook):
        crew_of(agent_of(llm(native=native), quote), cache=True).kickoff()
        events = told.of("tool:quote")
    assert [event.outcome for event in events] == outcomes
    assert [event.tier for event in events] == ["crewai" if o == "hit" else None for o in outcomes]
    (report,) = [each for each in ops.stats().tools if each.name == "tool:quote"]
    assert report.hit_rate == pytest.approx(outcomes.count("hit") / 3)


# What the runtime counts itself -----------------------------------------------------------------


class Quote(BaseTool):
    name: str = "quote"
    description: str = "The price of a share."

    def _run(self, ticker: str) -> str:
        return f"{ticker}: 1"


class MixedIn(ToolOpsMixin, Quote):
    toolops_policy = KEPT


@tool("quote")
async def aquote(ticker: str) -> str:
    """The price of a share."""
    await asyncio.sleep(0)
    return f"{ticker}: 1"


GUARDED: dict[str, Callable[[], Any]] = {
    "function": lambda: wrap_tool(quote, KEPT),
    "coroutine": lambda: wrap_tool(aquote, KEPT),
    "class": lambda: wrap_tool(Quote(), KEPT),
    "mixin": MixedIn,
}


@heard
@pytest.mark.parametrize("native", [True, False], ids=["functions", "text"])
@pytest.mark.parametrize("way", ["kickoff", "akickoff", "agent.kickoff"])
@pytest.mark.parametrize("kind", GUARDED)
@pytest.mark.allow_blocking("CrewAI itself runs tools on the caller's loop")
def test_guarded_tools_are_counted_once(kind, way, native, openai_server, llm, told) -> None:
    openai_server.reply = calling([ASKED])
    guarded = GUARDED[kind]()
    for _ in range(2):
        kickoff(way, agent_of(llm(native=native), guarded))
    tools = [(e.name, e.outcome) for e in told.events if "quote" in e.name]
    assert tools == [("quote", "miss"), ("quote", "hit")]
    assert told.rows["agent:analyst", "bypass"] == 2


@heard
def test_calls_at_once_are_counted_once(openai_server, llm, told) -> None:
    steps = [("quote", {"ticker": f"T{n}"}) for n in range(6)]
    openai_server.reply = calling(steps, [("bad", {"ticker": "X"})] * 3)
    crew_of(agent_of(llm(), wrap_tool(quote, KEPT), bad)).kickoff()
    assert told.rows["quote", "miss"] == 6
    assert told.rows["tool:bad", "error"] == 3
    assert not told.of("tool:quote")


@heard
def test_two_tools_of_one_name_are_counted_once(openai_server, llm, told) -> None:
    """CrewAI calls the second one "quote_2" then."""
    openai_server.reply = calling([("quote_2", {"ticker": "ACME"})])
    tools = [wrap_tool(quote, KEPT), wrap_tool(Quote(), KEPT, name="other")]
    assert crew_of(agent_of(llm(), *tools)).kickoff().raw == "ACME: 1"
    assert [e.name for e in told.events if e.name[:4] in ("tool", "quot", "othe")] == ["other"]


@heard
def test_a_guarded_tool_inside_another(openai_server, llm, told) -> None:
    guarded = wrap_tool(quote, KEPT)

    @tool("twice")
    def twice(ticker: str) -> str:
        """Two prices."""
        return f"{guarded.run(ticker=ticker)}, {guarded.run(ticker=ticker)}"

    openai_server.reply = calling([("twice", {"ticker": "ACME"})])
    crew_of(agent_of(llm(), twice)).kickoff()
    assert told.rows["tool:twice", "bypass"] == 1
    assert (told.rows["quote", "miss"], told.rows["quote", "hit"]) == (1, 1)


@heard
def test_what_the_guard_has_not_seen_is_counted_here(openai_server, llm, told) -> None:
    """Here CrewAI refuses the arguments before it calls the tool."""
    openai_server.reply = calling([("quote", {"share": "ACME"})])
    crew_of(agent_of(llm(), wrap_tool(quote, KEPT))).kickoff()
    assert told.rows["tool:quote", "error"] == 1
    assert not told.of("quote")


@heard
@pytest.mark.parametrize("way", ["kickoff", "akickoff"])
@pytest.mark.parametrize("stream", [True, False])
def test_guarded_models_are_counted_once(way, stream, openai_server, llm, told, listener) -> None:
    openai_server.reply = calling([ASKED])
    policy = MODEL_POLICY.replace(retry=None, price=ModelPrices(PRICES))
    guarded = guard_llm(llm(stream=stream), policy)
    for _ in range(2):
        assert kickoff(way, agent_of(guarded, quote)) == "ACME: 1"
    assert not told.of(MODEL)
    assert told.rows["agent:analyst", "bypass"] == told.rows["tool:quote", "bypass"] == 2
    events = told.of("openai:gpt-4o-mini")
    assert [event.outcome for event in events] == ["miss", "miss", "hit", "hit"]
    prices = [event.price for event in events[:2]]
    assert min(prices) > 10
    assert [event.saved_price for event in events[2:]] == prices
    assert len(listener._counts.pairs) == 0


@heard
def test_guarded_models_that_fail_are_counted_once(openai_server, llm, told) -> None:
    openai_server.reply = lambda _: {"status": 400}
    with pytest.raises(Exception, match="as told"):
        guard_llm(llm(), MODEL_POLICY.replace(retry=None)).call("What?")
    assert told.rows == {("openai:gpt-4o-mini", "error"): 1}


class Careful(BaseLLM):
    """A model that asks another one."""

    inner: Any = None

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        return self.inner.call(messages)


@heard
def test_models_inside_guarded_models_are_part_of_them(llm, told) -> None:
    plain = Careful(model="careful", inner=llm())
    assert plain.call("What?") == "What?"
    assert told.rows == {(MODEL, "bypass"): 1}
    assert guard_llm(plain).call("What?") == "What?"
    assert told.rows == {(MODEL, "bypass"): 1, ("Careful:careful", "miss"): 1}


# Crews at once ----------------------------------------------------------------------------------


@heard
@pytest.mark.parametrize("way", ["kickoff_async", "akickoff"])
@pytest.mark.allow_blocking("CrewAI itself writes files on the caller's loop")
async def test_crews_at_once_are_kept_apart(way, openai_server, llm, told, listener) -> None:
    openai_server.reply = calling([ASKED, ASKED], [("bad", {"ticker": "X"})])
    agents = [agent_of(llm(), quote, bad, role=f"analyst {n}") for n in range(4)]
    crews = [crew_of(agent, name=f"crew {n}") for n, agent in enumerate(agents)]
    await asyncio.gather(*(getattr(crew, way)() for crew in crews))
    rows = told.rows
    for n, crew in enumerate(crews):
        assert rows[f"agent:analyst {n}", "bypass"] == rows[f"crew:crew {n}", "bypass"] == 1
        (whole,) = told.of(f"crew:crew {n}")
        assert whole.details["crew_id"] == str(crew.id)
        task = str(crew.tasks[0].id)
        mine = [e for e in told.events if (e.details or {}).get("task_id") == task]
        assert Counter(e.name.partition(" ")[0] for e in mine) == {
            MODEL: 3,
            "tool:quote": 2,
            "tool:bad": 1,
            "agent:analyst": 1,
            "task:analyst": 1,
        }
        tokens = sum(e.details["total_tokens"] for e in mine if e.name == MODEL)
        assert whole.details["total_tokens"] == tokens
        assert all(whole.latency >= event.latency for event in mine)
    assert len(listener._counts.pairs) == 0
