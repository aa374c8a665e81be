"""The functions that guard models agree in all adapters: options, keys and stored answers."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from adapters.adapter_endings import BAD_ENDS, GOOD_ENDS

from toolops_plugins import (
    Cache,
    CircuitBreaker,
    ConfigurationError,
    Policy,
    Retry,
    ToolOps,
)

__all__ = ["ModelConformance"]


class FinishReason(enum.Enum):
    """Finish reasons as the packages of some providers give them."""

    MAX_TOKENS = "max_tokens"
    STOP = "stop"


INCOMPLETE = (
    *BAD_ENDS,
    "incomplete",
    "max_output_tokens",
    "MAX_TOKENS",
    "model_length",
    str(FinishReason.MAX_TOKENS),
)
IDS = ("id", "call_id", "tool_call_id", "tool_id", "tool_use_id", "toolUseId")
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"policy": ToolOps("other")}, "policy: must be a Policy; a runtime is given by name: ops="),
    ({"policy": Cache()}, r"did you mean Policy\(cache=...\)"),
    ({"ops": "shop"}, "ops: must be a ToolOps or None"),
    ({"nonsense": 1}, "nonsense: is no part of a policy"),
]


class ModelConformance:
    """The function of one adapter that guards models.

    Attributes:
        guard: Guards a model.
        ask: Asks a model a conversation, and returns the text of its answer.
    """

    guard: ClassVar[Callable[..., Any]]
    ask: ClassVar[Callable[..., str]]

    def model(
        self, conversations: list[Any], reason: Any = "stop", size: int = 0, max_retries: int = 0
    ) -> Any:
        """Return a model that answers "fine".

        Args:
            asked: Takes each conversation that reaches the model.
            reason: The finish reason of its answers.
            size: A whole number in a private attribute.
            max_retries: How often it tries again by itself.
        """
        raise NotImplementedError

    def conversation(self, name: str, id_: str, arguments: str = "{}") -> Any:
        """Return a question, a tool call that holds its id under a name, and its result."""
        raise NotImplementedError

    @pytest.fixture
    def ops(self) -> Iterator[ToolOps]:
        with ToolOps() as ops:
            yield ops

    @pytest.fixture
    def conversations(self) -> list[Any]:
        return []

    @pytest.mark.parametrize("reason", INCOMPLETE)
    def test_an_incomplete_answer_is_not_stored(self, reason: str, conversations, ops) -> None:
        guarded = self.guard(self.model(conversations, reason), ops=ops)
        for _ in range(2):
            assert self.ask(guarded, self.conversation("id", "1")) == "fine"
        assert len(conversations) == 2

    @pytest.mark.parametrize("reason", [None, *GOOD_ENDS, str(FinishReason.STOP)])
    def test_an_answer_that_ended_by_itself_is_stored(
        self, reason: Any, conversations, ops
    ) -> None:
        guarded = self.guard(self.model(conversations, reason), ops=ops)
        for _ in range(2):
            assert self.ask(guarded, self.conversation("id", "1")) == "fine"
        assert len(conversations) == 1

    @pytest.mark.parametrize("name", IDS)
    def test_ids_of_tool_calls_do_not_count(self, name: str, conversations, ops) -> None:
        guarded = self.guard(self.model(conversations), ops=ops)
        for id_ in ("one", "two"):
            self.ask(guarded, self.conversation(name, id_))
        assert len(conversations) == 1
        self.ask(guarded, self.conversation(name, "one", '{"n": 1}'))
        assert len(conversations) == 2

    def test_private_whole_numbers_of_a_model_count(self, conversations, ops) -> None:
        for size in (1, 2, 1):
            guarded = self.guard(self.model(conversations, size=size), ops=ops)
            self.ask(guarded, self.conversation("id", "1"))
        assert len(conversations) == 2

    def test_the_default_policy_stores_retries_and_breaks(self, conversations, ops) -> None:
        for policy in ({}, {"policy": None}):
            guarded = self.guard(self.model(conversations), ops=ops, **policy)
            chosen = type(guarded).__toolops_guard__.policy
            assert chosen.cache == Cache(ttl=3_600.0)
            assert isinstance(chosen.retry, Retry)
            assert isinstance(chosen.breaker, CircuitBreaker)

    def test_parts_win_over_the_policy(self, conversations, ops) -> None:
        guarded = self.guard(self.model(conversations), Policy(cache=Cache()), ops=ops, cache=None)
        for _ in range(2):
            self.ask(guarded, self.conversation("id", "1"))
        assert len(conversations) == 2

    def test_a_clients_own_retries_beside_the_policys_are_warned_of(
        self, conversations, ops
    ) -> None:
        with pytest.warns(UserWarning, match=r"max_retries=2.*3 attempts") as found:
            self.guard(self.model(conversations, max_retries=2), ops=ops)
        assert found[0].filename == __file__
        self.guard(self.model(conversations, max_retries=2), ops=ops, retry=None)

    @pytest.mark.parametrize(("options", "message"), WRONG)
    def test_a_wrong_option_is_refused(
        self, options: dict[str, Any], message: str, conversations
    ) -> None:
        with pytest.raises(ConfigurationError, match=message):
            self.guard(self.model(conversations), **options)

    def test_what_only_names_a_model_is_refused_with_advice(self, conversations, ops) -> None:
        model = self.model(conversations)
        with pytest.raises(ConfigurationError, match="make one of the class"):
            self.guard(type(model), ops=ops)
        with pytest.raises(ConfigurationError, match=r"must be a.* model|must be an LLM"):
            self.guard("openai/gpt-4o", ops=ops)

    @pytest.mark.parametrize("wrong", [None, object()])
    def test_an_object_that_is_no_model_is_refused(self, wrong: Any, ops) -> None:
        with pytest.raises(ConfigurationError, match="llm: must be an? "):
            self.guard(wrong, ops=ops)

    def test_guarding_twice_is_refused(self, conversations, ops) -> None:
        with pytest.raises(ConfigurationError, match="llm: is guarded already"):
            self.guard(self.guard(self.model(conversations), ops=ops), ops=ops)
