"""The mixin: what a class with it is, and how often its tools pass the guard."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, ClassVar

import pytest
from crewai.tools import BaseTool, ToolFailure
from crewai.tools.base_tool import Tool
from crewai.tools.structured_tool import CrewStructuredTool
from pydantic import BaseModel, Field, PrivateAttr

from crewai_toolops.mixin import ToolOpsMixin
from toolops_plugins import (
    Cache,
    CircuitBreaker,
    ConfigurationError,
    Policy,
    RateLimit,
    Retry,
    ToolOps,
    set_default,
)

pytestmark = pytest.mark.usefixtures("ops")  # the default runtime is a new one in each test

KEPT = Policy(cache=Cache(ttl=60.0, jitter=0.0, beta=0.0))


class Report(BaseModel):
    text: str


class Plain(BaseTool):
    name: str = "quote"
    description: str = "The price of a share."
    _runs: list[Any] = PrivateAttr(default_factory=list)

    def _run(self, ticker: str, days: int = 3) -> str:
        self._runs.append((ticker, days))
        return f"{ticker} {days}"


class Before(ToolOpsMixin, BaseTool):
    name: str = "quote"
    description: str = "The price of a share."
    toolops_policy = KEPT
    _runs: list[Any] = PrivateAttr(default_factory=list)

    def _run(self, ticker: str, days: int = 3) -> str:
        self._runs.append((ticker, days))
        return f"{ticker} {days}"


class After(BaseTool, ToolOpsMixin):
    name: str = "quote"
    description: str = "The price of a share."
    toolops_policy: ClassVar[Policy] = KEPT
    _runs: list[Any] = PrivateAttr(default_factory=list)

    def _run(self, ticker: str, days: int = 3) -> str:
        self._runs.append((ticker, days))
        return f"{ticker} {days}"


class Inherits(ToolOpsMixin, Plain):
    toolops_policy = KEPT


class InheritsAfter(Plain, ToolOpsMixin):
    toolops_policy = KEPT


class CallsSuper(Before):
    def _run(self, ticker: str, days: int = 3) -> str:
        return super()._run(ticker, days)


class CallsPlainSuper(ToolOpsMixin, Plain):
    toolops_policy = KEPT

    def _run(self, ticker: str, days: int = 3) -> str:
        return super()._run(ticker, days=days)


class Delegates(Before):
    async def _arun(self, ticker: str, days: int = 3) -> str:
        return self._run(ticker, days)


class Asynchronous(ToolOpsMixin, BaseTool):
    name: str = "quote"
    description: str = "The price of a share."
    toolops_policy = KEPT
    _runs: list[Any] = PrivateAttr(default_factory=list)

    async def _run(self, ticker: str, days: int = 3) -> str:
        await asyncio.sleep(0)
        self._runs.append((ticker, days))
        return f"{ticker} {days}"


class AsynchronousToo(Asynchronous):
    async def _arun(self, ticker: str, days: int = 3) -> str:
        return await self._run(ticker, days)


class Placeholder(ToolOpsMixin, BaseTool):
    """A tool for event loops alone, as people write them."""

    name: str = "quote"
    description: str = "The price of a share."
    toolops_policy = KEPT
    _runs: list[Any] = PrivateAttr(default_factory=list)

    def _run(self, *args: Any, **kwargs: Any) -> str:
        raise NotImplementedError("await it")

    async def _arun(self, ticker: str, days: int = 3) -> str:
        self._runs.append((ticker, days))
        return f"{ticker} {days}"


SYNC = [Before, After, Inherits, InheritsAfter, CallsSuper, CallsPlainSuper, Delegates]
ALL = [*SYNC, Asynchronous, AsynchronousToo]
AWAITED = [Delegates, AsynchronousToo, Placeholder]


@pytest.fixture
def outcomes(ops: ToolOps) -> list[str]:
    told: list[str] = []
    ops.add_sink(lambda event: told.append(event.outcome))
    return told


# What it is -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*ALL, Placeholder])
def test_models_are_told_of_it_as_of_any_tool(kind) -> None:
    assert (
        kind().args_schema.model_json_schema()["properties"]
        == (Plain().args_schema.model_json_schema()["properties"])
    )
    assert kind().to_structured_tool().args_schema is not None


def test_schemas_are_inferred_as_ever() -> None:
    def classes(*bases: type) -> Any:
        class Reports(*bases):
            name: str = "reports"
            description: str = "Reports."

            def _run(self, text: str, *, long: bool = False) -> Report:
                return Report(text=text)

        return Reports

    plain = classes(BaseTool)()
    for bases in ((ToolOpsMixin, BaseTool), (BaseTool, ToolOpsMixin)):
        made = classes(*bases)()
        assert made.result_schema is plain.result_schema is Report
        assert made.args_schema.model_json_schema() == plain.args_schema.model_json_schema()
        assert made.formatted_description == plain.formatted_description
        assert set(type(made).model_fields) == set(BaseTool.model_fields)


def test_a_class_says_what_is_asked_of_its_tools() -> None:
    assert Before.toolops_policy is KEPT
    assert not {name for name in Before.model_fields if name.startswith("toolops")}
    assert Before().model_dump().keys() == {*BaseTool.model_fields, "tool_type"}
    assert Before().toolops_keeps
    assert isinstance(Before(), ToolOpsMixin)


@pytest.mark.filterwarnings("ignore:Field name .* shadows an attribute:UserWarning")
def test_a_setting_that_would_be_a_field_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="toolops_policy: is a setting of the class"):

        class Wrong(ToolOpsMixin, BaseTool):
            name: str = "wrong"
            description: str = "Wrong."
            toolops_policy: Policy = KEPT

            def _run(self) -> str:
                return ""


@pytest.mark.parametrize(
    ("setting", "value", "match"),
    [
        ("toolops_policy", Cache(), r"Policy\(cache=\.\.\.\)"),
        ("toolops_policy", None, None),
        ("toolops_ops", "ops", "must be a ToolOps"),
        ("toolops_name", "", "name: must be"),
        ("toolops_secret", "ticker", "must be a list"),
        ("toolops_secret", ["city"], "toolops_secret: names 'city'"),
        ("toolops_ignore", ["city"], "toolops_ignore: names 'city'"),
        ("toolops_ignore", ["description"], None),
        ("toolops_on_error", "ignore", "on_error: must be"),
    ],
)
def test_wrong_settings_are_refused_when_the_class_is_made(setting, value, match) -> None:
    def make() -> Any:
        return type("Made", (ToolOpsMixin, Plain), {setting: value, "__module__": __name__})

    if match is None:
        make()
        return
    with pytest.raises(ConfigurationError, match=match):
        make()


@pytest.mark.parametrize("base", [Tool, CrewStructuredTool])
def test_what_runs_a_function_is_refused(base) -> None:
    with pytest.raises(ConfigurationError, match=r"wrap_tool\(\)"):
        type("Made", (ToolOpsMixin, base), {"__module__": __name__})


def test_a_body_that_is_no_method_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="_run: of Made must be a plain method"):
        type("Made", (ToolOpsMixin, Plain), {"_run": staticmethod(print), "__module__": __name__})


# How often it is guarded ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_all_forms_of_a_call_share_a_key(kind, outcomes) -> None:
    made = kind()
    structured = made.to_structured_tool()
    calls = [
        lambda: made.run("ACME"),
        lambda: made.run(ticker="ACME"),
        lambda: made.run("ACME", 3),
        lambda: made.run("ACME", days=3),
        lambda: made.run(days="3", ticker="ACME"),
        lambda: structured.invoke({"ticker": "ACME"}),
        lambda: structured.invoke({"ticker": "ACME", "days": 3}),
    ]
    for call in calls:
        assert call() == "ACME 3"
    assert made._runs == [("ACME", 3)]
    assert outcomes == ["miss"] + ["hit"] * 6
    assert made.run("ACME", 4) == "ACME 4"
    assert made.run("acme") == "acme 3"
    assert len(made._runs) == 3


@pytest.mark.parametrize("kind", AWAITED)
async def test_it_is_awaited_under_the_same_key(kind, outcomes) -> None:
    made = kind()
    for _ in range(2):
        assert await made.arun(ticker="ACME") == "ACME 3"
        assert await made.arun("ACME", 3) == "ACME 3"
    assert made._runs == [("ACME", 3)]
    assert outcomes == ["miss", "hit", "hit", "hit"]


@pytest.mark.parametrize("kind", [Before, Asynchronous, Delegates])
async def test_a_structured_tool_is_awaited(kind, outcomes) -> None:
    made = kind()
    for _ in range(2):
        assert await made.to_structured_tool().ainvoke({"ticker": "ACME"}) == "ACME 3"
    assert made._runs == [("ACME", 3)]
    assert outcomes == ["miss", "hit"]


async def test_a_tool_that_cannot_be_awaited_says_so(outcomes) -> None:
    with pytest.raises(NotImplementedError, match="Override _arun"):
        await Before().arun("ACME")
    with pytest.raises(NotImplementedError, match="await it"):
        Placeholder().run(ticker="ACME")
    assert "error" not in outcomes


def test_each_call_of_a_body_on_itself_belongs_to_its_call(outcomes) -> None:
    class Recursive(ToolOpsMixin, BaseTool):
        name: str = "factorial"
        description: str = "Factorials."
        toolops_policy = KEPT

        def _run(self, n: int) -> int:
            return n * self._run(n - 1) if n else 1

    assert Recursive().run(n=5) == 120
    assert outcomes == ["miss"]


def test_a_tool_may_call_another_of_its_class(outcomes) -> None:
    class Asks(Before):
        def _run(self, ticker: str, days: int = 3) -> str:
            return super()._run(ticker, days) if days == 1 else Asks().run(ticker, 1)

    assert Asks().run("ACME", 2) == "ACME 1"
    assert Asks().run("ACME", 1) == "ACME 1"
    assert outcomes == ["miss", "miss", "hit"]


def test_arguments_that_do_not_fit_are_the_tools_own_matter(outcomes) -> None:
    with pytest.raises(ValueError, match="arguments validation failed"):
        Before().run(days=3)
    with pytest.raises(TypeError, match="positional"):
        Before().run("ACME", 3, 4)
    assert outcomes == []


def test_a_runtime_that_is_not_active_does_nothing(ops, outcomes) -> None:
    made = Before()
    ops.active = False
    for _ in range(2):
        assert made.run("ACME") == "ACME 3"
    assert len(made._runs) == 2
    assert outcomes == []


# Settings ---------------------------------------------------------------------------------------


def test_without_a_policy_calls_are_counted_and_no_more(outcomes) -> None:
    class Counted(ToolOpsMixin, Plain):
        pass

    made = Counted()
    assert not made.toolops_keeps
    for _ in range(2):
        assert made.run("ACME") == "ACME 3"
    assert len(made._runs) == 2
    assert outcomes == ["bypass"] * 2
    with pytest.raises(ConfigurationError, match="stores no results"):
        made.toolops_key("ACME")


def test_the_default_runtime_is_looked_up_by_each_call(ops) -> None:
    made = Before()
    made.run("ACME")
    with ToolOps("crewai-other") as other:
        set_default(other)
        for _ in range(2):
            made.run("ACME")
        assert other.stats().total.calls == 2
        set_default(ops)
    made.run("ACME")
    assert len(made._runs) == 2
    assert ops.stats().total.calls == 2


def test_a_class_may_have_a_runtime_of_its_own(ops) -> None:
    with ToolOps("crewai-own") as own:

        class Own(Before):
            toolops_ops = own

        Own().run("ACME")
        assert (own.stats().total.calls, ops.stats().total.calls) == (1, 0)


def test_versions_and_names(ops) -> None:
    def made(**settings: Any) -> Any:
        return type(
            "Before", (Before,), {"__module__": __name__, "__qualname__": "Before", **settings}
        )()

    keys = {
        made(**settings).toolops_key("ACME")
        for settings in (
            {},
            {"toolops_version": "2"},
            {"toolops_name": "price"},
            {"toolops_version": "2", "toolops_name": "price"},
        )
    }
    assert len(keys) == 4
    assert made().toolops_key("ACME") in keys  # and they are the same each time

    @ops.tool(name="price", policy=KEPT)
    def price(ticker: str, days: int = 3) -> str:
        return ""

    assert made(toolops_name="price").toolops_key("ACME") == price.key("ACME")


def test_what_is_ignored_or_secret(ops) -> None:
    class Logs(ToolOpsMixin, BaseTool):
        name: str = "logs"
        description: str = "Logs."
        client: Any = None
        toolops_policy = KEPT
        toolops_ignore = ("trace", "client")
        toolops_secret = ("pin",)

        def _run(self, host: str, trace: str = "", pin: str = "") -> str:
            return host

    first, second = Logs(client=object()), Logs(client=object())
    assert first.toolops_key("a", "1") == first.toolops_key("a", "2")
    assert first.toolops_key("a") == second.toolops_key("a")
    assert first.toolops_key("a", pin="1") != first.toolops_key("a", pin="2")

    class Shows(Logs):
        toolops_policy = Policy(cache=Cache(ttl=1.0, tags=["{pin}"]))

    with pytest.raises(ConfigurationError, match="would show the secret"):
        Shows().run("a")


def test_results_can_be_forgotten(outcomes) -> None:
    made = Before()
    made.run("ACME")
    made.toolops_invalidate(ticker="ACME", days="3")
    made.run("ACME")
    asyncio.run(made.toolops_ainvalidate("ACME"))
    made.run("ACME")
    assert len(made._runs) == 3


# Errors -----------------------------------------------------------------------------------------


class Fails(ToolOpsMixin, BaseTool):
    name: str = "fails"
    description: str = "Fails."
    toolops_policy = KEPT.replace(
        retry=Retry(attempts=3, wait=0.0),
        breaker=CircuitBreaker(window=3, min_calls=3, open_for=30.0),
    )
    _runs: list[Any] = PrivateAttr(default_factory=list)

    def _run(self, ticker: str) -> str:
        self._runs.append(ticker)
        raise ConnectionError("no line")


def test_errors_become_failures() -> None:
    made = Fails()
    failure = made.run("ACME")
    assert isinstance(failure, ToolFailure)
    assert (failure.message, failure.code, failure.retryable) == (
        "no line",
        "ConnectionError",
        False,
    )
    assert made._runs == ["ACME"] * 3
    rejected = made.run("ACME")
    assert (rejected.code, rejected.retryable) == ("CircuitOpen", True)
    assert 0.0 < rejected.details["retry_after"] <= 30.0
    assert made._runs == ["ACME"] * 3
    assert made.format_output_for_agent(rejected).endswith("(code: CircuitOpen)")


def test_or_are_raised() -> None:
    class Raises(Fails):
        toolops_on_error = "raise"

    with pytest.raises(ConnectionError):
        Raises().run("ACME")


def test_what_does_not_fit_the_runtime_is_raised_whatever_is_said_of_errors() -> None:
    class First(Before):
        name: str = "limited"
        toolops_policy = Policy(rate_limit=RateLimit("1/s", name="shared"))

    class Second(Before):
        name: str = "limited too"
        toolops_policy = Policy(rate_limit=RateLimit("2/s", name="shared"))

    First().run("ACME")
    with pytest.raises(ConfigurationError, match="in use with another policy"):
        Second().run("ACME")


# Fields -----------------------------------------------------------------------------------------


class Configured(ToolOpsMixin, BaseTool):
    name: str = "search"
    description: str = "Search."
    toolops_policy = KEPT
    index: Any = "a"
    api_key: str = Field(default="", exclude=True)
    calls: int = 0
    _runs: list[Any] = PrivateAttr(default_factory=list)

    def _run(self, query: str) -> str:
        self.calls += 1
        self._runs.append(query)
        return f"{query} in {self.index}"


def test_what_a_tool_is_configured_with_counts() -> None:
    assert [Configured(index=index).run("x") for index in ("a", "b", "a")] == [
        "x in a",
        "x in b",
        "x in a",
    ]
    keys = {
        Configured(**fields).toolops_key("x")
        for fields in (
            {},
            {"index": "b"},
            {"index": ["a"]},
            {"index": {"a": 1}},
            {"index": Report(text="a")},
            {"api_key": "alice"},
            {"api_key": "bob"},
        )
    }
    assert len(keys) == 7
    assert Configured(index={"a": 1}).toolops_key("x") in keys


def test_what_has_no_canonical_form_counts_as_itself() -> None:
    class Slotted:
        __slots__ = ()

    clients = [object, Report]  # classes have one
    assert Configured(index=clients).toolops_key("x") == Configured(index=clients).toolops_key("x")
    for make in (
        lambda client: client,
        lambda client: [client],
        lambda client: {"client": {1: (client,)}},
        lambda client: frozenset([client]),
    ):
        one, other = (lambda: 1), (lambda: 2)
        first, again, second = (Configured(index=make(each)) for each in (one, one, other))
        assert first.toolops_key("x") == again.toolops_key("x")
        assert first.toolops_key("x") != second.toolops_key("x")
    # What cannot even be known again is kept apart, and yet itself.
    first, second = (Configured(index=Slotted()) for _ in range(2))
    assert first.toolops_key("x") == first.toolops_key("x") != second.toolops_key("x")


def test_a_change_of_configuration_counts() -> None:
    made = Configured()
    assert made.run("x") == "x in a"
    made.index = "b"
    assert made.run("x") == "x in b"
    made.index = "a"
    assert made.calls == 2
    assert Configured(index="a", calls=0).run("x") == "x in a"
    assert made.model_copy(update={"index": "c"}).run("x") == "x in c"


def test_what_a_tool_changes_of_itself_does_not() -> None:
    made = Configured()
    for _ in range(3):
        assert made.run("x") == "x in a"
    assert (made.calls, made._runs) == (1, ["x"])


def test_private_settings_tell_tools_apart() -> None:
    class Reader(ToolOpsMixin, BaseTool):
        name: str = "reader"
        description: str = "As tools that are made with what they read."
        toolops_policy = KEPT
        _path: str = PrivateAttr(default="")
        _lines: list[str] = PrivateAttr(default_factory=list)

        def __init__(self, path: str = "") -> None:
            super().__init__()
            self._path = path

        def _run(self, query: str) -> str:
            self._lines.append(query)
            return f"{query} in {self._path}"

    first, second = Reader("a"), Reader("b")
    for _ in range(2):
        assert [first.run("x"), second.run("x")] == ["x in a", "x in b"]
    assert (len(first._lines), len(second._lines)) == (1, 1)
    second._path = "c"
    assert second.run("x") == "x in c"
    assert Reader("a").toolops_key("x") == first.toolops_key("x")
    assert Reader()._toolops_call(("x",), {})[0] is not first._toolops_call(("x",), {})[0]


def test_a_tool_that_holds_nothing_but_a_private_client_is_told_apart_by_it() -> None:
    class Client:
        def __init__(self, place: str) -> None:
            self.place = place

    class Asking(ToolOpsMixin, BaseTool):
        name: str = "asking"
        description: str = "Asks."
        toolops_policy = KEPT
        _lock: Any = PrivateAttr(default_factory=threading.Lock)
        _client: Any = PrivateAttr()

        def __init__(self, client: Any) -> None:
            super().__init__()
            self._client = client

        def _run(self, query: str) -> str:
            return f"{query} at {self._client.place}"

    here, there = Client("here"), Client("there")
    assert [Asking(here).run("x"), Asking(there).run("x")] == ["x at here", "x at there"]
    assert Asking(here).toolops_key("x") == Asking(here).toolops_key("x")


def test_private_attributes_may_be_left_out() -> None:
    class Reader(ToolOpsMixin, BaseTool):
        name: str = "reader"
        description: str = "Reads."
        toolops_policy = KEPT
        toolops_ignore = ("_label",)
        _label: str = PrivateAttr(default="")

        def _run(self, query: str) -> str:
            return query

    first, second = Reader(), Reader()
    second._label = "b"
    assert first.toolops_key("x") == second.toolops_key("x")


def test_what_was_put_beside_the_fields_counts_and_private_numbers_do_not() -> None:
    class Remote(ToolOpsMixin, BaseTool):
        name: str = "remote"
        description: str = "As CrewAI's own tools of an MCP server hold their connection."
        toolops_policy = KEPT
        _seen: int = PrivateAttr(default=0)

        def __init__(self, server: Any, seen: int = 0) -> None:
            super().__init__()
            self._server = server
            self._seen = seen

        def _run(self, query: str) -> str:
            return f"{query} at {self._server}"

    assert Remote("a", 1).run("x") == "x at a"
    assert Remote("b", 2).run("x") == "x at b"
    assert Remote("a", 1).toolops_key("x") == Remote("a", 2).toolops_key("x")


def test_classes_of_one_name_are_told_apart(caplog) -> None:
    def classes(answer: str) -> Any:
        class Search(ToolOpsMixin, BaseTool):
            name: str = "search"
            description: str = "Search."
            toolops_policy = KEPT

            def _run(self, query: str) -> str:
                return answer

        return Search

    first, second = classes("a"), classes("b")
    for _ in range(2):
        assert first().run("x") == "a"
        assert second().run("x") == "b"
    assert caplog.text.count("Another tool is called 'search'") == 1

    class Third(Configured):
        pass

    assert Configured().toolops_key("x") != Third().toolops_key("x")


def test_a_tool_without_fields_of_its_own_is_known_as_in_other_frameworks(ops) -> None:
    @ops.tool(name="quote", policy=KEPT)
    def quote(ticker: str, days: int = 3) -> str:
        raise AssertionError("it is kept already")

    made = Before()
    assert made.run(ticker="ACME") == quote("ACME") == "ACME 3"
    assert made.toolops_key("ACME") == quote.key("ACME")
