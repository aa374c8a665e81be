"""The function that guards models of LangChain, by the conformance list of all adapters."""

from __future__ import annotations

import json
from typing import Any

from adapters.adapter_models import ModelConformance
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from langchain_toolops import guard_llm, guard_model


class Fine(BaseChatModel):
    """A model that answers "fine"."""

    max_retries: int = 0
    _asked: list[Any] = PrivateAttr()
    _reason: Any = PrivateAttr()
    _size: int = PrivateAttr()

    @property
    def _llm_type(self) -> str:
        return "fine"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs: Any) -> ChatResult:
        self._asked.append(messages)
        message = AIMessage("fine", response_metadata={"stopReason": self._reason})
        return ChatResult(generations=[ChatGeneration(message=message)])


class TestModel(ModelConformance):
    guard = staticmethod(guard_llm)
    ask = staticmethod(lambda model, conversation: model.invoke(conversation).text)

    def model(
        self, conversations: list[Any], reason: Any = "stop", size: int = 0, max_retries: int = 0
    ) -> Fine:
        made = Fine(max_retries=max_retries)
        made._asked, made._reason, made._size = conversations, reason, size
        return made

    def conversation(self, name: str, id_: str, arguments: str = "{}") -> list[Any]:
        content: list[Any] = [{"type": "tool_use", name: id_, "name": "f", "input": {}}]
        calls = [{"name": "f", "args": json.loads(arguments), "id": id_}]
        answer = AIMessage(content, tool_calls=calls)
        return [HumanMessage("How is it?"), answer, ToolMessage("7", tool_call_id=id_)]

    def test_the_older_name_takes_the_runtime_first(self, ops, conversations) -> None:
        guarded = guard_model(self.model(conversations), ops, policy=None, after_tools=True)
        for _ in range(2):
            assert guarded.invoke("How is it?").text == "fine"
        assert len(conversations) == 1
