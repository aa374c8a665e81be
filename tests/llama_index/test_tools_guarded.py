"""A guarded tool is the tool it was, but for what its policy adds."""

from __future__ import annotations

import asyncio
import copy
import functools
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from callers import LONG, start
from llama_index.core import Document
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.types import TextBlock
from llama_index.core.base.response.schema import Response, StreamingResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import (
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.tools import (
    AsyncBaseTool,
    BaseTool,
    FunctionTool,
    QueryEngineTool,
    RetrieverTool,
    ToolMetadata,
    ToolOutput,
)
from llama_index.core.tools.calling import acall_tool, call_tool
from llama_index.core.tools.types import adapt_to_async_tool
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import BaseSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from pydantic import BaseModel, Field
from servers import Server

from llama_index.callbacks.toolops.events import CacheHitEvent
from llama_index.callbacks.toolops.tools import GuardedTool, guard_tool
from toolops_plugins import Cache, Memory, Redis, ToolOps


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps() as ops:
        yield ops


# Tools of every kind, each of which notes its runs


@dataclass
class Kind:
    """A kind of tool.

    Args:
        name: Its name.
        make: Makes a tool that appends to the list it is given.
        args: Arguments that it takes, as a model gives them.
    """

    name: str
    make: Callable[[list[Any]], Any]
    args: dict[str, Any] = field(default_factory=lambda: {"city": "Oslo", "days": 2})

    def __repr__(self) -> str:
        return self.name


def sync_function(runs: list[Any]) -> FunctionTool:
    def weather(city: str, days: int = 2) -> dict[str, Any]:
        """Tell the weather."""
        runs.append(city)
        return {"city": city, "days": [*range(days)]}

    return FunctionTool.from_defaults(weather)


def async_function(runs: list[Any]) -> FunctionTool:
    async def weather(city: str, days: int = 2) -> tuple[str, int]:
        """Tell the weather."""
        runs.append(city)
        return city, days

    return FunctionTool.from_defaults(async_fn=weather, return_direct=True)


def both_functions(runs: list[Any]) -> FunctionTool:
    def weather(city: str, days: int = 2) -> list[TextBlock]:
        """Tell the weather."""
        runs.append(city)
        return [TextBlock(text=f"{city} {days}")]

    async def aweather(city: str, days: int = 2) -> list[TextBlock]:
        return weather(city, days)

    return FunctionTool.from_defaults(weather, async_fn=aweather)


def with_callback(runs: list[Any]) -> FunctionTool:
    def weather(city: str, days: int = 2) -> Document:
        """Tell the weather."""
        runs.append(city)
        return Document(text=f"{city} {days}", id_="d", metadata={"days": days})

    return FunctionTool.from_defaults(weather, callback=lambda found: f"<{found.text}>")


def with_async_callback(runs: list[Any]) -> FunctionTool:
    async def weather(city: str, unit: str, days: int = 2) -> str:
        """Tell the weather."""
        runs.append(city)
        return f"{city} {days} {unit}"

    async def said(found: str) -> ToolOutput:
        return ToolOutput(tool_name="w", content=found.upper(), raw_output=found, raw_input={})

    return FunctionTool.from_defaults(
        async_fn=weather, async_callback=said, partial_params={"unit": "C"}
    )


def with_field_default(runs: list[Any]) -> FunctionTool:
    def weather(city: str = Field(description="Where."), days: int = Field(default=2)) -> str:
        """Tell the weather."""
        runs.append(city)
        return f"{city} {days}"

    return FunctionTool.from_defaults(weather)


class Shop:
    """Somebody with a method."""

    def __init__(self, runs: list[Any]) -> None:
        self.runs = runs

    def weather(self, city: str, days: int = 2) -> None:
        """Tell nothing."""
        self.runs.append(city)


def of_a_method(runs: list[Any]) -> FunctionTool:
    return FunctionTool.from_defaults(Shop(runs).weather)


def of_a_partial(runs: list[Any]) -> FunctionTool:
    def weather(unit: str, city: str, days: int = 2) -> str:
        runs.append(city)
        return f"{city} {days} {unit}"

    return FunctionTool.from_defaults(
        functools.partial(weather, "C"), name="weather", description="Tell the weather."
    )


def of_anything(runs: list[Any]) -> FunctionTool:
    class Weather(BaseModel):
        city: str
        days: int = 2

    async def weather(**given: Any) -> str:
        runs.append(given["city"])
        return str(sorted(given.items()))

    return FunctionTool.from_defaults(
        async_fn=weather, name="weather", description="As of an MCP server.", fn_schema=Weather
    )


class Loud(FunctionTool):
    """A function tool that does more than run its function."""

    def call(self, *args: Any, **kwargs: Any) -> ToolOutput:
        found = super().call(*args, **kwargs)
        found.content = found.content.upper()
        return found

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:
        return await asyncio.to_thread(self.call, *args, **kwargs)


def of_a_subclass(runs: list[Any]) -> FunctionTool:
    def weather(city: str, days: int = 2) -> str:
        """Tell the weather."""
        runs.append(city)
        return f"{city} {days}"

    return Loud.from_defaults(weather)


NODE = TextNode(
    text="Rain.",
    id_="n",
    metadata={"source": 1},
    relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="s")},
)


