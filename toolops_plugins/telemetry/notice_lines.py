"""Texts of the log lines about notices: what happened, to what, and what to do about it.

A new kind of notice gets a row in ``_LINES``, or is added to ``SILENT``; a new reason of a "bypass"
a row in ``BYPASSES``; and both a row in ``docs/operations/logging.md``. A text names tiers, tools,
parameters, breakers and types, and never a value.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import NamedTuple

from toolops_plugins.keys.encoding_failures import READ_ONCE, TOO_DEEP

__all__ = [
    "BYPASSES",
    "KINDS",
    "SILENT",
    "NoticeLine",
    "cause_of",
    "ends_trouble",
    "line_of",
    "line_values",
]

_CACHE = "toolops_plugins.cache"
_SEMANTIC = "toolops_plugins.semantic"
_RESILIENCE = "toolops_plugins.resilience"
_TELEMETRY = "toolops_plugins.telemetry"
_LONGEST = 600
"""Characters of a name or detail in a line."""


class NoticeLine(NamedTuple):
    """A line of the log.

    Args:
        logger: The logger's name.
        text: The line, with places such as ``%(name)r``. One that says that trouble has ended has
            also some for the ``duration`` of the trouble and the number of ``failures``.
    """

    logger: str
    text: str


_LINES = {
    "tier_failed": NoticeLine(
        _CACHE, "The cache tier %(name)r failed (%(detail)s); calls go on without it"
    ),
    "tier_recovered": NoticeLine(
        _CACHE,
        "The cache tier %(name)r works again, after %(duration)s; calls that went on without it:"
        " %(failures)d",
    ),
    "ledger_failed": NoticeLine(
        _TELEMETRY,
        "The ledger %(name)r failed (%(detail)s); calls go on, and it is tried again",
    ),
    "ledger_recovered": NoticeLine(
        _TELEMETRY,
        "The ledger %(name)r works again, after %(duration)s; failed attempts: %(failures)d",
    ),
    "unknown_format": NoticeLine(
        _CACHE, "Stored bytes of %(name)r cannot be read (%(detail)s) and count as a miss"
    ),
    "tampered": NoticeLine(
        _CACHE,
        "Stored bytes of %(name)r are not signed with this runtime's secret (%(detail)s) and count"
        " as a miss",
    ),
    "not_encodable": NoticeLine(
        _CACHE, "A result or error of %(name)r is not kept, since no codec takes %(detail)s"
    ),
    "too_large": NoticeLine(
        _CACHE,
        "A result of %(name)r is not kept, since it is a %(detail)s;"
        " ToolOps(max_value_bytes=...) raises the bound",
    ),
    "breaker": NoticeLine(_RESILIENCE, "The circuit breaker %(name)r changed (%(detail)s)"),
    "bypass": NoticeLine(_CACHE, "Calls of %(name)r go past the cache (%(detail)s)"),
    "refresh_failed": NoticeLine(
        _CACHE,
        "The refresh of %(name)r in the background failed (%(detail)s); its callers had the stored"
        " answer",
    ),
    "threads_full": NoticeLine(
        _RESILIENCE,
        "Calls of %(name)r wait for a thread: %(detail)s; ToolOps(max_threads=...) makes more",
    ),
    "flights_full": NoticeLine(
        _RESILIENCE,
        "Equal calls of %(name)r are not joined: %(detail)s",
    ),
    "sink_failed": NoticeLine(
        _TELEMETRY, "The sink %(name)r raised %(detail)s, and missed an event; calls go on"
    ),
    "stage_failed": NoticeLine(
        _CACHE,
        "A part of the cache failed in a call of %(name)r (%(detail)s), which went on without it",
    ),
}
SILENT = frozenset({"invalidated", "folder_in_use"})
"""Kinds of notices that make no line: they are no trouble, or the index has written one itself."""
KINDS = frozenset(_LINES)
"""Kinds of notices that make a line."""
_ENDED = {"tier_recovered": "tier_failed", "ledger_recovered": "ledger_failed"}

_REGISTER = "; register its type with ops.codec.register(...), or return plain data"
_TAKE_OUT = "; return plain data made from it, such as a list, a dict or a text"
_PAST = "Calls of %(name)r go past the cache (%(detail)s): "
_EXACTLY = "Questions to %(name)r are compared exactly only (%(detail)s): "

BYPASSES = {
    "not_canonical": _PAST,
    "scope_not_canonical": _EXACTLY,
    "key_failed": _PAST
    + "making their key raised%(error)s; see key=, tenant= and what the arguments define",
    "tags_failed": _PAST + "making their tags raised%(error)s; see tags=",
    "when_failed": "A result of %(name)r is not kept (%(detail)s): Cache(when=...) raised%(error)s",
    "price_failed": "A call of %(name)r counts as free (%(detail)s): price= raised%(error)s",
    "details_failed": "Events of %(name)r lack details of the model or the agent (%(detail)s):"
    " reading them raised%(error)s; please report it",
    "price_invalid": "A call of %(name)r counts as free (%(detail)s): price= gave%(error)s, which"
    " is no amount of money",
    "price_unknown": "Calls of the model %(name)r count as free (%(detail)s): no price of it is"
    ' known; the extra "prices" has those of most providers, and ModelPrices({%(name)r: (2.5,'
    " 10.0)}) takes your own",
    "name_taken": "Several functions are called %(name)r (%(detail)s): each but the first has a"
    " cache of its own, in this process; give name= to those that may share answers",
    "process_local": "Answers of %(name)r are shared within this process only (%(detail)s):"
    "%(error)s is a function or another object that only this process knows; give it the attribute"
    " __toolops_key__, such as the name of an account, to share them with others",
    "address_in_model": _PAST
    + "the model's parameters hold an object that its text names by address; use guard_llm() or"
    " ToolOpsMiddleware, which see the model itself",
    "schema_version_missing": _PAST
    + "of the schema of a structured output only the name is known; give"
    " ToolOpsCache(schema_version=...), and change it with the schema",
    "not_encodable": "A value of %(name)r is not kept (%(detail)s): the serializer does not bring"
    " it back as it was; give serde= with an allowlist of its classes",
    "unreadable": "A stored value of %(name)r cannot be read (%(detail)s) and counts as a miss",
    "model_unknown": _PAST
    + "no embedding model is known to ask for it; see ToolOpsKVStore, or use guard_embedding()",
    "end_untold": "A stream of %(name)r is not kept (%(detail)s): it ended without a finish reason,"
    " so it may have been cut; let a model of your own say one with its last chunk, such as"
    ' {"finish_reason": "stop"} in the metadata',
    "call_streamed": "A tool call of %(name)r is not kept (%(detail)s): it was made of a stream, of"
    " which a cache does not see whether all arguments came; use guard_llm() or ToolOpsMiddleware,"
    " which see the stream",
    "request_changed": "Results of %(name)r are not kept (%(detail)s): middleware inside of"
    " ToolOpsMiddleware changes what is asked; put ToolOpsMiddleware last in the list",
    "image_unknown": _PAST + "an image is neither a file nor a BytesIO",
    "vector_unsound": "A vector of %(name)r is not kept (%(detail)s): it is empty, all zeros, or"
    " not of finite numbers, or has another length than its settings ask for or its others have;"
    " the caller has it as the embedder gave it",
    "settings_changed": "Vectors of %(name)r are not kept (%(detail)s): the embedder's settings"
    " changed while it made them",
}
"""Lines of notices of kind "bypass", by their reason; ``%(error)s`` may be empty."""

_OPEN = "The circuit breaker %(name)r opened (%(detail)s); its calls are rejected"
_CLOSED = (
    "The circuit breaker %(name)r closed (%(detail)s), after %(duration)s; its calls are made"
    " again; rejected calls: %(calls)d"
)
_NUMBER = re.compile(r"\[\d+\]")


def cause_of(kind: str, name: str, detail: str, place: str) -> Hashable:
    """Return the cause of a notice, about which at most one line a minute is written.

    Args:
        kind: The notice's kind. That of a recovery has the cause of the trouble that it ends.
        name: The notice's name.
        detail: The notice's detail.
        place: The notice's place.
    """
    if kind in ("bypass", "stage_failed"):
        return kind, name, detail, place
    if kind == "not_encodable":
        # Results of different lengths fail at different indexes.
        return kind, name, _NUMBER.sub("[]", detail)
    return _ENDED.get(kind, kind), name


def ends_trouble(kind: str, detail: str) -> bool | None:
    """Return whether a notice says that trouble has ended; None: it makes no line.

    Args:
        kind: The notice's kind.
        detail: The notice's detail.
    """
    if kind != "breaker":
        return None if kind in SILENT else kind in _ENDED
    state = detail.rpartition(" -> ")[2]
    # A breaker that turns half-open ends nothing yet.
    return None if state == "half_open" else state not in ("open", "forced_open")


def line_of(kind: str, name: str, detail: str, error: str, place: str) -> NoticeLine:
    """Return the line of a notice that makes one.

    Args:
        kind: The notice's kind; one without a row in the table gets a plain line.
        name: The notice's name.
        detail: The notice's detail.
        error: The notice's error.
        place: The notice's place.
    """
    line = _LINES.get(kind)
    if line is None:
        text = f"{kind.replace('_', ' ')}: %(name)r (%(detail)s)"
        return NoticeLine("toolops_plugins", text.replace("%", "%%", kind.count("%")))
    if kind == "breaker":
        return _breaker_line(line.logger, detail, error)
    text = line.text
    if name == "semantic" and line.logger == _CACHE:  # the label of the semantic cache
        text = text.replace("cache tier %(name)r", "semantic cache")
        if kind == "stage_failed":
            text = "A part of the semantic cache failed (%(detail)s); its call went on without it"
        return line._replace(logger=_SEMANTIC, text=text)
    if kind == "not_encodable" and "codec.register_error(" not in detail:
        once = detail.endswith(READ_ONCE)
        text += _TAKE_OUT if once else "" if TOO_DEEP in detail else _REGISTER
    if kind == "flights_full" and "calls" in detail:
        text += "; ToolOps(max_flights=...) makes more"
    if kind == "bypass":
        text = BYPASSES.get(detail, text)
        if detail.endswith("not_canonical"):
            text += _canonical_text(error, place)
    return line._replace(text=text)


def line_values(
    name: str, detail: str, namespace: str, error: str, calls: int, place: str
) -> dict[str, object]:
    """Return the values of a line's places, each on one line and of a bounded length."""
    return {
        "name": name[:_LONGEST],
        "detail": _plain(detail),
        "namespace": namespace[:_LONGEST],
        "error": error and f" {_plain(error)}",
        "kind": _plain(error),
        "calls": calls,
        "place": place[:_LONGEST],
        "parameter": place.lstrip("*")[:_LONGEST],
    }


