"""Many callers of one guarded tool at once: one call, and nobody's leaving harms the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from callers import LONG, Latch, Loop, new_loops, start
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.tools import AsyncBaseTool, FunctionTool, ToolMetadata, ToolOutput
from llama_index.core.workflow import HumanResponseEvent
from openai_server import OpenAIServer
from servers import Server, wait_for
from workflows.runtime.types.results import AddWaiter, WaitingForEvent

from llama_index.callbacks.toolops.tools import GuardedTool, guard_tool
from toolops_plugins import CallTimeout, CircuitBreaker, Memory, Redis, Retry, Timeout, ToolOps

MANY = 30


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

        class Both(AsyncBaseTool):
            @property
            def metadata(self) -> ToolMetadata:
                return ToolMetadata("Slow.", "slow")

            def call(self, n: int) -> ToolOutput:
                return self.said(work(n))

            async def acall(self, n: int) -> ToolOutput:
                return self.said(await awork(n))

            def said(self, found: list[int]) -> ToolOutput:
                return ToolOutput("slow", str(found), raw_input={}, raw_output=found)

        func, coroutine = (work if kind != "async" else None, awork if kind != "sync" else None)
        options = {"name": "slow", "description": "Slow."}
        self.original: Any = Both()
        if kind != "class":
            self.original = FunctionTool.from_defaults(func, async_fn=coroutine, **options)
        self.tool: GuardedTool = guard_tool(self.original, ops=ops, **policy)

    def aboard(self) -> int:
        return self.ops._shared.flights.count_callers(bytes.fromhex(self.tool.key(1)))

    def await_aboard(self, count: int) -> None:
        wait_for(lambda: self.aboard() == count, f"{count} aboard", LONG)

    async def reach_aboard(self, count: int) -> None:
        async with asyncio.timeout(LONG):
            while self.aboard() != count:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps() as ops:
        yield ops


@pytest.fixture
def new_loop() -> Iterator[Callable[[], Loop]]:
    yield from new_loops()


@pytest.mark.parametrize("kind", ["sync", "async", "both", "class"])
def test_many_threads_make_one_call(kind: str, ops: ToolOps) -> None:
    slow = Slow(ops, kind, cache=None)
    waiting = [start(slow.tool.call if i % 2 else slow.tool, 1) for i in range(MANY)]
    slow.await_aboard(MANY)
    slow.release.open()
    found = [each.result(LONG).raw_output for each in waiting]
    assert found == [[1]] * MANY
    found[0].append(2)
    assert found[1:] == [[1]] * (MANY - 1)  # each has his own
    assert len(slow.runs) == 1


@pytest.mark.parametrize("kind", ["sync", "async", "both", "class"])
async def test_many_tasks_make_one_call(kind: str, ops: ToolOps) -> None:
    slow = Slow(ops, kind, cache=None)
    tasks = [asyncio.ensure_future(slow.tool.acall(n=1)) for _ in range(MANY)]
    await slow.reach_aboard(MANY)
    slow.release.open()
    outputs = await asyncio.gather(*tasks)
    assert [output.raw_output for output in outputs] == [[1]] * MANY
    assert len({id(output.raw_output) for output in outputs}) == MANY
    assert len(slow.runs) == 1


@pytest.mark.parametrize("kind", ["sync", "async", "both", "class"])
@pytest.mark.parametrize("leader", ["thread", "loop"])
async def test_threads_tasks_and_loops_share_a_call(
    kind: str, leader: str, ops: ToolOps, new_loop: Callable[[], Loop]
) -> None:
    slow = Slow(ops, kind, cache=None)
    other = new_loop()
    threads: list[Future[Any]] = []
    tasks: list[asyncio.Future[Any]] = []
    for way in (leader, *("thread", "loop", "other") * 3):
        if way == "thread":
            threads.append(start(slow.tool.call, 1))
        elif way == "other":
            threads.append(other.start(slow.tool.acall(n=1)))
        else:
            tasks.append(asyncio.ensure_future(slow.tool.acall(1)))
        await slow.reach_aboard(len(threads) + len(tasks))
    slow.release.open()
    results = [await asyncio.wrap_future(each) for each in threads] + await asyncio.gather(*tasks)
    assert [output.raw_output for output in results] == [[1]] * 10
    assert len(slow.runs) == 1


class _Forbidden(ThreadPoolExecutor):
    def submit(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a thread was asked for")


async def test_a_hit_takes_no_thread(ops: ToolOps) -> None:
    def where() -> int:
        """Tell."""
        asked.append(1)
        return 1

    asked: list[int] = []
    tool = guard_tool(FunctionTool.from_defaults(where), ops=ops)
    await tool.acall()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(_Forbidden())
    try:
        assert (await tool.acall()).raw_output == 1
    finally:
        loop._default_executor = None
    assert asked == [1]


async def test_what_can_be_used_once_is_not_shared(ops: ToolOps) -> None:
    release = Latch()
    runs: list[int] = []

    async def letters(n: int) -> Any:
        """Spell."""
        runs.append(n)
        await release.opened()
        return iter("ab")

    tool = guard_tool(FunctionTool.from_defaults(async_fn=letters), ops=ops, cache=None)
    tasks = [asyncio.ensure_future(tool.acall(1)) for _ in range(3)]
    async with asyncio.timeout(LONG):
        while ops._shared.flights.count_callers(bytes.fromhex(tool.key(1))) != 3:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    release.open()
    assert ["".join(each.raw_output) for each in await asyncio.gather(*tasks)] == ["ab"] * 3
    assert len(runs) == 3


async def test_each_waits_for_an_event_of_its_own(ops: ToolOps) -> None:
    release = Latch()
    raised: list[Exception] = []

    async def wait(n: int) -> Any:
        """Wait for a human."""
        waiter = AddWaiter(waiter_id=str(len(raised)), event_type=HumanResponseEvent)
        mine: Exception = WaitingForEvent(waiter)
        raised.append(mine)
        await release.opened()
        raise mine

    policy: dict[str, Any] = {"breaker": CircuitBreaker(window=1, min_calls=1), "fallback": "never"}
    tool = guard_tool(FunctionTool.from_defaults(async_fn=wait), ops=ops, cache=None, **policy)
    tasks = [asyncio.ensure_future(tool.acall(1)) for _ in range(2)]
    async with asyncio.timeout(LONG):
        while ops._shared.flights.count_callers(bytes.fromhex(tool.key(1))) != 2:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    release.open()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert ended == raised  # the second was raised for him who had joined the first
    assert len(raised) == 2


async def test_an_error_reaches_all_who_wait(ops: ToolOps) -> None:
    slow = Slow(ops, "async", cache=None, retry=None)
    problem = LookupError("nothing")

    async def fail(n: int) -> Any:
        slow.runs.append("fail")
        await slow.release.opened()
        raise problem

    tool = guard_tool(FunctionTool.from_defaults(async_fn=fail), ops=ops, cache=None, retry=None)
    tasks = [asyncio.ensure_future(tool.acall(1)) for _ in range(5)]
    async with asyncio.timeout(LONG):
        while ops._shared.flights.count_callers(bytes.fromhex(tool.key(1))) != 5:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
    slow.release.open()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [(type(error), error.args) for error in ended] == [(LookupError, ("nothing",))] * 5
    assert problem in ended
    assert slow.runs == ["fail"]


@pytest.mark.parametrize("kind", ["async", "class"])
async def test_who_leaves_harms_nobody(kind: str, ops: ToolOps) -> None:
    slow = Slow(ops, kind, cache=None)
    tasks = [asyncio.ensure_future(slow.tool.acall(n=1)) for _ in range(5)]
    await slow.reach_aboard(5)
    for leaving in (tasks[0], tasks[3]):  # the first of them leads
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
    slow.release.open()
    said = [await task for task in tasks if not task.cancelled()]
    assert [output.raw_output for output in said] == [[1]] * 3
    assert slow.runs == ["loop"]
    assert slow.cancelled == []


async def test_when_all_have_left_the_work_ends(ops: ToolOps) -> None:
    slow = Slow(ops, "async", retry=Retry(attempts=5, wait=0.0), fallback="never")
    tasks = [asyncio.ensure_future(slow.tool.acall(n=1)) for _ in range(3)]
    await slow.reach_aboard(3)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in ended] == [asyncio.CancelledError] * 3
    assert slow.runs == slow.cancelled == ["loop"]


async def test_a_deadline_is_the_callers_own(ops: ToolOps) -> None:
    slow = Slow(ops, "async")
    patient = asyncio.ensure_future(slow.tool.acall(n=1))
    await slow.reach_aboard(1)
    with ops.deadline(0.01), pytest.raises(CallTimeout):
        await slow.tool.acall(n=1)
    slow.release.open()
    assert (await patient).raw_output == [1]


async def test_time_limits_bound_a_tool(ops: ToolOps) -> None:
    slow = Slow(ops, "async", retry=None, timeout=Timeout(attempt=0.01))
    with pytest.raises(CallTimeout):
        await slow.tool.acall(n=1)
    assert slow.cancelled == ["loop"]


def test_two_runs_of_asyncio_both_work(valkey: Server, namespace: str) -> None:
    runs: list[int] = []

    async def work(n: int) -> list[int]:
        """Work."""
        runs.append(n)
        return [n]

    ops = ToolOps(namespace, tiers=[Memory(), Redis(valkey.url, ttl=60)])
    tool = guard_tool(FunctionTool.from_defaults(async_fn=work), ops=ops)

    async def ask(n: int) -> Any:
        return [each.raw_output for each in await asyncio.gather(*(tool.acall(n) for _ in "12345"))]

    with ops:
        for n in (1, 2, 1):
            assert asyncio.run(ask(n)) == [[n]] * 5
    assert runs == [1, 2]


async def test_tools_may_call_each_other_and_themselves(ops: ToolOps) -> None:
    holder: list[GuardedTool] = []
    runs: list[int] = []

    class Countdown(AsyncBaseTool):
        @property
        def metadata(self) -> ToolMetadata:
            return ToolMetadata("Count.", "count")

        def call(self, n: int) -> ToolOutput:
            runs.append(n)
            below = holder[0].call(n - 1).raw_output if n else []
            return ToolOutput("count", str(n), raw_input={"n": n}, raw_output=[n, *below])

        async def acall(self, n: int) -> ToolOutput:
            return await asyncio.to_thread(self.call, n)

    holder.append(guard_tool(Countdown(), ops=ops))
    assert (await holder[0].acall(3)).raw_output == [3, 2, 1, 0]
    assert (await holder[0].acall(2)).raw_output == [2, 1, 0]
    assert runs == [3, 2, 1, 0]
    assert (ops.stats()["count"].misses, ops.stats()["count"].hits) == (4, 1)


@pytest.mark.filterwarnings(
    # Agents of LlamaIndex 0.14 look at every attribute of themselves for steps.
    "ignore::pydantic.warnings.PydanticDeprecatedSince211"
)
async def test_many_agents_make_one_call(
    ops: ToolOps, openai_server: OpenAIServer, llm: Callable[..., Any]
) -> None:
    def reply(body: dict[str, Any]) -> Any:
        last = body["messages"][-1]
        if last["role"] == "tool":
            return last["content"]
        return {"tool_calls": [{"name": "slow", "arguments": {"n": 1}}]}

    openai_server.reply = reply
    slow = Slow(ops, "async", cache=None)
    handlers = [FunctionAgent(tools=[slow.tool], llm=llm()).run(f"I am {n}.") for n in range(MANY)]
    async with asyncio.timeout(LONG):
        while slow.aboard() != MANY:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
    slow.release.open()
    assert [str(await handler) for handler in handlers] == ["[1]"] * MANY
    assert slow.runs == ["loop"]
