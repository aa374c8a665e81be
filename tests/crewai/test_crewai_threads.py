"""CrewAI runs tools in threads and on loops at once: a call that needs a thread gets one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from callers import LONG, Latch
from crewai.tools import BaseTool

from crewai_toolops import wrap_tool
from toolops_plugins import Cache, Policy, ToolOps
from toolops_plugins.coalesce import loop_liveness


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    with ToolOps("crewai threads") as runtime:
        yield runtime


async def test_a_tool_on_a_loop_needs_a_thread_that_its_followers_hold(
    ops: ToolOps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_liveness, "PATIENCE", 0.02)
    runs: list[str] = []
    release = Latch()

    class Quote(BaseTool):
        name: str = "quote"
        description: str = "Quotes a ticker."

        def _run(self, ticker: str) -> Any:
            runs.append("thread")
            return ticker.lower()

        async def _arun(self, ticker: str) -> Any:
            runs.append("loop")
            await release.opened()
            return await asyncio.to_thread(ticker.lower)  # as a name lookup, or files

    tool = wrap_tool(Quote(), Policy(cache=Cache(ttl=60)), ops=ops)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(3))
    leader = asyncio.create_task(tool.arun(ticker="ACME"))
    flights = ops._shared.flights
    async with asyncio.timeout(LONG):
        while not runs:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
        herd = [asyncio.create_task(asyncio.to_thread(tool.run, ticker="ACME")) for _ in range(9)]
        while max((f.parties for f in list(flights._table.values())), default=0) != 4:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        release.open()
        assert await asyncio.gather(leader, *herd) == ["acme"] * 10
    assert len(runs) <= 3
