"""Results of an agent's calls, in the form that is kept and in that of the caller."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from langchain.agents.middleware.types import (
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
)
from langchain.agents.structured_output import (
    AutoStrategy,
    OutputToolBinding,
    ProviderStrategy,
    ProviderStrategyBinding,
    ToolStrategy,
)
from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langchain_core.tools import BaseTool

from langchain_toolops._codec_types import teach
from langchain_toolops._inner_runs import InnerRuns
from langchain_toolops._llm_answers import content_of, is_whole, mark_hit
from langchain_toolops._llm_schema import accepts_message
from langchain_toolops._model_runs import ModelRuns
from langchain_toolops._tool_injection import injection_names
from toolops_plugins import Codec
from toolops_plugins.adapters.answer_schema import schema_of
from toolops_plugins.adapters.call_ids import CallIds
from toolops_plugins.errors import NotEncodableError

__all__ = [
    "Answer",
    "Lone",
    "ToolAnswer",
    "answer_content",
    "answer_in",
    "answer_of",
    "asked_of",
    "is_whole_answer",
    "is_whole_tool_answer",
    "mark_key",
    "restore_answer",
    "teach_answers",
    "tool_answer_of",
    "tool_content",
    "tool_message",
]

_KEY = "toolops_key"
_TO_BE_PARSED = object()
"""Stands for a structured response, which is never stored: the live request makes it again."""


@dataclass
class Answer(ModelResponse[Any]):
    """A model's response as the runtime keeps it.

    Attributes:
        lone: Whether it is for its own caller alone.
        is_sound: Whether the model that was asked has made it, of what it was asked, to its end,
            and it fits the schemas of what was asked for.
    """

    lone: bool = False
    is_sound: bool = True

    def __deepcopy__(self, memo: dict[int, Any]) -> Answer:
        if self.lone:
            return self
        result, structured = deepcopy((self.result, self.structured_response), memo)
        return Answer(result, structured, is_sound=self.is_sound)


class ToolAnswer(ToolMessage):
    """A tool's message as the runtime keeps it: content and artifact, and whether it failed."""


class Lone:
    """A result for the caller of a tool alone, such as a command to the graph.

    Args:
        result: What it brought.
    """

    __slots__ = ("result",)

    def __init__(self, result: Any) -> None:
        self.result = result

    def __deepcopy__(self, memo: dict[int, Any]) -> Lone:
        return self


def teach_answers(codec: Codec) -> None:
    """Make what is here encodable, and LangChain's messages with it."""
    teach(codec)
    codec.register(
        Answer, "langchain.ModelResponse", encode=_answer_fields, decode=_load_answer, verify=False
    )
    codec.register(
        ToolAnswer,
        "langchain.ToolAnswer",
        encode=_tool_fields,
        decode=_load_tool_answer,
        verify=False,
    )


def _answer_fields(answer: Answer) -> Any:
    if answer.lone:
        raise NotEncodableError("$: a response that cannot be made again")
    return [answer.result, answer.structured_response is not None]


def _load_answer(fields: Any) -> Answer:
    messages, structured = fields
    if not messages or not all(isinstance(message, BaseMessage) for message in messages):
        raise TypeError("there is something among the messages that is none")
    return Answer(messages, _TO_BE_PARSED if structured else None)


def _tool_fields(answer: ToolAnswer) -> Any:
    return [answer.content, answer.artifact, answer.status]


def _load_tool_answer(fields: Any) -> ToolAnswer:
    content, artifact, status = fields
    return ToolAnswer(content=content, artifact=artifact, status=status, tool_call_id="")


# Models


