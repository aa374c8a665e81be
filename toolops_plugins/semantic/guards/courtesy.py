"""What people say around a question: greetings, thanks, hedges, excuses, introductions (English).

A clause that holds nothing but such words is left out before a text is read, negations and all:
"no rush at all", "sorry, I am not sure whether this is the right place, but".
"""

from __future__ import annotations

import re

from toolops_plugins.semantic.guards.function_words import AUXILIARIES, DROPPED, NEGATORS
from toolops_plugins.semantic.guards.listing import listed

__all__ = ["without_courtesy"]

_TELLING = frozenset(
    listed(
        "hi hello hey hiya howdy yo greetings dear welcome bye goodbye cya please pls plz plez "
        "kindly thank thanks thankyou thx tnx ty tysm ta cheers sorry soz apologise apologize "
        "apologies apology apologising apologizing pardon excuse forgive regards sincerely "
        "faithfully respectfully wishes appreciate appreciated appreciation grateful gratitude "
        "obliged indebted rush hurry hurried urgent urgently silly stupid dumb daft noob newbie "
        "newcomer beginner rookie question questions query curious curiosity wondering wonder "
        "wondered hope hoping hopefully help helps helping helpful assist assistance bother "
        "bothering bothered disturb disturbing disturbance inconvenience interrupt interrupting "
        "intrude googled googling searched searching struggling struggle confused confusing "
        "clueless puzzled baffled bewildered stumped unsure uncertain lost stuck lol haha hehe "
        "lmao rofl btw fyi tbh imo imho asap xx xxx xoxo fingers crossed desperate desperately "
        "panicking freaking mad crazy advice enlighten forgot forgotten blanking blank brain "
        "fog mind colleague friend friends mate asking ask asked random patience patient bear "
        "tia kudos lifesaver legend genius gurus guru wizard wizards experts expert folks "
        "everyone everybody guys team community hivemind luck chance moment favor favour "
        "obliging tip tongue newb n00b bless trouble sweetie honey darling settle debate "
        "argument bet wager awaiting forward reply response replies embarrassed embarrassing "
        "ashamed awkward ignorance ignorant naive disclaimer context homework yours truly"
    )
)
"""One of these makes a clause a courtesy, if it has nothing but words like them."""

_COMPANY = frozenset(
    listed(
        "emergency incoming coming alert ahead advance million bunch ton tons heap heaps loads "
        "lot lots again ever much many day morning afternoon evening night week weekend year "
        "time times minute minutes second seconds sec hour good great nice lovely wonderful "
        "fantastic awesome amazing super happy best warm kind greatest well fine okay ok cool "
        "alright right wrong correct proper place section forum thread channel group page board "
        "post posting posted poster first last new old little bit lady man guy gal woman girl "
        "boy person student here there somewhere anywhere everywhere sure certain know knows "
        "knowing known tell telling told say said sounds sound seem seems answer answers "
        "answered answering reply find finding found look looking looked figure make made makes "
        "sense get getting got give giving hand need needed want wanted let try tried trying "
        "take taking took see seeing think thinking thought believe guess feel feeling "
        "understand idea ideas clue info information detail details matter thing things "
        "something anything nothing someone somebody anyone anybody way ways quick quickly "
        "short brief simple easy basic obvious trivial dumbest quickie small tiny big huge "
        "total totally complete completely odd weird strange funny long story listener caller "
        "call reader hear hearing heard read reading finds meet days soon later earlier back "
        "possible possibly able mean means might problem problems worry worries trouble issue "
        "hassle deal hurt hurts harm spare free busy tight currently today tonight doing going "
        "keep keeping stay safe healthy work hard job everything else anymore already interest "
        "interested interesting sake own understanding knowledge reference record peace of hell "
        "head wall wrack racking ages age slow bad worse awful terrible terribly awfully "
        "extremely truly deeply hoping forever half life saver star angel rock rocks god bless "
        "gonna wanna gotta english language native speaker typing phone mobile typos spelling "
        "grammar mistakes errors once more further assistant bot ai chatgpt computer robot "
        "machine support service customer agent staff young gentleman may most so late message "
        "email note before been has m s d ll ve re t don didn doesn isn aren wasn couldn wouldn "
        "haven hasn can won ain u ur im ive id"
    )
)
"""These are no courtesy alone, but may stand beside one."""

