"""Served answers of models: paid for once, forgotten, and made anew on demand.

Each adapter asks real clients, which speak HTTP to the tests' server, in every way that it has:
``class TestMine(ServedConformance)`` runs the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeAlias

import pytest
from openai_server import OpenAIServer

from toolops_plugins import ToolOps

__all__ = ["Face", "ServedConformance"]

Face: TypeAlias = Callable[[Any, str], tuple[str, int | None]]
"""Asks a guarded model or agent; returns the text of its answer, and the tokens that it tells.

None: answers of the framework tell no tokens.
"""

QUESTION = "What is the capital of France?"


class ServedConformance:
    """One kind of guarded object, and the ways to ask it.

    Attributes:
        faces: The ways to ask, by name.
    """

    faces: ClassVar[Mapping[str, Face]]

    def guarded(self, server: OpenAIServer, ops: ToolOps, **options: Any) -> Any:
        """Return what is asked: a model, or an agent, behind the default policy.

        Args:
            server: Answers.
            ops: The runtime.
            options: Options of the function or class that guards.
        """
        raise NotImplementedError

    def count_tokens(self, guarded: Any) -> AbstractContextManager[Callable[[], int]]:
        """Return a context in which the framework's own counter counts tokens, and its total."""
        raise NotImplementedError

    @pytest.fixture
    def ops(self) -> Iterator[ToolOps]:
        with ToolOps() as ops:
            yield ops

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "face" in metafunc.fixturenames:
            faces = self.faces
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
