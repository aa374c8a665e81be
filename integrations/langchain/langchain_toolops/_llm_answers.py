"""Answers of chat models: whether they may be stored, what they say, and the mark of a hit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    LLMResult,
)

from toolops_plugins.adapters.answers import HIT, is_json_object, is_whole_call
from toolops_plugins.adapters.call_ids import CallIds
from toolops_plugins.adapters.finish_reasons import Ending, Finish
from toolops_plugins.adapters.usage import zero_counts, zero_tokens

__all__ = [
    "ITEM_IDS",
    "are_whole",
    "content_of",
    "has_content",
    "is_of_chunks",
    "is_whole",
    "mark_generation",
    "mark_hit",
    "may_be_half",
    "merge_chunks",
    "must_tell_end",
    "read_stream_end",
    "tell_end",
]

ITEM_IDS = "__openai_function_call_ids__"
"""Under this name are the ids of the Responses API's items, by those of the calls in them."""
_WITH_IDS = (
    "tool_calls",
    "invalid_tool_calls",
    "content",
    "additional_kwargs",
    "response_metadata",
)
"""Fields of a message that may hold the ids of its tool calls."""
_RUN = "lc_run--"
_UUID = 36
"""The beginning and the length of the ids that LangChain makes of a run's."""
_SILENT = ("text", "thinking", "reasoning", "redacted_thinking")


def is_whole(message: BaseMessage) -> bool:
    """Return whether a model's message has content, and ended by itself as far as it says."""
    return _read_end(message).may_be_kept(streamed=False) and has_content(message)


def are_whole(generations: Iterable[Generation]) -> bool:
    """Return whether there are generations of one call of a model, and all of them are whole."""
    endings = []
    for each in generations:
        ending = Ending((each.generation_info,))
        if isinstance(each, ChatGeneration):
            ending = _read_end(each.message, each.generation_info)
        if not (ending.may_be_kept(streamed=False) and _says_something(each)):
            return False
        endings.append(ending)
    # Where one tells its end, another that does not has none.
    return bool(endings) and len({ending.is_told for ending in endings}) == 1


def may_be_half(generations: Iterable[Generation]) -> bool:
    """Return whether the generations that LangChain hands to a cache may be half a stream.

    LangChain makes the answer of ``invoke`` of a stream where somebody listens to its tokens. It
    makes tool calls of what JSON there is, and nobody can see any more whether that was all.
    """
    for each in generations:
        info = each.generation_info or {}
        if not isinstance(each, ChatGeneration):
            # OpenAI's model of texts says so of a stream that was cut.
            if info.get("finish_reason", "") is None:
                return True
        elif isinstance(each.message, AIMessage):
            if is_of_chunks(each.message) and each.message.tool_calls:
                return True
            if must_tell_end(each.message) and not _read_end(each.message, info).is_told:
                return True
    return False


def tell_end(generations: Iterable[Generation]) -> bool:
    """Return whether each generation of a chat model says how it ended."""
    return all(
        isinstance(each, ChatGeneration) and _read_end(each.message, each.generation_info).is_told
        for each in generations
    )


def _read_end(message: BaseMessage, info: Any = None) -> Ending:
    return Ending((info, message.response_metadata, message.additional_kwargs))


def _says_something(generation: Generation) -> bool:
    if isinstance(generation, ChatGeneration):
        return has_content(generation.message)
    return bool(generation.text.strip())


def is_of_chunks(message: BaseMessage) -> bool:
    """Return whether LangChain has made a message of chunks, as far as its id shows.

    Such a message has the id of its run, and one that came whole has a number behind that.
    """
    id_ = message.id or ""
    return id_.startswith(_RUN) and len(id_) == len(_RUN) + _UUID


def must_tell_end(message: BaseMessage) -> bool:
    """Return whether a message without a finish reason may be of a stream that was cut.

    A provider that gives its answers ids gives them finish reasons too.
    """
    if is_of_chunks(message):
        return True
    id_ = message.id or ""
    return bool(id_) and not id_.startswith(_RUN) and "model_provider" in message.response_metadata


def read_stream_end(chunks: Iterable[ChatGenerationChunk]) -> Ending:
    """Return how a stream ended.

    Each chunk is read by itself: where two of them tell a reason, LangChain joins the words.
    """
    ending = Ending()
    for chunk in chunks:
        message = chunk.message
        for holder in (chunk.generation_info, message.response_metadata, message.additional_kwargs):
            ending.read(holder)
        if isinstance(message, AIMessageChunk) and message.chunk_position == "last":
            # LangChain ends every stream with an empty chunk of this position, also a stream that
            # was cut, and a model that passes on another's stream passes that on.
            own = message.content or message.tool_call_chunks or message.response_metadata
            ending.note(Finish.GOOD if own else Finish.UNTOLD)
    return ending


