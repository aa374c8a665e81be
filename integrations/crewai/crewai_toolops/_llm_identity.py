"""Identity, name and errors of models, and what else than the conversation tells calls apart.

``model_dump()`` of a CrewAI model shows its API key, and ``to_config_dict()`` lacks most of what is
sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from crewai.hooks.dispatch import HookAborted
from crewai.llms.base_llm import BaseLLM, LLMCallBlockedError
from crewai.tools import BaseTool
from pydantic import BaseModel, ValidationError

from toolops_plugins import ToolOps
from toolops_plugins.adapters.identity_memo import IdentityMemo
from toolops_plugins.adapters.model_identity import SETTINGS, WATCH_FIELDS, replace_values
from toolops_plugins.adapters.model_policy import may_pass
from toolops_plugins.errors import NotCanonicalError
from toolops_plugins.policy import NOTHING

__all__ = [
    "DENIALS",
    "Configuration",
    "fields_memo",
    "is_outage",
    "is_passing",
    "model_identity",
    "model_name",
    "request_identity",
]

DENIALS = (HookAborted, LLMCallBlockedError)
"""Errors by which a hook refuses a call: a decision, and no failure."""

_SKIP = WATCH_FIELDS | {
    "completion_cost",
    "context_window_size",
    # They count as they are for this call.
    "stop",
    "stream",
    "base_url",  # made when it is first needed
}
"""Fields of CrewAI's models that change nothing in what is answered, or count in another way."""
_CHAINED = ("auto_chain", "auto_chain_reasoning")
_NAME = "_toolops_configuration"
_SETTINGS = (*SETTINGS, type(None), BaseLLM)


class Configuration:
    """The configuration that a user's own class adds to CrewAI's fields, as it was last set.

    CrewAI's own classes say in their fields what they are. Classes of users often keep count in
    their attributes, or a log: a change that a call makes by itself is no configuration. So what
    such a class adds counts as it was when the model was guarded, or was last set from outside a
    call.

    Args:
        kind: The class of the model.
    """

    def __init__(self, kind: type[BaseLLM]) -> None:
        native = next(c for c in kind.__mro__ if c.__module__.partition(".")[0] == "crewai")
        self._native = frozenset(getattr(native, "model_fields", ()))
        self._private = frozenset(getattr(native, "__private_attributes__", ()))
        self._unwritten = frozenset(n for n, f in kind.model_fields.items() if f.exclude)

    def note_all(self, llm: BaseLLM) -> None:
        """Note everything that the model adds to CrewAI's fields."""
        current = self.current(llm)
        if current:
            object.__setattr__(llm, _NAME, current)

    def current(self, llm: BaseLLM) -> dict[str, Any]:
        """Return everything that the model adds to CrewAI's fields, as it is now."""
        return {n: request_identity(v) for n, v in _attributes(llm).items() if self._counts(n, v)}

    def note(self, llm: BaseLLM, name: str) -> None:
        """Note that an attribute of the model was set from outside a call."""
        noted = dict(vars(llm).get(_NAME, {}))  # a new one, since copies of the model share the old
        noted.pop(name, None)
        attributes = _attributes(llm)
        if name in attributes and self._counts(name, attributes[name]):
            noted[name] = request_identity(attributes[name])
        object.__setattr__(llm, _NAME, noted)

    def fields(self, llm: BaseLLM) -> dict[str, Any]:
        """Return CrewAI's own fields of the model that change what is answered."""
        found = {}
        for name in self._native - _SKIP:
            value = getattr(llm, name, None)
            if name in self._unwritten and not isinstance(value, _SETTINGS):
                continue
            if value is not None:  # most are, and to leave them out says the same
                found[name] = request_identity(value)
        return found

    def is_ignored(self, llm: BaseLLM, name: str, value: Any) -> bool:  # noqa: ARG002 - as a memory of identities calls it
        """Return whether an attribute does not count among :meth:`fields`."""
        if name not in self._native:
            return True
        return name in self._unwritten and not isinstance(value, _SETTINGS)

    def _counts(self, name: str, value: Any) -> bool:
        if name in self._native or name in self._private or name == _NAME:
            return False
        # By convention clients, locks and the like; but a plain value may be what it is set to.
        is_hidden = name.startswith("_") or name in self._unwritten
        return not is_hidden or isinstance(value, _SETTINGS)


def _attributes(llm: BaseLLM) -> dict[str, Any]:
    """Return the attributes of a model, private ones too."""
    return {**vars(llm), **(getattr(llm, "__pydantic_private__", None) or {})}


def fields_memo(ops: ToolOps, configuration: Configuration) -> IdentityMemo:
    """Return the memory of the fields of a guarded model."""
    return IdentityMemo(ops.canon, _SKIP, configuration.is_ignored)


def model_identity(
    llm: BaseLLM,
    kind: type[BaseLLM],
    configuration: Configuration,
    memo: IdentityMemo | None = None,
) -> Any:
    """Return the values that tell a model from others that might answer differently.

    These are the class and all fields, also those that were changed after construction, but for
    fields that only say how a run is watched or tried. A class with ``__toolops_key__()`` says for
    itself how its instances differ.

    Args:
        llm: The live model.
        kind: Its class, before it was guarded.
        configuration: What is known of the class.
        memo: The memory of the model's fields. None: they are looked at each time.

    Raises:
        NotCanonicalError: The provider keeps the conversation, so an answer depends on what was
            asked before.
    """
    if hasattr(kind, "__toolops_key__"):
        return llm
    if any(getattr(llm, name, False) for name in _CHAINED):
        raise NotCanonicalError("the model goes on with a conversation that its provider keeps")
    address = _address(llm)  # which may be what sets the credentials
    fields = configuration.fields
    return [
        kind,
        fields(llm) if memo is None else memo.identity(llm, lambda: [fields(llm)]),
        vars(llm).get(_NAME) or None,
        address,
        sorted(llm.stop_sequences),  # which CrewAI puts together in no particular order
        bool(llm._effective_stream()),  # noqa: SLF001 - where a call looks itself, and answers in another form
        # Claude's thoughts go into the next request, beside the conversation.
        request_identity(getattr(llm, "_previous_thinking_blocks", None)),
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
    cause: BaseException | None = error
    for _ in range(5):
        if cause is None:
            break
        yield cause
        cause = cause.__cause__


def request_identity(value: Any) -> Any:
    """Return what a model is sent beside the conversation, with schemas for tools and classes."""
    return replace_values(value, _plain)


@lru_cache(maxsize=256)
def _schema(kind: type[BaseModel]) -> Any:
    return [kind.__qualname__, kind.model_json_schema()]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseTool):
        return ["tool", value.name, value.description, request_identity(value.args_schema)]
    if isinstance(value, type) and issubclass(value, BaseModel):
        return _schema(value)
    if isinstance(value, BaseLLM):
        kind = type(value)
        configuration = Configuration(kind)
        # Of a model within a model that is not guarded itself, nothing was noted.
        is_guarded = getattr(kind, "__toolops_guard__", None) is not None
        beside = None if is_guarded else configuration.current(value)
        return [model_identity(value, kind, configuration), beside]
    return set(value) if type(value) is set else NOTHING
