"""Texts that are no prose: code, formulas, commands, queries, paths, addresses, texts about words.

Every letter of such a text may count, so no word of it is read as one with an inflection, a synonym
or a typing error.
"""

from __future__ import annotations

import re

from toolops_plugins.semantic.guards.function_words import DROPPED, NEGATORS
from toolops_plugins.semantic.guards.lexicon import word_list

__all__ = ["SPECIAL_WORDS", "is_notation", "is_work_on_words"]

_CODE = re.compile(
    r"```|`[^`]+`|\w\([^()]*\)\s*[{;:]|\w\.\w+\(|[{}]|[A-Za-z\d_)\]'\"];\s*(?:\n|$)|=>|->|::|[=!]=|\|\||&&|\\\w|</?\w+[^<>]*>|"
    r"^\s*(?:import|from)\s+[\w.]+(?:\s+import\b|\s*$)|^\s*(?:def|class|function|const|let|var)\s+\w+\s*[(=:{]|"
    r"^\s*#!|^\s*[$>]\s+\w",
    re.MULTILINE,
)
_TABLES = re.compile(
    r"\b(?:tables?|databases?|schemas?|index(?:es)?|columns?|views?)\b", re.IGNORECASE
)
_CLAUSE = re.compile(
    r"\b(?:from|where|tables?|values|set|join|database|index|columns?|order by|group by)\b",
    re.IGNORECASE,
)
_QUERIES = {
    **dict.fromkeys(word_list("alter describe drop explain grant show truncate"), _TABLES),
    **dict.fromkeys(word_list("create delete insert select update with"), _CLAUSE),
}
"""First words of queries, and what else is in one."""
_FLAG = re.compile(r"(?:^|\s)--?[A-Za-z][\w-]*(?:=|\s|$)")
_OPERATOR = re.compile(
    r"(?<![\w\s])[=<>]|[=<>≤≥≠≈±×÷·∙√∑∏∫∂∞^|~*@\\]|"  # noqa: RUF001 - the sign is meant
    r"(?:^|\s)[-+/%&](?:\s|$)|\w[+#]\w|(?:^|\s)[\w.~-]*/\S*[/.]|(?:^|\s)/\w"
)
_COMMANDS = frozenset(
    word_list(
        "ansible apt awk aws az bash brew cargo cd chmod chown conda cp curl df du echo ffmpeg "
        "gcloud gh git grep gradle journalctl jq kubectl ln ls mkdir mv mvn mysql npm npx pip pnpm "
        "podman ps psql rm rsync rustc scp sed ssh sudo systemctl tar uv vim wget yarn "
        "yum zsh"
    )
)
_SMALL = DROPPED | NEGATORS
_ARTICLES = frozenset(word_list("a an in on my the to with why how what is does"))
_PLAIN = re.compile(r"[A-Za-z',. ]+[?!.]*")

_QUERY_WORDS = frozenset(
    word_list("where and or not in as on by into is with if else from to of for set all any")
)

_ABOUT_WORDS = frozenset(
    word_list(
        "anagram anagrams antonym antonyms conjugate conjugated conjugation declension etymology "
        "homophone homophones palindrome palindromes pronounce pronounced pronounces pronunciation "
        "rhyme rhymed rhymes rhyming spell spelled spelling spellings spells spelt syllable "
        "syllables synonym synonyms transcribe transcription translate translated translates "
        "translating translation translations translator transliterate transliteration"
    )
)
"""Words of texts that are about words."""
_ON_TEXT = frozenset(
    word_list(
        "capitalise capitalize decode define definition encode grammar improve lowercase paragraph "
        "paraphrase phrase plural poem proofread rephrase reverse rewrite sentence shorten "
        "sentiment singular summarise summarize uppercase word"
    )
)
"""Words of texts that may be about another text, and are if that is quoted."""
_WORK = frozenset(
    word_list(
        "analyse analyze answer check classify complete continue correct edit extract fix format "
        "label parse"
    )
)
"""First words of texts that are about another text, if that is quoted."""
_LETTERS = frozenset(word_list("characters consonants letters vowels"))
"""Words of texts that are about a word if they ask how many."""
_MEANING = frozenset(word_list("define definition mean meaning means say"))
"""Words of texts that are about a word if that is an unknown one."""
_QUOTED = re.compile(
    r"[\"“”„«»「」『』]\w|(?:^|[\s(:])['‘]\w[^'’]*['’](?:[\s,.?!):]|$)|:\s+\S"  # noqa: RUF001 - quotes
)


SPECIAL_WORDS = _ABOUT_WORDS | _ON_TEXT | frozenset(_QUERIES)
"""Words without which a text that has three small English words is neither of the two here."""


def is_notation(text: str, words: list[str], *, read: int, evident: int) -> bool:
    """Return whether a text is code, a formula, a command, a query, a path or an address.

    Args:
        text: The text.
        words: Its words in lower case.
        read: How many of them are English.
        evident: How many of them are small ones that only English has.
    """
    first = words[0] if words else ""
    clause = _QUERIES.get(first)
    if clause is not None and clause.search(text) and _are_keywords(words):
        return True
    if first in _COMMANDS and not evident and not text[0].isupper():
        return _ARTICLES.isdisjoint(words)
    if _PLAIN.fullmatch(text) is not None:
        return False
    if _CODE.search(text) is not None:
        return evident < 3
    if evident and read > 1:
        return False
    if _FLAG.search(text) is not None:
        return True
    odd = len(_OPERATOR.findall(text))
    return odd > 0 and read < 4 * odd


def _are_keywords(words: list[str]) -> bool:
    """Return whether all small words of a text are those of a query language."""
    return all(len(word) < 2 or word in _QUERY_WORDS or word not in _SMALL for word in words)


def is_work_on_words(text: str, words: list[str], *, unknown: bool) -> bool:
    """Return whether a text asks for work on words, of which every letter counts.

    Args:
        text: The text.
        words: Its words in lower case.
        unknown: Whether it has a word that is in no list.
    """
    if not _ABOUT_WORDS.isdisjoint(words):
        return True
    if unknown and not _MEANING.isdisjoint(words):
        return True
    if "many" in words and not _LETTERS.isdisjoint(words):
        return True
    if _ON_TEXT.isdisjoint(words) and _WORK.isdisjoint(words[:3]):
        return False
    return _QUOTED.search(text) is not None
