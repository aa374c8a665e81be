"""Function words and contractions (English)."""

from __future__ import annotations

from toolops_plugins.semantic.guards import lexicon

__all__ = [
    "ALSO_FOREIGN",
    "AUXILIARIES",
    "CONTRACTIONS",
    "DROPPED",
    "FIRST_PERSON",
    "FOREIGN",
    "FOREIGN_NEGATORS",
    "GENERIC",
    "MARKERS",
    "NEGATORS",
    "PARTICLES",
    "PARTICLE_OPPOSITES",
    "PREPOSITIONS",
    "SECOND_PERSON",
    "THIRD_PERSON",
    "TROUBLE",
]

_WORDS = lexicon.function_words()

AUXILIARIES = frozenset(_WORDS["auxiliaries"])
"""Verbs that carry only tense, mood or a question."""

FIRST_PERSON = frozenset(_WORDS["first_person"])
SECOND_PERSON = frozenset(_WORDS["second_person"])
THIRD_PERSON: dict[str, str] = _WORDS["third_person"]
"""Pronouns that name somebody, so that a swap asks about somebody else."""

PREPOSITIONS = frozenset(_WORDS["prepositions"])
"""Words after which a noun restricts the question."""

DROPPED = AUXILIARIES | FIRST_PERSON | SECOND_PERSON | PREPOSITIONS | frozenset(_WORDS["fillers"])
"""Words that are left out of every comparison."""

PARTICLES = frozenset(_WORDS["particles"])
"""Small words that are compared with their opposites only."""

PARTICLE_OPPOSITES: dict[str, str] = _WORDS["particle_opposites"]
"""Small words and their opposites."""

NEGATORS = frozenset(_WORDS["negators"])
"""Words that negate a statement."""

TROUBLE = frozenset(_WORDS["trouble"])
"""Words that say that something does not work, as a negated verb also does."""

GENERIC = frozenset(_WORDS["generic"])
"""Words of so little content that a question asks the same without them."""

MARKERS: dict[str, str] = _WORDS["role_markers"]
"""Words that give the next content word a role, with the role."""

CONTRACTIONS: dict[str, str] = _WORDS["contractions"]
"""Short forms, with and without apostrophes, and their full forms."""

ALSO_FOREIGN = frozenset(_WORDS["also_foreign"])
"""Small English words that other languages have too."""

FOREIGN = frozenset(_WORDS["foreign"])
"""Function words of other languages that English does not have, without accents."""

FOREIGN_NEGATORS = frozenset(_WORDS["foreign_negators"])
"""Words that negate a statement in a text that is not English."""
