"""The word lists: sorted, unique, and disjoint where a word has one meaning only."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from importlib.resources import files

import pytest

from toolops_plugins.semantic.guards import lexicon
from toolops_plugins.semantic.guards.stems import stem

FOLDER = files("toolops_plugins.semantic.guards") / "english"
NAMES = sorted(file.name for file in FOLDER.iterdir())
TEXTS = pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".txt")])
TABLES = pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".toml")])
# Files whose lines hold one word or one phrase; those whose words are sorted in each line; those
# whose lines begin with a word that names the rest.
GROUPS = ("near_synonyms.txt", "near_synonyms_by_degree.txt", "word_families.txt")
NAMED = ("irregular_forms.txt", "synonyms.txt", "opposites.txt", "units.txt")


def duplicates(words):
    return [word for word, times in Counter(words).items() if times > 1]


@TEXTS
def test_a_text_file_says_what_it_is_and_ends_with_a_line(name):
    text = (FOLDER / name).read_text("utf-8")
    head, _, body = text.partition("\n\n")
    assert head
    assert all(line.startswith("# ") for line in head.splitlines())
    assert body.endswith("\n")
    assert all(line == " ".join(line.split()) != "" for line in body.splitlines())


@TEXTS
def test_the_lines_of_a_text_file_are_sorted_and_unique(name):
    lines = lexicon.lines(name)
    assert lines == sorted(set(lines))


@pytest.mark.parametrize("name", [*GROUPS, *NAMED])
def test_the_words_of_a_line_are_sorted_and_unique(name):
    for line in lexicon.lines(name):
        words = line.split()[name in NAMED :]
        assert words == sorted(set(words)), line
        assert name in NAMED or len(words) > 1, line


@pytest.mark.parametrize("name", ["irregular_forms.txt", "synonyms.txt", "units.txt"])
def test_a_word_belongs_to_one_class_only(name):
    lines = lexicon.lines(name)
    words = [word for line in lines for word in line.split()[name == "units.txt" :]]
    assert duplicates(word.rstrip("*") for word in words) == []


def test_a_stem_is_compared_by_one_line_of_synonyms():
    lines = lexicon.class_lists("synonyms.txt")
    stems = [{stem(word) for word in words if not word.endswith("*")} for words in lines]
    assert duplicates(name for names in stems for name in names) == []
    taken = set().union(*stems)
    assert [
        word
        for words in lines
        for word in words
        if word[-1] == "*" and stem(word[:-1]) not in taken
    ] == []


def test_a_pair_of_opposites_is_listed_once():
    entries = [(word, rest.split()) for word, rest in lexicon.entries("opposites.txt")]
    pairs = [frozenset((word, other)) for word, others in entries for other in others]
    assert duplicates(pairs) == []
    assert min(map(len, pairs)) == 2


@pytest.mark.parametrize(
    "name", ["near_synonyms.txt", "near_synonyms_by_degree.txt", "word_families.txt"]
)
def test_no_group_lies_inside_of_another(name):
    groups = [frozenset(words) for words in lexicon.class_lists(name)]
    assert [small for small in groups for large in groups if small < large] == []


def test_a_phrase_has_one_reading():
    fillers = [
        phrase
        for line in lexicon.lines("filler_phrases.txt")
        for phrase in lexicon.expand_phrase(line)
    ]
    phrases = [phrase for _, phrase in lexicon.entries("phrases.txt")]
    assert duplicates(phrases) == []
    assert set(fillers).isdisjoint(phrases)
    assert duplicates(phrase for _, phrase in lexicon.entries("phrasal_verbs.txt")) == []


@TABLES
def test_the_lists_and_tables_of_a_toml_file_are_sorted_and_unique(name):
    text = (FOLDER / name).read_text("utf-8")
    for key, value in tomllib.loads(text).items():
        assert list(value) == sorted(set(value)), key
    blocks = re.findall(r"(?m)^(?:\[\w+\]|\w+ = \[)$", text)
    assert len(blocks) == len(re.findall(r"(?m)^#.*\n(?:\[\w+\]|\w+ = \[)$", text))


def test_words_that_must_not_share_a_list_do_not():
    words = lexicon.function_words()
    for one, other in [
        ("auxiliaries", "prepositions"),
        ("first_person", "second_person"),
        ("particles", "negators"),
        ("courtesy_signals", "courtesy_companions"),
        ("acting", "harmless"),
        ("fillers", "auxiliaries"),
        ("fillers", "prepositions"),
    ]:
        assert set(words[one]).isdisjoint(words[other]), (one, other)
