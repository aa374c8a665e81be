"""Small words that choose what a request is about (English): all, both, only, any, some, today.

They are marked in the list of words, and compared as words that no other may replace. Where they
choose nothing ("after all", "hi everyone", "is there any fee") they stay unmarked.
"""

from __future__ import annotations

from toolops_plugins.semantic.guards.function_words import AUXILIARIES
from toolops_plugins.semantic.guards.lexicon import word_list
from toolops_plugins.semantic.guards.question_kinds import MEASURED

__all__ = ["MARK", "PRESENT", "mark_scope"]

MARK = "q:"
"""The beginning of a marked word."""

PRESENT = frozenset((MARK + "now", MARK + "today"))
"""Marked words that name a time, and choose nothing of what stands beside them."""

_ALL = frozenset(word_list("all every each everything everyone everybody"))
_SCOPES = _ALL | frozenset(word_list("any both but only solely some"))
_PRESENT = frozenset(word_list("now currently presently today"))
_TRIGGERS = _SCOPES | _PRESENT | {"this", "or"}
_NOT_AFTER = frozenset(
    word_list(
        "hi hello hey dear thanks greetings morning afternoon evening at after above of you y that "
        "is and"
    )
)
"""Words after which "all" chooses nothing: hi all, after all, first of all, is that all."""
_NOT_BEFORE = frozenset(word_list("right good set along together over sudden i you we year years"))
"""Words before which "all" chooses nothing: all right, all I want, all year round."""
_MODALS = frozenset(word_list("can could may might should will would must shall"))
_HAVING = frozenset(
    word_list(
        "am is are was were be been there have has had having got get getting need needs needed "
        "without not if whether do does did offer offers sell sells serve serves find see know "
        "want wants give gives hardly never contain contains charge charges"
    )
)
"""Words after which "any" means no more than "a"."""
_GIVING = frozenset(
    word_list(
        "get give have find make suggest recommend need want tell share name list show send write "
        "take add put buy order bring"
    )
)
"""Verbs after which "some" means no more than "a"."""
_PERIODS = frozenset(word_list("morning afternoon evening night"))
_EXCEPTED = frozenset(word_list("all any anything anyone every everything everyone no nothing"))
_BEFORE_NOW = frozenset(word_list("by until till from up before since just even and"))
_AFTER_NOW = frozenset(
    word_list("please can could would will i you we it how what when why where that and then")
)


def mark_scope(words: list[str], capitals: list[bool]) -> None:
    """Mark the words that choose what is meant, in place.

    Args:
        words: The lower-case words of a text, phrases replaced.
        capitals: By word, whether it is capitalised.
    """
    if _TRIGGERS.isdisjoint(words):
        return
    if words[-2:] == ["or", "not"]:
        del words[-2:], capitals[-2:]
    for at in range(len(words) - 1, -1, -1):
        word = words[at]
        if word not in _TRIGGERS:
            continue
        before = words[at - 1] if at else ""
        after = words[at + 1] if at + 1 < len(words) else ""
        if word in _PRESENT:
            if word == "today":
                words[at] = MARK + word
            elif at and before not in _BEFORE_NOW and after not in _AFTER_NOW:
                words[at] = MARK + "now"
        elif word == "this":
            if after in _PERIODS:
                words[at] = MARK + "today"
        elif word == "but":
            if not _EXCEPTED.isdisjoint(words[max(at - 3, 0) : at]):
                words[at] = "except"
        else:
            scope = _scope_of(words, at, before, after)
            if scope:
                words[at] = MARK + scope


def _scope_of(words: list[str], at: int, before: str, after: str) -> str:
    """Return what a quantifier chooses, or an empty string if it chooses nothing."""
    word = words[at]
    if word in _ALL:
        if before in _NOT_AFTER or after in _NOT_BEFORE or after == "other":
            return ""
        if word[-1] in "eyg" and word[:5] == "every" and len(word) > 5:
            return "all" if at else ""
        return "" if word == "each" and words[0] in MEASURED else "all"
    if word == "both":
        return "" if "and" in words[at + 1 : at + 6] else "both"
    if word in ("only", "solely"):
        return "only"
    if word == "any":
        return "any" if at and before not in _HAVING and before not in _MODALS - {"can"} else ""
    if word == "some":
        chosen = before in AUXILIARIES if before not in _MODALS else at == 1
        command = at == 1 and before not in _GIVING and before not in AUXILIARIES
        return "some" if after == "of" or (chosen and at < 3) or command else ""
    return ""
