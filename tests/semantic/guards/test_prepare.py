"""The tables of the word lists are built where an index is opened, not under a question."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from toolops_plugins import SemanticCache
from toolops_plugins.semantic.guards import near_synonyms, phrases, spelling

with SemanticCache(sys.argv[1], **({"guards": []} if "bare" in sys.argv else {})) as cache:
    print(spelling._index.cache_info().currsize)
    cache.open()
    print([table.cache_info().currsize for table in
           (spelling._index, near_synonyms._kin, phrases.phrases)])
"""


def run(*arguments):
    script = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    return subprocess.run(script, check=True, capture_output=True, text=True).stdout.split("\n")


def test_opening_builds_the_tables(tmp_path):
    assert run(tmp_path)[:2] == ["0", "[1, 1, 1]"]


def test_a_cache_without_guards_needs_none(tmp_path):
    assert run(tmp_path, "bare")[:2] == ["0", "[0, 0, 0]"]
