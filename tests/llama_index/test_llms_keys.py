"""The differences between two calls of a guarded model that count, and those that do not."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import httpx
import pytest
import redis
from llama_calls import FRANCE, user
from llama_index.core import PromptTemplate
from llama_index.core.base.llms.types import (
    ChatMessage,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI, OpenAIResponses
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from llama_index.callbacks.toolops.llms import guard_llm
from toolops_plugins import CallEvent, Memory, Notice, Redis, ToolOps

SYSTEM = ChatMessage(role=MessageRole.SYSTEM, content="Answer in French.")
PIXEL = b"\x89PNG\r\n\x1a\n"


def outcomes(events: list[CallEvent]) -> list[str]:
    return [event.outcome for event in events]


@pytest.mark.parametrize(
    "options",
    [
        {"model": "gpt-4o"},
        {"temperature": 0.5},
        {"max_tokens": 7},
        {"api_key": "sk-other"},
        {"default_headers": {"X-Team": "b"}},
        {"additional_kwargs": {"seed": 7}},
        {"logprobs": True},
        {"modalities": ["text"]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_another_model_answers_for_itself(ops, llm, events, options):
    guard_llm(llm(), ops=ops).chat(user(FRANCE))
    guard_llm(llm(**options), ops=ops).chat(user(FRANCE))
    changed = guard_llm(llm(), ops=ops)
    for name, value in options.items():
        setattr(changed, name, value)
    changed.chat(user(FRANCE))
    # That it was changed afterwards makes no difference, but for the name it is counted by.
    assert outcomes(events) == ["miss", "miss", "miss" if "model" in options else "hit"]


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 5.0},
        {"reuse_client": False},
        {"callback_manager": CallbackManager()},
    ],
    ids=lambda options: next(iter(options)),
)
def test_how_it_is_asked_makes_no_other_model(ops, llm, events, options):
    guard_llm(llm(), ops=ops).chat(user(FRANCE))
    guard_llm(llm(**options), ops=ops).chat(user(FRANCE))
    assert outcomes(events) == ["miss", "hit"]


def test_another_address_answers_for_itself(ops, llm, openai_server, events):
    guard_llm(llm(), ops=ops).chat(user(FRANCE))
    other = llm()
    other.api_base = openai_server.url + "/"
    guard_llm(other, ops=ops).chat(user(FRANCE))
    assert outcomes(events) == ["miss", "miss"]


def test_another_class_answers_for_itself(ops, llm, events):
    class Other(OpenAI):
        pass

    plain = llm()
    guard_llm(plain, ops=ops).chat(user(FRANCE))
    guard_llm(Other(**plain.model_dump(exclude={"class_name"})), ops=ops).chat(user(FRANCE))
    assert outcomes(events) == ["miss", "miss"]


@pytest.mark.parametrize(
    "messages",
    [
        [SYSTEM, *user(FRANCE)],
        [ChatMessage(role=MessageRole.USER, content="Hello."), *user(FRANCE)],
        [ChatMessage(role=MessageRole.ASSISTANT, content=FRANCE)],
        [ChatMessage(role=MessageRole.USER, content=FRANCE, additional_kwargs={"name": "bob"})],
        [ChatMessage(blocks=[TextBlock(text=FRANCE), ImageBlock(image=PIXEL)])],
        [ChatMessage(blocks=[TextBlock(text="What is the capital"), TextBlock(text="of France?")])],
    ],
    ids=["system", "turns", "role", "name", "image", "blocks"],
)
def test_another_conversation_is_another_question(ops, echo, events, messages):
    model = guard_llm(echo(), ops=ops)
    model.chat(user(FRANCE))
    model.chat(messages)
    model.chat(messages)
    assert outcomes(events) == ["miss", "miss", "hit"]


@pytest.mark.parametrize(
    "kwargs",
    [
        {"temperature": 0.9},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"tools": [FunctionTool.from_defaults(lambda x: x, name="f", description="d")]},
        {"tool_choice": "required"},
        {"response_format": {"type": "text"}},
        {"extra_headers": {"X-Team": "b"}},
    ],
    ids=["temperature", "tools", "tool objects", "tool_choice", "response_format", "headers"],
)
def test_other_arguments_make_another_question(ops, echo, events, kwargs):
    model = guard_llm(echo(), ops=ops)
    for given in ({}, kwargs, kwargs):
        model.chat(user(FRANCE), **given)
        model.complete(FRANCE, **given)
    assert outcomes(events) == ["miss", "miss", "miss", "miss", "hit", "hit"]


def test_a_prompt_that_was_formatted_is_another(ops, echo, events):
    model = guard_llm(echo(), ops=ops)
    for formatted in (False, True, False, True):
        model.complete(FRANCE, formatted=formatted)
    assert outcomes(events) == ["miss", "miss", "hit", "hit"]


def test_tenants_share_nothing(echo):
    tenant: ContextVar[str] = ContextVar("tenant")
    with ToolOps(tenant=tenant) as ops:
        model = guard_llm(echo(), ops=ops)
        for name in ("a", "b", "a"):
            tenant.set(name)
            model.chat(user(FRANCE))
        assert model.calls == 2


def with_tool_call(id_: str, arguments: Any, *, put_away: bool) -> list[ChatMessage]:
    """Return a conversation with a tool call, fresh from the model or out of a memory."""
    block = ToolCallBlock(tool_call_id=id_, tool_name="weather", tool_kwargs=arguments)
    function = {"name": "weather", "arguments": "{}"}
    beside = [{"id": id_, "type": "function", "function": function}] if put_away else None
    blocks = [block] if put_away else [TextBlock(text=""), block]
    return [
        *user("how is it?"),
        ChatMessage(
            role=MessageRole.ASSISTANT, blocks=blocks, additional_kwargs={"tool_calls": beside}
        ),
        ChatMessage(
            role=MessageRole.TOOL, content="sunny", additional_kwargs={"tool_call_id": id_}
        ),
    ]


def test_ids_of_tool_calls_and_where_they_were_kept_do_not_count(ops, echo, events):
    model = guard_llm(echo(), ops=ops)
    model.chat(with_tool_call("call_1", {"city": "Paris"}, put_away=False))
    model.chat(with_tool_call("call_2", '{"city":"Paris"}', put_away=True))
    model.chat(with_tool_call("call_3", {"city": "Rome"}, put_away=False))
    assert outcomes(events) == ["miss", "hit", "miss"]


def test_a_call_that_stands_beside_the_blocks_alone_counts(ops, echo, events):
    model = guard_llm(echo(), ops=ops)
    for city in (None, "Paris", "Rome", "Paris"):
        messages = with_tool_call("call_1", {}, put_away=True)
        function = {"name": "weather", "arguments": city}
        if city is not None:
            messages[1].additional_kwargs["tool_calls"].append({"id": "2", "function": function})
        model.chat(messages)
    assert outcomes(events) == ["miss", "miss", "miss", "hit"]


def test_all_that_a_tools_schema_says_counts(ops, echo, events):
    class Lax(BaseModel):
        x: int

    class Strict(Lax):
        model_config = ConfigDict(extra="forbid", title="Lax")

    model = guard_llm(echo(), ops=ops)
    for schema in (Lax, Strict, Lax):
        tool = FunctionTool.from_defaults(len, name="f", description="d", fn_schema=schema)
        model.chat(user(FRANCE), tools=[tool])
    assert outcomes(events) == ["miss", "miss", "hit"]


def test_which_call_a_result_is_of_counts(ops, echo, events):
    def twice(first: str, second: str) -> list[ChatMessage]:
        calls = [
            ToolCallBlock(tool_call_id=i, tool_name="weather", tool_kwargs={"n": n})
            for n, i in enumerate("ab")
        ]
        results = [
            ChatMessage(role=MessageRole.TOOL, content=t, additional_kwargs={"tool_call_id": i})
            for i, t in ((first, "sunny"), (second, "rainy"))
        ]
        return [ChatMessage(role=MessageRole.ASSISTANT, blocks=calls), *results]

    model = guard_llm(echo(), ops=ops)
    model.chat(twice("a", "b"))
    model.chat(twice("b", "a"))
    assert outcomes(events) == ["miss", "miss"]


# Functions of the user's


def shout(messages: Any) -> str:
    return " ".join(message.content.upper() for message in messages)


def test_the_users_own_prompt_functions_count(ops, echo, events):
    for function in (None, shout, shout, lambda ms: ms[-1].content, lambda ms: ms[-1].content):
        guard_llm(echo(messages_to_prompt=function), ops=ops).chat(user(FRANCE))
    assert outcomes(events) == ["miss", "miss", "hit", "miss", "hit"]


def greet(prompt: str, greeting: str = "Hello.") -> str:
    return f"{greeting} {prompt}"


def greet_twice(prompt: str, greeting: str = "Hello.") -> str:
    return f"{greeting} {greeting} {prompt}"


def greet_loudly(prompt: str, greeting: str = "HELLO!") -> str:
    return f"{greeting} {prompt}"


def test_a_function_that_was_written_anew_under_its_name_is_another(ops, echo, events, monkeypatch):
    for function in (greet_twice, greet_loudly):  # as when a cell of a notebook is run again
        monkeypatch.setattr(function, "__qualname__", "greet")
    for function in (greet, greet_twice, greet_loudly, greet):
        guard_llm(echo(completion_to_prompt=function), ops=ops).complete(FRANCE)
    assert outcomes(events) == ["miss", "miss", "miss", "hit"]


# What models do not write down


class Persona:
    """Something that a model holds, without a form for a key."""


@pytest.mark.parametrize(
    ("one", "other", "again"),
    [
        ("pirate", "judge", "hit"),
        (0.0, 1.0, "hit"),
        ({"top_k": 1}, {"top_k": 2}, "hit"),
        ({"style": Persona()}, {"style": Persona()}, "miss"),
        (Persona(), Persona(), "miss"),
    ],
    ids=["text", "fraction", "mapping", "objects in a mapping", "object"],
)
def test_what_a_model_keeps_in_private_counts(ops, echo, events, one, other, again):
    class Private(type(echo())):
        _how: Any = PrivateAttr(default=None)

    # As LangChainLLM keeps its model, and GoogleGenAI what it was configured with.
    for how in (one, other, one, copy.deepcopy(one)):
        model = Private()
        model._how = how
        guard_llm(model, ops=ops).chat(user(FRANCE))
    assert outcomes(events) == ["miss", "miss", "hit", again]


def test_a_model_that_keeps_another_in_private_is_told_by_it(ops, echo, events):
    class Router(type(echo())):
        _model: Any = PrivateAttr(default=None)

    for prompt in ("a", "b", "a"):
        model = Router()
        model._model = echo(system_prompt=prompt)
        guard_llm(model, ops=ops).chat(user(FRANCE))
    assert outcomes(events) == ["miss", "miss", "hit"]


def test_a_setting_that_is_not_dumped_counts(ops, echo, events):
    class Hidden(type(echo())):
        region: str = Field(exclude=True)

    for region in ("east", "west", "east"):
        guard_llm(Hidden(region=region), ops=ops).chat(user(FRANCE))
    assert outcomes(events) == ["miss", "miss", "hit"]


def test_a_prompt_that_a_model_puts_around_others_counts(ops, echo, events):
    # As HuggingFaceLLM does it, in its own endpoints.
    for template in ("a {query_str}", "b {query_str}", "a {query_str}"):
        prompt = PromptTemplate(template)
        guard_llm(echo(query_wrapper_prompt=prompt), ops=ops).complete(FRANCE)
    assert outcomes(events) == ["miss", "miss", "hit"]


def test_two_classes_of_one_name_share_nothing(ops, echo, events):
    def make() -> Any:
        class Local(type(echo())):
            pass

        return Local

    first, second = make(), make()
    for kind in (first, second, first):
        guard_llm(kind(), ops=ops).chat(user(FRANCE))
    assert outcomes(events) == ["miss", "miss", "hit"]


@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat", "astream_chat"])
@pytest.mark.parametrize(
    "shown",
    [
        lambda path: ImageBlock(path=path),
        lambda path: DocumentBlock(path=path),
        lambda path: CitableBlock(title="t", source="s", content=[ImageBlock(path=path)]),
    ],
    ids=["image", "document", "inside"],
)
def test_a_file_counts_by_what_is_in_it(ops, echo, events, tmp_path, way, shown):
    path = tmp_path / "plan.png"
    model = guard_llm(echo(), ops=ops)

    async def read(made: Any) -> None:
        found = await made
        if way == "astream_chat":
            assert [chunk async for chunk in found]

    for content in (b"one", b"two", b"one"):
        path.write_bytes(content)
        asked = [ChatMessage(role=MessageRole.USER, blocks=[TextBlock(text="?"), shown(path)])]
        made = getattr(model, way)(asked)
        if way.startswith("a"):
            asyncio.run(read(made))
        elif way == "stream_chat":
            assert list(made)
    assert outcomes(events) == ["miss", "miss", "hit"]


def test_a_class_may_say_what_tells_its_instances_apart(ops, echo, events):
    class Keyed(type(echo())):
        label: str = "a"

        def __toolops_key__(self) -> Any:
            return self.label

    for label in ("a", "a", "b"):
        guard_llm(Keyed(label=label, system_prompt=label * len(events)), ops=ops).complete("x")
    assert outcomes(events) == ["miss", "hit", "miss"]


# What has no key


class Listener:
    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def on_call(self, event: CallEvent) -> None:
        pass

    def on_notice(self, notice: Notice) -> None:
        self.notices.append(notice)


@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat", "complete"])
def test_an_argument_without_a_form_goes_past_the_cache(echo, way, caplog):
    listener = Listener()
    with ToolOps(sinks=[listener]) as ops, caplog.at_level(logging.WARNING):
        model = guard_llm(echo(), ops=ops)
        for _ in range(2):
            given = FRANCE if way == "complete" else user(FRANCE)
            made = getattr(model, way)(given, odd=object())
            if way == "achat":
                asyncio.run(made)
            elif way == "stream_chat":
                list(made)
        assert model.calls == 2
    assert [notice.kind for notice in listener.notices] == ["bypass"]
    assert "Calls of 'EchoLLM" in caplog.text
    assert "go past the cache" in caplog.text


# Secrets


def test_secrets_are_nowhere_but_in_the_digest(llm, events, namespace, valkey, caplog):
    secrets = {"api_key": "sk-very-secret", "default_headers": {"X-Auth": "header-secret"}}
    with (
        caplog.at_level(logging.DEBUG, logger="toolops_plugins"),
        ToolOps(namespace, [Memory(), Redis(valkey.url, ttl=60)], sinks=[events.append]) as ops,
    ):
        model = guard_llm(llm(**secrets), ops=ops)
        for _ in range(2):
            model.chat(user(FRANCE))
            list(model.stream_chat(user(FRANCE)))
        with redis.Redis.from_url(valkey.url) as client:
            stored = b"".join(
                key + (client.dump(key) or b"") for key in client.scan_iter(f"*{namespace}*")
            )
        told = repr(events) + repr(ops.stats()) + repr(ops) + caplog.text
    assert stored
    for secret in ("sk-very-secret", "header-secret"):
        assert secret.encode() not in stored
        assert secret not in told


# A conversation that the provider keeps


class Provider:
    """OpenAI's Responses in this process: the transport of a real client."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(request.read())
        text = {"type": "output_text", "text": "Paris", "annotations": []}
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [text],
        }
        answer = {
            "id": f"resp_{len(self.bodies)}",
            "object": "response",
            "created_at": 1,
            "model": "gpt-4o-mini",
            "status": "completed",
            "output": [message],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": 1,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 1,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 2,
            },
        }
        return httpx.Response(200, json=answer)


