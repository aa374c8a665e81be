"""What tells one model's call from another's, beside the conversation.

``model_dump()`` of a CrewAI model shows its API key, and ``to_config_dict()`` lacks most of what is
sent. So the key is made of all live fields: all of it is hashed, and nothing of it, secrets
included, is kept or shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from crewai.hooks.dispatch import HookAborted
from crewai.llms.base_llm import BaseLLM, LLMCallBlockedError
from crewai.tools import BaseTool
from pydantic import BaseModel, ValidationError

from toolops_plugins.adapters.model_policy import may_pass
from toolops_plugins.errors import NotCanonicalError

__all__ = ["DENIALS", "Held", "is_outage", "is_passing", "model_identity", "model_name", "sent"]

DENIALS = (HookAborted, LLMCallBlockedError)
"""What says that a hook does not want a call: a decision, and no failure."""

_NOT_ASKED = frozenset(
    (
        # How a run is watched.
        "callbacks",
        "completion_cost",
        "context_window_size",
        # How long and how often it is tried.
        "max_retries",
        "timeout",
        # Told as they are for this call.
        "stop",
        "stream",
        # Made when it is first needed.
        "base_url",
    )
)
"""Fields of models that change nothing in what is answered, or are told in another way."""
_CHAINED = ("auto_chain", "auto_chain_reasoning")
_HELD = "_toolops_held"
_SETTINGS = (str, int, float, bool, type(None), Mapping, BaseLLM)
"""What private attributes, and fields that are not written down, may say of a model."""


class Held:
    """What tells instances of a user's own class apart, as it was when it was last set.

    CrewAI's own classes say in their fields what they are. Classes of users often keep count in
    their attributes, or a log: what a call changes by itself is no configuration. So what such a
    class adds to CrewAI's counts as it was when the model was guarded, or was last set from
    outside a call.

    Args:
        kind: The class of the model.
    """

    def __init__(self, kind: type[BaseLLM]) -> None:
        native = next(c for c in kind.__mro__ if c.__module__.partition(".")[0] == "crewai")
        self._native = frozenset(getattr(native, "model_fields", ()))
        self._private = frozenset(getattr(native, "__private_attributes__", ()))
        self._unsaid = frozenset(n for n, f in kind.model_fields.items() if f.exclude)

    def take(self, llm: BaseLLM) -> None:
        """Note what the model adds to CrewAI's fields."""
        held = self.now(llm)
        if held:
            object.__setattr__(llm, _HELD, held)

    def now(self, llm: BaseLLM) -> dict[str, Any]:
        """Return what the model adds to CrewAI's fields as it is now."""
        return {n: _plain(v) for n, v in _attributes(llm).items() if self._counts(n, v)}

    def note(self, llm: BaseLLM, name: str) -> None:
        """Note that something of the model was set from outside a call."""
        held = dict(vars(llm).get(_HELD, {}))  # a new one, since copies of the model share the old
        held.pop(name, None)
        attributes = _attributes(llm)
        if name in attributes and self._counts(name, attributes[name]):
            held[name] = _plain(attributes[name])
        object.__setattr__(llm, _HELD, held)

    def of(self, llm: BaseLLM) -> Any:
        """Return what was noted, to be hashed."""
        return vars(llm).get(_HELD) or None

    def live(self, llm: BaseLLM) -> dict[str, Any]:
        """Return CrewAI's own fields of the model that change what is answered."""
        fields = {}
        for name in self._native - _NOT_ASKED:
            value = getattr(llm, name, None)
            if name in self._unsaid and not isinstance(value, _SETTINGS):
                continue
            if value is not None:  # most are, and to leave them out says the same
                fields[name] = _plain(value)
        return fields

    def _counts(self, name: str, value: Any) -> bool:
        if name in self._native or name in self._private or name == _HELD:
            return False
        # By convention clients, locks and the like; but a plain value may be what it is set to.
        is_hidden = name.startswith("_") or name in self._unsaid
        return not is_hidden or isinstance(value, _SETTINGS)


