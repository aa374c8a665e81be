"""Copies of large results are made in a thread, and those of small ones on the loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from callers import LONG, Work, start

from toolops_plugins import ToolOps
from toolops_plugins.calls import results
from toolops_plugins.calls.aio import results as aio_results
from toolops_plugins.coalesce.value_copies import LARGE


async def share_result(work: Work, outcome: Any) -> list[Any]:
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

    def note_thread(payload: Any) -> Any:
        threads.append(threading.get_ident())
        return decode(payload)

    monkeypatch.setattr(ops.codec, "decode", note_thread)
    value = ["x" * 100] * (results.LARGE_BYTES // 100 + 1 if large else 10)
    assert await share_result(Work(ops), value) == [value] * 3
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

    def note_thread(value: Any) -> Any:
        threads.append(threading.get_ident())
        return copy(value)

    for module in (results, aio_results):
        monkeypatch.setattr(module, "copy_value", note_thread)
    value = Plain(LARGE if large else 10)
    found = await share_result(Work(ops), value)
    assert [each.parts for each in found] == [value.parts] * 3
    assert len({id(each) for each in found}) == 3
    here = threading.get_ident()
    assert len(threads) == 3  # the template, and two copies of it
    assert all((thread != here) is large for thread in threads)


@pytest.mark.parametrize("parts", [10, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("encodes", [True, False], ids=["encoded", "not encoded"])
def test_threads_make_their_copies_themselves(ops: ToolOps, parts: int, encodes: bool) -> None:
    work = Work(ops)
    value = ["x" * 100] * parts if encodes else Plain(parts)
    work.outcome = lambda n: value
    callers = [start(work.sync, 1) for _ in range(3)]
    work.await_aboard(3)
    work.release.open()
    found = [caller.result(LONG) for caller in callers]
    assert work.runs == ["thread"]
    assert len({id(each) for each in found}) == 3
    expected = value if encodes else vars(value)
    assert [each if encodes else vars(each) for each in found] == [expected] * 3
