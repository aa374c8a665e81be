"""A callback handler that feeds a runtime's statistics and sinks from whatever LlamaIndex runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index_instrumentation.span import active_span_id

from llama_index.callbacks.toolops._event_run import (
    Kind,
    input_key,
    left_bodies,
    owner_of,
)
from llama_index.callbacks.toolops._event_runs import Calls, Prices
from toolops_plugins import ToolOps

__all__ = ["ToolOpsCallbackHandler"]

logger = logging.getLogger("llama_index.callbacks.toolops")

_KINDS: dict[CBEventType, Kind] = {
    CBEventType.QUERY: "query",
    CBEventType.RETRIEVE: "retriever",
    CBEventType.SYNTHESIZE: "synthesizer",
    CBEventType.RERANKING: "reranker",
    CBEventType.FUNCTION_CALL: "tool",
    CBEventType.AGENT_STEP: "step",
}
_HEARD = {CBEventType.LLM, CBEventType.EMBEDDING, *_KINDS}


class ToolOpsCallbackHandler(BaseCallbackHandler):
    """Counts what LlamaIndex runs, in the runtime's ``stats()`` and for its sinks.

    One handler serves synchronous and asynchronous calls, any threads and event loops::

        Settings.callback_manager = CallbackManager([ToolOpsCallbackHandler(ops)])

    The rows are "chat:<model>", "llm:<model>", "embedding:<model>", "retriever:<class>",
    "synthesizer:<class>", "reranker:<class or model>" and "query:<class>"; and "tool:<name>" and
    "step:<class>", where somebody fires their events, which the core of LlamaIndex does not: tools
    are counted by :func:`~llama_index.callbacks.toolops.install`. Each row counts its own calls,
    so a query stands beside the models that it has called; but money is only ever that of models.

    - A model's endpoint that another one of it calls is a part of that call.
    - What the runtime counts already is not counted here: guarded models, embeddings and tools,
      and what :func:`~llama_index.callbacks.toolops.install` counts for the same runtime.
    - A stream that its reader has left is no error. One that was never read is not counted; with
      this handler alone it keeps its place among ``max_calls``, since nothing tells of its end.
    - Sinks get the model and its tokens as ``event.details``.

    Nothing here raises into a call, waits for anything, changes a payload, or keeps a prompt or an
    answer.

    Args:
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        prices: Prices by model, as :class:`~llama_index.callbacks.toolops.ModelPrices` takes them,
            or a callable over model and usage that returns money. None: published prices,
            where the extra ``prices`` of the core is installed; else models are free.
        max_calls: Calls that may be under way at once; of more, the oldest are not counted.
            Default 10,000.

    Raises:
        ConfigurationError: A value is wrong.
    """

    def __init__(
        self,
        ops: ToolOps | None = None,
        *,
        prices: Prices | None = None,
        max_calls: int = 10_000,
    ) -> None:
        unheard = [each for each in CBEventType if each not in _HEARD]
        super().__init__(event_starts_to_ignore=unheard, event_ends_to_ignore=unheard)
        self._calls = Calls(ops, prices, max_calls, yields=True)

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",  # noqa: ARG002 - of LlamaIndex's signature
        **kwargs: Any,  # noqa: ARG002 - as above
    ) -> str:
        """Note that something begins; returns ``event_id``."""
        try:
            self._begins(event_type, payload or {}, event_id)
        except Exception as error:  # noqa: BLE001 - it would abort the user's call
            _log_failure("begin", event_type, error)
        return event_id

    def on_event_end(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        **kwargs: Any,  # noqa: ARG002 - of LlamaIndex's signature
    ) -> None:
        """Count what has ended."""
        try:
            self._ends(event_type, payload, event_id)
        except Exception as error:  # noqa: BLE001 - it would abort the user's call
            _log_failure("end", event_type, error)

    def start_trace(self, trace_id: str | None = None) -> None:  # noqa: ARG002 - of LlamaIndex's signature
        """Note that the outermost trace begins here."""
        left_bodies()

    def end_trace(
        self,
        trace_id: str | None = None,
        trace_map: dict[str, list[str]] | None = None,
    ) -> None:
        """Do nothing: the map of traces is one for all threads, and wrong in each of them."""

    def _begins(self, event_type: CBEventType, payload: Mapping[str, Any], event_id: str) -> None:
        span = active_span_id.get()
        told = payload.get(EventPayload.SERIALIZED) or {}
        if event_type == CBEventType.LLM:
            messages = payload.get(EventPayload.MESSAGES)
            given = payload.get(EventPayload.PROMPT) if messages is None else messages
            chat = messages is not None
            self._calls.model(event_id, "chat" if chat else "llm", told, span, input_key(given))
            return
        if event_type == CBEventType.EMBEDDING:
            call = self._calls.embedding(event_id, told, span)
        elif event_type in _KINDS:
            kind = _KINDS[event_type]
            name = owner_of(span)
            if kind == "tool":
                name = str(getattr(payload.get(EventPayload.TOOL), "name", None) or "unknown")
            elif kind == "reranker":
                name = str(payload.get(EventPayload.MODEL_NAME) or name)
            if kind != "tool" and self._calls.repeats(kind, name):
                return
            call = self._calls.begins(event_id, kind, name, span)
        else:
            return
        if call is not None:
            call.handled = id(sys.exception())

    def _ends(
        self, event_type: CBEventType, payload: Mapping[str, Any] | None, event_id: str
    ) -> None:
        kinds: tuple[Kind, ...]
        if event_type == CBEventType.LLM:
            kinds = ("chat", "llm")
        elif event_type == CBEventType.EMBEDDING:
            kinds = ("embedding",)
        elif event_type in _KINDS:
            kinds = (_KINDS[event_type],)
        else:
            return
        call = self._calls.of(event_id, kinds)
        if call is None:
            return
        told = payload or {}
        error = told.get(EventPayload.EXCEPTION)
        if payload is None:
            # So LlamaIndex ends what is cancelled, or fails with an error that it has told of once.
            raised = sys.exception()
            error = None if id(raised) == call.handled else raised
        if isinstance(error, BaseException):
            self._calls.fail(event_id, kinds, error)
            return
        response = told.get(EventPayload.RESPONSE)
        if response is None:
            response = told.get(EventPayload.COMPLETION)
        self._calls.end(event_id, kinds, response)


def _log_failure(what: str, event_type: CBEventType, error: Exception) -> None:
    logger.debug("The %s of %s was not noted: %s", what, event_type, type(error).__name__)
