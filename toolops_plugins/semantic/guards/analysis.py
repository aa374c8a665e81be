"""Analysis of a text: its words, values, negations and roles."""

from __future__ import annotations

import hashlib
from functools import lru_cache, partial
from typing import NamedTuple

from toolops_plugins.semantic.guards.courtesy import requests_in, strip_courtesy
from toolops_plugins.semantic.guards.function_words import (
    DROPPED,
    FOREIGN,
    FOREIGN_NEGATORS,
    GENERIC,
    MARKERS,
    NEGATORS,
    PARTICLES,
    THIRD_PERSON,
    TROUBLE,
)
from toolops_plugins.semantic.guards.language import read_language
from toolops_plugins.semantic.guards.languages import LANGUAGES, read_content
from toolops_plugins.semantic.guards.lexicon import word_list
from toolops_plugins.semantic.guards.light_words import (
    ACTING_STEMS,
    CATEGORY_NOUNS,
    HARMLESS_STEMS,
    LIGHT_STEMS,
)
from toolops_plugins.semantic.guards.near_repeats import normal_form
from toolops_plugins.semantic.guards.near_synonyms import degree_form
from toolops_plugins.semantic.guards.question_kinds import kind_of
from toolops_plugins.semantic.guards.scope import MARK, PRESENT, mark_scope
from toolops_plugins.semantic.guards.stems import PAST, key, stem, without_un
from toolops_plugins.semantic.guards.symbols import symbols_in
from toolops_plugins.semantic.guards.tokenizer import fold, replace, tokenize
from toolops_plugins.semantic.guards.traits import (
    ACTING,
    CONTENT,
    GENERIC_WORD,
    HARMLESS,
    LIGHT,
    NAME,
    Traits,
    Word,
)
from toolops_plugins.semantic.guards.units import UNITS
from toolops_plugins.semantic.guards.values import VALUE_WORDS, read_values

__all__ = ["LONG", "read"]

LONG = 400
"""Longest text, in characters, that is analysed; longer ones are compared as a whole."""

_GENERIC = frozenset(map(stem, GENERIC))
_PERSONS = THIRD_PERSON | {"my": "my", "our": "my", "your": "your", "their": "their"}
_ENGLISH = DROPPED | NEGATORS
_FAILURES = frozenset(map(key, word_list("fail problem broken malfunction")))
_TRANSPARENT = frozenset(
    word_list(
        "a an the my your our his her their its this that these those can will should "
        "would could do "
        "did have has am are is be must may might either both"
    )
)
"""Words between a preposition or a subject and its noun or verb."""
_BEING = frozenset(word_list("is are was were be been being"))
_MODALS = frozenset(word_list("can could will would shall should may might must"))
_DEGREES = {"most": "est", "more": "er"}
_ADJECTIVAL = ("able", "ible", "ive", "ous", "ful", "ic", "ant", "ent", "ular", "al")
_INVERTING = (_BEING | _MODALS | frozenset(word_list("why how did does has have"))) - {"being"}
"""First words of questions in which "not" stands before the subject: why is not my card."""
_PRONOUNS = frozenset(word_list("i we you they he she it"))
_ANYBODY = frozenset(
    word_list("they someone somebody anyone anybody everyone everybody one who people users")
)
_BETWEEN = frozenset(
    word_list("over up down off out the a an his her its their my your our by who whom")
)
"""Words between a verb and its object."""
_CONDITIONS = frozenset(("if", "unless", "provided", "during", "despite"))
"""Words that begin a condition; all words after them restrict the question."""
_JOINTS = {"and": "and", "but": "and", "without": "and", "except": "and", "or": "or"}
"""Words that join what stands on either side of them, with the name of the role."""
_MOVING = PARTICLES | {"before", "after"}


class _WordRole(NamedTuple):
    """The role of a word in a text."""

    name: str  # its key; empty for a word that is not compared
    word: Word
    marker: str
    person: str
    moves: bool  # a small word with an opposite
    negates: bool
    fails: bool
    transparent: bool
    joint: str  # the role of the words around a conjunction


@lru_cache(maxsize=16384)
def _role_of(low: str) -> _WordRole:
    name, level, negates = "", 0, low in NEGATORS
    small = negates or low in DROPPED or low in _MOVING
    if not small:
        if low in UNITS:
            name, level = "u:" + UNITS[low], NAME
        elif low.startswith(MARK):
            return _WordRole(
                low,
                Word(low[len(MARK) :], NAME),
                "" if low in PRESENT else low[len(MARK) :],
                *("", False, False, False, True, ""),
            )
        else:
            rest = without_un(low)
            negates = rest is not None
            name = key(rest or low)
            level = _level(stem(low), name)
    return _WordRole(
        name,
        Word(low, level),
        MARKERS.get(low, ""),
        _PERSONS.get(low, ""),
        low in _MOVING,
        negates,
        low in TROUBLE,
        low in _TRANSPARENT,
        _JOINTS.get(low, ""),
    )


