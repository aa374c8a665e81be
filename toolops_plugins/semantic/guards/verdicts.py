"""The built-in guards: five questions about two texts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from toolops_plugins.semantic.guards.kinds import IMPLIED, conflicting
from toolops_plugins.semantic.guards.listing import listed
from toolops_plugins.semantic.guards.opposites import PARTICLE_OPPOSITES
from toolops_plugins.semantic.guards.relations import swapped_roles
from toolops_plugins.semantic.guards.stems import are_siblings, key, opposites_of
from toolops_plugins.semantic.guards.traits import GENERIC_WORD, NAME, Traits, Word
from toolops_plugins.semantic.guards.typos import is_typo

__all__ = ["BUILT_IN", "Pair", "Veto"]


class Veto(NamedTuple):
    """Why a cached candidate must not answer a question.

    Args:
        guard: The name of the guard that says so.
        reason: What differs, in plain words.
    """

    guard: str
    reason: str


Near = Callable[[str, str], bool]
Digest = Callable[[str], str]

_MOST = 24
"""Words that may be left over on each side; more of them are no rephrasing, and cost time."""

_REPAIR = key("fix")
_FAILURE = key("fail")
_TROUBLED = frozenset(map(key, listed("declined rejected refused denied error stuck")))
"""Ways to fail, each of which a text that only says that something fails may mean."""


class Pair:
    """A question and a candidate, and what the guards share about the two.

    Args:
        question: The traits of the question, hashed if those of the candidate are.
        candidate: The traits of the candidate.
        near: Whether two words mean nearly the same.
        digest: What words are stored as where traits are hashed; identity where they are not.
        plain: The traits of the question, not hashed.
    """

    __slots__ = ("_left", "candidate", "digest", "near", "plain", "question")

    def __init__(
        self,
        question: Traits,
        candidate: Traits,
        *,
        near: Near,
        digest: Digest,
        plain: Traits,
    ) -> None:
        self.question = question
        self.candidate = candidate
        self.near = near
        self.digest = digest
        self.plain = plain
        self._left: tuple[dict[str, Word], dict[str, Word]] | None = None

    def left(self) -> tuple[dict[str, Word], dict[str, Word]]:
        """Return the words of the question that the candidate lacks, and the reverse, in a pair.

        What pairs as a typing error, as a word written in two, or as nearly the same is not left.
        """
        if self._left is None:
            self._left = _left(self)
        return self._left

    def names(self) -> dict[str, str]:
        """Return the question's words and values by what they are stored as."""
        names = {self.digest(name): word.text for name, word in self.plain.words.items()}
        return names | {self.digest(value): value for value in self.plain.values}


def _left(pair: Pair) -> tuple[dict[str, Word], dict[str, Word]]:
    ours, theirs = pair.question.words, pair.candidate.words
    if ours.keys() == theirs.keys():
        return {}, {}
    mine = {name: word for name, word in ours.items() if name not in theirs}
    other = {name: word for name, word in theirs.items() if name not in ours}
    if pair.question.negated != pair.candidate.negated:
        _drop_opposites(pair, mine, other)
    if pair.question.hashed or len(mine) > _MOST or len(other) > _MOST:
        return mine, other
    for name, word in tuple(mine.items()):
        for rival, its in other.items():
            if _same(pair.near, word, its):
                del mine[name], other[rival]
                break
    _drop_joined(mine, other, theirs)
    _drop_joined(other, mine, ours)
    return mine, other


def _same(near: Near, one: Word, other: Word) -> bool:
    levels = (one.level, other.level)
    if is_typo(one.text, other.text, names=levels == (NAME, NAME)):
        return True
    if NAME in levels or are_siblings(one.text, other.text):
        return False
    if key(other.text) in opposites_of(key(one.text)):
        return False
    return near(*sorted((one.text, other.text)))


def _drop_opposites(pair: Pair, mine: dict[str, Word], other: dict[str, Word]) -> None:
    """Drop opposites where only one side is negated: keep it, do not lose it."""
    for name in pair.plain.words:
        stored = pair.digest(name)
        if stored in mine:
            rivals = [rival for rival in map(pair.digest, opposites_of(name)) if rival in other]
            if rivals:
                del mine[stored], other[rivals[0]]


def _drop_joined(some: dict[str, Word], rest: dict[str, Word], theirs: dict[str, Word]) -> None:
    """Drop a word that the other side writes in two: website, web site."""
    for name, word in tuple(some.items()):
        for first, second in pairwise(theirs):
            if word.text == theirs[first].text + theirs[second].text:
                del some[name]
                rest.pop(first, None)
                rest.pop(second, None)
                break


def numbers(pair: Pair) -> Veto | None:
    """Numbers, amounts, dates, times, units and identifiers must be the same."""
    question, candidate = pair.question, pair.candidate
    if question.whole or candidate.whole:
        if question.whole == candidate.whole:
            return None
        return Veto("numbers", "one of the texts is too long to be read, and they differ")
    if question.values == candidate.values:
        return None
    single = pair.digest("#1")
    mine = _unmatched(question, candidate, single)
    other = _unmatched(candidate, question, single)
    if not mine and not other:
        return None
    return Veto("numbers", _differing("numbers", _values(pair, mine), _values(pair, other)))


