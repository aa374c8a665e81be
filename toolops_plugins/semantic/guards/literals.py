"""Parts of a text of which every letter counts: quoted text to be worked on, and symbols by case.

How to say "good morning" is not how to say "good evening", however near the words. MB and Mb are
megabyte and megabit, CO and Co a gas and a metal, n and N two variables. Elsewhere case says
nothing, so only the form that people do not type for another one is such a part: "mb" is read as
"MB" is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

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

_CHEMISTRY = frozenset(
    word_list(
        "acid acids alloy alloys atom atomic atoms boil boiling bond bonds burn burning catalyst "
        "chemical chemicals chemistry compound compounds conduct conductive conductivity crystal "
        "dense density detector detectors electron electrons element elements emission emissions "
        "exposure flammable formula gas gases inhale inhaled inhaling ion ionic ions isotope "
        "isotopes magnetic mass melt melting metal metals molar mole molecular molecule molecules "
        "moles oxidation oxide oxidize periodic poison poisoning poisonous react reacting reaction "
        "reacts solubility soluble symbol toxic toxicity valence valency"
    )
)
"""Words of texts about chemistry."""
_FORMULA = re.compile(r"\b(?:[A-Z][a-z]?\d*){1,12}\b")
_ELEMENTS = re.compile(
    r"Bi|Cn|Co|Cs|Cu|Hf|Hs|Nb|Ni|Np|Os|Pb|Po|Pt|Pu|Sc|Si|Sn|Th|Yb|(?:Ho|In|No)(?=[A-Z\d])"
)
"""Symbols of elements that in capitals are two elements."""
_MATHEMATICS = frozenset(
    word_list(
        "allele alleles array capital coefficient coefficients complexity constant constants "
        "derivative derivatives deviation equation equations formula formulas function functions "
        "genotype integral integrals letter letters loop lowercase matrices matrix notation "
        "parameter parameters physics polynomial polynomials population probabilities probability "
        "proof regex sample samples solve statistical statistics theorem uppercase variable "
        "variables variance vector vectors"
    )
)
"""Words of texts in which a letter is a variable."""
_FORMULAS = re.compile(r"[=+*^√∑∫πθσ<>]|\b[a-zA-Z]\(")
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
_LANGUAGES = frozenset(word_list("csharp golang java kotlin net python typescript"))
_TYPES = frozenset(
    word_list("Any BigInt Boolean Byte Char Dict Double Float Int List Long Set Short Tuple Void")
)
"""Types in capitals that a language has beside those in lower case."""
_WRAPPED = frozenset(word_list("csharp net typescript"))
_WRAPPERS = frozenset(word_list("Number Object String Symbol"))
"""The same for some languages only."""
_WORD = re.compile(r"[A-Za-z]+")
_QUOTE_OPENS = re.compile(r"[\"`“”„‟«»‹›「」『』‘‚´]|(?:^|[\s(:])'\w")  # noqa: RUF001 - quotes
_HINT = re.compile(
    r"[a-z\d][A-Z]|Bp|B/|[A-Z]\w*[._(]|_[A-Z]"
    r"|\b(?!(?:Am|An|As|At|Be|By|Do|Go|He|Hi|I|If|In|Is|It|Me|My|No|Of|Oh|On|Or|So|To|Up|Us|We)\b)"
    r"[A-Z][a-z]?(?:\b|\d)|\b(?:Any|Big|Bool|Byte|Char|Dict|Doub|Float|Int|List|Long|Make|Dock|Num"
    r"|Obj|Set|Short|Str|Sym|Tuple|Void)"
)


def literals_in(text: str, language: str) -> tuple[str, ...]:
    """Return the parts of a text of which every letter counts.

    Args:
        text: The text.
        language: Its language, "" where it is not certain.
    """
    found: list[str] = []
    if _has_quotes(text):
        found += _quotations_in(text, language)
    text = text.lstrip()
    if text[1:].islower() and text[1:2].isalpha():
        return tuple(found)  # a capital at the beginning only
    words = text.split()
    if any(map(_is_odd, words)) and not text.isupper():
        found += _symbols_by_case(" ".join(words))
    return tuple(found)


@lru_cache(maxsize=16384)
def _is_odd(token: str) -> bool:
    """Return whether a word has capitals as symbols have, and sentences and names mostly not."""
    return not token.islower() and _HINT.search(token.strip(".,?!")) is not None


def _has_quotes(text: str) -> bool:
    if text.isascii() and '"' not in text and "`" not in text and "'" not in text:
        return False
    return _QUOTE_OPENS.search(text) is not None


def unify_quotes(text: str) -> str:
    """Return a text with all its quotations between the same marks."""
    if not _has_quotes(text):
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
    words = _WORD.findall(text)
    lows = {word.lower() for word in words}
    if not _CHEMISTRY.isdisjoint(lows):
        for formula in _FORMULA.findall(text):
            yield from _ELEMENTS.findall(formula)
    if not _MATHEMATICS.isdisjoint(lows) or _FORMULAS.search(text):
        for match in _LETTER.finditer(text):
            if (match[1] or "").lower() not in _NAMED:
                yield match[2] or match[4]
    if "." in text or "(" in text or "_" in text or "file" in text:
        yield from _FILES.findall(text)
    sharp = "#" in text
    if (sharp or not _LANGUAGES.isdisjoint(lows)) and sum(map(str.islower, words)) > 1:  # no title
        types = _TYPES if _WRAPPED.isdisjoint(lows) and not sharp else _TYPES | _WRAPPERS
        yield from (word for word in words[1:] if word in types)
