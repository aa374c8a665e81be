"""ToolOpsRateLimiter: turns for models, from threads and loops, and units shared with tools."""

from __future__ import annotations

import asyncio

import pytest
from callers import start
from langchain_core.caches import InMemoryCache

from langchain_toolops.rate_limiter import ToolOpsRateLimiter
from toolops_plugins import ConfigurationError, RateLimit, RateLimited, ToolOps
from toolops_plugins.testing import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def ops(clock):
    return ToolOps("limits", clock=clock)


def test_a_caller_sleeps_once_until_its_turn(ops, clock):
    limiter = ToolOpsRateLimiter(RateLimit("60/min", burst=2), ops)
    assert [limiter.acquire() for _ in range(4)] == [True] * 4
    assert clock.slept == [1.0, 1.0]


async def test_a_task_sleeps_once_until_its_turn(ops, clock):
    limiter = ToolOpsRateLimiter(RateLimit("60/min", burst=2), ops)
    assert [await limiter.aacquire() for _ in range(4)] == [True] * 4
    assert clock.slept == [1.0, 1.0]


async def test_who_does_not_wait_spends_nothing_before_its_turn(ops, clock):
    limiter = ToolOpsRateLimiter(RateLimit("60/min", burst=1), ops)
    assert limiter.acquire(blocking=False)
    assert not limiter.acquire(blocking=False)
    assert not await limiter.aacquire(blocking=False)
    assert clock.slept == []
    clock.advance(1.0)
    assert await limiter.aacquire(blocking=False)
    assert not limiter.acquire(blocking=False)


def test_a_wait_that_would_be_too_long_is_an_error_since_langchain_ignores_the_result(ops, clock):
    limit = RateLimit("60/min", burst=1, wait=0.5)
    limiter = ToolOpsRateLimiter(limit, ops)
    limiter.acquire()
    with pytest.raises(RateLimited) as caught:
        limiter.acquire()
    assert caught.value.retry_after == pytest.approx(0.5)
    assert not limiter.acquire(blocking=False)
    assert clock.slept == []
    clock.advance(0.6)
    limiter.acquire()
    assert clock.slept == [pytest.approx(0.4)]


def test_threads_never_get_more_than_the_limit(ops):
    limiter = ToolOpsRateLimiter(RateLimit("8/h"), ops)
    callers = [start(lambda: limiter.acquire(blocking=False)) for _ in range(32)]
    assert sum(caller.result() for caller in callers) == 8


def test_a_name_is_shared_with_tools_of_the_runtime(ops, clock):
    limit = RateLimit("2/min", wait=0, name="openai")

    @ops.tool(rate_limit=limit)
    def call():
        return "called"

    limiter = ToolOpsRateLimiter(limit, ops)
    again = ToolOpsRateLimiter(RateLimit("2/min", wait=0), ops)
    assert call() == "called"
    assert limiter.acquire()
    assert again.acquire()
    with pytest.raises(RateLimited):
        call()
    with pytest.raises(RateLimited):
        limiter.acquire()
    with pytest.raises(ConfigurationError, match="openai"):
        ToolOpsRateLimiter("3/min", ops, name="openai")


def test_limits_without_a_name_are_apart(ops):
    limiters = [ToolOpsRateLimiter("1/min", ops) for _ in range(2)]
    assert [limiter.acquire(blocking=False) for limiter in limiters] == [True, True]


def test_what_is_no_limit_is_refused(ops):
    with pytest.raises(ConfigurationError, match="limit"):
        ToolOpsRateLimiter(60, ops)
    with pytest.raises(ConfigurationError, match="cost"):
        ToolOpsRateLimiter(RateLimit("60/min", cost=len), ops)


def test_a_cost_is_spent_at_every_call(ops):
    limiter = ToolOpsRateLimiter(RateLimit("3/min", cost=2), ops)
    assert [limiter.acquire(blocking=False) for _ in range(2)] == [True, False]


def test_a_model_waits_and_streams_under_it(ops, clock, chat):
    model = chat(rate_limiter=ToolOpsRateLimiter(RateLimit("60/min", burst=1), ops))
    assert model.invoke("one").content == "one"
    assert model.invoke("two").content == "two"
    assert "".join(chunk.content for chunk in model.stream("three")) == "three"
    assert clock.slept == [1.0, 1.0]


async def test_a_model_waits_and_streams_under_it_on_a_loop(ops, clock, chat):
    model = chat(rate_limiter=ToolOpsRateLimiter(RateLimit("60/min", burst=1), ops))
    answers = await asyncio.gather(model.ainvoke("one"), model.ainvoke("two"))
    assert [answer.content for answer in answers] == ["one", "two"]
    assert "".join([chunk.content async for chunk in model.astream("three")]) == "three"
    assert len(clock.slept) == 2


def test_a_hit_of_the_models_cache_spends_nothing(ops, clock, chat):
    limiter = ToolOpsRateLimiter(RateLimit("60/min", burst=1), ops)
    model = chat(rate_limiter=limiter, cache=InMemoryCache())
    for _ in range(3):
        model.invoke("one")
    assert clock.slept == []


def test_a_call_beyond_the_wait_is_not_made(ops, chat, openai_server):
    model = chat(rate_limiter=ToolOpsRateLimiter(RateLimit("60/min", burst=1, wait=0), ops))
    model.invoke("one")
    with pytest.raises(RateLimited):
        model.invoke("two")
    assert len(openai_server.requests) == 1


def test_the_limiter_is_no_part_of_what_identifies_the_model(ops, chat):
    plain = chat()._get_llm_string()
    assert chat(rate_limiter=ToolOpsRateLimiter("60/min", ops))._get_llm_string() == plain