class Engine(BaseQueryEngine):
    def __init__(self, runs: list[Any]) -> None:
        super().__init__(callback_manager=CallbackManager())
        self.runs = runs

    def _query(self, query_bundle: QueryBundle) -> Response:
        self.runs.append(query_bundle.query_str)
        found = [NodeWithScore(node=NODE, score=0.5)]
        return Response(f"{query_bundle.query_str}!", found, {"a": (1, 2)})

    async def _aquery(self, query_bundle: QueryBundle) -> Response:
        return self._query(query_bundle)

    def _get_prompt_modules(self) -> dict[str, Any]:
        return {}


def of_an_engine(runs: list[Any]) -> QueryEngineTool:
    return QueryEngineTool.from_defaults(Engine(runs), name="docs", description="Look it up.")


class Retriever(BaseRetriever):
    def __init__(self, runs: list[Any]) -> None:
        super().__init__(callback_manager=CallbackManager())
        self.runs = runs

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self.runs.append(query_bundle.query_str)
        return [NodeWithScore(node=NODE, score=0.5)]


def of_a_retriever(runs: list[Any]) -> RetrieverTool:
    return RetrieverTool.from_defaults(Retriever(runs), name="docs", description="Look it up.")


class Own(AsyncBaseTool):
    """A tool as users write them, with methods that lead into each other."""

    def __init__(self, runs: list[Any]) -> None:
        self.runs = runs
        self.last: Any = None

    @property
    def metadata(self) -> ToolMetadata:
        return ToolMetadata("Mine.", "mine")

    def call(self, input: str, times: int = 1) -> ToolOutput:  # noqa: A002 - as agents call it
        self.runs.append(input)
        self.last = input
        return ToolOutput(
            tool_name="mine",
            content=input * times,
            raw_input={"input": input, "times": times},
            raw_output={"all": [input] * times},
        )

    async def acall(self, input: str, times: int = 1) -> ToolOutput:  # noqa: A002 - as agents call it
        return await asyncio.to_thread(self, input, times)


class OnlySync(BaseTool):
    """A tool that can be called and no more."""

    def __init__(self, runs: list[Any]) -> None:
        self.runs = runs

    @property
    def metadata(self) -> ToolMetadata:
        return ToolMetadata("Mine.", "mine")

    def __call__(self, input: Any) -> ToolOutput:  # noqa: A002 - as agents call it
        self.runs.append(input)
        return ToolOutput(tool_name="mine", content=input, raw_input={}, raw_output=[input])


FUNCTIONS = [
    sync_function,
    async_function,
    both_functions,
    with_callback,
    with_async_callback,
    with_field_default,
    of_a_method,
    of_a_partial,
    of_anything,
    of_a_subclass,
]
ASKED = {"input": "rain?"}
KINDS = [
    *(Kind(make.__name__, make) for make in FUNCTIONS),
    Kind("query_engine", of_an_engine, ASKED),
    Kind("retriever", of_a_retriever, ASKED),
    Kind("own", Own, ASKED),
    Kind("only_sync", OnlySync, ASKED),
]
ASYNC = [kind for kind in KINDS if kind.name != "only_sync"]