def _unmatched(ours: Traits, theirs: Traits, single: str) -> list[str]:
    """Return the values that only one text has; a 1 may match the word one, which may be none."""
    missing = [value for value in ours.values if value not in theirs.values]
    return [value for value in missing if not (value == single and theirs.one)]


def _values(pair: Pair, values: list[str]) -> list[str]:
    names = pair.names() if pair.question.hashed else None
    shown = values if names is None else [names.get(value, "") for value in values]
    return [_readable(value) for value in shown]


def _readable(value: str) -> str:
    return value.removeprefix("#").removeprefix("id:").removeprefix("u:")


def _differing(what: str, mine: list[str], other: list[str]) -> str:
    if mine and other and all(mine) and all(other):
        return f"the {what} differ: {_quoted(mine)} and {_quoted(other)}"
    if not other and all(mine):
        return f"only the question has {_quoted(mine)}"
    if not mine and all(other):
        return f"only the candidate has {_quoted(other)}"
    return f"the {what} differ"


def _quoted(words: list[str]) -> str:
    return ", ".join(f'"{word}"' for word in words[:4])


def negation(pair: Pair) -> Veto | None:
    """Both texts or neither must be negated, and opposites count as a negation."""
    question, candidate = pair.question, pair.candidate
    if not (question.english and candidate.english):
        if question.negated != candidate.negated and question.english == candidate.english:
            return Veto("negation", "one of the two is negated, the other is not")
        return None
    turned = None
    mine, other = _missing(question, candidate), _missing(candidate, question)
    if mine and other:
        for name, word in pair.plain.words.items():
            if pair.digest(name) in mine:
                for rival in opposites_of(name):
                    if pair.digest(rival) in other:
                        its = candidate.words[pair.digest(rival)].text
                        turned = (word.text, its or rival)
    if turned is None and question.particles != candidate.particles:
        for small in question.particles - candidate.particles:
            if PARTICLE_OPPOSITES[small] in candidate.particles - question.particles:
                turned = (small, PARTICLE_OPPOSITES[small])
    differs = question.negated != candidate.negated
    if turned is not None:
        return (
            None if differs else Veto("negation", f'"{turned[0]}" is the opposite of "{turned[1]}"')
        )
    if not differs and question.trouble == candidate.trouble:
        return None
    if (question.negated or question.trouble) == (candidate.negated or candidate.trouble):
        return None
    if not differs and pair.digest(_REPAIR) in {**question.words, **candidate.words}:
        return None  # what is to be repaired does not work
    negative = "question" if question.negated or question.trouble else "candidate"
    return Veto("negation", f"only the {negative} is negated")


def _missing(ours: Traits, theirs: Traits) -> list[str]:
    return [name for name in ours.words if name not in theirs.words]


def kind(pair: Pair) -> Veto | None:
    """Both texts must ask the same kind of question, as far as they can be told."""
    mine, other = pair.question.kind, pair.candidate.kind
    if not conflicting(mine, other):
        return None
    return Veto("kind", f'one asks "{mine}", the other "{other}"')


def order(pair: Pair) -> Veto | None:
    """Who does what to whom, and from where to where, must be the same."""
    question, candidate = pair.question, pair.candidate
    if not (question.english and candidate.english):
        return None
    if question.persons != candidate.persons:
        mine, other = question.persons - candidate.persons, candidate.persons - question.persons
        if mine and other:
            return Veto("order", _differing("persons", sorted(mine), sorted(other)))
    why = swapped_roles(question, candidate, pair.digest)
    return None if why is None else Veto("order", why)


def words(pair: Pair) -> Veto | None:
    """No content word may stand for another one, and none may be added that restricts."""
    question, candidate = pair.question, pair.candidate
    if question.whole or candidate.whole:
        if question.whole == candidate.whole:
            return None
        return Veto("words", "one of the texts is too long to be read, and they differ")
    if not (question.english and candidate.english):
        return None
    mine, other = pair.left()
    if not mine and not other:
        return None
    strong = _strong(pair, mine, candidate, question)
    rival = _strong(pair, other, question, candidate)
    if not strong and not rival:
        return None
    return Veto("words", _differing("words", strong, rival))


def _strong(pair: Pair, left: dict[str, Word], theirs: Traits, ours: Traits) -> list[str]:
    """Return the words of one side without counterpart that change what is asked for."""
    strong = []
    names = pair.names() if ours.hashed else {}
    fails = theirs.trouble and ours.trouble and pair.digest(_FAILURE) in theirs.words
    troubled = {pair.digest(trouble) for trouble in _TROUBLED} if fails else ()
    implied = IMPLIED.get(theirs.kind) or IMPLIED.get(ours.kind)
    for name, word in left.items():
        if word.level == GENERIC_WORD:
            continue
        if implied is not None and any(pair.digest(noun) == name for noun in implied):
            continue
        if fails and name in troubled:
            continue
        strong.append(word.text or names.get(name, ""))
    return strong


BUILT_IN: dict[str, Callable[[Pair], Veto | None]] = {
    "numbers": numbers,
    "negation": negation,
    "kind": kind,
    "words": words,
    "order": order,
}
"""The built-in guards by name, the cheapest first."""
