"""Followers' copies of large results are made in a thread, those of small ones where they are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from callers import LONG, Work, new_runtime

from toolops_plugins import ToolOps
from toolops_plugins.calls import results
from toolops_plugins.coalesce.value_copies import LARGE


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    yield from new_runtime()


async def shared(work: Work, outcome: Any) -> list[Any]:
    work.outcome = lambda n: outcome
    tasks = [asyncio.create_task(work.aio(1)) for _ in range(3)]
    await work.reach_aboard(3)
    work.release.open()
    async with asyncio.timeout(LONG):
        return await asyncio.gather(*tasks)


@pytest.mark.parametrize("large", [False, True])
async def test_encoded_results(ops: ToolOps, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = ops.codec.decode
    threads: list[int] = []

    def noted(payload: Any) -> Any:
        threads.append(threading.get_ident())
        return decode(payload)

    monkeypatch.setattr(ops.codec, "decode", noted)
    value = ["x" * 100] * (results.LARGE_BYTES // 100 + 1 if large else 10)
    assert await shared(Work(ops), value) == [value] * 3
    here = threading.get_ident()
    assert len(threads) == 2
    assert all((thread != here) is large for thread in threads)


class Plain:
    def __init__(self, parts: int) -> None:
        self.parts = list(range(parts))


@pytest.mark.parametrize("large", [False, True])
async def test_results_that_no_codec_takes(
    ops: ToolOps, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = results.copy_value
    threads: list[int] = []

    def noted(value: Any) -> Any:
        threads.append(threading.get_ident())
        return copy(value)

    monkeypatch.setattr(results, "copy_value", noted)
    value = Plain(LARGE if large else 10)
    found = await shared(Work(ops), value)
    assert [each.parts for each in found] == [value.parts] * 3
    assert len({id(each) for each in found}) == 3
    here = threading.get_ident()
    assert len(threads) == 3  # the template, and two copies of it
    assert all((thread != here) is large for thread in threads)
