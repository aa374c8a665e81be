"""Keys of LangChain's conversations against what reaches the provider, by the list of all."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from adapters.adapter_wire import MakeConversation, WireConformance
from langchain.agents import create_agent
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages import content as blocks
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from langchain_toolops import ToolOpsCache, ToolOpsMiddleware, guard_llm, wrap_tool
from toolops_plugins import Cache, Policy, ToolOps

pytestmark = pytest.mark.filterwarnings("ignore:OpenAI may require a filename:UserWarning")

_PDF = "JVBERi0="
_V0 = {"source_type": "base64", "data": _PDF}


def _asked(make: Callable[[], Any]) -> MakeConversation:
    return lambda folder: [HumanMessage([{"type": "text", "text": "what is it?"}, make()])]


def _answered(make: Callable[[], list[Any]], **fields: Any) -> MakeConversation:
    return lambda folder: [HumanMessage("q"), AIMessage(make(), **fields), HumanMessage("and?")]


def _called(make: Callable[[], list[Any]]) -> MakeConversation:
    """Return a conversation with a tool's result, as one of MCP's tools may give it."""

    def conversation(folder: Any) -> list[Any]:
        id_ = str(uuid.uuid4())
        call = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": id_}])
        return [HumanMessage("q"), call, ToolMessage(make(), tool_call_id=id_)]

    return conversation


def _picture(**more: Any) -> Any:
    return blocks.create_image_block(base64="AAAA", mime_type="image/png", **more)


def _file(**more: Any) -> Any:
    given = {"base64": _PDF, "filename": "a.pdf", **more}
    return blocks.create_file_block(mime_type="application/pdf", **given)


_DATA: dict[str, MakeConversation] = {
    "a picture": _asked(_picture),
    "a picture's address": _asked(lambda: blocks.create_image_block(url="http://x/y.png")),
    "a sound": _asked(lambda: blocks.create_audio_block(base64="AAAA", mime_type="audio/wav")),
    "a file": _asked(_file),
    "a file's id": _asked(lambda: blocks.create_file_block(file_id="file-1")),
    "a file of OpenAI's": _asked(
        lambda: {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{_PDF}"},
        }
    ),
    "an uploaded file of OpenAI's": _asked(lambda: {"type": "file", "file": {"file_id": "file-1"}}),
    "a sound of OpenAI's": _asked(
        lambda: {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    ),
    "a picture in the older form": _asked(
        lambda: {"type": "image", "mime_type": "image/png", **_V0}
    ),
    "a file in the older form": _asked(
        lambda: {"type": "file", "mime_type": "application/pdf", "filename": "a.pdf", **_V0}
    ),
    "a file's id in the older form": _asked(
        lambda: {"type": "file", "source_type": "id", "id": "file-9"}
    ),
    "an answer's text": _answered(lambda: [blocks.create_text_block("a")]),
    "an answer's citation": _answered(
        lambda: [
            blocks.create_text_block(
                "a", annotations=[blocks.create_citation(url="http://x", title="t")]
            )
        ]
    ),
    "an answer's message id": lambda folder: [
        HumanMessage("q", id=str(uuid.uuid4())),
        AIMessage("a", id=f"lc_run--{uuid.uuid4()}", response_metadata={"id": str(uuid.uuid4())}),
        HumanMessage("and?"),
    ],
}
_TEXTS: dict[str, MakeConversation] = {
    "a text": _asked(lambda: blocks.create_text_block("x")),
    "an earlier text": lambda folder: [
        HumanMessage([blocks.create_text_block("x")]),
        AIMessage("a"),
        HumanMessage("b"),
    ],
    "a system's text": lambda folder: [
        SystemMessage([blocks.create_text_block("s")]),
        HumanMessage("q"),
    ],
    "blocks": lambda folder: [
        HumanMessage(content_blocks=[blocks.create_text_block("x"), _picture()])
    ],
}
_RESULTS: dict[str, MakeConversation] = {
    "a result": _called(lambda: [blocks.create_text_block("22 C")]),
    "a result's picture": _called(lambda: [blocks.create_text_block("22 C"), _picture()]),
    "a result's file": _called(lambda: [_file()]),
}
_DIFFERENT: dict[str, tuple[MakeConversation, MakeConversation]] = {
    "files by their ids": (
        _asked(lambda: blocks.create_file_block(file_id="file-1")),
        _asked(lambda: blocks.create_file_block(file_id="file-2")),
    ),
    "files by their ids in the older form": (
        _asked(lambda: {"type": "file", "source_type": "id", "id": "file-1"}),
        _asked(lambda: {"type": "file", "source_type": "id", "id": "file-2"}),
    ),
    "names of files": (_asked(_file), _asked(lambda: _file(filename="b.pdf"))),
    "results": (
        _called(lambda: [blocks.create_text_block("22 C")]),
        _called(lambda: [blocks.create_text_block("23 C")]),
    ),
}


def test_generated_ids_in_the_arguments_of_a_tool_do_not_count():
    taken = []

    @tool
    def look(parts: list[Any]) -> str:
        """Look at something."""
        taken.append(parts)
        return "a cat"

    with ToolOps() as ops:
        guarded = wrap_tool(look, Policy(cache=Cache()), ops=ops)
        for _ in range(2):
            assert guarded.invoke({"parts": [{"content": [_picture()]}]}) == "a cat"
        assert len(taken) == 1
        assert taken[0][0]["content"][0]["id"].startswith("lc_")  # as it was given
        generated = _picture()["id"]
        for part in ({"id": generated}, {"type": "image", "id": "one"}, {"text": generated}):
            guarded.invoke({"parts": [part]})
        assert len(taken) == 4
        for _ in range(2):
            guarded.invoke({"parts": [AIMessage([_picture()], id=f"lc_run--{uuid.uuid4()}")]})
        assert len(taken) == 5
        guarded.invoke({"parts": [AIMessage([_picture()], id="1")]})
        assert len(taken) == 6


def _client(url: str, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(model="test", base_url=url, api_key="sk-test", max_retries=0, **options)


class TestModel(WireConformance):
    equal: ClassVar[dict[str, MakeConversation]] = _DATA
    generated: ClassVar[dict[str, MakeConversation]] = {**_TEXTS, **_RESULTS}
    different: ClassVar[dict[str, tuple[MakeConversation, MakeConversation]]] = _DIFFERENT

    def client(self, url: str) -> Any:
        return _client(url)

    def guard(self, client: Any, ops: ToolOps) -> Any:
        return guard_llm(client, ops=ops)

    def ask(self, model: Any, conversation: Any) -> Any:
        return model.invoke(conversation)


class TestStream(TestModel):
    def ask(self, model: Any, conversation: Any) -> Any:
        return list(model.stream(conversation))


def _thought(id_: str) -> MakeConversation:
    summary = [{"type": "summary_text", "text": "hm"}]
    thought = {"type": "reasoning", "id": id_, "summary": summary}
    return _answered(lambda: [thought, {"type": "text", "text": "a", "annotations": []}])


def _written(id_: str) -> MakeConversation:
    return _answered(lambda: [{"type": "text", "text": "a", "annotations": [], "id": id_}])


class TestResponses(TestModel):
    equal: ClassVar[dict[str, MakeConversation]] = {**_DATA, **_TEXTS}
    generated: ClassVar[dict[str, MakeConversation]] = _RESULTS
    different: ClassVar[dict[str, tuple[MakeConversation, MakeConversation]]] = {
        **_DIFFERENT,
        "thoughts": (_thought("rs_1"), _thought("rs_2")),
        "messages": (_written("msg_1"), _written("msg_2")),
        "pictures that were made": (
            _answered(lambda: [{"type": "image_generation_call", "id": "ig_1", "result": "AA"}]),
            _answered(lambda: [{"type": "image_generation_call", "id": "ig_2", "result": "AA"}]),
        ),
    }

    def client(self, url: str) -> Any:
        return _client(url, use_responses_api=True)


def _responded(id_: str) -> MakeConversation:
    return _answered(lambda: [{"type": "text", "text": "a"}], response_metadata={"id": id_})


class TestResponsesThatGoOn(TestModel):
    equal: ClassVar[dict[str, MakeConversation]] = {"a response": _responded("resp_1")}
    generated: ClassVar[dict[str, MakeConversation]] = _RESULTS
    different: ClassVar[dict[str, tuple[MakeConversation, MakeConversation]]] = {
        "responses": (_responded("resp_1"), _responded("resp_2"))
    }

    def client(self, url: str) -> Any:
        return _client(url, use_previous_response_id=True)


class TestCache(TestModel):
    def guard(self, client: Any, ops: ToolOps) -> Any:
        return client.model_copy(update={"cache": ToolOpsCache(ops)})


class TestCacheOfResponsesThatGoOn(TestResponsesThatGoOn):
    def guard(self, client: Any, ops: ToolOps) -> Any:
        return client.model_copy(update={"cache": ToolOpsCache(ops)})


class TestAgent(TestModel):
    def guard(self, client: Any, ops: ToolOps) -> Any:
        return create_agent(client, middleware=[ToolOpsMiddleware(ops)])

    def ask(self, model: Any, conversation: Any) -> Any:
        if isinstance(model, ChatOpenAI):
            return model.invoke(conversation)
        return model.invoke({"messages": conversation})


class TestAgentOfResponsesThatGoOn(TestAgent):
    equal: ClassVar[dict[str, MakeConversation]] = TestResponsesThatGoOn.equal
    generated: ClassVar[dict[str, MakeConversation]] = _RESULTS
    different: ClassVar[Any] = TestResponsesThatGoOn.different

    def client(self, url: str) -> Any:
        return _client(url, use_previous_response_id=True)
