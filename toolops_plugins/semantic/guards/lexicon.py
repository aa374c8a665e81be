"""The word lists of the guards, read from the files in ``english/``.

Each file begins with comments that describe it, up to the first empty line. All files are read when
this module is imported, since guards also run on event loops, which file reads would block.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

__all__ = [
    "class_lists",
    "courtesies",
    "entries",
    "expand_phrase",
    "function_words",
    "irregular_forms",
    "lines",
    "number_words",
    "synonyms",
    "units",
    "word_list",
    "word_set",
]

_FOLDER = files("toolops_plugins.semantic.guards").joinpath("english")
_COURTESIES = (
    files("toolops_plugins.semantic.guards").joinpath("courtesies.toml").read_text("utf-8")
)
_TEXTS = {file.name: file.read_text("utf-8") for file in _FOLDER.iterdir()}


def word_list(text: str, separator: str | None = None) -> list[str]:
    """Split a text into a list, by default into its words."""
    return text.split(separator)


def lines(name: str) -> list[str]:
    """Return the lines of a file."""
    return _body(name).splitlines()


def word_set(name: str) -> frozenset[str]:
    """Return the words of a file that has one word a line."""
    return frozenset(_body(name).split())


@cache
def class_lists(name: str) -> tuple[tuple[str, ...], ...]:
    """Return the classes of a file that has one class a line, its words separated by spaces."""
    return tuple(tuple(line.split()) for line in lines(name))


@cache
def entries(name: str) -> tuple[tuple[str, str], ...]:
    """Return the entries of a file that has one a line: a word, a colon and a value."""
    pairs = (line.partition(": ") for line in lines(name))
    return tuple((head, rest) for head, _, rest in pairs)


@cache
def function_words() -> dict[str, Any]:
    """Return the lists and tables of ``function_words.toml`` by their names."""
    return _tables("function_words.toml")


@cache
def courtesies() -> dict[str, dict[str, list[str]]]:
    """Return the courtesies of ``courtesies.toml`` by language and place."""
    return tomllib.loads(_COURTESIES)


@cache
def number_words() -> dict[str, dict[str, int]]:
    """Return the tables ``numbers`` and ``scales``: number words with their values."""
    return _tables("numbers.toml")


@cache
def synonyms() -> tuple[tuple[str, ...], ...]:
    """Return the classes of synonyms, without the stars of ``synonyms.txt``."""
    return tuple(tuple(word.rstrip("*") for word in words) for words in class_lists("synonyms.txt"))


@cache
def units() -> dict[str, str]:
    """Return the units and currencies by every form of theirs."""
    return {form: unit for unit, forms in entries("units.txt") for form in forms.split()}


@cache
def irregular_forms() -> dict[str, str]:
    """Return the base of every irregular form; a base form is its own."""
    return {form: line[0] for line in class_lists("irregular_forms.txt") for form in line}


def expand_phrase(phrase: str) -> list[str]:
    """Return the phrases that a pattern such as ``can/could you please/- tell me`` stands for.

    A slash separates alternatives; a hyphen stands for no word.
    """
    if "/" not in phrase:
        return [phrase]
    choices = product(*(word.split("/") for word in phrase.split()))
    return [" ".join(word for word in choice if word != "-") for choice in choices]


def _body(name: str) -> str:
    """Return a file without the comments at its beginning."""
    return _TEXTS[name].partition("\n\n")[2]


def _tables(name: str) -> dict[str, Any]:
    return tomllib.loads(_TEXTS[name])
