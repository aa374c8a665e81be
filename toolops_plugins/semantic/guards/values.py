"""Numbers, amounts, dates, times, units and identifiers: what must be the same to the letter.

Values are words that begin with ``#``: ``#20`` a number, ``#t17:00`` a time of day, ``#m3`` a
month,
``#w1`` a weekday, ``#r+1`` a day relative to today, ``#u:km`` a unit that stands beside a number,
``#id:e1042`` an identifier. The same in ISO 8601, in figures and in words reads the same.
"""

from __future__ import annotations

import re

from toolops_plugins.semantic.guards.lexicon import number_words, word_list
from toolops_plugins.semantic.guards.spoken_numbers import TRIGGERS, rewrite_numbers
from toolops_plugins.semantic.guards.units import SMALLER, SUFFIXES, UNITS

__all__ = ["VALUE_WORDS", "read_token", "read_values"]

_NUMBERS = number_words()["numbers"]
_SCALES = number_words()["scales"]

_ORDINALS = {
    word: number
    for number, word in enumerate(
        word_list(
            "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
            "thirteenth "
            "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
        ),
        start=1,
    )
}
_MONTHS = {
    form: f"#m{number}"
    for number, forms in enumerate(
        word_list(
            "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug"
            "|september sep sept|october oct|november nov|december dec",
            "|",
        ),
        start=1,
    )
    for form in forms.split()
}
_WEEKDAYS = {
    form: f"#w{number}"
    for number, forms in enumerate(
        word_list(
            "monday mondays mon|tuesday tuesdays tue tues|wednesday wednesdays wed weds"
            "|thursday thursdays thu thur thurs|friday fridays fri|saturday saturdays sat"
            "|sunday sundays sun",
            "|",
        ),
        start=1,
    )
    for form in forms.split()
}
_RELATIVE = {
    "tomorrow": "#r+1",
    "tommorow": "#r+1",
    "tommorrow": "#r+1",
    "tomorow": "#r+1",
    "yesterday": "#r-1",
    "tonight": "#tonight",
    "weekend": "#weekend",
    "weekends": "#weekend",
    "noon": "#t12:00",
    "midday": "#t12:00",
    "midnight": "#t0:00",
}
_UNSURE = frozenset(word_list("may march mar sat sun dec"))
"""Months and days that are other words too; read as such beside a number or a preposition only."""

_BEFORE_DATES = frozenset(
    word_list("in on since until till by last next this of from before after")
)

_PERIODS = frozenset(
    word_list(
        "week month year quarter season weekend semester term decade century spring "
        "summer autumn fall "
        "winter monday tuesday wednesday thursday friday saturday sunday"
    )
)
_TURNS = {"last": "-1", "past": "-1", "next": "+1", "coming": "+1", "this": "0", "current": "0"}

VALUE_WORDS = _PERIODS.union(_NUMBERS, _SCALES, _ORDINALS, _MONTHS, _WEEKDAYS, _RELATIVE, TRIGGERS)
"""Every word that :func:`read_values` may read as a value without a number beside it."""
_FIGURES = TRIGGERS.union(_NUMBERS)

_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?")
_AMOUNT = re.compile(rf"(-?)([$€£¥₹]?)(-?)({_NUMBER.pattern})([a-z%°]*)")
_TIME = re.compile(r"(\d{1,2})[:.h](\d{2})(?::\d{2})?(am|pm)?")
_ISO_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:t(\d{2}:\d{2}).*)?")
_DATE = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})")
_VERSION = re.compile(r"v?\d+(?:\.\d+)+")
_NAMED = re.compile(r"([a-z]{2,})[-_]?(\d+(?:\.\d+)*)")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")
_FRACTION = re.compile(r"(\d)/(\d{1,2})")
_HYPHENED = re.compile(r"(\d+(?:\.\d+)?)-([a-z]{3,}(?:-[a-z]+)*)")
_NTH = re.compile(r"(\d+)(?:st|nd|rd|th)-([a-z-]+)")
_FOLD = re.compile(r"(\d+)x")
_FEET = re.compile(r"([3-8])'(\d{1,2})")
_SUMS = frozenset(small for small, _ in SMALLER.values())
_QUARTER = re.compile("q[1-4]")
_JOINTS = re.compile(r"[-_./\\:,']")


