"""Handlers of LlamaIndex's instrumentation, which feed a runtime's statistics and sinks.

They are a pair. Events tell of models, embeddings, queries and what is between them, but not of how
those fail, which their spans do; and tools, agents and workflows have spans alone.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Mapping
from typing import Any

from llama_index.core.instrumentation.events import embedding, llm, query, rerank, retrieval
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.synthesis import (
    SynthesizeEndEvent,
    SynthesizeStartEvent,
)
from llama_index.core.tools import BaseTool, ToolOutput
from llama_index_instrumentation import root_dispatcher
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import BaseSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from pydantic import PrivateAttr
from workflows import Workflow

from llama_index.callbacks.toolops._event_dedup import has_guard
from llama_index.callbacks.toolops._event_run import (
    MODELS,
    Kind,
    input_key,
    owner_of,
    span_parts,
)
from llama_index.callbacks.toolops._event_runs import Calls, Prices
from toolops_plugins import ToolOps
from toolops_plugins.adapters.installation import Installation

__all__ = ["ToolOpsEventHandler", "ToolOpsSpanHandler", "install", "uninstall"]

logger = logging.getLogger("llama_index.callbacks.toolops")

_STARTS: Mapping[type[BaseEvent], Kind] = {
    llm.LLMChatStartEvent: "chat",
    llm.LLMCompletionStartEvent: "llm",
    embedding.EmbeddingStartEvent: "embedding",
    query.QueryStartEvent: "query",
    retrieval.RetrievalStartEvent: "retriever",
    SynthesizeStartEvent: "synthesizer",
    rerank.ReRankStartEvent: "reranker",
}
_ENDS: Mapping[type[BaseEvent], tuple[Kind, ...]] = {
    llm.LLMChatEndEvent: MODELS,
    llm.LLMCompletionEndEvent: MODELS,
    embedding.EmbeddingEndEvent: ("embedding",),
    embedding.SparseEmbeddingEndEvent: ("embedding",),
    query.QueryEndEvent: ("query",),
    retrieval.RetrievalEndEvent: ("retriever",),
    SynthesizeEndEvent: ("synthesizer",),
    rerank.ReRankEndEvent: ("reranker",),
}
_IN_PROGRESS = (llm.LLMChatInProgressEvent, llm.LLMCompletionInProgressEvent)
_CANCELLED = "SpanCancelledEvent"
"""What a workflow fires in its span when its user cancels it; where it is defined has moved."""
_TOOL_METHODS = ("call", "acall", "__call__")
_AGENTS = "llama_index.core.agent.workflow.base_agent"


class ToolOpsEventHandler(BaseEventHandler):
    """Counts the calls that events tell of; see :func:`install`, which is what most users want.

    To be added to a dispatcher together with its :class:`ToolOpsSpanHandler`; without that, what
    fails is not counted. Safe to use from any threads and event loops; it never raises an
    Exception, waits for anything, or changes an event.

    Args:
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        prices: As for :func:`install`.
        max_calls: As for :func:`install`.

    Raises:
        ConfigurationError: A value is wrong.
    """

    _calls: Calls = PrivateAttr()

    def __init__(
        self,
        ops: ToolOps | None = None,
        *,
        prices: Prices | None = None,
        max_calls: int = 10_000,
    ) -> None:
        super().__init__()
        self._calls = Calls(ops, prices, max_calls, yields=False)

    @classmethod
    def class_name(cls) -> str:
        """Return the name by which LlamaIndex knows the handler."""
        return "ToolOpsEventHandler"

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:  # noqa: ARG002 - of LlamaIndex's signature
        """Note what begins, and count what has ended."""
        try:
            self._handle(event)
        except Exception as error:  # noqa: BLE001 - nobody but us is to hear of our mistakes
            logger.debug("%s was not noted: %s", type(event).__name__, type(error).__name__)

    def _handle(self, event: BaseEvent) -> None:
        span = event.span_id or ""
        if isinstance(event, _IN_PROGRESS):
            self._calls.add_progress(span, event.response)
            return
        if isinstance(event, ExceptionEvent):
            self._calls.fail(span, MODELS, event.exception)
            return
        for each in type(event).__mro__:
            if each in _STARTS:
                self._begins(_STARTS[each], event, span)
                return
            if each in _ENDS:
                self._calls.end(span, _ENDS[each], getattr(event, "response", None))
                return
        if type(event).__name__ == _CANCELLED:
            self._calls.cancel(span)

    def _begins(self, kind: Kind, event: Any, span: str) -> None:
        if kind == "chat":
            given = input_key(event.messages)
            self._calls.model(span, "chat", event.model_dict, event.span_id, given)
        elif kind == "llm":
            given = input_key(event.prompt)
            self._calls.model(span, "llm", event.model_dict, event.span_id, given)
        elif kind == "embedding":
            self._calls.embedding(span, event.model_dict, event.span_id)
        else:
            name = owner_of(span)
            if kind == "reranker":
                name = event.model_name or name
            self._calls.begins(span, kind, name, event.span_id)


class ToolOpsSpanHandler(BaseSpanHandler[BaseSpan]):
    """Counts tools, agents and workflows, and how the calls of an event handler fail.

    It keeps no spans. Safe to use from any threads and event loops; it never raises an Exception,
    waits for anything, or changes an argument or a result.

    Args:
        events: The event handler whose pair this is.
    """

    _calls: Calls = PrivateAttr()

    def __init__(self, events: ToolOpsEventHandler) -> None:
        super().__init__()
        self._calls = events._calls  # noqa: SLF001 - the two are a pair

    @classmethod
    def class_name(cls) -> str:
        """Return the name by which LlamaIndex knows the handler."""
        return "ToolOpsSpanHandler"

    def new_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002 - of LlamaIndex's signature
        instance: Any | None = None,
        parent_span_id: str | None = None,  # noqa: ARG002 - as above
        tags: dict[str, Any] | None = None,  # noqa: ARG002 - as above
        **kwargs: Any,  # noqa: ARG002 - as above
    ) -> None:
        """Note that a tool, an agent or a workflow begins."""
        try:
            if isinstance(instance, BaseTool):
                self._tool_begins(id_, instance)
            elif isinstance(instance, Workflow):
                self._workflow_begins(id_, instance)
        except Exception as error:  # noqa: BLE001 - nobody but us is to hear of our mistakes
            _log_failure("begin", error)

    def prepare_to_exit_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002 - of LlamaIndex's signature
        instance: Any | None = None,  # noqa: ARG002 - as above
        result: Any | None = None,
        **kwargs: Any,  # noqa: ARG002 - as above
    ) -> None:
        """Count what has ended with its span."""
        try:
            if isinstance(result, ToolOutput) and result.is_error:
                self._calls.end_with_error(id_, ("tool",))
            self._calls.end_span(id_, result)
        except Exception as error:  # noqa: BLE001 - nobody but us is to hear of our mistakes
            _log_failure("end", error)

    def prepare_to_drop_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,  # noqa: ARG002 - of LlamaIndex's signature
        instance: Any | None = None,  # noqa: ARG002 - as above
        err: BaseException | None = None,
        **kwargs: Any,  # noqa: ARG002 - as above
    ) -> None:
        """Count what has failed with its span."""
        try:
            self._calls.drop_span(id_, err)
        except Exception as error:  # noqa: BLE001 - nobody but us is to hear of our mistakes
            _log_failure("failure", error)

    def _tool_begins(self, span: str, tool: BaseTool) -> None:
        method = span_parts(span)[1]
        if method not in _TOOL_METHODS or has_guard(tool):
            return
        name = tool.metadata.name or type(tool).__name__
        if not self._calls.repeats_tool(name, method):
            self._calls.begins(span, "tool", name, span, method=method)

    def _workflow_begins(self, span: str, workflow: Workflow) -> None:
        if span_parts(span)[1] != "run":
            return
        agents = sys.modules.get(_AGENTS)  # where it was not imported there is no agent
        if agents is not None and isinstance(workflow, agents.BaseWorkflowAgent):
            self._calls.begins(span, "agent", str(workflow.name), span)
        else:
            self._calls.begins(span, "workflow", type(workflow).__name__, span)


class _Pair:
    """The pair of handlers that :func:`install` puts at the root."""

    def __init__(self, events: ToolOpsEventHandler) -> None:
        self._events = events
        self._spans = ToolOpsSpanHandler(events)

    def attach(self) -> None:
        root = root_dispatcher
        # New lists, since other threads may be walking the old ones; and compared by identity,
        # since all handlers of a class are equal.
        if not any(each is self._events for each in root.event_handlers):
            root.event_handlers = [*root.event_handlers, self._events]
        if not any(each is self._spans for each in root.span_handlers):
            root.span_handlers = [*root.span_handlers, self._spans]

    def close(self) -> None:
        root = root_dispatcher
        root.event_handlers = [each for each in root.event_handlers if each is not self._events]
        root.span_handlers = [each for each in root.span_handlers if each is not self._spans]
        self._events._calls.forget()  # noqa: SLF001 - of this module


_installation = Installation()


def install(
    ops: ToolOps | None = None, *, prices: Prices | None = None, max_calls: int = 10_000
) -> None:
    """Count what LlamaIndex runs in this process, in the runtime's ``stats()`` and for its sinks.

    ::

        install(ops, prices={"gpt-4o": (2.5, 10.0)})

    The rows are "chat:<model>", "llm:<model>", "embedding:<model>", "tool:<name>", "agent:<name>",
    "workflow:<class>", "query:<class>", "retriever:<class>", "synthesizer:<class>" and
    "reranker:<model>". Each row counts its own calls, so an agent stands beside the tools and the
    models that it has called; but money is only ever that of models.

    - A model's endpoint that another one of it calls is a part of that call.
    - What the runtime counts already is not counted here: guarded models, embeddings and tools.
      Beside a :class:`~llama_index.callbacks.toolops.ToolOpsCallbackHandler` of the same runtime,
      each call is counted once, and priced by the prices that are given here.
    - A tool whose output is an error is counted as one, with the reason "handled".
    - Neither a stream that its reader has left is an error, nor a workflow that its user has
      cancelled, nor a step that waits for an event. A stream that was never read is not counted.
    - Sinks get the model, its tokens and the seconds to its first token as ``event.details``.

    There is one installation in a process. Installing the same again does nothing, but for putting
    back handlers that somebody has removed; installing for another runtime, or with other prices,
    takes the place of what is installed, and calls that are under way then are not counted. Safe
    to call from any threads.

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
    events = ToolOpsEventHandler(ops, prices=prices, max_calls=max_calls)
    runtime = events._calls.ops  # noqa: SLF001 - of this module
    _installation.put(lambda: _Pair(events), runtime, prices, max_calls)


def uninstall() -> None:
    """Take back what :func:`install` has done; nothing if nothing is installed.

    Calls that are under way are not counted. Safe to call from any threads.
    """
    _installation.take()


def _log_failure(what: str, error: Exception) -> None:
    logger.debug("The %s of a span was not noted: %s", what, type(error).__name__)
