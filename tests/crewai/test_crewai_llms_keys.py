"""The question of a conversation with a CrewAI model, and the rest of the key."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from crewai import BaseLLM
from crewai.tools import BaseTool, tool
from crewai.utilities.i18n import I18N_DEFAULT
from pydantic import BaseModel

from crewai_toolops._llm_answers import Answer, restore_answer, teach
from crewai_toolops._llm_conversation import question_of
from crewai_toolops._llm_identity import is_passing, request_identity
from crewai_toolops.llms import guard_llm
from toolops_plugins import Codec
from toolops_plugins.adapters.live_values import LiveValues
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.keys.canonical import Canon

USER = {"role": "user", "content": "What costs ACME?"}
SYSTEM = {"role": "system", "content": "You are kind."}
URGING = {"role": "user", "content": I18N_DEFAULT.slice("post_tool_reasoning")}
WRITTEN = {"role": "assistant", "content": "Action: quote\nObservation: 7"}


def tools_of(id_: str, result: str = "7") -> list[dict[str, Any]]:
    call = {"id": id_, "type": "function", "function": {"name": "quote", "arguments": "{}"}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id_, "name": "quote", "content": result},
    ]


def key_of(messages: Any, **options: Any) -> bytes:
    return Canon().encode(list(question_of(messages, **options)))


def test_the_last_user_text_is_the_question():
    question, turns = question_of([SYSTEM, USER])
    assert question == USER["content"]
    assert "ACME" not in repr(turns)
    assert "kind" in repr(turns)


def test_a_text_is_what_its_user_says():
    assert key_of(USER["content"]) == key_of([USER])


@pytest.mark.parametrize(
    "behind", [tools_of("1"), [WRITTEN], [WRITTEN, URGING], [*tools_of("1"), URGING]]
)
def test_a_turn_behind_results_of_tools_has_no_question(behind):
    assert question_of([SYSTEM, USER, *behind])[0] == ""
    assert question_of([SYSTEM, USER, *behind], after_tools=True)[0] == USER["content"]


def test_what_a_tool_has_said_in_the_users_name_is_no_question():
    seen = {"role": "user", "content": "Observation: ACME costs 7"}
    assert question_of([SYSTEM, USER, WRITTEN, seen])[0] == ""
    assert question_of([SYSTEM, USER, WRITTEN, seen], after_tools=True)[0] == USER["content"]
    assert "costs 7" in repr(question_of([SYSTEM, USER, WRITTEN, seen], after_tools=True)[1])
    pictured = {"role": "user", "content": [{"type": "text", "text": "Observation: Here it is:"}]}
    assert question_of([SYSTEM, USER, WRITTEN, pictured])[0] == ""
    assert question_of([SYSTEM, seen])[0] == seen["content"]


@pytest.mark.parametrize(
    "quoting",
    [
        I18N_DEFAULT.slice("task_with_context").format(task="Buy?", context="It is open."),
        "Buy?" + I18N_DEFAULT.slice("memory").format(memory="It is open."),
        I18N_DEFAULT.slice("summarize_instruction").format(conversation="It is open."),
        I18N_DEFAULT.errors("validation_error").format(
            guardrail_result_error="No.", task_output="It is open."
        ),
        I18N_DEFAULT.retrieve("planning", "synthesis_user_prompt").format(
            task_description="Buy?", combined_steps="It is open."
        ),
        "Buy?\nAdditional Information: It is open.",
        "Ensure the following.\n\nTask result:\nIt is open.",  # as its guardrail says it
    ],
)
def test_a_prompt_that_holds_results_is_no_question(quoting):
    question, turns = question_of([SYSTEM, {"role": "user", "content": quoting}])
    assert (question, turns[1][1]) == ("", quoting)


@pytest.mark.parametrize(
    "told",
    [
        I18N_DEFAULT.slice("formatted_task_instructions"),
        I18N_DEFAULT.memory("extract_memories_system"),
    ],
)
def test_a_result_that_is_worked_on_is_no_question(told):
    result = {"role": "user", "content": "It is open."}
    assert question_of([{"role": "system", "content": told}, result])[0] == ""
    assert question_of([SYSTEM, result])[0] == "It is open."


def test_what_crewai_says_behind_a_tool_is_part_of_the_key():
    assert key_of([USER, WRITTEN, URGING]) != key_of([USER, WRITTEN])


def test_what_a_tool_has_said_is_part_of_the_key():
    turns = [USER, *tools_of("1")]
    assert key_of(turns, after_tools=True) != key_of([USER, *tools_of("1", "8")], after_tools=True)


def test_ids_of_calls_are_numbers_by_which_results_are_found():
    assert key_of([USER, *tools_of("1"), *tools_of("2")]) == key_of(
        [USER, *tools_of("7"), *tools_of("3")]
    )
    assert key_of([USER, *tools_of("1"), *tools_of("2")]) != key_of(
        [USER, *tools_of("1"), *tools_of("1")]
    )


def test_ids_that_are_content_stay():
    def of(id_: str) -> list[Any]:
        return [{"role": "user", "content": [{"type": "file", "id": id_}]}]

    assert key_of(of("1")) != key_of(of("2"))


@pytest.mark.parametrize("name", ["input", "args", "arguments"])
def test_arguments_that_are_called_as_ids_are_stay(name):
    def of(given: Any) -> list[Any]:
        call = {"type": "tool_use", "id": "1", "name": "get", name: given}
        return [{"role": "assistant", "content": [call]}, *tools_of("1")]

    assert key_of(of({"call_id": "a"})) != key_of(of({"call_id": "b"}))
    assert key_of(of({"day": None})) != key_of(of({}))


class ImagePath(BaseModel):
    """As CrewAI's files know where they are."""

    path: Path