def read_token(low: str) -> list[str]:
    """Return the values that a lower-case token with a digit stands for."""
    match = _FOLD.fullmatch(low)
    if match is not None:
        return [_number(match[1]), "times"]
    match = _AMOUNT.fullmatch(low)
    if match is not None:
        return _amount(*match.groups())
    match = _ISO_DATE.fullmatch(low)
    if match is not None:
        year, month, day, time = match.groups()
        values = _date(year, int(month), int(day))
        return [*values, *read_token(time)] if time else values
    match = _TIME.fullmatch(low)
    if match is not None and int(match[1]) < 25 and int(match[2]) < 60:
        return [_time(int(match[1]), int(match[2]), match[3])]
    match = _DATE.fullmatch(low)
    if match is not None:
        return _numeric_date(match)
    if _VERSION.fullmatch(low):
        return ["#" + low.lstrip("v")]
    if _QUARTER.fullmatch(low):
        return [low[1] + "th", "quarter"]
    match = _FRACTION.fullmatch(low)
    if match is not None and 0 < int(match[1]) < int(match[2]) < 11:
        return [f"#{int(match[1]) / int(match[2]):.4g}"]
    match = _NTH.fullmatch(low)
    if match is not None:
        return [f"{match[1]}th", *match[2].split("-")]
    match = _HYPHENED.fullmatch(low)
    if match is not None:
        return [_number(match[1]), *match[2].split("-")]
    match = _FEET.fullmatch(low)
    if match is not None:
        return [_number(match[1]), "#u:ft", _number(match[2])]
    match = _SPAN.fullmatch(low)
    if match is not None:
        return [_number(match[1]), _number(match[2])]
    match = _NAMED.fullmatch(low)
    if match is not None:
        return [match[1], _number(match[2])]
    return ["#id:" + _JOINTS.sub("", low)]


def _amount(sign: str, symbol: str, inner: str, digits: str, suffix: str) -> list[str]:
    number = _number(digits, sign=sign or inner)
    unit = ["#u:" + UNITS[symbol]] if symbol else []
    if not suffix:
        return [number, *unit]
    if suffix in ("am", "pm") and re.fullmatch(r"\d{1,2}\.[0-5]\d", digits):
        hour, _, minute = digits.partition(".")
        return [_time(int(hour), int(minute), suffix)]
    if suffix == "s" and re.fullmatch("1[89]\\d0|20\\d0|[5-9]0", digits):
        return [f"#{digits if len(digits) == 4 else '19' + digits}s"]
    if suffix in ("am", "pm") and digits.isdecimal() and int(digits) < 13:
        return [_time(int(digits), 0, suffix)]
    if suffix in ("st", "nd", "rd", "th"):
        return [f"{digits}th"]
    scale = 1_000_000 if symbol and suffix in ("m", "mm") else _SCALES.get(suffix)
    if scale is not None:
        return [_scale(number, scale), *unit]
    if suffix in SUFFIXES:
        return [number, "#u:" + SUFFIXES[suffix], *unit]
    if suffix == "s":
        return [number + "s"]
    return ["#id:" + digits + suffix]


def _number(digits: str, *, sign: str = "") -> str:
    """Write a number so that 1,000 and 1000 and 1000.00 agree, and 3.1 and 3.10 do not."""
    if re.fullmatch(r"\d+,\d{1,2}", digits):
        digits = digits.replace(",", ".")
    digits = digits.replace(",", "")
    whole, _, part = digits.partition(".")
    whole = whole.lstrip("0") or "0"
    return f"#{sign}{whole}.{part}" if part.strip("0") else f"#{sign}{whole}"


