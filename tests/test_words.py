"""Names and first lines that a reader understands at once: verbs for functions, plain sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Shares of functions that may be named by a participle: some are names of the field or a framework.
LIMITS = (("toolops_plugins", 0.02), ("integrations", 0.02), ("tests", 0.05), ("benchmarks", 0.02))
QUESTIONS = {"What", "Whether", "Which", "How", "Where", "Who", "Why", "When"}
# Irregular participles that no verb or noun of the field is spelt like.
IRREGULAR = frozenset(
    """
    begun bought brought broken built carried caught chosen dealt done drawn driven fallen fed felt
    flown forgotten fought found frozen given gone grown heard held hidden kept known laid lain led
    left lent lost made meant met paid said seen sent settled shaken shown sold spent spoken stolen
    stood struck sunk swept sworn swung taken thought thrown told torn understood woken won worn
    written
    """.split()  # noqa: SIM905 - a list of words reads best as text
)
# Words with the ending of a participle that are none.
OTHERS = frozenset(
    """
    aembed abring anything aping bring ceiling during embed embedding everything exceed feed hundred
    indeed king need nothing proceed ring seed shed sibling something speed spring string succeed
    thing timing
    """.split()  # noqa: SIM905 - as above
)
PREDICATES = ("is_", "has_", "was_", "can_")


def is_participle(word: str) -> bool:
    if word in OTHERS:
        return False
    regular = word.endswith("ed") and len(word) > 3
    return regular or word in IRREGULAR or (word.endswith("ing") and len(word) > 4)


# By patterns, since parsing all files takes seconds.
FUNCTION = re.compile(r"^ *(?:async )?def _*(\w+?)_*\(", re.MULTILINE)
DOCSTRING = re.compile(r'\A(?:#.*\n)*r?"""(.*)')


@cache
def modules(folder: str) -> dict[Path, str]:
    paths = sorted((ROOT / folder).rglob("*.py"))
    return {path: path.read_text(encoding="utf-8") for path in paths}


def names_in(text: str) -> Iterator[str]:
    for name in FUNCTION.findall(text):
        if not name.startswith(("test_", *PREDICATES)):  # a test's name is a sentence
            yield name


@pytest.mark.parametrize(("folder", "most"), LIMITS)
def test_functions_are_named_by_verbs(folder, most):
    names = [name for text in modules(folder).values() for name in names_in(text)]
    named = [name for name in names if any(map(is_participle, ends(name)))]
    assert len(named) <= most * len(names), sorted(named)


def ends(name: str) -> tuple[str, str]:
    words = name.split("_")
    return words[0], words[-1]


@pytest.mark.parametrize("folder", [folder for folder, _ in LIMITS])
def test_no_module_docstring_opens_with_a_question_word(folder):
    found = [
        f"{path.relative_to(ROOT)}: {match[1]}"
        for path, text in modules(folder).items()
        if (match := DOCSTRING.match(text)) and match[1].partition(" ")[0] in QUESTIONS
    ]
    assert not found


@pytest.mark.parametrize(
    ("name", "participle"),
    [
        ("told", True),
        ("kept_error", True),
        ("asked", True),
        ("refresh_in_background", False),
        ("load_error", False),
        ("embed", False),
        ("on_closing", True),
        ("string", False),
    ],
)
def test_a_participle_is_known_when_seen(name, participle):
    assert any(map(is_participle, ends(name))) is participle
