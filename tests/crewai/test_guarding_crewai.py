"""The function that guards models of CrewAI, by the conformance list of all adapters."""

from __future__ import annotations

from typing import Any

from adapters.adapter_models import ModelConformance
from crewai.events.types.llm_events import LLMCallType
from crewai.llms.base_llm import BaseLLM, llm_call_context
from pydantic import PrivateAttr

from crewai_toolops import guard_llm


class Fine(BaseLLM):
    """A model that answers "fine"."""

    max_retries: int = 0
    _asked: list[Any] = PrivateAttr()
    _reason: Any = PrivateAttr()
    _size: int = PrivateAttr()

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        self._asked.append(messages)
        with llm_call_context():
            self._emit_call_completed_event(
                response="fine", call_type=LLMCallType.LLM_CALL, finish_reason=self._reason
            )
        return "fine"


class TestModel(ModelConformance):
    guard = staticmethod(guard_llm)
    ask = staticmethod(lambda model, conversation: model.call(conversation))

    def model(
        self, conversations: list[Any], reason: Any = "stop", size: int = 0, max_retries: int = 0
    ) -> Fine:
        made = Fine(model="fine", max_retries=max_retries)
        made._asked, made._reason, made._size = conversations, reason, size
        return made

    def conversation(self, name: str, id_: str, arguments: str = "{}") -> list[Any]:
        call = {name: id_, "type": "function", "function": {"name": "f", "arguments": arguments}}
        return [
            {"role": "user", "content": "How is it?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": id_, "content": "7"},
        ]
