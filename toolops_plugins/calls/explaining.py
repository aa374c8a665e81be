"""Explanations of calls: what would be decided now, with nothing called, counted or stored."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toolops_plugins.cache.entry import Entry, Tier
from toolops_plugins.cache.memory import Memory
from toolops_plugins.calls.context import current_forced_refresh
from toolops_plugins.calls.plan import Plan
from toolops_plugins.errors import (
    CallTimeout,
    ConfigurationError,
    NotCanonicalError,
    TierError,
)
from toolops_plugins.keys.signature import is_secret_name
from toolops_plugins.policy import Cache
from toolops_plugins.steps import Io, describe_problem, is_caller_error, tier_problem

if TYPE_CHECKING:
    from toolops_plugins.calls.semantic_keyer import SemanticKeyer
    from toolops_plugins.semantic.matches import Detail, Explanation

__all__ = ["explain_call", "is_large_call"]

_LONG = 60
_SCOPE_NOTE = (
    "Its scope is this tool and version, tenant and namespace, and the same other arguments."
)
_EXACT_NOTE = "Calls are compared exactly only; Semantic(on=...) lets other words share an answer."


def is_large_call(plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether the arguments of a call are so large that their key is made in a thread."""
    if plan.keyer is None:
        return False
    try:
        return plan.keyer.key(args, kwargs, large=False) is None
    except NotCanonicalError:
        return False


def explain_call(
    plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Io, Any, Explanation]:
    """Explain how a call would be decided now.

    Args:
        plan: The plan of the function.
        args: The call's positional arguments.
        kwargs: Its keyword arguments.

    Raises:
        ConfigurationError: The function stores no results.
        TypeError: The arguments do not fit the function.
    """
    cache = plan.policy.cache
    if plan.keyer is None or cache is None:
        raise ConfigurationError(
            "cache", f"{plan.name} stores no results, so there is nothing to explain; "
            "give it cache=Cache(...), and semantic=Semantic(on=...) to share them by meaning",
        )  # fmt: skip
    draft = _Draft(plan, args, kwargs)
    if not plan.shared.active:
        return draft.explain("inactive")
    if plan.declare is not None:
        plan.register_from_annotation()
    try:
        key = plan.keyer.key(args, kwargs)
    except NotCanonicalError as error:
        return draft.explain("not_canonical", {"argument": error.kind})
    block = current_forced_refresh(plan.shared)
    if block is not None and key not in block.forgotten:
        return draft.explain("forced_refresh")
    try:
        tags = plan.tagger.tags(args, kwargs)
    except Exception as error:  # noqa: BLE001 - of the user's function; such a call has no key
        return draft.explain("tags_failed", {"error": type(error).__name__})
    for tier in plan.tiers.all:
        entry = yield from _find(draft, tier, key, tags)
        reason = None if entry is None else _reason_to_serve(plan, cache, entry)
        if reason is not None:
            return draft.explain(reason, served=True, tier=tier.label)
    if block is not None:
        return draft.explain("forced_refresh")
    keyer = plan.semantic_keyer
    if keyer is None:
        return draft.explain("not_stored")
    return (yield from _explain_lookup(draft, keyer, key))


