"""Many callers of one tool at once: one call, and nobody's leaving harms the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from callers import LONG, Latch, start
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langchain_openai import ChatOpenAI
from openai_server import OpenAIServer
from pydantic import BaseModel
from servers import Server, wait_for

from langchain_toolops.tools import ToolOpsTool, wrap_tool
from toolops_plugins import CallTimeout, Memory, Redis, Retry, Timeout, ToolOps

MANY = 50


class Numbered(BaseModel):
    n: int


class Slow:
    """A tool whose body waits to be released, in each of the ways in which tools are written."""

    def __init__(self, ops: ToolOps, kind: str, **policy: Any) -> None:
        self.ops = ops
        self.runs: list[str] = []
        self.started, self.release = Latch(), Latch()
        self.cancelled: list[str] = []

        def work(n: int) -> list[int]:
            self.runs.append("thread")
            self.started.open()
            self.release.wait()
            return [n]

        async def awork(n: int) -> list[int]:
            self.runs.append("loop")
            self.started.open()
            try:
                await self.release.opened()
            except asyncio.CancelledError:
                self.cancelled.append("loop")
                raise
            return [n]

        class Both(BaseTool):
            name: str = "slow"
            description: str = "Slow."
            args_schema: type[BaseModel] = Numbered

            def _run(self, n: int) -> list[int]:
                return work(n)

            async def _arun(self, n: int) -> list[int]:
                return await awork(n)

        func, coroutine = (work if kind != "async" else None, awork if kind != "sync" else None)
        original: BaseTool = StructuredTool.from_function(
            func, coroutine, name="slow", description="Slow."
        )
        self.original = Both() if kind == "class" else original
        self.tool: ToolOpsTool = wrap_tool(self.original, ops=ops, **policy)

    def aboard(self) -> int:
        return self.ops._shared.flights.count_callers(bytes.fromhex(self.tool.key({"n": 1})))

    def await_aboard(self, count: int) -> None:
        wait_for(lambda: self.aboard() == count, f"{count} aboard", LONG)

    async def reach_aboard(self, count: int) -> None:
        async with asyncio.timeout(LONG):
            while self.aboard() != count:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)

    def call(self, n: Any = 1, id_: str = "1") -> dict[str, Any]:
        return {"type": "tool_call", "id": id_, "name": "slow", "args": {"n": n}}


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps() as ops:
        yield ops


@pytest.mark.parametrize("kind", ["sync", "both", "class"])
def test_many_threads_make_one_call(kind: str, ops: ToolOps) -> None:
    slow = Slow(ops, kind, cache=None)
    # Spelt in two ways, since it is the validated arguments that count.
    calls = [slow.call(str(1) if n % 2 else 1, str(n)) for n in range(MANY)]
    waiting = [start(slow.tool.invoke, call) for call in calls]
    slow.await_aboard(MANY)
    slow.release.open()
    said = [each.result(LONG) for each in waiting]
    assert [message.tool_call_id for message in said] == [str(n) for n in range(MANY)]
    assert {message.content for message in said} == {"[1]"}
    assert slow.runs == ["thread"]


@pytest.mark.parametrize("kind", ["async", "both", "class"])
async def test_many_tasks_make_one_call(kind: str, ops: ToolOps) -> None:
    slow = Slow(ops, kind, cache=None)
    tasks = [asyncio.ensure_future(slow.tool.ainvoke({"n": 1})) for _ in range(MANY)]
    await slow.reach_aboard(MANY)
    slow.release.open()
    results = await asyncio.gather(*tasks)
    assert results == [[1]] * MANY
    results[0].append(2)
    assert results[1:] == [[1]] * (MANY - 1)  # each has his own
    assert slow.runs == ["loop"]


async def test_many_tasks_make_one_call_of_a_tool_for_threads(ops: ToolOps) -> None:
    # LangChain sends these through threads, fewer than there are tasks: the rest finds the result.
    slow = Slow(ops, "sync")
    tasks = [asyncio.ensure_future(slow.tool.ainvoke({"n": 1})) for _ in range(MANY)]
    await asyncio.to_thread(slow.started.wait)
    slow.release.open()
    assert await asyncio.gather(*tasks) == [[1]] * MANY
    assert slow.runs == ["thread"]


@pytest.mark.parametrize("kind", ["both", "class"])
@pytest.mark.parametrize("leader", ["thread", "loop"])
async def test_threads_and_tasks_share_a_call(kind: str, leader: str, ops: ToolOps) -> None:
    slow = Slow(ops, kind, cache=None)
    threads: list[Future[Any]] = []
    tasks: list[asyncio.Future[Any]] = []
    for way in (leader, *("thread", "loop") * 3):
        if way == "thread":
            threads.append(start(slow.tool.invoke, {"n": 1}))
        else:
            tasks.append(asyncio.ensure_future(slow.tool.ainvoke({"n": 1})))
        await slow.reach_aboard(len(threads) + len(tasks))
    slow.release.open()
    results = [await asyncio.wrap_future(each) for each in threads] + await asyncio.gather(*tasks)
    assert results == [[1]] * 7
    assert slow.runs == [leader]


def test_what_can_be_used_once_is_not_shared(ops: ToolOps) -> None:
    slow = Slow(ops, "sync", cache=None)
    inner = slow.tool.func
    slow.tool.func = lambda n: iter(inner(n))
    waiting = [start(slow.tool.invoke, {"n": 1}) for _ in range(3)]
    slow.await_aboard(3)
    slow.release.open()
    assert [list(each.result(LONG)) for each in waiting] == [[1]] * 3


async def test_who_leaves_harms_nobody(ops: ToolOps) -> None:
    slow = Slow(ops, "async", cache=None)
    tasks = [asyncio.ensure_future(slow.tool.ainvoke(slow.call(1, str(n)))) for n in range(5)]
    await slow.reach_aboard(5)
    for leaving in (tasks[0], tasks[3]):  # the first of them leads
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    slow.release.open()
    said = [await task for task in tasks if not task.cancelled()]
    assert [message.tool_call_id for message in said] == ["1", "2", "4"]
    assert all(isinstance(message, ToolMessage) for message in said)
    assert slow.runs == ["loop"]
    assert slow.cancelled == []


async def test_when_all_have_left_the_work_ends(ops: ToolOps) -> None:
    slow = Slow(ops, "async", retry=Retry(attempts=5, wait=0.0), fallback="never")
    tasks = [asyncio.ensure_future(slow.tool.ainvoke({"n": 1})) for _ in range(3)]
    await slow.reach_aboard(3)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in ended] == [asyncio.CancelledError] * 3
    assert slow.runs == slow.cancelled == ["loop"]


async def test_a_deadline_is_the_callers_own(ops: ToolOps) -> None:
    slow = Slow(ops, "async")
    patient = asyncio.ensure_future(slow.tool.ainvoke({"n": 1}))
    await slow.reach_aboard(1)
    with ops.deadline(0.01), pytest.raises(CallTimeout):
        await slow.tool.ainvoke({"n": 1})
    slow.release.open()
    assert await patient == [1]


def test_two_runs_of_asyncio_both_work(valkey: Server, namespace: str) -> None:
    runs: list[int] = []

    async def work(n: int) -> list[int]:
        runs.append(n)
        return [n]

    ops = ToolOps(namespace, tiers=[Memory(), Redis(valkey.url, ttl=60)])
    tool = wrap_tool(
        StructuredTool.from_function(coroutine=work, name="w", description="W."), ops=ops
    )

    async def ask(n: int) -> Any:
        return await asyncio.gather(*(tool.ainvoke({"n": n}) for _ in range(5)))

    with ops:
        for n in (1, 2, 1):
            assert asyncio.run(ask(n)) == [[n]] * 5
    assert runs == [1, 2]


async def test_time_limits_bound_a_tool(ops: ToolOps) -> None:
    slow = Slow(ops, "async", retry=None, timeout=Timeout(attempt=0.01))
    with pytest.raises(CallTimeout):
        await slow.tool.ainvoke({"n": 1})
    assert slow.cancelled == ["loop"]


async def test_many_agents_make_one_call(
    ops: ToolOps, openai_server: OpenAIServer, chat: Callable[..., ChatOpenAI]
) -> None:
    def reply(body: dict[str, Any]) -> Any:
        last = body["messages"][-1]
        if last["role"] == "tool":
            return last["content"]
        return {"tool_calls": [{"name": "slow", "arguments": {"n": 1}}]}

    openai_server.reply = reply
    slow = Slow(ops, "async", cache=None)
    agent = create_agent(chat(), [slow.tool])
    tasks = [
        asyncio.ensure_future(agent.ainvoke({"messages": f"I am number {n}."})) for n in range(MANY)
    ]
    async with asyncio.timeout(LONG):
        while slow.aboard() != MANY:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
    slow.release.open()
    for answer in await asyncio.gather(*tasks):
        _, called, said, last = answer["messages"]
        assert said.tool_call_id == called.tool_calls[0]["id"]
        assert last.content == "[1]"
    assert slow.runs == ["loop"]
