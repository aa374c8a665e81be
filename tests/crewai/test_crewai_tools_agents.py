"""Guarded tools in real agents and crews: each call of a tool passes the guard exactly once."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar, copy_context
from typing import Any, ClassVar

import pytest
from callers import LONG, Latch, start
from crew_agents import WAYS, agent_of, calling, crew_of, kickoff, seen
from crewai.tools import BaseTool, tool
from crewai.tools.tool_failure import ToolExecutionFailedError
from pydantic import PrivateAttr
from servers import wait_for

from crewai_toolops.mixin import ToolOpsMixin
from crewai_toolops.tools import wrap_tool, wrap_tools
from toolops_plugins import Cache, Policy, Retry, ToolOps
from toolops_plugins.testing import FakeClock

pytestmark = pytest.mark.usefixtures("ops")  # the default runtime is a new one in each test

KEPT = Policy(cache=Cache(ttl=60.0, jitter=0.0, beta=0.0))
ASKED = ("quote", {"ticker": "ACME"})


class Quote(BaseTool):
    name: str = "quote"
    description: str = "The price of a share."
    _runs: list[Any] = PrivateAttr(default_factory=list)

    def _run(self, ticker: str, days: int = 1) -> str:
        self._runs.append(ticker)
        return f"{ticker}: 1"


class AsyncQuote(Quote):
    async def _run(self, ticker: str, days: int = 1) -> str:
        await asyncio.sleep(0)
        self._runs.append(ticker)
        return f"{ticker}: 1"


class MixedIn(ToolOpsMixin, Quote):
    toolops_policy = KEPT


class AsyncMixedIn(AsyncQuote, ToolOpsMixin):
    toolops_policy = KEPT


def function_tool(runs: list[Any]) -> Any:
    @tool("quote")
    def quote(ticker: str, days: int = 1) -> str:
        """The price of a share."""
        runs.append(ticker)
        return f"{ticker}: 1"

    return quote


def coroutine_tool(runs: list[Any]) -> Any:
    @tool("quote")
    async def quote(ticker: str, days: int = 1) -> str:
        """The price of a share."""
        await asyncio.sleep(0)
        runs.append(ticker)
        return f"{ticker}: 1"

    return quote


def instance(kind: type[Any], runs: list[Any]) -> Any:
    made = kind()
    made._runs = runs
    return made


KINDS = {
    "function": lambda runs: wrap_tool(function_tool(runs), KEPT),
    "coroutine": lambda runs: wrap_tool(coroutine_tool(runs), KEPT),
    "class": lambda runs: wrap_tool(instance(Quote, runs), KEPT),
    "async class": lambda runs: wrap_tool(instance(AsyncQuote, runs), KEPT),
    "mixin": lambda runs: instance(MixedIn, runs),
    "async mixin": lambda runs: instance(AsyncMixedIn, runs),
}


@pytest.fixture
def outcomes(ops: ToolOps) -> list[str]:
    told: list[str] = []
    ops.add_sink(lambda event: told.append(event.outcome))
    return told


@pytest.fixture
def runs() -> list[Any]:
    return []


@pytest.mark.parametrize("native", [True, False], ids=["functions", "text"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_passes_the_guard_once(kind, native, openai_server, llm, outcomes, runs) -> None:
    guarded = KINDS[kind](runs)
    openai_server.reply = calling([ASKED])
    for _ in range(2):
        assert kickoff("kickoff", agent_of(llm(native=native), guarded)) == "ACME: 1"
    assert runs == ["ACME"]
    assert outcomes == ["miss", "hit"]


@pytest.mark.parametrize("native", [True, False], ids=["functions", "text"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.allow_blocking("CrewAI itself runs tools on the caller's loop")
def test_in_every_way_to_kick_off(way, native, openai_server, llm, outcomes, runs) -> None:
    guarded = KINDS["async mixin" if native else "function"](runs)
    openai_server.reply = calling([ASKED])
    for _ in range(2):
        assert kickoff(way, agent_of(llm(native=native), guarded)) == "ACME: 1"
    assert runs == ["ACME"]
    assert outcomes == ["miss", "hit"]


def test_two_agents_of_a_crew_ask_once(openai_server, llm, outcomes, runs) -> None:
    guarded = KINDS["mixin"](runs)
    openai_server.reply = calling([ASKED])
    agents = [agent_of(llm(native=n), guarded, role=f"analyst {n}") for n in (True, False)]
    assert crew_of(*agents).kickoff().raw == "ACME: 1"
    assert runs == ["ACME"]
    assert outcomes == ["miss", "hit"]


# At the same time -------------------------------------------------------------------------------


class Held:
    """A tool whose body waits until it is released."""

    def __init__(self, *, aio: bool) -> None:
        self.runs: list[int] = []
        self.started, self.release = Latch(), Latch()

        def quote(ticker: str) -> dict[str, Any]:
            """The price of a share."""
            self.runs.append(threading.get_ident())
            self.started.open()
            self.release.wait()
            return {"price": [1]}

        async def aquote(ticker: str) -> dict[str, Any]:
            """The price of a share."""
            self.runs.append(threading.get_ident())
            self.started.open()
            await self.release.opened()
            return {"price": [1]}

        self.tool = tool("quote")(aquote if aio else quote)


def aboard(ops: ToolOps) -> int:
    return sum(flight.parties for flight in list(ops._shared.flights._table.values()))


@pytest.mark.parametrize("aio", [False, True], ids=["function", "coroutine"])
def test_parallel_calls_of_a_model_run_one_body(aio, openai_server, llm, ops, outcomes) -> None:
    held = Held(aio=aio)
    guarded = wrap_tool(held.tool, KEPT)
    # At a fifth CrewAI would stop the agent, in whose eyes he makes no progress.
    openai_server.reply = calling([ASKED] * 4)
    said = start(kickoff, "kickoff", agent_of(llm(), guarded))
    wait_for(lambda: aboard(ops) == 4, "four aboard", LONG)
    held.release.open()
    assert said.result(LONG) == " | ".join(["{'price': [1]}"] * 4)
    assert len(held.runs) == 1
    assert sorted(outcomes) == ["coalesced"] * 3 + ["miss"]


@pytest.mark.parametrize("aio", [False, True], ids=["function", "coroutine"])
def test_three_agents_share_a_tool(aio, openai_server, llm, ops, outcomes) -> None:
    held = Held(aio=aio)
    openai_server.reply = calling([ASKED])
    # Each has his own copy, in a thread of his own; coroutines run on as many fresh loops.
    crew = [agent_of(llm(native=n), wrap_tool(held.tool, KEPT)) for n in (True, False, True)]
    said = [start(kickoff, "kickoff", agent) for agent in crew]
    wait_for(lambda: aboard(ops) == 3, "three aboard", LONG)
    held.release.open()
    assert [each.result(LONG) for each in said] == ["{'price': [1]}"] * 3
    assert len(held.runs) == 1
    assert sorted(outcomes) == ["coalesced"] * 2 + ["miss"]


def test_coroutines_share_across_the_loops_of_threads(ops) -> None:
    held = Held(aio=True)
    guarded = wrap_tool(held.tool, KEPT)
    callers = [start(lambda: guarded.run(ticker="ACME")) for _ in range(6)]
    wait_for(lambda: aboard(ops) == 6, "six aboard", LONG)
    held.release.open()
    answers = [caller.result(LONG) for caller in callers]
    answers[0]["price"].append(2)
    assert answers[1:] == [{"price": [1]}] * 5  # nobody changes what another got
    assert len(held.runs) == 1
    assert guarded.run(ticker="ACME") == {"price": [1]}


# Whose call it is -------------------------------------------------------------------------------

WHO: ContextVar[str] = ContextVar("crewai_tools_who", default="nobody")


@pytest.mark.parametrize(
    ("way", "native"), [*((way, True) for way in WAYS), ("kickoff", False), ("akickoff", False)]
)
@pytest.mark.allow_blocking("CrewAI itself runs tools on the caller's loop")
def test_tenants_reach_the_tool(way, native, openai_server, llm) -> None:
    runs: list[str] = []

    @tool("quote")
    def quote(ticker: str) -> str:
        """The price of a share."""
        runs.append(WHO.get())
        return f"{ticker} for {WHO.get()}"

    openai_server.reply = calling([ASKED, ASKED])
    with ToolOps("crewai-tenants", tenant=WHO) as ops:
        guarded = wrap_tool(quote, KEPT, ops=ops)
        for who in ("alice", "bob"):

            def ask(who: str = who) -> str:
                WHO.set(who)
                return kickoff(way, agent_of(llm(native=native), guarded))

            said = copy_context().run(ask)
            assert set(said.split(" | ")) == {f"ACME for {who}"}
    assert set(runs) == {"alice", "bob"}
    assert not native or len(runs) == 2  # in parallel, and only the first pair is not kept


async def test_tenants_reach_the_thread_of_a_structured_tool(ops) -> None:
    with ToolOps("crewai-tenants", tenant=WHO) as mine:
        guarded = wrap_tool(tool("who")(_who), KEPT, ops=mine).to_structured_tool()
        WHO.set("alice")
        assert await guarded.ainvoke({"ticker": "ACME"}) == "ACME for alice"
        WHO.set("bob")
        assert await guarded.ainvoke({"ticker": "ACME"}) == "ACME for bob"


def _who(ticker: str) -> str:
    """Return the agent that asks."""
    return f"{ticker} for {WHO.get()}"


# What CrewAI does about results -----------------------------------------------------------------


@pytest.mark.parametrize("native", [True, False], ids=["functions", "text"])
def test_a_failing_tool_is_run_once_for_each_call(native, openai_server, llm, runs) -> None:
    @tool("quote")
    def quote(ticker: str) -> str:
        """The price of a share."""
        runs.append(ticker)
        raise ConnectionError("no line")

    openai_server.reply = calling([ASKED])
    agent = agent_of(llm(native=native), wrap_tool(quote))
    assert kickoff("kickoff", agent).startswith("no line")
    assert runs == ["ACME"]
    assert [record.failure.code for record in agent.last_tool_failures] == ["ConnectionError"]


@pytest.mark.parametrize("native", [True, False], ids=["functions", "text"])
def test_a_tool_that_raises_is_run_again_by_crewai(native, openai_server, llm, runs) -> None:
    @tool("quote")
    def quote(ticker: str) -> str:
        """The price of a share."""
        runs.append(ticker)
        raise ConnectionError("no line")

    openai_server.reply = calling([ASKED])
    kickoff("kickoff", agent_of(llm(native=native), wrap_tool(quote, on_error="raise")))
    assert len(runs) == (1 if native else 6)


@pytest.mark.parametrize("native", [True, False], ids=["functions", "text"])
def test_a_failure_is_never_kept(native, openai_server, llm, runs) -> None:
    @tool("quote")
    def quote(ticker: str) -> str:
        """The price of a share."""
        runs.append(ticker)
        if len(runs) == 1:
            raise ConnectionError("no line")
        return "ACME: 1"

    guarded = wrap_tool(quote, KEPT)
    openai_server.reply = calling([ASKED])
    said = [kickoff("kickoff", agent_of(llm(native=native), guarded)) for _ in range(3)]
    assert said[0].startswith("no line")
    assert said[1:] == ["ACME: 1"] * 2
    assert len(runs) == 2


def test_a_kept_poll_stops_the_agent_on_the_fifth_equal_result(openai_server, llm, runs) -> None:
    @tool("quote")
    def quote(ticker: str) -> str:
        """True if the order has been filled."""
        runs.append(ticker)
        return f"pending since {len(runs)}" if len(runs) < 6 else "filled"

    openai_server.reply = calling(*[[("quote", {"ticker": "ACME"})]] * 6)
    with pytest.raises(ToolExecutionFailedError, match="5 times"):
        kickoff("kickoff", agent_of(llm(), wrap_tool(quote, KEPT)))
    assert runs == ["ACME"]
    # What the documentation advises: results that live shorter than the interval of the polls.
    runs.clear()
    clock = FakeClock()
    with ToolOps("crewai-polls", clock=clock) as ops:
        ops.add_sink(lambda _: clock.advance(10.0))
        brief = wrap_tool(quote, KEPT.replace(cache=Cache(ttl=5.0)), ops=ops)
        assert "filled" in kickoff("kickoff", agent_of(llm(), brief))
    assert len(runs) == 6


def test_hits_use_up_the_number_of_uses(runs) -> None:
    guarded = KINDS["class"](runs)
    guarded.max_usage_count = 2
    assert [guarded.run(ticker="ACME") for _ in range(2)] == ["ACME: 1"] * 2
    assert guarded.run(ticker="ACME").reason == "usage_limit"
    assert runs == ["ACME"]


# CrewAI's own cache -----------------------------------------------------------------------------


@pytest.mark.parametrize("native", [True, False], ids=["functions", "text"])
def test_two_caches_are_warned_of(native, openai_server, llm, caplog) -> None:
    names = {
        "kept": f"kept_{native}".lower(),
        "counted": f"counted_{native}".lower(),
        "plain": f"plain_{native}".lower(),
    }

    def made(name: str) -> Any:
        def quote(ticker: str) -> str:
            """The price of a share."""
            return ticker

        return tool(name)(quote)

    tools = [
        wrap_tool(made(names["kept"]), KEPT),
        wrap_tool(made(names["counted"])),
        made(names["plain"]),
    ]
    openai_server.reply = calling(*[[(name, {"ticker": "ACME"})] for name in names.values()])
    crew_of(agent_of(llm(native=native), *tools)).kickoff()
    assert "CrewAI's own cache" not in caplog.text
    for _ in range(2):
        crew_of(agent_of(llm(native=native), *tools), cache=True).kickoff()
    warned = [r.getMessage() for r in caplog.records if "CrewAI's own cache" in r.getMessage()]
    assert len(warned) == 1
    assert repr(names["kept"]) in warned[0]


def test_the_models_are_told_the_same_of_a_guarded_tool(openai_server, llm, runs) -> None:
    plain = instance(Quote, runs)
    for made in (function_tool(runs), KINDS["function"](runs), plain, wrap_tool(plain, KEPT)):
        kickoff("kickoff", agent_of(llm(), made))
    told = [request["tools"] for request in openai_server.requests]
    assert told[0] == told[1]
    assert told[2] == told[3]
    assert runs == []


def test_many_tools_at_once(openai_server, llm, runs) -> None:
    guarded = wrap_tools([function_tool(runs), instance(Quote, runs)], KEPT)
    openai_server.reply = calling([ASKED], [("quote_2", {"ticker": "ACME"})])
    said = kickoff("kickoff", agent_of(llm(), *guarded))
    assert said == "ACME: 1 | ACME: 1"
    assert runs == ["ACME"] * 2


class Settings(ToolOpsMixin, BaseTool):
    name: str = "settings"
    description: str = "What is set."
    toolops_policy: ClassVar[Policy] = Policy(retry=Retry(attempts=3, wait=0.0))
    _runs: list[Any] = PrivateAttr(default_factory=list)

    def _run(self) -> str:
        self._runs.append(1)
        raise ConnectionError("no line")


def test_retries_are_made_once_for_each_call(openai_server, llm) -> None:
    guarded = Settings()
    openai_server.reply = calling([("settings", {})])
    kickoff("kickoff", agent_of(llm(native=False), guarded))
    assert len(guarded._runs) == 3
    assert seen(openai_server.requests[-1]) != []
