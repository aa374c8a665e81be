"""How to tell that a text is not English, and how other languages negate."""

from __future__ import annotations

from toolops_plugins.semantic.guards.listing import listed

__all__ = ["FOREIGN", "FOREIGN_NEGATORS"]

FOREIGN = frozenset(
    # German, French, Spanish, Italian, Portuguese, Dutch: function words that English has not, with
    # their accents taken off as everywhere here.
    listed(
        "der das ist wie und nicht fur ich mein meine meinen dem den ein eine einen wo wann warum "
        "welche "
        "welcher kann man wird auf mit von zum zur bei uber nach kein keine oder sind haben "
        "le les est pour quel quelle quels mon ma mes je une dans avec sur puis puisse fait ou pas "
        "ne du "
        "des au aux qui que quoi pourquoi quand combien "
        "el los las como cual cuando donde por para mi mis una un del al es esta son "
        "hay puedo se con "
        "il che gli della di nel sono mio mia posso quale quando dove perche quanto "
        "os meu minha eu nao uma em da qual onde quanto posso "
        "het een niet hoe ik mijn wat waar wanneer waarom kan van voor zijn met naar op "
        "quiero necesito tengo ich mochte voudrais vorrei quero wil"
    )
)
FOREIGN_NEGATORS = frozenset(
    listed(
        "nicht kein keine keinen keiner nie niemals ohne pas jamais sans nunca no sin "
        "non senza mai "
        "nao "
        "sem niet geen zonder nooit не нет без никогда"
    )
)
"""Words that turn a statement round in a text that is not English."""
