"""guard_llm: a model behind a policy, which stays the model that it was."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest
from callers import Latch
from crewai import LLM
from crewai.hooks import register_after_llm_call_hook, register_before_llm_call_hook
from crewai.llms.base_llm import BaseLLM, LLMCallBlockedError, call_stop_override
from crewai.llms.providers.openai.completion import OpenAICompletion
from pydantic import BaseModel, Field, PrivateAttr, ValidationError
from servers import wait_for

from crewai_toolops.llms import MODEL_POLICY, guard_llm
from toolops_plugins import (
    Cache,
    CallEvent,
    CircuitBreaker,
    CircuitOpen,
    ConfigurationError,
    Memory,
    Policy,
    Retry,
    Semantic,
    SemanticCache,
    ToolOps,
)
from toolops_plugins.testing import FakeClock

FRANCE = "What is the capital of France?"
AGAIN = "what's the capital of France"
CALL = {"name": "quote", "arguments": {"ticker": "A"}}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "quote",
            "description": "A price.",
            "parameters": {"type": "object", "properties": {"ticker": {"type": "string"}}},
        },
    }
]


class Capital(BaseModel):
    city: str
    people: int = Field(alias="inhabitants")


@pytest.fixture
def events() -> list[CallEvent]:
    return []


@pytest.fixture
def ops(events: list[CallEvent]) -> Iterator[ToolOps]:
    with ToolOps(sinks=[events.append]) as ops:
        yield ops


@pytest.fixture
def own_llm(ops: ToolOps, llm: Callable[..., Any]) -> Any:
    return guard_llm(llm(), ops=ops)


WAYS: dict[str, Callable[..., Any]] = {
    "call": lambda llm, *args, **kwargs: llm.call(*args, **kwargs),
    "acall": lambda llm, *args, **kwargs: asyncio.run(llm.acall(*args, **kwargs)),
}


@pytest.fixture(params=list(WAYS))
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return WAYS[request.param]


def outcomes(events: list[CallEvent]) -> list[str]:
    return [event.outcome for event in events]


# What it is


def test_it_stays_what_it_was(own_llm, llm):
    plain = llm()
    assert isinstance(own_llm, OpenAICompletion)
    assert type(own_llm).__name__ == "OpenAICompletion"
    assert type(plain) is OpenAICompletion
    assert own_llm.model_dump() == plain.model_dump()
    assert own_llm.to_config_dict() == plain.to_config_dict()
    assert own_llm.supports_function_calling() is plain.supports_function_calling()
    assert own_llm.supports_stop_words() is plain.supports_stop_words()
    assert own_llm.get_context_window_size() == plain.get_context_window_size()
    assert "guard" not in repr(own_llm)


def test_the_model_that_was_given_is_left_alone(ops, llm, openai_server):
    plain = llm()
    own_llm = guard_llm(plain, ops=ops)
    own_llm.temperature = 0.5
    own_llm.call("hi")
    assert plain.temperature is None
    assert plain.get_token_usage_summary().total_tokens == 0
    plain.call("hi")
    plain.call("hi")
    assert len(openai_server.requests) == 3


def test_copies_are_guarded_too(own_llm, openai_server):
    own_llm.call("hi")
    copied = copy.copy(own_llm)
    assert copied.call("hi") == copied.model_copy().call("hi") == "hi"
    assert len(openai_server.requests) == 1


def test_deep_copies_are_guarded_too(ops):
    class Own(BaseLLM):
        def call(self, messages, **kwargs):
            return "yes"

    own_llm = guard_llm(Own(model="own"), ops=ops)
    assert type(copy.deepcopy(own_llm)) is type(own_llm)


def test_it_cannot_be_pickled(own_llm):
    with pytest.raises(TypeError, match="guard it there"):
        pickle.dumps(own_llm)


def test_a_copy_that_its_class_makes_of_a_plain_model_is_guarded(ops):
    asked: list[Any] = []

    class Own(BaseLLM):
        def call(self, messages, **kwargs):
            asked.append(messages)
            return "yes"

        def __copy__(self):  # as crewai.LLM does for what goes through LiteLLM
            return Own(model=self.model)

    own_llm = guard_llm(Own(model="own"), ops=ops)
    own_llm.call("hi")
    assert copy.copy(own_llm).call("hi") == "yes"
    assert asked == ["hi"]


@pytest.mark.parametrize("given", ["gpt-4o", None, object()])
def test_only_models_are_guarded(given):
    with pytest.raises(ConfigurationError, match="llm"):
        guard_llm(given)


def test_a_model_is_guarded_once(own_llm, ops):
    with pytest.raises(ConfigurationError, match="already"):
        guard_llm(own_llm, ops=ops)


def test_a_runtime_is_no_policy(llm, ops):
    with pytest.raises(ConfigurationError, match="ops="):
        guard_llm(llm(), ops)


# What is paid for


def test_an_answer_is_paid_for_once(own_llm, openai_server, ask, events):
    assert ask(own_llm, FRANCE) == ask(own_llm, FRANCE) == FRANCE
    assert len(openai_server.requests) == 1
    assert outcomes(events) == ["miss", "hit"]
    assert events[0].name == "openai:gpt-4o-mini"


def test_both_ways_and_both_forms_share_an_answer(own_llm, openai_server):
    messages = [{"role": "user", "content": FRANCE}]
    assert own_llm.call(FRANCE) == asyncio.run(own_llm.acall(messages)) == FRANCE
    assert own_llm.call(messages=messages, callbacks=[]) == FRANCE
    assert len(openai_server.requests) == 1


def test_hits_count_no_tokens(own_llm, ask):
    ask(own_llm, FRANCE)
    before = own_llm.get_token_usage_summary()
    ask(own_llm, FRANCE)
    assert before.successful_requests == 1
    assert before.total_tokens > 0
    assert own_llm.get_token_usage_summary() == before


def test_equal_calls_at_the_same_time_are_made_once(own_llm, openai_server, ask, events):
    openai_server.gate = gate = Latch()
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, own_llm, FRANCE) for _ in range(4)]
        wait_for(lambda: openai_server.requests, "a request")
        gate.open()
        assert [answer.result() for answer in answers] == [FRANCE] * 4
    assert len(openai_server.requests) == 1
    assert outcomes(events).count("miss") == 1


async def test_the_event_loop_is_never_blocked(own_llm, openai_server):
    openai_server.gate = gate = Latch()
    answers = asyncio.gather(*(own_llm.acall(FRANCE) for _ in range(3)))
    await asyncio.to_thread(wait_for, lambda: openai_server.requests, "a request")
    gate.open()
    assert await answers == [FRANCE] * 3
    assert len(openai_server.requests) == 1


# The key


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.5},
        {"model": "gpt-4o"},
        {"max_tokens": 7},
        {"seed": 1},
        {"stop": ["X"]},
        {"api_key": "sk-other"},
        {"reasoning_effort": "low"},
        {"stream": True},
        {"additional_params": {"user": "ann"}},
        {"response_format": {"type": "json_object"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_the_answer_is_part_of_the_key(own_llm, openai_server, ask, change):
    openai_server.reply = lambda body: '{"city": "Paris"}'  # as JSON mode wants it
    ask(own_llm, FRANCE)
    for name, value in change.items():
        setattr(own_llm, name, value)
    ask(own_llm, FRANCE)
    ask(own_llm, FRANCE)
    assert len(openai_server.requests) == 2


def test_the_address_is_part_of_the_key(ops, llm, openai_server, monkeypatch):
    guard_llm(llm(), ops=ops).call(FRANCE)
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.url + "/")
    guard_llm(llm(base_url=None), ops=ops).call(FRANCE)  # the same, said by the environment
    assert len(openai_server.requests) == 1
    monkeypatch.setenv("OPENAI_BASE_URL", openai_server.url.replace("127.0.0.1", "localhost"))
    guard_llm(llm(base_url=None), ops=ops).call(FRANCE)
    assert len(openai_server.requests) == 2


def test_a_key_that_is_set_late_does_not_change_the_key(ops, openai_server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    late = guard_llm(LLM(model="gpt-4o", base_url=openai_server.url, max_retries=0), ops=ops)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-late")
    late.call(FRANCE)
    late.call(FRANCE)
    assert len(openai_server.requests) == 1


def test_timeouts_and_retries_are_no_part_of_the_key(ops, llm, openai_server):
    guard_llm(llm(), ops=ops).call(FRANCE)
    guard_llm(llm(timeout=7.0), ops=ops).call(FRANCE)
    assert len(openai_server.requests) == 1


def test_the_stop_words_of_the_call_count_in_any_order(own_llm, openai_server):
    for words in (["A", "B"], ["B", "A"], None, ["A"]):
        with call_stop_override(own_llm, words):
            own_llm.call(FRANCE)
    assert len(openai_server.requests) == 3


def test_who_asks_is_no_part_of_the_key(own_llm, openai_server):
    class Somebody:
        id = "1"
        role = "role"
        name = description = "name"

    own_llm.call(FRANCE, from_task=Somebody(), from_agent=Somebody(), callbacks=[print])
    own_llm.call(FRANCE)
    assert len(openai_server.requests) == 1


def test_tools_and_schemas_are_part_of_the_key(own_llm, openai_server, ask):
    openai_server.reply = lambda body: '{"city": "Paris", "inhabitants": 2}'
    other = json.loads(json.dumps(TOOLS).replace("A price", "The price"))
    schema = type("Capital", (Capital,), {"__annotations__": {"land": str}, "land": ""})
    for given in ({}, {"tools": TOOLS}, {"tools": other}, {"response_model": Capital}):
        ask(own_llm, FRANCE, **given)
        ask(own_llm, FRANCE, **given)
    ask(own_llm, FRANCE, response_model=schema)
    assert len(openai_server.requests) == 5


def test_the_whole_conversation_is_part_of_the_key(own_llm, openai_server):
    question = {"role": "user", "content": FRANCE}
    own_llm.call([question])
    own_llm.call([{"role": "system", "content": "Be brief."}, question])
    own_llm.call([question, {"role": "assistant", "content": "Paris"}, question])
    own_llm.call([{**question, "cache_breakpoint": True}])  # which says nothing to the model
    assert len(openai_server.requests) == 3


def test_the_ids_of_tool_calls_are_no_part_of_the_key(own_llm, openai_server):
    def turn(id_: str, result: str) -> list[Any]:
        call = {"id": id_, "type": "function", "function": {"name": "q", "arguments": "{}"}}
        return [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": id_, "content": result},
        ]

    own_llm.call(turn("call_1", "x"))
    own_llm.call(turn("call_2", "x"))
    own_llm.call(turn("call_1", "y"))
    own_llm.call([*turn("call_1", "x")[:2], {**turn("call_9", "x")[2], "tool_call_id": "call_9"}])
    assert len(openai_server.requests) == 3


def test_tenants_do_not_share(llm, openai_server):
    tenant: ContextVar[str] = ContextVar("tenant", default="ann")
    with ToolOps(tenant=tenant) as ops:
        own_llm = guard_llm(llm(), ops=ops)
        own_llm.call(FRANCE)
        token = tenant.set("bob")
        own_llm.call(FRANCE)
        tenant.reset(token)
        own_llm.call(FRANCE)
    assert len(openai_server.requests) == 2


def test_a_conversation_that_its_provider_keeps_goes_past_the_cache(
    ops, llm, events, openai_server
):
    own_llm = guard_llm(llm(auto_chain=True), ops=ops)
    own_llm.call(FRANCE)
    own_llm.call(FRANCE)
    assert len(openai_server.requests) == 2
    assert outcomes(events) == ["bypass", "bypass"]


# Answers


def test_a_structured_answer_comes_back_as_the_live_class(own_llm, openai_server, ask):
    openai_server.reply = lambda body: '{"city": "Paris", "inhabitants": 2}'
    first = ask(own_llm, FRANCE, response_model=Capital)
    second = ask(own_llm, FRANCE, response_model=Capital)
    assert type(second) is Capital
    assert first == second
    assert first is not second
    second.city = "Rome"
    assert ask(own_llm, FRANCE, response_model=Capital).city == "Paris"
    assert len(openai_server.requests) == 1


def test_the_models_own_response_format_does_too(ops, llm, openai_server, ask):
    openai_server.reply = lambda body: '{"city": "Paris", "inhabitants": 2}'
    own_llm = guard_llm(llm(response_format=Capital), ops=ops)
    assert type(ask(own_llm, FRANCE)) is type(ask(own_llm, FRANCE)) is Capital
    assert len(openai_server.requests) == 1


def test_an_instance_that_would_not_come_back_the_same_is_not_kept(own_llm, openai_server):
    class Growing(BaseModel):
        city: str

        def model_post_init(self, _: Any) -> None:
            self.city += "!"

    openai_server.reply = lambda body: '{"city": "Paris"}'
    for _ in range(2):
        assert own_llm.call(FRANCE, response_model=Growing).city == "Paris!"
    assert len(openai_server.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_of_a_hit_have_ids_of_their_own(ops, llm, openai_server, ask, stream):
    openai_server.reply = lambda body: [CALL, CALL]
    own_llm = guard_llm(llm(stream=stream), ops=ops)
    answers = [ask(own_llm, FRANCE, tools=TOOLS) for _ in range(3)]
    assert len(openai_server.requests) == 1
    assert [[type(call) for call in calls] for calls in answers[1:]] == [
        [type(call) for call in answers[0]]
    ] * 2
    plain = [c if isinstance(c, dict) else c.model_dump() for calls in answers for c in calls]
    assert len({call.pop("id") for call in plain}) == 6
    assert plain[0] == plain[2] == plain[4]
    assert json.loads(plain[2]["function"]["arguments"]) == CALL["arguments"]


@pytest.mark.parametrize(
    "reply",
    [
        "  ",
        {"content": "Par", "finish_reason": "length"},
        [{"name": "quote", "arguments": '{"tick'}],
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_empty_and_cut_answers_are_not_kept(ops, llm, openai_server, ask, reply, stream):
    openai_server.reply = lambda body: reply
    own_llm = guard_llm(llm(stream=stream), ops=ops)
    ask(own_llm, FRANCE)
    ask(own_llm, FRANCE)
    assert len(openai_server.requests) == 2


def test_errors_are_not_kept(ops, llm, openai_server, ask):
    own_llm = guard_llm(llm(), MODEL_POLICY.replace(retry=None), ops=ops)
    openai_server.reply = lambda body: {"status": 400}
    with pytest.raises(Exception, match="400"):
        ask(own_llm, FRANCE)
    openai_server.reply = lambda body: "Paris"
    assert ask(own_llm, FRANCE) == "Paris"


def test_callables_of_a_policy_get_what_users_know(ops, llm, openai_server):
    seen: list[Any] = []

    def note(value: Any) -> bool:
        seen.append(value)
        return True

    own_llm = guard_llm(llm(), MODEL_POLICY.replace(cache=Cache(when=note)), ops=ops)
    own_llm.call(FRANCE)
    openai_server.reply = lambda body: '{"city": "Paris", "inhabitants": 2}'
    own_llm.call(FRANCE, response_model=Capital)
    openai_server.reply = lambda body: [CALL]
    own_llm.call(FRANCE, tools=TOOLS)
    assert seen[:2] == [FRANCE, {"city": "Paris", "inhabitants": 2}]
    assert seen[2][0]["function"]["name"] == "quote"


def test_prices_are_counted_and_saved(ops, llm, events):
    own_llm = guard_llm(llm(), MODEL_POLICY.replace(price=len), ops=ops)
    own_llm.call("four")
    own_llm.call("four")
    assert [(event.price, event.saved_price) for event in events] == [(4, 0), (0, 4)]


# Tools that the model itself runs


def test_calls_that_run_tools_are_made_every_time(own_llm, openai_server, ask, events):
    ran: list[str] = []

    def quote(ticker: str) -> str:
        ran.append(ticker)
        return f"{ticker} is 1"

    openai_server.reply = lambda body: [CALL]
    given = {"tools": TOOLS, "available_functions": {"quote": quote}}
    assert ask(own_llm, FRANCE, **given) == ask(own_llm, FRANCE, **given) == "A is 1"
    assert ran == ["A", "A"]
    assert outcomes(events) == ["bypass", "bypass"]


def test_a_tool_that_the_model_runs_may_ask_the_model(own_llm, openai_server, events):
    openai_server.reply = lambda body: [CALL] if body.get("tools") else "inner"
    given = {
        "tools": TOOLS,
        "available_functions": {"quote": lambda ticker: own_llm.call(ticker)},
    }
    assert own_llm.call(FRANCE, **given) == "inner"
    assert own_llm.call(FRANCE, **given) == "inner"
    assert outcomes(events) == ["miss", "bypass", "hit", "bypass"]


def test_calls_that_run_tools_are_not_tried_again(own_llm, openai_server):
    openai_server.reply = lambda body: {"status": 500}
    with pytest.raises(Exception, match="500"):
        own_llm.call(FRANCE, tools=TOOLS, available_functions={"quote": print})
    assert len(openai_server.requests) == 1


# Failures


def test_under_a_rate_limit_the_policy_alone_tries_again(ops, llm, openai_server, ask, events):
    fast = MODEL_POLICY.replace(retry=Retry(attempts=3, wait=0.0))
    own_llm = guard_llm(llm(), fast, ops=ops)
    openai_server.reply = lambda body: {"status": 429}
    with pytest.raises(Exception, match="429"):
        ask(own_llm, FRANCE)
    assert len(openai_server.requests) == 3
    assert [(event.outcome, event.attempts) for event in events] == [("error", 3)]


def test_without_a_retry_crewai_tries_again_inside_one_call(ops, events):
    class LimitedError(Exception):
        status_code = 429

        def __init__(self) -> None:
            self.headers = {"retry-after": "0"}

    tried: list[Any] = []

    class Own(BaseLLM):
        def call(self, messages, **kwargs):
            tried.append(messages)
            if len(tried) < 3:
                raise LimitedError
            return "yes"

    own_llm = guard_llm(Own(model="own"), MODEL_POLICY.replace(retry=None), ops=ops)
    assert own_llm.call("hi") == "yes"
    assert len(tried) == 3
    assert [(event.outcome, event.attempts) for event in events] == [("miss", 1)]


@pytest.mark.parametrize("status", [400, 404])
def test_what_no_attempt_can_mend_is_not_tried_again(ops, llm, openai_server, ask, status):
    fast = MODEL_POLICY.replace(retry=Retry(attempts=3, wait=0.0))
    own_llm = guard_llm(llm(), fast, ops=ops)
    openai_server.reply = lambda body: {"status": status}
    with pytest.raises(Exception, match=r"40[04]|not found"):
        ask(own_llm, FRANCE)
    assert len(openai_server.requests) == 1


def test_retries_among_the_parameters_of_a_client_are_warned_about(ops, llm):
    with pytest.warns(UserWarning, match="max_retries=4"):
        guard_llm(llm(client_params={"max_retries": 4}), ops=ops)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        guard_llm(llm(max_retries=2, client_params={"max_retries": 0}), ops=ops)


def test_a_breaker_stands_before_the_provider(ops, llm, openai_server, ask):
    policy = Policy(breaker=CircuitBreaker(failure_rate=0.5, min_calls=2, window=2))
    own_llm = guard_llm(llm(), policy, ops=ops)
    openai_server.reply = lambda body: {"status": 500}
    for _ in range(2):
        with pytest.raises(Exception, match="500"):
            ask(own_llm, FRANCE)
    with pytest.raises(CircuitOpen):
        ask(own_llm, FRANCE)
    assert len(openai_server.requests) == 2


def test_an_answer_that_does_not_fit_does_not_speak_against_the_provider(
    ops, llm, openai_server, ask
):
    policy = Policy(breaker=CircuitBreaker(failure_rate=0.5, min_calls=2, window=2))
    own_llm = guard_llm(llm(), policy, ops=ops)
    openai_server.reply = lambda body: "no JSON"
    for _ in range(3):
        with pytest.raises(ValidationError):
            ask(own_llm, FRANCE, response_model=Capital)
    openai_server.reply = lambda body: "Paris"
    assert ask(own_llm, FRANCE) == "Paris"


def test_a_fallback_stands_in(ops, llm, openai_server, ask):
    own_llm = guard_llm(llm(), Policy(cache=Cache(), fallback="I cannot say."), ops=ops)
    openai_server.reply = lambda body: {"status": 400}
    assert ask(own_llm, FRANCE) == "I cannot say."
    openai_server.reply = lambda body: "Paris"
    assert ask(own_llm, FRANCE) == "Paris"


def test_a_refresh_goes_on_behind_the_answer():
    clock = FakeClock()
    begun, gate = Latch(), Latch()
    seen: list[Any] = []

    class Slow(BaseLLM):
        def call(self, messages, from_agent=None, **kwargs):
            if seen:
                begun.open()
                gate.wait()
            seen.append((list(messages), from_agent))
            return f"answer {len(seen)}"

    with ToolOps(tiers=[Memory(clock=clock)], clock=clock) as ops:
        policy = Policy(cache=Cache(ttl=10, stale_ttl=100, jitter=0, beta=0))
        own_llm = guard_llm(Slow(model="slow"), policy, ops=ops)
        messages = [{"role": "user", "content": FRANCE}]
        agent = SimpleNamespace(id="1", role="Analyst")
        own_llm.call(messages, from_agent=agent)
        clock.advance(11)
        assert own_llm.call(messages, from_agent=agent) == "answer 1"
        begun.wait()
        messages.append({"role": "assistant", "content": "an agent goes on"})
        gate.open()
        wait_for(lambda: len(seen) == 2, "the refresh")
        # It reads what was asked, for nobody in particular.
        assert seen[1] == (messages[:1], None)
        wait_for(lambda: own_llm.call(messages[:1]) == "answer 2", "its answer")


# Questions in other words


def test_questions_in_other_words_share_an_answer(llm, openai_server, tmp_path, ask):
    def conversation(text: str, before: str = "You are kind.") -> list[Any]:
        return [{"role": "system", "content": before}, {"role": "user", "content": text}]

    with ToolOps(semantic=SemanticCache(path=tmp_path)) as ops:
        policy = MODEL_POLICY.replace(semantic=Semantic(on="question", threshold=0.8))
        own_llm = guard_llm(llm(), policy, ops=ops)
        assert ask(own_llm, conversation(FRANCE)) == FRANCE
        assert ask(own_llm, conversation(AGAIN)) == FRANCE
        assert ask(own_llm, conversation(AGAIN, "You are rude.")) == AGAIN
        assert ask(own_llm, conversation("What is the capital of Peru?")) != FRANCE
    assert len(openai_server.requests) == 3


@pytest.mark.parametrize("after_tools", [False, True])
def test_a_turn_behind_tools_has_a_question_if_told_so(llm, openai_server, tmp_path, after_tools):
    def turn(text: str) -> list[Any]:
        call = {"id": "1", "type": "function", "function": {"name": "q", "arguments": "{}"}}
        return [
            {"role": "user", "content": text},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "Paris"},
        ]

    with ToolOps(semantic=SemanticCache(path=tmp_path)) as ops:
        policy = MODEL_POLICY.replace(semantic=Semantic(on="question", threshold=0.8))
        own_llm = guard_llm(llm(), policy, ops=ops, after_tools=after_tools)
        own_llm.call(turn(FRANCE))
        own_llm.call(turn(AGAIN))
    assert len(openai_server.requests) == 2 - after_tools


# Hooks


def test_hooks_run_once_for_each_call(own_llm, openai_server, ask):
    seen: list[str] = []

    def before(context: Any) -> None:
        seen.append("before")
        context.messages.append({"role": "user", "content": "Be brief."})

    def after(context: Any) -> str:
        seen.append("after")
        return context.response.upper()

    register_before_llm_call_hook(before)
    register_after_llm_call_hook(after)
    messages = [{"role": "user", "content": FRANCE}]
    assert [ask(own_llm, messages), ask(own_llm, FRANCE)] == ["BE BRIEF."] * 2
    assert seen == ["before", "after"] * 2
    assert len(messages) == 1
    assert len(openai_server.requests) == 1
    assert len(openai_server.requests[0]["messages"]) == 2


def test_a_hook_may_refuse_a_hit(own_llm, openai_server, ask):
    ask(own_llm, FRANCE)
    register_before_llm_call_hook(lambda context: False)
    with pytest.raises(LLMCallBlockedError):
        ask(own_llm, FRANCE)
    assert len(openai_server.requests) == 1


def test_a_denial_of_a_models_own_is_no_failure(ops, events):
    denied: list[Any] = []

    class Own(BaseLLM):
        def call(self, messages, **kwargs):
            denied.append(messages)
            raise LLMCallBlockedError("no")

    own_llm = guard_llm(Own(model="own"), ops=ops)
    with pytest.raises(LLMCallBlockedError):
        own_llm.call("hi")
    assert len(denied) == 1
    assert outcomes(events) == ["miss"]


# Classes of users


class Counting(BaseLLM):
    """As CrewAI's guide writes one: attributes, and no fields."""

    def __init__(self, endpoint: str = "here") -> None:
        super().__init__(model="counting")
        self.endpoint = endpoint
        self.calls = 0
        self.log: list[Any] = []
        self._lock = threading.Lock()

    def call(
        self,
        messages,
        tools=None,
        callbacks=None,
        available_functions=None,
        from_task=None,
        from_agent=None,
        response_model=None,
    ):
        self.calls += 1
        self.log.append(messages)
        return f"{self.endpoint} {self.calls}"


