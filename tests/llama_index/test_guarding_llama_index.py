"""The function that guards models of LlamaIndex, by the conformance list of all adapters."""

from __future__ import annotations

from typing import Any

from adapters.adapter_models import ModelConformance
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms.custom import CustomLLM
from pydantic import PrivateAttr

from llama_index.callbacks.toolops import guard_llm


class Fine(CustomLLM):
    """A model that answers "fine"."""

    max_retries: int = 0
    _asked: list[Any] = PrivateAttr()
    _reason: Any = PrivateAttr()
    _size: int = PrivateAttr()

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="fine", is_chat_model=True)

    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        self._asked.append(messages)
        message = ChatMessage(role=MessageRole.ASSISTANT, content="fine")
        return ChatResponse(message=message, raw={"choices": [{"stopReason": self._reason}]})

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


class TestModel(ModelConformance):
    guard = staticmethod(guard_llm)
    ask = staticmethod(lambda model, conversation: model.chat(conversation).message.content)

    def model(
        self, conversations: list[Any], reason: Any = "stop", size: int = 0, max_retries: int = 0
    ) -> Fine:
        made = Fine(max_retries=max_retries)
        made._asked, made._reason, made._size = conversations, reason, size
        return made

    def conversation(self, name: str, id_: str, arguments: str = "{}") -> list[Any]:
        call = {name: id_, "function": {"name": "f", "arguments": arguments}}
        beside = ({"tool_calls": [call]}, {"tool_call_id": id_})
        return [
            ChatMessage(role=MessageRole.USER, content="How is it?"),
            ChatMessage(role=MessageRole.ASSISTANT, content=None, additional_kwargs=beside[0]),
            ChatMessage(role=MessageRole.TOOL, content="7", additional_kwargs=beside[1]),
        ]
