"""Texts that are no prose: code, formulas, commands, queries, paths, addresses, texts about words.

Every letter of such a text may count, so no word of it is read as one with an inflection, a synonym
or a typing error.
"""

from __future__ import annotations

import re

from toolops_plugins.semantic.guards.function_words import DROPPED, NEGATORS
from toolops_plugins.semantic.guards.lexicon import word_list

__all__ = ["SPECIAL_WORDS", "fold_keywords", "is_notation", "is_work_on_words"]

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
_GREEK = re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]")
_STRING = re.compile(r"('[^']*'|\"[^\"]*\"|`[^`]*`)")
_FIRST_WORD = re.compile(r"([A-Za-z]+)(?=[:,]?\s+[^\s=+*<>-])")
_ASSIGNED = re.compile(r"\s*[=(.]")
_OPENINGS = frozenset(
    word_list(
        "add calculate can check complete compute convert could debug decode derive describe "
        "determine differentiate does encode evaluate expand explain factor factorise factorize "
        "find fix format give graph how integrate is match optimise optimize parse plot prove "
        "refactor replace reverse rewrite run show simplify solve test translate use verify what "
        "when where which why write"
    )
)
"""Words with which a sentence around a formula or code begins."""
_KEYWORD = re.compile(
    r"(?<![\w.\[])(?:{})(?![\w\]])".format(
        "|".join(
            word_list(
                "add all alter and as asc avg between by case column count create database delete "
                "desc distinct drop else end exists explain from full grant group having in index "
                "inner insert into is join left like limit max min not null offset on or order "
                "outer right select set show sum table then truncate union update values view when "
                "where with"
            )
        )
    ),
    re.IGNORECASE,
)
"""Words of queries, in which case says nothing, unlike in names of tables."""

_SAYING = re.compile(r"\bsay\s+[^\"“„«]+\sin\s+\w+\W*$|\bword for\b", re.IGNORECASE)
"""What asks for a word in another language, which may have two for two synonyms."""

SPECIAL_WORDS = _ABOUT_WORDS | _ON_TEXT | frozenset(_QUERIES) | {"say"}
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
    if _GREEK.search(text) is not None:
        text = text.rstrip().removesuffix(";")  # the question mark of Greek
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


def fold_keywords(text: str) -> str:
    """Return notation with the case of what is none folded, and a query with that of its keywords.

    "Solve x = 4" is "solve x = 4", but "Foo = 4" is not "foo = 4".
    """
    first = _FIRST_WORD.match(text)
    if first is None:
        return text
    word = first[1].lower()
    clause = _QUERIES.get(word)
    if clause is not None and clause.search(text) and _ASSIGNED.match(text, first.end()) is None:
        parts = _STRING.split(text)
        parts[::2] = (_KEYWORD.sub(lambda match: match[0].lower(), part) for part in parts[::2])
        return "".join(parts).rstrip("; ")
    if word in _OPENINGS and first[1][1:].islower():
        return word + text[len(word) :]
    return text


def is_work_on_words(text: str, words: list[str], *, unknown: bool) -> bool:
    """Return whether a text asks for work on words, of which every letter counts.

    Args:
        text: The text.
        words: Its words in lower case.
        unknown: Whether it has a word that is in no list.
    """
    if not _ABOUT_WORDS.isdisjoint(words):
        return True
    if ("say" in words or "word" in words) and _SAYING.search(text) is not None:
        return True
    if unknown and not _MEANING.isdisjoint(words):
        return True
    if "many" in words and not _LETTERS.isdisjoint(words):
        return True
    if _ON_TEXT.isdisjoint(words) and _WORK.isdisjoint(words[:3]):
        return False
    return _QUOTED.search(text) is not None
