"""A call under way as LlamaIndex tells of it, and what is around it.

What is around a call is known by a context variable, which holds the innermost call that has begun
in this context, since neither system can be relied upon for it: the map of traces is one for all
threads, and the parents of spans are told to handlers of spans alone.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llama_index.core.callbacks.base import global_stack_trace_ids

from toolops_plugins.adapters.run_events import Run

if TYPE_CHECKING:
    from llama_index.callbacks.toolops._event_runs import Calls

__all__ = [
    "MODELS",
    "Call",
    "Kind",
    "calls_around",
    "class_of",
    "input_key",
    "left_bodies",
    "model_of_payload",
    "owner_of",
    "provider_of",
    "says_something",
    "span_parts",
]

Kind: TypeAlias = Literal[
    "chat",
    "llm",
    "embedding",
    "query",
    "retriever",
    "synthesizer",
    "reranker",
    "tool",
    "agent",
    "workflow",
    "step",
]

MODELS: tuple[Kind, ...] = ("chat", "llm")
_DEEP = 100
"""Calls around a call that are remembered; deeper ones stand alone."""


class Call(Run):
    """A call under way.

    Args:
        calls: Who counts it.
        kind: The word before the colon of its row.
        name: The word behind it.
        model: The model's name, or nothing.
        span: The span that was active when it began.
    """

    __slots__ = (
        "around",
        "calls",
        "deep",
        "depth",
        "handled",
        "inside",
        "lazy",
        "method",
        "names",
        "open",
        "part_of",
        "read",
        "silent",
        "span",
        "stream",
        "usage",
    )

    def __init__(
        self, calls: Calls, kind: Kind, name: str, model: str = "", span: str | None = None
    ) -> None:
        clock = calls.ops.clock
        super().__init__(kind, name, model, clock.monotonic(), clock.time())
        self.calls = calls
        self.span = span
        self.depth = len(global_stack_trace_ids.get())  # traces that were open when it began
        self.open = True
        self.inside = True  # its endpoint has not returned yet
        self.silent = False  # not to be told: a part of another call, or counted by the runtime
        self.part_of: Call | None = None
        self.usage: dict[str, Any] | None = None  # the tokens of its parts
        self.names: list[str] = []  # what its parts say that their models are called
        self.read = False  # anything came of its stream
        self.stream: weakref.ref[Any] | None = None
        self.lazy: Hashable = None  # by what the stream that it reads from is known
        self.method = ""
        self.handled = 0  # identity of the error that was being handled when it began
        self.around: Call | None = None
        self.deep = 0

    @property
    def is_model(self) -> bool:
        """True if a model is called."""
        return self.kind in MODELS

    def enter(self) -> None:
        """Be around what begins in this context from now on."""
        around = _around.get()
        # A model that began no deeper has returned its stream: it is beside, not around.
        while around is not None and (
            not around.open or (self.is_model and around.is_model and around.depth >= self.depth)
        ):
            around = around.around
        self.deep = 0 if around is None else (around.deep + 1) % _DEEP
        self.around = around if self.deep else None
        _around.set(self)

    def take(self, usage: Mapping[str, Any] | None, names: Sequence[str]) -> None:
        """Note the tokens and the names of a part."""
        self.names += names
        if usage is not None:
            self.usage = dict(usage) if self.usage is None else _sum(self.usage, usage)


_around: ContextVar[Call | None] = ContextVar("toolops_llama_index_around", default=None)


def calls_around(ops: object) -> Iterator[Call]:
    """Yield the open calls around here that are told to this runtime, innermost first."""
    call = _around.get()
    while call is not None:
        if call.open and call.calls.ops is ops:
            yield call
        call = call.around


def left_bodies() -> None:
    """Note that no endpoint of a model is under way in this context, since no trace is."""
    call = _around.get()
    while call is not None:
        if call.is_model:
            call.inside = False
        call = call.around


def input_key(given: Any) -> Hashable:
    """Return what tells messages, or a prompt, from others, and holds none of them."""
    if isinstance(given, str):
        return hash(given)
    return id(given[0]) if isinstance(given, Sequence) and given else None


def span_parts(span: str | None) -> tuple[str, str]:
    """Return the class and the method of a span's id, such as "OpenAI.chat-<uuid>"."""
    owner, dot, method = (span or "").rsplit("-", 5)[0].rpartition(".")
    return (owner, method) if dot else ("", "")


def owner_of(span: str | None) -> str:
    """Return the name of the class whose span this is."""
    return span_parts(span)[0] or "unknown"


def model_of_payload(told: Mapping[str, Any]) -> str:
    """Return the name of a model by what it says of itself, or nothing."""
    for key in ("model_name", "model"):
        name = told.get(key)
        if isinstance(name, str) and name not in ("", "unknown"):
            return name
    return ""


def class_of(told: Mapping[str, Any]) -> str:
    """Return the name of a model's class by what it says of itself."""
    return str(told.get("class_name") or "unknown")


def provider_of(told: Mapping[str, Any]) -> str:
    """Return the provider of a model by what it says of itself, or nothing."""
    name = class_of(told)
    return name.removesuffix("_llm") if name.endswith("_llm") else ""


def says_something(response: Any) -> bool:
    """Return whether a response of a stream brings text, or calls a tool; the first often none."""
    if getattr(response, "delta", None):
        return True
    message = getattr(response, "message", None)
    if message is None:
        return bool(getattr(response, "text", None))
    return bool(message.content or message.additional_kwargs.get("tool_calls"))


def _sum(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokens of two calls; with details of the input, where there are any."""
    counts = ("input_tokens", "output_tokens", "total_tokens")
    summed: dict[str, Any] = {name: one.get(name, 0) + two.get(name, 0) for name in counts}
    read = sum((each.get("input_token_details") or {}).get("cache_read", 0) for each in (one, two))
    return {**summed, "input_token_details": {"cache_read": read}} if read else summed
