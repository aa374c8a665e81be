"""Fixtures of the tests of the CrewAI adapter; CrewAI is kept from reaching its servers.

CrewAI reads HOME when it is imported, writes below it, and tells its makers how it is used unless
it is told not to. So all that is said first, before anything here imports it. It also takes four
seconds to import: let as few processes do so as can be.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent
_HOME = tempfile.mkdtemp(prefix="toolops-crewai-home-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update(
    # Where `guards` has been at work already, HOME is a folder that goes with the run; CrewAI would
    # still hold its path.
    HOME=_HOME,
    CREWAI_STORAGE_DIR=f"{_HOME}/storage",
)
for _name in [name for name in os.environ if name.startswith("XDG_")]:
    del os.environ[_name]

with warnings.catch_warnings():
    # Of Python's own import system, about how the package crewai.rag arranges its modules.
    warnings.filterwarnings("ignore", "Cannot set an attribute on 'crewai", ImportWarning)
    import crewai
    from crewai.events.event_bus import crewai_event_bus

from crewai.hooks import clear_all_global_hooks  # noqa: E402 - as above
from crewai.llms.providers.openai.completion import OpenAICompletion  # noqa: E402 - as above
from openai_server import OpenAIServer  # noqa: E402 - as above

import toolops_plugins.default_runtime  # noqa: E402 - as above
from toolops_plugins import ToolOps  # noqa: E402 - as above

_OWN_WARNINGS = (
    # Agents and crews read their own deprecated fields whenever one is made or run.
    r"ignore:.*deprecated:DeprecationWarning:crewai\..*",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let CrewAI warn of itself, which no test here can help."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            for warning in _OWN_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


class TextLLM(OpenAICompletion):
    """A model without function calling: agents call their tools by what it writes (ReAct)."""

    def supports_function_calling(self) -> bool:
        return False


@pytest.fixture(scope="session", autouse=True)
def _threads_of_the_event_bus() -> None:
    """Start all threads of CrewAI's event bus, which stay: no test has left them behind."""
    crewai_event_bus._ensure_executor_initialized()
    pool = crewai_event_bus._sync_executor
    together = threading.Barrier(pool._max_workers + 1)
    for _ in range(pool._max_workers):
        pool.submit(together.wait)
    together.wait()


@pytest.fixture(autouse=True)
def _hooks_and_events() -> Iterator[None]:
    """Leave CrewAI's global hooks as they were: none; and wait for its handlers of events."""
    yield
    crewai_event_bus.flush()
    clear_all_global_hooks()


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    """A server that echoes what the user said, until it is told otherwise."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture
def llm(openai_server: OpenAIServer) -> Callable[..., Any]:
    """Makes models, as CrewAI's ``LLM(...)`` does, that speak to that server.

    They never try again by themselves. ``native=False`` makes one without function calling.
    """

    def make(*, native: bool = True, **options: Any) -> Any:
        given = {"model": "gpt-4o-mini", "api_key": "sk-test", "max_retries": 0, **options}
        given.setdefault("base_url", openai_server.url)
        return crewai.LLM(**given) if native else TextLLM(**given)

    return make


@pytest.fixture
def ops() -> Iterator[ToolOps]:
    """A runtime with a memory, which is the default one as long as the test lasts."""
    before = toolops_plugins.default_runtime._runtime
    with ToolOps("crewai") as runtime:
        toolops_plugins.default_runtime.set_default(runtime)
        yield runtime
    toolops_plugins.default_runtime._runtime = before
