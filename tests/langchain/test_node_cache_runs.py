"""ToolOpsNodeCache keeps nodes apart, and keeps none that reads the run or was answered in it."""

from __future__ import annotations

import asyncio
import functools
import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import langgraph.config
import pytest
from langchain_core.messages import AIMessage
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.cache.base import BaseCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config, get_store, get_stream_writer
from langgraph.config import get_config as config_of_the_run
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime, get_runtime
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import CachePolicy, Command, RetryPolicy, Send, StreamWriter, interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict
from value_kinds import KINDS

from langchain_toolops import guard_model, wrap_tool
from langchain_toolops.node_cache import ToolOpsNodeCache
from toolops_plugins import Memory, Redis, ToolOps

PATIENT = {"socket_timeout": 10, "connect_timeout": 10}
WAYS = ["invoke", "ainvoke", "stream", "astream"]


def ways_of(kinds: Iterable[str], on_loop: str) -> list[tuple[str, str]]:
    """Return each kind of node with each way to run it; one kind runs on a loop alone."""
    return [(kind, way) for kind in kinds for way in WAYS if kind != on_loop or way[0] == "a"]


WORD = "a word"


class State(TypedDict, total=False):
    question: Any
    answer: Any


@dataclass
class Context:
    user: str


def a_cache(**options):
    return ToolOpsNodeCache(ToolOps("runs", tiers=[Memory()]), **options)


def a_graph(node, cache=None, *, checkpointer=None, inner=None, policy=None, **options):
    graph = StateGraph(State, context_schema=Context)
    graph.add_node("node", node, cache_policy=policy or CachePolicy(), **options)
    graph.add_edge(START, "node")
    return graph.compile(cache=cache, checkpointer=checkpointer, store=InMemoryStore())


async def run(graph, given, way, config=None, **options):
    """Run a graph in one of LangGraph's ways, and return what its state was last."""
    if way == "invoke":
        return await asyncio.to_thread(graph.invoke, given, config, **options)
    if way == "ainvoke":
        return await graph.ainvoke(given, config, **options)
    options["stream_mode"] = "values"
    if way == "stream":
        return (await asyncio.to_thread(lambda: list(graph.stream(given, config, **options))))[-1]
    return [each async for each in graph.astream(given, config, **options)][-1]


async def was_kept(graph, given, **options):
    """Return whether the second of two runs finds the node of the first."""
    await asyncio.to_thread(graph.invoke, given, **options)
    chunks = await asyncio.to_thread(
        lambda: list(graph.stream(given, stream_mode="updates", **options))
    )
    return any("__metadata__" in chunk for chunk in chunks)


# -- nodes of one name


def made_with(text):
    def node(state):
        return {"answer": text}

    return node


def made_async(text):
    async def node(state):
        return {"answer": text}

    return node


def made_with_list(text):
    texts = [text]

    def node(state):
        return {"answer": texts[0]}

    return node


def decorated(text):
    inner = made_with(text)

    @functools.wraps(inner)
    def node(state):
        return inner(state)

    return node


def answer_with(state, text):
    return {"answer": text}


class Answerer:
    def __init__(self, text):
        self.text = text

    def __call__(self, state):
        return {"answer": self.text}

    def method(self, state):
        return {"answer": self.text}

    @classmethod
    def of_class(cls, state):
        return {"answer": cls.__name__}


class Hidden(Answerer):
    __slots__ = ()

    def __init__(self, text):
        self.parts = {"text": text}

    def __call__(self, state):
        return {"answer": self.parts["text"]}


class Other(Answerer):
    """A class of its own, for a class method of the first."""


AMBIGUOUS = {
    "closure": made_with,
    "coroutine function": made_async,
    "closure over a list": made_with_list,
    "decorated": decorated,
    "lambda": lambda text: lambda state: {"answer": text},
    "lambda with a default": lambda text: lambda state, text=text: {"answer": text},
    "partial": lambda text: functools.partial(answer_with, text=text),
    "partial of an object": lambda text: functools.partial(answer_with, text=[text]),
    "callable object": Answerer,
    "callable object with a dict": Hidden,
    "method": lambda text: Answerer(text).method,
    "runnable": lambda text: RunnableLambda(made_with(text)),
    "chain": lambda text: RunnableLambda(lambda state: state) | RunnableLambda(made_with(text)),
    "graph": lambda text: a_graph(made_with(text)),
}


