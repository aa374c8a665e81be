"""Explanations as text: sentences for reasons, and aligned tables of evidence and candidates."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolops_plugins.semantic.matches import Candidate, Explanation

__all__ = [
    "bounds_of",
    "call_of",
    "decision_of",
    "evidence_of",
    "facts_of",
    "format_detail",
    "known_details",
    "one_line",
    "outcome_of",
    "plain_value",
    "scope_of",
    "select_candidates",
    "sentence",
    "text_of",
    "veto_of",
]

_SENTENCES = {
    "exact": "The answer to exactly this call is stored.",
    "stale": "The stored answer is past its ttl; it is served while a fresh one is fetched.",
    "cached_error": "This call has failed before; the stored error is raised again.",
    "served": "A stored question is near enough, and no guard vetoes its answer.",
    "served_within_bound": "The bound allows the risk that the stored answer is wrong.",
    "served_repeated": "The stored question is the same but for its writing.",
    "served_vouched": "The guards match every word of both questions, and the bound allows it.",
    "below_threshold": "The nearest stored question is less similar than the threshold asks.",
    "vetoed": "A guard vetoes the nearest answer: the stored question asks something else.",
    "nothing_near": "No question with an answer is stored in this scope.",
    "too_risky": "The risk that the nearest answer is wrong is more than the bound allows now.",
    "audited": "The answer could be served, but the call is made to learn if it would be right.",
    "unconfirmed": (
        "Answers like the nearest one were wrong of late, as when right answers change. "
        "One of them must be right again first."
    ),
    "cold": "Too few calls have been made to tell right candidates from wrong ones.",
    "judge": "The judge says no to the stored answer.",
    "invalidated": "The question was invalidated after the nearest answer was stored.",
    "unreadable": "The stored answer cannot be decoded in this process.",
    "unavailable": "The semantic index or its embedder is in trouble, so calls go on without it.",
    "too_long": "The question is longer than max_text, so it is compared exactly only.",
    "no_question": "There is no text to compare by meaning, so the call is compared exactly only.",
    "not_stored": "The answer to exactly this call is not stored.",
    "not_canonical": "An argument has no canonical form, so the call goes past the cache.",
    "tags_failed": "The tags of the call cannot be made, so the call goes past the cache.",
    "forced_refresh": "Calls in this block of force_refresh() are made anew.",
    "inactive": "The runtime is not active, so every call goes straight to its function.",
}
"""Other parts may add reasons; a reason without a sentence is shown as it is."""

_OUTCOMES = {
    "served": "served",
    "exact": "served",
    "below_threshold": "too far",
    "too_risky": "too risky",
    "nothing_near": "near",
}

_PROMINENT = (
    "threshold",
    "alike_threshold",
    "max_error",
    "spent",
    "allowed",
    "risk",
    "z",
    "theta",
    "rho",
    "audited",
    "judge_asked",
    "labels_missing",
)
"""Details that everybody wants to see; other numbers are features of the candidate."""

_SHARES = frozenset({"max_error", "risk", "doubted", "unread", "vouched"})
_UNITS = {
    "spent": "expected wrong answers so far",
    "allowed": "expected wrong answers by now",
    "labels_missing": "calls with a near question, to learn from",
}
_SAID = frozenset({"basis"})
"""Details that the sentence says."""

_SHOWN = 5
_LONG = 72
_ERROR = 800
_WIDTH = 96


# What is said ------------------------------------------------------------------------------------


def sentence(explanation: Explanation) -> str:
    """Return the reason of an explanation as a sentence."""
    reason = explanation.reason
    if reason == "served" and explanation.policy == "bounded":
        reason = f"served_{explanation.details.get('basis', 'within_bound')}"
    said = _SENTENCES.get(reason, explanation.reason)
    missing = explanation.details.get("labels_missing")
    if reason == "cold" and missing:
        said = f"{said[:-1]}; {missing} more are needed at least."
    return said


def outcome_of(candidate: Candidate) -> str:
    """Return the outcome of a candidate for people."""
    return _OUTCOMES.get(candidate.outcome, candidate.outcome.replace("_", " "))


def veto_of(candidate: Candidate) -> str:
    """Return the first veto on a candidate, or "" where there is none or it is too far anyway."""
    veto = None if candidate.outcome == "below_threshold" else candidate.veto
    return "" if veto is None else one_line(f"{veto.guard}: {veto.reason}")


def decision_of(explanation: Explanation) -> str:
    """Return the policy and its reason, once where they are one word."""
    return ": ".join(dict.fromkeys((explanation.policy, explanation.reason)))


def call_of(explanation: Explanation) -> str:
    """Return the question of an explanation, or the arguments of a call without one."""
    if explanation.question or not explanation.tool:
        return repr(one_line(explanation.question, _LONG))
    return f"({scope_of(explanation)})"


def scope_of(explanation: Explanation) -> str:
    """Return the scope of an explanation, or "" for an empty one."""
    scope = explanation.scope
    if isinstance(scope, Mapping) and explanation.tool:
        return one_line(", ".join(f"{name}={shown}" for name, shown in scope.items()), 2 * _LONG)
    if scope is None or (isinstance(scope, str) and not scope):
        return ""
    return one_line(repr(scope), _LONG)


def facts_of(explanation: Explanation) -> list[tuple[str, str]]:
    """Return the facts that everybody wants to see, by name."""
    facts = []
    if explanation.question and (scope := scope_of(explanation)):
        facts.append(("scope", scope))
    if explanation.tier:
        facts.append(("tier", explanation.tier))
    details = known_details(explanation)
    facts += [(name, format_detail(name, details[name])) for name in _PROMINENT if name in details]
    facts += [
        (name, format_detail(name, value))
        for name, value in details.items()
        if name not in _PROMINENT and name not in _SAID and not _is_feature(value)
    ]
    return facts


def known_details(explanation: Explanation) -> dict[str, Any]:
    """Return the details without those that stand for "not known yet"."""
    details = dict(explanation.details)
    if details.get("theta") == math.inf:
        del details["theta"]
        if "z" not in details and details.get("risk") == 1.0:
            del details["risk"]
    return details


def evidence_of(explanation: Explanation) -> list[tuple[str, str]]:
    """Return the features of the candidate, by name."""
    return [
        (name, format_detail(name, value))
        for name, value in explanation.details.items()
        if name not in _PROMINENT and _is_feature(value)
    ]


def _is_feature(value: Any) -> bool:
    return isinstance(value, float)


def bounds_of(explanation: Explanation) -> list[tuple[str, float]]:
    """Return the thresholds of similarity, by name."""
    found = []
    for name in ("threshold", "alike_threshold"):
        value = explanation.details.get(name)
        if isinstance(value, int | float) and 0.0 <= value <= 1.0:
            found.append((name, float(value)))
    return found


def select_candidates(explanation: Explanation, most: int) -> Sequence[Candidate]:
    """Return the nearest candidates, and whichever one the decision is about."""
    candidates = explanation.candidates
    return [
        each
        for number, each in enumerate(candidates)
        if number < most or each.outcome == explanation.reason == "served"
    ]


# How it is said ----------------------------------------------------------------------------------


def format_detail(name: str, value: Any) -> str:
    """Return a detail for people: shares in per cent, and no more digits than are meant."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        if name in _UNITS:
            return f"{value:.3g} {_UNITS[name]}"
        return f"{100 * value:.3g} %" if name in _SHARES else f"{value:.4g}"
    if name in _UNITS:
        return f"{value:,} {_UNITS[name]}"
    return one_line(f"{value:,}" if isinstance(value, int) else str(value), _ERROR)


