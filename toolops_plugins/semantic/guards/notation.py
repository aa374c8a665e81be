"""Texts that are no prose: code, formulas, commands, queries, paths, addresses, texts about words.

Every letter of such a text may count, so no word of it is read as one with an inflection, a synonym
or a typing error.
"""

from __future__ import annotations

import re

from toolops_plugins.semantic.guards.function_words import DROPPED, NEGATORS
from toolops_plugins.semantic.guards.lexicon import word_list

__all__ = ["is_notation", "is_work_on_words"]

_CODE = re.compile(
    r"```|`[^`]+`|\w\([^()]*\)\s*[{;:]|\w\.\w+\(|[{}]|;\s*(?:\n|$)|=>|->|::|[=!]=|\|\||&&|\\\w|</?\w+[^<>]*>|"
    r"^\s*(?:import|from)\s+[\w.]+(?:\s+import\b|\s*$)|^\s*(?:def|class|function|const|let|var)\s+\w+\s*[(=:{]|"
    r"^\s*#!|^\s*[$>]\s+\w",
    re.MULTILINE,
)
_SQL = re.compile(
    r"^\s*(?:select|insert\s+into|update|delete\s+from|create|alter|drop|show|describe|truncate|"
    r"with\s+\w+\s+as|grant|explain\s+select)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"\b(?:from|where|table|tables|values|set|join|database|index|column|columns|order by|"
    r"group by)\b",
    re.IGNORECASE,
)
_FLAG = re.compile(r"(?:^|\s)--?[A-Za-z][\w-]*(?:=|\s|$)")
_OPERATOR = re.compile(
    r"(?<![\w\s])[=<>]|[=<>≤≥≠≈±×÷·∙√∑∏∫∂∞^|~*@\\]|"  # noqa: RUF001 - the sign is meant
    r"(?:^|\s)[-+/%&](?:\s|$)|\w[+#]\w|(?:^|\s)[\w.~-]*/\S*[/.]|(?:^|\s)/\w"
)
_COMMANDS = frozenset(
    word_list(
        "ansible apt awk aws az bash brew cargo cd chmod chown conda cp curl df docker du echo "
        "ffmpeg gcloud gh git go grep gradle helm java journalctl jq kubectl ln ls mkdir mv mvn "
        "mysql node npm npx pip pnpm podman ps psql python python3 redis-cli rm rsync ruby rustc "
        "scp sed ssh sudo systemctl tar terraform uv vim wget yarn yum zsh"
    )
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_SMALL = DROPPED | NEGATORS
_ARTICLES = frozenset(word_list("a an in on my the to with why how what is does"))
_PLAIN = re.compile(r"[A-Za-z',. ]+[?!.]?")
_QUERY_WORDS = frozenset(
    word_list("where and or not in as on by into is with if else from to of for set all any")
)

_ABOUT_WORDS = re.compile(
    r"\b(?:translat\w+|conjugat\w+|pronounc\w+|pronunciation|spell|spells|spelt|spelled|spelling|"
    r"rhymes?|rhyming|synonyms?|antonyms?|anagrams?|palindromes?|etymology|declension|"
    r"homophones?|syllables?|transcrib\w+|transliterat\w+)\b",
    re.IGNORECASE,
)
_ON_TEXT = re.compile(
    r"\b(?:define|definition|plural|singular|grammar|proofread|summari[sz]e|rewrite|rephrase|"
    r"paraphrase|uppercase|lowercase|capitali[sz]e|reverse|encode|decode|shorten|"
    r"word|phrase|sentence|paragraph|poem|improve)\b",
    re.IGNORECASE,
)
_MEANING = re.compile(r"\b(?:means?|meaning|define|definition|say)\b", re.IGNORECASE)
_QUOTED = re.compile(
    r"[\"“”„«»「」『』]\w|(?:^|[\s(:])['‘]\w[^'’]*['’](?:[\s,.?!):]|$)|:\s+\S"  # noqa: RUF001 - quotes
)


def is_notation(text: str, *, words: int, evident: int) -> bool:
    """Return whether a text is code, a formula, a command, a query, a path or an address.

    Args:
        text: The text.
        words: How many English words it has.
        evident: How many of them are small ones that only English has.
    """
    if _PLAIN.fullmatch(text) is not None and text[:1].isupper():
        return False
    if _SQL.match(text) and _CLAUSE.search(text) and _are_keywords(text):
        return True
    if _CODE.search(text) is not None:
        return evident < 3
    if evident and words > 2:
        return False
    if _FLAG.search(text) is not None:
        return True
    odd = len(_OPERATOR.findall(text))
    if odd and words < 4 * odd:
        return True
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    return first in _COMMANDS and not any(word in _ARTICLES for word in _WORD.findall(text.lower()))


def _are_keywords(text: str) -> bool:
    """Return whether all small words of a text are those of a query language."""
    return all(word in _QUERY_WORDS or word not in _SMALL for word in _WORD.findall(text.lower()))


def is_work_on_words(text: str, *, unknown: bool) -> bool:
    """Return whether a text asks for work on words, of which every letter counts.

    Args:
        text: The text.
        unknown: Whether it has a word that is in no list.
    """
    if _ABOUT_WORDS.search(text) is not None:
        return True
    if _QUOTED.search(text) is not None and _ON_TEXT.search(text) is not None:
        return True
    return unknown and _MEANING.search(text) is not None
