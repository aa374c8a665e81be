"""Finished tools behind a policy: what they are, what is kept of them, and under which key."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crewai.tools.base_tool
import pytest
from callers import LONG, Latch, start
from crewai.flow.async_feedback.types import HumanFeedbackPending, PendingFeedbackContext
from crewai.hooks import HookAborted
from crewai.tools import BaseTool, EnvVar, ToolFailure, tool
from crewai.tools.structured_tool import CrewStructuredTool
from crewai.tools.tool_failure import (
    ToolExecutionFailedError,
    ToolFailureRecord,
)
from pydantic import BaseModel, Field, PrivateAttr
from servers import wait_for

import toolops_plugins.default_runtime
from crewai_toolops.mixin import ToolOpsMixin
from crewai_toolops.tools import wrap_tool, wrap_tools
from toolops_plugins import (
    Bulkhead,
    Cache,
    ConfigurationError,
    Policy,
    RateLimit,
    Retry,
    Timeout,
    ToolOps,
)

pytestmark = pytest.mark.usefixtures("ops")  # the default runtime is a new one in each test

KEPT = Policy(cache=Cache(ttl=60.0, jitter=0.0, beta=0.0))


@pytest.fixture
def runs() -> list[Any]:
    return []


@pytest.fixture
def outcomes(ops: ToolOps) -> list[str]:
    told: list[str] = []
    ops.add_sink(lambda event: told.append(event.outcome))
    return told


def quote_tool(runs: list[Any]) -> Any:
    @tool("quote")
    def quote(ticker: str, days: int = 3) -> Any:
        """The price of a share."""
        runs.append((ticker, days))
        return f"{ticker} {days}"

    return quote


# Tools as those of crewai_tools are written -------------------------------------------------------


class ReadSchema(BaseModel):
    file_path: str | None = Field(None, description="The file.")
    start_line: int | None = Field(1, description="Where to begin.")


class FileRead(BaseTool):
    """As FileReadTool: fields that are set when it is made, and private ones made of them."""

    name: str = "Read a file's content"
    description: str = "Reads a file."
    args_schema: type[BaseModel] = ReadSchema
    file_path: str | None = None
    encoding: str = "utf-8"
    _declared: str | None = PrivateAttr(default=None)

    def __init__(self, file_path: str | None = None, **kwargs: Any) -> None:
        if file_path is not None:
            kwargs["description"] = f"Reads {file_path}."
        super().__init__(**kwargs)
        self.file_path = file_path
        self._declared = file_path and os.path.realpath(file_path)

    def _run(self, file_path: str | None = None, start_line: int | None = 1) -> str:
        path = Path(file_path or self._declared or "")
        lines = path.read_text(encoding=self.encoding).splitlines()
        return "\n".join(lines[(start_line or 1) - 1 :])


class FixedSchema(BaseModel):
    pass


class Scrape(BaseTool):
    """As ScrapeWebsiteTool: takes whatever it is given, and changes its own schema."""

    name: str = "Read website content"
    description: str = "Reads a website."
    args_schema: type[BaseModel] = ReadSchema
    website_url: str | None = None
    cookies: dict[str, str] | None = None
    env_vars: list[EnvVar] = Field(default_factory=lambda: [EnvVar(name="KEY", description="")])

    def __init__(self, website_url: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if website_url is not None:
            self.website_url = website_url
            self.args_schema = FixedSchema
            self._generate_description()

    def _run(self, **kwargs: Any) -> Any:
        return [kwargs.get("website_url", self.website_url)]


class Client:
    def __init__(self, answer: str) -> None:
        self.answer = answer


class Search(BaseTool):
    """As search tools with a client: made at first use, kept in a field of any type."""

    name: str = "search"
    description: str = "Searches."
    client: Any = None
    limit: int = 3

    def _run(self, query: str, **_: Any) -> dict[str, Any]:
        if self.client is None:
            self.client = Client("found")
        return {"query": query, "answer": self.client.answer, "limit": self.limit}


class Server(BaseTool):
    """As the tools of an MCP server: their connection is put beside the fields."""

    def __init__(self, connect: Any, schema: type[BaseModel]) -> None:
        super().__init__(name="server_search", description="Searches.", args_schema=schema)
        self._connect = connect

    def _run(self, **kwargs: Any) -> Any:
        async def call() -> Any:
            return self._connect(kwargs)

        return asyncio.run(call())


def test_files_of_one_tool_name_are_never_mixed_up(tmp_path, outcomes) -> None:
    originals = []
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"this is {name}\nsecond")
        originals.append(FileRead(str(tmp_path / name)))
    guarded = wrap_tools([*originals, FileRead()], KEPT)
    for _ in range(2):
        assert [each.run() for each in guarded[:2]] == ["this is a\nsecond", "this is b\nsecond"]
        assert guarded[0].run(start_line=2) == "second"
        assert guarded[2].run(file_path=str(tmp_path / "a")) == "this is a\nsecond"
        assert guarded[0].run(file_path=str(tmp_path / "b")) == "this is b\nsecond"
    assert outcomes == ["miss"] * 5 + ["hit"] * 5
    missing = wrap_tool(FileRead(str(tmp_path / "none")), KEPT).run()
    assert (type(missing), missing.code) == (ToolFailure, "FileNotFoundError")


def test_a_field_of_the_name_that_functions_have_elsewhere_counts() -> None:
    class Runner(BaseTool):
        name: str = "runner"
        description: str = "Runs."
        func: Any = None

        def _run(self, query: str) -> str:
            return f"{self.func(query)}"

    upper, title = (wrap_tool(Runner(func=each), KEPT) for each in (str.upper, str.title))
    assert [upper.run("ab"), title.run("ab")] == ["AB", "Ab"]


def test_tools_that_differ_in_private_are_told_apart(outcomes) -> None:
    class Reader(BaseTool):
        name: str = "reader"
        description: str = "Reads."
        limit: int = 3
        _path: Path | None = PrivateAttr(default=None)

        def __init__(self, path: str) -> None:
            super().__init__()
            self._path = Path(path)

        def _run(self, query: str) -> str:
            return f"{query} in {self._path}"

    first, second, again = (wrap_tool(Reader(path), KEPT) for path in ("a", "b", "a"))
    assert [tool.run("x") for tool in (first, second, again)] == ["x in a", "x in b", "x in a"]
    assert outcomes == ["miss", "miss", "hit"]


def test_tools_that_take_anything(outcomes) -> None:
    fixed, free = wrap_tools([Scrape("http://a"), Scrape()], KEPT)
    for _ in range(2):
        assert fixed.run() == ["http://a"]
        assert free.to_structured_tool().invoke({"file_path": "x"}) == [None]
        assert free._run(website_url="http://b") == ["http://b"]
    assert outcomes == ["miss"] * 3 + ["hit"] * 3
    fixed.run().append("spoilt")
    assert fixed.run() == ["http://a"]


def test_tools_with_a_client(outcomes) -> None:
    lazy = wrap_tool(Search(), KEPT)
    for _ in range(2):
        assert lazy.run(query="x")["answer"] == "found"
    first, second = (wrap_tool(Search(client=Client(name)), KEPT) for name in ("one", "two"))
    assert first.run(query="x")["answer"] == "one"
    assert second.run(query="x")["answer"] == "two"
    assert second.run(query="x", other=1)["answer"] == "two"
    assert outcomes == ["miss", "hit", "miss", "miss", "hit"]
    shared = [wrap_tool(Search(client=Client(name)), KEPT, ignore=["client"]) for name in "ab"]
    assert [each.run(query="y")["answer"] for each in shared] == ["a", "a"]


def test_tools_of_servers_are_told_apart_by_their_connection(outcomes) -> None:
    def connect(who: str) -> Any:
        return lambda given: f"{who}: {given['file_path']}"

    alice, bob = (wrap_tool(Server(connect(who), ReadSchema), KEPT) for who in ("alice", "bob"))
    for _ in range(2):
        assert alice.run(file_path="x") == "alice: x"
        assert bob.run(file_path="x") == "bob: x"
    assert outcomes == ["miss", "miss", "hit", "hit"]


# What a wrapped tool is ---------------------------------------------------------------------------


def test_the_original_is_as_it_was(runs) -> None:
    for original in (quote_tool(runs), FileRead("x"), quote_tool(runs).to_structured_tool()):
        before = type(original), dict(vars(original)), dict(original.__pydantic_private__)
        guarded: Any = wrap_tool(original, KEPT)
        guarded.current_usage_count = 5
        assert (type(original), vars(original), original.__pydantic_private__) == before
        assert isinstance(guarded, type(original))
        assert isinstance(guarded, ToolOpsMixin)
        assert not isinstance(original, ToolOpsMixin)
        assert guarded.args_schema is original.args_schema
        assert type(guarded).__name__ == type(original).__name__
        assert guarded.toolops_keeps
    assert runs == []


def test_crewai_knows_the_class_of_the_original_alone() -> None:
    guarded = wrap_tool(FileRead("x"), KEPT)
    assert guarded.tool_type == FileRead().tool_type
    registry = crewai.tools.base_tool._TOOL_TYPE_REGISTRY
    assert registry[guarded.tool_type] is FileRead
    assert registry["crewai.tools.base_tool.Tool"] is crewai.tools.base_tool.Tool
    assert type(wrap_tool(FileRead("y"), KEPT)) is type(guarded)


def test_the_function_of_a_tool_is_dressed_as_it_was(runs) -> None:
    original = quote_tool(runs)
    guarded = wrap_tool(original, KEPT)
    assert guarded.func is not original.func
    assert guarded.func.__wrapped__ is original.func
    assert guarded.func.__name__ == "quote"
    assert not asyncio.iscoroutinefunction(guarded.func)

    @tool("aquote")
    async def aquote(ticker: str) -> str:
        """The price of a share."""
        return ticker

    assert asyncio.iscoroutinefunction(wrap_tool(aquote, KEPT).func)


@pytest.mark.parametrize("way", ["run", "_run", "positional", "structured", "ainvoke"])
def test_a_function_is_guarded_once_in_every_way(way, runs, outcomes) -> None:
    guarded = wrap_tool(quote_tool(runs), KEPT)

    def call() -> Any:
        if way == "run":
            return guarded.run(ticker="ACME")
        if way == "_run":
            return guarded._run("ACME", days=3)
        if way == "positional":
            return guarded.run("ACME")
        structured = guarded.to_structured_tool()
        if way == "structured":
            return structured.invoke('{"ticker": "ACME", "days": "3"}')
        return asyncio.run(structured.ainvoke({"ticker": "ACME"}))

    assert [call() for _ in range(2)] == ["ACME 3"] * 2
    assert guarded.run(ticker="ACME") == "ACME 3"
    assert runs == [("ACME", 3)]
    assert outcomes == ["miss", "hit", "hit"]


@pytest.mark.parametrize("way", ["run", "arun", "structured", "ainvoke"])
def test_a_coroutine_is_guarded_once_in_every_way(way, runs, outcomes) -> None:
    @tool("quote")
    async def quote(ticker: str, days: int = 3) -> str:
        """The price of a share."""
        await asyncio.sleep(0)
        runs.append((ticker, days))
        return f"{ticker} {days}"

    guarded = wrap_tool(quote, KEPT)
    calls = {
        "run": lambda: guarded.run(ticker="ACME"),
        "arun": lambda: asyncio.run(guarded.arun("ACME")),
        "structured": lambda: guarded.to_structured_tool().invoke({"ticker": "ACME"}),
        "ainvoke": lambda: asyncio.run(guarded.to_structured_tool().ainvoke({"ticker": "ACME"})),
    }
    assert [calls[way]() for _ in range(2)] == ["ACME 3"] * 2
    assert runs == [("ACME", 3)]
    assert outcomes == ["miss", "hit"]


def test_structured_tools(runs, outcomes) -> None:
    def quote(ticker: str, days: int = 3) -> str:
        """The price of a share."""
        runs.append((ticker, days))
        return f"{ticker} {days}"

    made = [
        wrap_tool(CrewStructuredTool.from_function(quote), KEPT),
        wrap_tool(tool("quote")(quote).to_structured_tool(), KEPT, name="quote"),
    ]
    for each in made:
        assert each.invoke({"ticker": "ACME"}) == "ACME 3"
        assert asyncio.run(each.ainvoke({"ticker": "ACME", "days": 3})) == "ACME 3"
        assert each.toolops_key(ticker="ACME") == made[0].toolops_key("ACME", 3)
    assert len(runs) == 1
    assert outcomes == ["miss"] + ["hit"] * 3
    files = [wrap_tool(FileRead(name).to_structured_tool(), KEPT) for name in ("a", "b")]
    assert files[0].toolops_key(start_line=1) != files[1].toolops_key(start_line=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda f: functools.partial(f, days=3),
        lambda f: type("Callable", (), {"__call__": lambda self, ticker: f(ticker)})(),
        lambda f: type("Has", (), {"quote": lambda self, ticker: f(ticker)})().quote,
    ],
    ids=["partial", "object", "method"],
)
def test_functions_of_all_kinds(make, runs, outcomes) -> None:
    def quote(ticker: str, days: int = 3) -> str:
        runs.append((ticker, days))
        return f"{ticker} {days}"

    made = crewai.tools.base_tool.Tool(
        name="quote", description="Prices.", func=make(quote), args_schema=ReadSchema
    )
    guarded = wrap_tool(made, KEPT)
    assert [guarded.run("ACME") for _ in range(2)] == ["ACME 3"] * 2
    assert len(runs) == 1
    assert outcomes == ["miss", "hit"]


def test_functions_of_one_name_are_told_apart(caplog) -> None:
    def made(answer: str) -> Any:
        @tool("search")
        def search(query: str) -> str:
            """Searches."""
            return answer

        return search

    first, second = made("a"), made("b")
    for _ in range(2):
        assert wrap_tool(first, KEPT).run("x") == "a"
        assert wrap_tool(second, KEPT).run("x") == "b"
    assert caplog.text.count("Another tool is called 'search'") == 1
    shared = [wrap_tool(each, KEPT, name="shared") for each in (first, second)]
    assert [each.run("x") for each in shared] == ["a", "a"]


def test_a_function_is_known_by_name_version_and_arguments(ops, runs) -> None:
    guarded = wrap_tool(quote_tool(runs), KEPT)

    @ops.tool(name="quote", policy=KEPT)
    def quote(ticker: str, days: int = 3) -> str:
        raise AssertionError("it is kept already")

    assert guarded.run(ticker="ACME", days="3") == quote("ACME") == "ACME 3"
    assert wrap_tool(quote_tool(runs), KEPT, version="2").toolops_key("ACME") != quote.key("ACME")


# What is kept -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, False, "", [], {}, 0, {"a": [1, (2,), b"3"]}])
def test_results_of_all_kinds_are_kept(value, runs) -> None:
    @tool("value")
    def give(n: int) -> Any:
        """Gives a value."""
        runs.append(n)
        return value

    guarded = wrap_tool(give, KEPT)
    for _ in range(2):
        result = guarded.run(n=1)
        assert result == value
        assert type(result) is type(value)
    assert runs == [1]


def test_failures_and_errors_are_not(ops, runs, outcomes) -> None:
    # Not even where the runtime has been taught how they could be kept.
    ops.codec.register(ToolFailure, encode=ToolFailure.model_dump_json, decode=_failure_from)

    @tool("fails")
    def fails(n: int) -> Any:
        """Fails at first."""
        runs.append(n)
        if len(runs) == 1:
            return ToolFailure(message="not yet", code="early")
        if len(runs) == 2:
            raise ConnectionError("no line")
        return "done"

    guarded = wrap_tool(fails, KEPT)
    first, second, *others = (guarded.run(n=1) for _ in range(4))
    assert (first.message, first.code) == ("not yet", "early")
    assert (second.message, second.code) == ("no line", "ConnectionError")
    assert others == ["done"] * 2
    assert outcomes == ["miss", "error", "miss", "hit"]


def _failure_from(text: str) -> ToolFailure:
    return ToolFailure.model_validate_json(text)


@pytest.mark.parametrize("structured", [False, True], ids=["tool", "structured"])
def test_the_tool_has_a_say_in_what_is_kept(structured, runs) -> None:
    asked: list[Any] = []

    def only_even(arguments: Any, result: Any) -> bool:
        asked.append((arguments, result))
        return result % 2 == 0

    @tool("double")
    def number(n: int, plus: int = 0) -> int:
        """A number."""
        runs.append(n)
        return n + plus

    number.cache_function = only_even
    made: Any = number.to_structured_tool() if structured else number
    guarded = wrap_tool(made, KEPT)
    call = guarded.invoke if structured else lambda given: guarded.run(**given)
    for n in (1, 1, 2, 2):
        assert call({"n": n}) == n
    assert runs == [1, 1, 2]
    assert asked == [({"n": n, "plus": 0}, n) for n in (1, 1, 2)]


def test_a_tool_that_cannot_say_keeps_nothing(runs) -> None:
    guarded = wrap_tool(quote_tool(runs), KEPT)
    guarded.cache_function = lambda arguments, result: result.nonsense
    for _ in range(2):
        assert guarded.run("ACME") == "ACME 3"
    assert len(runs) == 2


def test_the_say_of_a_configured_coroutine(runs) -> None:
    asked: list[Any] = []

    class Number(ToolOpsMixin, BaseTool):
        name: str = "number"
        description: str = "A number."
        plus: int = 1
        toolops_policy = KEPT
        cache_function: Any = lambda arguments, result: asked.append(arguments) or result > 2

        async def _run(self, n: int) -> int:
            runs.append(n)
            return n + self.plus

    made = Number()
    assert [made.run(n=n) for n in (1, 1, 2, 2)] == [2, 2, 3, 3]
    assert runs == [1, 1, 2]
    assert asked == [{"n": n} for n in (1, 1, 2)]


def test_what_can_be_read_once_is_nobody_elses(runs, outcomes) -> None:
    @tool("lines")
    def lines(n: int) -> Iterator[int]:
        """Lines."""
        runs.append(n)
        return iter(range(n))

    guarded = wrap_tool(lines, KEPT)
    assert [list(guarded.run(n=2)) for _ in range(2)] == [[0, 1]] * 2
    assert runs == [2, 2]


@pytest.mark.parametrize("what", ["iterator", "coroutine", "signal"])
def test_and_who_joined_a_call_has_his_own(what, ops, runs) -> None:
    started, release = Latch(), Latch()

    async def later() -> list[int]:
        return [1]

    @tool("give")
    def give(n: int) -> Any:
        """Gives what can be used once."""
        runs.append(n)
        started.open()
        release.wait()
        if what == "signal":
            raise HookAborted("stop" if len(runs) == 1 else "later")
        return iter([1]) if what == "iterator" else later()

    guarded = wrap_tool(give, KEPT)
    callers = [start(lambda: _used(guarded)) for _ in range(3)]
    started.wait()
    key = bytes.fromhex(guarded.toolops_key(n=1))
    wait_for(lambda: ops._shared.flights.count_callers(key) == 3, "three aboard", LONG)
    release.open()
    given = [caller.result(LONG) for caller in callers]
    wanted = ["later", "later", "stop"] if what == "signal" else [[1]] * 3
    assert sorted(given) == wanted
    assert runs == [1] * (1 if what == "coroutine" else 3)


def _used(guarded: Any) -> Any:
    try:
        return list(guarded.run(n=1))
    except HookAborted as error:
        return error.reason


def test_a_function_that_hands_out_a_coroutine(runs) -> None:
    async def later(n: int) -> int:
        return n

    @tool("later")
    def hand_out(n: int) -> Any:
        """A number, later."""
        runs.append(n)
        return later(n)

    guarded = wrap_tool(hand_out, KEPT)
    assert [guarded.run(n=2) for _ in range(2)] == [2, 2]
    assert runs == [2]


def test_without_a_policy_calls_are_counted_and_no_more(ops, runs, outcomes) -> None:
    guarded = wrap_tool(quote_tool(runs))
    for _ in range(2):
        assert guarded.run("ACME") == "ACME 3"
    assert len(runs) == 2
    assert outcomes == ["bypass"] * 2
    assert ops.stats()["quote"].calls == 2
    assert not guarded.toolops_keeps


def test_parts_win_over_the_policy(runs) -> None:
    guarded = wrap_tool(quote_tool(runs), KEPT, cache=None, retry=Retry(attempts=2))
    for _ in range(2):
        guarded.run("ACME")
    assert len(runs) == 2


# Policies that look at arguments ------------------------------------------------------------------


def test_functions_of_a_policy_see_the_arguments_of_a_configured_tool(ops) -> None:
    seen: list[Any] = []

    def key(query: str, **_: Any) -> str:
        seen.append(_)
        return query.lower()

    def tags(**arguments: Any) -> list[str]:
        seen.append(set(arguments))
        return [f"query:{arguments['query']}"]

    made = [
        wrap_tool(Search(limit=limit), KEPT.replace(cache=Cache(ttl=60.0, key=key, tags=tags)))
        for limit in (1, 2)
    ]
    for query in ("x", "X"):
        assert [each.run(query=query)["limit"] for each in made] == [1, 2]
    assert all(each in ({}, {"query"}) for each in seen)
    assert ops.stats().total.hits == 2
    ops.invalidate(tags=["query:x"])
    made[0].run(query="x")
    assert ops.stats().total.hits == 2


def test_chosen_parameters_leave_configured_tools_apart() -> None:
    policy = KEPT.replace(cache=Cache(ttl=60.0, key_params=["query"]), tags=lambda **_: ["t"])
    made = [wrap_tool(Search(limit=limit), policy) for limit in (1, 2)]
    assert [each.run(query="x")["limit"] for each in made] == [1, 2]
    assert made[0].toolops_key(query="x", other=1) == made[0].toolops_key(query="x", other=2)


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"rate_limit": RateLimit("1/h", wait=0)}, "RateLimited"),
        ({"timeout": Timeout(total=0.01)}, "TotalTimeout"),
    ],
)
@pytest.mark.parametrize("on_error", ["failure", "raise"])
def test_what_a_policy_refuses(parts, code, on_error) -> None:
    @tool("slow")
    async def slow(n: int) -> str:
        """Slow."""
        await asyncio.sleep(0 if code == "RateLimited" else 30)
        return "done"

    guarded = wrap_tool(slow, Policy(**parts), on_error=on_error)
    if code == "RateLimited":
        assert guarded.run(n=1) == "done"
    if on_error == "raise":
        with pytest.raises(Exception, match="slow|s") as caught:
            guarded.run(n=1)
        assert type(caught.value).__name__ == code
        return
    failure = guarded.run(n=1)
    assert isinstance(failure, ToolFailure)
    assert (failure.code, failure.retryable, failure.reason) == (code, True, "exception")
    assert failure.as_agent_message().endswith(f"(code: {code})")


def test_errors_are_told_when_retries_are_used_up(runs) -> None:
    @tool("fails")
    def fails(n: int) -> str:
        """Fails."""
        runs.append(n)
        raise ConnectionError

    failure = wrap_tool(fails, retry=Retry(attempts=3, wait=0.0)).run(n=1)
    assert (failure.message, failure.retryable) == ("ConnectionError", False)
    assert runs == [1] * 3


def _record() -> ToolFailureRecord:
    return ToolFailureRecord(tool_name="stop", failure=ToolFailure(message="stop"))


@pytest.mark.parametrize(
    "signal",
    [
        HookAborted("stop"),
        ToolExecutionFailedError(_record()),
        HumanFeedbackPending(
            context=PendingFeedbackContext(
                flow_id="1", flow_class="F", method_name="m", method_output=None, message="?"
            )
        ),
        NotImplementedError("not in this way"),
    ],
    ids=lambda signal: type(signal).__name__,
)
def test_signals_pass_through_as_what_they_are(signal, runs) -> None:
    @tool("stops")
    def stops(n: int) -> str:
        """Stops."""
        runs.append(n)
        raise signal

    policy = KEPT.replace(retry=Retry(attempts=3, wait=0.0), fallback="instead")
    with pytest.raises(type(signal)) as caught:
        wrap_tool(stops, policy).run(n=1)
    assert caught.value is signal
    assert runs == [1]


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "match"),
    [
        (None, "tool: must be a CrewAI tool or a function, not None$"),
        (FileRead, "make one of the class"),
        ([FileRead()], r"use wrap_tools\(\)"),
    ],
    ids=["None", "class", "list"],
)
def test_what_is_no_tool_is_refused(wanted, match) -> None:
    with pytest.raises(ConfigurationError, match=match):
        wrap_tool(wanted, KEPT)


def test_wrapping_twice_is_refused(ops, runs) -> None:
    guarded = wrap_tool(quote_tool(runs), KEPT)
    for again in (guarded, guarded.to_structured_tool(), guarded.model_copy()):
        with pytest.raises(ConfigurationError, match="quote is behind a policy already"):
            wrap_tool(again, KEPT)

    @tool("inner")
    @ops.tool
    def inner(n: int) -> int:
        """A number."""
        return n

    with pytest.raises(ConfigurationError, match="a function that is behind a policy already"):
        wrap_tool(inner, KEPT)
    with pytest.raises(ConfigurationError, match="no function to run"):
        wrap_tool(CrewStructuredTool(name="none"), KEPT)


WRONG = [
    ({"on_error": "ignore"}, 'on_error: must be "failure" or "raise"'),
    ({"ops": "ops"}, "ops: must be a ToolOps"),
    ({"policy": Cache()}, r"did you mean Policy\(cache=...\)"),
    ({"secret": "query"}, "secret: must be a list of names"),
    ({"secret": ["limit"]}, "secret: names 'limit'"),
    ({"ignore": ["nothing"]}, "ignore: names 'nothing'"),
    ({"nonsense": 1}, "nonsense: is no part of a policy"),
    ({"cache": Cache(version="2"), "version": "3"}, "version: is given twice"),
]


class Limited(BaseTool):
    name: str = "limited"
    description: str = "Limited."
    limit: int = 1

    def _run(self, query: str) -> str:
        return query


@pytest.mark.parametrize(
    ("options", "match"), [*WRONG, ({"name": ""}, "name: must be a non-empty string")]
)
def test_wrong_options_are_refused(options, match) -> None:
    with pytest.raises(ConfigurationError, match=match):
        wrap_tool(Limited(), **options)


@pytest.mark.parametrize(("options", "match"), WRONG)
def test_wrong_options_for_many_are_refused(options, match) -> None:
    with pytest.raises(ConfigurationError, match=match):
        wrap_tools([Limited(), Limited()], **options)


@pytest.mark.parametrize("wanted", [FileRead(), "tools", {"a": FileRead()}, None])
def test_what_are_not_several_is_refused(wanted) -> None:
    with pytest.raises(ConfigurationError, match="tools: must be several tools"):
        wrap_tools(wanted, KEPT)


def test_options_are_for_the_tools_that_know_them(runs) -> None:
    quote, read = wrap_tools(
        [quote_tool(runs), FileRead("a")], KEPT, ignore=["days", "encoding"], secret=["start_line"]
    )
    assert quote.toolops_key("ACME", 1) == quote.toolops_key("ACME", 2)
    before = read.toolops_key()
    read.encoding = "latin-1"
    assert read.toolops_key() == before


def test_a_tool_made_by_the_class_of_a_wrapped_one_is_a_plain_one(outcomes, tmp_path) -> None:
    (tmp_path / "a").write_text("a")
    made = type(wrap_tool(FileRead(), KEPT))(str(tmp_path / "a"))
    assert [made.run() for _ in range(2)] == ["a", "a"]
    assert outcomes == []
    assert not made.toolops_keeps
    with pytest.raises(ConfigurationError, match=r"was not made by wrap_tool\(\)"):
        made.toolops_key()


# Copies and limits --------------------------------------------------------------------------------


def test_copies_are_guarded_too(runs, tmp_path) -> None:
    guarded = wrap_tool(quote_tool(runs), KEPT)
    assert guarded.model_copy().run("ACME") == guarded.run("ACME")
    assert len(runs) == 1
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    read = wrap_tool(FileRead(str(tmp_path / "a")), KEPT)
    assert read.run() == "a"
    other = read.model_copy(update={"file_path": "b"})
    other._declared = str(tmp_path / "b")
    assert other.run() == "b"
    assert read.run() == "a"


def test_a_bulkhead_is_one_for_all_configurations() -> None:
    class Nested(BaseTool):
        name: str = "nested"
        description: str = "Nested."
        inner: Any = None

        def _run(self, n: int) -> Any:
            return self.inner.run(n=n) if self.inner else "alone"

    policy = Policy(bulkhead=Bulkhead(1), coalesce=False)
    inner = wrap_tool(Nested(), policy, name="nested")
    outer = wrap_tool(Nested(inner=inner), policy, name="nested")
    assert inner.run(n=1) == "alone"
    assert outer.run(n=1).code == "BulkheadFull"


# The environment ----------------------------------------------------------------------------------


def test_no_other_variable_is_taken_for_a_setting(monkeypatch, runs) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(toolops_plugins.default_runtime, "_runtime", None)
    guarded = wrap_tool(quote_tool(runs), KEPT)
    assert [guarded.run("ACME") for _ in range(2)] == ["ACME 3"] * 2
    with toolops_plugins.default_runtime.get_default() as made:
        assert len(made.stats().total.hits_by_tier) == 1
        assert made.stats().total.hits_by_tier == {"L1": 1}
        assert "redis" not in repr(made).lower()


def test_home_is_left_alone(runs) -> None:
    import crewai_core.settings

    home = Path(crewai_core.settings.DEFAULT_CONFIG_PATH).parents[2]
    assert home.name.startswith("toolops-crewai-home-")
    before = sorted(Path.home().rglob("*")) + sorted(home.rglob("*"))
    guarded = wrap_tool(quote_tool(runs), KEPT)
    guarded.run("ACME")
    assert sorted(Path.home().rglob("*")) + sorted(home.rglob("*")) == before
