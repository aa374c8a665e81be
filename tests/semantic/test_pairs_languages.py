"""The default decision on pairs in six other languages, through a real cache.

`pairs_languages_unseen.jsonl` was written first and never read by those who built the guards; see
`pairs_README.md`.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from toolops_plugins import SemanticCache
from toolops_plugins.semantic.guards.languages import LANGUAGES

HERE = Path(__file__).parent
FILES = ["pairs_languages_seen.jsonl", "pairs_languages_unseen.jsonl"]


def pairs_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines()]


@pytest.mark.parametrize("store_text", [True, False])
@pytest.mark.parametrize("name", FILES)
def test_traps_are_hardly_ever_served_and_most_true_pairs_are(tmp_path, name, store_text):
    served: Counter[tuple[str, bool]] = Counter()
    pairs = pairs_of(name)
    with SemanticCache(tmp_path, store_text=store_text) as cache:
        for number, pair in enumerate(pairs):
            cache.put(pair["candidate"], "its answer", scope=number)
        for number, pair in enumerate(pairs):
            found = cache.find(pair["question"], scope=number)
            served[pair["language"], pair["same"]] += found is not None
    traps = sum(served[language, False] for language in LANGUAGES)
    assert traps <= 0.03 * len(pairs) / 2
    for language in LANGUAGES:
        true = sum(pair["same"] for pair in pairs if pair["language"] == language)
        assert served[language, True] >= 0.5 * true, language


def test_there_are_enough_pairs_in_each_language_and_half_are_traps():
    counts = {
        name: Counter((pair["language"], pair["same"]) for pair in pairs_of(name)) for name in FILES
    }
    for language in LANGUAGES:
        seen, unseen = (counts[name][language, True] for name in FILES)
        assert [seen, unseen] == [counts[name][language, False] for name in FILES]
        assert 2 * (seen + unseen) >= 40
        assert 3 * unseen >= seen + unseen
