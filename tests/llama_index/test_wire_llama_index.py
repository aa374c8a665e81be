"""Keys of LlamaIndex's conversations against what reaches the provider, by the list of all."""

from __future__ import annotations

import base64
import itertools
import uuid
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

from adapters.adapter_wire import MakeConversation, WireConformance
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.llms.openai import OpenAI, OpenAIResponses

from llama_index.callbacks.toolops import guard_llm
from toolops_plugins import ToolOps

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_PDF = b"%PDF-1.4 plan"
_WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(30)
_numbers = itertools.count()


def _asked(make: Callable[[Path], Any]) -> MakeConversation:
    return lambda folder: [ChatMessage(blocks=[TextBlock(text="what is it?"), make(folder)])]


def _written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / f"{next(_numbers)}{name}"
    path.write_bytes(content)
    return path


def _thought(id_: str = "rs_1", tokens: bool = False) -> MakeConversation:
    def conversation(folder: Path) -> list[ChatMessage]:
        thought = ThinkingBlock(
            content="hm",
            num_tokens=next(_numbers) if tokens else None,
            additional_information={"id": id_},
        )
        answer = ChatMessage(role=MessageRole.ASSISTANT, blocks=[thought, TextBlock(text="a")])
        return [ChatMessage("q"), answer, ChatMessage("and?")]

    return conversation


def _called(result: str, **more: Any) -> MakeConversation:
    def conversation(folder: Path) -> list[ChatMessage]:
        id_ = f"call_{uuid.uuid4().hex}"
        call = ToolCallBlock(tool_call_id=id_, tool_name="f", tool_kwargs={})
        return [
            ChatMessage("q"),
            ChatMessage(role=MessageRole.ASSISTANT, blocks=[call]),
            ChatMessage(
                result, role=MessageRole.TOOL, additional_kwargs={"tool_call_id": id_, **more}
            ),
        ]

    return conversation


class TestModel(WireConformance):
    equal: ClassVar[dict[str, MakeConversation]] = {
        "a text": _asked(lambda folder: TextBlock(text="x")),
        "a picture": _asked(lambda folder: ImageBlock(image=_PNG)),
        "a picture's file": _asked(lambda folder: ImageBlock(path=_written(folder, "a.png", _PNG))),
        "a picture's address": _asked(lambda folder: ImageBlock(url="http://x/y.png")),
        "a document": _asked(
            lambda folder: DocumentBlock(data=_PDF, document_mimetype="application/pdf")
        ),
        "a document's file": _asked(
            lambda folder: DocumentBlock(path=_written(folder, "a.pdf", _PDF))
        ),
        "the number of tokens in a thought": _thought(tokens=True),
    }
    generated: ClassVar[dict[str, MakeConversation]] = {"a result": _called("22 C")}
    different: ClassVar[dict[str, tuple[MakeConversation, MakeConversation]]] = {
        "results": (_called("22 C"), _called("23 C")),
        "titles": (
            _asked(lambda folder: DocumentBlock(data=_PDF, title="a.pdf")),
            _asked(lambda folder: DocumentBlock(data=_PDF, title="b.pdf")),
        ),
        "what is in files": (
            _asked(lambda folder: ImageBlock(path=_written(folder, "a.png", _PNG))),
            _asked(lambda folder: ImageBlock(path=_written(folder, "a.png", _PNG + b"more"))),
        ),
        "the endings of files": (
            _asked(lambda folder: ImageBlock(path=_written(folder, "a.png", _PNG))),
            _asked(lambda folder: ImageBlock(path=_written(folder, "a.jpg", _PNG))),
        ),
    }

    def client(self, url: str) -> Any:
        return OpenAI(model="gpt-4o", api_base=url, api_key="sk-test", max_retries=0)

    def guard(self, client: Any, ops: ToolOps) -> Any:
        return guard_llm(client, ops=ops)

    def ask(self, model: Any, conversation: Any) -> Any:
        return model.chat(conversation)


class TestStream(TestModel):
    def ask(self, model: Any, conversation: Any) -> Any:
        return list(model.stream_chat(conversation))


class TestSounds(TestModel):
    equal: ClassVar[dict[str, MakeConversation]] = {
        "a sound": _asked(lambda folder: AudioBlock(audio=_WAV, format="wav")),
        "a sound in memory": _asked(lambda folder: AudioBlock(audio=BytesIO(_WAV), format="wav")),
        "a sound's file": _asked(
            lambda folder: AudioBlock(path=_written(folder, "a.wav", _WAV), format="wav")
        ),
    }
    generated: ClassVar[dict[str, MakeConversation]] = {}
    different: ClassVar[dict[str, tuple[MakeConversation, MakeConversation]]] = {
        "sounds in memory": (
            _asked(lambda folder: AudioBlock(audio=BytesIO(_WAV), format="wav")),
            _asked(lambda folder: AudioBlock(audio=BytesIO(_WAV + b"more"), format="wav")),
        ),
    }

    def client(self, url: str) -> Any:
        model = "gpt-4o-audio-preview"
        return OpenAI(model=model, api_base=url, api_key="sk-test", max_retries=0)


class TestResponses(TestModel):
    different: ClassVar[dict[str, tuple[MakeConversation, MakeConversation]]] = {
        **TestModel.different,
        "thoughts": (_thought("rs_1"), _thought("rs_2")),
    }

    def client(self, url: str) -> Any:
        return OpenAIResponses(
            model="gpt-4o", api_base=url, api_key="sk-test", max_retries=0, store=True
        )
