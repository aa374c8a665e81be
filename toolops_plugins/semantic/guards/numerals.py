"""Number words."""

from __future__ import annotations

from toolops_plugins.semantic.guards.listing import listed

__all__ = ["SCALES", "SPELT"]

SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "k": 1_000,
    "grand": 1_000,
    "million": 1_000_000,
    "mio": 1_000_000,
    "mn": 1_000_000,
    "billion": 1_000_000_000,
    "bn": 1_000_000_000,
    "trillion": 1_000_000_000_000,
    "lakh": 100_000,
    "crore": 10_000_000,
    "dozen": 12,
    "mil": 1_000_000,
}
SPELT = {
    word: number
    for number, words in enumerate(
        listed(
            "zero null,|one eins|two zwei deux dos due dois twee|three drei trois tres tre drie"
            "|four vier quatre cuatro quattro quatro|five funf cinq cinco cinque vijf|six sechs "
            "seis sei"
            "|seven sieben sept siete sette sete zeven|eight acht huit ocho otto oito"
            "|nine neun neuf nueve nove negen|ten zehn dix diez dieci dez "
            "tien|eleven|twelve|thirteen"
            "|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen",
            "|",
        )
    )
    for word in words.replace("null,", "").split()
} | {
    word: 10 * number
    for number, word in enumerate(
        listed("twenty thirty forty fifty sixty seventy eighty ninety"), start=2
    )
}
SPELT |= {"fourty": 40, "ninty": 90, "fourtyfive": 45}
