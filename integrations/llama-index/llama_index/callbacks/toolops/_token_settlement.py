"""The tokens of calls that are over, told to the rate limiter that let them go.

LlamaIndex's rate limiters are asked before a call and told nothing after it. Its instrumentation
tells what a call has taken, but not by whose leave: a span knows its model, and an event its span.
"""

from __future__ import annotations

import inspect
import logging
import re
import sys
import threading
import weakref
from collections import OrderedDict
from typing import Any, Protocol

from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index_instrumentation import root_dispatcher
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import BaseSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler

from llama_index.callbacks.toolops.prices import usage_of
from toolops_plugins.adapters.internals import fork_safe

__all__ = ["estimate_tokens", "settle"]

logger = logging.getLogger("llama_index.callbacks.toolops")

_ENDPOINT = re.compile(
    r"\.(a?(chat|complete|stream_chat|stream_complete"
    r"|get_(query|text)_embedding|get_text_embedding_batch)"
    r"|astream_(chat|complete))-[0-9a-f-]{36}$"
)
"""How the spans end, by whose methods a model asks its rate limiter."""
_CALLS = 10_000
"""Calls that are remembered; a stream may be read long after it was asked for."""


class _Spender(Protocol):
    def spend(self, tokens: float) -> None: ...
    def count(self, text: str) -> float: ...


class _Calls:
    """The limiter that admitted each call, by the span of the call. Thread-safe."""

    def __init__(self) -> None:
        self._lock = fork_safe(self, threading.Lock())
        self._limiters: OrderedDict[str, weakref.ref[Any]] = OrderedDict()
        self._streams: OrderedDict[tuple[int, int], str] = OrderedDict()

    def begins(self, span: str, parent: str | None, limiter: Any, asked: tuple[int, int]) -> None:
        """Note that a call begins; one around it is a part of it from now on.

        Args:
            span: The call's span.
            parent: The span around it.
            limiter: Who let it go.
            asked: The identities of its model, and of what that was given.
        """
        with self._lock:
            if ".stream_" in span and asked in self._streams:
                # An asynchronous stream, whose span is over, is made of this one as it is read.
                parent = self._streams.pop(asked)
            around = self._limiters.get(parent) if parent is not None else None
            if parent is not None and around is not None and around() is limiter:
                del self._limiters[parent]
            self._limiters[span] = weakref.ref(limiter)
            if ".astream_" in span:
                self._streams[asked] = span
            for known in (self._limiters, self._streams):
                if len(known) > _CALLS:
                    known.popitem(last=False)

    def limiter(self, span: str | None) -> _Spender | None:
        """Return the limiter that let a call go, or None."""
        found = None if span is None else self._limiters.get(span)
        return None if found is None else found()


_calls = _Calls()
_lock = fork_safe(sys.modules[__name__], threading.Lock())


class _Ends(BaseEventHandler):
    """Settles what ends."""

    @classmethod
    def class_name(cls) -> str:
        return "ToolOpsSettlingEvents"

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:  # noqa: ARG002 - of its signature
        try:
            if isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent | EmbeddingEndEvent):
                limiter = _calls.limiter(event.span_id)
                if limiter is not None:
                    # One was taken beforehand.
                    limiter.spend(_tokens(event, limiter) - 1)
        except Exception as error:  # noqa: BLE001 - nobody but us is to hear of our mistakes
            logger.debug("The tokens of a call were not counted: %s", type(error).__name__)


class _Begins(BaseSpanHandler[BaseSpan]):
    """Notes what begins under a limiter; it keeps no spans."""

    @classmethod
    def class_name(cls) -> str:
        return "ToolOpsSettlingSpans"

    def new_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any | None = None,
        parent_span_id: str | None = None,
        tags: dict[str, Any] | None = None,  # noqa: ARG002 - of LlamaIndex's signature
        **kwargs: Any,  # noqa: ARG002 - as above
    ) -> None:
        try:
            limiter = getattr(instance, "rate_limiter", None)
            if hasattr(limiter, "spend") and _ENDPOINT.search(id_) is not None:
                given = bound_args.arguments
                what = given.get("messages", given.get("prompt"))
                _calls.begins(id_, parent_span_id, limiter, (id(instance), id(what)))
        except Exception as error:  # noqa: BLE001 - as above
            logger.debug("The begin of a call was not noted: %s", type(error).__name__)

    def prepare_to_exit_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the event of a stream's end comes later."""

    def prepare_to_drop_span(self, id_: str, *args: Any, **kwargs: Any) -> None:
        """Do nothing: a call that failed has its one token, and no event."""


_ends, _begins = _Ends(), _Begins()


def settle() -> None:
    """Listen to LlamaIndex's instrumentation from now on; more than once does no more."""
    with _lock:
        if not any(each is _ends for each in root_dispatcher.event_handlers):
            root_dispatcher.add_event_handler(_ends)
        if not any(each is _begins for each in root_dispatcher.span_handlers):
            root_dispatcher.add_span_handler(_begins)


def estimate_tokens(text: str) -> float:
    """Return about how many tokens a text has."""
    return len(text.encode("utf-8", "surrogatepass")) / 4


def _tokens(event: Any, limiter: _Spender) -> float:
    if isinstance(event, EmbeddingEndEvent):
        return sum(max(1.0, limiter.count(chunk)) for chunk in event.chunks)
    usage = usage_of(event.response)
    if usage is not None:
        return float(usage["total_tokens"])
    asked = (
        [message.content or "" for message in event.messages]
        if isinstance(event, LLMChatEndEvent)
        else [event.prompt]
    )
    response = event.response
    told = "" if response is None else _text(response)
    return sum(map(limiter.count, [*asked, told]))


def _text(response: Any) -> str:
    message = getattr(response, "message", None)
    return str((response.text if message is None else message.content) or "")
