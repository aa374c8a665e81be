"""The script that generates the path of a call in threads."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sync", ROOT / "scripts/make_sync.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOURCE = '''"""A part of a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from toolops_plugins.calls.aio.tiers import find_entry
from toolops_plugins.drivers.loop import LoopDriver


async def run(driver: LoopDriver, work: Callable[[LoopDriver], Awaitable[dict[str, Any]]]) -> Any:
    if driver.find_loop() is None:  # async only
        driver.require_loop()  # async only
    async with driver:
        found = await driver.io(find_entry.tier.aget, b"key")
    return await work(found)
'''

TWIN = '''"""A part of a call."""

{notice}from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolops_plugins.calls.sync.tiers import find_entry
from toolops_plugins.drivers.thread import ThreadDriver


def run(driver: ThreadDriver, work: Callable[[ThreadDriver], dict[str, Any]]) -> Any:
    with driver:
        found = driver.io(find_entry.tier.get, b"key")
    return work(found)
'''


def test_a_coroutine_function_becomes_a_plain_one(script: ModuleType, tmp_path: Path) -> None:
    module = tmp_path / "part.py"
    module.write_text(SOURCE)
    assert script.synchronous(module) == TWIN.format(notice=script.NOTICE)


def test_the_committed_twin_is_that_of_its_source(script: ModuleType) -> None:
    for path in script.SOURCE.glob("*.py"):
        assert (script.TARGET / path.name).read_text() == script.synchronous(path), path.name
