"""Roles of words in two texts, and the roles that are swapped (English)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from toolops_plugins.semantic.guards.function_words import PARTICLE_OPPOSITES, PARTICLES
from toolops_plugins.semantic.guards.lexicon import function_words, word_list
from toolops_plugins.semantic.guards.stems import key
from toolops_plugins.semantic.guards.traits import LIGHT, Traits
from toolops_plugins.semantic.guards.units import UNITS

__all__ = ["TWO_SIDED", "find_conjunctions", "find_exchange", "pairs_in", "role_swap"]

TWO_SIDED = frozenset(map(key, function_words()["two_sided_verbs"]))
"""Keys of verbs between two parties, so that swapping them matters."""
_UNITS = frozenset("#u:" + unit for unit in UNITS.values())
_MONTHS = frozenset(f"#m{month}" for month in range(1, 13))
_ALIKE = (
    {"in", "on"},
    {"in", "inside"},
    {"out", "outside"},
    {"over", "above"},
    {"under", "below"},
)
"""Particles that may stand for one another after a word: log in, log on."""
_SUBJECTS = frozenset(
    word_list("i me did left right if agent patient moved and or not"),
)
"""Roles that are no prepositions; they have rules of their own."""

_EXCHANGING = (key("replace"), key("substitute"), key("exchange"))
_BOTH_WAYS = ("with", "for", "in", "on")
"""Roles whose words are compared only with themselves."""


def role_swap(question: Traits, candidate: Traits, digest: Callable[[str], str]) -> str | None:
    """Return how two texts swap roles among words that both have, or None."""
    if question.order == candidate.order and question.roles == candidate.roles:
        return None
    return _find_swap(question, candidate, digest) or _find_swap(candidate, question, digest)


def _find_swap(question: Traits, candidate: Traits, digest: Callable[[str], str]) -> str | None:
    mine, other = question.roles, candidate.roles
    for role, names in mine.items():
        rivals = other.get(role)
        if rivals is None or names == rivals or role in _SUBJECTS:
            continue
        gone, come = set(names).difference(rivals), set(rivals).difference(names)
        both = gone and come and gone.issubset(candidate.order) and come.issubset(question.order)
        strict = role not in _BOTH_WAYS or (
            role == "with" and any(digest(verb) in question.order for verb in _EXCHANGING)
        )
        if both and (strict or _elsewhere(gone, come, question, candidate)):
            return f'what stands after "{role}" is swapped with something else'
    if ("not" in mine or "not" in other) and _swap_negations(question, candidate):
        return "what is negated is swapped with something else"
    for role, names in mine.items():
        against = PARTICLE_OPPOSITES.get(role)
        rivals = other.get(against) if against else None
        if rivals and role not in other and not set(names).isdisjoint(rivals):
            return f'"{role}" and "{against}" are swapped'
    if len(question.values) > 1 and len(candidate.values) > 1:
        ours_numbered, theirs_numbered = (
            _numbers_by_word(question, digest),
            _numbers_by_word(candidate, digest),
        )
        for name, number in ours_numbered.items():
            rival = theirs_numbered.get(name, number)
            if rival != number and number in candidate.values and rival in question.values:
                return "the numbers belong to other words"
    if "i" in mine and "me" in other and not set(mine["i"]).isdisjoint(other["me"]):
        return "who does it and to whom it is done are swapped"
    if "left" in mine and "left" in other:
        sides = zip(mine["left"], mine["right"], strict=True)
        if not set(sides).isdisjoint(zip(other["right"], other["left"], strict=True)):
            return "the names stand in another order"
    verbs = frozenset(map(digest, TWO_SIDED)) if question.hashed else TWO_SIDED
    if "agent" in mine and "patient" in other and _is_turned(question, candidate, verbs):
        return "who does it and to whom it is done are swapped"
    if "moved" in mine and "moved" in other:
        theirs, ours = pairs_in(other, "moved"), pairs_in(mine, "moved")
        turned = _other_particles(ours, theirs)
        if turned is not None:
            return f'"{turned[0]}" and "{turned[1]}" turn the same word'
    return _swap_around_verb(question, candidate, verbs)


def _other_particles(
    ours: set[tuple[str, str]], theirs: set[tuple[str, str]]
) -> tuple[str, str] | None:
    """Return the particles if one word has another in each text, as in "sign in" and "sign up"."""
    for word, particle in sorted(ours - theirs):
        for rival, other in sorted(theirs - ours):
            both = {particle, other}
            if word == rival and len(both) == 2 and both <= PARTICLES and both not in _ALIKE:
                return particle, other
    return None


def _is_turned(question: Traits, candidate: Traits, verbs: frozenset[str]) -> bool:
    """Return whether one who does something in the question has it done in the candidate."""
    mine, other = question.roles, candidate.roles
    turned = pairs_in(mine, "agent") & pairs_in(other, "patient") - pairs_in(other, "agent")
    if not turned:
        return False
    asked = question.kind == candidate.kind and (
        question.kind == "who" or (question.kind == "what" and len(question.order) < 4)
    )
    if asked or "by" in mine or "by" in other or any(verb in verbs for verb, _ in turned):
        return True
    return bool(pairs_in(mine, "patient") & pairs_in(other, "agent") - pairs_in(other, "patient"))


def pairs_in(roles: dict[str, tuple[str, ...]], role: str) -> set[tuple[str, str]]:
    """Return the pairs of words that a role holds: verbs with who does it, or to whom."""
    names = roles.get(role, ())
    return set(zip(names[::2], names[1::2], strict=True))


def find_conjunctions(
    question: Traits, candidate: Traits, found: dict[str, str]
) -> tuple[str, str] | None:
    """Return the two conjunctions if "and" and "or" join the same two words, or None."""
    for one, other in (("and", "or"), ("or", "and")):
        if one not in question.roles or other not in candidate.roles:
            continue
        mine = {
            frozenset((found.get(before, before), found.get(after, after)))
            for before, after in pairs_in(question.roles, one) - pairs_in(question.roles, other)
        }
        if not mine.isdisjoint(map(frozenset, pairs_in(candidate.roles, other))):
            return one, other
    return None


def find_exchange(
    question: Traits, candidate: Traits, found: dict[str, str]
) -> tuple[str, str] | None:
    """Return two words of both texts of which each is repeated in one text only, or None.

    "I have a lid and a hinge: is the lid covered" and "... is the hinge covered" have equal words.
    """
    ours, theirs = question.order, candidate.order
    if len(ours) == len(set(ours)) and len(theirs) == len(set(theirs)):
        return None
    mine = Counter(found.get(name, name) for name in ours)
    other = Counter(theirs)
    more = [name for name in mine if mine[name] > other[name] > 0]
    less = [name for name in other if other[name] > mine[name] > 0]
    words = candidate.words
    for first in more:
        for second in less:
            if (
                first in words
                and second in words
                and min(words[first].level, words[second].level) >= LIGHT
            ):
                return first, second
    return None


def _swap_negations(question: Traits, candidate: Traits) -> bool:
    """Return whether of two words that are joined in both texts either negates another."""
    mine, other = (
        {name for role in ("not", "without") for name in traits.roles.get(role, ())}
        for traits in (question, candidate)
    )
    return any(
        (first in mine - other and second in other - mine)
        or (first in other - mine and second in mine - other)
        for first, second in pairs_in(question.roles, "and") | pairs_in(question.roles, "or")
    )


def _elsewhere(gone: set[str], come: set[str], question: Traits, candidate: Traits) -> bool:
    """Return whether words have other roles, not only other places, in the other text."""
    return any(gone & set(names) for names in candidate.roles.values()) and any(
        come & set(names) for names in question.roles.values()
    )


def _swap_around_verb(question: Traits, candidate: Traits, verbs: frozenset[str]) -> str | None:
    mine = question.order
    if verbs.isdisjoint(mine):
        return None
    places = {name: at for at, name in enumerate(candidate.order)}
    flipped = ("by" in question.roles) != ("by" in candidate.roles)
    for at in range(1, len(mine) - 1):
        verb = mine[at]
        if verb not in verbs or verb not in places:
            continue
        subject, thing = mine[at - 1], mine[at + 1]
        if subject == thing or subject not in places or thing not in places:
            continue
        before, after = places[subject] < places[verb], places[thing] > places[verb]
        if before and after:
            if flipped:
                return "who does it and to whom it is done are swapped"
        elif not before and not after and not flipped:
            return "who does it and to whom it is done are swapped"
    return _swap_in_question(question, candidate, verbs)


def _numbers_by_word(traits: Traits, digest: Callable[[str], str]) -> dict[str, str]:
    """Return the number directly before a word or unit, by that: 2 adults and 3 children."""
    units, months = _UNITS, _MONTHS
    if traits.hashed:
        units, months = frozenset(map(digest, units)), frozenset(map(digest, months))
    values = frozenset(traits.values) - units
    order = ("", *traits.order, "")
    return {
        order[at + 1]: order[at]
        for at in range(1, len(order) - 1)
        if order[at] in values
        and order[at + 1] not in values
        and order[at - 1] not in months  # May 5, and what comes after it
    }


def _swap_in_question(some: Traits, rest: Traits, verbs: frozenset[str]) -> str | None:
    """Find the swap between "which countries did France invade" and "... invaded France"."""
    for doer in some.roles.get("did", ()):
        at = some.order.index(doer)
        verb = some.order[at + 1] if at + 1 < len(some.order) else ""
        if verb in verbs and "did" not in rest.roles and "by" not in rest.roles:
            for one, following in pairwise(rest.order):
                if one == verb and following == doer:
                    return "who does it and to whom it is done are swapped"
    return None