class _Draft:
    """The parts of an explanation that are known at once.

    Args:
        plan: The plan of the function.
        args: The call's positional arguments.
        kwargs: Its keyword arguments.
    """

    def __init__(self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.plan, self.args, self.kwargs = plan, args, kwargs
        self.arguments = plan.signature.bind(*args, **kwargs)  # a TypeError is the caller's
        self.details: dict[str, Detail] = {}
        """Trouble on the way, by the label of its tier."""
        keyer = plan.semantic_keyer
        question = "" if keyer is None else keyer.argument(args, kwargs)
        self.question = question if isinstance(question, str) else repr(type(question).__name__)

    def scope(self) -> dict[str, str]:
        """Return the arguments that count beside the question, as far as they may be shown."""
        keyer, cache = self.plan.semantic_keyer, self.plan.policy.cache
        hidden = self.plan.origin.secret if self.plan.origin is not None else ()
        ignored = set(self.plan.origin.ignore) if self.plan.origin is not None else set()
        if keyer is not None:
            ignored.add(keyer.on)
        chosen = None if cache is None else cache.key_params
        self.arguments.apply_defaults()
        return {
            name: "(secret)" if name in hidden or is_secret_name(name) else _show(value)
            for name, value in self.arguments.arguments.items()
            if name not in ignored and (chosen is None or name in chosen)
        }

    def explain(
        self,
        reason: str,
        details: Mapping[str, Detail] | None = None,
        *,
        served: bool = False,
        tier: str = "",
    ) -> Explanation:
        """Return the explanation of a call that is not compared by meaning."""
        from toolops_plugins.semantic.matches import Explanation  # noqa: PLC0415 - rarely needed

        return Explanation(
            self.question,
            self.scope(),
            served,
            reason,
            "exact",
            {**self.details, **(details or {})},
            (),
            self.plan.name,
            tier,
            _EXACT_NOTE if reason == "not_stored" else "",
        )


def _show(value: Any) -> str:
    """Return an argument for people: numbers and short texts, and of all else the type."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str):
        return repr(value if len(value) <= _LONG else f"{value[: _LONG - 3]}...")
    return f"<{type(value).__name__}>"


def _find(
    draft: _Draft, tier: Tier, key: bytes, tags: Sequence[str]
) -> Generator[Io, Any, Entry | None]:
    """Return the entry of a tier, or None; trouble with it is a miss."""
    try:
        if isinstance(tier, Memory):
            return tier.find(key, tags)
        if tier.local:
            found: Entry | None = tier.get(key, tags)[0]
        else:
            found, _ = yield Io(tier.get, tier.aget, key, tags)
    except Exception as error:
        if is_caller_error(error):
            raise
        draft.details[f"{tier.label} failed"] = tier_problem(error)
        return None
    return found


def _reason_to_serve(plan: Plan, cache: Cache, entry: Entry) -> str | None:
    """Return why an entry would be served, or None; as ``serve_entry``, which also refreshes it."""
    if (entry.kind == "stream") is not plan.stream and entry.kind != "error":
        return None
    if entry.kind == "error" and cache.negative is None:
        return None
    now = plan.shared.clock.monotonic()
    fresh = entry.fresh_until > now
    if not fresh and (entry.kind != "value" or now >= entry.fresh_until + plan.lifetimes.stale_ttl):
        return None
    try:
        plan.shared.codec.decode(entry.payload)
    except Exception:  # noqa: BLE001 - a registered type's own methods may raise anything
        return None
    if entry.kind == "error":
        return "cached_error"
    return "exact" if fresh else "stale"


def _explain_lookup(
    draft: _Draft, keyer: SemanticKeyer, key: bytes
) -> Generator[Io, Any, Explanation]:
    """Explain the decision of the semantic cache on a call that is not stored."""
    plan = draft.plan
    try:
        question = keyer.question(key, draft.args, draft.kwargs)
    except NotCanonicalError as error:
        return draft.explain("not_canonical", {"argument": error.kind})
    if question is None:
        if len(draft.question) > keyer.cache.max_text:
            sizes = {"characters": len(draft.question), "max_text": keyer.cache.max_text}
            return draft.explain("too_long", sizes)
        return draft.explain("no_question")
    answers = keyer.cache.answers
    try:
        lookup = yield from answers.lookup(question, keyer.rule, dry=True)
        explanation = answers.explain(lookup, draft.scope())
    except Exception as error:
        if isinstance(error, CallTimeout) and not isinstance(error, TierError):
            raise
        trouble = draft.explain("unavailable", {"error": describe_problem(error)})
        return replace(trouble, policy=keyer.rule.policy)
    note = _SCOPE_NOTE if explanation.reason == "nothing_near" else explanation.note
    return replace(
        explanation, tool=plan.name, note=note, details={**explanation.details, **draft.details}
    )
