"""Parts of the semantic cache that raise, behind each adapter: no call suffers from it.

``class TestMine(SemanticFailures)`` runs the list for one kind of guarded object, such as a model
or a tool. Its faces share the stages among them, and each meets those of the embedder and the
index.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import pytest
from broken_stages import INNER, ODD_TROUBLES, break_stage
from callers import Notices

from toolops_plugins import Policy, Semantic, SemanticCache, ToolOps
from toolops_plugins.adapters.model_policy import MODEL_POLICY
from toolops_plugins.testing import FakeClock

__all__ = ["Face", "SemanticFailures"]

Face: TypeAlias = Callable[[Any, str], tuple[str, int | None]]
_EACH = ("embedder", "index")
_OPENING = ("opening", "dimension")
_FRANCE = "What is the capital of France?"
_AGAIN = "what's the capital of France"


class SemanticFailures:
    """One kind of guarded object that repeats what it is asked, and the ways to ask it.

    Attributes:
        faces: The ways to ask, by name; each returns the text of the answer, and its tokens or
            None.
        on: The name of the question for ``Semantic``.
    """

    faces: ClassVar[Mapping[str, Face]]
    on: ClassVar[str] = "question"

    def guarded(self, server: Any, ops: ToolOps, policy: Policy) -> Any:
        """Return what is asked, behind a policy."""
        raise NotImplementedError

    def count_runs(self, server: Any) -> int:
        """Return how often it was really asked."""
        return len(server.requests)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Give each face its share of the stages."""
        if "stages" in metafunc.fixturenames:
            size = len(self.faces)
            metafunc.parametrize(
                ("face", "stages"),
                [
                    (face, dict.fromkeys((*_EACH, *INNER[number::size])))
                    for number, face in enumerate(self.faces.values())
                ],
                ids=list(self.faces),
            )

    def test_a_part_of_the_semantic_cache_that_raises_harms_no_call(
        self, face: Face, stages: Any, openai_server: Any, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        caplog.set_level(logging.WARNING, "toolops_plugins")
        policy = MODEL_POLICY.replace(semantic=Semantic(on=self.on, max_error=0.05))
        semantic, clock = SemanticCache(tmp_path), FakeClock()
        with ToolOps("t", semantic=semantic, clock=clock) as ops:
            notices = Notices(ops)
            guarded = self.guarded(openai_server, ops, policy)

            def check(question: str, runs: int) -> None:
                before = self.count_runs(openai_server)
                assert face(guarded, question)[0] == question, stage
                assert self.count_runs(openai_server) - before == runs, stage

            for number, stage in enumerate(stages):
                if stage in _OPENING:
                    semantic.close()
                notices.all.clear()
                with monkeypatch.context() as patch:
                    break_stage(patch, stage, ODD_TROUBLES[number % len(ODD_TROUBLES)])
                    check(f"Who wrote book {number}?", 1)
                    check(f"How far is planet {number}?", 1)
                    # Stored in an earlier round, or made now.
                    answer = face(guarded, f"{_AGAIN}{'!' * number}")[0]
                    assert answer.rstrip("!") in (_FRANCE, _AGAIN), stage
                if stage in _EACH:
                    kinds = {each.kind for each in notices.all if each.detail != "price_unknown"}
                    assert kinds == {"tier_failed"}
                clock.advance(61.0)
                if number == 0:
                    check(_FRANCE, 1)
                check(f"Where does river {number} come from?", 1)
                check(f"Where does river {number} come from?", 0)
        assert "a stage of ours" not in caplog.text
        assert caplog.text
