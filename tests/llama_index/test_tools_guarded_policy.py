"""Keys, stored results and policies of wrapped LlamaIndex tools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from callers import LONG, Notices, start
from langchain_core.tools import tool as langchain_tool
from llama_index.core import Document, SummaryIndex
from llama_index.core.base.llms.types import ImageBlock
from llama_index.core.callbacks import CallbackManager
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.tools import (
    AsyncBaseTool,
    FunctionTool,
    QueryEngineTool,
    RetrieverTool,
    ToolMetadata,
    ToolOutput,
)
from llama_index.core.tools.calling import acall_tool, call_tool
from llama_index.core.tools.ondemand_loader_tool import OnDemandLoaderTool
from llama_index.core.tools.tool_spec.base import BaseToolSpec
from llama_index.core.tools.tool_spec.load_and_search import LoadAndSearchToolSpec
from llama_index.core.workflow import Context
from llama_index_instrumentation.span import active_span_id
from servers import Server, wait_for

from langchain_toolops import wrap_tool
from llama_index.callbacks.toolops.tools import GuardedTool, guard_tool, guard_tools
from toolops_plugins import (
    Cache,
    CallEvent,
    CircuitBreaker,
    CircuitOpen,
    ConfigurationError,
    Policy,
    RateLimit,
    Redis,
    Retry,
    Semantic,
    SemanticCache,
    ToolOps,
    get_default,
    set_default,
)
from toolops_plugins.testing import FakeClock

ANEW = Retry(attempts=3, wait=0.0)


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps() as ops:
        yield ops


class Search:
    """A tool with a function that counts its runs, and answers as it is told."""

    def __init__(self) -> None:
        self.runs: list[Any] = []
        self.answer: Callable[[str], Any] = lambda query: f"found {query}"

        def search(query: str, limit: int = 3) -> Any:
            """Search."""
            self.runs.append((query, limit))
            return self.answer(query)

        self.function = search
        self.tool = FunctionTool.from_defaults(search)

    def guarded(self, ops: ToolOps, policy: Policy | None = None, **options: Any) -> GuardedTool:
        return guard_tool(self.tool, policy, ops=ops, **options)


# What counts in the key


def test_arguments_of_other_types_are_others(ops: ToolOps) -> None:
    search = Search()
    tool = search.guarded(ops)
    for query in (1, True, 1.0, "1", None, [1], (1,)):
        tool(query)
        tool(query=query)
    assert len(search.runs) == 7


def test_another_framework_shares_an_entry_of_the_same_tool(valkey: Server, namespace: str) -> None:
    def search(query: str, limit: int = 3) -> dict[str, Any]:
        """Search."""
        runs.append(query)
        return {"query": query, "limit": limit, "at": (1, 2)}

    runs: list[str] = []
    with ToolOps(namespace, tiers=[Redis(valkey.url, ttl=60)]) as ops:
        here = guard_tool(FunctionTool.from_defaults(search), ops=ops, version="7")
        there = wrap_tool(langchain_tool(search), ops=ops, version="7")
        assert here.key("x") == here.key(limit=3, query="x") == there.key({"query": "x"})
        expected = {"query": "x", "limit": 3, "at": (1, 2)}
        assert here("x").raw_output == expected
        assert there.invoke({"query": "x"}) == expected
        assert there.invoke({"query": "y", "limit": 1})["limit"] == 1
        assert here(limit=1, query="y").raw_output == {**expected, "query": "y", "limit": 1}
        assert runs == ["x", "y"]
        assert ops.stats()["search"].calls == 4


def test_partial_parameters_count_and_secrets_stay_secret(ops: ToolOps) -> None:
    events: list[Any] = []
    ops.add_sink(events.append)
    seen: list[Any] = []

    def balance(account: str, api_key: str, pin: str) -> str:
        """Tell the balance."""
        seen.append((account, api_key, pin))
        return f"of {account}"

    def of(key: str, pin: str) -> GuardedTool:
        params = {"api_key": key, "pin": pin}
        tool = FunctionTool.from_defaults(balance, partial_params=params)
        return guard_tool(tool, ops=ops, name="balance", secret=["pin"])

    for key, pin in [
        ("alice-key", "pin of one"),
        ("bob-key", "pin of one"),
        ("alice-key", "pin of two"),
    ]:
        for _ in range(2):
            assert of(key, pin)(account="a").content == "of a"
    assert len(seen) == 3
    text = repr(events) + repr(ops.stats()) + repr(of("alice-key", "pin of one").policy)
    assert not any(word in text for word in ("alice-key", "bob-key", "pin of one", "pin of two"))
    tagged = Policy(cache=Cache(ttl=60, tags=["{api_key}"]))
    with pytest.raises(ConfigurationError, match="secret parameter 'api_key'"):
        guard_tool(FunctionTool.from_defaults(balance), tagged, ops=ops, name="balance")


def test_an_output_that_shows_a_secret_is_not_kept(ops: ToolOps) -> None:
    class Login(AsyncBaseTool):
        runs = 0

        @property
        def metadata(self) -> ToolMetadata:
            return ToolMetadata("Log in.", "login")

        def call(self, user: str, token: str = "", pin: str = "") -> ToolOutput:
            Login.runs += 1
            given = {"user": user, "more": [{"token": token}] if token else [], "pin": pin}
            shown = given if pin else {"user": user, "more": given["more"]}
            return ToolOutput("login", user, raw_input=shown, raw_output=1)

        async def acall(self, user: str, token: str = "", pin: str = "") -> ToolOutput:
            return self.call(user, token, pin)

    tool = guard_tool(Login(), ops=ops, secret=["pin"])
    for given, runs in [({}, 1), ({"token": "t"}, 2), ({"pin": "p"}, 2)]:
        Login.runs = 0
        for _ in range(2):
            assert tool(user="a", **given).content == "a"
        assert Login.runs == runs


def test_what_has_no_canonical_form_goes_past_the_cache(ops: ToolOps) -> None:
    notices = Notices(ops)
    runs: list[Any] = []

    def look(what: Any, client: Any = None) -> int:
        """Look."""
        runs.append(what)
        return 1

    tool = guard_tool(FunctionTool.from_defaults(look), ops=ops)
    ignoring = guard_tool(FunctionTool.from_defaults(look), ops=ops, name="x", ignore=["client"])
    for _ in range(2):
        tool(what=1, client=object())
    assert len(runs) == 2
    assert notices.reasons == ["not_canonical"]
    for _ in range(2):
        ignoring(what=1, client=object())
    assert len(runs) == 3


def test_calls_that_do_not_fit_are_the_tools_own_affair(ops: ToolOps) -> None:
    search = Search()
    tool = search.guarded(ops, Policy(retry=ANEW, breaker=CircuitBreaker(min_calls=1, window=1)))
    for _ in range(3):
        with pytest.raises(TypeError, match="unexpected keyword argument 'wrong'"):
            tool(wrong=1)
        with pytest.raises(TypeError, match="unexpected keyword argument 'wrong'"):
            asyncio.run(tool.acall(wrong=1))
    assert tool("x").content == "found x"
    with pytest.raises(TypeError, match="do not fit y"):
        search.guarded(ops, name="y").key(wrong=1)


# What is kept


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, ImageBlock(url="http://x/y.png")])
def test_every_value_is_kept_as_what_it_was(value: Any, ops: ToolOps) -> None:
    search = Search()
    search.answer = lambda _: value
    tool = search.guarded(ops)
    for _ in range(2):
        found = tool("x").raw_output
        assert found == value
        assert type(found) is type(value)
    assert len(search.runs) == 1


def test_what_says_that_it_failed_is_not_kept(ops: ToolOps) -> None:
    outputs: list[Any] = []

    class Failing(AsyncBaseTool):
        @property
        def metadata(self) -> ToolMetadata:
            return ToolMetadata("Fail.", "fail")

        def call(self, input: str) -> ToolOutput:  # noqa: A002 - as agents call it
            outputs.append(input)
            return ToolOutput("fail", "no", raw_input={}, raw_output=None, is_error=True)

        async def acall(self, input: str) -> ToolOutput:  # noqa: A002 - as agents call it
            return self.call(input)

    search = Search()
    search.answer = lambda _: ToolOutput("s", "no", raw_input={}, is_error=True)
    failing, function = guard_tool(Failing(), ops=ops), search.guarded(ops)
    for _ in range(2):
        assert failing("x").is_error
        assert asyncio.run(failing.acall(input="x")).is_error
        assert function("x").raw_output.is_error
    assert len(outputs) == 4
    assert len(search.runs) == 2


@pytest.mark.parametrize("aio", [False, True])
def test_errors_are_raised_as_they_were_and_never_kept(aio: bool, ops: ToolOps) -> None:
    search = Search()
    problem = LookupError("nothing there")

    def fail(_: str) -> Any:
        raise problem

    search.answer = fail
    tool = search.guarded(ops, retry=None)
    for _ in range(2):
        with pytest.raises(LookupError, match="nothing there") as caught:
            asyncio.run(tool.acall("x")) if aio else tool("x")
        assert caught.value is problem
        output = (
            asyncio.run(acall_tool(tool, {"query": "x"}))
            if aio
            else call_tool(tool, {"query": "x"})
        )
        assert output.is_error
        assert output.exception is problem
    assert len(search.runs) == 4  # a failing function tool with one argument runs once
    search.answer = str.upper
    assert tool("x").content == "X"


def test_results_are_forgotten_when_told_so(ops: ToolOps) -> None:
    search = Search()
    tool = search.guarded(ops, cache=Cache(ttl=60, tags=["q:{query}"]))
    tool("x")
    tool.invalidate(query="x", limit=3)
    tool("x")
    asyncio.run(tool.ainvalidate("x"))
    tool("x")
    ops.invalidate(tags=["q:x"])
    tool("x")
    tool("x")
    assert len(search.runs) == 4


def test_stale_results_are_served_and_fetched_anew_behind_the_caller() -> None:
    clock = FakeClock()
    search = Search()
    with ToolOps(clock=clock) as ops:
        tool = search.guarded(ops, cache=Cache(ttl=10, stale_ttl=100, jitter=0))
        tool("x")
        clock.advance(20)
        spans: list[Any] = []

        def answer(_: str) -> str:
            spans.append(active_span_id.get())
            return "new"

        search.answer = answer
        assert tool("x").content == "found x"
        wait_for(lambda: len(search.runs) == 2, "the refresh", LONG)
        wait_for(lambda: tool("x").content == "new", "the new result", LONG)
        assert len(search.runs) == 2
        assert spans == [None]  # that of the caller has ended


# What a policy adds


@pytest.mark.parametrize("aio", [False, True])
def test_failures_are_tried_again_and_open_the_breaker(aio: bool, ops: ToolOps) -> None:
    search = Search()
    answers = iter([OSError("1"), OSError("2"), "at last"])

    def answer(_: str) -> Any:
        found = next(answers, OSError("down"))
        if isinstance(found, Exception):
            raise found
        return found

    search.answer = answer
    policy = Policy(retry=ANEW, breaker=CircuitBreaker(window=6, min_calls=6, failure_rate=0.8))
    tool = search.guarded(ops, policy)
    ask = (lambda: asyncio.run(tool.acall(query="x"))) if aio else (lambda: tool(query="x"))
    assert ask().content == "at last"
    assert len(search.runs) == 3
    with pytest.raises(OSError, match="down"):
        ask()
    with pytest.raises(CircuitOpen):
        ask()
    assert len(search.runs) == 6
    output = asyncio.run(acall_tool(tool, {"query": "x"}))
    assert output.is_error
    assert isinstance(output.exception, CircuitOpen)


def test_a_fallback_is_the_result_in_the_tools_own_form(ops: ToolOps) -> None:
    async def instead(error: Exception, arguments: dict[str, Any]) -> str:
        return f"{type(error).__name__} of {arguments['query']}"

    search = Search()
    search.answer = lambda _: 1 / 0
    output = search.guarded(ops, Policy(fallback=["none"]))("x")
    assert output.raw_output == ["none"]
    assert output.raw_input == {"args": ("x",), "kwargs": {}}
    tool = search.guarded(ops, Policy(fallback=instead))
    assert asyncio.run(tool.acall("x")).content == "ZeroDivisionError of x"
    with pytest.raises(ConfigurationError, match="synchronous call cannot await"):
        tool("x")

    class Down(CustomQueryEngine):
        def custom_query(self, query_str: str) -> str:
            raise OSError(query_str)

    down = QueryEngineTool.from_defaults(Down(), name="down", description="D.")
    guarded = guard_tool(down, Policy(fallback=lambda error: f"no {error}"), ops=ops)
    for output in (guarded("x"), asyncio.run(guarded.acall(input="x"))):
        assert type(output) is ToolOutput
        assert (output.content, output.tool_name, output.raw_output) == ("no x", "down", "no x")


def test_answers_are_shared_by_meaning(ops: ToolOps, tmp_path: Path) -> None:
    class Echo(CustomQueryEngine):
        def custom_query(self, query_str: str) -> str:
            asked.append(query_str)
            return f"{query_str}!"

    asked: list[str] = []
    policy = Policy(cache=Cache(ttl=60), semantic=Semantic(on="input", threshold=0.7))
    docs = QueryEngineTool.from_defaults(Echo(), name="docs", description="D.")
    with ToolOps(semantic=SemanticCache(path=tmp_path)) as runtime:
        tool = guard_tool(docs, policy, ops=runtime)
        first = tool(input="How do I reset my password?")
        again = asyncio.run(tool.acall("How can I reset my password?"))
        assert again.content == first.content == "How do I reset my password?!"
        assert asyncio.run(tool.acall("Where is Oslo?")).content == "Where is Oslo?!"
    assert len(asked) == 2
    with pytest.raises(ConfigurationError, match="semantic cache"):
        guard_tool(Search().tool, ops=ops, cache=Cache(), semantic=Semantic(on="query"))


def test_what_cannot_be_called_in_this_way_is_not_tried_again(ops: ToolOps) -> None:
    class OnlyAwaited(AsyncBaseTool):
        @property
        def metadata(self) -> ToolMetadata:
            return ToolMetadata("Await.", "awaited")

        def call(self, input: str) -> ToolOutput:  # noqa: A002 - as agents call it
            tried.append(input)
            raise NotImplementedError("await it")

        async def acall(self, input: str) -> ToolOutput:  # noqa: A002 - as agents call it
            return ToolOutput("awaited", input, raw_input={}, raw_output=input)

    tried: list[str] = []
    policy = Policy(retry=ANEW, breaker=CircuitBreaker(window=1, min_calls=1), fallback="never")
    tool = guard_tool(OnlyAwaited(), policy, ops=ops)
    for _ in range(2):
        with pytest.raises(NotImplementedError, match="await it"):
            tool("x")
    assert tried == ["x", "x"]
    assert asyncio.run(tool.acall("x")).content == "x"


def test_whole_outputs_and_bare_results_of_one_name_are_apart(ops: ToolOps) -> None:
    class Echo(CustomQueryEngine):
        def custom_query(self, query_str: str) -> str:
            return query_str

    def docs(input: str) -> str:  # noqa: A002 - as agents call it
        """Look it up."""
        return f"bare {input}"

    bare = guard_tool(FunctionTool.from_defaults(docs), ops=ops, name="docs")
    whole = guard_tool(QueryEngineTool.from_defaults(Echo()), ops=ops, name="docs")
    for _ in range(2):
        assert bare("x").raw_output == "bare x"
        assert whole("x").content == "x"
    assert bare.key("x") != whole.key("x")


def test_each_call_is_counted_once_under_the_tools_name(ops: ToolOps) -> None:
    events: list[CallEvent] = []
    ops.add_sink(events.append)
    tool = Search().guarded(ops)
    asyncio.run(tool.acall("x"))
    tool.call("x")
    tool("x")
    assert [(event.name, event.outcome) for event in events] == [
        ("search", "miss"),
        ("search", "hit"),
        ("search", "hit"),
    ]


# Tools that take the workflow's Context


def contextual(runs: list[Any]) -> FunctionTool:
    async def who(ctx: Context, question: str) -> str:
        """Ask."""
        runs.append(question)
        return f"{ctx} {question}"

    # LlamaIndex does not see a Context behind the text of an annotation.
    who.__annotations__["ctx"] = Context
    return FunctionTool.from_defaults(async_fn=who)


async def test_what_takes_a_context_is_neither_kept_nor_shared(ops: ToolOps) -> None:
    runs: list[Any] = []
    original = contextual(runs)
    tool: Any = guard_tool(original, ops=ops)
    assert tool.requires_context
    assert tool.ctx_param_name == "ctx"
    for user in ("alice", "alice", "bob"):
        output = await tool.acall(ctx=user, question="?")
        assert output.content == f"{user} ?"
        assert output.raw_input["kwargs"] == {"question": "?"}
    assert len(runs) == 3
    assert tool.policy == Policy(retry=Retry(), coalesce=False)
    with pytest.raises(ConfigurationError, match="takes the workflow's Context"):
        tool.key(question="?")
    with pytest.raises(ValueError, match="Context is required"):
        await tool.acall(question="?")


def test_whoever_asks_for_a_cache_is_told_that_a_context_forbids_it(ops: ToolOps, caplog) -> None:
    tools = [Search().tool, contextual([])]
    guard_tools(tools, ops=ops)
    guard_tools(tools, ops=ops, retry=None)
    guard_tools(tools, Policy(retry=ANEW), ops=ops)
    guard_tools(tools, Policy(cache=Cache()), ops=ops, cache=None)
    guard_tools(tools, Policy(cache=Cache()), ops=ops, context="ignore")
    guard_tool(tools[0], Policy(cache=Cache()), ops=ops)
    assert caplog.records == []
    guard_tool(tools[1], Policy(cache=Cache()), ops=ops)
    guard_tool(tools[1], ops=ops, cache=Cache(ttl=60))
    guard_tools(tools, ops=ops, cache=Cache(ttl=60))
    assert len(caplog.records) == 1  # and then once a minute at most
    for record in caplog.records:
        assert (record.name, record.levelname) == ("llama_index.callbacks.toolops", "WARNING")
        assert "the tool 'who'" in record.message
        assert 'context="ignore"' in record.message


async def test_whoever_says_so_keeps_what_does_not_hang_on_the_context(ops: ToolOps) -> None:
    runs: list[Any] = []
    tool = guard_tool(contextual(runs), ops=ops, context="ignore")
    for user in ("alice", "bob"):
        assert (await tool.acall(ctx=user, question="?")).content == "alice ?"
    assert len(runs) == 1
    assert tool.key(question="?") == tool.key(ctx=object(), question="?")


# Tools of one name


class Spec(BaseToolSpec):
    spec_functions: ClassVar[list[str]] = ["whoami"]

    def __init__(self, user: str) -> None:
        self.user = user

    def whoami(self, question: str) -> str:
        """Tell."""
        return self.user


def test_tools_of_one_name_with_other_functions_never_share(
    ops: ToolOps, caplog: pytest.LogCaptureFixture
) -> None:
    def engine_tool(user: str) -> QueryEngineTool:
        class Fixed(CustomQueryEngine):
            def custom_query(self, query_str: str) -> str:
                return user

        return QueryEngineTool.from_defaults(Fixed())  # all of them: query_engine_tool

    def closure_tool(user: str) -> FunctionTool:
        def closed(question: str) -> str:
            """Tell."""
            return user

        return FunctionTool.from_defaults(closed)

    makers: list[Callable[[str], Any]] = [
        lambda user: Spec(user).to_tool_list()[0],
        engine_tool,
        closure_tool,
    ]
    for make in makers:
        caplog.clear()
        alice, bob = make("alice"), make("bob")
        for _ in range(2):
            assert guard_tool(alice, ops=ops)("?").content == "alice"
            assert guard_tool(bob, ops=ops)("?").content == "bob"
        name = alice.metadata.name
        assert ops.stats()[name].calls == 2
        (warned,) = caplog.messages
        assert f"Another tool is called {name!r}" in warned
        assert len([each for each in ops.stats() if each.name.startswith(f"{name}#2-")]) == 1


def test_the_same_tool_made_again_shares(ops: ToolOps) -> None:
    runs: list[Any] = []
    search = Search()
    spec = Spec("alice")

    class Echo(CustomQueryEngine):
        def custom_query(self, query_str: str) -> str:
            runs.append(query_str)
            return query_str

    engine = Echo()
    index = SummaryIndex.from_documents([Document(text="Rain.")])
    retriever = index.as_retriever()
    for _ in range(2):
        guard_tool(FunctionTool.from_defaults(search.function), ops=ops)("x")
        guard_tool(spec.to_tool_list()[0], ops=ops)("x")
        guard_tool(QueryEngineTool.from_defaults(engine), ops=ops)("x")
        guard_tool(RetrieverTool.from_defaults(retriever), ops=ops)("x")
    assert len(search.runs) == len(runs) == 1
    for name in ("search", "whoami", "query_engine_tool", "retriever_tool"):
        assert (ops.stats()[name].misses, ops.stats()[name].hits) == (1, 1)


def test_whoever_gives_two_tools_a_name_says_that_they_share(ops: ToolOps) -> None:
    one, two = (guard_tool(Search().tool, ops=ops, name="shop.search") for _ in range(2))
    search = Search()
    assert one("x").content == "found x"
    assert two("x").content == "found x"
    assert one.metadata.name == "search"
    assert ops.stats()["shop.search"].hits == 1
    assert search.runs == []


# LlamaIndex's tools that hold tools


def test_what_holds_a_guarded_tool_gets_its_own_copy(ops: ToolOps) -> None:
    runs: list[Any] = []

    def load(page: str) -> list[str]:
        """Load a page."""
        runs.append(page)
        return [f"All about {page}."]

    guarded: Any = guard_tool(FunctionTool.from_defaults(load), ops=ops)
    for _ in range(2):
        loader, reader = LoadAndSearchToolSpec.from_defaults(
            guarded, index_cls=SummaryIndex
        ).to_tool_list()
        assert "Content loaded" in loader(page="Oslo").content  # it changes the list it is given
        assert reader.metadata.name == "read_load"
    assert runs == ["Oslo"]
    assert guarded("Oslo").raw_output == ["All about Oslo."]
    assert OnDemandLoaderTool.from_tool(guarded).metadata.fn_schema.model_fields.keys() == {
        "page",
        "query_str",
    }


async def test_functions_under_a_policy_make_tools_as_they_are(ops: ToolOps) -> None:
    runs: list[Any] = []

    @ops.tool(cache=Cache(ttl=60))
    async def look(city: str, days: int = 2) -> str:
        """Look."""
        runs.append(city)
        return city

    @ops.readonly
    def see(city: str) -> str:
        """See."""
        runs.append(city)
        return city

    for function in (look, see):
        tool = FunctionTool.from_defaults(function)
        assert set(tool.metadata.get_parameters_dict()["properties"]) <= {"city", "days"}
        assert tool.metadata.name == function.__name__
        for _ in range(2):
            assert (await tool.acall(city="Oslo")).content == "Oslo"
        with pytest.raises(ConfigurationError, match="behind a policy already"):
            guard_tool(tool, ops=ops)
    assert len(runs) == 2


# What is refused


def refused(problem: str, wanted: Any, *args: Any, **options: Any) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        guard_tool(wanted, *args, **options)


def test_mistakes_are_told_in_words(ops: ToolOps) -> None:
    search = Search()
    tool = search.tool
    engine = SummaryIndex([]).as_retriever()
    refused(r"tool: search is behind a policy already", guard_tool(tool, ops=ops), ops=ops)
    refused(r"use wrap_tools\(spec.to_tool_list\(\)\)", Spec("a"), ops=ops)
    refused(r"RetrieverTool.from_defaults", engine, ops=ops)
    refused(r"use wrap_tools\(\), which takes several", [tool], ops=ops)
    refused(r"make one of the class", FunctionTool, ops=ops)
    refused(r"langchain_toolops.wrap_tool\(\)", langchain_tool(search.function), ops=ops)
    refused(r"must be a LlamaIndex tool or a function, not 3$", 3, ops=ops)
    refused(r"did you mean Policy\(cache=", tool, Cache(), ops=ops)
    refused(r"ops: must be a ToolOps", tool, ops=Policy())
    refused(r"name: must be a non-empty string", tool, ops=ops, name="")
    refused(r'context: must be "refuse" or "ignore"', tool, ops=ops, context="keep")
    refused(r"ignore: names 'q', which search does not take", tool, ops=ops, ignore=["q"])
    refused(r"secret: must be a list", tool, ops=ops, secret="query")
    refused(r"version: is given twice", tool, ops=ops, cache=Cache(version="2"), version="3")
    refused(r"cahce", tool, ops=ops, cahce=Cache())
    with pytest.raises(ConfigurationError, match="was not made by wrap_tool"):
        type(guard_tool(tool, ops=ops))(fn=len, metadata=ToolMetadata("x")).key("x")


def test_several_tools_are_guarded_at_once(ops: ToolOps) -> None:
    search, other = Search(), FunctionTool.from_defaults(Spec("a").whoami)
    first, second = guard_tools(
        [search.tool, other], Policy(cache=Cache(ttl=60)), ops=ops, ignore=["limit"]
    )
    assert first("x", limit=1).content == first("x", limit=2).content == "found x"
    assert second("?").content == "a"
    assert len(search.runs) == 1
    for problem, tools, options in [
        ("must be several tools.*wrap_tool\\(\\) takes one", other, {}),
        ("must be several tools.*to_tool_list", Spec("a"), {}),
        ("has two of the name 'whoami'", [other, other], {}),
        ("which none of the tools takes", [other], {"ignore": ["limit"]}),
        ("must be a list", [other], {"secret": "question"}),
        ("is behind a policy already", [first], {}),
    ]:
        with pytest.raises(ConfigurationError, match=problem):
            guard_tools(tools, ops=ops, **options)


def test_without_a_runtime_it_is_the_default_one(ops: ToolOps) -> None:
    before = get_default()
    set_default(ops)
    try:
        tool = guard_tool(Search().tool)
        tool("x")
    finally:
        set_default(before)
    assert ops.stats()["search"].misses == 1


def test_limits_hold_for_a_tool(ops: ToolOps) -> None:
    tool = Search().guarded(ops, Policy(rate_limit=RateLimit("1/h", wait=0)))
    assert tool("x").content == "found x"
    output = call_tool(tool, {"query": "x"})
    assert output.is_error
    assert "search" in output.content
    assert start(lambda: call_tool(tool, {"query": "x"})).result(LONG).is_error


def test_settings_are_those_of_the_original(ops: ToolOps) -> None:
    manager = CallbackManager()
    engine = SummaryIndex([], callback_manager=manager).as_retriever()
    tool: Any = guard_tool(RetrieverTool.from_defaults(engine, name="r"), ops=ops)
    assert tool.retriever is engine
