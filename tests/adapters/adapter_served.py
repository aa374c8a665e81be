"""Served answers of models: paid for once, forgotten, and made anew on demand.

Each adapter asks real clients, which speak HTTP to the tests' server, in every way that it has:
``class TestMine(ServedConformance)`` runs the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import pytest
from adapters import adapter_agreement as agreement
from adapters.adapter_semantic_failures import SemanticFailures
from openai_server import OpenAIServer, last_user_text

from toolops_plugins import Policy, Semantic, SemanticCache, ToolOps
from toolops_plugins.adapters.model_policy import MODEL_POLICY

__all__ = ["Face", "ServedConformance"]

Face: TypeAlias = Callable[[Any, str], tuple[str, int | None]]
"""Asks a guarded model or agent; returns the text of its answer, and the tokens that it tells.

None: answers of the framework tell no tokens.
"""

QUESTION = "What is the capital of France?"
AGAIN = "what's the capital of France"
THIRD = "Please tell me what the capital of France is."
OTHER = "What is the capital of Spain?"

_ONE_FACE = "served_one_face"


def one_face(test: Any) -> Any:
    """Mark a test of what is alike for all ways of asking, which takes the first."""
    setattr(test, _ONE_FACE, True)
    return test


class ServedConformance(SemanticFailures):
    """One kind of guarded object, and the ways to ask it.

    Attributes:
        faces: The ways to ask, by name.
    """

    faces: ClassVar[Mapping[str, Face]]

    def guarded(self, server: OpenAIServer, ops: ToolOps, policy: Policy = MODEL_POLICY) -> Any:
        """Return what is asked: a model, or an agent, behind a policy."""
        raise NotImplementedError

    def forget(self, guarded: Any, ops: ToolOps, text: str, *, aio: bool) -> None:
        """Forget the answer to a question, in the way that is meant for this."""
        raise NotImplementedError

    def count_tokens(self, guarded: Any) -> AbstractContextManager[Callable[[], int]]:
        """Return a context in which the framework's own counter counts tokens, and its total."""
        raise NotImplementedError

    @pytest.fixture
    def by_meaning(self, tmp_path: Path) -> Iterator[ToolOps]:
        with ToolOps(semantic=SemanticCache(tmp_path)) as ops:
            yield ops

    @pytest.fixture
    def ops(self) -> Iterator[ToolOps]:
        with ToolOps() as ops:
            yield ops

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "stages" in metafunc.fixturenames:
            super().pytest_generate_tests(metafunc)
        elif "face" in metafunc.fixturenames:
            faces = dict(self.faces)
            if getattr(metafunc.function, _ONE_FACE, False):
                faces = dict([next(iter(faces.items()))])
            metafunc.parametrize("face", list(faces.values()), ids=list(faces))

    # Tokens --------------------------------------------------------------------------------------

    def test_one_paid_call_counts_once(self, face: Face, openai_server, ops) -> None:
        guarded = self.guarded(openai_server, ops)
        with self.count_tokens(guarded) as total:
            _, said = face(guarded, QUESTION)
            paid = total()
            more = [face(guarded, QUESTION)[1] for _ in range(2)]
            assert total() == paid > 0
        assert len(openai_server.requests) == 1
        if said is None:
            assert more == [None, None]
        else:
            assert said > 0
            assert more == [0, 0]

    # Forgetting ----------------------------------------------------------------------------------

    @pytest.mark.parametrize("aio", [False, True])
    def test_a_forgotten_answer_is_made_anew_and_no_other(
        self, face: Face, aio: bool, openai_server, ops
    ) -> None:
        guarded = self.guarded(openai_server, ops)
        for text in (QUESTION, OTHER, QUESTION):
            face(guarded, text)
        assert len(openai_server.requests) == 2
        self.forget(guarded, ops, QUESTION, aio=aio)
        for _ in range(2):
            face(guarded, OTHER)
            face(guarded, QUESTION)
        assert [last_user_text(body) for body in openai_server.requests] == [
            QUESTION,
            OTHER,
            QUESTION,
        ]

    @one_face
    def test_an_answer_by_meaning_is_forgotten_with_its_question(
        self, face: Face, openai_server, by_meaning
    ) -> None:
        policy = MODEL_POLICY.replace(semantic=Semantic(on="question", threshold=0.8))
        guarded = self.guarded(openai_server, by_meaning, policy)
        face(guarded, QUESTION)
        self.forget(guarded, by_meaning, QUESTION, aio=False)
        face(guarded, AGAIN)
        assert len(openai_server.requests) == 2

    @one_face
    @pytest.mark.parametrize("aio", [False, True])
    def test_an_answer_in_other_words_is_forgotten(
        self, face: Face, aio: bool, openai_server, by_meaning
    ) -> None:
        policy = MODEL_POLICY.replace(semantic=Semantic(on="question", threshold=0.8))
        guarded = self.guarded(openai_server, by_meaning, policy)
        for text in (QUESTION, AGAIN):
            face(guarded, text)
        assert len(openai_server.requests) == 1
        self.forget(guarded, by_meaning, AGAIN, aio=aio)
        for _ in range(2):
            face(guarded, AGAIN)
        assert len(openai_server.requests) == 2

    @one_face
    @pytest.mark.parametrize("aio", [False, True])
    @pytest.mark.parametrize("forgotten", [QUESTION, AGAIN])
    def test_its_copies_in_other_words_are_forgotten_too(
        self, face: Face, forgotten: str, aio: bool, openai_server, by_meaning
    ) -> None:
        openai_server.reply = lambda body: f"number {len(openai_server.requests)}"
        policy = MODEL_POLICY.replace(semantic=Semantic(on="question", threshold=0.8))
        guarded = self.guarded(openai_server, by_meaning, policy)
        asked = [face(guarded, text)[0] for text in (QUESTION, AGAIN, THIRD, OTHER)]
        assert asked == ["number 1"] * 3 + ["number 2"]
        self.forget(guarded, by_meaning, forgotten, aio=aio)
        asked = [face(guarded, text)[0] for text in (THIRD, AGAIN, THIRD, OTHER)]
        assert asked == ["number 3"] * 3 + ["number 2"]

    def test_a_repetition_in_another_writing_needs_no_setting(
        self, face: Face, openai_server, by_meaning
    ) -> None:
        policy = MODEL_POLICY.replace(semantic=Semantic(on="question"))
        guarded = self.guarded(openai_server, by_meaning, policy)
        openai_server.reply = lambda body: f"number {len(openai_server.requests)}"
        written = (QUESTION, QUESTION.lower(), f"  {QUESTION.upper()}", QUESTION.rstrip("?"), OTHER)
        asked = [face(guarded, text)[0] for text in written]
        assert asked == ["number 1"] * 4 + ["number 2"]

    # Comparing -----------------------------------------------------------------------------------

    def test_the_same_answer_in_other_words_is_right(
        self, face: Face, openai_server, by_meaning
    ) -> None:
        self.ask_both(face, agreement.SAME, openai_server, by_meaning)
        agreement.expect_label(by_meaning, right=True)

    @one_face
    def test_another_answer_is_wrong(self, face: Face, openai_server, by_meaning) -> None:
        self.ask_both(face, agreement.OTHER, openai_server, by_meaning)
        agreement.expect_label(by_meaning, right=False)

    @one_face
    def test_a_judge_gets_what_answers_say(self, face: Face, openai_server, tmp_path) -> None:
        judged = []

        def judge(question: str, cached: Any, fresh: Any) -> bool:
            judged.append((cached, fresh))
            return True

        with ToolOps(semantic=SemanticCache(tmp_path, judge=judge)) as ops:
            self.ask_both(face, agreement.OTHER, openai_server, ops)
            agreement.expect_label(ops, right=True)
        # It is asked again where a loop ends meanwhile.
        assert {*judged} == {(agreement.ANSWER, agreement.OTHER)}

    def ask_both(self, face: Face, fresh: str, server: OpenAIServer, ops: ToolOps) -> None:
        """Ask one question in two ways, the second of which gets another answer."""
        replies = {agreement.QUESTION: agreement.ANSWER, agreement.AGAIN: fresh}
        server.reply = lambda body: replies[last_user_text(body)]
        policy = MODEL_POLICY.replace(semantic=Semantic(on="question", max_error=0.05))
        guarded = self.guarded(server, ops, policy)
        for text, reply in replies.items():
            assert face(guarded, text)[0] == reply

    # Regenerating --------------------------------------------------------------------------------

    def test_a_regenerated_answer_replaces_the_stored_one(
        self, face: Face, openai_server, ops
    ) -> None:
        openai_server.reply = lambda body: f"number {len(openai_server.requests)}"
        guarded = self.guarded(openai_server, ops)
        assert face(guarded, QUESTION)[0] == "number 1"
        with ops.force_refresh():
            assert face(guarded, QUESTION)[0] == "number 2"
        assert [face(guarded, QUESTION)[0] for _ in range(2)] == ["number 2"] * 2
        assert len(openai_server.requests) == 2

    @one_face
    def test_a_regenerated_answer_replaces_the_one_in_other_words(
        self, face: Face, openai_server, by_meaning
    ) -> None:
        openai_server.reply = lambda body: f"number {len(openai_server.requests)}"
        policy = MODEL_POLICY.replace(semantic=Semantic(on="question", threshold=0.8))
        guarded = self.guarded(openai_server, by_meaning, policy)
        assert [face(guarded, text)[0] for text in (QUESTION, AGAIN)] == ["number 1"] * 2
        with by_meaning.force_refresh():
            assert face(guarded, AGAIN)[0] == "number 2"
        assert face(guarded, AGAIN)[0] == "number 2"
