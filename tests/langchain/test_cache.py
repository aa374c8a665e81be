"""ToolOpsCache behind real chat models that speak HTTP to a server of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from callers import Notices
from langchain_core.globals import set_llm_cache
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel, ConfigDict, Field, computed_field, field_validator

from langchain_toolops import ToolOpsCache, guard_llm
from toolops_plugins import (
    Cache,
    CallEvent,
    ConfigurationError,
    Memory,
    Notice,
    Policy,
    Redis,
    SemanticCache,
    ToolOps,
)

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"


class Sink:
    def __init__(self) -> None:
        self.events: list[CallEvent] = []
        self.notices: list[Notice] = []

    def on_call(self, event: CallEvent) -> None:
        self.events.append(event)

    def on_notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.events]


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def ops(sink: Sink) -> Iterator[ToolOps]:
    with ToolOps(sinks=[sink]) as ops:
        yield ops


@pytest.fixture
def cache(ops: ToolOps) -> ToolOpsCache:
    return ToolOpsCache(ops)


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Asks a runnable, from here or from an event loop of its own."""

    def ask(model: Any, given: Any, **options: Any) -> Any:
        if request.param == "sync":
            return model.invoke(given, **options)
        return asyncio.run(model.ainvoke(given, **options))

    return ask


def generation(text: str = "Paris", **metadata: Any) -> ChatGeneration:
    return ChatGeneration(message=AIMessage(text, response_metadata=metadata))


def prompt(*messages: Any) -> str:
    return dumps(list(messages))


# Answers


def test_an_answer_is_paid_for_once(cache, chat, openai_server, sink, ask):
    model = chat(cache=cache)
    first, second = ask(model, FRANCE), ask(model, FRANCE)
    assert len(openai_server.requests) == 1
    assert second.content == first.content == FRANCE
    assert "toolops" not in first.response_metadata
    assert second.response_metadata["toolops"] == {"hit": True}
    assert first.usage_metadata["output_tokens"] > second.usage_metadata["output_tokens"] == 0
    assert sink.outcomes == ["miss", "hit"]
    assert sink.events[0].latency > 0.0
    assert sink.events[1].saved_latency > 0.0


def test_it_serves_as_the_global_cache(cache, chat, openai_server, ask):
    set_llm_cache(cache)
    try:
        assert ask(chat(), "hello").content == ask(chat(), "hello").content
        ask(chat(cache=False), "hello")
    finally:
        set_llm_cache(None)
    assert len(openai_server.requests) == 2


def test_plain_language_models_are_cached_too(cache, ask):
    model = FakeListLLM(responses=["one", "two"], cache=cache)
    assert [ask(model, "a"), ask(model, "a"), ask(model, "b")] == ["one", "one", "two"]


def test_equal_prompts_of_one_batch_do_not_wait_for_each_other(cache):
    model = FakeListLLM(responses=["one", "two", "three"], cache=cache)
    result = model.generate(["q", "q"])
    assert len(result.generations) == 2
    assert model.invoke("q") in ("one", "two")


def test_a_lookup_gives_a_fresh_list_or_none(cache):
    assert cache.lookup("p", "m") is None
    cache.update("p", "m", [generation("a"), generation("b")])
    found = cache.lookup("p", "m")
    assert isinstance(found, list)
    assert [type(each) for each in found] == [ChatGeneration] * 2
    found[0].message.content = "changed"
    found[0].message.response_metadata["x"] = 1
    found.clear()
    again = cache.lookup("p", "m")
    assert [each.message.content for each in again] == ["a", "b"]
    assert again[0].message.response_metadata == {"toolops": {"hit": True}}
    assert all(each.message.id is None for each in again)


def test_what_was_given_may_be_changed_afterwards(cache):
    given = generation("a")
    cache.update("p", "m", [given])
    given.message.content = "changed"
    assert cache.lookup("p", "m")[0].message.content == "a"


