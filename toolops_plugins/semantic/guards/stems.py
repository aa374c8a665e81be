"""What a word is compared by: its stem, or the class of its synonyms (English).

The stemmer is a light one in the manner of Porter (1980) and of Krovetz (1993): inflections and the
few derivations that do not change what is asked for (cancel, cancellation), no agents (print,
printer) and no negating endings (use, useless).
"""

from __future__ import annotations

from functools import cache, lru_cache

from toolops_plugins.semantic.guards import kin_nouns, kin_others, kin_verbs
from toolops_plugins.semantic.guards.listing import listed
from toolops_plugins.semantic.guards.names import NAMES
from toolops_plugins.semantic.guards.numerals import SCALES, SPELT
from toolops_plugins.semantic.guards.opposites import OPPOSITES
from toolops_plugins.semantic.guards.real_words import REAL_WORDS
from toolops_plugins.semantic.guards.siblings import SIBLINGS
from toolops_plugins.semantic.guards.synonyms import SYNONYMS
from toolops_plugins.semantic.guards.units import UNITS

__all__ = [
    "PAST",
    "are_siblings",
    "forms_of",
    "in_family",
    "is_listed",
    "is_real",
    "key",
    "opposites_of",
    "stem",
    "without_un",
]

_IRREGULAR = {
    form: base
    for line in """
    go went gone goes going | buy bought | pay paid | send sent | get got gotten | make made
    lose lost | find found | break broke broken | steal stole stolen | write wrote written
    take took taken | give gave given | see saw seen seeing | come came | do did done | eat ate
    eaten
    drink drank drunk | drive drove driven | fly flew flown flight flights flying flies
    know knew known | grow grew grown | throw threw thrown | draw drew drawn | speak spoke spoken
    choose chose chosen | freeze froze frozen | forget forgot forgotten | begin began begun
    run ran running | swim swam swum | sing sang sung | win won winning | catch caught | teach
    taught
    think thought | bring brought | fight fought | sell sold | tell told | hold held | keep kept
    sleep slept | leave left | feel felt | mean meant | meet met | lend lent | spend spent | build
    built
    shut shutting | hear heard | understand understood | stand stood | sit sat | rise rose risen
    wear wore worn | tear tore torn | bite bit bitten | hide hid hidden | ride rode ridden
    fall fell fallen | wake woke woken | shake shook shaken | become became | lead led | feed fed
    die died dying dies | lie lied lying lies | tie tied tying ties | say said | light lit | dig dug
    child children | man men | woman women | person persons | mouse mice | foot feet
    tooth teeth | goose geese | leaf leaves | knife knives | life lives | wife wives | shelf shelves
    half halves | analysis analyses | crisis crises | criterion criteria | datum data
    subscribe subscription subscriptions | describe description descriptions
    prescribe prescription prescriptions | decide decision decisions | convert conversion
    conversions
    extend extension extensions | expand expansion | divide division | include inclusion
    remove removal removing removed | approve approval approved | arrive arrival arrivals
    refuse refusal | withdraw withdrawal withdrawals withdrew withdrawn | renew renewal renewals
    propose proposal | rent rental rentals | deny denial denied | insure insurance
    appear appearance | exist existence | differ difference differences | prefer preference
    deliver delivery deliveries | recover recovery | discover discovery | solve solution solutions
    choose choice choices | lose loss losses | fail failure failures | close closure closing closed
    verify verification verifying verified | identify identification | notify notification
    modify modification | apply application applications applying applied | classify classification
    certify certification | qualify qualification | simplify simplification
    pronounce pronunciation | explain explanation explanations | register registration
    multiply multiplication | compare comparison | destroy destruction
    complain complaint complaints | marry marriage married | employ employment
    behave behavior behaviour | expire expiry expiration expiring expired | weigh weight
    center centre centres | meter metre metres | liter litre litres | theater theatre theatres
    fiber fibre | catalog catalogue | dialog dialogue | program programme programmes
    gray grey | cheque cheques | aluminum aluminium | mold mould | plow plough
    enroll enrol enrolment enrollment | fulfill fulfil | skillful skilful | installment instalment
    beat beaten | strike struck stricken | shoot shot | hang hung | ring rang rung
    sink sank sunk | shrink shrank shrunk | stick stuck | sting stung | swing swung | spin spun
    bind bound | creep crept | sweep swept | weep wept | deal dealt | dream dreamt | burn burnt
    learn learnt | spell spelt | smell smelt | spill spilt | spoil spoilt | lean leant | leap leapt
    kneel knelt | seek sought | bend bent | forgive forgave forgiven | overcome overcame
    undergo underwent undergone | mistake mistook mistaken | swear swore sworn | lay laid
    arise arose arisen | awake awoke awoken | bleed bled | breed bred | cling clung | flee fled
    fling flung | forbid forbade forbidden | foresee foresaw foreseen | overtake overtook overtaken
    sew sewn | shine shone | show shown | slide slid | speed sped | spit spat | swell swollen
    weave wove woven | sow sown | mow mown | prove proven | wring wrung | tread trod trodden
    rid ridding | bear borne | split splitting | quit quitting | cut cutting
    french france_ | translate translation translations translating | bus buses busses
    sue sued suing sues | age aged aging ageing | invade invasion invaded | permit permission |
    persuade persuasion | conclude conclusion
    """.replace("\n", "|").split("|")
    if line.strip()
    for base, *forms in [line.split()]
    for form in (base, *forms)
}
PAST = {
    form: base
    for form, base in _IRREGULAR.items()
    if form != base and not form.endswith(("s", "g"))
}
"""Irregular forms that may be past participles, and what they are forms of."""
_AS_IS = frozenset(
    # Endings that are none.
    listed(
        "this his its is was has does us gas yes bus plus minus news lens species series analysis "
        "basis "
        "always perhaps sometimes towards afterwards physics mathematics economics politics maths "
        "thing being king ring sing wing string spring bring during evening morning nothing "
        "something anything "
        "everything ceiling wedding building sibling earring duckling pudding clothing "
        "bed red need seed feed speed breed indeed hundred sacred shed sled weed wicked naked "
        "family reply supply apply italy july monthly weekly daily yearly hourly only early likely "
        "friendly elderly holy hardly lately barely nearly shortly highly belly jelly rally ally "
        "butterfly assembly anomaly monopoly really "
        "department apartment document moment comment segment instrument cement element "
        "environment "
        "government statement basement garment experiment supplement implement "
        "complement compliment "
        "monument equipment parliament testament tournament ointment pavement movement "
        "question station nation option motion mission passion portion version pension "
        "session caution "
        "auction fiction fraction function production ration section million billion religion "
        "champion onion union opinion region companion fashion cushion nutrition "
        "position condition "
        "edition audition commission expression impression depression profession information "
        "organization organisation formation foundation conversation corporation "
        "generation vacation "
        "constitution institution tradition ambition ammunition election inflation population "
        "past paste bath bathe breath breathe cloth clothe business witness harness "
        "texas kansas arkansas paris athens brussels naples james charles jesus mars venus uranus "
        "canvas atlas christmas virus campus status bonus focus census chorus nexus lotus"
    )
)
_VOWELS = frozenset("aeiouy")
_BEGINNINGS = ("re", "un", "pre", "over", "mis", "non", "dis", "under", "out", "super", "anti")
_ENDINGS = ("ly", "er", "est", "ness", "able", "less", "ful", "y")
"""What makes a real word of a real one, beside inflections."""


