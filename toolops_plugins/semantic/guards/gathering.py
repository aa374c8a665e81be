"""The roles of the words of a text, and its traits gathered word by word (English)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from toolops_plugins.semantic.guards.function_words import (
    DROPPED,
    GENERIC,
    MARKERS,
    NEGATORS,
    PARTICLES,
    THIRD_PERSON,
    TROUBLE,
)
from toolops_plugins.semantic.guards.lexicon import word_list
from toolops_plugins.semantic.guards.light_words import ACTING_STEMS, HARMLESS_STEMS, LIGHT_STEMS
from toolops_plugins.semantic.guards.scope import MARK, PRESENT
from toolops_plugins.semantic.guards.stems import PAST, key, stem, without_un
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

__all__ = ["gather_traits"]

_GENERIC = frozenset(map(stem, GENERIC))
_PERSONS = THIRD_PERSON | {"my": "my", "our": "my", "your": "your", "their": "their"}
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
_INVERTING = (_BEING | _MODALS | frozenset(word_list("why how did does has have"))) - {"being"}
"""First words of questions in which "not" stands before the subject: why is not my card."""
_PRONOUNS = frozenset(word_list("i we you they he she it"))
_ANYBODY = frozenset(
    word_list("they someone somebody anyone anybody everyone everybody one who people users")
)
"""Words for people whose "their" names nobody."""
_BETWEEN = frozenset(
    word_list("over up down off out the a an his her its their my your our by who whom")
)
"""Words between a verb and its object."""
_CONDITIONS = frozenset(("if", "unless", "during", "despite"))
"""Words that begin a condition; all words after them restrict the question."""
_JOINTS = {"and": "and", "but": "and", "without": "and", "except": "and", "or": "or"}
"""Words that join what stands on either side of them, with the name of the role."""
_MOVING = PARTICLES | {"before", "after"}


class _WordRole(NamedTuple):
    """The role of a word in a text.

    Args:
        name: Its key; empty for a word that is not compared.
        word: The word and its level.
        marker: The role of the next word.
        pronoun: Whether it is a personal pronoun.
        past: Whether it is the past tense of a verb.
        third: Whether it is a pronoun of the third person.
        anybody: Whether it means people whose "their" names nobody.
        transparent: Whether it leaves the role of the next word alone.
        between: Whether it may stand between a verb and its object.
        plain: Whether all that follows is false or empty.
        negates: Whether it is a negation.
        fails: Whether it says that something does not work.
        moves: Whether it is a small word with an opposite.
        person: Whom it names: "my", "your".
        joint: The role of the words around a conjunction.
        condition: Whether it begins a condition.
        being: Whether it is a form of "be".
        doing: Whether it is a form of "do".
        modal: Whether it is a modal verb.
        receives: Whether it is "me" or "us".
    """

    name: str
    word: Word
    marker: str
    pronoun: bool
    past: bool
    third: bool
    anybody: bool
    transparent: bool
    between: bool
    plain: bool
    negates: bool
    fails: bool
    moves: bool
    person: str
    joint: str
    condition: bool
    being: bool
    doing: bool
    modal: bool
    receives: bool


@lru_cache(maxsize=16384)
def _role_of(low: str) -> _WordRole:
    name, level, negates = "", 0, low in NEGATORS
    marker = MARKERS.get(low, "")
    text = low
    if low in UNITS:
        name, level = "u:" + UNITS[low], NAME
    elif low.startswith(MARK):
        name, level, text = low, NAME, low[len(MARK) :]
        marker = "" if low in PRESENT else text
    elif not (negates or low in DROPPED or low in _MOVING):
        rest = without_un(low) if low[:2] == "un" else None
        negates = rest is not None
        name = key(rest or low)
        level = _level(stem(low), name)
    rare = (
        negates,
        low in TROUBLE,
        low in _MOVING,
        _PERSONS.get(low, ""),
        _JOINTS.get(low, ""),
        low in _CONDITIONS,
        low in _BEING,
        low in ("did", "does", "do"),
        low in _MODALS,
        low in ("me", "us"),
    )
    return _WordRole(
        name,
        Word(text, level),
        marker,
        low in _PRONOUNS,
        low.endswith("ed") or low in PAST,
        low in THIRD_PERSON,
        low in _ANYBODY,
        low in _TRANSPARENT,
        low in _BETWEEN or low in _BEING,
        not any(rare),
        *rare,
    )


def _level(root: str, name: str) -> int:
    if root in ACTING_STEMS:
        return ACTING
    if root in HARMLESS_STEMS:
        return HARMLESS
    if root in _GENERIC or name in _FAILURES:
        return GENERIC_WORD
    return LIGHT if root in LIGHT_STEMS else CONTENT


def gather_traits(
    words: list[str], capitals: list[bool], requests: frozenset[str]
) -> tuple[Traits, int]:
    """Return the traits of a list of words, and how many negations there are.

    One loop over local variables, since this is the largest part of the time that a text takes.

    Args:
        words: Lower-case words, values read.
        capitals: By word, whether it is capitalised where no capital is due.
        requests: The verbs with which clauses ask for something.
    """
    traits = Traits()
    content, roles = traits.words, traits.roles
    values: list[str] = []
    order: list[str] = []
    persons: set[str] = set()
    particles: set[str] = set()
    negations = 0
    inverted = bool(words) and words[0] in _INVERTING
    marker = ""  # the role of the next word
    beside = ""  # the name that stands directly before
    joint = joined = ""  # the conjunction before the next word, and the word before it
    doer = ""  # the subject of the next verb
    done = ""  # the verb whose subject or object follows
    level = 0
    did = condition = anybody = asked = been = after_pronoun = False

    def note(role: str, *names: str) -> None:
        known = roles.get(role)
        roles[role] = names if known is None else known + names

    role: _WordRole | None
    for low, capital in zip(words, capitals, strict=True):
        if low[0] == "#" and len(low) > 1:
            beside = ""
            if low == "#one":
                traits.one = True
                continue
            values.append(low)
            name, role = low, None
        else:
            role = _role_of(low)
            name = role.name
            if role.anybody:
                anybody = True
            if not role.plain:
                if role.negates:
                    negations += 1
                if role.fails:
                    traits.trouble = True
            if not name:
                beside = ""
                after_pronoun = role.pronoun
                if role.marker:
                    marker = "" if role.negates and inverted and not order else role.marker
                elif not role.transparent:
                    marker = ""
                if not role.between:
                    done = ""
                if role.plain:
                    continue
                if role.moves:
                    particles.add(low)
                    if order:
                        note("moved", order[-1], low)
                # "Their" counts only without somebody before whom it may mean.
                if role.person and (role.person != "their" or (len(order) < 2 and not anybody)):
                    persons.add(role.person)
                if role.joint and order and not joint:  # "or without" joins as "or" does
                    joint, joined = role.joint, order[-1]
                if role.condition:
                    condition = True
                if role.being:
                    been = True
                elif role.doing:
                    did = asked = True
                elif role.modal and not order:
                    asked = True
                elif role.receives and order:
                    note("me", order[-1])
                continue
            if name.startswith(MARK):  # it chooses what follows, wherever that stands
                content.setdefault(name, role.word)
                marker = role.marker or marker
                anybody = True
                continue
            word = role.word
            if capital and word.level != NAME:
                word = Word(low, NAME)
            elif word.level < CONTENT and low in requests:
                word = Word(low, CONTENT)
            content.setdefault(name, word)
            level = word.level
        before = order[-1] if order else ""
        by = marker == "by"
        order.append(name)
        if condition:
            note("if", name)
        if marker:
            note(marker, name)
            marker = ""
        if joint:
            note(joint, joined, name)
            joint = ""
        if did:
            note("did", name)
            did = False
        if role is None:
            continue
        if not role.third:  # the subject and the object of verbs, where grammar tells them
            if doer:
                note("agent", name, doer)
                doer, done = "", name
            elif done or not asked:
                if done:
                    note("agent" if by else "patient", done, name)
                    done = ""
                if role.past:
                    if been and before:
                        note("patient", name, before)
                    elif before and not been and not after_pronoun:
                        note("agent", name, before)
                    done, been = name, False
            else:
                asked, doer = False, name
        after_pronoun = role.pronoun
        if level == NAME:
            if beside:
                note("left", beside)
                note("right", name)
            beside = name
        else:
            beside = ""
        marker = role.marker
    traits.values = tuple(sorted(values))
    traits.order = tuple(order)
    traits.persons = frozenset(persons)
    traits.particles = frozenset(particles)
    return traits, negations