def _level(root: str, name: str) -> int:
    if root in ACTING_STEMS:
        return ACTING
    if root in HARMLESS_STEMS:
        return HARMLESS
    if root in _GENERIC or name in _FAILURES:
        return GENERIC_WORD
    return LIGHT if root in LIGHT_STEMS else CONTENT


def read(text: str) -> Traits:
    """Return the traits of a text of any length; never raises."""
    if len(text) > LONG:
        whole = " ".join(text.casefold().split())
        return Traits(whole=hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest())
    reading = read_language(text)
    form, symbols = partial(normal_form, text, reading), symbols_in(text)
    if reading.language in LANGUAGES:
        traits = _read_other(text, reading.language)
        traits.set_form(form)
        traits.symbols = symbols
        return traits
    text = strip_courtesy(fold(text))
    lows, capitals = tokenize(text)
    english = reading.language == "en" or (
        not reading.language and _may_be_english(lows, plain=text.isascii())
    )
    if english:
        replace(lows, capitals)
        if "which" in lows or "what" in lows:
            _drop_category(lows, capitals)
        if "most" in lows or "more" in lows:
            _compare(lows, capitals)
        if "b" in lows:
            _name_variables(lows)
        mark_scope(lows, capitals)
    if not VALUE_WORDS.isdisjoint(lows) or any(low[0] == "#" for low in lows):
        lows, capitals = read_values(lows, capitals)
    gathering = _TraitsBuilder(requests_in(text), inverted=bool(lows) and lows[0] in _INVERTING)
    for low, capital in zip(lows, capitals, strict=True):
        gathering.take(low, capital=capital)
    gathered = gathering.traits
    gathered.set_form(form)
    gathered.language = reading.language
    gathered.english = english
    if reading.strange is not None:
        gathered.strange = frozenset(map(key, reading.strange))
    gathered.symbols = symbols
    gathered.values = tuple(sorted(gathering.values))
    if not english:
        negations = sum(low in FOREIGN_NEGATORS for low in lows)
        gathered.negated = negations % 2 == 1
    else:
        gathered.negated = gathering.negations % 2 == 1
        gathered.kind = kind_of(lows, gathered.words)
    negated = gathering.roles.get("not", [])
    if len(negated) < gathering.negations:  # as many as there are negations
        gathering.roles["not"] = [*negated, *[""] * (gathering.negations - len(negated))]
    gathered.persons = frozenset(gathering.persons)
    gathered.particles = frozenset(gathering.particles)
    gathered.order = tuple(gathering.order)
    gathered.roles = {role: tuple(names) for role, names in gathering.roles.items()}
    return gathered


def _read_other(text: str, language: str) -> Traits:
    """Return the traits of a text in another language that has word lists."""
    content, numbers = read_content(text, language)
    words = fold(" ".join(content.units)).split()
    return Traits(
        language=language,
        english=False,
        content=content,
        values=numbers,
        negated=sum(word in FOREIGN_NEGATORS for word in words) % 2 == 1,
    )


def _compare(lows: list[str], capitals: list[bool]) -> None:
    """Replace "most affordable" by one word like "cheapest", in place."""
    for at in range(len(lows) - 2, -1, -1):
        ending = _DEGREES.get(lows[at])
        if ending is not None and lows[at + 1].endswith(_ADJECTIVAL):
            lows[at : at + 2] = [degree_form(lows[at + 1], ending)]
            del capitals[at]


def _name_variables(lows: list[str]) -> None:
    """Rename the variable "a", in place, where it is not the article: "turn a into b"."""
    for at, low in enumerate(lows):
        if low == "a" and (at + 1 == len(lows) or lows[at + 1] in DROPPED or lows[at + 1] == "b"):
            lows[at] = "a_"


def _drop_category(lows: list[str], capitals: list[bool]) -> None:
    """Replace "which city is the capital" by "what is the capital", in place."""
    for at in range(len(lows) - 4):
        if (
            lows[at] in ("which", "what")
            and lows[at + 1] in CATEGORY_NOUNS
            and lows[at + 2] in ("is", "was", "are", "were")
            and lows[at + 3] in ("the", "a", "an")
            and not _picks(lows[at + 4])
        ):
            lows[at] = "what"
            del lows[at + 1], capitals[at + 1]
            return


def _picks(low: str) -> bool:
    """Return whether a word selects one of many, such as "largest" or "only"."""
    return low.endswith("est") or low in ("most", "least", "only", "first", "last", "same", "next")