def test_a_class_of_the_users_own(ops, events):
    own_llm = guard_llm(Counting(), ops=ops)
    assert [own_llm.call("hi"), own_llm.call("hi", None, [])] == ["here 1"] * 2
    assert own_llm.call("ho") == "here 2"
    assert own_llm.calls == 2
    assert events[0].name == "Counting:counting"


def test_its_attributes_tell_it_apart(ops):
    first, second = guard_llm(Counting(), ops=ops), guard_llm(Counting("there"), ops=ops)
    assert [first.call("hi"), second.call("hi")] == ["here 1", "there 1"]
    other = copy.copy(first)
    other.endpoint = "elsewhere"
    assert other.call("hi") == "elsewhere 2"
    assert first.call("hi") == "here 1"
    first.endpoint = "elsewhere"
    assert first.call("hi") == "elsewhere 2"


def test_its_fields_tell_it_apart(ops):
    class Fielded(BaseLLM):
        place: str = "here"
        hidden: object = Field(default=None, exclude=True)
        _calls: int = PrivateAttr(default=0)

        def call(self, messages, **kwargs):
            self._calls += 1
            return f"{self.place} {self._calls}"

    first = guard_llm(Fielded(model="own", hidden=object()), ops=ops)
    second = guard_llm(Fielded(model="own", place="there"), ops=ops)
    assert [first.call("hi"), first.call("hi"), second.call("hi")] == [
        "here 1",
        "here 1",
        "there 1",
    ]


