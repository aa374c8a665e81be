"""Words that hardly restrict what is asked for, where one text has them and the other none instead.

"A claim" and "bring a claim", "the best laptop" and "the best laptop to buy", "Android" and "an
Android phone" ask the same; but "buy a house" and "sell a house" do not, for there one word stands
instead of the other.
"""

from __future__ import annotations

from toolops_plugins.semantic.guards.listing import listed
from toolops_plugins.semantic.guards.stems import key

__all__ = ["CATEGORIES", "CATEGORY_NOUNS", "LIGHT"]

LIGHT = frozenset(
    map(
        key,
        listed(
            "use take have open see watch view drink eat play bring wear buy visit live stay "
            "receive contain include exist consist involve reach perform handle deal become hold "
            "carry set put add read access keep obtain reside located situated called named known "
            "considered regarded recommended needed required used made found supposed meant "
            "advisable okay allowed permitted expect experience suffer having getting doing "
            "going coming follow cover manage attempt wonder own possess belong state type "
            "currently presently instructions instruction directions tips advice recommendation "
            "recommendations requirement requirements rule rules list overview summary "
            "introduction explanation explain definition together option options choice choices "
            "item items overall main basic actual pay cost price spend charge "
            "amount long last often far big tall old much happen occur arrive immediately "
            "straight properly safely personally already ever exactly precisely roughly "
            "approximately maximum normally typically usually generally commonly ordinarily "
            "officially originally actually yet anymore suddenly keep continue still always "
            "constantly begin start"
        ),
    )
)
"""Keys of verbs and nouns that say little beside the matter itself."""

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
