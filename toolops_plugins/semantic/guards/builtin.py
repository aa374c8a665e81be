"""The built-in guards: numbers, negation, unread, kind, words and order."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from toolops_plugins.semantic.guards.function_words import PARTICLE_OPPOSITES
from toolops_plugins.semantic.guards.lexicon import word_list
from toolops_plugins.semantic.guards.light_words import CATEGORIES
from toolops_plugins.semantic.guards.pairing import Pair
from toolops_plugins.semantic.guards.question_kinds import IMPLIED, are_in_conflict
from toolops_plugins.semantic.guards.relations import (
    find_conjunctions,
    find_exchange,
    role_swap,
)
from toolops_plugins.semantic.guards.stems import in_family, key, opposites_of
from toolops_plugins.semantic.guards.traits import ACTING, LIGHT, NAME, Traits, Word
from toolops_plugins.semantic.guards.units import UNITS
from toolops_plugins.semantic.guards.unread import is_readable

__all__ = ["BUILT_IN", "Veto"]


class Veto(NamedTuple):
    """The reason why a cached candidate must not answer a question.

    Args:
        guard: The name of the guard.
        reason: The difference, in plain words.
    """

    guard: str
    reason: str


_UNITS = frozenset("u:" + unit for unit in UNITS.values())
"""Keys of units without a number."""
_REPAIR = key("fix")
_FAILURE = key("fail")
_TROUBLED = frozenset(map(key, word_list("declined rejected refused denied error stuck")))
"""Keys of specific failures, which a text that only mentions a failure may mean."""


def numbers(pair: Pair) -> Veto | None:
    """Veto different numbers, amounts, dates, times, units, identifiers and symbols."""
    question, candidate = pair.question, pair.candidate
    if question.whole or candidate.whole:
        if question.whole == candidate.whole:
            return None
        return Veto("numbers", "one of the texts is too long to be read, and they differ")
    if question.symbols != candidate.symbols:
        mine, other = (_symbols_of(pair, traits) for traits in (question, candidate))
        return Veto("numbers", _difference("symbols", mine, other))
    if question.values == candidate.values:
        return None
    single = pair.digest("#1")
    mine = _values_without_match(question, candidate, single)
    other = _values_without_match(candidate, question, single)
    if not mine and not other:
        return None
    return Veto("numbers", _difference("numbers", _values(pair, mine), _values(pair, other)))


def _symbols_of(pair: Pair, traits: Traits) -> list[str]:
    if not traits.hashed:
        return list(traits.symbols)
    names = {pair.digest(symbol): symbol for symbol in pair.plain.symbols}
    return [names.get(symbol, "") for symbol in traits.symbols]


def _values_without_match(ours: Traits, theirs: Traits, single: str) -> list[str]:
    """Return the values that only one text has; 1 matches the word "one"."""
    missing = [value for value in ours.values if value not in theirs.values]
    return [value for value in missing if not (value == single and theirs.one)]


def _values(pair: Pair, values: list[str]) -> list[str]:
    names = pair.names() if pair.question.hashed else None
    shown = values if names is None else [names.get(value, "") for value in values]
    return [_readable(value) for value in shown]


def _readable(value: str) -> str:
    return value.removeprefix("#").removeprefix("id:").removeprefix("u:")


def _difference(what: str, mine: list[str], other: list[str]) -> str:
    if mine and other and all(mine) and all(other):
        return f"the {what} differ: {_quote(mine)} and {_quote(other)}"
    if not other and all(mine):
        return f"only the question has {_quote(mine)}"
    if not mine and all(other):
        return f"only the candidate has {_quote(other)}"
    return f"the {what} differ"


def _quote(words: list[str]) -> str:
    return ", ".join(f'"{word}"' for word in words[:4])


def negation(pair: Pair) -> Veto | None:
    """Veto a negation or an opposite in one text only."""
    question, candidate = pair.question, pair.candidate
    if not (question.english and candidate.english):
        if question.negated != candidate.negated and question.english == candidate.english:
            return Veto("negation", "one of the two is negated, the other is not")
        return None
    turned = None
    mine, other = (
        _words_without_match(question, candidate),
        _words_without_match(candidate, question),
    )
    if mine and other:
        for name, word in pair.plain.words.items():
            if pair.digest(name) in mine:
                for rival in sorted(opposites_of(name)):  # so that the reason is always the same
                    if pair.digest(rival) in other:
                        its = candidate.words[pair.digest(rival)].text
                        turned = (word.text, its or rival)
                        break
    if turned is None and question.particles != candidate.particles:
        for small in question.particles - candidate.particles:
            if PARTICLE_OPPOSITES[small] in candidate.particles - question.particles:
                turned = (small, PARTICLE_OPPOSITES[small])
    differs = question.negated != candidate.negated
    if turned is not None:
        return (
            None if differs else Veto("negation", f'"{turned[0]}" is the opposite of "{turned[1]}"')
        )
    flipped = "" if turned else _find_lone_negation(question, candidate)
    if flipped:
        return Veto("negation", _describe_negation(pair, flipped))
    if not differs and question.trouble == candidate.trouble:
        return None
    if (question.negated or question.trouble) == (candidate.negated or candidate.trouble):
        return None
    if not differs and pair.digest(_REPAIR) in {**question.words, **candidate.words}:
        return None  # a request for a repair implies a failure
    negative = "question" if question.negated or question.trouble else "candidate"
    return Veto("negation", f"only the {negative} is negated")


def _find_lone_negation(question: Traits, candidate: Traits) -> str:
    """Return a word with content that only one text negates, where it negates more, or nothing."""
    mine, other = question.roles.get("not", ()), candidate.roles.get("not", ())
    if len(mine) == len(other):
        return ""
    if len(mine) < len(other):
        mine, other, candidate = other, mine, question
    for name in mine:
        word = candidate.words.get(name)
        if word is not None and word.level >= LIGHT and name not in other:
            return name
    return ""


def _describe_negation(pair: Pair, name: str) -> str:
    word = pair.names().get(name, "")
    return f'"{word}" is negated in one of the two' if word else "only one of the two is negated"


def _words_without_match(ours: Traits, theirs: Traits) -> list[str]:
    return [name for name in ours.words if name not in theirs.words]


def unread(pair: Pair) -> Veto | None:
    """Veto texts that no guard can read, unless they are near repeats.

    Such are texts that are not confidently in a language that the guards have word lists of: mixed
    texts, code, formulas, commands, addresses, texts about words, symbols. Of languages of which
    they have short ones, only texts of equal content are read.
    """
    if is_readable(pair) or pair.is_near_repeat():
        return None
    question, candidate = pair.question.language, pair.candidate.language
    if pair.question.content and pair.candidate.content and question == candidate:
        return Veto("unread", _content_difference(pair))
    if question == candidate:
        name = f'the language "{question}"' if question else "this notation or language"
        return Veto("unread", f"no guard knows {name}, and the texts are no near repeats")
    return Veto("unread", "the texts are not surely in one language that the guards know")


def _content_difference(pair: Pair) -> str:
    """Return how the contents of two texts in one of the other languages differ."""
    mine = pair.question.content.units if pair.question.content else ()
    other = pair.candidate.content.units if pair.candidate.content else ()
    plain = pair.plain.content.units if pair.plain.content else ()
    names = {pair.digest(unit): unit for unit in plain}
    ours, theirs = (
        [names.get(unit, "" if pair.question.hashed else unit).removeprefix("v:") for unit in units]
        for units in (
            [unit for unit in mine if unit not in other],
            [unit for unit in other if unit not in mine],
        )
    )
    if not ours and not theirs:
        return "the words agree, but not their order or their articles"
    return _difference("words", ours, theirs)


def kind(pair: Pair) -> Veto | None:
    """Veto different kinds of question, where both are known."""
    mine, other = pair.question.kind, pair.candidate.kind
    if not are_in_conflict(mine, other):
        return None
    return Veto("kind", f'one asks "{mine}", the other "{other}"')


def order(pair: Pair) -> Veto | None:
    """Veto swapped subjects, objects, origins or destinations."""
    question, candidate = pair.question, pair.candidate
    if not (question.english and candidate.english):
        return None
    if question.persons != candidate.persons:
        mine, other = question.persons - candidate.persons, candidate.persons - question.persons
        if (mine and other) or "their" in mine | other:
            return Veto("order", _difference("persons", sorted(mine), sorted(other)))
    why = role_swap(question, candidate, pair.digest)
    return None if why is None else Veto("order", why)


def words(pair: Pair) -> Veto | None:
    """Veto a content word in place of another, and an additional word that restricts."""
    question, candidate = pair.question, pair.candidate
    if question.whole or candidate.whole:
        if question.whole == candidate.whole:
            return None
        return Veto("words", "one of the texts is too long to be read, and they differ")
    if not (question.english and candidate.english):
        return None
    mine, other = pair.left()
    joints = find_conjunctions(question, candidate, pair.found)
    if joints is not None:
        return Veto("words", f'"{joints[0]}" and "{joints[1]}" join the same words')
    exchanged = find_exchange(question, candidate, pair.found)
    if exchanged is not None:
        return Veto("words", _exchange(pair, *exchanged))
    if not mine and not other:
        return None
    if mine and other:
        units = _hash_names(_UNITS, pair)
        if not units.isdisjoint(mine) and not units.isdisjoint(other):
            ours, theirs = _texts_of(pair, _only(mine, units)), _texts_of(pair, _only(other, units))
            return Veto("words", _difference("units", ours, theirs))
    strong = _strong(pair, mine, candidate, question)
    rival = _strong(pair, other, question, candidate)
    if not rival and strong:
        strong = _weighty(pair, strong, question)
    elif not strong and rival:
        rival = _weighty(pair, rival, candidate)
    if not strong and not rival:
        strong, rival = _verbs_of_little_content(mine), _verbs_of_little_content(other)
        if not strong or not rival:
            return None
    return Veto("words", _difference("words", _texts_of(pair, strong), _texts_of(pair, rival)))


def _strong(pair: Pair, left: dict[str, Word], theirs: Traits, ours: Traits) -> dict[str, Word]:
    """Return the unmatched words of one side that change the question."""
    strong = {}
    fails = theirs.trouble and ours.trouble and pair.digest(_FAILURE) in theirs.words
    fails = fails or (ours.trouble and theirs.negated and not ours.negated)
    troubled = {pair.digest(trouble) for trouble in (*_TROUBLED, _FAILURE)} if fails else ()
    implied = IMPLIED.get(theirs.kind) or IMPLIED.get(ours.kind)
    conditions = ours.roles.get("if", ())
    for name, word in left.items():
        if word.level <= ACTING and name not in conditions:
            continue
        if implied is not None and any(pair.digest(noun) == name for noun in implied):
            continue
        if fails and name in troubled:
            continue
        strong[name] = word
    return strong


def _exchange(pair: Pair, first: str, second: str) -> str:
    names = pair.names()
    one, other = names.get(first, ""), names.get(second, "")
    if not one or not other:
        return "one of the repeated words is exchanged for another"
    return f'"{one}" stands in place of "{other}"'


def _hash_names(names: frozenset[str], pair: Pair) -> frozenset[str]:
    return frozenset(map(pair.digest, names)) if pair.question.hashed else names


def _only(left: dict[str, Word], names: frozenset[str]) -> dict[str, Word]:
    return {name: word for name, word in left.items() if name in names}


def _verbs_of_little_content(left: dict[str, Word]) -> dict[str, Word]:
    return {name: word for name, word in left.items() if word.level == ACTING}


def _weighty(pair: Pair, strong: dict[str, Word], ours: Traits) -> dict[str, Word]:
    """Return the words that restrict one side where the other has no word instead."""
    return {
        name: word
        for name, word in strong.items()
        if name in ours.roles.get("if", ())
        or not (word.level == LIGHT or (_in(pair, name, CATEGORIES) and _beside_name(name, ours)))
    }


def _in(pair: Pair, name: str, words: frozenset[str]) -> bool:
    return name in _hash_names(words, pair)


def _beside_name(name: str, traits: Traits) -> bool:
    at = traits.order.index(name)
    return any(
        word is not None and (word.level == NAME or in_family(word.text))
        for beside in traits.order[max(at - 1, 0) : at + 2]
        if beside != name
        for word in [traits.words.get(beside)]
    )


def _texts_of(pair: Pair, words: dict[str, Word]) -> list[str]:
    names = pair.names() if pair.question.hashed else {}
    return [word.text or names.get(name, "") for name, word in words.items()]


BUILT_IN: dict[str, Callable[[Pair], Veto | None]] = {
    "numbers": numbers,
    "negation": negation,
    "unread": unread,
    "kind": kind,
    "words": words,
    "order": order,
}
"""The built-in guards by name. Those that count as evidence under a bound come after those that
always veto, since the first veto is the one that counts."""
