"""Names, help texts and labels of the metrics, which the sink and the ledger's collector share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from toolops_plugins import check
from toolops_plugins.errors import ConfigurationError

__all__ = [
    "BREAKER_STATE",
    "BUCKETS",
    "CALLS",
    "CALL_SECONDS",
    "DROPPED",
    "ENTRIES",
    "FUNCTION_SECONDS",
    "LEDGER_UP",
    "LIMIT_WAIT",
    "NOTICES",
    "REASONS",
    "RETRIES",
    "SAVED_COST",
    "SAVED_SECONDS",
    "SEMANTIC_DECISIONS",
    "SEMANTIC_ENTRIES",
    "SEMANTIC_ERROR",
    "SPENT_COST",
    "STATES",
    "TIER_UP",
    "TOKENS",
    "Family",
    "check_buckets",
]

STATES: Final = ("closed", "open", "half_open", "forced_open", "forced_closed", "metrics_only")
"""The states of a breaker; each is a series of its own, which is 0 or 1."""

BUCKETS: Final = (
    0.000001, 0.000005, 0.000025, 0.0001, 0.0005, 0.0025, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
)  # fmt: skip
"""Upper bounds of the histograms in seconds: from a hit in memory to a model that thinks."""


class Family(NamedTuple):
    """A metric: its name, its help text, and the names of its labels."""

    name: str
    text: str
    labels: tuple[str, ...]


_TOOL = ("namespace", "tool")

CALLS = Family(
    "toolops_calls_total",
    "Calls by outcome and answering tier; refreshes in the background are no calls.",
    (*_TOOL, "outcome", "tier"),
)
CALL_SECONDS = Family(
    "toolops_call_duration_seconds",
    "Seconds that callers waited; of a refresh, that the function took.",
    (*_TOOL, "outcome"),
)
FUNCTION_SECONDS = Family(
    "toolops_function_duration_seconds",
    "Seconds that the function worked for a call, without waits between its attempts.",
    _TOOL,
)
SAVED_SECONDS = Family(
    "toolops_saved_seconds_total", "Seconds that callers did not have to wait.", _TOOL
)
SAVED_COST = Family(
    "toolops_saved_cost_total", "Money that was not spent again, as prices state it.", _TOOL
)
SPENT_COST = Family("toolops_spent_cost_total", "Money that was spent, as prices state it.", _TOOL)
TOKENS = Family(
    "toolops_tokens_total",
    "Tokens of models: input, output, cache_read (the provider's cache), saved_input and"
    " saved_output (not sent or made again).",
    (*_TOOL, "model", "type"),
)
RETRIES = Family("toolops_retries_total", "Attempts after a failed one.", _TOOL)
REASONS = Family(
    "toolops_call_reasons_total",
    "Calls by the reason of a bypass, of a rejection, or of a result that is not kept.",
    (*_TOOL, "reason"),
)
LIMIT_WAIT = Family(
    "toolops_limit_wait_seconds", "Seconds that attempts waited for their rate limit.", _TOOL
)
SEMANTIC_DECISIONS = Family(
    "toolops_semantic_decisions_total",
    "Decisions of the semantic cache by verdict: served, exact, joined, or the reason to refuse.",
    (*_TOOL, "verdict"),
)
SEMANTIC_ERROR = Family(
    "toolops_semantic_error_ratio",
    "Expected wrong answers of the semantic cache, as a share of those that its bound allows.",
    ("namespace", "bound"),
)
NOTICES = Family(
    "toolops_notices_total",
    "Notices by kind and by the part concerned.",
    ("namespace", "kind", "name"),
)
BREAKER_STATE = Family(
    "toolops_breaker_state",
    "1 for the present state of a circuit breaker, 0 for the others; of several processes, 1 for"
    " each state that any of them is in.",
    ("namespace", "breaker", "state"),
)
TIER_UP = Family(
    "toolops_tier_up",
    "1 if the last operation of a cache tier succeeded, 0 if it failed in any process.",
    ("namespace", "tier"),
)
ENTRIES = Family(
    "toolops_entries", "Entries in memory tiers, of all processes together.", ("namespace", "tier")
)
SEMANTIC_ENTRIES = Family(
    "toolops_semantic_entries",
    "Answers in the semantic index; of several processes, of the one that knows most.",
    ("namespace",),
)
DROPPED = Family(
    "toolops_dropped_events_total",
    "Events and notices that a sink failed to take.",
    ("namespace", "sink"),
)

LEDGER_UP = Family(
    "toolops_ledger_up", "1 if `toolops serve-metrics` could read the ledger, 0 if not.", ()
)


def check_buckets(buckets: Iterable[float]) -> tuple[float, ...]:
    """Return the upper bounds of a histogram as floats, the last one infinite.

    Raises:
        ConfigurationError: They are no rising numbers.
    """
    if isinstance(buckets, str | bytes) or not isinstance(buckets, Iterable):
        raise ConfigurationError("buckets", f"must be a list of numbers, not {buckets!r}")
    bounds = [bound for bound in buckets if bound != math.inf]
    found = [check.amount("buckets", bound) for bound in bounds]
    if not found or found != sorted(set(found)):
        raise ConfigurationError("buckets", f"must be one or more rising numbers, not {bounds!r}")
    return (*found, math.inf)
