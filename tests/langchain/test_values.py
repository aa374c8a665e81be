"""LangChain's values on their way through the codec."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
)

from langchain_toolops import _codec_types
from langchain_toolops._agent_answers import teach_answers
from langchain_toolops._codec_types import Generations, teach
from toolops_plugins import Codec
from toolops_plugins.errors import CodecError

USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
CALL = {"name": "f", "args": {"a": [1, None, 1.5]}, "id": "c", "type": "tool_call"}
BROKEN = {"name": "f", "args": "{", "id": "d", "error": "e", "type": "invalid_tool_call"}
VALUES: list[Any] = [
    AIMessage("a"),
    AIMessage("a", name="bot", response_metadata={"x": {"y": (1,)}}, usage_metadata=USAGE),
    AIMessage("", tool_calls=[CALL], invalid_tool_calls=[BROKEN]),
    AIMessage([{"type": "text", "text": "a"}, "b"], additional_kwargs={"refusal": None}),
    AIMessage("a", odd="extra"),
    AIMessageChunk("a", usage_metadata=USAGE, chunk_position="last"),
    AIMessageChunk("", tool_call_chunks=[{"name": "f", "args": "{}", "id": "c", "index": 0}]),
    HumanMessage("a", name="bob"),
    SystemMessage([{"type": "text", "text": "a"}]),
    ChatMessage("a", role="critic"),
    FunctionMessage("a", name="f"),
    ToolMessage("a", tool_call_id="c", artifact=(1, b"2"), status="error"),
    Generation(text="a", generation_info={"logprobs": None}),
    GenerationChunk(text="a"),
    ChatGeneration(message=AIMessage("a"), generation_info={"finish_reason": "stop"}),
    ChatGenerationChunk(message=AIMessageChunk("a")),
    Document("a", metadata={"page": 1}, id="d1"),
    Generations([ChatGeneration(message=AIMessage("a"))]),
    Generations([ChatGeneration(message=AIMessage([{"type": "text", "text": "a"}]))]),
    Generations([Generation(text="a"), ChatGeneration(message=HumanMessage("b"))]),
    ChatResult(generations=[ChatGeneration(message=AIMessage("a"))], llm_output={"model": "m"}),
    ("content", [Document("a")]),
    {"answer": AIMessage("a").text},
]


@pytest.fixture
def codec() -> Codec:
    made = Codec()
    teach(made)
    teach_answers(made)  # as two adapters of one runtime do
    return made


def again(codec: Codec, value: Any) -> Any:
    payload = codec.encode(value)
    return codec.decode(codec.load(payload.codec, codec.data(payload)))


def parts(value: Any) -> Any:
    """A value with the type of everything in it."""
    if isinstance(value, list | tuple):
        return type(value), [parts(each) for each in value]
    if isinstance(value, dict):
        return {key: parts(each) for key, each in value.items()}
    if isinstance(value, str):  # LangChain's own constructor lets a subclass into one field
        return value
    if hasattr(value, "__dict__"):
        extra = value.__pydantic_extra__
        return type(value), parts(vars(value)), parts(extra or {}), value.__pydantic_private__
    return type(value), value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_back_as_they_were(codec, value):
    assert parts(again(codec, value)) == parts(value)
    assert again(codec, value) == value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_back_as_they_were_where_langchain_is_another(codec, value, monkeypatch):
    monkeypatch.setattr(_codec_types, "_AS_KNOWN", False)
    assert parts(again(codec, value)) == parts(value)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_comes_back_works_as_any_other(codec, value):
    found = again(codec, value)
    if hasattr(found, "model_dump"):
        assert found.model_dump() == value.model_dump()
        assert found.model_copy(deep=True) == copy.deepcopy(found) == value
        assert found.model_fields_set <= type(found).model_fields.keys() | {"odd"}
    if isinstance(value, AIMessage):
        assert found.content_blocks == value.content_blocks
        assert found.text == value.text


def test_two_readers_share_nothing(codec):
    payload = codec.encode(Generations([ChatGeneration(message=AIMessage("a"))]))
    one, two = codec.decode(payload), codec.decode(payload)
    one[0].message.additional_kwargs["x"] = one[0].message.response_metadata["x"] = 1
    one[0].message.tool_calls.append(CALL)
    assert two == Generations([ChatGeneration(message=AIMessage("a"))])


def test_a_message_leaves_its_id_behind(codec):
    assert again(codec, AIMessage("a", id="run-1")).id is None
    assert (
        again(codec, Generations([ChatGeneration(message=AIMessage("a", id="b"))]))[0].message.id
        is None
    )
    assert again(codec, Document("a", id="d1")).id == "d1"  # it names the document


def test_an_artifact_may_be_an_array(codec):
    numpy = pytest.importorskip("numpy")
    found = again(codec, ToolMessage("a", tool_call_id="c", artifact=numpy.arange(3)))
    assert found.artifact.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "stored",
    [
        '{"~":["@","langchain.AIMessage",{"content":5}]}',
        '{"~":["@","langchain.AIMessage",{}]}',
        '{"~":["@","langchain.AIMessage",[]]}',
        '{"~":["@","langchain.AIMessage",{"content":"a","tool_calls":[5]}]}',
        '{"~":["@","langchain.AIMessage",{"content":"a","usage_metadata":[]}]}',
        '{"~":["@","langchain.Generations",5]}',
        '{"~":["@","langchain.Generations",[{}]]}',
        '{"~":["@","langchain.Generations",[{"message":{"content":"a"},"info":5}]]}',
        '{"~":["@","langchain.Generations",["a"]]}',
        '{"~":["@","langchain.Document",{"page_content":5}]}',
        '{"~":["@","langchain.ModelResponse",[[],false]]}',
        '{"~":["@","langchain.ModelResponse",[["a"],false]]}',
        '{"~":["@","langchain_core.messages.AIMessage",{"content":"a"}]}',
    ],
)
def test_a_forged_value_is_refused(codec, stored):
    with pytest.raises(CodecError):
        codec.load("json+", stored.encode())