def _scale(number: str, scale: int) -> str:
    whole, _, part = number[1:].partition(".")
    zeros = len(str(scale)) - 1
    if scale != 10**zeros or len(part) > zeros or "." in part:
        return number + f"*{scale}" if part else f"#{int(whole) * scale}"
    return "#" + str(int(whole + part + "0" * (zeros - len(part))))


def _time(hour: int, minute: int, half: str | None) -> str:
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return f"#t{hour % 24}:{minute:02}"


def _date(year: str, month: int, day: int) -> list[str]:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return [f"#d{year}-{month}-{day}"]
    return [f"#m{month}", f"#{day}", f"#{year}" if len(year) == 4 else f"#20{year}"]


def _numeric_date(match: re.Match[str]) -> list[str]:
    one, other, year = int(match[1]), int(match[3]), match[4]
    if (
        match[2] == "." or one > 12 or one == other
    ):  # 5.3.2024 is German, and never the third of May
        return _date(year, other, one)
    if other > 12:
        return _date(year, one, other)
    return [f"#d{one}/{other}/{year[-2:]}"]  # the fifth of March or the third of May: who knows


def read_values(words: list[str], capitals: list[bool]) -> tuple[list[str], list[bool]]:
    """Return the words with all that stands for a value read as one.

    Args:
        words: Lower-case words; values in figures were read by :func:`read_token`.
        capitals: By word, whether it stood with a capital where none was due.
    """
    if not _FIGURES.isdisjoint(words) or any(word[0] == "#" for word in words):
        words, capitals = rewrite_numbers(words, capitals)
    read: list[str] = []
    marks: list[bool] = []
    index, end = 0, len(words)
    while index < end:
        word = words[index]
        value, used = word, 1
        if word in _NUMBERS or word in _SCALES or _is_number(word):
            value, used = _read_count(words, index)
        elif word in _TURNS and index + 1 < end and words[index + 1] in _PERIODS:
            value, used = f"#r{_TURNS[word]}{words[index + 1]}", 2
        elif word in _RELATIVE:
            value = _RELATIVE[word]
        elif word in _MONTHS or word in _WEEKDAYS:
            if word not in _UNSURE or capitals[index] or _is_date(words, index):
                value = _MONTHS.get(word) or _WEEKDAYS[word]
        elif word in _ORDINALS:
            unit = word == "second" and read and (read[-1] in ("per", "each"))
            value = "#u:s" if unit else f"{_ORDINALS[word]}th"
        elif word == "x" and read and _is_number(read[-1]) and index + 1 < end:
            value = "times"
        elif word == "minus" and not (read and _is_number(read[-1])):
            if index + 1 < end and _is_number(words[index + 1]):
                value, used = "#-" + words[index + 1][1:], 2
        elif word in UNITS:
            value = _unit(words, index, read)
        read.append(value)
        marks.append(capitals[index])
        index += used
    _join_fractions(read, marks)
    _convert(read)
    _add_amounts(read, marks)
    for at, value in enumerate(read):  # the 5th of March is the 5 of a date
        if value.endswith("th") and value[:-2].isdecimal():
            near = read[max(at - 1, 0) : at] + [w for w in read[at + 1 : at + 3] if w != "of"]
            if any(other.startswith("#m") for other in near):
                read[at] = "#" + value[:-2]
    return read, marks


def _join_fractions(read: list[str], marks: list[bool]) -> None:
    """Write a whole number and the fraction behind it as one number, in place."""
    for at in range(len(read) - 1, 0, -1):
        if read[at].startswith("#0.") and read[at - 1][1:].isdecimal() and read[at - 1][0] == "#":
            read[at - 1] = f"{read[at - 1]}{read[at][2:]}"
            del read[at], marks[at]


def _convert(read: list[str]) -> None:
    """Write amounts of large units in the small ones of their kind, in place."""
    for at in range(1, len(read)):
        smaller = SMALLER.get(read[at])
        digits = read[at - 1][1:]
        if smaller is not None and _is_number(read[at - 1]) and len(digits) < 12:
            try:
                number = float(digits) * smaller[1]
            except ValueError:  # an amount written with a scale
                continue
            read[at - 1], read[at] = f"#{number:.10g}", smaller[0]