def plain(output: ToolOutput) -> Any:
    """Return all of an output, so that two can be compared."""
    assert type(output) is ToolOutput
    assert all(type(block) is TextBlock for block in output.blocks)
    raw = output.raw_output
    return (
        output.model_dump(exclude={"raw_output"}),
        type(raw),
        [type(each) for each in raw] if isinstance(raw, list) else None,
        raw.source_nodes if isinstance(raw, Response) else None,
        str(raw) if isinstance(raw, Exception) else raw,
    )


def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call something in a thread without an event loop, as a program without one does."""
    return start(lambda: function(*args, **kwargs)).result(LONG)


def ways_of(tool: Any, kind: Kind) -> list[Any]:
    """Return what becomes of a tool's calls, in every way in which it can be called."""
    args = kind.args
    ways: list[Callable[[], Any]] = [
        lambda: in_thread(tool, **args),
        lambda: in_thread(call_tool, tool, args),
        lambda: asyncio.run(acall_tool(adapt_to_async_tool(tool), args)),
        lambda: in_thread(call_tool, tool, {"wrong": 1, "and": 2}),
    ]
    if isinstance(tool, AsyncBaseTool):
        ways += [
            lambda: in_thread(tool.call, **args),
            lambda: asyncio.run(tool.acall(**args)),
            lambda: in_thread(tool.call, *args.values()),
            lambda: asyncio.run(tool.acall(*args.values())),
        ]
    return [outcome(way) for way in ways]


def outcome(way: Callable[[], Any]) -> Any:
    try:
        return plain(way())
    except Exception as error:
        return type(error), str(error)


ASKED_OTHERWISE = ("retriever", "of_a_subclass")
"""Kinds whose whole outputs are kept, and tell how the call that made them was spelt."""


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_every_call_gives_what_it_gave_before(kind: Kind, ops: ToolOps) -> None:
    def known(ways: list[Any]) -> list[Any]:
        if kind.name in ASKED_OTHERWISE:
            return [(each[0]["blocks"], each[1:]) for each in ways if type(each[0]) is dict]
        return ways

    expected = known(ways_of(kind.make([]), kind))
    runs: list[Any] = []
    guarded = guard_tool(kind.make(runs), ops=ops, retry=None)
    assert known(ways_of(guarded, kind)) == expected
    before = len(runs)
    assert known(ways_of(guarded, kind)) == expected  # and now from the cache
    assert len(runs) == before or kind.name == "of_anything"  # whose function takes what is wrong


@pytest.mark.parametrize("kind", ASYNC, ids=repr)
def test_equal_calls_run_once_in_whatever_way(kind: Kind, ops: ToolOps) -> None:
    runs: list[Any] = []
    guarded = guard_tool(kind.make(runs), ops=ops, retry=None)
    args = kind.args
    ways: list[Callable[[], Any]] = [
        lambda: asyncio.run(guarded.acall(**args)),
        lambda: asyncio.run(guarded.acall(**dict(reversed(args.items())))),
        lambda: in_thread(guarded.call, **args),
        lambda: in_thread(guarded, **args),
    ]
    if kind.name not in ("of_anything", "with_async_callback", "with_field_default"):
        first = next(iter(args.values()))
        ways += [
            lambda: asyncio.run(guarded.acall(*args.values())),
            lambda: in_thread(guarded.call, first),  # a default is as good as given
        ]
    if kind.name != "of_anything":
        ways.append(lambda: in_thread(guarded, **{next(iter(args)): next(iter(args.values()))}))
    keys = {guarded.key(**args), guarded.key(**dict(reversed(args.items())))}
    for way in ways:
        assert way().is_error is False
    assert len(runs) == len(keys) == 1
    counted = ops.stats()[guarded.metadata.get_name()]
    assert (counted.misses, counted.hits) == (1, len(ways) - 1)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_it_stays_the_tool_it_was(kind: Kind, ops: ToolOps) -> None:
    runs: list[Any] = []
    original = kind.make(runs)
    before = dict(vars(original))
    guarded: Any = guard_tool(original, ops=ops)
    assert isinstance(guarded, type(original))
    assert isinstance(guarded, GuardedTool)
    assert type(guarded).__name__ == type(original).__name__
    assert not isinstance(original, GuardedTool)
    assert vars(original) == before
    assert guarded.metadata == original.metadata
    assert guarded.metadata.to_openai_tool() == original.metadata.to_openai_tool()
    if isinstance(original, FunctionTool):
        for name in ("requires_context", "ctx_param_name", "partial_params"):
            assert getattr(guarded, name) == getattr(original, name)
    for _ in range(2):
        in_thread(original, **kind.args)
    assert len(runs) == 2  # the original keeps nothing