def test_what_it_keeps_to_itself_tells_it_apart(ops):
    class Hiding(BaseLLM):
        persona: str = Field(default="", exclude=True)
        _accent: str = PrivateAttr(default="")

        def call(self, messages, **kwargs):
            return f"{self.persona} {self._accent}"

    def model_of(persona: str, accent: str) -> Any:
        made = Hiding(model="own", persona=persona)
        made._accent = accent
        return guard_llm(made, ops=ops)

    given = [("rude", "north"), ("kind", "north"), ("kind", "south")]
    assert [model_of(*each).call("hi").split() for each in given] == [list(each) for each in given]
    changed = model_of("kind", "south")
    changed._accent = "west"
    assert changed.call("hi") == "kind west"


@pytest.mark.parametrize("private", [False, True])
def test_a_model_that_asks_another_is_told_apart_by_it(ops, private):
    class Inner(BaseLLM):
        place: str

        def call(self, messages, **kwargs):
            return self.place

    class Outer(BaseLLM):
        inner: Any = None
        _inner: Any = PrivateAttr(default=None)

        def call(self, messages, **kwargs):
            return (self.inner or self._inner).call(messages)

    def outer_model(place: str) -> Any:
        inner = Inner(model="inner", place=place)
        made = Outer(model="outer", inner=None if private else inner)
        made._inner = inner
        return guard_llm(made, ops=ops)

    assert [outer_model(place).call("hi") for place in ("here", "there")] == ["here", "there"]