@pytest.mark.parametrize(("kind", "way"), ways_of(AMBIGUOUS, "coroutine function"))
async def test_nodes_of_one_name_are_apart_and_each_finds_its_own(kind, way):
    cache = a_cache()
    graphs = [a_graph(AMBIGUOUS[kind](text), cache) for text in ("one", "two")]
    for _ in range(2):
        found = [await run(graph, {"question": "why"}, way) for graph in graphs]
        assert [state["answer"] for state in found] in (["one", "two"], [["one"], ["two"]])
    chunks = [
        chunk async for chunk in graphs[0].astream({"question": "why"}, stream_mode="updates")
    ]
    assert any("__metadata__" in chunk for chunk in chunks)


def test_functions_of_one_name_with_other_code_or_constants_are_apart(monkeypatch):
    cache = a_cache()

    def ask(node):
        return a_graph(node, cache).invoke({"question": "why"})["answer"]

    def versions():
        def node(state):
            return {"answer": 1}

        yield node

        def node(state):
            return {"answer": 2}

        yield node

    first, second = versions()
    assert first.__qualname__ == second.__qualname__
    assert (ask(first), ask(second), ask(first)) == (1, 2, 1)
    assert ask(says_word) == "a word"
    monkeypatch.setitem(globals(), "WORD", "another")
    assert ask(says_word) == "another"
    assert (ask(Answerer.of_class), ask(Other.of_class)) == ("Answerer", "Other")


def says_word(state):
    return {"answer": WORD}


def with_edges(cache, route):
    graph = StateGraph(State)
    graph.add_node("node", says_word, cache_policy=CachePolicy())
    graph.add_node("left", lambda state: {"answer": "left"})
    graph.add_node("right", lambda state: {"answer": "right"})
    graph.add_edge(START, "node")
    if callable(route):
        graph.add_conditional_edges("node", route)
    else:
        graph.add_edge("node", route)
    return graph.compile(cache=cache)


async def test_edges_and_branches_count():
    cache = a_cache()
    for make in (
        lambda to: to,
        lambda to: lambda state: to,
        lambda to: lambda state: [Send(to, {"question": "x"})],
    ):
        graphs = [with_edges(cache, make(to)) for to in ("left", "right", "left")]
        found = [graph.invoke({"question": "why"})["answer"] for graph in graphs]
        assert found == ["left", "right", "left"]
        assert await was_kept(graphs[0], {"question": "why"})


def test_tasks_of_the_functional_interface_are_apart_and_kept():
    cache, runs = a_cache(), []

    def a_flow(text):
        @task(cache_policy=CachePolicy())
        def work(question):
            runs.append(text)
            return {text: question}

        @entrypoint(cache=cache)
        def flow(question):
            return work(question).result()

        return flow

    one, two = a_flow("one"), a_flow("two")
    assert [each.invoke("x") for each in (one, two, one)] == [
        {"one": "x"},
        {"two": "x"},
        {"one": "x"},
    ]
    assert runs == ["one", "two"]


async def test_a_function_of_a_module_is_shared_by_runtimes(valkey, namespace):
    for expected in (False, True):
        with ToolOps(namespace, [Redis(valkey.url, **PATIENT)]) as ops:
            graph = a_graph(says_word, ToolOpsNodeCache(ops))
            chunks = [c async for c in graph.astream({"question": "why"}, stream_mode="updates")]
            assert any("__metadata__" in chunk for chunk in chunks) is expected
            await ops.aclose()


def test_a_node_that_only_this_process_can_name_is_kept_for_an_hour_and_told(caplog):
    from toolops_plugins.testing import FakeClock

    clock = FakeClock()
    runs = []

    def node(state):
        runs.append(state["question"])
        return {"answer": len(runs)}

    graph = a_graph(node, ToolOpsNodeCache(ToolOps("local", clock=clock)))
    for _ in range(2):
        assert graph.invoke({"question": "why"})["answer"] == 1
    clock.advance(3601)
    assert graph.invoke({"question": "why"})["answer"] == 2
    told = [record for record in caplog.records if record.name == "langchain_toolops"]
    assert len(told) == 1
    assert "it holds a list" in told[0].getMessage()


def test_a_node_that_counts_its_runs_is_kept():
    count = 0

    def node(state):
        nonlocal count
        count += 1
        return {"answer": count}

    graph = a_graph(node, a_cache())
    assert [graph.invoke({"question": "why"})["answer"] for _ in range(2)] == [1, 1]