def test_usage_is_kept_or_zeroed(ops, chat, openai_server):
    model = chat(cache=ToolOpsCache(ops))
    first = model.invoke(FRANCE).usage_metadata["total_tokens"]
    assert first > 0
    usage = model.invoke(FRANCE).usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (0, 0, 0)
    model = chat(cache=ToolOpsCache(ops, usage_on_hit="keep"))
    assert model.invoke(FRANCE).usage_metadata["total_tokens"] == first
    with pytest.raises(ConfigurationError, match="usage_on_hit"):
        ToolOpsCache(ops, usage_on_hit="half")


@pytest.mark.parametrize(
    "reply",
    [
        {"content": ""},
        {"content": "   "},
        {"content": "Once upon a", "finish_reason": "length"},
        {"content": "Once", "finish_reason": "content_filter"},
    ],
)
def test_empty_and_truncated_answers_are_not_kept(cache, chat, openai_server, reply, ask, sink):
    openai_server.reply = lambda body: reply
    model = chat(cache=cache)
    ask(model, FRANCE)
    ask(model, FRANCE)
    assert len(openai_server.requests) == 2
    assert [event.reason for event in sink.events] == ["not_wanted"] * 2


def test_errors_are_not_kept(cache, chat, openai_server, ask):
    openai_server.reply = lambda body: {"status": 500}
    model = chat(cache=cache)
    for _ in range(2):
        with pytest.raises(Exception, match="500"):
            ask(model, FRANCE)
    assert len(openai_server.requests) == 2


def test_one_empty_generation_spoils_them_all(cache):
    cache.update("p", "m", [generation("a"), generation("")])
    cache.update("q", "m", [])
    cache.update("r", "m", [Generation(text="")])
    assert [cache.lookup(each, "m") for each in "pqr"] == [None] * 3


def test_the_policy_is_the_users(ops, chat, openai_server, sink):
    kept = Policy(
        cache=Cache(ttl=60, when=lambda generations: "no" not in generations[0].text),
        price=lambda generations: 0.01 * len(generations),
        tags=["models"],
    )
    model = chat(cache=ToolOpsCache(ops, policy=kept, name="gpt"))
    for question in ("no", "no", "yes", "yes"):
        model.invoke(question)
    assert sink.outcomes == ["miss", "miss", "miss", "hit"]
    assert [event.price for event in sink.events] == [0.01, 0.01, 0.01, 0.0]
    assert sink.events[3].saved_price == 0.01
    assert {event.name for event in sink.events} == {"gpt"}
    assert set(sink.events[0].tags) == {"models", "gpt"}


# Keys


def turns(call: str, message: str, result: str = "3") -> list[Any]:
    """A conversation with a tool call; the ids are of its run alone."""
    made = {"name": "add", "args": {"a": 1}, "id": call}
    return [
        SystemMessage("Be good.", id=f"s{message}"),
        HumanMessage("add", id=f"h{message}"),
        AIMessage(
            "",
            id=message,
            tool_calls=[made],
            response_metadata={"at": message},
            usage_metadata={"input_tokens": len(message), "output_tokens": 1, "total_tokens": 2},
            additional_kwargs={"tool_calls": [{"id": call, "function": {"name": "add"}}]},
        ),
        ToolMessage(result, tool_call_id=call, id=f"t{message}"),
    ]


def test_ids_of_a_run_are_no_part_of_the_key(cache):
    cache.update(prompt(*turns("call_a", "m1")), "m", [generation()])
    assert cache.lookup(prompt(*turns("call_b", "m22")), "m") is not None
    assert cache.lookup(prompt(*turns("call_b", "m22", "4")), "m") is None


def test_calls_and_results_still_belong_together(cache):
    def two(first: str, second: str) -> str:
        calls = [{"name": "add", "args": {"a": n}, "id": f"c{n}"} for n in (1, 2)]
        results = [ToolMessage("x", tool_call_id=first), ToolMessage("y", tool_call_id=second)]
        return prompt(HumanMessage("add"), AIMessage("", tool_calls=calls), *results)

    cache.update(two("c1", "c2"), "m", [generation()])
    assert cache.lookup(two("c1", "c2"), "m") is not None
    assert cache.lookup(two("c2", "c1"), "m") is None


