"""The calls under way that LlamaIndex's callbacks and instrumentation tell of.

Both systems tell of the begin and the end of most calls, in any thread or task, and at times of
only one of the two. So a call under way is noted under what its end will tell - the id of its
event or of its span - at most so many, and what never ends is forgotten when newer ones need the
place.

What is around a call says three things:

- A model's endpoint that is called by another endpoint is a part of that call: ``achat`` of a
  ``CustomLLM`` calls ``chat``, which calls ``complete``, and each has events of its own.
- A call that the other of the two systems counts already, for the same runtime.
- A callback that a component fires twice around one call, as routers of retrievers do.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Literal, TypeAlias

from llama_index.callbacks.toolops._event_dedup import is_inside
from llama_index.callbacks.toolops._event_run import (
    MODELS,
    Call,
    Kind,
    calls_around,
    class_of,
    model_of_payload,
    provider_of,
    says_something,
    span_parts,
)
from llama_index.callbacks.toolops.prices import ModelPrices, model_of, usage_of
from toolops_plugins import ToolOps
from toolops_plugins.adapters.internals import check, fork_safe
from toolops_plugins.adapters.options import runtime_of
from toolops_plugins.adapters.run_events import Prices as AnyPrices
from toolops_plugins.adapters.run_events import RunReporter
from toolops_plugins.prices.tables import TokenPrice

__all__ = ["Calls", "Prices"]

Prices: TypeAlias = Mapping[str, TokenPrice | tuple[float, float]] | AnyPrices

_INTERRUPT = "WaitingForEvent"
"""What a step raises to wait for an event, of the workflows package since its version 2.9."""


class Calls:
    """The calls under way that one handler, or one pair of handlers, tells a runtime of.

    Safe to use from any threads, event loops, finalizers and forked children.

    Args:
        ops: The runtime. None: the default one.
        prices: Prices of models.
        max_calls: Calls that may be under way at once; of more, the oldest are not counted.
        yields: Whether it leaves to others what they count for the same runtime. For callbacks,
            since components fire their events first, and those never lose an end.

    Raises:
        ConfigurationError: A value is wrong.
    """

    def __init__(
        self, ops: ToolOps | None, prices: Prices | None, max_calls: int, *, yields: bool
    ) -> None:
        self.ops = runtime_of(ops)
        if isinstance(prices, Mapping):
            prices = ModelPrices(prices)
        self._reporter = RunReporter(self.ops, prices)
        self._max = check.count("max_calls", max_calls)
        self._yields = yields
        # Reentrant, since a stream may be collected, and so be forgotten, while its thread is here.
        self._lock = fork_safe(self, threading.RLock())
        self._open: OrderedDict[Hashable, deque[Call]] = OrderedDict()
        self._number = 0
        self._lazy: dict[Hashable, Call] = {}

    def __len__(self) -> int:
        """Return how many calls are under way."""
        return self._number

    # -- begins ----------------------------------------------------------------------------------

    def model(
        self,
        key: Hashable,
        kind: Literal["chat", "llm"],
        told: Mapping[str, Any],
        span: str | None,
        given: Hashable,
    ) -> None:
        """Note that an endpoint of a model begins.

        Args:
            key: What its end will tell.
            kind: Whether it takes messages or a prompt.
            told: What the model says of itself.
            span: The active span, which is the endpoint's own.
            given: What tells the messages or the prompt from others, as far as it can be told.
        """
        owner, method = span_parts(span)
        model = model_of_payload(told)
        call = Call(self, kind, model or owner or class_of(told), model, span)
        call.provider = provider_of(told)
        for other in calls_around(self.ops):
            if not other.is_model:
                continue
            if other.calls is not self and other.span == span is not None:
                return  # told by the other system, or by another handler of this one
            if other.inside and other.depth < call.depth:
                if other.calls is not self:
                    return  # a part of what the other one tells
                call.part_of = other
                break
        if call.part_of is None and method:
            # Asynchronous streams of a CustomLLM call its synchronous ones when first read.
            call.part_of = self._lazy.pop((owner, method, given), None)
        call.silent = call.part_of is not None or is_inside("llm")
        if method.startswith("astream_"):
            call.lazy = (owner, method[1:], given)
        self._note(key, call)

    def begins(
        self,
        key: Hashable,
        kind: Kind,
        name: str,
        span: str | None,
        *,
        model: str = "",
        method: str = "",
    ) -> Call | None:
        """Note that anything else begins; returns None if it is counted already."""
        call = Call(self, kind, name, model, span)
        call.method = method
        for other in calls_around(self.ops):
            if self._yields and other.kind == kind and other.calls is not self:
                return None
        if kind == "embedding":
            call.silent = is_inside("embedding")
        self._note(key, call)
        return call

    def repeats(self, kind: Kind, name: str) -> bool:
        """Return whether the innermost call of this kind is by the same component."""
        for other in calls_around(self.ops):
            if other.kind == kind:
                return other.calls is self and other.name == f"{kind}:{name}"
        return False

    def repeats_tool(self, name: str, method: str) -> bool:
        """Return whether this is but how a tool under way works: ``acall`` may call ``call``.

        The same method once more is a tool that calls itself.
        """
        other = next(calls_around(self.ops), None)
        if other is None or other.calls is not self:
            return False
        return other.name == f"tool:{name}" and other.method != method

    def embedding(self, key: Hashable, told: Mapping[str, Any], span: str | None) -> Call | None:
        """Note that an embedding begins."""
        model = model_of_payload(told)
        name = model or span_parts(span)[0] or class_of(told)
        return self.begins(key, "embedding", name, span, model=model)

    def of(self, key: Hashable, kinds: tuple[str, ...]) -> Call | None:
        """Return the oldest open call of some kinds under a key."""
        if key not in self._open:
            return None
        with self._lock:
            return next((call for call in self._open.get(key, ()) if call.kind in kinds), None)

    # -- what happens meanwhile ------------------------------------------------------------------

    def add_progress(self, key: Hashable, response: Any) -> None:
        """Note that a stream has brought something."""
        call = self.of(key, MODELS)
        if call is None:
            return
        call.read = True
        if call.first is None and says_something(response):
            call.first = self.ops.clock.monotonic()

    def end_span(self, span: str, result: Any) -> None:
        """Note that a span has ended well: what is still open there, but a stream, has too."""
        if span not in self._open:
            return
        is_stream = isinstance(result, GeneratorType | AsyncGeneratorType)
        with self._lock:
            for call in tuple(self._open.get(span, ())):
                if call.is_model and is_stream:
                    call.inside = False
                    call.stream = weakref.ref(result, self._when_collected(span, call))
                else:
                    self.end(span, (call.kind,))

    def forget(self) -> None:
        """Forget what is under way, since nobody will tell of its end."""
        with self._lock:
            for key, calls in tuple(self._open.items()):
                for call in tuple(calls):
                    self._remove(key, call)

    def _when_collected(self, key: Hashable, call: Call) -> Any:
        """Return what forgets a call once its stream, which tells no end if never read, is gone."""

        def forget_stream(_: Any) -> None:
            if call.read:
                self.fail(key, MODELS, GeneratorExit())
            else:
                self._take(key, MODELS)  # no provider was asked: integrations ask when first read

        return forget_stream

    # -- ends ------------------------------------------------------------------------------------

    def end(self, key: Hashable, kinds: tuple[str, ...], response: Any = None) -> None:
        """Count a call that has ended well."""
        call = self._take(key, kinds)
        if call is None:
            return
        if not call.is_model:
            self._tell(call, "bypass", self._describe(call))
            return
        # What answers with an object, as a StructuredLLM does, leaves the tokens to its parts.
        usage = usage_of(response) or call.usage
        names = [call.model, *model_of(response), *call.names]
        if call.part_of is not None:
            call.part_of.take(usage, names)
        details = self._reporter.details(call, names, usage)
        self._tell(call, "bypass", details, price=self._reporter.money(call, names, usage))

    def cancel(self, span: str) -> None:
        """Count a workflow that its user has cancelled."""
        call = self._take(span, ("agent", "workflow"))
        if call is not None:
            self._tell(call, "bypass", reason="cancelled")

    def end_with_error(self, key: Hashable, kinds: tuple[str, ...]) -> None:
        """Count a call whose failure the component has told, instead of raising it."""
        call = self._take(key, kinds)
        if call is not None:
            self._tell(call, "error", reason="handled")

    def fail(self, key: Hashable, kinds: tuple[str, ...], error: BaseException | None) -> None:
        """Count a call that has failed, or whose stream its reader has left."""
        call = self._take(key, kinds)
        if call is None:
            return
        details = self._describe(call)
        if isinstance(error, GeneratorExit):
            self._tell(call, "bypass", details, reason="left")
        elif type(error).__name__ == _INTERRUPT:
            self._tell(call, "bypass", details, reason="interrupted")
        else:
            name = "Exception" if error is None else type(error).__name__
            self._tell(call, "error", details, error=name)

    def drop_span(self, span: str, error: BaseException | None) -> None:
        """Count what is open in a span that has failed."""
        with self._lock:
            for call in tuple(self._open.get(span, ())):
                self.fail(span, (call.kind,), error)

    # -- what they share -------------------------------------------------------------------------

    def _note(self, key: Hashable, call: Call) -> None:
        call.enter()
        with self._lock:
            self._open.setdefault(key, deque()).append(call)
            self._number += 1
            if call.lazy is not None:
                self._lazy[call.lazy] = call
            while self._number > self._max:
                oldest, calls = next(iter(self._open.items()))
                self._remove(oldest, calls[0])

    def _take(self, key: Hashable, kinds: tuple[str, ...]) -> Call | None:
        with self._lock:
            call = self.of(key, kinds)
            if call is not None:
                self._remove(key, call)
            return call

    def _remove(self, key: Hashable, call: Call) -> None:
        call.open = False
        call.stream = None
        self._number -= 1
        calls = self._open[key]
        calls.remove(call)
        if not calls:
            del self._open[key]
        if self._lazy.get(call.lazy) is call:
            del self._lazy[call.lazy]

    def _describe(self, call: Call) -> Any:
        return self._reporter.details(call, [call.model])

    def _tell(self, call: Call, *args: Any, **options: Any) -> None:
        if not call.silent:
            self._reporter.tell(call, *args, **options)
