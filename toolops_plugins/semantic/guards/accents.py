"""Accents that people leave out when they type, by language.

In French, Spanish, Portuguese, Italian, Catalan and Dutch, a text without any accents is mostly one
that was typed in haste. In other languages a letter with a mark is another letter: German "schon"
is already, "schön" is beautiful. So is it in these six where a word is told from another by its
accent alone, above all at its end: Spanish "llego" is I arrive, "llegó" he arrived.
"""

from __future__ import annotations

import re
import unicodedata

from toolops_plugins.semantic.guards.lexicon import word_list

__all__ = ["drop_typing_accents"]

_ACCENTS = {
    "ca": "àèéíïòóúüç",
    "en": "àâçéèêëîïôûùáíóúñ",
    "es": "áéíóúü",
    "fr": "àâçéèêëîïôûùüÿ",
    "gl": "áéíóúü",
    "it": "àèéìòù",
    "nl": "éèëïó",
    "pt": "áâãàçéêíóôõú",
}
_FINAL = frozenset(
    word_list(
        "à às até allí así aquí atrás bebé bebê c'è café cafè cafés caffè cioè città com'è così "
        "cos'è déjà detrás dov'è è é está estás están giovedì già là lá lì lunedì martedì "
        "mercoledì venerdì más mês où perché però perciò più poiché português qu'à qual'è qué "
        "quién sarà sofá também también três università você vocês voilà"
    )
)
"""Words with an accent on their last vowel that people often type without it."""

_OTHER_WORDS = {
    "es": frozenset(word_list("hacía hacías sábana sábanas sabía sabías secretaría")),
    "fr": frozenset(
        word_list(
            "côte côtes crû dû fût hôte jeûne jeûner jeûnes mûr mûre mûrs pâte pâtes pêche pêcher "
            "pêches rôder sûr sûre sûrs tâche tâches"
        )
    ),
    "it": frozenset(word_list("àncora prìncipi sùbito")),
    "pt": frozenset(
        word_list("fábrica fábricas país países pára pôde pôr sábia secretária secretárias sábia")
    ),
}
"""Words with an accent inside that are other words without it, by language."""

_VOWEL_AT_END = re.compile(r"[àâáãéèêëíìîïóòôõúùûü][sn]?$")
_MARK = re.compile("[\u0300-\u0304\u0308\u0327]")


def drop_typing_accents(form: str, language: str) -> str:
    """Return a normal form without its accents, or "" if one of them makes another word.

    Args:
        form: A text in lower case, words separated by spaces.
        language: The language that the text is most likely in.
    """
    accents = _ACCENTS.get(language)
    if accents is None:
        return ""
    others = _OTHER_WORDS.get(language, frozenset())
    for word in form.split():
        if word.isascii():
            continue
        if any(not letter.isascii() and letter not in accents for letter in word):
            return ""
        if word in others or (_VOWEL_AT_END.search(word) and word not in _FINAL):
            return ""
    return unicodedata.normalize("NFC", _MARK.sub("", unicodedata.normalize("NFD", form)))