def _plain(text: str) -> str:
    return repr(text[:_LONGEST])[1:-1]


def _breaker_line(logger: str, detail: str, error: str) -> NoticeLine:
    if ends_trouble("breaker", detail):
        return NoticeLine(logger, _CLOSED)
    if detail.endswith("forced_open"):
        return NoticeLine(logger, _OPEN + " until it is reset")
    return NoticeLine(logger, _OPEN + ("; the last failure was%(error)s" if error else ""))


def _canonical_text(kind: str, place: str) -> str:
    """Return what has no canonical form, and the ways out that fit it.

    Args:
        kind: The type that has none, with " in " and the field of a tool or model that holds it; or
            "".
        place: The parameter; "*" or "**" before the name of one that takes the rest; "self." for
            the object of a method; "model." for a guarded model; "key=" or "tenant=" for what these
            return; "" if unknown.
    """
    kind, _, field = kind.partition(" in ")
    # A kind in several words is no type, so that nothing can be done to its class.
    is_type = " " not in kind
    value = "an object of type %(kind)s" if is_type else "a %(kind)s"
    holds = f"is or holds {value}, which has no canonical form" if kind else _NO_FORM
    if place == "model.":
        advice = f"; register its type with ops.canon.register(...), or {_METHOD}"
        return f"the model, or what it is asked, {holds}{advice if is_type else ''}"
    if field:
        advice = f"; register its type with ops.canon.register(...), or {_METHOD}"
        return f"it holds {value}, which has no canonical form{advice if is_type else ''}"
    if place == "self.":
        return f"the object that they are methods of {holds}; {_METHOD}"
    if place in ("key=", "tenant="):
        return f"what %(place)s returned {holds}; return texts, numbers, or lists of them"
    form = f", register its type with ops.canon.register(...), or {_METHOD}" if is_type else ""
    if not place:
        return f"an argument {holds}; leave it out with ignore=[...]{form}"
    where = "an argument of %(place)s" if place[0] == "*" else "the argument %(place)r"
    return f"{where} {holds}; leave it out with ignore=[%(parameter)r]{form}"


_NO_FORM = "has no canonical form"
_METHOD = "give its class a __toolops_key__() method"
