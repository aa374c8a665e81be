"""See what other middleware does inside of ours, by the runs of models and tools in one call.

A fallback asks another model, and a retry that gives up makes a message of the error: neither may
be kept as the answer of the model that was asked. What a retry there has tried several times, the
policy does not try again, or the attempts of both would multiply.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableBinding
from langchain_core.tracers.context import register_configure_hook

from langchain_toolops._llm_identity import find_model

__all__ = ["InnerRuns"]

ModelName: TypeAlias = tuple[Any, Any]


class InnerRuns(BaseCallbackHandler):
    """Notes which model has made which answer, and what has failed, in the runs of one attempt.

    Attributes:
        failed: Runs of models and tools that have failed.
    """

    run_inline = True  # on the event loop the answer may come before a task that notes it

    def __init__(self) -> None:
        self.failed = 0
        self._under_way: dict[UUID, ModelName] = {}
        self._made: dict[str, ModelName] = {}

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Watch the runs that begin in this block."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002 - LangChain's signature
        messages: list[list[BaseMessage]],  # noqa: ARG002 - the same
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ARG002 - the same
    ) -> None:
        """Note the model of a run."""
        self._under_way[run_id] = _name_in(metadata or {})

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - LangChain's signature
        """Note the answers of a run."""
        name = self._under_way.pop(run_id, None)
        if name is None:
            return
        for generations in response.generations:
            for each in generations:
                if isinstance(each, ChatGeneration) and each.message.id:
                    self._made[each.message.id] = name

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - LangChain's signature
        """Count a run that has failed."""
        self.failed += 1
        self._under_way.pop(run_id, None)

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
        name = self._made.get(message.id)
        if name is None:  # its run told nobody
            return True
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


def _name_in(params: Mapping[str, Any]) -> ModelName:
    return params.get("ls_provider"), params.get("ls_model_name")


_current: ContextVar[InnerRuns | None] = ContextVar("toolops_langchain_inner_runs", default=None)
register_configure_hook(_current, inheritable=True)