def test_a_streamed_turn_is_the_same_turn(cache, chat, openai_server):
    model = chat(cache=cache)
    whole, streamed = model.invoke("a"), None
    for chunk in model.stream("a"):
        streamed = chunk if streamed is None else streamed + chunk
    cache.update(prompt(HumanMessage("a"), whole, HumanMessage("b")), "m", [generation()])
    assert cache.lookup(prompt(HumanMessage("a"), streamed, HumanMessage("b")), "m") is not None


@pytest.mark.parametrize(
    "other",
    [
        [SystemMessage("Be bad."), HumanMessage("hi")],
        [HumanMessage("hi")],
        [SystemMessage("Be good."), HumanMessage("hi", name="bob")],
        [SystemMessage("Be good."), HumanMessage([{"type": "text", "text": "hi "}])],
        [SystemMessage("Be good."), AIMessage("hi")],
        [
            SystemMessage("Be good."),
            HumanMessage(
                [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "x"}}]
            ),
        ],
    ],
)
def test_what_reaches_the_model_tells_prompts_apart(cache, other):
    known = prompt(SystemMessage("Be good."), HumanMessage("hi"))
    cache.update(known, "m", [generation()])
    assert cache.lookup(known, "m") is not None
    assert cache.lookup(prompt(*other), "m") is None
    assert cache.lookup(known, "other model") is None


def test_models_with_other_parameters_do_not_share(cache, chat, openai_server, ask):
    for options in ({}, {"temperature": 0.5}, {"model": "gpt-other"}):
        ask(chat(cache=cache, **options), FRANCE)
    ask(chat(cache=cache), FRANCE, stop=["."])
    assert len(openai_server.requests) == 4


def test_tenants_and_namespaces_do_not_share(namespace, valkey, chat, openai_server):
    tenant = ["alice"]
    tier = Redis(valkey.url, ttl=60)
    with (
        ToolOps(namespace, [tier], tenant=lambda: tenant[0]) as ops,
        ToolOps(f"{namespace}*", [Redis(valkey.url, ttl=60)]) as other,
    ):
        model = chat(cache=ToolOpsCache(ops))
        for name in ("alice", "bob", "alice"):
            tenant[0] = name
            model.invoke(FRANCE)
        assert len(openai_server.requests) == 2
        chat(cache=ToolOpsCache(other)).invoke(FRANCE)
        assert len(openai_server.requests) == 3


def test_an_address_in_the_model_bypasses_with_one_warning(cache, sink, ask, caplog):
    for _ in range(2):
        cache.update("p", "m with <object at 0x7f00>", [generation()])
        assert cache.lookup("p", "m with <object at 0x7f00>") is None
    assert [(n.kind, n.detail) for n in sink.notices] == [("bypass", "address_in_model")]
    assert sum("address_in_model" in record.message for record in caplog.records) == 1


class Answer(BaseModel):
    city: str


def test_a_schema_known_by_name_only_needs_a_version(ops, chat, openai_server, sink, ask):
    openai_server.reply = lambda body: json.dumps({"city": "Paris"})
    plain = chat(cache=ToolOpsCache(ops)).with_structured_output(Answer)
    assert [ask(plain, FRANCE), ask(plain, FRANCE)] == [Answer(city="Paris")] * 2
    assert len(openai_server.requests) == 2
    assert [n.detail for n in sink.notices] == ["schema_version_missing"]
    for version, requests in (("1", 3), ("1", 3), ("2", 4)):
        with_version = chat(cache=ToolOpsCache(ops, schema_version=version))
        assert ask(with_version.with_structured_output(Answer), FRANCE) == Answer(city="Paris")
        assert len(openai_server.requests) == requests


class Renamed(BaseModel):
    city: str = Field(alias="theCity")


class Hidden(BaseModel):
    city: str = Field(exclude=True)


