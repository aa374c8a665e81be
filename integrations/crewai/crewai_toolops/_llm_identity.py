"""Identity, name and errors of models, and what else than the conversation tells calls apart.

``model_dump()`` of a CrewAI model shows its API key, and ``to_config_dict()`` lacks most of what is
sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

from crewai.hooks.dispatch import HookAborted
from crewai.llms.base_llm import BaseLLM, LLMCallBlockedError
from crewai.tools import BaseTool
from pydantic import BaseModel, ValidationError

from crewai_toolops._other_retries import is_tried_elsewhere
from toolops_plugins import ToolOps
from toolops_plugins.adapters.identity_memo import IdentityMemo
from toolops_plugins.adapters.live_values import LiveValues, may_add
from toolops_plugins.adapters.model_identity import (
    SETTINGS,
    WATCH_FIELDS,
    replace_values,
    replacer,
)
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
        make_live: Makes what makes functions and credentials count, for one identity.
    """

    def __init__(self, kind: type[BaseLLM], make_live: Callable[[], LiveValues]) -> None:
        self._kind = kind
        self._make_live = make_live
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
        found = {n: self._identity(n, v) for n, v in _attributes(llm).items()}
        return {n: counted for n, counted in found.items() if counted is not NOTHING}

    def note(self, llm: BaseLLM, name: str) -> None:
        """Note that an attribute of the model was set from outside a call."""
        noted = dict(vars(llm).get(_NAME, {}))  # a new one, since copies of the model share the old
        noted.pop(name, None)
        attributes = _attributes(llm)
        counted = self._identity(name, attributes.get(name))
        if name in attributes and counted is not NOTHING:
            noted[name] = counted
        object.__setattr__(llm, _NAME, noted)

    def fields(self, llm: BaseLLM) -> dict[str, Any]:
        """Return CrewAI's own fields of the model that change what is answered."""
        live = self._make_live()
        make = replacer(partial(_plain, live=live), live)
        found = {}
        for name in self._native - _SKIP:
            value = getattr(llm, name, None)
            if value is not None:  # most are, and to leave them out says the same
                is_hidden = name in self._unwritten and not isinstance(value, _SETTINGS)
                counted = live.identity_of(
                    self._kind, name, live.added if is_hidden else make, value
                )
                if counted is not NOTHING:
                    found[name] = counted
        return found

    def is_ignored(self, llm: BaseLLM, name: str, value: Any) -> bool:  # noqa: ARG002 - as a memory of identities calls it
        """Return whether an attribute does not count among :meth:`fields`."""
        if name not in self._native:
            return True
        is_hidden = name in self._unwritten and not isinstance(value, _SETTINGS)
        return is_hidden and not may_add(name, value)

    def _identity(self, name: str, value: Any) -> Any:
        """Return what an attribute that the model adds to CrewAI's counts as, or NOTHING."""
        if value is None or name in self._native or name in self._private or name == _NAME:
            return NOTHING
        # By convention clients, locks and the like; but a plain value may be what it is set to.
        is_private = name.startswith("_")
        is_hidden = is_private or name in self._unwritten

        def identity() -> Any:
            live = self._make_live()
            if is_hidden and not isinstance(value, _SETTINGS):
                make: Any = partial(live.added, hidden=is_private)
            else:
                make = replacer(partial(_plain, live=live), live)
            return live.identity_of(self._kind, name, make, value)

        try:
            return identity()
        except NotCanonicalError:
            return _Later(identity)


class _Later:
    """A value that has no canonical form yet; calls go past the cache until it has.

    Args:
        make: Makes what it counts as.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __toolops_key__(self) -> Any:
        return self._make()


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
    live: LiveValues,
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
        live: Makes what functions and credentials count as.
        memo: The memory of the model's fields. None: they are looked at each time.

    Raises:
        NotCanonicalError: The provider keeps the conversation, so an answer depends on what was
            asked before.
    """
    if hasattr(kind, "__toolops_key__"):
        return llm
    if any(getattr(llm, name, False) for name in _CHAINED):
        raise NotCanonicalError(
            "the model goes on with a conversation that its provider keeps",
            kind="conversation that its provider keeps",
        )
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
        request_identity(getattr(llm, "_previous_thinking_blocks", None), live),
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
    """Return whether a failed model call is worth another attempt here."""
    return not is_tried_elsewhere() and _is_passing(error)


def is_outage(error: BaseException) -> bool:
    """Return whether a failed model call speaks against its provider.

    An answer that does not fit what was asked for is an answer: it may be worth another attempt,
    and is no reason to ask nobody else.
    """
    return _is_passing(error) and not any(isinstance(e, ValidationError) for e in _causes(error))


def _is_passing(error: BaseException) -> bool:
    # CrewAI wraps some errors of the provider's package in its own, which have no HTTP status.
    return all(map(may_pass, _causes(error)))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(5):
        if cause is None:
            break
        yield cause
        cause = cause.__cause__


def request_identity(value: Any, live: LiveValues) -> Any:
    """Return what a model is sent beside the conversation, with schemas for tools and classes."""
    return replace_values(value, partial(_plain, live=live))


@lru_cache(maxsize=256)
def _schema(kind: type[BaseModel]) -> Any:
    return [kind.__qualname__, kind.model_json_schema()]


def _plain(value: Any, live: LiveValues) -> Any:
    if isinstance(value, BaseTool):
        return ["tool", value.name, value.description, request_identity(value.args_schema, live)]
    if isinstance(value, type) and issubclass(value, BaseModel):
        return _schema(value)
    if isinstance(value, BaseLLM):
        kind = type(value)
        configuration = Configuration(kind, lambda: live)
        # Of a model within a model that is not guarded itself, nothing was noted.
        is_guarded = getattr(kind, "__toolops_guard__", None) is not None
        beside = None if is_guarded else configuration.current(value)
        return [model_identity(value, kind, configuration, live), beside]
    return set(value) if type(value) is set else NOTHING