def test_a_node_that_is_retried_is_kept():
    runs = []

    def node(state):
        runs.append(1)
        if len(runs) == 1:
            raise ConnectionError
        return {"answer": len(runs)}

    graph = a_graph(node, a_cache(), retry_policy=RetryPolicy(initial_interval=0, max_attempts=2))
    assert [graph.invoke({"question": "why"})["answer"] for _ in range(2)] == [2, 2]


# -- nodes that read the run


def takes_config(state, config: RunnableConfig):
    return {"answer": config["configurable"]["user"]}


def takes_bare_config(state, config):
    return {"answer": config["configurable"]["user"]}


def takes_runtime(state, runtime: Runtime[Context]):
    return {"answer": runtime.context.user}


async def takes_runtime_async(state, *, runtime):
    return {"answer": runtime.context.user}


def takes_store(state, *, store: BaseStore):
    return {"answer": store.get(("users",), "current")}


def takes_writer(state, writer: StreamWriter):
    writer("a chunk")
    return {"answer": 1}


def gets_config(state):
    return {"answer": get_config()["configurable"]["user"]}


def gets_config_by_another_name(state):
    return {"answer": config_of_the_run()["configurable"]["user"]}


def gets_config_of_the_module(state):
    return {"answer": langgraph.config.get_config()["configurable"]["user"]}


def gets_config_of_its_own_import(state):
    from langgraph.config import get_config as imported

    return {"answer": imported()["configurable"]["user"]}


def gets_runtime(state):
    return {"answer": get_runtime(Context).context.user}


def gets_store(state):
    return {"answer": get_store() is None}


def gets_writer(state):
    get_stream_writer()("a chunk")
    return {"answer": 1}


def asks_helper(state):
    return {"answer": helper()}


def helper():
    return next(gets_config(each) for each in ({},))["answer"]


def in_a_closure(read=get_config):
    def node(state):
        return {"answer": helper()}

    return node


class Users:
    def current(self):
        return self.found

    @property
    def found(self):
        return get_config()["configurable"]["user"]

    @staticmethod
    def of_the_run():
        return get_config()["configurable"]["user"]


users = Users()
library = types.ModuleType("library")
library.current = gets_config


def asks_object(state):
    return {"answer": users.of_the_run()}


def asks_module(state):
    return library.current(state)


def asks_held():
    held = Users()

    def node(state):
        return {"answer": held.of_the_run()}

    return node


@functools.cache
def cached_reader(user):
    return get_config()["configurable"]["user"]


def asks_cached(state):
    return {"answer": cached_reader(object())}


class Reader:
    def through(self, state):
        return {"answer": self._user()}

    def _user(self):
        return self._deeper()

    def _deeper(self):
        return get_config()["configurable"]["user"]

    def __call__(self, state, config: RunnableConfig):
        return {"answer": config["configurable"]["user"]}

    def method(self, state):
        return {"answer": get_config()["configurable"]["user"]}


READERS = {
    **{
        reader.__name__: reader
        for reader in (
            takes_config,
            takes_bare_config,
            takes_runtime,
            takes_runtime_async,
            takes_store,
            takes_writer,
            gets_config,
            gets_config_by_another_name,
            gets_config_of_the_module,
            gets_config_of_its_own_import,
            gets_runtime,
            gets_store,
            gets_writer,
            asks_helper,
            asks_object,
            asks_module,
            asks_cached,
        )
    },
    "closure": in_a_closure(),
    "callable object": Reader(),
    "method": Reader().method,
    "method of a method": Reader().through,
    "object in a closure": asks_held(),
    "partial": functools.partial(takes_config),
    "runnable": RunnableLambda(takes_config),
    "chain": RunnableLambda(lambda state: state) | RunnableLambda(gets_config),
    "graph": a_graph(takes_runtime),
    "configurable": PromptTemplate.from_template("{question}").configurable_fields(
        template=ConfigurableField(id="user")
    )
    | RunnableLambda(lambda prompt: {"answer": prompt.to_string()}),
}


@pytest.mark.parametrize("kind", READERS)
async def test_a_node_that_reads_the_run_is_not_kept(kind, caplog):
    graph = a_graph(READERS[kind], a_cache())
    for user in ("ada", "bob", "ada"):
        chunks = [
            chunk
            async for chunk in graph.astream(
                {"question": "who"},
                {"configurable": {"user": user}},
                context=Context(user),
                stream_mode="updates",
            )
        ]
        assert not any("__metadata__" in chunk for chunk in chunks)
        answer = chunks[0]["node"]["answer"]
        assert answer == user or not isinstance(answer, str)
    told = [record.getMessage() for record in caplog.records if record.name == "langchain_toolops"]
    assert len(told) == 1
    assert "'node' are not kept: it" in told[0]