def test_what_a_copy_is_made_with_tells_it_apart(ops):
    first = guard_llm(Counting(), ops=ops)
    other = first.model_copy(update={"endpoint": "there"})
    assert [first.call("hi"), other.call("hi")] == ["here 1", "there 1"]
    assert first.model_copy().call("hi") == "here 1"


def test_what_has_no_canonical_form_goes_past_the_cache(ops, events):
    class Odd(BaseLLM):
        client: object = None

        def call(self, messages, **kwargs):
            return "yes"

    own_llm = guard_llm(Odd(model="odd", client=object()), ops=ops)
    own_llm.call("hi")
    assert outcomes(events) == ["bypass"]


def test_it_may_say_its_key_itself(ops, events):
    class Said(BaseLLM):
        client: object = None

        def __toolops_key__(self):
            return self.model

        def call(self, messages, **kwargs):
            return "yes"

    for _ in range(2):
        guard_llm(Said(model="said", client=object()), ops=ops).call("hi")
    assert outcomes(events) == ["miss", "hit"]


def test_a_model_that_is_not_asynchronous_stays_so(ops):
    own_llm = guard_llm(Counting(), ops=ops)
    with pytest.raises(NotImplementedError):
        asyncio.run(own_llm.acall("hi"))
    assert own_llm.call("hi") == "here 1"


