"""guard_llm: what a policy does to models, alone and among many callers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from callers import Latch
from llama_calls import FRANCE, read, user
from llama_index.core.agent.react.formatter import ReActChatFormatter
from llama_index.core.agent.react.types import ActionReasoningStep, ObservationReasoningStep
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    MessageRole,
)
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel, ValidationError
from servers import wait_for

from llama_index.callbacks.toolops.llms import MODEL_POLICY, guard_llm
from llama_index.callbacks.toolops.prices import ModelPrices
from toolops_plugins import (
    Bulkhead,
    Cache,
    CircuitBreaker,
    CircuitOpen,
    ConfigurationError,
    Hedge,
    Policy,
    RateLimit,
    Retry,
    Semantic,
    SemanticCache,
    Timeout,
    ToolOps,
)
from toolops_plugins.testing import FakeClock

AGAIN = "what's the capital of France"


WAYS: dict[str, Callable[..., Any]] = {
    "chat": lambda m, text: m.chat(user(text)),
    "achat": lambda m, text: asyncio.run(m.achat(user(text))),
    "stream_chat": lambda m, text: list(m.stream_chat(user(text)))[-1],
    "astream_chat": lambda m, text: asyncio.run(read(m.astream_chat(user(text))))[-1],
    "complete": lambda m, text: m.complete(text),
    "acomplete": lambda m, text: asyncio.run(m.acomplete(text)),
    "stream_complete": lambda m, text: list(m.stream_complete(text))[-1],
    "astream_complete": lambda m, text: asyncio.run(read(m.astream_complete(text)))[-1],
}


# One endpoint of each kind, in threads and on loops: policies hold alike for all.
@pytest.fixture(params=["chat", "acomplete", "stream_complete", "astream_chat"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return WAYS[request.param]


def text_of(response: Any) -> str:
    return response.text if isinstance(response, CompletionResponse) else response.message.content


# Resilience


def test_a_failure_is_tried_again(ops, llm, openai_server, ask):
    failures = [{"status": 500}, {"status": 429}]
    openai_server.reply = lambda body: failures.pop() if failures else "Paris"
    policy = MODEL_POLICY.replace(retry=Retry(attempts=3, wait=0))
    assert text_of(ask(guard_llm(llm(), policy, ops=ops), FRANCE)) == "Paris"
    assert len(openai_server.requests) == 3


def test_what_the_client_did_wrong_is_not_tried_again(ops, llm, openai_server, ask):
    openai_server.reply = lambda body: {"status": 401}
    with pytest.raises(Exception, match="401"):
        ask(guard_llm(llm(), ops=ops), FRANCE)
    assert len(openai_server.requests) == 1


def test_a_breaker_opens(ops, llm, openai_server, ask):
    openai_server.reply = lambda body: {"status": 500}
    policy = Policy(breaker=CircuitBreaker(window=2, min_calls=2))
    model = guard_llm(llm(), policy, ops=ops)
    for _ in range(2):
        with pytest.raises(Exception, match="500"):
            ask(model, FRANCE)
    with pytest.raises(CircuitOpen):
        ask(model, FRANCE)
    assert len(openai_server.requests) == 2


def test_stale_answers_stand_in_for_errors(llm, openai_server, ask):
    clock = FakeClock()
    with ToolOps(clock=clock) as ops:
        policy = Policy(cache=Cache(ttl=10, stale_if_error=100, jitter=0, beta=0))
        model = guard_llm(llm(), policy, ops=ops)
        ask(model, FRANCE)
        clock.advance(20)
        openai_server.reply = lambda body: {"status": 500}
        stale = ask(model, FRANCE)
        assert text_of(stale) == FRANCE
        assert stale.additional_kwargs["toolops"] == {"hit": True}


@pytest.mark.parametrize("fallback", ["Ask me later.", lambda error: "Ask me later."])
def test_a_fallback_is_a_text(ops, llm, openai_server, ask, fallback):
    openai_server.reply = lambda body: {"status": 500}
    model = guard_llm(llm(), Policy(cache=Cache(), fallback=fallback), ops=ops)
    response = ask(model, FRANCE)
    assert text_of(response) == "Ask me later."
    assert "toolops" not in response.additional_kwargs
    assert isinstance(response, ChatResponse | CompletionResponse)


@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat", "astream_chat"])
def test_a_fallback_is_a_response(ops, llm, openai_server, way):
    openai_server.reply = lambda body: {"status": 500}
    later = ChatResponse(message=ChatMessage(role="assistant", content="Later."))
    model = guard_llm(llm(), Policy(fallback=later), ops=ops)
    delta = "Later." if "stream" in way else None  # of a stream it is all that comes
    assert WAYS[way](model, FRANCE) == later.model_copy(update={"delta": delta})


class Counting(BaseRateLimiter, BaseModel):
    """Counts how often it was asked."""

    asked: int = 0

    def acquire(self, num_tokens: int = 0) -> None:
        self.asked += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.asked += 1


def test_a_first_chunk_that_comes_too_late_is_not_read(ops, echo):
    late, taken = Latch(), Latch()

    class Chunk(CompletionResponse):
        def model_copy(self, **kwargs: Any) -> Any:  # as it is when somebody has it
            taken.open()
            return super().model_copy(**kwargs)

    class Slow(type(echo())):
        def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
            late.wait()
            yield Chunk(text="late", delta="late")

    def fallback() -> str:
        late.open()
        taken.wait()
        return "Sorry."

    policy = Policy(timeout=Timeout(0.2), fallback=fallback)
    chunks = list(guard_llm(Slow(), policy, ops=ops).stream_complete(FRANCE))
    assert chunks[-1].text == "Sorry."


def test_the_models_own_rate_limiter_is_asked_for_real_calls_only(ops, llm, ask):
    limiter = Counting()
    plain = llm()
    plain.rate_limiter = limiter
    model = guard_llm(plain, ops=ops)
    for _ in range(3):
        ask(model, FRANCE)
    assert limiter.asked == 1


def test_the_rest_of_a_policy_has_its_place(ops, llm, ask):
    policy = Policy(
        cache=Cache(),
        bulkhead=Bulkhead(2),
        hedge=Hedge(),
        rate_limit=RateLimit("100/s"),
        price=0.5,
    )
    ask(guard_llm(llm(), policy, ops=ops), FRANCE)
    assert ops.stats().total.spent == 0.5


def test_callables_of_a_policy_see_responses(ops, llm, openai_server, ask):
    seen: list[Any] = []

    def price(result: Any) -> float:
        seen.append(result)
        return 0.25

    def when(result: Any) -> bool:
        seen.append(result)
        return False

    model = guard_llm(llm(), Policy(cache=Cache(when=when), price=price), ops=ops)
    for _ in range(2):
        ask(model, FRANCE)
    assert len(openai_server.requests) == 2
    assert ops.stats().total.spent == 0.5
    for result in seen:
        last = result[-1] if isinstance(result, list) else result
        assert text_of(last) == FRANCE
        assert type(last.raw).__module__.startswith("openai.types.")


@pytest.mark.parametrize("way", ["chat", "stream_chat", "acomplete", "astream_complete"])
def test_tokens_are_priced_every_way(ops, llm, way):
    prices = ModelPrices({"gpt-4o-mini": (1_000_000.0, 0.0)})
    usage = {"stream_options": {"include_usage": True}}
    policy = MODEL_POLICY.replace(price=prices)
    model = guard_llm(llm(additional_kwargs=usage), policy, ops=ops, usage_on_hit="keep")
    for _ in range(2):
        tokens = WAYS[way](model, FRANCE).additional_kwargs["prompt_tokens"]
    total = ops.stats().total
    assert (total.spent, total.saved_price) == (tokens, tokens)
    assert tokens > 0


@pytest.mark.parametrize("way", ["stream_chat", "astream_complete"])
def test_a_stream_that_tells_no_tokens_costs_nothing(ops, llm, way):
    prices = ModelPrices({"gpt-4o-mini": (1_000_000.0, 0.0)})
    model = guard_llm(llm(), price=prices, ops=ops)
    WAYS[way](model, FRANCE)
    assert ops.stats().total.spent == 0.0
    model.additional_kwargs = {"stream_options": {"include_usage": True}}
    WAYS[way](model, FRANCE)
    assert ops.stats().total.spent > 0.0


def test_parts_of_a_policy_by_name_win_and_add_to_the_default(ops, llm, openai_server, ask):
    model = guard_llm(llm(), ops=ops, cache=None, fallback="later")
    for _ in range(2):
        assert text_of(ask(model, FRANCE)) == FRANCE
    assert len(openai_server.requests) == 2
    openai_server.reply = lambda body: 500
    assert text_of(ask(model, FRANCE)) == "later"
    assert len(openai_server.requests) == 2 + MODEL_POLICY.retry.attempts
    own = guard_llm(llm(), Policy(cache=Cache(ttl=60)), ops=ops, cache=None, coalesce=False)
    openai_server.reply = lambda body: {"content": "own"}
    assert [text_of(ask(own, FRANCE)) for _ in range(2)] == ["own"] * 2
    with pytest.raises(ConfigurationError, match="cahce"):
        guard_llm(llm(), ops=ops, cahce=None)


# SemanticKeyer


@pytest.fixture
def semantic_ops(tmp_path: Path) -> Iterator[ToolOps]:
    with ToolOps(semantic=SemanticCache(path=tmp_path)) as ops:
        yield ops


BY_MEANING = MODEL_POLICY.replace(semantic=Semantic(on="question", threshold=0.8))


def test_questions_in_other_words_share_an_answer(semantic_ops, llm, openai_server, ask):
    model = guard_llm(llm(), BY_MEANING, ops=semantic_ops)
    assert text_of(ask(model, FRANCE)) == FRANCE
    assert text_of(ask(model, AGAIN)) == FRANCE
    assert len(openai_server.requests) == 1


def test_only_the_last_user_text_is_compared(semantic_ops, llm, openai_server):
    model = guard_llm(llm(), BY_MEANING, ops=semantic_ops)
    french = ChatMessage(role=MessageRole.SYSTEM, content="Answer in French.")
    for before in ([], [french], user("Hello.")):
        model.chat([*before, *user(FRANCE)])
    assert len(openai_server.requests) == 3
    for before in ([], [french], user("Hello.")):
        assert model.chat([*before, *user(AGAIN)]).message.content == FRANCE
    model.temperature = 0.9
    model.chat(user(AGAIN))
    assert len(openai_server.requests) == 4


def result_of(question: str) -> list[ChatMessage]:
    return [
        *user(question),
        ChatMessage(role=MessageRole.ASSISTANT, content="Let me see."),
        ChatMessage(role=MessageRole.TOOL, content="Paris", additional_kwargs={"tool_call_id": 1}),
    ]


@pytest.mark.parametrize(("after_tools", "requests"), [(False, 2), (True, 1)])
def test_after_a_tools_result_there_is_no_question(
    semantic_ops, llm, openai_server, after_tools, requests
):
    model = guard_llm(llm(), BY_MEANING, ops=semantic_ops, after_tools=after_tools)
    for question in (FRANCE, AGAIN):
        model.chat(result_of(question))
    assert len(openai_server.requests) == requests


def test_what_a_react_agent_has_observed_is_no_question(semantic_ops, echo):
    model = guard_llm(echo(), BY_MEANING, ops=semantic_ops)
    for result in (FRANCE, AGAIN):  # which are as good as equal, as results seldom are
        steps = [
            ActionReasoningStep(thought="Look.", action="look", action_input={}),
            ObservationReasoningStep(observation=result),
        ]
        model.chat(ReActChatFormatter().format([], user(FRANCE), steps))
    assert model.calls == 2


def test_a_formatted_prompt_is_only_looked_up_exactly(semantic_ops, echo):
    model = guard_llm(echo(), BY_MEANING, ops=semantic_ops)
    for question in (FRANCE, AGAIN, AGAIN):
        model.complete(f"Be brief.\n\n{question}", formatted=True)
    assert model.calls == 2


# Many callers


@pytest.mark.parametrize("way", ["chat", "stream_chat", "complete"])
def test_fifty_threads_ask_once(model, openai_server, events, way):
    openai_server.gate = gate = Latch()
    with ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(WAYS[way], model, FRANCE) for _ in range(50)]
        wait_for(lambda: len(openai_server.requests) == 1, "the request")
        gate.open()
        answers = [each.result(20) for each in asked]
    assert {text_of(answer) for answer in answers} == {FRANCE}
    assert len({id(answer) for answer in answers}) == 50
    assert len(openai_server.requests) == 1


@pytest.mark.parametrize("streams", [False, True])
async def test_fifty_tasks_ask_once(model, openai_server, streams):
    async def one() -> Any:
        if streams:
            return (await read(model.astream_chat(user(FRANCE))))[-1]
        return await model.achat(user(FRANCE))

    answers = await asyncio.gather(*(one() for _ in range(50)))
    assert {text_of(answer) for answer in answers} == {FRANCE}
    assert len(openai_server.requests) == 1


def test_threads_and_loops_share_a_call_of_a_custom_model(ops, echo, events):
    model = guard_llm(echo(), ops=ops)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(WAYS[way], model, FRANCE) for way in ("chat", "achat") * 4]
        assert len({text_of(each.result(20)) for each in asked}) == 1
    assert model.calls == 1


def test_a_slow_reader_and_a_quick_one_share_a_stream(model, openai_server):
    slow = model.stream_chat(user(FRANCE))
    next(slow)
    quick = list(model.stream_chat(user(FRANCE)))
    rest = list(slow)
    assert text_of(rest[-1]) == text_of(quick[-1]) == FRANCE
    assert [chunk.delta for chunk in rest] == [chunk.delta for chunk in quick[1:]]
    assert len(openai_server.requests) == 1


def test_who_began_a_stream_may_leave_it_to_others(model, openai_server):
    first = model.stream_chat(user(FRANCE))
    next(first)
    second = model.stream_chat(user(FRANCE))
    next(second)
    first.close()
    assert text_of(list(second)[-1]) == FRANCE
    assert list(model.stream_chat(user(FRANCE)))
    assert len(openai_server.requests) == 1


async def test_a_caller_that_leaves_harms_nobody(model, openai_server):
    openai_server.gate = gate = Latch()
    tasks = [asyncio.create_task(model.achat(user(FRANCE))) for _ in range(3)]
    await asyncio.to_thread(wait_for, lambda: openai_server.requests, "the request")
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    gate.open()
    assert [text_of(await task) for task in tasks[1:]] == [FRANCE] * 2
    assert len(openai_server.requests) == 1


# What is warned of, and what is refused


def test_what_cannot_be_guarded_is_refused(ops, model, llm):
    class City(BaseModel):
        name: str

    with pytest.raises(ConfigurationError, match="guarded already"):
        guard_llm(model, ops=ops)
    with pytest.raises(ConfigurationError, match="guard its model"):
        guard_llm(llm().as_structured_llm(City), ops=ops)
    with pytest.raises(ConfigurationError, match="must be an LLM"):
        guard_llm("gpt-4o-mini", ops=ops)
    with pytest.raises(ConfigurationError, match="make one of the class"):
        guard_llm(OpenAI, ops=ops)
    with pytest.raises(ConfigurationError, match=r"Policy\(cache=...\)"):
        guard_llm(llm(), Cache(), ops=ops)
    with pytest.raises(ConfigurationError, match="ops"):
        guard_llm(llm(), ops="redis://")
    with pytest.raises(ConfigurationError, match="usage_on_hit"):
        guard_llm(llm(), ops=ops, usage_on_hit="half")
    with pytest.raises(ConfigurationError, match="semantic"):
        guard_llm(llm(), BY_MEANING, ops=ops)


@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat", "astream_chat"])
@pytest.mark.parametrize("wrong", ["hello", ChatMessage("hello"), 5])
def test_what_is_no_conversation_is_left_to_the_model_to_refuse(ops, llm, way, wrong):
    def refusal(model):
        async def ask():
            answer = await getattr(model, way)(wrong)
            return [chunk async for chunk in answer] if way == "astream_chat" else answer

        with pytest.raises(ValidationError) as caught:
            asyncio.run(ask()) if way.startswith("a") else list(getattr(model, way)(wrong))
        return str(caught.value)

    assert refusal(guard_llm(llm(), ops=ops, breaker=None)) == refusal(llm())


@pytest.mark.parametrize("planted", ["text", ["a"], ChatMessage("x")])
def test_an_entry_of_another_kind_is_no_answer(ops, llm, openai_server, ask, planted, events):
    policy = Policy(cache=Cache())
    model = guard_llm(llm(), policy, ops=ops)
    guard = type(model).__toolops_guard__
    for asked in (
        guard._chat(model, "chat", user(FRANCE), {}).question(),
        guard._completion(model, "complete", FRANCE, False, {}).question(),
    ):

        def plant(question, scope, own):
            return planted

        def plant_chunks(question, scope, own):
            yield planted

        for function, kind in ((plant, ""), (plant_chunks, " stream")):
            name = f"openai:gpt-4o-mini{kind}"
            told = ops.tool(function, name=name, policy=policy, ignore=["own"])(*asked, None)
            if kind:
                list(told)
    before = len(openai_server.requests)
    assert text_of(ask(model, FRANCE)) == FRANCE
    assert len(openai_server.requests) == before + 1
    assert events[-1].outcome == "hit"


def test_a_runtime_that_is_switched_off_leaves_the_model_alone(ops, llm, openai_server, ask):
    model = guard_llm(llm(), ops=ops)
    ops.active = False
    for _ in range(2):
        assert text_of(ask(model, FRANCE)) == FRANCE
    assert len(openai_server.requests) == 2
