"""Runtimes that share an index on a server: each serves what the others have stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from chroma_servers import ChromaServer

from toolops_plugins import Cache, Semantic, SemanticCache, ToolOps

FRANCE = "What is the capital of France?"
REPEATED = "what is the capital of france"
VOUCHED = "what's the capital of France"
SPAIN = "What is the capital of Spain?"


class Process:
    """What stands for a process: a runtime with a cache and a learner of its own."""

    def __init__(self, url: str, collection: str) -> None:
        self.cache = SemanticCache(url=url, collection=collection)
        self.ops = ToolOps("shared", semantic=self.cache)
        self.calls: list[str] = []

        @self.ops.readonly(cache=Cache(ttl=600), semantic=Semantic(on="question"), name="ask")
        def ask(question: str) -> str:
            self.calls.append(question)
            return f"the capital in {question}"

        self.ask: Callable[[str], str] = ask


@pytest.fixture
def processes(chroma_server: ChromaServer, collection: str) -> Iterator[list[Process]]:
    made = [Process(chroma_server.url, collection) for _ in range(3)]
    yield made
    for each in made:
        each.ops.close()


def test_the_default_serves_what_another_process_stored(processes: list[Process]) -> None:
    first, second, third = processes
    assert second.ask(SPAIN) == f"the capital in {SPAIN}"  # it has a learner already
    first.ask(FRANCE)
    first.cache.flush()
    assert second.ask(REPEATED) == f"the capital in {FRANCE}"
    assert third.ask(VOUCHED) == f"the capital in {FRANCE}"
    assert (second.calls, third.calls) == ([SPAIN], [])


def test_the_default_serves_no_other_question_of_another_process(
    processes: list[Process],
) -> None:
    first, second, _ = processes
    first.ask(FRANCE)
    first.cache.flush()
    assert second.ask(SPAIN) == f"the capital in {SPAIN}"
    assert second.calls == [SPAIN]