class Derived(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: str

    @computed_field
    @property
    def loud(self) -> str:
        return self.city.upper()


@pytest.mark.parametrize(
    ("schema", "name"), [(Renamed, "theCity"), (Hidden, "city"), (Derived, "city")]
)
def test_structured_answers_of_every_shape_come_back(ops, chat, openai_server, schema, name, ask):
    openai_server.reply = lambda body: json.dumps({name: "Paris"})
    for model in (chat(cache=ToolOpsCache(ops, schema_version="1")), guard_llm(chat(), ops=ops)):
        structured = model.with_structured_output(schema, method="json_schema")
        assert ask(structured, FRANCE) == ask(structured, FRANCE) == schema(**{name: "Paris"})
    assert len(openai_server.requests) == 2


def test_a_structured_answer_that_cannot_be_made_again_is_not_kept(cache, sink):
    class Changed(BaseModel):
        city: str

        @field_validator("city")
        @classmethod
        def loud(cls, city: str) -> str:
            return city + "!"

    odd = generation(json.dumps({"city": "Paris"}))
    odd.message.additional_kwargs["parsed"] = Changed(city="Lyon")
    cache.update("p", "m", [odd])
    assert cache.lookup("p", "m") is None
    assert "not_encodable" in {notice.kind for notice in sink.notices}


def test_arguments_nested_deeper_than_json_goes_past(cache, ask):
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    text = prompt(AIMessage("", tool_calls=[{"name": "f", "args": {"a": deep}, "id": "c"}]))
    cache.update(text, "m", [generation()])
    assert cache.lookup(text, "m")[0].text == "Paris"


def test_tools_are_part_of_the_key(cache, chat, openai_server, ask):
    @tool
    def add(a: int) -> int:
        """Add."""
        return a

    openai_server.reply = lambda body: [{"name": "add", "arguments": {"a": 1}}]
    model = chat(cache=cache).bind_tools([add])
    first, second = ask(model, "add"), ask(model, "add")
    assert len(openai_server.requests) == 1
    (one,), (two,) = first.tool_calls, second.tool_calls
    assert (two["name"], two["args"]) == (one["name"], one["args"]) == ("add", {"a": 1})
    assert one["id"] != two["id"]  # a thread may hold both
    ask(chat(cache=cache), "add")
    assert len(openai_server.requests) == 2


def test_what_langchain_cannot_write_down_goes_past(cache, sink):
    odd = prompt(HumanMessage([{"type": "text", "text": "hi", "extra": object()}]))
    cache.update(odd, "m", [generation()])
    assert cache.lookup(odd, "m") is None
    assert [n.detail for n in sink.notices] == ["not_canonical"]


@pytest.mark.parametrize("text", ['[{"lc": ', '[{"lc": 1}]', '[{"lc": 1, "id": [], "kwargs": 1}]'])
def test_a_text_that_looks_like_messages_is_a_text(cache, text):
    cache.update(text, "m", [Generation(text="a")])
    assert cache.lookup(text, "m") == [Generation(text="a")]


# Graphs


def graph_of(model: Any) -> Any:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"][-1:])]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    return graph.compile(checkpointer=InMemorySaver())


def test_a_thread_that_is_asked_the_same_twice_has_both_answers(cache, chat, openai_server):
    graph = graph_of(chat(cache=cache))
    thread = {"configurable": {"thread_id": "1"}}
    for _ in range(2):
        state = graph.invoke({"messages": [HumanMessage(FRANCE)]}, thread)
    assert len(openai_server.requests) == 1
    assert [message.content for message in state["messages"]] == [FRANCE] * 4
    assert len({message.id for message in state["messages"]}) == 4


def test_a_hit_is_streamed_to_those_who_listen_for_messages(cache, chat, openai_server):
    graph = graph_of(chat(cache=cache))
    thread = {"configurable": {"thread_id": "1"}}
    for _ in range(2):
        asked = {"messages": [HumanMessage(FRANCE)]}
        told = [message for message, _ in graph.stream(asked, thread, stream_mode="messages")]
        assert "".join(message.content for message in told) == FRANCE
    assert len(openai_server.requests) == 1


# Trouble


def test_a_tier_that_is_down_costs_nothing_but_the_cache(chat, openai_server, sink, namespace, ask):
    with ToolOps(namespace, [Redis("redis://127.0.0.1:1", ttl=60)], sinks=[sink]) as ops:
        cache = ToolOpsCache(ops)
        model = chat(cache=cache)
        assert [ask(model, FRANCE).content for _ in range(2)] == [FRANCE] * 2
        cache.clear()
    assert "tier_failed" in {notice.kind for notice in sink.notices}


def test_a_corrupt_entry_is_a_miss(chat, openai_server, sink, namespace, valkey, ask):
    with ToolOps(namespace, [Redis(valkey.url, ttl=60)], sinks=[sink]) as ops:
        model = chat(cache=ToolOpsCache(ops))
        ask(model, FRANCE)
        with valkey.client() as client:
            for key in client.scan_iter(f"toolops:{namespace}:*"):
                if client.type(key) == b"string" and b"Paris" not in key:
                    value = client.get(key)
                    client.set(key, value[:-20] + b"x" * 20)
        assert ask(model, FRANCE).content == FRANCE
    assert len(openai_server.requests) == 2


@pytest.mark.parametrize(
    "planted",
    [
        b'{"~":["@","langchain.Generations",[{"message":{"content":5},"info":null}]]}',
        b'{"~":["@","langchain.Generations",[{"message":{},"info":null}]]}',
        b'{"~":["@","langchain.Generations",[{"lc":1,"type":"constructor","id":["os","system"]}]]}',
        b'{"~":["@","os.system",["ls"]]}',
        b'[{"lc":1,"type":"constructor","id":["langchain","schema","messages","AIMessage"]}]',
        b'"text"',
    ],
)
def test_a_planted_entry_is_a_miss_and_makes_no_class(cache, ops, planted, sink):
    cache.update("p", "m", [generation()])
    (slot,) = ops._tiers.all[0]._slots.values()
    slot.payload.data = planted
    assert cache.lookup("p", "m") is None


@pytest.mark.parametrize(
    "planted",
    [
        b'["langchain.generation",{"message":{"content":5},"info":null}]',
        b'["langchain.generation",{"message":{"content":"a","id":"b"},"info":5}]',
        b'["langchain.generation",{"message":{"content":"a"}}]',
        b'["langchain.generation",{"message":null,"info":null}]',
        b'["langchain.generation",[]]',
        b'["langchain.generation"]',
        b'["os.system","ls"]',
        b"[]",
    ],
)
def test_a_planted_list_is_a_miss(cache, ops, planted):
    cache.update("p", "m", [generation()])
    (slot,) = ops._tiers.all[0]._slots.values()
    assert slot.payload.codec == "json"
    slot.payload.data = planted
    assert cache.lookup("p", "m") is None


@pytest.mark.parametrize(
    "metadata",
    [
        {"finish_reason": "stop", "usage": {"details": [{"cached": 1, "share": 0.5}]}},
        {"pair": (1, 2), "odd": float("inf"), "numbers": {1: "a"}},
    ],
)
def test_metadata_comes_back_exactly_and_to_each_caller_anew(ops, metadata):
    cache = ToolOpsCache(ops, usage_on_hit="keep")
    message = AIMessage("Paris", response_metadata=metadata)
    cache.update("p", "m", [ChatGeneration(message=message, generation_info={"a": [1]})])
    first, second = (cache.lookup("p", "m")[0] for _ in range(2))
    for found in (first, second):
        assert found.text == "Paris"
        assert found.generation_info == {"a": [1]}
        assert found.message.response_metadata == {**metadata, "toolops": {"hit": True}}
        assert found.message.model_fields_set == {"content", "response_metadata"}
        found.generation_info["a"].append(2)
        found.message.response_metadata.clear()
    assert "toolops" not in metadata


def test_a_policys_own_functions_see_generations(ops):
    seen = []

    def price(generations):
        seen.append(generations)
        return 1.0

    policy = Policy(cache=Cache(when=seen.append), price=price)
    ToolOpsCache(ops, policy=policy).update("p", "m", [generation()])
    assert len(seen) == 2  # what may be stored, and what it has cost
    assert all(found[0].message.content == generation().message.content for found in seen)


def test_generations_of_every_kind_come_back_as_they_were(ops):
    cache = ToolOpsCache(ops, usage_on_hit="keep")
    message = AIMessage(
        [{"type": "text", "text": "a"}, {"type": "reasoning", "reasoning": "b"}],
        name="bot",
        tool_calls=[{"name": "f", "args": {"x": [1, None]}, "id": "c", "type": "tool_call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        additional_kwargs={"pair": (1, 2)},
    )
    given = [
        ChatGeneration(message=message, generation_info={"finish_reason": "stop"}),
        Generation(text="plain", generation_info={"a": 1, "finish_reason": "stop"}),
    ]
    cache.update("p", "m", given)
    first, second = cache.lookup("p", "m")
    assert type(first) is ChatGeneration
    assert first.generation_info == {"finish_reason": "stop"}
    assert type(first.message) is AIMessage
    (call,) = first.message.tool_calls
    assert {**call, "id": "c"} == message.tool_calls[0]
    assert call["id"] != "c"
    assert first.message.content == message.content
    assert first.message.usage_metadata == message.usage_metadata
    assert first.message.additional_kwargs == {"pair": (1, 2)}
    assert second == given[1]


def test_what_cannot_be_stored_is_returned_and_not_stored(cache, sink):
    odd = generation()
    odd.message.additional_kwargs["client"] = object()
    cache.update("p", "m", [odd])
    assert cache.lookup("p", "m") is None
    assert "not_encodable" in {notice.kind for notice in sink.notices}


def dump(valkey: Any, namespace: str) -> bytes:
    with valkey.client() as client:
        parts = []
        for key in client.scan_iter(f"toolops:{namespace}:*"):
            parts += [key, client.dump(key) or b""]
            if client.type(key) == b"string":
                parts.append(client.get(key))
    return b"".join(parts)


def test_secrets_of_the_model_are_stored_nowhere(chat, openai_server, namespace, valkey, tmp_path):
    semantic = SemanticCache(path=tmp_path)
    with ToolOps(namespace, [Memory(), Redis(valkey.url, ttl=60)], semantic=semantic) as ops:
        secret = "hush-9f3b"
        model = chat(
            cache=ToolOpsCache(ops), default_headers={"X-Auth": secret}, api_key=f"sk-{secret}"
        )
        model.invoke(FRANCE)
        assert model.invoke(AGAIN).content == FRANCE
        semantic.flush()
    assert openai_server.headers[0]["x-auth"] == secret
    stored = dump(valkey, namespace) + b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )
    assert FRANCE.encode() in stored
    assert secret.encode() not in stored
    assert b"gpt-test---" not in stored


# SemanticKeyer


@pytest.fixture
def semantic_ops(sink: Sink, tmp_path: Path) -> Iterator[ToolOps]:
    with ToolOps(sinks=[sink], semantic=SemanticCache(path=tmp_path)) as ops:
        yield ops


def test_the_last_human_text_is_looked_up_by_meaning(semantic_ops, chat, openai_server, ask, sink):
    model = chat(cache=ToolOpsCache(semantic_ops))
    assert ask(model, FRANCE).content == FRANCE
    assert ask(model, AGAIN).content == FRANCE
    assert ask(model, "What is the capital of Spain?").content.endswith("Spain?")
    assert len(openai_server.requests) == 2
    assert sink.events[1].tier == "semantic"


def test_the_rest_of_the_conversation_is_the_scope(semantic_ops, chat, openai_server):
    cache = ToolOpsCache(semantic_ops)
    model = chat(cache=cache)
    system = SystemMessage("Answer in French.")
    for asked in (
        [HumanMessage(FRANCE)],
        [system, HumanMessage(AGAIN)],
        [HumanMessage("Hello"), AIMessage("Hello!"), HumanMessage(AGAIN)],
        [HumanMessage([{"type": "text", "text": AGAIN}, {"type": "image_url", "image_url": "x"}])],
    ):
        model.invoke(asked)
    assert len(openai_server.requests) == 4
    chat(cache=cache, temperature=1.0).invoke(AGAIN)
    assert len(openai_server.requests) == 5
    # And each of them finds its own.
    assert model.invoke([system, HumanMessage(FRANCE)]).content == AGAIN
    assert model.invoke(AGAIN).content == FRANCE
    assert len(openai_server.requests) == 5


def test_a_turn_that_ends_in_a_tool_result_is_not_unless_asked_for(semantic_ops):
    def after_tools(text: str) -> str:
        return prompt(
            HumanMessage(text),
            AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "c"}]),
            ToolMessage("Paris", tool_call_id="c"),
        )

    exact = ToolOpsCache(semantic_ops)
    exact.update(after_tools(FRANCE), "m", [generation()])
    assert exact.lookup(after_tools(FRANCE), "m") is not None
    assert exact.lookup(after_tools(AGAIN), "m") is None
    loose = ToolOpsCache(semantic_ops, after_tools=True, name="loose")
    loose.update(after_tools(FRANCE), "m", [generation()])
    assert loose.lookup(after_tools(AGAIN), "m") is not None


