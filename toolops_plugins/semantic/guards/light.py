"""Words that hardly restrict what is asked for, where one text has them and the other none instead.

"A claim" and "bring a claim", "the best laptop" and "the best laptop to buy", "Android" and "an
Android phone" ask the same; but "buy a house" and "sell a house" do not, for there one word stands
instead of the other.
"""

from __future__ import annotations

from toolops_plugins.semantic.guards.listing import listed
from toolops_plugins.semantic.guards.stems import key, stem

__all__ = ["ACTING_STEMS", "CATEGORIES", "CATEGORY_NOUNS", "HARMLESS_STEMS", "LIGHT_STEMS"]

LIGHT_STEMS = frozenset(
    map(
        stem,
        listed(
            "take have open see watch view drink eat play bring wear buy visit live stay contain "
            "include exist consist involve reach perform deal become carry put read reside "
            "located situated called named known considered regarded recommended needed required "
            "made found supposed meant advisable okay allowed permitted experience suffer "
            "having getting doing going coming cover manage attempt wonder own possess belong "
            "state currently presently instructions instruction directions tips advice "
            "recommendation recommendations overview summary introduction explanation explain "
            "definition together option options item items overall main basic actual long often "
            "far big tall much happen occur immediately straight properly safely personally "
            "already ever exactly precisely roughly approximately normally typically usually "
            "generally commonly ordinarily officially originally actually yet anymore suddenly "
            "keep continue still always constantly versus route"
        ),
    )
)
"""Stems of verbs and nouns that say little beside the matter itself."""

HARMLESS_STEMS = frozenset(
    map(
        stem,
        listed(
            "know tell explain describe show wish find information info detail provide advise "
            "advice suggest idea figure clarify get go way method step process procedure manner "
            "exact exactly actual possible able list name let"
        ),
    )
)
"""Stems of words that may stand in one of two texts and change nothing at all."""

ACTING_STEMS = frozenset(
    map(
        stem,
        listed(
            "use find get make give take keep put start stop end continue complete work learn try "
            "need want show provide support help happen"
        ),
    )
)
"""Stems of verbs that may be missing, but of which none stands for another."""

CATEGORY_NOUNS = frozenset(
    listed(
        "city town country nation state company firm brand app software program language "
        "framework library planet drug medicine medication phone smartphone laptop airline "
        "website site platform person man woman animal river mountain lake island continent "
        "element currency product place actor actress author writer artist singer band team "
        "player president leader number year object tool device organ gas metal substance "
        "chemical colour color word term"
    )
)
"""What a name is a name of."""

CATEGORIES = frozenset(
    map(
        key,
        listed(
            "city country nation company firm brand app software program language framework "
            "library planet drug medication phone smartphone laptop airline website platform river"
        ),
    )
)
"""Keys of the nouns that add nothing beside a name: the company Siemens, an Android phone."""