class _TraitsBuilder:
    """Collects the traits of a text word by word."""

    __slots__ = (
        "_anybody",
        "_asked",
        "_been",
        "_condition",
        "_did",
        "_doer",
        "_done",
        "_inverted",
        "_joined",
        "_joint",
        "_marker",
        "_name",
        "_pronoun",
        "_requests",
        "negations",
        "order",
        "particles",
        "persons",
        "roles",
        "traits",
        "values",
    )

    def __init__(self, requests: frozenset[str], *, inverted: bool) -> None:
        self._requests = requests
        self._inverted = inverted  # whether the first "not" may stand before the subject
        self.traits = Traits()
        self.values: list[str] = []
        self.order: list[str] = []
        self.roles: dict[str, list[str]] = {}
        self.persons: set[str] = set()
        self.particles: set[str] = set()
        self.negations = 0
        self._marker = ""
        self._name = ""  # the name that stands directly before
        self._did = False
        self._condition = False
        self._anybody = False
        self._asked = False
        self._been = False
        self._pronoun = False  # whether the word directly before is one
        self._joint = ""  # the conjunction before the next word, and the word before it
        self._joined = ""
        self._doer = ""  # the subject of the next verb
        self._done = ""  # the verb whose subject or object follows

    def take(self, low: str, *, capital: bool) -> None:
        """Add the next word."""
        if low[0] == "#" and len(low) > 1:
            if low == "#one":
                self.traits.one = True
            else:
                self.values.append(low)
                self._place(low)
            self._name = ""
            return
        name, word, marker, person, moves, negates, fails, transparent, joint = _role_of(low)
        if negates:
            self.negations += 1
        if fails:
            self.traits.trouble = True
        if name.startswith(MARK):  # it chooses what follows, wherever that stands
            self.traits.words.setdefault(name, word)
            self._marker = marker or self._marker
            self._anybody = True
            return
        if low in _ANYBODY:
            self._anybody = True
        if name:
            if capital and word.level != NAME:
                word = Word(low, NAME)
            elif low in self._requests and word.level < CONTENT:
                word = Word(low, CONTENT)
            self.traits.words.setdefault(name, word)
            before = self.order[-1] if self.order else ""
            by = self._marker == "by"
            self._place(name)
            if low not in THIRD_PERSON:
                self._relate(name, low, before, by=by)
            self._pronoun = low in _PRONOUNS
            if word.level == NAME:
                if self._name:
                    self.roles.setdefault("left", []).append(self._name)
                    self.roles.setdefault("right", []).append(name)
                self._name = name
            else:
                self._name = ""
            if marker:
                self._marker = marker
            return
        if joint and self.order:
            self._joint, self._joined = joint, self.order[-1]
        self._name = ""
        self._pronoun = low in _PRONOUNS
        if moves:
            self.particles.add(low)
            if self.order:
                self._note("moved", self.order[-1], low)
        if person == "their":  # without somebody before whom it may mean
            if len(self.order) < 2 and not self._anybody:
                self.persons.add(person)
        elif person:
            self.persons.add(person)
        if marker:
            self._marker = "" if negates and self._inverted and not self.order else marker
        elif not transparent:
            self._marker = ""
        if low in _CONDITIONS:
            self._condition = True
        if low in _BEING:
            self._been = True
        elif low not in _BETWEEN:
            self._done = ""
        if low in ("did", "does", "do"):
            self._did = self._asked = True
        elif low in _MODALS and not self.order:
            self._asked = True
        elif low in ("me", "us") and self.order:
            self.roles.setdefault("me", []).append(self.order[-1])

    def _relate(self, name: str, low: str, before: str, *, by: bool) -> None:
        """Note the subject and the object of verbs where grammar tells them."""
        past = low.endswith("ed") or low in PAST
        if self._doer:
            self._note("agent", name, self._doer)
            self._doer, self._done = "", name
            return
        if self._done:
            self._note("agent" if by else "patient", self._done, name)
            self._done = ""
        elif self._asked:
            self._asked, self._doer = False, name
            return
        if past:
            if self._been and before:
                self._note("patient", name, before)
            elif before and not self._been and not self._pronoun:
                self._note("agent", name, before)
            self._done = name
            self._been = False

    def _note(self, role: str, verb: str, name: str) -> None:
        self.roles.setdefault(role, []).extend((verb, name))

    def _place(self, name: str) -> None:
        self.order.append(name)
        if self._condition:
            self.roles.setdefault("if", []).append(name)
        if self._marker:
            self.roles.setdefault(self._marker, []).append(name)
            self._marker = ""
        if self._joint:
            self._note(self._joint, self._joined, name)
            self._joint = ""
        if self._did:
            self.roles.setdefault("did", []).append(name)
            self._did = False


def _may_be_english(lows: list[str], *, plain: bool) -> bool:
    if plain and FOREIGN.isdisjoint(lows):
        return True
    english = sum(low in _ENGLISH for low in lows)
    foreign = sum(low in FOREIGN for low in lows)
    other = sum(low[0] > "\u024f" for low in lows)  # not a Latin letter
    return foreign <= english and other * 2 <= len(lows)