def one_line(text: str, most: int = 10_000) -> str:
    """Return a text without line breaks and control characters, cut where it is too long."""
    if len(text) > most:
        text = f"{text[: most - 3]}..."
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def plain_value(value: Any) -> Any:
    """Return a value in types that JSON knows; others as text, and as None what is not finite."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(each) for each in value]
    return one_line(repr(value), 200)


def text_of(explanation: Explanation) -> str:
    """Return an explanation as text."""
    tool = one_line(explanation.tool)
    if tool and explanation.question:
        tool += ": "
    verdict = "a hit" if explanation.served else "a miss"
    lines = [
        f"{tool}{call_of(explanation)}: {verdict} ({decision_of(explanation)})",
        *_wrap(explanation.because),
        *_wrap(explanation.note),
    ]
    facts = facts_of(explanation)
    evidence = ", ".join(f"{name} {value}" for name, value in evidence_of(explanation))
    if evidence:
        facts.append(("evidence", evidence))
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        lines += _wrap(f"{name:<{width}}  {value}", hanging=width + 2)
    lines += _candidate_lines(explanation)
    return "\n".join(lines)


def _wrap(text: str, hanging: int = 0) -> list[str]:
    return textwrap.wrap(
        one_line(text), _WIDTH, initial_indent="  ", subsequent_indent=" " * (2 + hanging),
        break_long_words=False, break_on_hyphens=False, drop_whitespace=True,
        replace_whitespace=False,
    )  # fmt: skip


def _candidate_lines(explanation: Explanation) -> Iterable[str]:
    candidates = select_candidates(explanation, _SHOWN)
    width = max((len(outcome_of(each)) for each in candidates), default=0)
    digits = max((len(f"{each.similarity:.3f}") for each in candidates), default=0)
    for each in candidates:
        # The question stands last, since characters of some scripts are two columns wide.
        stored = "(not kept)" if each.question is None else one_line(each.question, _LONG)
        yield f"  {each.similarity:>{digits}.3f}  {outcome_of(each):<{width}}  {stored}"
        veto = veto_of(each)
        if veto:
            yield f"{'':{4 + digits + width}}  {veto}"
    more = len(explanation.candidates) - len(candidates)
    if more > 0:
        yield f"  ... and {more} more"
