"""Answers in free text, compared by what they say and not by the objects that they come in.

``class TestTools(ToolsCompared)`` runs the list for tools; that of models is in
:mod:`adapters.adapter_served`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from callers import LONG
from servers import wait_for

from toolops_plugins import Cache, Policy, Semantic, SemanticCache, ToolOps

__all__ = ["AGAIN", "ANSWER", "OTHER", "QUESTION", "SAME", "ToolsCompared", "expect_label"]

QUESTION = "How long can I return unused items?"
AGAIN = "Until when may I send back items that I didn't use?"
ANSWER = (
    "You can return unused items within 30 days of delivery. Open your orders, choose the item and "
    "print the label; the refund goes to your card within a week."
)
SAME = (
    "Unused items can be returned up to 30 days after delivery: open your orders, select the item "
    "and print the label. The refund reaches your card within a week."
)
OTHER = SAME.replace("30 days", "45 days")


def expect_label(ops: ToolOps, *, right: bool) -> None:
    """Wait until the one label of a semantic cache is learned."""
    learner = ops.semantic.answers.index.learned.learner()
    wait_for(lambda: learner._window.count == 1, "a label", LONG)
    assert learner._window.last().right.tolist() == [right]


class ToolsCompared:
    """Wrapped tools of one adapter.

    Attributes:
        wrap_tool: Wraps a tool, or a function.
        ask: Calls a wrapped tool with a keyword argument.
    """

    wrap_tool: ClassVar[Callable[..., Any]]
    ask: ClassVar[Callable[..., Any]]

    policy = Policy(cache=Cache(ttl=60), semantic=Semantic(on="query", max_error=0.05))

    @pytest.fixture
    def judged(self) -> list[tuple[Any, Any]]:
        """What the judge was given."""
        return []

    @pytest.fixture
    def ops(self, tmp_path: Path) -> Iterator[ToolOps]:
        with ToolOps(semantic=SemanticCache(tmp_path / "measured")) as ops:
            yield ops

    @pytest.fixture
    def judged_ops(self, tmp_path: Path, judged: list[tuple[Any, Any]]) -> Iterator[ToolOps]:
        def judge(question: str, cached: Any, fresh: Any) -> bool:
            judged.append((cached, fresh))
            return True

        with ToolOps(semantic=SemanticCache(tmp_path / "judged", judge=judge)) as ops:
            yield ops

    def tool(self, replies: Mapping[str, Any]) -> Any:
        """Return a tool, or a function, with given results by its argument ``query``."""

        def search(query: str) -> Any:
            """Search."""
            return replies[query]

        return search

    @pytest.mark.parametrize(("fresh", "right"), [(SAME, True), (OTHER, False)])
    @pytest.mark.parametrize("shape", [str, lambda text: {"text": text, "page": 1}])
    def test_results_are_compared_by_what_they_say(
        self, shape: Callable[[str], Any], fresh: str, right: bool, ops
    ) -> None:
        replies = {QUESTION: shape(ANSWER), AGAIN: shape(fresh)}
        wrapped = self.wrap_tool(self.tool(replies), self.policy, ops=ops)
        for text in replies:
            self.ask(wrapped, query=text)
        expect_label(ops, right=right)

    def test_a_judge_gets_what_they_say(self, judged, judged_ops) -> None:
        replies = {QUESTION: ANSWER, AGAIN: OTHER}
        wrapped = self.wrap_tool(self.tool(replies), self.policy, ops=judged_ops)
        for text in replies:
            self.ask(wrapped, query=text)
        expect_label(judged_ops, right=True)
        assert judged == [(ANSWER, OTHER)]
