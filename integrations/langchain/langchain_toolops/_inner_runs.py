"""See what other middleware does inside of ours, by the runs of models and tools in one call.

A fallback asks another model, and a retry that gives up makes a message of the error: neither may
be kept as the answer of the model that was asked. Nor may an answer to something else than was
asked: a human may edit the call of a tool there, and a prompt may be made for each user. What a
retry there has tried several times, the policy does not try again, or the attempts of both would
multiply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, TypeAlias
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableBinding
from langchain_core.tools.base import FILTERED_ARGS
from langchain_core.tracers.context import register_configure_hook

from langchain_toolops._llm_identity import find_model
from toolops_plugins.adapters.context_variables import set_within

__all__ = ["InnerRuns"]

ModelName: TypeAlias = tuple[Any, Any]


class InnerRuns(BaseCallbackHandler):
    """Notes which model has made which answer, and what has failed, in the runs of one attempt.

    Attributes:
        failed: Runs of models and tools that have failed.
        has_changes: Whether something else was asked than what the agent has asked, as far as was
            looked.
    """

    run_inline = True  # on the event loop the answer may come before a task that notes it

    def __init__(self) -> None:
        self.failed = 0
        self.has_changes = False
        self._under_way: dict[UUID, tuple[ModelName, Sequence[BaseMessage]]] = {}
        self._made: dict[str, tuple[ModelName, Sequence[BaseMessage]]] = {}
        self._called: dict[Any, tuple[Any, Any]] = {}

    def watch(self) -> AbstractContextManager[None]:
        """Watch the runs that begin in this block."""
        return set_within(_current, self)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002 - LangChain's signature
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ARG002 - the same
    ) -> None:
        """Note the model of a run, and what it is asked."""
        asked = messages[0] if len(messages) == 1 else ()
        self._under_way[run_id] = _name_in(metadata or {}), asked

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - LangChain's signature
        """Note the answers of a run."""
        run = self._under_way.pop(run_id, None)
        if run is None:
            return
        for generations in response.generations:
            for each in generations:
                if isinstance(each, ChatGeneration) and each.message.id:
                    self._made[each.message.id] = run

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - LangChain's signature
        """Count a run that has failed."""
        self.failed += 1
        self._under_way.pop(run_id, None)

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,  # noqa: ARG002 - LangChain's signature
        *,
        inputs: dict[str, Any] | None = None,
        tool_call_id: str | None = None,
        **kwargs: Any,  # noqa: ARG002 - the same
    ) -> None:
        """Note the arguments of a tool that is run for a call."""
        self._called[tool_call_id] = (serialized or {}).get("name"), inputs

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - LangChain's signature
        """Count a run that has failed."""
        self.failed += 1

    def is_answer_of(self, message: AIMessage, model: Any, settings: Mapping[str, Any]) -> bool:
        """Return whether an answer may be one that a model has made.

        Args:
            message: The answer. LangChain gives an id to each that comes from a model.
            model: The model that was asked.
            settings: What it was given beside the conversation.
        """
        if message.id is None:
            return False
        run = self._made.get(message.id)
        if run is None:  # its run told nobody
            return True
        name, _ = run
        try:
            bound = model.kwargs if isinstance(model, RunnableBinding) else {}
            model, _ = find_model(model)
            # One that is configured when it runs is no model before.
            if not isinstance(model, BaseChatModel):
                return True
            own = model._get_ls_params(**{**bound, **settings})  # noqa: SLF001 - where LangChain's models say their names
        except Exception:  # noqa: BLE001 - a model that cannot say its name is taken at its word
            return True
        return name == _name_in(own)

    def is_answer_to(self, message: AIMessage, asked: Sequence[Any]) -> bool:
        """Return whether an answer may be one to a conversation, and not to a changed one.

        Args:
            message: The answer.
            asked: The conversation that the model was to be asked.
        """
        _, told = self._made.get(message.id or "", (None, ()))
        if not told or not all(isinstance(each, BaseMessage) for each in asked):
            return True
        same = list(map(_said, told)) == list(map(_said, asked))
        self.has_changes |= not same
        return same

    def is_result_of(self, call: Mapping[str, Any], injected: Iterable[str]) -> bool:
        """Return whether a tool was run for its call as it stands, as far as its run tells.

        Args:
            call: The call, as the model has written it.
            injected: The arguments that no model writes.
        """
        run = self._called.get(call["id"])
        if run is None:
            return True
        same = _has_arguments(run, call, {*injected, *FILTERED_ARGS})
        self.has_changes |= not same
        return same


def _has_arguments(run: tuple[Any, Any], call: Mapping[str, Any], hidden: set[str]) -> bool:
    """Return whether a tool was run with the arguments of a call, but for those that are hidden."""
    name, inputs = run
    if name != call["name"] or inputs is None:
        return bool(name == call["name"])
    told, written = (
        {key: value for key, value in given.items() if key not in hidden}
        for given in (inputs, call["args"])
    )
    try:
        return bool(told == written)
    except Exception:  # noqa: BLE001 - of users' classes; what cannot be compared is not kept
        return False


def _said(message: BaseMessage) -> Any:
    calls = message.tool_calls if isinstance(message, AIMessage) else ()
    return message.type, message.text, [(call["name"], call["args"]) for call in calls]


def _name_in(params: Mapping[str, Any]) -> ModelName:
    return params.get("ls_provider"), params.get("ls_model_name")


_current: ContextVar[InnerRuns | None] = ContextVar("toolops_langchain_inner_runs", default=None)
register_configure_hook(_current, inheritable=True)