async def test_a_branch_that_reads_the_run_is_not_kept():
    def route(state, config: RunnableConfig):
        return config["configurable"]["user"]

    graph = with_edges(a_cache(), route)
    for user in ("left", "right"):
        config = {"configurable": {"user": user}}
        assert graph.invoke({"question": "why"}, config)["answer"] == user


class Settings:
    def get_config(self):
        return {"user": "all"}


async def test_a_method_of_a_reader_s_name_reads_no_run():
    settings = Settings()

    def node(state):
        return {"answer": settings.get_config()["user"]}

    assert await was_kept(a_graph(node, a_cache()), {"question": "why"})


async def test_models_and_tools_that_pass_the_run_on_read_none_of_it():
    ops = ToolOps("passing on")
    model = ChatOpenAI(api_key="none", max_retries=0, base_url="http://127.0.0.1:9/v1")
    guarded = guard_model(model, ops=ops)

    @tool
    def search(query: str) -> str:
        """Search."""
        return f"found {query}"

    wrapped = wrap_tool(search, ops=ops)

    def node(state):
        models = [
            each.with_structured_output(Answer, method="function_calling").invoke
            for each in (model, guarded)
        ]
        return {"answer": wrapped.invoke({"query": "x"}) + str(len(models))}

    class Answer(BaseModel):
        text: str

    assert await was_kept(a_graph(node, a_cache()), {"question": "why"})


async def test_the_user_in_the_state_keeps_users_apart():
    def node(state):
        return {"answer": state["question"]["user"]}

    policies = [CachePolicy(), CachePolicy(key_func=lambda state: state["question"]["user"])]
    for policy in policies:
        graph = a_graph(node, a_cache(), policy=policy)
        for user in ("ada", "bob"):
            assert graph.invoke({"question": {"user": user}})["answer"] == user
        assert await was_kept(graph, {"question": {"user": "ada"}})


# -- answers of humans


def asks_once(state):
    return {"answer": [interrupt("sure?")]}


def asks_twice(state):
    return {"answer": [interrupt("sure?"), interrupt("really?")]}


async def asks_async(state):
    return {"answer": [interrupt("sure?")]}


def in_a_graph(node, **options):
    graph = StateGraph(State)
    graph.add_node("inner", node)
    graph.add_edge(START, "inner")
    return graph.compile(**options)


def calls_a_graph(graph):
    def node(state):
        return graph.invoke({"question": state["question"]})

    return node


def flow_that_asks():
    @task
    def work(question):
        return interrupt(question)

    @entrypoint()
    def flow(state):
        return {"answer": [work("sure?").result()]}

    return flow


ASKING = {
    "once": asks_once,
    "twice": asks_twice,
    "on a loop": asks_async,
    "inner graph": in_a_graph(asks_once),
    "inner graph twice": in_a_graph(asks_twice),
    "inner graph without a checkpointer": in_a_graph(asks_once, checkpointer=False),
    "graph in a graph": in_a_graph(in_a_graph(asks_once)),
    "inner graph called": calls_a_graph(in_a_graph(asks_once)),
    "flow": flow_that_asks(),
}


@pytest.mark.parametrize(("kind", "way"), ways_of(ASKING, "on a loop"))
async def test_an_answer_of_a_human_is_of_its_thread_alone(kind, way):
    graph = a_graph(ASKING[kind], a_cache(), checkpointer=InMemorySaver())
    for number, answer in enumerate(("yes", "no", "yes")):
        config = {"configurable": {"thread_id": str(number)}}
        state = await run(graph, {"question": "pay"}, way, config)
        asked = 0
        while "__interrupt__" in state:
            asked += 1
            state = await run(graph, Command(resume=answer), way, config)
        assert asked
        assert set(state["answer"]) == {answer}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("checkpointer", [None, False])
@pytest.mark.parametrize("inner", ["node", "graph", "graph without a checkpointer"])
async def test_an_answer_is_not_kept_inside_of_an_inner_graph(inner, checkpointer, way):
    asks = asks_twice if inner == "graph" and checkpointer is None else asks_once
    asking = {
        "node": asks,
        "graph": in_a_graph(asks),
        "graph without a checkpointer": in_a_graph(asks, checkpointer=False),
    }[inner]
    cached = a_graph(asking, a_cache(), checkpointer=checkpointer)
    graph = in_a_graph(cached, checkpointer=InMemorySaver())
    for number, answer in enumerate(("yes", "no")):
        config = {"configurable": {"thread_id": str(number)}}
        state = await run(graph, {"question": "pay"}, way, config)
        for _ in range(2):
            if "__interrupt__" in state:
                state = await run(graph, Command(resume=answer), way, config)
        assert set(state["answer"]) == {answer}


