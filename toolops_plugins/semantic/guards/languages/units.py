"""From the words of a text to its units: content words with what binds them."""

from __future__ import annotations

from toolops_plugins.semantic.guards.languages.inflection import inflect, verb_stem
from toolops_plugins.semantic.guards.languages.word_lists import WordLists

__all__ = ["STOPS", "Units", "units_of"]

STOPS = frozenset(".!?;…,")
"""Signs between clauses."""

_REFLEXIVE = frozenset(("se", "si"))
_ANYONE = _REFLEXIVE | {"je", "-je", "on", "-on"}
_GERMANIC = frozenset(("de", "nl"))
_SUBJECTS = frozenset(("-il", "-elle", "-ils", "-elles"))
"""French subjects after the verb, which repeat the noun before it: le musée est-il ouvert."""


def units_of(words: list[str], lists: WordLists, *, asks: bool, opened: bool) -> Units:
    """Return the units of a text.

    Args:
        words: Its words, without courtesies and with their readings.
        lists: Its language.
        asks: Whether it is a question. Number and case are compared in all other texts, since
            "delete my alarm" and "delete my alarms" differ.
        opened: Whether it depends on a courtesy, which in German and Dutch puts its verb last.
    """
    units = Units(lists, inflected=asks)
    start = 0
    for at in range(len(words) + 1):
        if at == len(words) or words[at] in STOPS:
            units.take_clause(words[start:at])
            start = at + 1
    units.end()
    if not lists.scopes.isdisjoint(words):
        units.free.clear()
    if opened and lists.code in _GERMANIC and units.units:
        units.free.add(units.units[-1])
    return units


class Units:
    """Collects the units of a text, clause by clause.

    Attributes:
        units: The units in the order of the text.
        free: Those that may stand anywhere.
        values: The numbers of the text.
        one_article: As in :class:`~.content.Content`, as are the others.
        other_article: See there.
        plural: See there.
        they: See there.
    """

    def __init__(self, lists: WordLists, *, inflected: bool) -> None:
        self._lists = lists
        self._inflected = inflected
        self._states = 0
        self.units: list[str] = []
        self.free: set[str] = set()
        self.values: list[str] = []
        self.one_article: set[str] = set()
        self.other_article: set[str] = set()
        self.plural: set[str] = set()
        self.they: set[str] = set()

    def take_clause(self, words: list[str]) -> None:
        """Add the words of a clause."""
        verb = ""
        if self._inflected:
            frame = _germanic_verb if self._lists.code in _GERMANIC else _romance_verb
            verb, words = frame(words, self._lists)
        if verb:
            self.units.append(verb)
        self._take(words)

    def end(self) -> None:
        """Add what the whole text has: es aburrido, está aburrido."""
        self.units += ["estar"] * self._states

    def _take(self, words: list[str]) -> None:
        lists = self._lists
        before: list[str] = []  # prepositions and possessives that bind the next word
        article = ""
        follows = False  # whether "to be" stands directly before
        possessed = joined = False
        for at, word in enumerate(words):
            if word in lists.articles and at + 1 < len(words) and not _counts(words, at):
                article = word if word[0] != "-" else article
                follows = False
            elif word in lists.copulas:
                follows = lists.code not in _GERMANIC  # sind Wale Fische, sind Fische Wale
                if word in lists.plural_copulas:
                    self.they.add("be")
                self._states += word in lists.states
            elif word in _SUBJECTS and any(unit not in lists.questions for unit in self.units):
                pass
            elif word in lists.genitives and self.units and not before:
                joined = True
            elif word in lists.prepositions or word in lists.genitives:
                before.append(word)
            elif word in lists.possessives:
                before.append(word)
                possessed = True
            else:
                self._add(
                    word, before, article, possessed=possessed, joined=joined, follows=follows
                )
                before, article, possessed, joined, follows = [], "", False, False, False
        if joined:
            before.append("of")
        if before:
            self.units.append(" ".join(before))

    def _add(
        self,
        word: str,
        before: list[str],
        article: str,
        *,
        possessed: bool,
        joined: bool,
        follows: bool,
    ) -> None:
        """Add a content word."""
        lists = self._lists
        key = word
        if word in lists.times:  # lundi, le lundi; where no article tells, its very form
            if article and lists.code not in _GERMANIC:
                key = f"{article} {word}"
        elif word[0] == "#" or any(map(str.isdigit, word)):
            key = word if word[0] == "#" else f"#{word}"
            self.values.append(key)
        elif self._inflected and not possessed:
            key, plural, they = inflect(lists, word)
            if plural:
                self.plural.add(key)
            if they:
                self.they.add(key)
        if word in lists.gendered:
            key = f"{article} {key}"
        if article in lists.one_article:
            self.one_article.add(key)
        elif article in lists.other_article:
            self.other_article.add(key)
        unit = " ".join((*before, key))
        if joined:
            last = self.units.pop()
            unit = f"{last} of {unit}"
            if last in self.free:
                self.free.add(unit)
        elif (
            (before and not (possessed and len(before) == 1))
            or word in lists.times
            or (follows and word.isalpha())  # está abierto el museo
        ):
            self.free.add(unit)
        self.units.append(unit)


