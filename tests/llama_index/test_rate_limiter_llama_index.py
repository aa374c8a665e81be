"""ToolOpsRateLimiter: turns for LlamaIndex's models, and tokens that are counted afterwards."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from callers import start
from llama_index.core import MockEmbedding
from llama_index.core.llms import ChatMessage
from llama_index.core.rate_limiter import BaseRateLimiter, TokenBucketRateLimiter
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index_instrumentation import root_dispatcher

from llama_index.callbacks.toolops.embeddings import guard_embedding
from llama_index.callbacks.toolops.rate_limiter import ToolOpsRateLimiter
from toolops_plugins import ConfigurationError, RateLimit, RateLimited, ToolOps
from toolops_plugins.testing import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def ops(clock):
    return ToolOps("limits", clock=clock)


@pytest.fixture(params=["sync", "async"])
def face(request):
    """Calls a method by either twin."""

    def call(thing: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if request.param == "sync":
            return getattr(thing, method)(*args, **kwargs)
        prefix = "async_" if method == "acquire" else "a"
        return asyncio.run(getattr(thing, f"{prefix}{method}")(*args, **kwargs))

    return call


def says(*, total: int):
    """A reply whose usage is as given."""
    usage = {"prompt_tokens": total - 1, "completion_tokens": 1, "total_tokens": total}
    return lambda body: {"content": "told", "usage": usage}


# -- turns


def test_a_caller_sleeps_once_until_its_turn(face, ops, clock):
    limiter = ToolOpsRateLimiter(RateLimit("60/min", burst=2), ops)
    assert isinstance(limiter, BaseRateLimiter)
    assert [face(limiter, "acquire") for _ in range(4)] == [None] * 4
    assert clock.slept == [1.0, 1.0]


def test_a_wait_that_would_be_too_long_is_an_error(face, ops, clock):
    limiter = ToolOpsRateLimiter(RateLimit("60/min", burst=1, wait=0.5), ops)
    face(limiter, "acquire")
    with pytest.raises(RateLimited) as caught:
        face(limiter, "acquire")
    assert caught.value.retry_after == pytest.approx(0.5)
    clock.advance(0.6)
    face(limiter, "acquire")
    assert clock.slept == [pytest.approx(0.4)]


def test_threads_never_get_more_than_the_limit(ops):
    limiter = ToolOpsRateLimiter(RateLimit("8/h", wait=0), ops)

    def turn() -> bool:
        try:
            limiter.acquire()
        except RateLimited:
            return False
        return True

    callers = [start(turn) for _ in range(32)]
    assert sum(caller.result() for caller in callers) == 8


def test_a_name_is_shared_with_tools_of_the_runtime(ops):
    limit = RateLimit("2/min", wait=0, name="openai")

    @ops.tool(rate_limit=limit)
    def call():
        return "called"

    limiter = ToolOpsRateLimiter(limit, ops)
    again = ToolOpsRateLimiter(limit, ops, name="another, which gives way to the limit's own")
    assert call() == "called"
    again.acquire()
    with pytest.raises(RateLimited):
        limiter.acquire()
    with pytest.raises(RateLimited):
        call()
    with pytest.raises(ConfigurationError, match="openai"):
        ToolOpsRateLimiter("3/min", ops, name="openai")


def test_what_is_no_limit_is_refused(ops):
    with pytest.raises(ConfigurationError, match="limit: comes first"):
        ToolOpsRateLimiter(ops, "60/min")
    for wrong in (60, None):
        with pytest.raises(ConfigurationError, match="limit"):
            ToolOpsRateLimiter(wrong, ops)
    with pytest.raises(ConfigurationError, match="cost"):
        ToolOpsRateLimiter(RateLimit("60/min", cost=len), ops)
    for wrong in (9.5, RateLimit("60/min", cost=2)):
        with pytest.raises(ConfigurationError, match="tokens"):
            ToolOpsRateLimiter("60/min", ops, tokens=wrong)


async def test_who_gives_up_gives_its_turn_back(ops, clock):
    limiter = ToolOpsRateLimiter(RateLimit("60/min", burst=1), ops, tokens="60/min")
    await limiter.async_acquire()
    asleep, going = asyncio.Event(), asyncio.Event()

    async def asleep_for(seconds):
        asleep.set()
        await going.wait()

    limiter._clock = type("Held", (), {"asleep": staticmethod(asleep_for)})()
    waiting = asyncio.ensure_future(limiter.async_acquire(10))
    await asleep.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert limiter._reserve(0)[0] == pytest.approx(1.0)
    assert limiter._tokens.reserve(58, wait=0).delay == 0.0


def test_of_two_limits_one_sleep_is_for_both(face, ops, clock):
    limiter = ToolOpsRateLimiter(
        RateLimit("60/min", burst=1), ops, tokens=RateLimit("600/min", burst=10)
    )
    face(limiter, "acquire", 10)
    face(limiter, "acquire", 5)  # 1 s for the request, 0.5 s for the tokens
    face(limiter, "acquire", 10)  # 1 s and 0.5 s later for the request, less for the tokens
    assert clock.slept == [1.0, 1.0]
    face(limiter, "acquire", 10)
    face(limiter, "acquire", 10)
    assert clock.slept == [1.0] * 4


def test_where_the_tokens_are_refused_no_request_is_spent(face, ops):
    limiter = ToolOpsRateLimiter(RateLimit("1/h", wait=0), ops, tokens=RateLimit("100/h", wait=0))
    with pytest.raises(RateLimited):
        face(limiter, "acquire", 101)
    face(limiter, "acquire", 100)


def test_copies_of_a_model_share_their_limiter(ops):
    limiter = ToolOpsRateLimiter("2/min", ops)
    model = MockEmbedding(embed_dim=1, rate_limiter=limiter)
    assert copy.deepcopy(model).rate_limiter is limiter


# -- tokens that are known afterwards


def test_what_was_spent_holds_back_who_comes_later(face, ops, clock):
    limiter = ToolOpsRateLimiter(None, ops, tokens=RateLimit("60/min", burst=10))
    face(limiter, "acquire")
    limiter.spend(29)  # with the one that was taken, twenty too many
    assert clock.slept == []
    face(limiter, "acquire")
    assert clock.slept == [pytest.approx(21.0)]
    limiter.spend(0)
    limiter.spend(-5)
    ToolOpsRateLimiter("60/min", ops).spend(1_000)


def test_llama_indexs_own_limiter_never_counts_tokens(llm):
    # What all this is for; it fails once LlamaIndex tells its limiters of tokens.
    limiter = TokenBucketRateLimiter(tokens_per_minute=1)
    model = llm(rate_limiter=limiter)
    for _ in range(3):
        model.complete("one two three")
    assert limiter._token_tokens == 1


def test_a_models_tokens_are_counted_once_it_has_answered(face, ops, clock, llm, openai_server):
    openai_server.reply = says(total=61)
    limiter = ToolOpsRateLimiter("600/min", ops, tokens="60/min")
    model = llm(rate_limiter=limiter)
    face(model, "chat", [ChatMessage("one")])
    face(model, "complete", "two")
    assert clock.slept == [pytest.approx(2.0)]
    face(model, "chat", [ChatMessage("three")])
    assert sum(clock.slept) == pytest.approx(2.0 + 61.0)


def test_a_stream_is_counted_at_its_end_by_what_it_says_or_an_estimate(ops, clock, llm):
    limiter = ToolOpsRateLimiter(None, ops, tokens="60/min", count=lambda text: 40 * bool(text))
    model = llm(rate_limiter=limiter)
    stream = model.stream_chat([ChatMessage("one two")])
    assert limiter._reserve(0)[0] == 0.0
    list(stream)
    # One for the call, one for the look at it, and 79 for the question and the answer.
    assert limiter._tokens.reserve(1).delay == pytest.approx(82 - 60)


async def test_an_asynchronous_stream_is_counted_too(ops, llm):
    limiter = ToolOpsRateLimiter(None, ops, tokens="60/min", count=lambda text: 40 * bool(text))
    model = llm(rate_limiter=limiter)
    async for _ in await model.astream_chat([ChatMessage("one two")]):
        pass
    assert limiter._tokens.reserve(1).delay == pytest.approx(81 - 60)


def test_a_call_that_ends_in_another_of_the_same_model_is_counted_once(request, face, ops, echo):
    # achat asks chat, which asks complete, and LlamaIndex asks the limiter for each.
    endpoints = 3 if "async" in request.node.callspec.id else 2
    limiter = ToolOpsRateLimiter("60/min", ops, tokens="60/min", count=lambda text: 20)
    model = echo(rate_limiter=limiter)
    face(model, "chat", [ChatMessage("one")])
    assert model.calls == 1
    turns = 60 - _left(limiter._requests)
    assert turns == endpoints
    # 40 for the call, of which its innermost had one, and one for each of the others.
    assert 60 - _left(limiter._tokens) == 40 + (turns - 1)


@pytest.mark.parametrize("way", ["astream_chat", "astream_complete"])
async def test_a_stream_that_is_made_of_another_as_it_is_read_is_counted_once(ops, echo, way):
    spent = []
    limiter = ToolOpsRateLimiter(None, ops, tokens="600/min", count=lambda text: 20)
    limiter.spend = spent.append
    model = echo(rate_limiter=limiter)
    given = "one" if way == "astream_complete" else [ChatMessage("one")]
    for _ in range(2):
        async for _ in await getattr(model, way)(given):
            pass
    assert spent == [39, 39]


def _left(limiter) -> int:
    """Return the number of units that are available now."""
    left = 0
    while True:
        try:
            limiter.reserve(1, wait=0)
        except RateLimited:
            return left
        left += 1


@pytest.mark.parametrize("workers", [None, 2])
def test_embeddings_are_estimated(face, ops, workers):
    limiter = ToolOpsRateLimiter(None, ops, tokens="100/min")
    model = MockEmbedding(
        embed_dim=1, rate_limiter=limiter, embed_batch_size=2, num_workers=workers
    )
    texts = ["x" * 40, "y" * 80, "z" * 20]
    face(model, "get_text_embedding_batch", texts)
    assert _left(limiter._tokens) == 100 - 35
    face(model, "get_query_embedding", "q" * 40)
    assert _left(limiter._tokens) == 0


def test_a_guarded_models_hits_spend_nothing(face, ops, clock):
    limiter = ToolOpsRateLimiter(RateLimit("1/h", wait=0), ops, tokens="100/h")
    model = guard_embedding(MockEmbedding(embed_dim=1, rate_limiter=limiter), ops=ops)
    for _ in range(3):
        face(model, "get_text_embedding_batch", ["x" * 40])
    assert _left(limiter._tokens) == 90
    with pytest.raises(RateLimited):
        face(model, "get_text_embedding", "y")


@pytest.mark.usefixtures("llm")  # for its certificate
def test_an_openai_embedding_under_it(face, ops, openai_server):
    limiter = ToolOpsRateLimiter(RateLimit("2/h", wait=0), ops)
    model = OpenAIEmbedding(
        api_base=openai_server.url, api_key="k", max_retries=0, rate_limiter=limiter
    )
    face(model, "get_text_embedding", "a")
    face(model, "get_query_embedding", "a")
    with pytest.raises(RateLimited):
        face(model, "get_text_embedding", "b")
    assert len(openai_server.requests) == 2


def test_a_call_beyond_the_wait_is_not_made(face, ops, llm, openai_server):
    model = llm(rate_limiter=ToolOpsRateLimiter(RateLimit("1/min", wait=0), ops))
    face(model, "complete", "one")
    with pytest.raises(RateLimited):
        face(model, "complete", "two")
    assert len(openai_server.requests) == 1


def test_it_listens_once_and_to_nothing_without_tokens(ops):
    def ours() -> int:
        handlers = [*root_dispatcher.event_handlers, *root_dispatcher.span_handlers]
        return sum(type(each).class_name().startswith("ToolOpsSettling") for each in handlers)

    ToolOpsRateLimiter("1/min", ops, tokens="1/min")
    ToolOpsRateLimiter("1/min", ops, tokens="1/min")
    assert ours() == 2


def test_a_count_that_fails_breaks_no_call(face, ops):
    limiter = ToolOpsRateLimiter(None, ops, tokens="100/min", count=lambda text: 1 / 0)
    model = MockEmbedding(embed_dim=1, rate_limiter=limiter)
    assert face(model, "get_text_embedding", "a") == [0.5]
    assert _left(limiter._tokens) == 99
