"""The question of a conversation with a chat model, and its part of the key."""

from __future__ import annotations

import copy
import json as json_library
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_toolops._llm_conversation import question_in_text, question_of
from toolops_plugins.errors import NotCanonicalError

texts = st.text(max_size=12)
ids = st.none() | st.text(min_size=1, max_size=6)
json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
calls = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["add", "find"]),
            "args": st.dictionaries(texts, json, max_size=2),
            "id": st.text(min_size=1, max_size=4),
        }
    ),
    max_size=2,
    unique_by=lambda call: call["id"],
)
messages = st.lists(
    st.builds(SystemMessage, texts, id=ids)
    | st.builds(HumanMessage, texts, id=ids, name=ids)
    | st.builds(AIMessage, texts, id=ids, tool_calls=calls)
    | st.builds(
        ToolMessage,
        texts,
        tool_call_id=st.text(min_size=1, max_size=4),
        status=st.sampled_from(["success", "error"]),
    ),
    min_size=1,
    max_size=5,
)


@given(messages)
def test_messages_and_their_written_form_ask_the_same(conversation: list[BaseMessage]):
    assert question_of(conversation) == question_in_text(dumps(conversation))


@given(messages)
def test_nothing_is_changed_by_asking(conversation: list[BaseMessage]):
    before = copy.deepcopy(conversation)
    question_of(conversation, after_tools=True)
    assert conversation == before


@given(messages, st.text(min_size=1, max_size=3))
def test_ids_do_not_count(conversation: list[BaseMessage], mark: str):
    other = copy.deepcopy(conversation)
    for message in other:
        message.id = mark
        message.response_metadata = {"at": mark}
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                call["id"] = f"{mark}-{call['id']}"
        if isinstance(message, ToolMessage) and any(
            call["id"] == message.tool_call_id
            for each in conversation[: other.index(message)]
            if isinstance(each, AIMessage)
            for call in each.tool_calls
        ):
            message.tool_call_id = f"{mark}-{message.tool_call_id}"
    assert question_of(other) == question_of(conversation)


@given(messages, messages)
def test_what_differs_in_words_differs_in_the_key(one: list[BaseMessage], two: list[BaseMessage]):
    def words(conversation: list[BaseMessage]) -> list[tuple[str, Any]]:
        return [(message.type, message.content) for message in conversation]

    if words(one) != words(two):
        assert question_of(one) != question_of(two)


@pytest.mark.parametrize(
    ("conversation", "question"),
    [
        ([HumanMessage("a")], "a"),
        ([SystemMessage("s"), HumanMessage("a"), AIMessage("b"), HumanMessage("c")], "c"),
        ([HumanMessage("a"), AIMessage("b")], ""),
        ([HumanMessage([{"type": "text", "text": "a"}, "b"])], "a\nb"),
        ([HumanMessage([{"type": "image_url", "image_url": "x"}])], ""),
        ([], ""),
    ],
)
def test_the_question_is_the_last_human_text(conversation, question):
    found, scope = question_of(conversation)
    assert found == question
    assert len(scope) == len(conversation)


def test_a_tool_result_after_the_question_makes_it_none_unless_asked_for():
    conversation = [
        HumanMessage("a"),
        AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "c"}]),
        ToolMessage("b", tool_call_id="c"),
    ]
    assert question_of(conversation)[0] == ""
    question, scope = question_of(conversation, after_tools=True)
    assert question == "a"
    assert question_of([HumanMessage("z"), *conversation[1:]], after_tools=True)[1] == scope


def test_a_picture_stays_in_the_scope():
    def with_picture(url: str) -> tuple[str, Any]:
        blocks = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": url}}]
        return question_of([HumanMessage(blocks)])

    assert with_picture("x")[0] == with_picture("y")[0] == "a"
    assert with_picture("x")[1] != with_picture("y")[1]


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "tool_use", "id": "MARK", "name": "f", "input": {}}],
        [
            {
                "type": "function_call",
                "id": "fc_MARK",
                "call_id": "MARK",
                "name": "f",
                "arguments": "",
            }
        ],
        [{"type": "tool_call", "id": "MARK", "extras": {"item_id": "fc_MARK", "status": "done"}}],
        [{"type": "text", "text": "a", "id": "lc_MARK"}],
        [{"type": "text", "text": "a", "id": "lc_run--MARK"}],
        [{"type": "non_standard", "value": {"type": "text", "id": "run-MARK-0"}, "id": "lc_MARK"}],
    ],
)
@pytest.mark.parametrize("is_text", [False, True])
def test_ids_of_calls_and_generated_ids_do_not_count(blocks, is_text):
    def turn(mark: str) -> Any:
        content = json_library.loads(json_library.dumps(blocks).replace("MARK", mark))
        calls = [{"name": "f", "args": {}, "id": mark}]
        ids = {"__openai_function_call_ids__": {mark: f"fc_{mark}"}}
        answer = AIMessage(content, tool_calls=calls, additional_kwargs=ids)
        conversation = [HumanMessage("a"), answer, ToolMessage("r", tool_call_id=mark)]
        return question_in_text(dumps(conversation)) if is_text else question_of(conversation)

    assert turn(str(uuid.uuid4())) == turn(str(uuid.uuid4()))


def test_what_belongs_to_each_call_counts_without_their_ids():
    def turn(ids: str, signatures: str) -> Any:
        calls = [{"name": "f", "args": {}, "id": id_} for id_ in ids]
        beside = {"signatures": dict(zip(ids, signatures, strict=True))}
        return question_of([AIMessage("", tool_calls=calls, additional_kwargs=beside)])

    assert turn("ab", "xy") == turn("cd", "xy")
    assert turn("ab", "xy") != turn("ab", "yx")


