"""Explanations of tools and models: what a call would get now, in its own scope.

Each adapter asks real clients, which speak HTTP to the tests' server: ``class
TestTools(ToolsExplained)`` and ``class TestModels(ModelsExplained)`` run the lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from openai_server import OpenAIServer

from toolops_plugins import (
    Cache,
    ConfigurationError,
    Explanation,
    Policy,
    Semantic,
    SemanticCache,
    ToolOps,
)
from toolops_plugins.adapters.model_policy import MODEL_POLICY

__all__ = ["ModelsExplained", "ToolsExplained"]

QUESTION = "What is the capital of France?"
AGAIN = "what's the capital of France"
OTHER = "What is the capital of Spain?"
SECRET = "sk-nobody-may-see-this"

both = pytest.mark.parametrize("aio", [False, True])


class _Explained:
    @pytest.fixture
    def ops(self, tmp_path: Path) -> Iterator[ToolOps]:
        with ToolOps(semantic=SemanticCache(tmp_path)) as ops:
            yield ops


class ToolsExplained(_Explained):
    """Wrapped tools of one adapter.

    Attributes:
        wrap_tool: Wraps a tool, or a function.
        ask: Calls a wrapped tool with keyword arguments.
        explain: Explains such a call, on an event loop if the second argument is true.
    """

    wrap_tool: ClassVar[Callable[..., Any]]
    ask: ClassVar[Callable[..., Any]]
    explain: ClassVar[Callable[..., Explanation]]

    policy = Policy(cache=Cache(ttl=60), semantic=Semantic(on="query", threshold=0.85))

    @pytest.fixture
    def runs(self) -> list[str]:
        return []

    @pytest.fixture
    def search(self, runs: list[str]) -> Callable[..., str]:
        def search(query: str, user: str = "ann", api_key: str = "") -> str:
            """Search."""
            runs.append(query)
            return f"found {query}"

        return search

    @both
    def test_a_call_is_explained_in_its_own_scope(self, aio: bool, search, runs, ops) -> None:
        wrapped = self.wrap_tool(search, self.policy, ops=ops)
        assert self.explain(wrapped, aio, query=QUESTION).reason == "nothing_near"
        self.ask(wrapped, query=QUESTION, api_key=SECRET)
        exact = self.explain(wrapped, aio, query=QUESTION, api_key=SECRET)
        assert (exact.served, exact.reason, exact.tool) == (True, "exact", "search")
        near = self.explain(wrapped, aio, query=AGAIN, api_key=SECRET)
        assert (near.served, near.reason, near.details["threshold"]) == (True, "served", 0.85)
        assert near.candidates[0].question == QUESTION
        assert not self.explain(wrapped, aio, query=OTHER, api_key=SECRET).served
        elsewhere = self.explain(wrapped, aio, query=AGAIN, user="bob", api_key=SECRET)
        assert elsewhere.reason == "nothing_near"
        assert elsewhere.scope == {"user": "'bob'", "api_key": "(secret)"}
        for explanation in (exact, near, elsewhere):
            for shown in (str(explanation), explanation._repr_html_(), explanation.to_json()):
                assert SECRET not in shown
        assert runs == [QUESTION]

    @both
    def test_explaining_counts_nothing(self, aio: bool, search, ops) -> None:
        events: list[Any] = []
        ops.add_sink(events.append)
        wrapped = self.wrap_tool(search, self.policy, ops=ops)
        self.explain(wrapped, aio, query=QUESTION)
        assert events == []
        assert ops.stats().total.calls == 0

    @both
    def test_a_tool_that_stores_nothing_says_so(self, aio: bool, search, ops) -> None:
        with pytest.raises(ConfigurationError, match="stores no results"):
            self.explain(self.wrap_tool(search, Policy(), ops=ops), aio, query=QUESTION)
        exact = self.wrap_tool(search, Policy(cache=Cache(ttl=60)), ops=ops, name="exact")
        assert self.explain(exact, aio, query=QUESTION).reason == "not_stored"


class ModelsExplained(_Explained):
    """Guarded models of one adapter.

    Attributes:
        streams: Whether it explains streams too.
    """

    streams: ClassVar[bool] = True

    policy = MODEL_POLICY.replace(semantic=Semantic(on="question", threshold=0.85))

    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy | None) -> Any:
        """Return a model with the key :data:`SECRET`, behind a policy or, with None, without."""
        raise NotImplementedError

    def ask(self, guarded: Any, text: str, *, system: str = "", of_stream: bool = False) -> None:
        """Ask a model, and read its answer to the end."""
        raise NotImplementedError

    def explain(
        self, guarded: Any, text: str, *, system: str = "", aio: bool, of_stream: bool = False
    ) -> Explanation:
        """Explain such a call."""
        raise NotImplementedError

    @both
    def test_an_answer_is_explained_in_the_scope_of_its_model(
        self, aio: bool, openai_server, ops
    ) -> None:
        guarded = self.guarded(openai_server, ops, self.policy)
        assert self.explain(guarded, QUESTION, aio=aio).reason == "nothing_near"
        self.ask(guarded, QUESTION)
        exact = self.explain(guarded, QUESTION, aio=aio)
        assert (exact.served, exact.reason, exact.question) == (True, "exact", QUESTION)
        near = self.explain(guarded, AGAIN, aio=aio)
        assert (near.served, near.reason, near.details["threshold"]) == (True, "served", 0.85)
        assert near.candidates[0].question == QUESTION
        assert not self.explain(guarded, OTHER, aio=aio).served
        elsewhere = self.explain(guarded, AGAIN, system="Answer in French.", aio=aio)
        assert elsewhere.reason == "nothing_near"
        assert "system prompt" in elsewhere.note
        for explanation in (exact, near, elsewhere):
            for shown in (str(explanation), explanation._repr_html_(), explanation.to_json()):
                assert SECRET not in shown
        assert len(openai_server.requests) == 1

    @both
    def test_streams_are_stored_and_explained_apart(self, aio: bool, openai_server, ops) -> None:
        if not self.streams:
            return
        guarded = self.guarded(openai_server, ops, self.policy)
        self.ask(guarded, QUESTION, of_stream=True)
        assert self.explain(guarded, QUESTION, aio=aio, of_stream=True).reason == "exact"
        assert self.explain(guarded, AGAIN, aio=aio, of_stream=True).reason == "served"
        assert not self.explain(guarded, QUESTION, aio=aio).served

    @both
    def test_explaining_counts_nothing(self, aio: bool, openai_server, ops) -> None:
        events: list[Any] = []
        ops.add_sink(events.append)
        self.explain(self.guarded(openai_server, ops, self.policy), QUESTION, aio=aio)
        assert (events, openai_server.requests) == ([], [])

    @both
    def test_a_model_that_stores_nothing_says_so(self, aio: bool, openai_server, ops) -> None:
        plain = self.guarded(openai_server, ops, self.policy.replace(cache=None, semantic=None))
        with pytest.raises(ConfigurationError, match="stores no results"):
            self.explain(plain, QUESTION, aio=aio)
        with pytest.raises(ConfigurationError, match="must be a guarded model"):
            self.explain(self.guarded(openai_server, ops, None), QUESTION, aio=aio)
