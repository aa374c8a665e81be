"""Phrasal verbs and idioms with a single word of the same meaning (English).

Each is listed in its base form; :func:`phrase_forms` adds the others: put out, puts out, putting
out, put it out.
"""

from __future__ import annotations

from collections.abc import Iterator

from toolops_plugins.semantic.guards.lexicon import entries
from toolops_plugins.semantic.guards.stems import PAST, forms_of

__all__ = ["phrase_forms"]


def phrase_forms() -> Iterator[tuple[str, str]]:
    """Yield every form of every phrase with its single word."""
    for reading, phrase in entries("phrasal_verbs.txt"):
        first, _, rest = phrase.partition(" ")
        for form in forms_of(first):
            read = past_of(reading) if form in PAST or form.endswith("ed") else reading
            yield f"{form} {rest}", read
            if " " not in rest:
                yield f"{form} it {rest}", read
                yield f"{form} them {rest}", read


def past_of(verb: str) -> str:
    """Return the regular past tense, which suffices since words are compared by their stems."""
    return verb + "ed"[verb.endswith("e") :]
