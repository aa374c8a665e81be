"""LlamaIndex's values through the codec, and streams in the form in which they are kept."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    ChatResponse,
    CitableBlock,
    CitationBlock,
    CompletionResponse,
    DocumentBlock,
    ImageBlock,
    LogProb,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms.llm import ToolSelection
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from llama_index.callbacks.toolops._codec_types import teach
from llama_index.callbacks.toolops._llm_chunks import Joiner, Splitter, join_pieces, teach_chunks
from toolops_plugins.codec import Codec
from toolops_plugins.errors import CodecError

PIXEL = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def codec() -> Codec:
    codec = Codec()
    for _ in range(2):  # again does nothing
        teach(codec)
        teach_chunks(codec)
    return codec


def again(codec: Codec, value: Any) -> Any:
    payload = codec.encode(value)
    return codec.decode(codec.load(payload.codec, codec.data(payload)))


BLOCKS = [
    TextBlock(text="hm"),
    TextBlock(text=""),
    ThinkingBlock(content="hm", num_tokens=3, additional_information={"signature": "s"}),
    ToolCallBlock(tool_call_id="1", tool_name="f", tool_kwargs={"x": [1, 2.0, None]}),
    ToolCallBlock(tool_name="f", tool_kwargs='{"x": 1}'),
    ImageBlock(image=PIXEL),
    ImageBlock(url="https://example.org/a.png", detail="low"),
    AudioBlock(audio=PIXEL, format="mp3"),
    VideoBlock(video=PIXEL),
    DocumentBlock(data=PIXEL, title="t"),
    CachePoint(cache_control=CacheControl(type="ephemeral")),
    CitableBlock(title="t", source="s", content="c"),
    CitationBlock(title="t", source="s", cited_content="c", additional_location_info={"start": 1}),
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: type(block).__name__)
def test_every_block_comes_back(codec, block):
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=[block])
    for value in (block, message, ChatResponse(message=message)):
        back = again(codec, value)
        assert type(back) is type(value)
        assert back == value
        assert back.model_dump() == value.model_dump()


def test_a_copy_shares_nothing(codec):
    value = ChatResponse(message=ChatMessage(role="assistant", content="hm"))
    payload = codec.encode(value)
    first = codec.decode(payload)
    first.message.blocks.append(TextBlock(text="more"))
    first.message.additional_kwargs["x"] = 1
    first.additional_kwargs["x"] = 1
    assert codec.decode(payload) == value


def test_responses_come_back(codec):
    for value in (
        CompletionResponse(text="hm", raw={"a": [1, None]}, delta="m"),
        ChatResponse(
            message=ChatMessage(role="assistant", additional_kwargs={"tool_calls": ["x"]}),
            raw=None,
            delta="",
            logprobs=[[LogProb(token="a", logprob=-0.5, bytes=[1])]],
            additional_kwargs={"prompt_tokens": 3},
        ),
        ChatMessage(
            role=MessageRole.TOOL,
            additional_kwargs={"call": ToolSelection(tool_id="1", tool_name="f", tool_kwargs={})},
        ),
    ):
        assert again(codec, value) == value


COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": "hm", "reasoning_content": "not told of"},
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    "of_another_provider": True,
}


class Answer(BaseModel):
    text: str
    parts: list[tuple[str, int]]


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (Answer(text="hm", parts=[("a", 1)]), {"text": "hm", "parts": [["a", 1]]}),
        ({"a": ("b", 1)}, {"a": ["b", 1]}),
        ({"a": Answer(text="hm", parts=[])}, {"a": {"text": "hm", "parts": []}}),
        (object(), None),
        (
            {"a": object(), "b": b"\x00", "c": MessageRole.USER},
            {"a": None, "b": b"\x00", "c": "user"},
        ),
    ],
)
@pytest.mark.parametrize("kind", ["whole", "stream"])
def test_what_a_provider_said_is_kept_as_data(codec, raw, kept, kind):
    value = CompletionResponse(text="hm", raw=raw)
    if kind == "whole":
        assert again(codec, value).raw == kept
    else:
        assert Joiner().join(again(codec, Splitter().cut(value))).raw == kept
    assert value.raw is raw


@pytest.mark.parametrize("kind", ["whole", "stream"])
def test_what_openai_said_is_of_its_type(codec, kind):
    raw = ChatCompletion.construct(**COMPLETION)
    value = CompletionResponse(text="hm", raw=raw)
    if kind == "whole":
        back = again(codec, value).raw
    else:
        back = Joiner().join(again(codec, Splitter().cut(value))).raw
    assert type(back) is ChatCompletion
    assert back == raw
    assert back.choices[0].message.reasoning_content == "not told of"
    assert back.of_another_provider is True


def test_a_response_of_the_users_own_class_is_not_kept(codec):
    class Mine(ChatResponse):
        more: int = 1

    with pytest.raises(CodecError):
        codec.encode(Mine(message=ChatMessage()))


@pytest.mark.parametrize(
    ("written", "forged"),
    [
        (b'"assistant"', b'"emperor"'),
        (b'"role"', b'"rule"'),
        (b'"message"', b'"massage"'),
    ],
)
def test_a_forged_entry_is_no_value(codec, written, forged):
    payload = codec.encode(ChatResponse(message=ChatMessage(role="assistant", content="hm")))
    data = codec.data(payload)
    assert written in data
    with pytest.raises(CodecError):
        codec.load(payload.codec, data.replace(written, forged))


# Streams


def chunks(count: int) -> list[ChatResponse]:
    made = []
    for number in range(1, count + 1):
        blocks = [
            ThinkingBlock(content="hm, " * number),
            TextBlock(text="word " * number),
            ToolCallBlock(tool_call_id="1", tool_name="f", tool_kwargs='{"x": "' + "y" * number),
        ]
        made.append(ChatResponse(message=ChatMessage(role="assistant", blocks=blocks)))
    return made


def test_chunks_come_back_as_they_were(codec):
    stream = [
        *chunks(3),
        # What does not go on as it began: another text, other blocks, none.
        ChatResponse(message=ChatMessage(role="assistant", content="something else"), delta="x"),
        ChatResponse(message=ChatMessage(role="assistant", blocks=[])),
        ChatResponse(message=ChatMessage(role="assistant", blocks=[ImageBlock(image=PIXEL)])),
        *chunks(2),
        CompletionResponse(text="a"),
        CompletionResponse(text="a b", delta=" b"),
    ]
    splitter = Splitter()
    pieces = [again(codec, splitter.cut(chunk)) for chunk in stream]
    assert list(join_pieces(pieces)) == stream


def test_a_long_stream_takes_room_in_proportion(codec):
    def size(count: int) -> int:
        splitter = Splitter()
        return sum(len(codec.data(codec.encode(splitter.cut(c)))) for c in chunks(count))

    assert size(1_000) < 11 * size(100)