def _attributes(llm: BaseLLM) -> dict[str, Any]:
    """Return what a model holds, in private too."""
    return {**vars(llm), **(getattr(llm, "__pydantic_private__", None) or {})}


def model_identity(llm: BaseLLM, kind: type[BaseLLM], held: Held) -> Any:
    """Return what tells a model from others that might answer differently, to be hashed.

    It holds the class and all fields, those included that were changed after construction, but
    for those that only say how a run is watched or tried. A class with ``__toolops_key__()`` says
    for itself what tells its instances apart.

    Args:
        llm: The live model.
        kind: Its class, before it was guarded.
        held: What is known of the class.

    Raises:
        NotCanonicalError: The provider keeps the conversation, so that an answer hangs on what was
            asked before.
    """
    if hasattr(kind, "__toolops_key__"):
        return llm
    if any(getattr(llm, name, False) for name in _CHAINED):
        raise NotCanonicalError("the model goes on with a conversation that its provider keeps")
    address = _address(llm)  # which may be what sets the credentials
    return [
        kind,
        held.live(llm),
        held.of(llm),
        address,
        sorted(llm.stop_sequences),  # which CrewAI puts together in no particular order
        bool(llm._effective_stream()),  # noqa: SLF001 - where a call looks itself, and answers in another form
        # What Claude has thought goes into the next request, beside the conversation.
        _plain(getattr(llm, "_previous_thinking_blocks", None)),
    ]


def _address(llm: BaseLLM) -> str | None:
    """Return where requests go, which may be said by a field, by the environment or by a client."""
    make = getattr(llm, "_get_sync_client", None)
    url = getattr(make(), "base_url", None) if make is not None else None
    return str(url or llm.base_url or "")


def model_name(llm: BaseLLM) -> str:
    """Return the name under which a model's calls are counted, such as "openai:gpt-4o-mini"."""
    own = type(llm).__module__.partition(".")[0] != "crewai"
    return f"{type(llm).__name__ if own else llm.provider}:{llm.model}"


def sent(value: Any) -> Any:
    """Return what a model is sent beside the conversation, with tools and classes as schemas."""
    return _plain(value)


def is_passing(error: BaseException) -> bool:
    """Return whether a failed model call is worth another attempt.

    CrewAI wraps some errors of the provider's package in its own, which have no HTTP status.
    """
    return all(map(may_pass, _causes(error)))


def is_outage(error: BaseException) -> bool:
    """Return whether a failed model call speaks against its provider.

    An answer that does not fit what was asked for is an answer: it may be worth another attempt,
    and is no reason to ask nobody else.
    """
    return is_passing(error) and not any(isinstance(e, ValidationError) for e in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    for _ in range(5):
        if seen is None:
            break
        yield seen
        seen = seen.__cause__


@lru_cache(maxsize=256)
def _schema(kind: type[BaseModel]) -> Any:
    return [kind.__qualname__, kind.model_json_schema()]


def _plain(value: Any) -> Any:
    """Return a value with what stands for something else replaced, and containers copied."""
    if isinstance(value, BaseTool):
        return ["tool", value.name, value.description, _plain(value.args_schema)]
    if isinstance(value, type) and issubclass(value, BaseModel):
        return _schema(value)
    if isinstance(value, BaseLLM):
        kind = type(value)
        held = Held(kind)
        own = getattr(kind, "__toolops_guard__", None)
        # Of a model within a model that is not guarded itself, nothing was noted.
        beside = held.now(value) if own is None else None
        return [model_identity(value, kind, held), beside]
    if isinstance(value, Mapping):  # such as headers, whatever the class of the mapping
        return {name: _plain(content) for name, content in value.items()}
    if type(value) in (list, tuple):
        return [_plain(each) for each in value]
    return set(value) if type(value) is set else value