def test_meaning_can_be_switched_off(semantic_ops, chat, openai_server):
    model = chat(cache=ToolOpsCache(semantic_ops, semantic=False))
    model.invoke(FRANCE)
    model.invoke(AGAIN)
    assert len(openai_server.requests) == 2
    with pytest.raises(ConfigurationError, match="semantic"):
        ToolOpsCache(ToolOps(), semantic=True)


# Clearing, and more than one loop or thread


def test_clearing_forgets_this_cache_and_nothing_else(valkey, namespace):
    with (
        ToolOps(f"{namespace}*", [Memory(), Redis(valkey.url, ttl=60)]) as ops,
        ToolOps(f"{namespace}-other", [Redis(valkey.url, ttl=60)]) as other,
    ):
        caches = [ToolOpsCache(ops), ToolOpsCache(ops, name="second"), ToolOpsCache(other)]
        for cache in caches:
            cache.update("p", "m", [generation()])
        caches[0].clear()
        assert [cache.lookup("p", "m") is None for cache in caches] == [True, False, False]
        asyncio.run(caches[1].aclear())
        assert [cache.lookup("p", "m") is None for cache in caches] == [True, True, False]


def test_two_loops_in_one_process_share_the_cache(chat, openai_server, namespace, valkey):
    with ToolOps(namespace, [Redis(valkey.url, ttl=60)]) as ops:
        model = chat(cache=ToolOpsCache(ops))
        assert asyncio.run(model.ainvoke(FRANCE)).content == FRANCE
        assert asyncio.run(model.ainvoke(FRANCE)).content == FRANCE
    assert len(openai_server.requests) == 1


