"""The pairing of the words of two texts, and the words that are left over."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from toolops_plugins.semantic.guards.derivations import share_root
from toolops_plugins.semantic.guards.languages import are_equal
from toolops_plugins.semantic.guards.near_synonyms import kin_of
from toolops_plugins.semantic.guards.stems import are_siblings, is_in_lists, key, opposites_of
from toolops_plugins.semantic.guards.traits import NAME, Traits, Word
from toolops_plugins.semantic.guards.typos import is_typo

__all__ = ["Digest", "Near", "Pair"]

Near = Callable[[str, str], bool]
Digest = Callable[[str], str]

_MOST = 36
"""Most comparisons of left-over words; texts with more are no rephrasing."""


class Pair:
    """A question and a candidate, with the results that the guards share.

    Args:
        question: The traits of the question, hashed if those of the candidate are.
        candidate: The traits of the candidate.
        near: Whether two words mean nearly the same.
        digest: Returns the stored form of a word: its digest where traits are hashed, else itself.
        plain: The traits of the question, not hashed.
    """

    __slots__ = ("_equal", "_left", "candidate", "digest", "found", "near", "plain", "question")

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
        self.found: dict[str, str] = {}  # words of the question by other ones of the candidate
        self._equal: bool | None = None
        self._left: tuple[dict[str, Word], dict[str, Word]] | None = None

    def is_near_repeat(self) -> bool:
        """Return whether the texts differ in nothing that could change what is asked."""
        question, candidate = self.question, self.candidate
        if question.whole or candidate.whole:
            return question.whole == candidate.whole
        if question.language == candidate.language == "en" and (
            question.words.keys() != candidate.words.keys()
        ):
            return False  # without the normal forms, which take longer than the words
        return question.form.is_shared(candidate.form)

    def has_equal_content(self) -> bool:
        """Return whether both texts are in one of the languages and say the same in it."""
        if self._equal is None:
            mine, other = self.question.content, self.candidate.content
            self._equal = (
                mine is not None
                and other is not None
                and self.question.values == self.candidate.values
                and are_equal(mine, other)
            )
        return self._equal

    def left(self) -> tuple[dict[str, Word], dict[str, Word]]:
        """Return the words that only the question has, and those that only the candidate has.

        Words that pair as a typing error, as a word written in two, as kin or as nearly the same
        are not left over; they are in ``found``.
        """
        if self._left is None:
            ours, theirs = self.question.words, self.candidate.words
            mine = {name: word for name, word in ours.items() if name not in theirs}
            other = {name: word for name, word in theirs.items() if name not in ours}
            if mine or other:
                self._pair_up(mine, other)
            self._left = mine, other
        return self._left

    def names(self) -> dict[str, str]:
        """Return the question's words and values by their stored form."""
        names = {self.digest(name): word.text for name, word in self.plain.words.items()}
        return names | {self.digest(value): value for value in self.plain.values}

    def _pair_up(self, mine: dict[str, Word], other: dict[str, Word]) -> None:
        question, candidate = self.question, self.candidate
        if question.negated != candidate.negated:
            self._pair_by_list(mine, other, opposites_of)
        hashed = question.hashed
        few = len(mine) * len(other) <= _MOST
        if few and not hashed:
            if not (all(map(_is_listed, mine.values())) and all(map(_is_listed, other.values()))):
                self._pair_by_test(mine, other, _misspelt)
            self._pair_split_words(mine, other, candidate.words)
            self._pair_split_words(other, mine, question.words)
        self._pair_by_list(mine, other, kin_of)
        if few and not hashed:
            self._pair_by_test(mine, other, self._nearly)

    def _pair_by_list(
        self,
        mine: dict[str, Word],
        other: dict[str, Word],
        related: Callable[[str], frozenset[str]],
    ) -> None:
        """Pair words by a list of related words."""
        if not mine or not other:
            return
        for name, word in self.plain.words.items():
            stored = self.digest(name)
            if stored not in mine or (word.level == NAME and related is kin_of):
                continue
            rivals = related(name)
            if not self.question.hashed:
                rivals = rivals.intersection(other)
            for rival in sorted(rivals):
                its = other.get(self.digest(rival))
                if its is not None and not (
                    related is kin_of
                    and (its.level == NAME or are_siblings(word.text, its.text or rival))
                ):
                    self.found[stored] = self.digest(rival)
                    del mine[stored], other[self.digest(rival)]
                    break

    def _pair_by_test(
        self, mine: dict[str, Word], other: dict[str, Word], agree: Callable[[Word, Word], bool]
    ) -> None:
        for name, word in tuple(mine.items()):
            for rival, its in other.items():
                if agree(word, its):
                    self.found[name] = rival
                    del mine[name], other[rival]
                    break

    def _nearly(self, one: Word, other: Word) -> bool:
        if NAME in (one.level, other.level):
            return False
        if not share_root(one.text, other.text) and not self.near(*sorted((one.text, other.text))):
            return False
        return not are_siblings(one.text, other.text) and key(other.text) not in opposites_of(
            key(one.text)
        )

    def _pair_split_words(
        self, some: dict[str, Word], rest: dict[str, Word], theirs: dict[str, Word]
    ) -> None:
        """Pair a word that the other text writes as two: website, web site."""
        for name, word in tuple(some.items()):
            for first, second in pairwise(theirs):
                if word.text == theirs[first].text + theirs[second].text:
                    del some[name]
                    rest.pop(first, None)
                    rest.pop(second, None)
                    break


def _is_listed(word: Word) -> bool:
    return is_in_lists(word.text)


def _misspelt(one: Word, other: Word) -> bool:
    mine, its = one.text, other.text
    if is_in_lists(mine) and is_in_lists(its):
        return False  # two real words
    if abs(len(mine) - len(its)) > 3 or (
        mine[0] != its[0] and mine[:2] != its[1::-1] and len(mine) < 5
    ):
        return False
    return is_typo(one.text, other.text, names=(one.level, other.level) == (NAME, NAME))