def answer_of(
    response: Any,
    runs: ModelRuns,
    *,
    request: ModelRequest[Any],
    warn_of_untold_end: Callable[[], None],
) -> Answer:
    """Return what a model call brought, as the runtime keeps it.

    Args:
        response: What the handler returned.
        runs: The runs in which it was made.
        request: The request. Where the structured response is not just what the messages say in
            the format that it asks for, it is for its own caller alone.
        warn_of_untold_end: Tells of a stream without an end.
    """
    command = None
    if isinstance(response, ExtendedModelResponse):
        response, command = response.model_response, response.command
    if isinstance(response, AIMessage):
        response = ModelResponse([response])
    structured = response.structured_response
    lone = command is not None
    if structured is not None and not lone:
        try:
            again = _parse_structured(response.result, request.response_format)
            lone = type(again) is not type(structured) or bool(again != structured)
        except Exception:  # noqa: BLE001 - of the schema's own code; what cannot be compared is not kept
            lone = True
    answers = [message for message in response.result if isinstance(message, AIMessage)]
    asked = asked_of(request)
    is_made = all(
        runs.is_answer_of(message, request.model, request.model_settings)
        and runs.is_answer_to(message, asked)
        for message in answers
    )
    may_be_half = runs.may_be_half(response.result, warn_of_untold_end)
    fits = structured is not None or _fits(response.result, request)
    return Answer(response.result, structured, lone, is_made and fits and not may_be_half)


def asked_of(request: ModelRequest[Any]) -> list[Any]:
    """Return the conversation that reaches the model."""
    system = request.system_message
    return [*([] if system is None else [system]), *request.messages]


def _fits(messages: Any, request: ModelRequest[Any]) -> bool:
    """Return whether messages without a structured response fit what was asked for."""
    asked = [message for message in messages if isinstance(message, AIMessage)]
    called = {call["name"] for message in asked for call in message.tool_calls}
    if request.response_format is not None and not called:
        return False  # the agent ends here, without what its user waits for
    try:
        tools = [_describe(tool, called) for tool in request.tools]
        settings = {**(request.model_settings or {}), "tool_choice": request.tool_choice}
        schema = schema_of(settings, tools=tools)
    except Exception:  # noqa: BLE001 - of users' tools; what cannot be checked is not kept
        return False
    return schema is None or all(accepts_message(schema, message) for message in asked)


def _describe(tool: Any, called: set[str]) -> Any:
    """Return a tool as a request holds it; its schema takes long, and counts where it is called."""
    if not isinstance(tool, BaseTool):
        return tool
    return {
        "name": tool.name,
        "parameters": tool.tool_call_schema if tool.name in called else {},
    }


def is_whole_answer(answer: Any) -> bool:
    """Return whether a model's answer may be kept: it is whole, and went through its schema."""
    if type(answer) is not Answer or not answer.is_sound:
        return False
    messages = answer.result
    if not any(isinstance(message, AIMessage) for message in messages):
        return False
    if len(messages) > 1 and answer.structured_response is None:
        return False  # the other messages tell the model that its answer does not fit the schema
    answers = (message for message in messages if not isinstance(message, ToolMessage))
    return all(is_whole(each) for each in answers)


def answer_content(answer: Any) -> Any:
    """Return what of a model's response answers the question."""
    return content_of([each for each in answer.result if isinstance(each, AIMessage)])


def answer_in(result: Any) -> AIMessage | None:
    """Return what the model has said in a result of the middleware, or None where it is none."""
    if isinstance(result, ExtendedModelResponse):
        result = result.model_response
    if isinstance(result, ModelResponse):
        return next((m for m in result.result if isinstance(m, AIMessage)), None)
    return result if isinstance(result, AIMessage) else None


def mark_key(answer: Answer, find_key: Callable[[], str]) -> None:
    """Let what a model has said tell the key under which the answer may be kept.

    It is stored with the answer: so a hit tells it too, and one by meaning the key of its origin.

    Args:
        answer: The answer, which has just been made.
        find_key: Returns the key, in hexadecimal.
    """
    if answer.lone or not is_whole_answer(answer):
        return
    try:
        key = find_key()
    except Exception:  # noqa: BLE001 - of users' classes; the call went past the cache
        return
    for message in answer.result:
        if isinstance(message, AIMessage):
            message.response_metadata = {**message.response_metadata, _KEY: key}