async def test_a_loop_is_never_blocked(chat, openai_server, namespace, valkey, tmp_path):
    # The guard of all tests fails this one if it is.
    tiers = [Memory(), Redis(valkey.url, ttl=60)]
    async with ToolOps(namespace, tiers, semantic=SemanticCache(path=tmp_path)) as ops:
        cache = ToolOpsCache(ops)
        for question in (FRANCE, AGAIN, FRANCE):
            assert (await chat(cache=cache).ainvoke(question)).content == FRANCE
        await cache.aclear()
    assert len(openai_server.requests) == 1


def test_memory_stays_capped():
    with ToolOps(tiers=[Memory(max_items=10)]) as ops:
        cache = ToolOpsCache(ops)
        for number in range(2_000):
            cache.update(f"p{number}", "m", [generation()])
            cache.lookup(f"p{number}", "m")
        assert len(ops._tiers.all[0]) <= 10
        assert len(cache._memo) <= 512


def test_a_streamed_tool_call_is_not_kept_and_its_notice_says_why(chat, openai_server):
    openai_server.reply = lambda body: [{"name": "add", "arguments": {"a": 1}}]
    with ToolOps() as ops:
        notices = Notices(ops)
        model = chat(streaming=True, cache=ToolOpsCache(ops))
        for _ in range(2):
            assert model.invoke("add").tool_calls[0]["args"] == {"a": 1}
        assert len(openai_server.requests) == 2
        assert notices.reasons == ["call_streamed"]