_ALLOWED = _TELLING | _COMPANY | DROPPED | NEGATORS | AUXILIARIES
_ASKING = frozenset(listed("what which who whom whose when where why how"))
_OFFERED = [[word] for word in listed("you u anyone anybody someone somebody i")]
_TAGS = frozenset(
    f"{verb}{negation} {who}"
    for verb in listed("is are do does did was can could would will should have has")
    for negation in ("n't", "nt", "")
    for who in ("it", "you", "they", "he", "she", "i")
) | {"right", "correct", "yes", "no", "huh", "eh", "ok"}
"""What makes a question of a statement: isn't it, right."""
_VOCATIVES = frozenset(
    listed(
        "young man lady my dear love guys all everyone folks mate darling sir madam boss buddy xx x"
    )
)
_TOGETHER = (
    ("not", "emergency"),
    ("not", "sure"),
    ("no", "idea"),
    ("right", "place"),
    ("don", "know"),
    ("first", "time"),
)
_CLAUSES = re.compile(r"([.,!?;:…()\n]+(?!\w)| - | [Bb]ut | so (?!far))")
_HINTS = frozenset(",.!?;:…()\n-")
_WORDS = re.compile(r"[a-z]+")
_NAMED = re.compile(
    r"\s*(?:(?:[Hh]i|[Hh]ello|[Hh]ey|[Dd]ear)\b,? (?:[A-Z]\w+ ?){1,3}[,!.:-]+\s*)?"
    r"(?:[Mm]y name(?: is|'s) [A-Z]\w+(?: [A-Z]\w+)?\s*(?:[,.!;-]+ (?:and )?|and )"
    r"|(?:[Ii] am|I'm|[Tt]his is) [A-Z]\w+(?: [A-Z]\w+)? (?:here|speaking)\s*[,.!;-]+ )?"
)
"""A greeting with a name, and a name that the writer gives."""


def without_courtesy(text: str) -> str:
    """Return a text without the clauses that are courtesies only, unless it has no others."""
    if _HINTS.isdisjoint(text[:-1]) and " but " not in text and " so " not in text:
        return text
    if text[:1] in "HhDdMmIT":
        named = _NAMED.match(text)
        if named is not None and 0 < named.end() < len(text):
            text = text[named.end() :]
    parts = _CLAUSES.split(text)
    if len(parts) < 3:
        return text
    kept: list[str] = []
    dropped = False
    for at in range(0, len(parts), 2):
        stop = parts[at + 1] if at + 1 < len(parts) else ""
        if not kept and not parts[at].strip():
            continue
        if _is_courtesy(parts[at], asks="?" in stop):
            dropped = True
            if kept:
                kept.append(stop)
        else:
            kept.append(parts[at])
            kept.append(stop)
    rest = "".join(kept)
    return rest if dropped and _WORDS.search(rest.lower()) else text


def _is_courtesy(clause: str, *, asks: bool) -> bool:
    if asks and clause.strip().lower() in _TAGS:
        return True
    if not asks and _VOCATIVES.issuperset(clause.lower().split()):
        return bool(clause.strip())
    words = _WORDS.findall(clause.lower())
    if not words or len(words) > 16 or not _ALLOWED.issuperset(words):
        return False
    if _TELLING.isdisjoint(words) and not any(
        first in words and second in words for first, second in _TOGETHER
    ):
        return False
    if any(map(str.isdigit, clause)):
        return False
    if not _ASKING.isdisjoint(words):
        return words[0] == "how" and words[1] in ("are", "is", "s") and "you" in words
    return not asks or words[0] not in AUXILIARIES or words[1:2] in _OFFERED
