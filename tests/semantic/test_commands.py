"""Commands to a voice assistant in ten languages: no command gets another one's answer.

A row of `commands.tsv` is a meaning, an intent with its slots, and a column is a language. Each
command is given twice, the second time with another case, end or spacing.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from pathlib import Path

from toolops_plugins import Semantic, SemanticCache, ToolOps

with (Path(__file__).parent / "commands.tsv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file, delimiter="\t"))
LANGUAGES = [name for name in ROWS[0] if name != "meaning"]
CHANGES = [str.capitalize, "{}!".format, "  {}".format]


def make_stream(seed: int) -> list[tuple[str, str, str]]:
    """Return requests as language, text and meaning, in random order."""
    chance = random.Random(seed)
    stream = [
        (language, text, row["meaning"])
        for row in ROWS
        for language in LANGUAGES
        for text in (row[language], chance.choice(CHANGES)(row[language]))
    ]
    chance.shuffle(stream)
    return stream


def test_a_cache_that_stands_alone_answers_repetitions_and_no_other_command(tmp_path):
    wrong: Counter[str] = Counter()
    right: Counter[str] = Counter()
    with SemanticCache(tmp_path) as cache:
        for language, text, meaning in make_stream(11):
            match = cache.find(text)
            if match is None:
                cache.put(text, meaning)
            else:
                (right if match.value == meaning else wrong)[language] += 1
    assert not wrong
    for language in LANGUAGES:
        assert right[language] >= 0.9 * len(ROWS), language


def test_the_default_of_a_tool_keeps_its_bound_over_all_languages(tmp_path):
    wrong = 0
    stream = make_stream(11)[:320]
    with ToolOps("commands", semantic=SemanticCache(tmp_path)) as ops:
        calls = 0

        @ops.readonly(ttl=3600, semantic=Semantic(on="command"))
        def run(command: str) -> str:
            nonlocal calls
            calls += 1
            return meaning

        for _, text, meaning in stream:
            wrong += run(text) != meaning
    assert wrong <= 0.01 * len(stream)
    assert calls <= 0.8 * len(stream)