def test_ids_of_calls_that_are_in_the_content_alone_do_not_count():
    def turn(mark: str) -> Any:
        call = {"type": "tool_use", "id": mark, "name": "f", "input": {"id": "x"}}
        return question_of([AIMessage([call]), ToolMessage("r", tool_call_id=mark)])

    assert turn("one") == turn("two")
    wrong = [{"name": "f", "args": "{", "id": mark, "error": "no JSON"} for mark in ("1", "2")]
    one, two = ([AIMessage("", invalid_tool_calls=[call])] for call in wrong)
    assert question_of(one) == question_of(two)


@pytest.mark.parametrize("kind", [HumanMessage, SystemMessage, AIMessage])
@pytest.mark.parametrize(
    "block",
    [
        {"type": "reasoning", "id": "rs_{}", "summary": [{"text": "so"}]},
        {"type": "text", "text": "a", "annotations": [], "id": "msg_{}"},
        {"type": "image_generation_call", "id": "ig_{}", "result": "AAAA"},
        {"type": "image", "file_id": "file-{}"},
        {"type": "file", "source_type": "id", "id": "file-{}"},
        {"type": "image", "id": "lc_invoice_{}", "url": "http://x"},
        {"type": "text", "text": "lc_{}", "annotations": []},
    ],
)
def test_ids_by_which_a_provider_knows_something_count(kind, block):
    def turn(mark: str) -> Any:
        content = [
            {k: v.replace("{}", mark) if isinstance(v, str) else v for k, v in block.items()}
        ]
        return question_of([kind(content), HumanMessage("b")])

    assert turn("one") == turn("one")
    assert turn("one") != turn("two")


def test_the_id_of_a_response_counts_where_the_provider_goes_on_from_it():
    def turn(id_: str, **options: Any) -> Any:
        answer = AIMessage("b", response_metadata={"id": id_})
        conversation = [HumanMessage("a"), answer, HumanMessage("c")]
        assert question_of(conversation, **options) == question_in_text(
            dumps(conversation), **options
        )
        return question_of(conversation, **options)

    assert turn("resp_1") == turn("resp_2")
    assert turn("resp_1", by_response=True) != turn("resp_2", by_response=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda id_: AIMessage("", additional_kwargs={"audio": {"id": id_}}),
        lambda id_: AIMessage([{"type": "image_generation_call", "id": id_, "status": "done"}]),
        lambda id_: AIMessage([{"type": "reasoning", "id": id_, "summary": []}]),
    ],
)
def test_an_id_that_is_all_there_is_counts(make):
    one, two = (question_of([HumanMessage("a"), make(id_), HumanMessage("b")]) for id_ in "xy")
    assert one != two


def question_after(*arguments: Any) -> tuple[str, Any]:
    call = {"name": "f", "args": {"n": list(arguments)}, "id": "c"}
    return question_in_text(dumps([SystemMessage("s"), AIMessage("", tool_calls=[call]), FRANCE]))


FRANCE = HumanMessage("What is the capital of France?")


def test_numbers_count_to_the_last_digit():
    assert question_after(123456789012345678901) != question_after(123456789012345678902)


def test_what_only_pythons_json_can_read_is_a_conversation_all_the_same():
    question, scope = question_after(float("nan"))
    assert question == FRANCE.content
    assert len(scope) == 3
    assert scope[0] == ["system", "s"]


@pytest.mark.parametrize(
    "text",
    [
        '[{"lc":1,"id":["HumanMessage"],"kwargs":[]}]',
        '[{"lc":1,"id":["HumanMessage"],"kwargs":{"content":5}}]',
        '[{"lc":1,"id":["AIMessage"],"kwargs":{"tool_calls":[5]}}]',
        '[{"lc":1}]',
        '[{"lc":',
    ],
)
def test_a_text_that_only_looks_like_a_conversation_is_a_text_without_a_question(text):
    assert question_in_text(text) == ("", [text])


def test_where_blocks_end_counts():
    def blocks(*texts: str) -> Any:
        return question_of([HumanMessage([{"type": "text", "text": text} for text in texts])])

    assert blocks("a\n", "b") != blocks("a", "\nb")
    assert blocks("a", "b")[1] == blocks("c", "d")[1]


def test_ids_in_what_a_human_sent_do_count():
    one, two = (question_of([HumanMessage([{"type": "file", "id": mark}])]) for mark in "ab")
    assert one != two


def test_a_streamed_answer_is_the_same_as_a_whole_one():
    assert question_of([AIMessageChunk("a")]) == question_of([AIMessage("a")])


def test_roles_and_names_count():
    assert question_of([ChatMessage("a", role="x")]) != question_of([ChatMessage("a", role="y")])
    assert question_of([FunctionMessage("a", name="x")]) != question_of(
        [FunctionMessage("a", name="y")]
    )
    assert question_of([HumanMessage("a", name="x")]) != question_of([HumanMessage("a")])


def test_a_failed_result_counts_as_failed():
    one, two = (
        question_of([ToolMessage("a", tool_call_id="c", status=status)])
        for status in ("success", "error")
    )
    assert one != two


def test_what_is_no_turn_of_a_conversation_is_refused():
    with pytest.raises(NotCanonicalError, match="RemoveMessage"):
        question_of([RemoveMessage(id="a")])