async def test_answers_by_the_name_of_their_interrupt_are_not_kept():
    graph = a_graph(in_a_graph(asks_twice), a_cache(), checkpointer=InMemorySaver())
    for thread in ("yes", "no"):
        config = {"configurable": {"thread_id": thread}}
        state = await graph.ainvoke({"question": "pay"}, config)
        while "__interrupt__" in state:
            answers = {each.id: thread for each in state["__interrupt__"]}
            state = await graph.ainvoke(Command(resume=answers), config)
        assert state["answer"] == [thread, thread]


async def test_an_answer_that_a_tool_asks_for_is_not_kept():
    @tool
    def pay() -> str:
        """Pay."""
        return interrupt("sure?")

    graph = StateGraph(MessagesState)
    graph.add_node("tools", ToolNode([pay]), cache_policy=CachePolicy())
    graph.add_edge(START, "tools")
    graph = graph.compile(cache=a_cache(), checkpointer=InMemorySaver())
    asking = AIMessage("", id="m", tool_calls=[{"name": "pay", "args": {}, "id": "c"}])
    for thread in ("yes", "no"):
        config = {"configurable": {"thread_id": thread}}
        assert "__interrupt__" in await graph.ainvoke({"messages": [asking]}, config)
        state = await graph.ainvoke(Command(resume=thread), config)
        assert state["messages"][-1].content == thread


@pytest.mark.parametrize("aio", [False, True])
async def test_nodes_around_an_interrupt_are_kept(aio):
    runs = []

    def note(name):
        def node(state):
            runs.append(name)
            return {"answer": [*(state.get("answer") or ()), name]}

        return node

    graph = StateGraph(State)
    graph.add_node("before", note("before"), cache_policy=CachePolicy())
    graph.add_node("ask", lambda state: {"question": interrupt("sure?")})
    graph.add_node("after", note("after"), cache_policy=CachePolicy())
    graph.add_edge(START, "before")
    graph.add_edge("before", "ask")
    graph.add_edge("ask", "after")
    graph = graph.compile(cache=a_cache(), checkpointer=InMemorySaver())
    for thread in ("1", "2"):
        config = {"configurable": {"thread_id": thread}}
        await run(graph, {"question": "pay"}, "ainvoke" if aio else "invoke", config)
        state = await run(graph, Command(resume="yes"), "ainvoke" if aio else "invoke", config)
        assert state["answer"] == ["before", "after"]
    assert runs == ["before", "after"]


async def test_a_breakpoint_is_no_answer():
    runs = []

    def node(state):
        runs.append(1)
        return {"answer": "done"}

    graph = a_graph(node, a_cache(), checkpointer=InMemorySaver())
    for thread in ("1", "2"):
        config = {"configurable": {"thread_id": thread}}
        await graph.ainvoke({"question": "pay"}, config, interrupt_before=["node"])
        assert (await graph.ainvoke(None, config))["answer"] == "done"
    assert runs == [1]


# -- what LangGraph does not show


class Wrapper(BaseCache):
    """A cache of somebody's own around another, which asks it elsewhere."""

    def __init__(self, inner):
        super().__init__()
        self._inner = inner

    def get(self, keys):
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._inner.get, keys).result()

    def set(self, pairs):
        self._inner.set(pairs)

    async def aget(self, keys):
        return await self._inner.aget(keys)

    async def aset(self, pairs):
        await self._inner.aset(pairs)

    def clear(self, namespaces=None):
        self._inner.clear(namespaces)

    async def aclear(self, namespaces=None):
        await self._inner.aclear(namespaces)


async def test_a_run_that_cannot_be_seen_is_not_kept(caplog):
    graph = a_graph(says_word, Wrapper(a_cache()))
    assert not await was_kept(graph, {"question": "why"})
    assert "does not show which node" in caplog.text
    chunks = []
    for _ in range(2):
        chunks = [c async for c in graph.astream({"question": "why"}, stream_mode="updates")]
    assert any("__metadata__" in chunk for chunk in chunks)


@pytest.mark.parametrize("kind", ["text", "list", "dict", "set", "Decimal", "numpy array"])
async def test_ordinary_states_are_kept(kind):
    def node(state):
        return {"answer": KINDS[kind]()}

    assert await was_kept(a_graph(node, a_cache()), {"question": "why"})
