"""Keys of CrewAI's conversations against what reaches the provider, by the list of all."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import crewai
from adapters.adapter_wire import MakeConversation, WireConformance

from crewai_toolops import guard_llm
from toolops_plugins import ToolOps


def _asked(*blocks: dict[str, Any]) -> MakeConversation:
    return lambda folder: [
        {"role": "user", "content": [{"type": "text", "text": "what is it?"}, *map(dict, blocks)]}
    ]


def _called(result: str) -> MakeConversation:
    def conversation(folder: Any) -> list[dict[str, Any]]:
        id_ = f"call_{uuid.uuid4().int}"
        call = {"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        return [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": id_, "name": "f", "content": result},
        ]

    return conversation


def _file(id_: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_id": id_}}


class TestModel(WireConformance):
    equal: ClassVar[dict[str, MakeConversation]] = {
        "a text": lambda folder: "q",
        "a picture": _asked({"type": "image_url", "image_url": {"url": "http://x/y.png"}}),
        "a sound": _asked({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}),
        "a file's id": _asked(_file("file-1")),
    }
    generated: ClassVar[dict[str, MakeConversation]] = {"a result": _called("22 C")}
    different: ClassVar[dict[str, tuple[MakeConversation, MakeConversation]]] = {
        "results": (_called("22 C"), _called("23 C")),
        "files": (_asked(_file("file-1")), _asked(_file("file-2"))),
    }

    def client(self, url: str) -> Any:
        return crewai.LLM(model="gpt-4o-mini", base_url=url, api_key="sk-test", max_retries=0)

    def guard(self, client: Any, ops: ToolOps) -> Any:
        return guard_llm(client, ops=ops)

    def ask(self, model: Any, conversation: Any) -> Any:
        return model.call(conversation)
