"""The metrics of calls: those of the conventions for generative AI, and our own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from toolops_plugins.telemetry import genai_conventions as names
from toolops_plugins.telemetry.events import CallEvent, CallKind, Notice
from toolops_plugins.telemetry.opentelemetry.attributes import Attributes

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter, Meter

__all__ = ["CallMetrics"]


class CallMetrics:
    """Records calls and notices in the instruments of one meter. Safe to use from any threads.

    Args:
        meter: Makes the instruments.
    """

    def __init__(self, meter: Meter) -> None:
        self._operations = meter.create_histogram(
            names.OPERATION_DURATION,
            unit="s",
            description="Duration of an operation of a model, with all its attempts.",
            explicit_bucket_boundaries_advisory=names.SECONDS_BUCKETS,
        )
        self._executions = meter.create_histogram(
            names.EXECUTE_TOOL_DURATION,
            unit="s",
            description="Duration of the execution of a tool, with all its attempts.",
            explicit_bucket_boundaries_advisory=names.SECONDS_BUCKETS,
        )
        self._tokens = meter.create_histogram(
            names.TOKEN_USAGE,
            unit="{token}",
            description="Tokens that an operation of a model has used.",
            explicit_bucket_boundaries_advisory=names.TOKEN_BUCKETS,
        )
        self._calls = meter.create_counter(
            names.CALLS, unit="{call}", description="Calls and background refreshes, by outcome."
        )
        self._durations = meter.create_histogram(
            names.CALL_DURATION,
            unit="s",
            description="Time that a caller waited; of a refresh, that the function took.",
            explicit_bucket_boundaries_advisory=names.CALL_BUCKETS,
        )
        self._starts = meter.create_counter(
            names.STARTS,
            unit="{start}",
            description="Starts of the functions, retries and hedges among them.",
        )
        self._saved_time = meter.create_counter(
            names.SAVED_TIME, unit="s", description="Time that callers were spared."
        )
        self._saved_cost = meter.create_counter(
            names.SAVED_COST,
            unit="{currency}",
            description="Money that was not spent again, in the currency of the prices.",
        )
        self._spent_cost = meter.create_counter(
            names.SPENT_COST,
            unit="{currency}",
            description="Money that was spent, in the currency of the prices.",
        )
        self._saved_tokens = meter.create_counter(
            names.SAVED_TOKENS, unit="{token}", description="Tokens of answers that were reused."
        )
        self._decisions = meter.create_counter(
            names.SEMANTIC_DECISIONS,
            unit="{decision}",
            description="Decisions of the semantic cache, by verdict.",
        )
        self._notices = meter.create_counter(
            names.NOTICES,
            unit="{notice}",
            description="Notices of trouble and of its end.",
        )

    def record_call(self, event: CallEvent, context: Context | None) -> None:
        """Record a call in our own metrics.

        Args:
            event: Its event.
            context: The context with its span, to which exemplars refer. None: the current one.
        """
        tool: Attributes = {"toolops.namespace": event.namespace, "toolops.tool": event.name}
        labels: Attributes = {**tool, "toolops.outcome": event.outcome}
        if event.tier:
            labels["toolops.tier"] = event.tier
        self._calls.add(1, labels, context)
        self._durations.record(max(event.latency, 0.0), labels, context)
        for counter, amount in (
            (self._starts, event.attempts),
            (self._saved_time, event.saved_latency),
            (self._saved_cost, event.saved_price),
            (self._spent_cost, event.price),
        ):
            _add(counter, amount, tool, context)
        for kind in ("input", "output"):
            saved = (event.details or {}).get(f"saved_{kind}_tokens")
            if isinstance(saved, int):
                _add(self._saved_tokens, saved, {**tool, names.TOKEN_TYPE: kind}, context)
        if event.semantic:
            labels = {
                **tool,
                **{
                    f"toolops.semantic.{key}": str(event.semantic[key])
                    for key in ("policy", "verdict")
                    if key in event.semantic
                },
            }
            self._decisions.add(1, labels, context)

    def record_operation(
        self, kind: CallKind, seconds: float, attributes: Attributes, context: Context | None
    ) -> None:
        """Record an operation of a model, or the execution of a tool, in the conventions' metrics.

        Args:
            kind: The call's kind.
            seconds: Its duration.
            attributes: The attributes of its span.
            context: The context with its span, to which exemplars refer. None: the current one.
        """
        seconds = max(seconds, 0.0)
        if kind == "tool":
            self._executions.record(seconds, _select(attributes, _TOOL_LABELS), context)
            return
        labels = _select(attributes, _MODEL_LABELS)
        self._operations.record(seconds, labels, context)
        labels.pop(names.ERROR_TYPE, None)
        for kind_of_token, attribute in _TOKENS:
            count = attributes.get(attribute)
            if isinstance(count, int):
                self._tokens.record(count, {**labels, names.TOKEN_TYPE: kind_of_token}, context)

    def record_notice(self, notice: Notice) -> None:
        """Count a notice."""
        self._notices.add(
            1,
            {
                "toolops.namespace": notice.namespace,
                "toolops.notice.kind": notice.kind,
                "toolops.notice.name": notice.name,
            },
        )


_TOOL_LABELS = (names.TOOL_NAME, names.TOOL_TYPE, names.AGENT_NAME, names.ERROR_TYPE)
_MODEL_LABELS = (
    names.OPERATION_NAME,
    names.PROVIDER_NAME,
    names.REQUEST_MODEL,
    names.RESPONSE_MODEL,
    names.ERROR_TYPE,
)
_TOKENS = (("input", names.USAGE_INPUT_TOKENS), ("output", names.USAGE_OUTPUT_TOKENS))


def _select(attributes: Attributes, wanted: tuple[str, ...]) -> Attributes:
    return {name: attributes[name] for name in wanted if name in attributes}


def _add(counter: Counter, amount: float, attributes: Attributes, context: Context | None) -> None:
    # A price may be any number that a user's function returns, and a counter only grows.
    if amount > 0 and math.isfinite(amount):
        counter.add(amount, attributes, context)
