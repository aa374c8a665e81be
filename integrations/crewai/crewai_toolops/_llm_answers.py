"""Answers of models in the form that is kept: plain data, made whole again by the live call.

A model of CrewAI answers with text, with an instance of the class that a call asked for, or with a
list of tool calls in the form of its provider's package. Stored bytes never name a class. An
instance comes back through the class that the live call asks for, and a tool call through one of
the few classes below.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from crewai.utilities.agent_utils import is_tool_call_list
from pydantic import BaseModel

from toolops_plugins import Codec, Policy
from toolops_plugins.adapters.answers import field_of, is_whole_call
from toolops_plugins.adapters.call_ids import TOOL_CALL_IDS, CallIds
from toolops_plugins.adapters.policy_views import compare_by, map_results
from toolops_plugins.adapters.structured_values import dump_structured

__all__ = ["Answer", "is_whole", "over_answers", "pack_answer", "restore_answer", "teach"]

_PLAIN = "plain"
_MODEL = "model"
_CALLS = {
    "openai": ("openai.types.chat", "ChatCompletionMessageFunctionToolCall"),
    "anthropic": ("anthropic.types", "ToolUseBlock"),
    "gemini": ("google.genai.types", "Part"),
}
"""Classes of tool calls by the name of their form; other providers answer with dicts."""


class Answer:
    """The answer of one call.

    Args:
        form: What ``value`` is: plain, the JSON of a model, or tool calls of a provider's package.
        value: Plain data; or the answer itself, if there is no way to write it down.
        usage: The tokens of the call that made it, as its provider named them. None: unknown.
        whole: Whether it has content, and ended by itself as far as anybody knows.
        raw: The answer of the model; None where that was in another call.
        owner: The call that made it; None where that was another.
    """

    __slots__ = ("form", "owner", "raw", "usage", "value", "whole")

    def __init__(
        self,
        form: str,
        value: Any,
        usage: Any = None,
        *,
        whole: bool = True,
        raw: Any = None,
        owner: Any = None,
    ) -> None:
        self.form = form
        self.value = value
        self.usage = usage
        self.whole = whole
        self.raw = raw
        self.owner = owner

    def __deepcopy__(self, memo: dict[int, Any]) -> Answer:
        value = deepcopy(self.value, memo)
        return Answer(self.form, value, self.usage, whole=self.whole)

    @property
    def content(self) -> Any:
        """The answer for users' callables: text, the fields of a model, or tool calls as dicts."""
        return json.loads(self.value) if self.form == _MODEL else self.value


def teach(codec: Codec) -> None:
    """Make answers encodable; doing it again does nothing.

    Raises:
        ConfigurationError: The name stands for another type in that codec.
    """
    codec.register(
        Answer,
        "crewai.Answer",
        encode=lambda answer: [answer.form, answer.value, answer.usage],
        decode=lambda stored: Answer(*stored),
        verify=False,
    )


def pack_answer(raw: Any, schema: Any, *, usage: Any, may_be_kept: bool, owner: Any) -> Answer:
    """Return the answer of a model in the form that is kept.

    Args:
        raw: The answer.
        schema: The class that the call asked for. None: none.
        usage: Its tokens.
        may_be_kept: Whether it ended by itself, as far as anybody knows.
        owner: The call.
    """
    form, value = _pack(raw, schema)
    whole = may_be_kept and _has_content(raw)
    return Answer(form, value, usage, whole=whole, raw=raw, owner=owner)


def _pack(raw: Any, schema: Any) -> tuple[str, Any]:
    """Return the form of an answer, and its data; what would not come back as it is, stays."""
    try:
        if isinstance(raw, BaseModel) and type(raw) is schema:
            return _MODEL, json.dumps(dump_structured(raw))
        if isinstance(raw, list) and raw and isinstance(raw[0], BaseModel):
            for form in _CALLS:
                kind = _kind(form)
                if all(type(call) is kind for call in raw):
                    calls = [call.model_dump(mode="json") for call in raw]
                    if _build(form, calls) == raw:
                        return form, calls
    except Exception:  # noqa: BLE001, S110 - of users' own validators: such an answer is not kept
        pass
    return _PLAIN, raw


def restore_answer(answer: Answer, schema: Any) -> Any:
    """Return an answer as the model would have given it to this caller, with new tool call ids.

    Args:
        answer: One that nobody else has; it may be changed.
        schema: The class that the live call asks for. None: none.

    Raises:
        Exception: The answer does not fit what is asked for.
    """
    if answer.form == _MODEL:
        return schema.model_validate_json(answer.value)
    value = answer.value
    if answer.form != _PLAIN or (isinstance(value, list) and is_tool_call_list(value)):
        value = _replace_ids(value)
    return value if answer.form == _PLAIN else _build(answer.form, value)


def _kind(form: str) -> Any:
    module, name = _CALLS[form]
    # The class that made the call has been imported with the model's own.
    return getattr(sys.modules.get(module), name, None)


def _build(form: str, calls: list[Any]) -> list[Any]:
    kind = _kind(form)
    return [kind.model_validate(call) for call in calls]


def _replace_ids(calls: list[Any]) -> list[Any]:
    """Return tool calls with new ids."""
    new_ids = CallIds()
    for call in calls:
        for holder in (call, field_of(call, "function_call"), field_of(call, "toolUse")):
            name = field_of(holder, "name") or field_of(field_of(holder, "function"), "name")
            tool = name if isinstance(name, str) else None
            for key in sorted(TOOL_CALL_IDS):
                id_ = field_of(holder, key)
                if isinstance(id_, str) and id_:
                    new_ids.renew(id_, tool)
    replaced: list[Any] = new_ids.replace(calls)
    return replaced


def _has_content(raw: Any) -> bool:
    if isinstance(raw, str):
        return bool(raw.strip())
    if isinstance(raw, list):
        return bool(raw) and (not is_tool_call_list(raw) or all(map(is_whole_call, raw)))
    return raw is not None and raw != {}


def is_whole(answer: Any) -> bool:
    """Return whether a model's answer may be kept."""
    return type(answer) is Answer and answer.whole


def over_answers(policy: Policy) -> Policy:
    """Return the policy with callables that get answers as users know them.

    Answers are compared by what they say, not by the ids of their tool calls.

    Args:
        policy: The policy.
    """
    return map_results(compare_by(policy, _without_ids), _OverContent)


@dataclass(frozen=True)
class _OverContent:
    """A callable over the content of an answer.

    Equal where the callable is, since two models may share a circuit breaker by its policy.
    """

    function: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        return self.function(value.content if type(value) is Answer else value)


def _without_ids(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [
        {n: v for n, v in call.items() if n not in TOOL_CALL_IDS}
        if isinstance(call, dict)
        else call
        for call in value
    ]