def test_a_class_that_calls_its_parent_is_guarded_once(ops, llm, openai_server, events, ask):
    class Polite(OpenAICompletion):
        def call(self, messages, *args, **kwargs):
            return "Please: " + super().call(messages, *args, **kwargs)

        async def acall(self, messages, *args, **kwargs):
            return "Please: " + await super().acall(messages, *args, **kwargs)

    given = {"model": "gpt-4o", "api_key": "sk", "base_url": openai_server.url, "max_retries": 0}
    fast = MODEL_POLICY.replace(retry=Retry(attempts=2, wait=0.0))
    own_llm = guard_llm(Polite(**given), fast, ops=ops)
    assert ask(own_llm, "hi") == ask(own_llm, "hi") == "Please: hi"
    assert outcomes(events) == ["miss", "hit"]
    openai_server.reply = lambda body: {"status": 429}
    with pytest.raises(Exception, match="429"):
        ask(own_llm, "ho")
    assert len(openai_server.requests) == 3


def test_what_no_event_can_hold_is_no_obstacle(ops):
    own_llm = guard_llm(Counting(), ops=ops)
    messages = [{"role": "user", "content": "hi"}]
    assert [own_llm.call(messages, tools=["a tool"]) for _ in range(2)] == ["here 1"] * 2


