"""Polite clauses around a question: greetings, thanks, hedges, excuses, introductions (English).

A clause that has no other words is removed before the analysis, with its negations:
"no rush at all", "sorry, I am not sure whether this is the right place, but".
"""

from __future__ import annotations

import re

from toolops_plugins.semantic.guards.function_words import AUXILIARIES, DROPPED, NEGATORS
from toolops_plugins.semantic.guards.lexicon import function_words, word_list

__all__ = ["strip_courtesy"]

_FUNCTION_WORDS = function_words()
_SIGNALS = frozenset(_FUNCTION_WORDS["courtesy_signals"])
"""One of these makes a courtesy of a clause that has no words but courtesy words."""

_COMPANIONS = frozenset(_FUNCTION_WORDS["courtesy_companions"])
"""Words that may stand beside a signal and are no courtesy alone."""

_ALLOWED = _SIGNALS | _COMPANIONS | DROPPED | NEGATORS | AUXILIARIES
_ASKING = frozenset(word_list("what which who whom whose when where why how"))
_OFFERED = [[word] for word in word_list("you u anyone anybody someone somebody i")]
_TAGS = frozenset(
    f"{verb}{negation} {who}"
    for verb in word_list("is are do does did was can could would will should have has")
    for negation in ("n't", "nt", "")
    for who in ("it", "you", "they", "he", "she", "i")
) | {"right", "correct", "yes", "no", "huh", "eh", "ok"}
"""Tags that make a question of a statement: isn't it, right."""
_VOCATIVES = frozenset(
    word_list(
        "young man lady my dear love guys all everyone folks mate darling sir madam boss buddy xx x"
    )
)
_TOGETHER = (
    ("not", "emergency"),
    ("not", "sure"),
    ("no", "idea"),
    ("right", "place"),
    ("don", "know"),
    ("first", "time"),
)
_CLAUSES = re.compile(r"([.,!?;:…()\n]+(?!\w)| - | [Bb]ut | so (?!far))")
_HINTS = frozenset(",.!?;:…()\n-")
_WORDS = re.compile(r"[a-z]+")
_NAMED = re.compile(
    r"\s*(?:(?:[Hh]i|[Hh]ello|[Hh]ey|[Dd]ear)\b,? (?:[A-Z]\w+ ?){1,3}[,!.:-]+\s*)?"
    r"(?:[Mm]y name(?: is|'s) [A-Z]\w+(?: [A-Z]\w+)?\s*(?:[,.!;-]+ (?:and )?|and )"
    r"|(?:[Ii] am|I'm|[Tt]his is) [A-Z]\w+(?: [A-Z]\w+)? (?:here|speaking)\s*[,.!;-]+ )?"
)
"""A greeting with a name, and the name of the writer."""


def strip_courtesy(text: str) -> str:
    """Return a text without its polite clauses, unless it has no others."""
    if _HINTS.isdisjoint(text[:-1]) and " but " not in text and " so " not in text:
        return text
    if text[:1] in "HhDdMmIT":
        named = _NAMED.match(text)
        if named is not None and 0 < named.end() < len(text):
            text = text[named.end() :]
    parts = _CLAUSES.split(text)
    if len(parts) < 3:
        return text
    kept: list[str] = []
    dropped = False
    for at in range(0, len(parts), 2):
        stop = parts[at + 1] if at + 1 < len(parts) else ""
        if not kept and not parts[at].strip():
            continue
        if _is_courtesy(parts[at], asks="?" in stop):
            dropped = True
            if kept:
                kept.append(stop)
        else:
            kept.append(parts[at])
            kept.append(stop)
    rest = "".join(kept)
    return rest if dropped and _WORDS.search(rest.lower()) else text


def _is_courtesy(clause: str, *, asks: bool) -> bool:
    if asks and clause.strip().lower() in _TAGS:
        return True
    if not asks and _VOCATIVES.issuperset(clause.lower().split()):
        return bool(clause.strip())
    words = _WORDS.findall(clause.lower())
    if not words or len(words) > 16 or not _ALLOWED.issuperset(words):
        return False
    if _SIGNALS.isdisjoint(words) and not any(
        first in words and second in words for first, second in _TOGETHER
    ):
        return False
    if any(map(str.isdigit, clause)):
        return False
    if not _ASKING.isdisjoint(words):
        return words[0] == "how" and words[1] in ("are", "is", "s") and "you" in words
    return not asks or words[0] not in AUXILIARIES or words[1:2] in _OFFERED