def _counts(words: list[str], at: int) -> bool:
    """Return whether an article is the last part of a number: cent un."""
    return at > 0 and words[at - 1][0] == "#"


def _romance_verb(words: list[str], lists: WordLists) -> tuple[str, list[str]]:
    """Return the stem of the verb after "how", "how can I" or "how does one", and all other words.

    Empty, with all words, where there is no such verb.
    """
    reflexive = [[verb] for verb in lists.reflexive]
    for at, word in enumerate(words[:-1]):
        if word not in lists.how:
            continue
        after = at + 1
        endings = lists.verb_endings
        filler = lists.how_fillers.find(words, after)
        if filler is not None:
            after += filler[0]
            if words[after - 1] in _ANYONE:
                endings = lists.impersonal_endings + endings
            if words[after - 1] in _REFLEXIVE and words[after : after + 1] in reflexive:
                break
        if after == len(words) or not words[after].isalpha():
            break
        verb = words[after]
        if verb in lists.articles or verb in lists.prepositions or verb in lists.possessives:
            break
        stem = verb_stem(lists, verb, endings)
        if not stem:
            break
        return f"v:{stem}", [*words[: at + 1], *words[after + 1 :]]
    return "", words


def _germanic_verb(words: list[str], lists: WordLists) -> tuple[str, list[str]]:
    """Return the stem of the verb of a clause with "I" or "one" and the other words.

    The verb stands before the subject, with its separable part at the end: "wie schalte ich es
    aus"; at the end after "can": "wie kann ich es ausschalten"; or at the end of a clause that
    depends on another: "wie ich es ausschalte". Empty, with all words, where there is no such verb.
    """
    subject = next((at for at, word in enumerate(words) if word in lists.anyone), 0)
    if not subject:
        return "", words
    if words[0] in lists.how and words[1] in lists.degrees and subject == 2:
        return "", words  # "wie oft ich": the verb stands last
    manner = words[0] in lists.how and subject <= 2
    asking = not lists.questions.isdisjoint(words[:subject])
    finite = words[subject - 1]
    rest = words[: subject - 1] + words[subject + manner :]
    if finite in lists.questions:  # the clause depends on another
        verb = words[-1]
        rest = words[: subject + (not manner)] + words[subject + 1 : -1]
        if verb in lists.can and len(rest) > 1:
            can, verb = verb, rest.pop()
            if not manner and verb not in lists.where:
                rest.append(can)
    elif asking and finite in lists.can and len(rest) > 1:
        verb = rest.pop()
        if not manner and verb not in lists.where:
            rest.append(finite)
    else:
        verb = finite
        if rest and rest[-1] in lists.particles and len(rest) > 1:
            verb = rest.pop() + verb
    if not verb.isalpha():
        return "", words
    return f"v:{verb_stem(lists, verb)}", rest
