"""Polite clauses around a question: greetings, thanks, hedges, excuses, introductions (English).

A clause that has no other words is removed before the analysis, with its negations:
"no rush at all", "sorry, I am not sure whether this is the right place, but". A clause that asks
for something stays: "please forward it" and "please do not forward it" are different requests.
"""

from __future__ import annotations

import re
from functools import cache

from toolops_plugins.semantic.guards.function_words import AUXILIARIES, DROPPED, NEGATORS
from toolops_plugins.semantic.guards.lexicon import function_words, lines, word_list

__all__ = ["requests_in", "strip_courtesy"]

_FUNCTION_WORDS = function_words()
_SIGNALS = frozenset(_FUNCTION_WORDS["courtesy_signals"])
"""One of these makes a courtesy of a clause that has no words but courtesy words."""

_COMPANIONS = frozenset(_FUNCTION_WORDS["courtesy_companions"])
"""Words that may stand beside a signal and are no courtesy alone."""

_ALLOWED = _SIGNALS | _COMPANIONS | DROPPED | NEGATORS | AUXILIARIES
_ASKING = frozenset(word_list("what which who whom whose when where why how"))
_OFFERED = [[word] for word in word_list("you u anyone anybody someone somebody i")]
_BEINGS = [[word] for word in word_list("are is s")]
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
_TOGETHER = (("no", "clue"), ("no", "idea"), ("don", "know"), ("not", "sure"))
_NEGATORS = NEGATORS | {"t"}
_UNKNOWN = frozenset(
    word_list(
        "rush hurry sure certain idea ideas clue emergency urgent worries expert luck know think "
        "understand figure mean bother disturb interrupt intrude mind hassle harm trouble obvious "
        "seem sense great native believe bothering"
    )
)
"""What a negation in a courtesy negates: no rush, not sure, do not know."""
_PLEASE = frozenset(word_list("please pls plz plez kindly"))
_ACTIONS = frozenset(
    word_list("ask bear do feel figure find get give guess have hear keep let look make meet see")
)
"""Verbs of requests that are none for help, if they follow "please"."""
_VERBS = frozenset(
    word_list("bring call continue include keep put read start stop take use view visit wait watch")
)
"""Verbs of little content with which a clause may begin that asks for something."""
_REQUESTING = _VERBS | _ACTIONS
_NOTHING: frozenset[str] = frozenset()
_BEFORE_VERBS = frozenset(
    word_list("please pls plz plez kindly just do don dont t not never and but so also then now")
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
    if not _has_clauses(text):
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
        opposed = at > 0 and parts[at - 1] == " but " and _begins_with_negation(parts[at])
        if not opposed and _is_courtesy(parts[at], asks="?" in stop):
            dropped = True
            if kept:
                kept.append(stop)
        else:
            kept.append(parts[at])
            kept.append(stop)
    rest = "".join(kept)
    return rest if dropped and _WORDS.search(rest.lower()) else text


def requests_in(text: str, words: list[str]) -> frozenset[str]:
    """Return the verbs of little content with which clauses of a text ask for something.

    "My parcel is late. Call me back." asks for more than "My parcel is late."

    Args:
        text: A text.
        words: Its words, in lower case.
    """
    if _REQUESTING.isdisjoint(words) or not _has_clauses(text):
        return _NOTHING
    return frozenset(filter(None, map(_request, _CLAUSES.split(text)[::2])))


def _request(clause: str) -> str:
    words = _WORDS.findall(clause.lower())
    at = next((at for at, word in enumerate(words) if word not in _BEFORE_VERBS), None)
    if at is None:
        return ""
    verb, polite = words[at], not _PLEASE.isdisjoint(words[:at])
    if verb in _VERBS:  # "keep getting an error" lacks its subject
        return "" if words[at + 1 :] and words[at + 1].endswith("ing") and not polite else verb
    return verb if polite and verb in _ACTIONS else ""


def _has_clauses(text: str) -> bool:
    return not _HINTS.isdisjoint(text[:-1]) or " but " in text or " so " in text


def _begins_with_negation(clause: str) -> bool:
    words = _WORDS.findall(clause.lower())
    return bool(words) and words[0] in _NEGATORS


def _is_courtesy(clause: str, *, asks: bool) -> bool:
    if asks and clause.strip().lower() in _TAGS:
        return True
    if not asks and _VOCATIVES.issuperset(clause.lower().split()):
        return bool(clause.strip())
    words = _WORDS.findall(clause.lower())
    if not words or len(words) > 24 or not _words_of_courtesies().issuperset(words):
        return False
    if any(map(str.isdigit, clause)):
        return False
    rest, polite = _without_phrases(words)
    if not _ALLOWED.issuperset(rest) or len(rest) > 16:
        return False
    if not (
        polite
        or not _SIGNALS.isdisjoint(rest)
        or any(first in rest and second in rest for first, second in _TOGETHER)
    ):
        return False
    if not rest:
        return True
    if _negates_more(rest) or (not _PLEASE.isdisjoint(rest) and _asks_to_act(rest)):
        return False
    if not _ASKING.isdisjoint(rest):
        return rest[0] == "how" and rest[1:2] in _BEINGS and "you" in rest
    return not asks or words[0] not in AUXILIARIES or words[1:2] in _OFFERED


def _without_phrases(words: list[str]) -> tuple[list[str], bool]:
    """Return the words that belong to no polite phrase, and whether there is such a phrase."""
    rest: list[str] = []
    polite = False
    at, known = 0, _phrases()
    while at < len(words):
        length, alone = 0, False
        for pattern, signal in known.get(words[at], ()):
            end = _match(pattern, words, at)
            if end - at > length:
                length, alone = end - at, signal
        if length:
            polite = polite or alone
            at += length
        else:
            rest.append(words[at])
            at += 1
    return rest, polite


@cache
def _words_of_courtesies() -> frozenset[str]:
    """Return every word that a courtesy may have."""
    patterns = (pattern for found in _phrases().values() for pattern, _ in found)
    return _ALLOWED.union(*(place for pattern in patterns for place, _ in pattern))


_Pattern = tuple[tuple[frozenset[str], bool], ...]


@cache
def _phrases() -> dict[str, list[tuple[_Pattern, bool]]]:
    """Return the polite phrases by first word, each with whether it is a courtesy alone.

    A phrase is a list of the words that may stand at each place, and whether one has to.
    """
    found: dict[str, list[tuple[_Pattern, bool]]] = {}
    for line in lines("courtesy_phrases.txt"):
        places = [place.split("/") for place in line.removesuffix(" *").split()]
        pattern = tuple((frozenset(place) - {"-"}, "-" in place) for place in places)
        for number, (firsts, optional) in enumerate(pattern):
            for first in firsts:
                found.setdefault(first, []).append((pattern[number:], not line.endswith("*")))
            if not optional:
                break
    return found


def _match(pattern: _Pattern, words: list[str], at: int) -> int:
    """Return where a pattern that begins at a word ends, or ``at`` if it does not match."""
    start = at
    for place, optional in pattern:
        if at < len(words) and words[at] in place:
            at += 1
        elif not optional:
            return start
    return at


def _negates_more(words: list[str]) -> bool:
    """Return whether a negation belongs to something else than what courtesies negate."""
    return any(
        word in _NEGATORS and _UNKNOWN.isdisjoint(words[at + 1 : at + 5])
        for at, word in enumerate(words)
    )


def _asks_to_act(words: list[str]) -> bool:
    """Return whether a clause with "please" asks for more than help or an answer."""
    verb = next((word for word in words if word not in _BEFORE_VERBS), "")
    return verb in _ACTIONS or (
        verb in ("tell", "help") and words[-1] in ("him", "her", "them", "it")
    )