def restore_answer(
    answer: Answer, response_format: Any, *, keeps_usage: bool
) -> ModelResponse[Any]:
    """Return what the runtime gave as a response for another caller than the one who paid.

    Args:
        answer: A copy that nobody else has.
        response_format: What the live request asks for; a structured response is made by it.
        keeps_usage: Whether messages may still tell the tokens of the call that made them.

    Raises:
        Exception: The messages do not fit the format any more.
    """
    new_ids = CallIds()
    for message in answer.result:
        message.id = None  # the graph gives every message an id of its own
        if isinstance(message, AIMessage):
            mark_hit(message, keeps_usage=keeps_usage, new_ids=new_ids)
        elif isinstance(message, ToolMessage):
            message.tool_call_id = new_ids.get(message.tool_call_id)
    structured = answer.structured_response
    if structured is _TO_BE_PARSED:
        structured = _parse_structured(answer.result, response_format)
    return ModelResponse(answer.result, structured)


def _parse_structured(messages: Any, response_format: Any) -> Any:
    """Return the structured response that messages hold, made by the request's own schema."""
    message: AIMessage = next(m for m in messages if isinstance(m, AIMessage))
    if isinstance(response_format, ProviderStrategy):
        return _by_provider(response_format, message)
    schema = response_format.schema if isinstance(response_format, AutoStrategy) else None
    strategy = response_format
    if not isinstance(response_format, ToolStrategy):
        schema = response_format if schema is None else schema
        if not message.tool_calls:
            return _by_provider(ProviderStrategy(schema), message)
        strategy = ToolStrategy(schema)
    specs = {spec.name: spec for spec in strategy.schema_specs}
    (call,) = [call for call in message.tool_calls if call["name"] in specs]
    return OutputToolBinding.from_schema_spec(specs[call["name"]]).parse(call["args"])


def _by_provider(strategy: ProviderStrategy[Any], message: AIMessage) -> Any:
    return ProviderStrategyBinding.from_schema_spec(strategy.schema_spec).parse(message)


# Tools


def tool_answer_of(
    result: Any,
    runs: InnerRuns,
    *,
    call: ToolCall,
    tool: BaseTool,
) -> ToolAnswer | Lone:
    """Return what a tool call brought, as the runtime keeps it.

    Args:
        result: What the handler returned.
        runs: The runs in which it was made. Where a human, or middleware, has put another call in
            the place of this one, it is for its own caller alone.
        call: The call of the tool. A message that is more than content and artifact for this
            call is one that the tool has made itself, and for its own caller alone too.
        tool: The tool.
    """
    name, call_id = call["name"], call["id"]
    if not runs.is_result_of(call, injection_names(tool)):
        return Lone(result)
    if type(result) is not ToolMessage or result != ToolMessage(
        content=result.content,
        artifact=result.artifact,
        status=result.status,
        name=result.name,
        tool_call_id=call_id or "",
    ):
        return Lone(result)
    if result.name not in (None, name):
        return Lone(result)
    return ToolAnswer(
        content=result.content,
        artifact=result.artifact,
        status=result.status,
        name=result.name,
        tool_call_id=result.tool_call_id,
    )


def is_whole_tool_answer(answer: Any) -> bool:
    """Return whether a tool's answer may be kept."""
    return type(answer) is ToolAnswer and answer.status != "error"


def tool_content(answer: Any) -> Any:
    """Return what a tool's answer says, without the id of its call."""
    return answer.content if isinstance(answer, ToolMessage) else answer


def tool_message(answer: ToolAnswer, name: str, call_id: str | None) -> ToolMessage:
    """Return a tool's answer as the message for another call of that tool."""
    return ToolMessage(
        content=answer.content,
        artifact=answer.artifact,
        status=answer.status,
        name=name,
        tool_call_id=call_id or "",
    )
