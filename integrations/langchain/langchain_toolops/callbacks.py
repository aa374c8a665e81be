"""A callback handler that feeds a runtime's statistics and sinks from whatever LangChain runs.

LangChain tells of the begin and the end of every run, in any thread or task, and at times of only
one of the two. So runs under way are noted by id, at most so many, and what never ends is forgotten
when newer ones need the place.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.globals import get_llm_cache
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import (
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
    LLMResult,
)

from langchain_toolops._event_dedup import (
    has_error_note,
    has_run_note,
    inside_guard,
    inside_tool,
)
from langchain_toolops._event_runs import (
    AGENT,
    Kind,
    calls_tools,
    has_count_mark,
    is_cache_answer,
    name_of_run,
    text_of,
)
from langchain_toolops._graph_signals import is_graph_signal
from langchain_toolops.prices import ModelPrices, TokenPrice, model_of, usage_of
from toolops_plugins import ConfigurationError, ToolOps
from toolops_plugins.adapters.internals import check, fork_safe
from toolops_plugins.adapters.options import runtime_of
from toolops_plugins.adapters.run_events import Run, RunReporter

__all__ = ["ToolOpsCallbackHandler"]

Prices: TypeAlias = (
    Mapping[str, TokenPrice | tuple[float, float]]
    | ModelPrices
    | Callable[[str, Mapping[str, Any]], float]
)
Chains: TypeAlias = Literal["outer", "all", "none"]

_CACHED = 1_000
"""Models of which is remembered that a cache has answered for them."""


class ToolOpsCallbackHandler(BaseCallbackHandler):
    """Counts what LangChain runs, in the runtime's ``stats()`` and for its sinks.

    One handler serves synchronous and asynchronous runs, any threads and event loops::

        chain.invoke(question, {"callbacks": [ToolOpsCallbackHandler(ops)]})

    The rows are "chat:<model>", "llm:<model>", "tool:<name>", "retriever:<name>" and
    "chain:<name>". Each counts its own runs, so a chain stands beside the models that it has
    called: latencies and counts are of different levels, but money is only ever that of models.

    - A call of a model is "bypassed" where no cache was asked, a "miss" where LangChain's global
      cache is set, and a "hit" where that, or any other cache of LangChain's, has answered. A hit
      costs nothing; its price is what was saved.
    - What the runtime counts already is not counted here: answers that went through a
      :class:`~langchain_toolops.ToolOpsCache`, wrapped tools, guarded models, and all that is
      behind a :class:`~langchain_toolops.ToolOpsMiddleware`. Those have their price from
      ``Policy(price=...)``, which takes :class:`~langchain_toolops.ModelPrices` too.
    - Neither an interrupt of LangGraph is an error, nor a stream that its reader has left; of such
      a stream nobody knows the price.
    - Sinks get the model, its tokens and the seconds to its first token as ``event.details``.

    Nothing here raises into a run, waits for anything, or keeps a prompt or an answer.

    Args:
        ops: The runtime. None: :func:`toolops_plugins.get_default`.
        prices: Prices by model, as :class:`~langchain_toolops.ModelPrices` takes them, or a
            callable over model and usage metadata that returns money. None: published
            prices, where the extra ``prices`` of the core is installed; else models are free.
        chains: Which chains are counted: those that nothing else has called ("outer"), "all", or
            "none". Default "outer".
        max_runs: Runs that may be under way at once; of more, the oldest are not counted. Default
            10,000.

    Raises:
        ConfigurationError: A value is wrong.
    """

    # In the thread or on the loop of the run: it takes microseconds, and where it is called says
    # what is around the run.
    run_inline = True

    def __init__(
        self,
        ops: ToolOps | None = None,
        *,
        prices: Prices | None = None,
        chains: Chains = "outer",
        max_runs: int = 10_000,
    ) -> None:
        super().__init__()
        if chains not in ("outer", "all", "none"):
            raise ConfigurationError("chains", f'must be "outer", "all" or "none", not {chains!r}')
        if isinstance(prices, Mapping):
            prices = ModelPrices(prices)
        self._ops = runtime_of(ops)
        self._reporter = RunReporter(self._ops, prices)
        self._chains = chains
        self._max_runs = check.count("max_runs", max_runs)
        self._lock = fork_safe(self, threading.Lock())
        self._runs: OrderedDict[UUID, Run] = OrderedDict()
        self._cached: set[str] = set()

    @property
    def ignore_chain(self) -> bool:
        """True if LangChain need not tell of chains."""
        return self._chains == "none"

    # -- models ----------------------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: dict[str, Any] | None,
        messages: list[list[BaseMessage]],  # noqa: ARG002 - of LangChain's signature
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note that a chat model begins."""
        self._model_begins("chat", serialized, run_id, metadata, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any] | None,
        prompts: list[str],  # noqa: ARG002 - of LangChain's signature
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note that a model of text begins."""
        self._model_begins("llm", serialized, run_id, metadata, kwargs)

    def on_llm_new_token(
        self,
        token: Any,
        *,
        chunk: Any = None,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002 - of LangChain's signature
    ) -> None:
        """Note when the first token has come, or that the runtime counts the run."""
        run = self._runs.get(run_id)
        if run is None or run.first is not None:
            return
        if isinstance(chunk, Generation) and has_count_mark(chunk):
            self._take(run_id)  # at once, since a stream that its reader leaves has no answer
        elif token or calls_tools(chunk):
            run.first = self._ops.clock.monotonic()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - of LangChain's signature
        """Count a model's run that has ended."""
        run = self._take(run_id)
        generations = [each for batch in response.generations for each in batch]
        if run is None or any(map(has_count_mark, generations)):
            return
        usage = usage_of(response)
        names = [run.model, *model_of(response)]
        is_hit = any(map(is_cache_answer, generations))
        details = self._reporter.details(run, names, usage, saved=is_hit) or {}
        money = self._reporter.money(run, names, usage)
        if is_hit:
            if len(self._cached) < _CACHED:
                self._cached.add(run.name)
            self._reporter.tell(run, "hit", details, tier="langchain", saved=money, key=run_id.hex)
        elif self._has_cache(run, generations):
            self._reporter.tell(run, "miss", details, price=money, key=run_id.hex)
        else:
            self._reporter.tell(run, "bypass", details, price=money)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - of LangChain's signature
        """Count a model's run that has failed."""
        if has_error_note(error, run_id):
            self._take(run_id)
        else:
            self._fail(run_id, error)

    # -- tools, retrievers, chains ---------------------------------------------------------------

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,  # noqa: ARG002 - of LangChain's signature
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Note that a tool begins."""
        if inside_tool(kwargs.get("tool_call_id")):
            return
        self._begins("tool", name_of_run(serialized, kwargs), run_id, kwargs.get("metadata"))

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - of LangChain's signature
        """Count a tool's run that has ended."""
        run = self._take(run_id)
        if run is None:
            return
        details = self._reporter.details(run)
        if isinstance(output, ToolMessage) and output.status == "error":
            self._reporter.tell(run, "error", details, reason="handled")  # and told to the model
        else:
            self._reporter.tell(run, "bypass", details)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - of LangChain's signature
        """Count a tool's run that has failed."""
        self._fail(run_id, error)

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,  # noqa: ARG002 - of LangChain's signature
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Note that a retriever begins."""
        self._begins("retriever", name_of_run(serialized, kwargs), run_id, kwargs.get("metadata"))

    def on_retriever_end(
        self,
        documents: Sequence[Document],  # noqa: ARG002 - of LangChain's signature
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002 - as above
    ) -> None:
        """Count a retriever's run that has ended."""
        self._end(run_id)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - of LangChain's signature
        """Count a retriever's run that has failed."""
        self._fail(run_id, error)

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: dict[str, Any],  # noqa: ARG002 - of LangChain's signature
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """Note that a chain begins, if it is one that is counted."""
        if self._chains == "all" or parent_run_id is None:
            self._begins("chain", name_of_run(serialized, kwargs), run_id, kwargs.get("metadata"))

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - of LangChain's signature
        """Count a chain's run that has ended."""
        self._end(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - of LangChain's signature
        """Count a chain's run that has failed."""
        self._fail(run_id, error)

    # -- what they share -------------------------------------------------------------------------

    def _model_begins(
        self,
        kind: Literal["chat", "llm"],
        serialized: dict[str, Any] | None,
        run_id: UUID,
        metadata: dict[str, Any] | None,
        kwargs: dict[str, Any],
    ) -> None:
        if inside_guard():
            return
        told = kwargs.get("invocation_params") or {}
        names: tuple[Any, ...] = (
            (metadata or {}).get("ls_model_name"),
            told.get("model_name"),
            told.get("model"),
        )
        model: str = next((name for name in names if isinstance(name, str) and name), "")
        self._begins(kind, model or name_of_run(serialized, kwargs), run_id, metadata, model)

    def _begins(
        self,
        kind: Kind,
        name: str,
        run_id: UUID,
        metadata: Mapping[str, Any] | None,
        model: str = "",
    ) -> None:
        clock = self._ops.clock
        run = Run(
            kind,
            name,
            model,
            clock.monotonic(),
            clock.time(),
            provider=text_of(metadata, "ls_provider") if kind in ("chat", "llm") else "",
            agent=text_of(metadata, AGENT),
        )
        with self._lock:
            self._runs[run_id] = run
            if len(self._runs) > self._max_runs:
                self._runs.popitem(last=False)

    def _take(self, run_id: UUID) -> Run | None:
        """Return a run that has ended, once, and only if the runtime has not counted it."""
        with self._lock:
            run = self._runs.pop(run_id, None)
        return None if has_run_note(run_id) else run

    def _end(self, run_id: UUID) -> None:
        run = self._take(run_id)
        if run is not None:
            self._reporter.tell(run, "bypass", self._reporter.details(run))

    def _fail(self, run_id: UUID, error: BaseException) -> None:
        run = self._take(run_id)
        if run is None:
            return
        details = self._reporter.details(run, [run.model])
        if is_graph_signal(error):
            self._reporter.tell(run, "bypass", details, reason="interrupted")
        elif isinstance(error, GeneratorExit):  # a stream that its reader has left
            self._reporter.tell(run, "bypass", details, reason="left")
        else:
            self._reporter.tell(run, "error", details, error=type(error).__name__)

    def _has_cache(self, run: Run, generations: Sequence[Generation]) -> bool:
        """Return whether a cache was asked before the model, as far as can be told."""
        if any(isinstance(each, ChatGenerationChunk | GenerationChunk) for each in generations):
            return False  # a stream, which asks none
        return run.name in self._cached or get_llm_cache() is not None
