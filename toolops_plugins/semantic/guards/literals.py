"""Parts of a text of which every letter counts: quoted text to be worked on, and symbols by case.

How to say "good morning" is not how to say "good evening", however near the words. MB and Mb are
megabyte and megabit, CO and Co a gas and a metal, n and N two variables. Elsewhere case says
nothing, so only the form that people do not type for another one is such a part: "mb" is read as
"MB" is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from toolops_plugins.semantic.guards.lexicon import word_list

__all__ = ["literals_in", "unify_quotes"]

_MARKS = '"“”„‟«»‹›「」『』`'  # noqa: RUF001 - quotes that people type
_QUOTED = re.compile(
    rf"```(.+?)```|[{_MARKS}]+([^{_MARKS}]+)[{_MARKS}]+"
    r"|(?:(?<=[\s(:])|^)['‘‚´](\w[^'’‘]*(?:[’'](?=\w)[^'’‘]*)*)['’´‘](?!\w)",  # noqa: RUF001 - quotes
    re.DOTALL,
)
_ON_WORDS = re.compile(
    r"\b(?:say|says|said|saying|mean|means|meant|meaning|word|words|letters?|characters?|vowels?"
    r"|sentences?|phrases?|expression|idiom|paragraph|text|string|grammar|pronunciation|etymology"
    r"|spell\w*|spelt|syllables?|translat\w*|rephras\w*|paraphras\w*|rewrit\w*|rewrote|reword\w*"
    r"|correct\w*|proofread\w*|defin\w*|synonyms?|antonyms?|opposite|rhym\w*|plural|singular"
    r"|pronounc\w*|conjugat\w*|anagrams?|palindrome|acronym|abbreviat\w*|stands? for|reverse"
    r"|capitali[sz]e|uppercase|lowercase|summari[sz]e|shorten|edit|fix|improve|complete|continue"
    r"|quote|called|write|type|encode|decode|count|regex|parse|classify|sentiment|formal|tone)\b",
    re.IGNORECASE,
)
_ON_WORDS_ELSEWHERE = re.compile(
    r"sagt|sage|schreib|heißt|heisst|bedeut|übersetz|buchstab|korrigier|wort|wört|satz|synonym"
    r"|dice|dicen|decir|digo|escrib|signific|tradu|deletre|correg|corrig|palabra|frase|sinónim"
    r"|dit-on|dire|veut|écri|épel|orthograph|mot|phrase|diz|dizer|escrev|soletr|palavra"
    r"|scriv|parola|sinonim|compit|zeg|betek|vertaal|spel|woord|zin|schrijf|verbeter",
    re.IGNORECASE,
)
"""Beginnings of words of texts about words in the other languages that have word lists."""

_UNITS = re.compile(
    r"(?<![A-Za-z])(?:[KMGTP]b|[KMGT]Bps|[KMGT]B/s|m(?:Ah?|Hz|J|Pa|Sv|V|W|Ω)|Mg)(?![A-Za-z])"
    r"|\d\s?(?:Gs|Mm|Ms|mM|nM)\b(?!\.)"
)
"""Units whose other case is another unit, in the case in which they are rarely mistyped."""

_CHEMISTRY = re.compile(
    r"\b(?:chem\w*|atom\w*|elements?|molecul\w*|molar|mass|compounds?|formula|react\w*|oxid\w*"
    r"|bond\w*|valen\w*|ions?|ionic|isotopes?|boil\w*|melt\w*|densit\w*|toxic\w*|poison\w*|gas|gases"
    r"|metals?|alloys?|acids?|electrons?|periodic|symbol|flammable|conduct\w*|emissions?|exposure"
    r"|detect\w*|inhal\w*|burn\w*|soluble|solubility|catalys\w*|moles?|crystal\w*|magnetic)\b",
    re.IGNORECASE,
)
_FORMULA = re.compile(r"\b(?:[A-Z][a-z]?\d*){1,12}\b")
_ELEMENTS = re.compile(
    r"Bi|Cn|Co|Cs|Cu|Hf|Hs|Nb|Ni|Np|Os|Pb|Po|Pt|Pu|Sc|Si|Sn|Th|Yb|(?:Ho|In|No)(?=[A-Z\d])"
)
"""Symbols of elements that in capitals are two elements."""
_MATHEMATICS = re.compile(
    r"[=+*^√∑∫πθσ<>]|\b[a-zA-Z]\(\w?|\b(?:variables?|parameters?|coefficients?|constants?|matrix"
    r"|matrices|vectors?|equations?|formulas?|functions?|polynomials?|derivatives?|integrals?|solve"
    r"|statistics|statistical|variance|deviation|probabilit\w*|complexity|samples?|population"
    r"|genotype|alleles?|capital|uppercase|lowercase|physics|loop|array|regex|proof|theorem"
    r"|notation|letters?)\b",
    re.IGNORECASE,
)
_LETTER = re.compile(
    r"(?:\b(\w+)\s)?(?<![\w.'’-])([B-HJ-Z])(?![\w'’.-]|\+\+|#)|(?<=\d)()([CEFHJLN-SU-Z])\b"  # noqa: RUF001 - typed so
)
_NAMED = frozenset(
    word_list(
        "class gate gen generation grade group hepatitis line option plan row seat size terminal "
        "type vitamin zone"
    )
)
"""Words after which a letter is a name."""
_FILES = re.compile(
    r"(?<![\w@/.])(?!\w+\.js\b)[\w./~-]*[A-Z][\w./~-]*\.(?:c|cfg|conf|cpp|cs|css|csv|docx?|env|gz|go"
    r"|h|hpp|html?|ini|ipynb|java|jpe?g|js|json|jsx|kt|lock|log|md|pdf|php|png|pptx?|py|rb|rs|sh|sql"
    r"|svg|swift|toml|tsx?|txt|xlsx?|xml|ya?ml|zip)\b|\b(?:Makefile|Dockerfile)\b"
    r"|\b\w*[A-Z]\w*(?=\()|\b\w*[A-Z]\w*_\w+|\b\w+_\w*[A-Z]\w*"
)
"""Names of files, functions and constants with a capital; not those of libraries: Node.js."""
_LANGUAGES = re.compile(
    r"\b(?:c#|csharp|golang|java|kotlin|\.net|python|typescript)(?!\w)", re.IGNORECASE
)
_TYPES = frozenset(
    word_list("Any BigInt Boolean Byte Char Dict Double Float Int List Long Set Short Tuple Void")
)
"""Types in capitals that a language has beside those in lower case."""
_WRAPPED = re.compile(r"\b(?:c#|csharp|\.net|typescript)(?!\w)", re.IGNORECASE)
_WRAPPERS = frozenset(word_list("Number Object String Symbol"))
"""The same for some languages only."""
_WORD = re.compile(r"[A-Za-z]+")
_QUOTE_OPENS = re.compile(r"[\"`“”„‟«»‹›「」『』‘‚´]|(?:^|[\s(:])'\w")  # noqa: RUF001 - quotes
_CAPITAL = re.compile(
    r"(?<!^)(?<![.!?]\s)(?:[A-HJ-Z]|I(?=[A-Z]))|\d\s?m[A-Z]|[a-z][A-Z]|^[A-Z]\w*[._(]"
)
"""A capital that is not due."""


def literals_in(text: str, language: str) -> tuple[str, ...]:
    """Return the parts of a text of which every letter counts.

    Args:
        text: The text.
        language: Its language, "" where it is not certain.
    """
    found: list[str] = []
    if _QUOTE_OPENS.search(text):
        found += _quotations_in(text, language)
    if _CAPITAL.search(text) and not text.isupper():
        found += _symbols_by_case(text)
    return tuple(found)


def unify_quotes(text: str) -> str:
    """Return a text with all its quotations between the same marks."""
    if _QUOTE_OPENS.search(text) is None:
        return text
    return _QUOTED.sub(lambda match: f' "{_inside(match)}" ', text)


def _inside(match: re.Match[str]) -> str:
    return (match[1] or match[2] or match[3] or "").strip()


def _quotations_in(text: str, language: str) -> Iterator[str]:
    rest = _QUOTED.sub(" ", text)
    if language == "en":
        works = _ON_WORDS.search(rest) is not None
    else:
        works = not language or _ON_WORDS_ELSEWHERE.search(rest) is not None
    for match in _QUOTED.finditer(text):
        if works or "`" in match[0]:
            yield f'"{" ".join(_inside(match).split())}"'


def _symbols_by_case(text: str) -> Iterator[str]:
    yield from _UNITS.findall(text)
    if _CHEMISTRY.search(text):
        for formula in _FORMULA.findall(text):
            yield from _ELEMENTS.findall(formula)
    if _MATHEMATICS.search(text):
        for match in _LETTER.finditer(text):
            if (match[1] or "").lower() not in _NAMED:
                yield match[2] or match[4]
    yield from _FILES.findall(text)
    if _LANGUAGES.search(text):
        words = _WORD.findall(text)
        types = _TYPES | _WRAPPERS if _WRAPPED.search(text) else _TYPES
        if sum(map(str.islower, words)) > 1:  # no title
            yield from (word for word in words[1:] if word in types)