@pytest.mark.parametrize("given", [{}, {"response_format": "text"}])
def test_a_class_that_hands_its_arguments_on_is_guarded(ops, llm, openai_server, given):
    class Open(OpenAICompletion):
        def call(self, *args, **kwargs):
            kwargs.pop("response_format", None)
            return super().call(*args, **kwargs)

    options = {"model": "gpt-4o", "api_key": "sk", "base_url": openai_server.url, "max_retries": 0}
    own_llm = guard_llm(Open(**options), ops=ops)
    assert own_llm.call("hi", None, **given) == own_llm.call(messages="hi", **given) == "hi"
    assert len(openai_server.requests) == 1
    openai_server.reply = lambda body: [CALL]
    for _ in range(2):
        assert own_llm.call("hi", TOOLS, None, {"quote": lambda ticker: ticker}) == "A"
    assert len(openai_server.requests) == 3


def test_a_class_that_takes_keywords_alone_is_guarded(ops):
    class Bare(BaseLLM):
        def call(self, **kwargs):
            return str(kwargs["messages"])

    own_llm = guard_llm(Bare(model="bare"), ops=ops)
    assert [own_llm.call(messages="hi"), own_llm.call(messages="ho")] == ["hi", "ho"]


def test_a_model_that_asks_itself_is_guarded_once(ops, events):
    class Twice(BaseLLM):
        def call(self, messages, tools=None, **kwargs):
            return "yes" if tools is None else self.call(messages)

    own_llm = guard_llm(Twice(model="twice"), ops=ops)
    assert own_llm.call("hi", tools=[]) == "yes"
    assert outcomes(events) == ["miss"]


def test_arguments_that_do_not_fit_are_the_models_to_refuse(own_llm):
    with pytest.raises(TypeError, match="nonsense"):
        own_llm.call("hi", nonsense=1)
