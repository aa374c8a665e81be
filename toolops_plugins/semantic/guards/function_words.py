"""Words that carry grammar rather than matter, and what short forms stand for (English)."""

from __future__ import annotations

from toolops_plugins.semantic.guards.listing import listed

__all__ = [
    "AUXILIARIES",
    "CONTRACTIONS",
    "DROPPED",
    "FIRST_PERSON",
    "GENERIC",
    "MARKERS",
    "NEGATORS",
    "PARTICLES",
    "PREPOSITIONS",
    "SECOND_PERSON",
    "THIRD_PERSON",
    "TROUBLE",
]

AUXILIARIES = frozenset(
    listed(
        "do does did is are was were am be been being can could will would shall should "
        "may might must "
        "has have had having doing done"
    )
)
"""Verbs that only carry tense, mood or a question."""

FIRST_PERSON = frozenset(listed("i me my mine myself we us our ours ourselves"))
SECOND_PERSON = frozenset(listed("you your yours yourself yourselves"))
THIRD_PERSON = {
    word: person
    for person, words in {
        "he": "he him his himself",
        "she": "she her hers herself",
    }.items()
    for word in words.split()
}
"""Pronouns that name somebody, so that swapping them asks about somebody else."""

PREPOSITIONS = frozenset(
    listed(
        "for in at with as during on to from of about via by using under over near "
        "while if when after "
        "before into through within inside outside between among against towards toward "
        "upon since "
        "until till onto despite because whether regarding concerning where per like unless"
    )
)
"""Words after which a noun restricts what is asked for."""

DROPPED = (
    AUXILIARIES
    | FIRST_PERSON
    | SECOND_PERSON
    | PREPOSITIONS
    | frozenset(
        listed(
            # Articles, pronouns, conjunctions.
            "a an the this that these those it its itself they them their theirs themselves "
            "one ones "
            "some any such there here and or but so then than thus also too either both "
            "each every all "
            "whole entire someone somebody anyone anybody everyone something anything "
            "everything "
            "who whom whose what which why how whatever whichever however though although "
            "instead "
            "whenever wherever "
            "bother bothering kind regards sincerely "
            # Fillers, hedges and politeness.
            "please kindly hi hello hey hiya dear greetings thanks thank thx ty cheers "
            "sorry excuse "
            "pardon sir madam folks guys guy mate buddy team everybody yes yeah yep ok okay "
            "well um uh "
            "er hmm oh ah wow just really actually basically literally simply quite very "
            "exactly "
            "precisely maybe perhaps possibly probably apparently currently presently now "
            "nowadays "
            "right anyway still already ever even again else etc indeed certainly "
            "definitely obviously "
            "honestly frankly seriously briefly quickly roughly approximately about around "
            "appreciated "
            "grateful wonder wondering gonna wanna gotta lets let let's said ve re ll th "
            "hopefully "
            "kind sort lot lots ya yo lol asap "
            "said"
        )
    )
)
"""Words that are left out of every comparison."""

PARTICLES = frozenset(listed("on off up down in out over under above below inside outside"))
"""Small words that are compared with their opposites only."""

NEGATORS = frozenset(
    listed(
        "not no never without cannot none nobody nothing neither nor nowhere except "
        "excluding hardly unless "
        "barely"
    )
)
"""Words that turn a statement round."""

TROUBLE = frozenset(
    listed(
        "fail failed fails failing failure failures problem problems trouble troubles "
        "difficulty difficulties unable broken faulty malfunctioning malfunction stuck broke "
        "refuses refused declined decline declines declining rejected reject missing "
        "disappeared vanished unsuccessful crash crashed crashes crashing error errors "
        "denied"
    )
)
"""Words that say that something does not work, as a negation with a verb also would."""