@pytest.mark.parametrize("kind", ASYNC, ids=repr)
def test_who_changes_what_he_got_changes_nobody_elses(kind: Kind, ops: ToolOps) -> None:
    guarded = guard_tool(kind.make([]), ops=ops)
    expected = plain(asyncio.run(guarded.acall(**kind.args)))
    for _ in range(2):
        mine = asyncio.run(guarded.acall(**kind.args))
        assert plain(mine) == expected
        mine.content = "mine"
        mine.raw_input.clear()
        raw = mine.raw_output
        if isinstance(raw, dict | list):
            raw.clear()
        if isinstance(raw, Response):
            raw.source_nodes[0].node.metadata.clear()
            raw.source_nodes.clear()


@pytest.mark.parametrize("kind", ASYNC, ids=repr)
def test_results_are_themselves_again_through_redis(
    kind: Kind, valkey: Server, namespace: str
) -> None:
    runs: list[Any] = []

    async def ask() -> Any:
        # Each is another process, as far as the cache can tell.
        async with ToolOps(namespace, tiers=[Redis(valkey.url, ttl=60)]) as ops:
            guarded = guard_tool(kind.make(runs), ops=ops)
            return plain(await guarded.acall(**kind.args))

    expected = plain(asyncio.run(kind.make([]).acall(**kind.args)))
    assert asyncio.run(ask()) == expected
    assert asyncio.run(ask()) == expected
    assert len(runs) == 1


def test_what_runs_behind_a_hit_are_the_callbacks_alone(ops: ToolOps) -> None:
    runs: list[Any] = []
    seen: list[Any] = []

    def add(a: int) -> list[int]:
        """Add."""
        runs.append(a)
        return [a]

    tool = guard_tool(FunctionTool.from_defaults(add, callback=seen.append), ops=ops)
    for _ in range(3):
        assert tool(1).raw_output == [1]
    assert runs == [1]
    assert seen == [[1]] * 3


def test_attributes_of_a_guarded_tool_are_its_own(ops: ToolOps) -> None:
    original = Own([])
    guarded: Any = guard_tool(original, ops=ops)
    guarded("a")
    assert guarded.last == "a"
    assert original.last is None
    guarded.runs = other = []
    guarded("b")
    assert other == ["b"]
    again = copy.copy(guarded)
    assert again("b").content == "b"
    assert copy.deepcopy(guarded)("b").content == "b"
    assert other == ["b"]
    assert ops.stats()["mine"].calls == 4


@pytest.mark.parametrize("make", [sync_function, of_a_subclass, of_an_engine, Own])
def test_it_says_that_it_cannot_be_pickled(make: Callable[..., Any], ops: ToolOps) -> None:
    tool = make([])
    problem = rf"a guarded {type(tool).__name__} cannot be pickled.* guard it there"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=problem):
            pickle.dumps(guard_tool(tool, ops=ops), protocol)


def test_what_hands_a_tools_function_on_hands_on_the_guarded_one(ops: ToolOps) -> None:
    runs: list[Any] = []
    guarded: Any = guard_tool(sync_function(runs), ops=ops)
    guarded(city="Oslo", days=2)
    assert guarded.fn("Oslo", 2) == guarded.real_fn(city="Oslo") == {"city": "Oslo", "days": [0, 1]}
    assert guarded.real_fn.__name__ == "weather"
    assert asyncio.run(guarded.async_fn("Oslo")) == guarded.fn("Oslo")
    assert asyncio.iscoroutinefunction(guard_tool(async_function([]), ops=ops).real_fn)
    assert runs == ["Oslo"]