@pytest.fixture
def responses() -> Iterator[Callable[..., tuple[OpenAIResponses, Provider]]]:
    clients = []

    def make(**options: Any) -> tuple[OpenAIResponses, Provider]:
        provider = Provider()
        clients.append(provider.client())
        return (
            OpenAIResponses(
                model="gpt-4o-mini",
                api_key="sk-test",
                max_retries=0,
                http_client=clients[-1],
                **options,
            ),
            provider,
        )

    yield make
    for client in clients:
        client.close()


def test_openais_responses_are_guarded(ops, responses, events):
    plain, provider = responses()
    model = guard_llm(plain, ops=ops, usage_on_hit="keep")
    first, second = (model.chat(user(FRANCE)) for _ in range(2))
    assert len(provider.bodies) == 1
    assert second.message == first.message
    assert second.raw == first.raw
    assert type(second.raw) is type(first.raw)
    assert second.additional_kwargs["usage"] == first.additional_kwargs["usage"]
    assert outcomes(events) == ["miss", "hit"]


def test_where_a_conversation_goes_on_counts(ops, responses, events):
    for previous in (None, "resp_a", "resp_b", "resp_a"):
        guard_llm(responses(previous_response_id=previous)[0], ops=ops).chat(user(FRANCE))
    assert outcomes(events) == ["miss", "miss", "miss", "hit"]


def test_a_conversation_that_the_provider_keeps_goes_past_the_cache(ops, responses, events):
    plain, provider = responses(track_previous_responses=True)
    model = guard_llm(plain, ops=ops)
    for _ in range(2):
        model.chat(user(FRANCE))
    assert b"resp_1" in provider.bodies[1]
    assert [(event.outcome, event.reason) for event in events] == [("bypass", "not_canonical")] * 2