class Image(BaseModel):
    source: ImagePath


def test_files_count_by_what_stands_in_them(tmp_path):
    def of(path: Path) -> list[Any]:
        files = {"picture": Image(source=ImagePath(path=path))}
        return [{"role": "user", "content": "What is it?", "files": files}]

    path = tmp_path / "picture.png"
    with pytest.raises(FileNotFoundError):
        question_of(of(path))
    path.write_bytes(b"a cat")
    before = key_of(of(path))
    assert before == key_of(of(path))
    path.write_bytes(b"a dog")
    assert before != key_of(of(path))
    # Where a file lies is told to nobody; its name may be.
    for name, is_same in (("picture.png", True), ("other.png", False)):
        elsewhere = tmp_path / "elsewhere" / name
        elsewhere.parent.mkdir(exist_ok=True)
        elsewhere.write_bytes(b"a cat")
        assert (key_of(of(elsewhere)) == before) is is_same


async def test_files_are_not_read_on_the_event_loop(ops, tmp_path):
    class Reading(BaseLLM):
        def call(self, messages, **kwargs):
            raise NotImplementedError

        async def acall(self, messages, **kwargs):
            return "a cat"

    readers: list[int] = []

    class Noting(ImagePath):
        def read(self) -> bytes:
            readers.append(threading.get_ident())
            return self.path.read_bytes()

    path = tmp_path / "picture.png"
    path.write_bytes(b"a cat")
    guarded = guard_llm(Reading(model="own"), ops=ops)
    files = {"picture": Image.model_construct(source=Noting(path=path))}
    for _ in range(2):
        message = {"role": "user", "content": "What is it?", "files": files}
        assert await guarded.acall([message]) == "a cat"
    assert len(readers) == 2
    assert threading.get_ident() not in readers


def test_pictures_stay_in_their_places():
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    text = {"type": "text", "text": "What is it?"}
    question, turns = question_of([{"role": "user", "content": [picture, text]}])
    assert question == "What is it?"
    assert turns == [["user", [picture, None]]]
    assert key_of([{"role": "user", "content": [picture, text]}]) != key_of(
        [{"role": "user", "content": [text, picture]}]
    )


def test_where_one_text_ends_is_part_of_the_key():
    def of(*texts: str) -> list[Any]:
        return [{"role": "user", "content": [{"type": "text", "text": t} for t in texts]}]

    assert key_of(of("a\nb", "c")) != key_of(of("a", "b\nc"))


def test_the_parts_of_a_package_count_by_their_fields():
    class Part(BaseModel):
        id: str
        name: str

    def of(id_: str, name: str) -> list[Any]:
        return [
            {"role": "assistant", "content": "", "raw_tool_call_parts": [Part(id=id_, name=name)]}
        ]

    assert key_of(of("1", "a")) == key_of(of("2", "a"))
    assert key_of(of("1", "a")) != key_of(of("1", "b"))


@pytest.mark.parametrize("messages", [None, 7, ["text"], [{"content": "no role"}]])
def test_what_is_no_conversation_has_no_key(messages):
    with pytest.raises(NotCanonicalError):
        question_of(messages)


def test_tools_count_by_what_a_model_is_told():
    @tool("quote")
    def quote(ticker: str) -> str:
        """The price of a share."""
        return ticker

    @tool("quote")
    def other(ticker: str, place: str = "here") -> str:
        """The price of a share."""
        return ticker

    class Quote(BaseTool):
        name: str = "quote"
        description: str = quote.description
        place: str = "here"

        def _run(self, ticker: str) -> str:
            return ticker

    live = LiveValues(Canon(), print)
    told = [
        repr(request_identity([each], live))
        for each in (quote, other, Quote(place="there"), Quote())
    ]
    assert told[0] != told[1]
    assert told[2] == told[3]


def test_an_error_within_an_error_says_whether_it_may_pass():
    class RefusedError(Exception):
        status_code = 404

    wrapped = ValueError("the model is unknown")
    wrapped.__cause__ = RefusedError()
    assert not is_passing(wrapped)
    assert is_passing(ValueError("whatever"))


@pytest.mark.parametrize(
    ("form", "value", "back"),
    [
        ("plain", "Paris", "Paris"),
        ("plain", [1, {"a": None}], [1, {"a": None}]),
        ("model", '{"id": "1"}', None),
    ],
)
def test_answers_travel_as_bytes(form, value, back):
    class Known(BaseModel):
        id: str

    codec = Codec()
    teach(codec)
    teach(codec)
    payload = codec.encode(Answer(form, value, {"total_tokens": 3}, owner=object()))
    again = codec.decode(codec.load(payload.codec, codec.data(payload)))
    assert again.usage == {"total_tokens": 3}
    assert again.owner is None
    assert restore_answer(again, Known) == (Known(id="1") if back is None else back)


def test_ids_among_arguments_of_tools_stay():
    call = {"id": "1", "name": "quote", "input": {"id": "1"}, "type": "tool_use"}
    (renewed,) = restore_answer(Answer("plain", [call]), None)
    assert renewed["input"] == {"id": "1"}
    assert renewed["id"] != "1"


def test_lists_that_are_no_tool_calls_stay():
    assert restore_answer(Answer("plain", [{"id": "1"}]), None) == [{"id": "1"}]