def has_content(message: BaseMessage) -> bool:
    """Return whether a model's message has content, and nothing in it is broken or refused."""
    if not isinstance(message, AIMessage) or not _has_whole_calls(message):
        return False
    blocks = message.content if isinstance(message.content, list) else []
    kinds = [_kind(block) for block in blocks if isinstance(block, dict)]
    if "refusal" in kinds:
        return False
    # Other blocks are such as a picture.
    others = any(kind not in _SILENT for kind in kinds)
    return bool(message.tool_calls or message.text.strip() or others)


def _has_whole_calls(message: AIMessage) -> bool:
    """Return whether all tool calls have a name, and arguments that ``invoke`` takes.

    LangChain mends the JSON of chunks, and so makes calls of arguments that were cut.
    """
    if message.invalid_tool_calls or not all(map(is_whole_call, message.tool_calls)):
        return False
    if isinstance(message, AIMessageChunk) and not all(
        is_json_object(call["args"]) for call in message.tool_call_chunks
    ):
        return False
    for block in message.content if isinstance(message.content, list) else ():
        if isinstance(block, dict) and block.get("type") in ("function_call", "tool_use"):
            arguments = (block.get("arguments"), block.get("input"), block.get("partial_json"))
            if not all(map(is_json_object, arguments)):
                return False
    raw = message.additional_kwargs
    if not is_json_object((raw.get("function_call") or {}).get("arguments")):
        return False
    calls = raw.get("tool_calls")
    return all(map(is_whole_call, calls if isinstance(calls, list) else ()))


def _kind(block: dict[str, Any]) -> Any:
    """Return the type of a block; in LangChain's standard form a refusal stands in another."""
    value = block.get("value")
    if block.get("type") == "non_standard" and isinstance(value, dict):
        return value.get("type")
    return block.get("type")


def content_of(value: Any) -> Any:
    """Return what an answer says: its text, and the names and arguments of its tool calls.

    Args:
        value: Messages, generations or a list of these, a ``ChatResult``, or the stored form of a
            stream: the list of its chunks, and what its generator returned.
    """
    if isinstance(value, tuple) and value and isinstance(value[0], list) and value[0]:
        if not isinstance(value[0][0], ChatGeneration):
            return "".join(chunk.text for chunk in value[0])
        return content_of(merge_chunks(value[0]))
    if isinstance(value, ChatResult | LLMResult):
        return content_of(value.generations)
    if isinstance(value, list):
        return content_of(value[0]) if len(value) == 1 else [content_of(each) for each in value]
    if isinstance(value, ChatGeneration):
        return content_of(value.message)
    if isinstance(value, AIMessage) and value.tool_calls:
        return [value.text, [[call["name"], call["args"]] for call in value.tool_calls]]
    return value.text if isinstance(value, BaseMessage | Generation) else value


def merge_chunks(chunks: Sequence[ChatGenerationChunk]) -> ChatGenerationChunk:
    """Return the chunks of a stream as one; all at once, which takes time in proportion."""
    return chunks[0] + list(chunks[1:]) if len(chunks) > 1 else chunks[0]


def mark_hit(message: BaseMessage, *, keeps_usage: bool, new_ids: CallIds | None = None) -> None:
    """Mark a message that nobody else has as a hit, and give its tool calls new ids.

    Args:
        message: The message; it is changed.
        keeps_usage: Whether it keeps the token counts of the call that made it.
        new_ids: The new ids so far, where other messages use them too; more are added.
    """
    message.response_metadata["toolops"] = dict(HIT)
    if not isinstance(message, AIMessage):
        return
    if new_ids is not None and (message.additional_kwargs or type(message.content) is list):
        _add_items(message, new_ids)  # of a stream, in which reasoning comes before its calls
    if message.tool_calls or message.invalid_tool_calls or new_ids:
        _replace_ids(message, CallIds() if new_ids is None else new_ids)
    if not keeps_usage:
        zero_counts(message.response_metadata)
        if message.usage_metadata is not None:
            message.usage_metadata = zero_tokens(message.usage_metadata)


def mark_generation(
    generation: ChatGeneration, *, keeps_usage: bool, new_ids: CallIds | None = None
) -> None:
    """Mark a generation that nobody else has as a hit, as :func:`mark_hit` does its message."""
    mark_hit(generation.message, keeps_usage=keeps_usage, new_ids=new_ids)
    if not keeps_usage:
        zero_counts(generation.generation_info)


def _replace_ids(message: AIMessage, new_ids: CallIds) -> None:
    for call in (*message.tool_calls, *message.invalid_tool_calls):
        if call["id"]:
            new_ids.renew(call["id"], call["name"])
    if not new_ids:
        return
    _add_items(message, new_ids)
    for name in _WITH_IDS:
        setattr(message, name, new_ids.replace(getattr(message, name)))
    if isinstance(message, AIMessageChunk):
        message.tool_call_chunks = new_ids.replace(message.tool_call_chunks)


def _add_items(message: AIMessage, new_ids: CallIds) -> None:
    new_ids.add_items(message.content)
    if "reasoning" in message.additional_kwargs:
        new_ids.keeps_items = True
    items = message.additional_kwargs.get(ITEM_IDS)
    for id_ in items.values() if isinstance(items, dict) else ():
        new_ids.add_item(id_)
