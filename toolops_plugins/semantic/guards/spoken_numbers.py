"""Numbers, fractions and times of day as people say them, written as figures (English).

"Half past five", "one and a half hours", "a quarter of", "twice", "two dozen": rewritten word by
word before :mod:`.values` reads them.
"""

from __future__ import annotations

from toolops_plugins.semantic.guards.lexicon import number_words, word_list
from toolops_plugins.semantic.guards.units import UNITS

__all__ = ["TRIGGERS", "rewrite_numbers"]

_NUMBERS = number_words()["numbers"]
_SCALES = number_words()["scales"]

_PARTS = {"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4}
_PARTS |= {"fourth": 4, "fourths": 4, "fifth": 5, "fifths": 5, "eighth": 8, "eighths": 8}
_PARTS |= {"tenth": 10, "tenths": 10}
_SHARES = {2: "#50", 4: "#25", 5: "#20", 10: "#10"}
_DECADES = {
    word: f"#19{number}s"
    for number, word in enumerate(
        word_list("twenties thirties forties fifties sixties seventies eighties nineties"), start=2
    )
}
_DECADES = {word: decade[:4] + "0s" for word, decade in _DECADES.items()}
_SAID = {
    "twice": ("#2", "times"),
    "thrice": ("#3", "times"),
    "fortnight": ("#2", "weeks"),
    "fortnights": ("#2", "weeks"),
} | {word: (decade,) for word, decade in _DECADES.items()}
_RATES = {
    ("mi", "h"): "mph",
    ("km", "h"): "kmh",
    ("mbit", "s"): "mbps",
    ("gbit", "s"): "gbps",
    ("kbit", "s"): "kbps",
}
_BEFORE_TIMES = frozenset(
    word_list("at by until till is around about before after since from past")
)
_MORNING = frozenset(word_list("morning am"))
_LATE = frozenset(word_list("evening afternoon night pm"))

TRIGGERS = frozenset((*_PARTS, *_SAID))
"""Words that stand for a value alone; all others stand beside one."""


def rewrite_numbers(words: list[str], capitals: list[bool]) -> tuple[list[str], list[bool]]:
    """Return the words with what is spoken in them as figures."""
    said: list[str] = []
    marks: list[bool] = []
    at, end = 0, len(words)
    while at < end:
        found = _at(words, at, said)
        if found is None:
            said.append(words[at])
            marks.append(capitals[at])
            at += 1
            continue
        reading, used, taken = found
        if taken:
            del said[-taken:], marks[-taken:]
        said.extend(reading)
        marks.extend([False] * len(reading))
        at += used
    return said, marks


def _at(words: list[str], at: int, said: list[str]) -> tuple[tuple[str, ...], int, int] | None:
    """Return the reading of what begins here, how many words it takes, and how many before it."""
    word = words[at]
    following = words[at + 1 : at + 5]
    if word in _SAID:
        return _SAID[word], 1, 0
    if word in _PARTS:
        return _part(words, at, said)
    if word[:2] == "#t" and following:
        half, used = _half_of_day(words, at + 1)
        hour, _, minute = word[2:].partition(":")
        if half and int(hour) < 13:
            return (_time_of_day(int(hour), int(minute), half),), 1 + used, 0
    number = _figure(word)
    if number is not None and following:
        clock = _clock(words, at, number, said)
        if clock is not None:
            return clock
    if word == "dozen":
        before = _figure(said[-1]) if said else None
        if before is not None:
            return (f"#{before * 12:g}",), 1, 1
    elif (word in ("number", "no", "nr") and following and following[0][0] == "#") or (
        word == "year" and following and following[0][:2] in ("#1", "#2") and len(following[0]) == 5
    ):
        return (), 1, 0
    elif word == "per" and said and following:
        rate = _RATES.get((UNITS.get(said[-1], ""), UNITS.get(following[0], following[0][:1])))
        if rate is not None:
            return (rate,), 2, 1
    elif word in ("degrees", "degree") and following and UNITS.get(following[0]) in ("c", "f"):
        return (), 1, 0
    return None


_DIGITS = 16  # of which a float keeps each one


def _figure(word: str) -> float | None:
    """Return the number that one word stands for, unless it has more digits than can be counted."""
    if word in _NUMBERS:
        return _NUMBERS[word]
    if word[0] == "#" and len(word) <= _DIGITS and word[1:].replace(".", "", 1).isdecimal():
        return float(word[1:])
    return None


def _part(words: list[str], at: int, said: list[str]) -> tuple[tuple[str, ...], int, int] | None:
    """Read a part of one: half, a quarter, two thirds, three and a half."""
    divisor = _PARTS[words[at]]
    after = words[at + 1] if at + 1 < len(words) else ""
    count, taken = 1.0, 0
    if said and said[-1] in ("a", "an", "one"):
        taken = 1
    elif said and words[at][-1] == "s" and (many := _figure(said[-1])) is not None:
        count, taken = many, 1
    elif words[at] != "half" and words[at] != "quarter":
        return None  # an ordinal
    if words[at] in ("half", "quarter") and after in ("past", "to"):
        hour = _figure(words[at + 2]) if at + 2 < len(words) else None
        if hour is None or not 0 < hour < 13:
            return None
        minutes = 60 // divisor
        return (*_time(hour, minutes, words, at + 3, to=after == "to"), taken)
    value = count / divisor
    if len(said) > taken + 1 and said[-1 - taken] == "and":
        whole = _figure(said[-2 - taken])
        if whole is not None:  # three and a half
            return (f"#{whole + value:.4g}",), 1, taken + 2
    if after == "of" or (after == "the" and words[at] == "half"):
        share = _SHARES.get(divisor)
        if share is not None and count == 1:
            return (share, "%"), 1, taken
        return (f"#{value:.4g}",), 1, taken
    if after in ("a", "an") and at + 2 < len(words):
        thing = words[at + 2]
        if thing in _SCALES:
            return (f"#{value * _SCALES[thing]:.10g}",), 3, taken
        if thing in UNITS:
            return (f"#{value:.4g}",), 2, taken
    if after in UNITS or (taken and words[at] != "quarter"):
        return (f"#{value:.4g}",), 1, taken
    return None


def _clock(
    words: list[str], at: int, number: float, said: list[str]
) -> tuple[tuple[str, ...], int, int] | None:
    """Read ten past three, twenty to nine, 7 in the morning."""
    minutes = int(number)
    after = at + 1
    if words[after] in ("minutes", "mins", "min") and after + 1 < len(words):
        after += 1
    if words[after] in ("past", "to") and 0 < minutes < 30 and after + 1 < len(words):
        hour = _figure(words[after + 1])
        close = words[after] == "past" or (said and said[-1] in _BEFORE_TIMES - {"from"})
        if hour is not None and 0 < hour < 13 and close and minutes % 5 == 0:
            reading, used = _time(hour, minutes, words, after + 2, to=words[after] == "to")
            return reading, used + after + 1 - at - 2, 0
    if 0 < number < 13 and number == minutes:
        skip = 1 if words[at + 1] == "oclock" else 0
        half, used = _half_of_day(words, at + 1 + skip)
        if half and (used > 1 or skip):
            return (_time_of_day(minutes, 0, half),), 1 + skip + used, 0
    return None


def _time(
    hour: float, minutes: int, words: list[str], at: int, *, to: bool
) -> tuple[tuple[str, ...], int]:
    half, used = _half_of_day(words, at)
    full = int(hour) - 1 if to else int(hour)
    return (_time_of_day(full or 12, 60 - minutes if to else minutes, half),), 3 + used


def _half_of_day(words: list[str], at: int) -> tuple[str, int]:
    """Return am or pm, and how many words say so: pm, in the evening, at night."""
    for used in (1, 2, 3):
        told = words[at + used - 1] if at + used <= len(words) else ""
        if told in _MORNING | _LATE:
            return ("am" if told in _MORNING else "pm"), used
        if told not in ("in", "the", "at"):
            break
    return "", 0


def _time_of_day(hour: int, minutes: int, half: str) -> str:
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return f"#t{hour}:{minutes:02}"