# What LlamaIndex is told


class Spans(BaseSpanHandler[BaseSpan]):
    """Notes the spans of tools, and those that wait to be ended."""

    def new_span(self, id_: str, bound_args: Any, **kwargs: Any) -> BaseSpan:
        return BaseSpan(id_=id_, parent_id=kwargs.get("parent_span_id"))

    def prepare_to_exit_span(self, id_: str, bound_args: Any, **kwargs: Any) -> Any:
        self.completed_spans.append(self.open_spans[id_])
        return self.open_spans[id_]

    def prepare_to_drop_span(self, id_: str, bound_args: Any, **kwargs: Any) -> Any:
        return self.prepare_to_exit_span(id_, bound_args)

    def names(self) -> list[str]:
        assert not self.open_spans
        return [span.id_.partition("-")[0] for span in self.completed_spans]


class Heard(BaseEventHandler):
    events: list[Any] = Field(default_factory=list)

    def handle(self, event: Any, **kwargs: Any) -> None:
        if isinstance(event, CacheHitEvent):
            self.events.append(event)


@pytest.fixture
def told() -> Iterator[tuple[Spans, Heard]]:
    root = get_dispatcher()
    before = root.span_handlers, root.event_handlers
    spans, heard = Spans(), Heard(events=[])
    root.span_handlers, root.event_handlers = [spans], [heard]
    yield spans, heard
    root.span_handlers, root.event_handlers = before


@pytest.mark.parametrize("kind", ASYNC, ids=repr)
def test_each_call_has_its_spans_once_and_a_hit_its_event(
    kind: Kind, ops: ToolOps, told: tuple[Spans, Heard]
) -> None:
    spans, heard = told
    original, guarded = kind.make([]), guard_tool(kind.make([]), ops=ops)
    listed = []
    for tool in (original, guarded):
        spans.completed_spans = []
        asyncio.run(tool.acall(**kind.args))
        listed.append(spans.names())
    assert listed[0] == listed[1]
    assert heard.events == []
    asyncio.run(guarded.acall(**kind.args))
    (event,) = heard.events
    assert (event.kind, event.name) == ("tool", guarded.metadata.name)
    assert event.span_id.startswith(f"{type(original).__name__}.acall-")
    assert ops.stats()[event.name].hits == 1


def test_neither_misses_nor_failures_nor_fallbacks_are_hits(
    ops: ToolOps, told: tuple[Spans, Heard]
) -> None:
    def fail(a: int) -> None:
        """Fail."""
        raise OSError("down")

    tool = FunctionTool.from_defaults(fail)
    failing = guard_tool(tool, ops=ops, retry=None)
    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            failing(1)
    standing = guard_tool(tool, ops=ops, name="other", retry=None, fallback="instead")
    assert [standing(1).content for _ in range(2)] == ["instead"] * 2
    answering = guard_tool(of_an_engine([]), ops=ops)
    ops.active = False
    assert [answering("x").content for _ in range(2)] == ["x!"] * 2
    assert told[1].events == []


def test_streamed_answers_reach_their_callers_and_nobody_else(ops: ToolOps) -> None:
    class Streaming(Engine):
        def _query(self, query_bundle: QueryBundle) -> Any:
            self.runs.append(query_bundle.query_str)
            return StreamingResponse(iter(["a", "b"]))

    runs: list[Any] = []
    tool = QueryEngineTool.from_defaults(Streaming(runs), name="s", description="S.")
    guarded = guard_tool(tool, ops=ops)
    assert [guarded("x").content for _ in range(2)] == ["ab", "ab"]
    assert len(runs) == 2


def test_two_tiers_and_a_version(ops: ToolOps) -> None:
    runs: list[Any] = []
    with ToolOps(tiers=[Memory()]) as other:
        one = guard_tool(sync_function(runs), ops=other)
        two = guard_tool(sync_function(runs), ops=other, name="weather", version="2")
        three = guard_tool(
            sync_function(runs), ops=other, name="weather", cache=Cache(ttl=9, version="2")
        )
        assert len({tool.key("Oslo") for tool in (one, two, three)}) == 2
        assert two.policy.cache == Cache(ttl=300.0, version="2")