def _add_amounts(read: list[str], marks: list[bool]) -> None:
    """Write an hour and thirty minutes, both in minutes by now, as one amount, in place."""
    for at in range(len(read) - 1, 2, -1):
        if (
            at >= len(read)
            or read[at][:3] != "#u:"
            or read[at] not in _SUMS
            or not _is_number(read[at - 1])
        ):
            continue
        first = at - 3 if read[at - 2] == "and" else at - 2
        if first > 0 and read[first] == read[at] and _is_number(read[first - 1]):
            total = float(read[first - 1][1:]) + float(read[at - 1][1:])
            read[first - 1] = f"#{total:.10g}"
            del read[first + 1 : at + 1], marks[first + 1 : at + 1]


def _is_number(word: str) -> bool:
    return word[:1] == "#" and word[1:2].isdecimal() and word[-1] != "s"


def _is_date(words: list[str], index: int) -> bool:
    before = words[index - 1] if index else ""
    after = words[index + 1] if index + 1 < len(words) else ""
    return (
        before in _BEFORE_DATES
        or _is_number(before)
        or _is_number(after)
        or (after[:1].isdecimal() and after.endswith("th"))
        or (before[:1].isdecimal() and before.endswith("th"))
    )


def _unit(words: list[str], index: int, read: list[str]) -> str:
    """Read a unit as bound to the number beside it, or leave it a word."""
    word = words[index]
    if (read and _is_number(read[-1])) or word in ("$", "€", "£", "¥", "₹", "%", "°"):
        return "#u:" + UNITS[word]
    money = UNITS[word] in ("usd", "eur", "pound", "yen", "inr", "chf", "cny", "cad", "aud")
    if money and index + 1 < len(words) and _is_number(words[index + 1]):
        return "#u:" + UNITS[word]
    return word


def _read_count(words: list[str], index: int) -> tuple[str, int]:
    """Read the number that begins at ``index``; return it and how many words it took."""
    first = words[index]
    after = words[index + 1] if index + 1 < len(words) else ""
    if first[0] == "#":
        if after in ("am", "pm", "oclock") and first[1:].isdecimal() and int(first[1:]) < 13:
            return _time(int(first[1:]), 0, None if after == "oclock" else after), 2
        if after in _SCALES:
            return _scale(first, _SCALES[after]), 2
        return first, 1
    if first == "one" and after not in _SCALES:
        return ("#1" if after in UNITS else "#one"), 1
    if first in _SCALES and first in ("k", "grand", "mn", "bn", "mio", "mil", "dozen"):
        return ("#12", 1) if first == "dozen" else (first, 1)
    total, group, used, last = 0, 0, 0, 10_000
    for at in range(index, len(words)):
        word = words[at]
        if word == "and" and used and last >= 100 and at + 1 < len(words):
            if words[at + 1] in _NUMBERS:
                used += 1
                continue
            break
        number = _NUMBERS.get(word)
        if number is not None and (number < 10 <= last or number < last >= 100):
            if last < 20:  # nineteen four, five six: two numbers
                break
            group += number
            last = number
        elif number is not None and 10 <= last <= 20 <= number and used == 1 and last != 20 - 10:
            group, last = group * 100 + number, number  # nineteen eighty, twenty twenty
        elif word in _SCALES and (word not in ("k", "grand", "mil", "dozen") or used):
            scale = _SCALES[word]
            if scale == 100:
                group = (group or 1) * 100
            else:
                total, group = total + (group or 1) * scale, 0
            last = scale
        else:
            break
        used += 1
    number = total + group
    after = words[index + used] if index + used < len(words) else ""
    if after in _ORDINALS and _ORDINALS[after] < 10 and 20 <= number < 100:
        return f"{number + _ORDINALS[after]}th", used + 1
    if after in ("am", "pm", "oclock") and 0 < number < 13:
        return _time(number, 0, None if after == "oclock" else after), used + 1
    return f"#{number}", max(used, 1)
