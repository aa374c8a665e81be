"""Words with a common root, such as "taxable" and "tax"."""

from __future__ import annotations

from toolops_plugins.semantic.guards.lexicon import word_list

__all__ = ["share_root"]

_TAILS = frozenset(
    word_list(
        "able ible ance ence ancy ency ation ition ion tion sion ity ty y ure th ize ise izes ised "
        "ized ization isation ment ness ing ed s es ery e al ial ally ically ly d t ption ption "
        "ication ic ical acy cy age ive sis tic nt nce"
    )
)
"""Endings that either word may have; no agents (er, or, ist), no negations (less)."""

_BY_LENGTH = {"age": 5, "al": 5, "ic": 5, "ive": 5, "t": 6, "th": 4, "d": 5, "y": 4}
"""Least length of the root for endings that change the meaning of a short one: pack, package."""


def share_root(one: str, other: str) -> bool:
    """Return whether two lower-case words share a root of four letters or more."""
    if one[:4] != other[:4]:
        return False
    shorter = min(len(one), len(other))
    size = next((at for at in range(shorter) if one[at] != other[at]), shorter)
    while size > 3:
        tails = one[size:], other[size:]
        if all(
            not tail or (tail in _TAILS and size >= _BY_LENGTH.get(tail, 4)) for tail in tails
        ) and not (size < 5 and all(tails)):
            return True
        size -= 1
    return False