GENERIC = frozenset(
    listed(
        # Asking and wanting.
        "know tell explain describe show give want need like would wish try tried trying "
        "look looking "
        "find help assist ask question answer info information detail understand learn see "
        "say mean share provide advise advice suggest suggestion idea figure clarify inform "
        "get got getting have go going do make use take put keep come happen "
        "need require must able possible allow let able supposed "
        # Manner and means.
        "way method step process procedure manner instruction guide tutorial thing stuff "
        "matter case "
        "situation reason purpose point part type kind sort example option able work "
        # Degree, time of day, courtesy.
        "good nice proper correct right simple easy exact current actual certain specific "
        "particular "
        "general usual normal regular common various different own new existing available "
        "possible "
        "quick soon today typical typically generally usually normally clearly easily "
        "properly "
        "correctly "
        "successfully recently lately finally suddenly constantly always once several "
        "status full "
        "multiple sure pretty somewhere yet anyhow altogether regarding related relating "
        "respectively "
        "end ended eventually possible possibly initially instead further overall "
        "much many more able kindly own "
        # Empty nouns and places that any question may name.
        "people person place time today day number amount list name word world "
        "online website site page app internet web "
        "think believe feel hear seem appear look like "
        "wait notice realise realize start continue happen proceed perform complete "
        "user customer client support service system"
    )
)
"""Words of so little content that a question with them asks what one without them asks."""

MARKERS = {
    "from": "from",
    "to": "to",
    "into": "to",
    "onto": "to",
    "towards": "to",
    "than": "than",
    "minus": "minus",
    "by": "by",
    "before": "before",
    "after": "after",
    "over": "over",
    "under": "under",
    "of": "of",
    "for": "for",
    "with": "with",
    "without": "without",
    "except": "without",
    "instead": "instead",
    "greater": "than",
    "fewer": "than",
    "divided": "divided",
    "i": "i",
    "we": "i",
    "per": "per",
    "on": "on",
    "in": "in",
    "against": "against",
    "above": "above",
    "below": "below",
    "via": "via",
}
"""Words that give the next content word its role, by the role."""

CONTRACTIONS = {
    "im": "i am",
    "ive": "i have",
    "dont": "do not",
    "dnt": "do not",
    "dosnt": "does not",
    "dosent": "does not",
    "doesent": "does not",
    "cnt": "can not",
    "doesnt": "does not",
    "didnt": "did not",
    "isnt": "is not",
    "arent": "are not",
    "wasnt": "was not",
    "werent": "were not",
    "cant": "can not",
    "cannot": "can not",
    "couldnt": "could not",
    "wont": "will not",
    "wouldnt": "would not",
    "shouldnt": "should not",
    "hasnt": "has not",
    "havent": "have not",
    "hadnt": "had not",
    "mustnt": "must not",
    "neednt": "need not",
    "aint": "is not",
    "can't": "can not",
    "won't": "will not",
    "ain't": "is not",
    "shan't": "will not",
    "whats": "what is",
    "wheres": "where is",
    "whos": "who is",
    "whens": "when is",
    "hows": "how is",
    "whys": "why is",
    "thats": "that is",
    "theres": "there is",
    "heres": "here is",
    "theyre": "they are",
    "youre": "you are",
    "youve": "you have",
    "weve": "we have",
    "shouldve": "should have",
    "wouldve": "would have",
    "couldve": "could have",
    "u": "you",
    "ur": "your",
    "r": "are",
    "pls": "please",
    "plz": "please",
    "plez": "please",
    "thx": "thanks",
    "b4": "before",
    "w/o": "without",
    "w/": "with",
    "vs": "versus",
    "bc": "because",
    "cuz": "because",
    "coz": "because",
    "tmrw": "tomorrow",
    "tmr": "tomorrow",
    "ther": "there",
    "thier": "their",
    "shud": "should",
    "shld": "should",
    "cud": "could",
    "wud": "would",
    "wich": "which",
    "becos": "because",
    "cos": "because",
    "tho": "though",
    "thru": "through",
    "hight": "height",
    "nite": "night",
    "tonite": "tonight",
    "gf": "girlfriend",
    "bf": "boyfriend",
    "govt": "government",
    "dept": "department",
    "mgr": "manager",
    "appt": "appointment",
    "bday": "birthday",
    "xmas": "christmas",
    "veg": "vegetable",
    "fav": "favourite",
    "convo": "conversation",
    "vid": "video",
    "vids": "videos",
    "pics": "pictures",
    "msgs": "messages",
    "hubby": "husband",
    "wat": "what",
    "wut": "what",
    "wen": "when",
    "abt": "about",
    "idk": "do not know",
    "dunno": "do not know",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "got to",
    "y'all": "you",
    "o'clock": "oclock",
    "ppl": "people",
    "msg": "message",
    "pic": "picture",
    "pw": "password",
    "pwd": "password",
    "acc": "account",
    "acct": "account",
    "approx": "approximately",
    "temp": "temperature",
}
"""Short forms, with and without their apostrophes, and what they stand for."""