def stem(word: str) -> str:
    """Return the stem of a lower-case word; no word itself, and meant to be compared only."""
    known = _IRREGULAR.get(word)
    if known is not None:
        return known
    if len(word) < 4 or word in _AS_IS or not word.isalpha():
        return word
    root = _uninflected(word)
    known = _IRREGULAR.get(root)
    if known is not None:
        return known
    return root if root in _AS_IS else _underived(root)


def forms_of(verb: str) -> tuple[str, ...]:
    """Return the forms of a verb that may begin a phrase, itself first."""
    irregular = [form for form, base in _IRREGULAR.items() if base == verb]
    soft = verb.removesuffix("e")
    twice = soft + soft[-1] if soft == verb and _short(verb) else soft
    regular = (verb, verb + "s", twice + "ing", twice + "ed", soft + "ing", soft + "ed")
    return tuple(dict.fromkeys((*regular, *irregular)))


def _uninflected(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zzes", "oes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
        if word in _AS_IS:
            return word
    if word.endswith("ied") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ing", "ed"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) > 1 and not _VOWELS.isdisjoint(rest):
            if rest.endswith("e"):  # agreed, freeing
                return rest + "e" if ending == "ed" else rest
            if len(rest) > 2 and rest[-1] == rest[-2] and rest[-1] not in "aeiou":
                return rest[:-1]  # planning; the double l of selling goes from sell as well
            return rest + "e" if _short(rest) else rest
    return word


def _short(rest: str) -> bool:
    """Whether a stem with its ending taken off has lost an e: mak(ing), clos(ing), us(ing)."""
    return (
        1 < len(rest) < 5
        and rest[-1] not in "aeiouwxy"
        and rest[-2] in _VOWELS
        and sum(letter in _VOWELS for letter in rest) == 1
    )


def _underived(word: str) -> str:
    if word.endswith("ly") and len(word) > 5:
        word = word[:-2]
    elif (word.endswith("ness") and len(word) > 6) or (word.endswith("ment") and len(word) > 6):
        word = word[:-4]
    elif word.endswith("ion") and len(word) > 7:
        word = word[:-3]
    if word.endswith("our") and len(word) > 5:
        word = word[:-3] + "or"
    if len(word) > 2 and word.endswith("e") and word[-2] != "e" and not _short(word[:-1]):
        word = word[:-1]
    if word.endswith("is") and len(word) > 5:
        word = word[:-2] + "iz"
    elif word.endswith("ys") and len(word) > 5:
        word = word[:-2] + "yz"
    if word.endswith("at") and len(word) > 6:
        word = word[:-2]
    if word.endswith("iz") and len(word) > 6:
        word = word[:-2] + "iz"
    if word.endswith("y") and len(word) > 3 and word[-2] not in _VOWELS:
        word = word[:-1] + "i"
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word


@cache
def _classes() -> dict[str, str]:
    classes: dict[str, str] = {}
    for line in SYNONYMS.replace("\n", "|").split("|"):
        words = line.split()
        for word in words:
            classes.setdefault(stem(word), stem(words[0]))
    return classes


@lru_cache(maxsize=8192)
def key(word: str) -> str:
    """Return what a lower-case word is compared by: the name of its class, or its stem."""
    root = stem(word)
    return _classes().get(root, root)


@cache
def _opposites() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for pair in OPPOSITES.split():
        left, _, right = pair.partition("/")
        for one in left.split(","):
            for other in right.split(","):
                table.setdefault(key(one), set()).add(key(other))
                table.setdefault(key(other), set()).add(key(one))
    return {word: frozenset(others - {word}) for word, others in table.items()}


@cache
def _families() -> dict[str, set[int]]:
    families: dict[str, set[int]] = {}
    for number, line in enumerate(SIBLINGS.split("|")):
        for word in line.split():
            families.setdefault(word, set()).add(number)
            families.setdefault(stem(word), set()).add(number)
    return families


@cache
def _real() -> frozenset[str]:
    texts = (
        REAL_WORDS,
        NAMES,
        SYNONYMS.replace("|", " "),
        SIBLINGS.replace("|", " "),
        OPPOSITES.replace("/", " ").replace(",", " "),
        " ".join((*UNITS, *SPELT, *SCALES)),
        *(text.replace("|", " ") for text in (kin_nouns.KIN, kin_others.KIN, kin_verbs.KIN)),
    )
    return frozenset(word for text in texts for word in text.split())


_NOTHING: frozenset[str] = frozenset()


def opposites_of(name: str) -> frozenset[str]:
    """Return the keys of the opposites of a word, given by its key."""
    return _opposites().get(name, _NOTHING)


def are_siblings(one: str, other: str) -> bool:
    """Whether two lower-case words are different members of one family: red and blue."""
    families = _families()
    ones = families.get(one) or families.get(stem(one))
    if ones is None:
        return False
    others = families.get(other) or families.get(stem(other))
    return others is not None and not ones.isdisjoint(others) and key(one) != key(other)


def in_family(word: str) -> bool:
    """Whether a lower-case word has siblings: a name, a colour, a part of the body."""
    return word in _families()


def is_listed(word: str) -> bool:
    """Whether a lower-case word, or what it is an inflection of, is in the lists here."""
    real = _real()
    if word in real or word in _IRREGULAR:
        return True
    root = _uninflected(word)
    return root in real or (root + "e" in real and word.endswith(("ing", "ed")))


@lru_cache(maxsize=8192)
def is_real(word: str) -> bool:
    """Whether a lower-case word is known to be no typing error, as far as the lists here know."""
    if is_listed(word):
        return True
    real = _real()
    for ending in _ENDINGS:
        if word.endswith(ending):
            rest = word[: -len(ending)]
            if len(rest) > 2 and (
                rest in real
                or (ending[0] in "aey" and rest + "e" in real)
                or (rest[-1] == "i" and rest[:-1] + "y" in real)
            ):
                return True
    for beginning in _BEGINNINGS:
        rest = word.removeprefix(beginning)
        if 3 < len(rest) < len(word) and (rest in real or _uninflected(rest) in real):
            return True
    return any(
        word[:at] in real and word[at:] in real for at in range(4, len(word) - 3)
    )  # a compound: deadlock


def without_un(word: str) -> str | None:
    """Return the rest of a word that begins with a negating un-, or None."""
    rest = word[2:]
    if word.startswith("un") and len(rest) > 3 and stem(word) not in _classes() and is_real(rest):
        return None if key(word) in _opposites() or word in _real() else rest
    return None
