"""What models answer, in the form that is kept: plain data, made whole again by the live call.

A model of CrewAI answers with text, with an instance of the class that a call asked for, or with a
list of tool calls in the form of its provider's package. Stored bytes never name a class: an
instance comes back through the class that the live call asks for, and a tool call through the one
of the few classes below that its form stands for.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from crewai.utilities.agent_utils import is_tool_call_list
from pydantic import BaseModel

from crewai_toolops.prices import names_of, usage_of
from toolops_plugins import Codec, Policy, Price
from toolops_plugins.adapters.prices import PriceTable

__all__ = ["Answer", "is_kept", "over_values", "packed", "restored", "teach"]

_PLAIN = "plain"
_MODEL = "model"
_CALLS = {
    "openai": ("openai.types.chat", "ChatCompletionMessageFunctionToolCall"),
    "anthropic": ("anthropic.types", "ToolUseBlock"),
    "gemini": ("google.genai.types", "Part"),
}
"""Classes of tool calls by the name of their form; other providers answer with dicts."""
_CALL_IDS = ("id", "call_id", "tool_use_id", "toolUseId")


class Answer:
    """What a call brought.

    Args:
        form: What ``value`` is: plain, the JSON of a model, or tool calls of a provider's package.
        value: Plain data; or the answer itself, if there is no way to write it down.
        usage: The tokens of the call that made it, as its provider told them. None: unknown.
        whole: Whether it has content, and ended by itself as far as anybody knows.
        raw: What the model has answered; None where that was in another call.
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

    def seen(self) -> Any:
        """Return what users' callables get: text, the fields of a model, or tool calls as dicts."""
        return json.loads(self.value) if self.form == _MODEL else self.value


def teach(codec: Codec) -> None:
    """Make answers encodable; doing it again does nothing.

    Raises:
        ConfigurationError: The name stands for another type in that codec.
    """
    codec.register(Answer, "crewai.Answer", encode=_written, decode=_read, verify=False)


def _written(answer: Answer) -> Any:
    return [answer.form, answer.value, answer.usage]


def _read(content: Any) -> Answer:
    form, value, usage = content
    return Answer(form, value, usage)


def packed(raw: Any, schema: Any, *, usage: Any, cut: bool, owner: Any) -> Answer:
    """Return what a model has answered, in the form that is kept.

    Args:
        raw: The answer.
        schema: The class that the call asked for. None: none.
        usage: Its tokens.
        cut: Whether the provider has said that it did not end by itself.
        owner: The call.
    """
    form, value = _form(raw, schema)
    whole = not cut and _says_something(raw)
    return Answer(form, value, usage, whole=whole, raw=raw, owner=owner)


def _form(raw: Any, schema: Any) -> tuple[str, Any]:
    """Return the form of an answer, and its data; what would not come back as it is, stays."""
    try:
        if isinstance(raw, BaseModel) and type(raw) is schema:
            text = raw.model_dump_json(by_alias=True, round_trip=True)
            if schema.model_validate_json(text) == raw:
                return _MODEL, text
        elif isinstance(raw, list) and raw and isinstance(raw[0], BaseModel):
            for form in _CALLS:
                kind = _kind(form)
                if all(type(call) is kind for call in raw):
                    calls = [call.model_dump(mode="json") for call in raw]
                    if _built(form, calls) == raw:
                        return form, calls
    except Exception:  # noqa: BLE001, S110 - of users' own validators: such an answer is not kept
        pass
    return _PLAIN, raw


def restored(answer: Answer, schema: Any) -> Any:
    """Return an answer as the model would have given it to this caller.

    Tool calls get ids that no other answer has: a conversation with two calls of one id is refused
    by some providers.

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
        for call in value:
            if isinstance(call, dict):
                _renew(call)
    return value if answer.form == _PLAIN else _built(answer.form, value)


def _kind(form: str) -> Any:
    module, name = _CALLS[form]
    # The class that made the call has been imported with the model's own.
    return getattr(sys.modules.get(module), name, None)


def _built(form: str, calls: list[Any]) -> list[Any]:
    kind = _kind(form)
    return [kind.model_validate(call) for call in calls]


def _renew(call: dict[str, Any]) -> None:
    part = call.get("function_call")
    for holder in (call, part if isinstance(part, dict) else {}):
        fresh = f"call_{uuid.uuid4().hex[:24]}"
        for name in _CALL_IDS:
            if isinstance(holder.get(name), str):
                holder[name] = fresh


def _says_something(raw: Any) -> bool:
    if isinstance(raw, str):
        return bool(raw.strip())
    if isinstance(raw, list):
        return bool(raw) and all(map(_is_whole_call, raw))
    return raw is not None and raw != {}


def _is_whole_call(call: Any) -> bool:
    """Return whether the arguments of a tool call, if it is one, are whole."""
    function = call.get("function") if isinstance(call, dict) else getattr(call, "function", None)
    written = (
        function.get("arguments")
        if isinstance(function, Mapping)
        else getattr(function, "arguments", None)
    )
    if not isinstance(written, str) or not written:
        return True
    try:
        return isinstance(json.loads(written), dict)
    except ValueError:
        return False


def is_kept(answer: Any) -> bool:
    """Return whether a model's answer may be kept."""
    return type(answer) is Answer and answer.whole


def over_values(policy: Policy, model: str) -> Policy:
    """Return the policy with its callables over results made to get them as users know them.

    Answers are compared by what they say, not by the ids of their tool calls. A table of prices
    gets the tokens of the call that made an answer.

    Args:
        policy: The policy.
        model: The name of the model that answers.
    """
    cache, semantic, price = policy.cache, policy.semantic, policy.price
    if cache is not None and cache.when is not None:
        policy = policy.replace(cache=replace(cache, when=_Over(cache.when)))
    for name in ("retry", "breaker"):
        part = getattr(policy, name)
        if part is not None and part.on_result is not None:
            policy = replace(policy, **{name: replace(part, on_result=_Over(part.on_result))})
    if semantic is not None:
        answer = _said if semantic.answer is None else semantic.answer
        policy = policy.replace(semantic=replace(semantic, answer=_Over(answer)))
    if isinstance(price, Price):
        if price.tokens is not None:
            policy = policy.replace(price=replace(price, tokens=_Over(price.tokens)))
    elif isinstance(price, PriceTable):
        policy = policy.replace(price=_Priced(price, model))
    elif callable(price):
        policy = policy.replace(price=_Over(price))
    return policy


@dataclass(frozen=True)
class _Over:
    """A callable over what an answer says.

    Equal where the callable is, since two models may share a circuit breaker by its policy.
    """

    function: Callable[[Any], Any]

    def __call__(self, value: Any) -> Any:
        return self.function(value.seen() if type(value) is Answer else value)


@dataclass(frozen=True)
class _Priced:
    """A table of prices over what an answer has cost; equal as :class:`_Over` is."""

    prices: PriceTable
    model: str

    def __call__(self, value: Any) -> float:
        usage = usage_of(value.usage) if type(value) is Answer else None
        return self.prices.of(names_of(self.model), usage)


def _said(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [
        {n: v for n, v in call.items() if n not in _CALL_IDS} if isinstance(call, dict) else call
        for call in value
    ]
