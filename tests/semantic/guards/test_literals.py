"""Parts of which every letter counts, end marks, and small words that turn the meaning.

Each test crosses templates with what makes the difference: traps, which every candidate must be
vetoed for, and near repeats or rewordings, which must pass.
"""

from __future__ import annotations

from itertools import combinations

import pytest

from toolops_plugins.semantic.guards import Guards, Traits

GUARD = Guards()
Pairs = list[tuple[str, str]]


def served(pairs: Pairs) -> Pairs:
    """Return the pairs without a veto from one of the two sides, also where digests are stored."""
    return [
        (one, other)
        for one, other in pairs
        for question, candidate in ((one, other), (other, one))
        for stored in (candidate, Traits.from_json(GUARD.hash_traits(candidate)))
        if GUARD.veto(question, stored) is None
    ]


def repeated(pairs: Pairs) -> Pairs:
    return [
        (one, other)
        for one, other in pairs
        if GUARD.repeats(one, other) and GUARD.veto(one, other) is None
    ]


QUOTES = ['"{}"', "'{}'", "“{}”", "«{}»", "„{}“", "`{}`"]
WORKS = [
    "How do you say {} in Korean?",
    "What does {} mean?",
    "Translate {} to French",
    "Is the grammar of {} correct?",
    "How many letters are in {}?",
    "Rephrase {} for me",
    "Can you define {}?",
    "How do I spell {}?",
    "Wie sagt man {} auf Koreanisch?",
    "¿Cómo se dice {} en inglés?",
    "Comment dit-on {} en anglais ?",
]
QUOTED = [
    ("good morning", "good evening"),
    ("big", "large"),
    ("I bought a car", "I purchased a car"),
    ("banana", "bananas"),
    ("thank you", "please"),
    ("polish", "Polish"),
]


def test_quoted_text_to_be_worked_on_is_compared_by_the_letter():
    traps = [
        (work.format(quote.format(one)), work.format(quote.format(other)))
        for work in WORKS
        for quote in QUOTES
        for one, other in QUOTED
    ]
    assert served(traps) == []
    assert repeated(traps) == []


def test_how_quoted_text_is_quoted_does_not_count():
    pairs = [
        (work.format(one.format(text)), work.format(other.format(text)).rstrip("?"))
        for work in WORKS
        for one, other in combinations(QUOTES[:5], 2)
        for text, _ in QUOTED
    ]
    assert repeated(pairs) == pairs


def test_quoted_names_may_be_written_in_any_case():
    pairs = [
        (f"Where is the {quote.format('Settings')} page?", "where is the 'settings' page")
        for quote in QUOTES[:5]
    ]
    assert served(pairs) == [pair for pair in pairs for _ in range(4)]


def test_a_word_in_another_language_is_that_of_this_very_word():
    traps = [
        (asked.format(one), asked.format(other))
        for asked in ("how do you say {} in Korean", "What is the Spanish word for {}?")
        for one, other in (("big", "large"), ("quick", "fast"), ("begin", "start"))
    ]
    assert served(traps) == []
    assert repeated([(one, f"{one.capitalize()}?") for one, _ in traps[:3]])


SYMBOLS = {
    "How many {} are in a file?": "Mb MB; Kb KB; Gb GB; Kb kb",
    "How much is 5 {} in base units?": "mW MW; mA MA; mV MV; MB/s Mb/s; mHz MHz; Mg mg",
    "What does {} stand for in statistics?": "n N; p P; r R",
    "Solve 2{} + 3 = 7": "x X; y Y",
    "Is {} a toxic gas?": "Co CO; Os OS",
    "What is the molar mass of {}?": "CoCl2 COCl2; Pb PB; Sn SN; NoF NOF",
    "What is in {}?": "Main.java main.java; README.md readme.md; Setup.py setup.py",
    "What does {} return?": "getName() getname(); MAX_SIZE max_size",
    "Should I use {} in TypeScript?": "String string; Number number; Boolean boolean",
    "How do I annotate a {} in Python?": "List list; Dict dict",
    "Wie viel sind 5 {} in Watt?": "mW MW",
}


def test_case_counts_where_it_tells_symbols_apart():
    traps = [
        (asked.format(*pair.split()[:1]), asked.format(*pair.split()[1:]))
        for asked, pairs in SYMBOLS.items()
        for pair in pairs.split("; ")
    ]
    assert served(traps) == []
    assert repeated(traps) == []


PROSE = [
    "Is my limit of 500 MB reached?",
    "How fast is 100 Mbps?",
    "What is the function of vitamin C?",
    "Does Node.js run on Windows?",
    "Is Acme Co a good company?",
    "Why is my iPhone so slow?",
    "What is 5G?",
    "Is the US in the UN?",
    "I sold my MacBook on eBay, is PayPal safe?",
    "Does my Visa card work in the UK?",
    "Can I take Line C to Plaza A?",
    "How do I write to my MP?",
    "Does the NHS cover CT scans?",
    "When do I get my P45 from HMRC?",
]


def test_case_says_nothing_in_prose():
    pairs = [(text, other) for text in PROSE for other in (text.lower(), text.upper())]
    assert repeated(pairs) == pairs


JOINED = [
    ("Show flights {}with meals{} {}without stops{}", ("", "")),
    ("Can I get there {}by train{} {}not by bus{}", ("", "?")),
    ("Find rooms {}with wifi{} {}without breakfast{}", ("", "")),
    ("List users {}from Spain{} {}not from Madrid{}", ("", "")),
    ("Is it served {}with milk{} {}without sugar{}", ("", "?")),
    ("Hotels {}near the beach{} {}not near the road{}", ("", "")),
    ("Delete files {}without tags{} {}with errors{}", ("", "")),
    ("Show orders {}in Berlin{} {}not in Bonn{}", (" today", "")),
]


def test_and_is_not_or_before_a_preposition_or_a_negation():
    traps, true = [], []
    for template, (middle, end) in JOINED:
        one, other = (template.format("", f"{middle} {how}", "", end) for how in ("and", "or"))
        traps.append((one, other))
        true += [(f"Hi! {text}", text) for text in (one, other)]
    assert served(traps) == []
    assert served(true) == [pair for pair in true for _ in range(4)]


VERBS = ["sign", "log", "clock", "check", "move", "opt", "phase", "zoom", "scale", "roll", "turn"]
VERBS += ["switch", "dial", "fade", "lock", "punch", "sit", "stand", "fold", "write", "hang", "tie"]
PARTICLES = [("in", "out"), ("on", "off"), ("up", "down"), ("in", "up"), ("off", "down")]
ASKED = [
    "How do I {} {}?",
    "Please {} me {}",
    "Can you {} the users {}?",
    "The app does not let me {} {}",
    "{} it {}",
    "When can I {} {} of the plan?",
]


def test_the_particle_of_a_verb_turns_its_meaning():
    traps = [
        (asked.format(verb, one), asked.format(verb, other))
        for verb in VERBS
        for asked in ASKED
        for one, other in PARTICLES
    ]
    assert served(traps) == []


@pytest.mark.parametrize(
    ("question", "candidate"),
    [
        ("How do I log in?", "How do I log on?"),
        ("How do I sign out?", "How do I log off?"),
        ("How do I fill in the form?", "How do I fill out the form?"),
        ("Clean up the disk", "Clean the disk"),
        ("Please sign me out", "Can you sign me out?"),
        ("The price went up in May", "The price increased in May"),
        ("Can I check out late?", "Is it possible to check out late?"),
        ("What is in the box on the table?", "What is inside the box on the table?"),
        ("reclaim disk space after a delete", "How do I reclaim disk space after a delete?"),
    ],
)
def test_particles_that_turn_nothing_pass(question, candidate):
    assert len(served([(question, candidate)])) > 1


def test_signs_between_letters_are_compared():
    asked = ["What is {}?", "Evaluate {}", "Is {} the same as z?"]
    traps = [
        (text.format(f"x{one}y"), text.format(f"x{other}y"))
        for text in asked
        for one, other in combinations("&|/+-", 2)
    ]
    assert served(traps) == []
    words = ["What is R&D?", "Where is the Q&A page?", "Is it safe w/o a helmet?"]
    assert repeated([(text, text.lower()) for text in words]) == [(w, w.lower()) for w in words]


ENDS = [
    "Wake me up at 7",
    "price < 100",
    "Wecke mich morgen um 7",
    "Niamshe kesho saa 7",
    "Despiértame mañana a las 7",
    "Væk mig i morgen kl. 7",
    "Bangunkan saya jam 7",
    "Разбуди меня завтра в 7",
    "Set the heating to 21",
]


def test_an_exclamation_mark_after_a_number_ends_a_sentence():
    pairs = [(f"{text}!", text) for text in ENDS]
    assert repeated(pairs) == pairs


def test_a_factorial_needs_a_formula():
    formulas = ["What is 5{}?", "Calculate 5{}", "2 + 5{} = ?", "5{} = ?", "5{}", "3 * 4{}"]
    formulas += ["x = 5{}", "Solve 5{} / 3!", "Was ist 5{}?", "Compute 6{} + 1"]
    traps = [(text.format("!"), text.format("")) for text in formulas]
    assert served(traps) == []
    assert repeated(traps) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Solve x^2=4", "solve x^2 = 4"),
        ("Explain the regex ^\\d+$", "explain the regex ^\\d+$"),
        ("Fix: if (a == b) { return; }", "fix: if (a == b) { return; }"),
        ("SELECT name FROM users WHERE age > 18;", "select name from users where age > 18"),
        ("Insert into t values (1);", "INSERT INTO t VALUES (1)"),
        ("Πότε ανοίγει το Netflix;", "πότε ανοίγει το Netflix"),
        ("πότε φεύγει το λεωφορείο 7;", "πότε φεύγει το λεωφορείο 7"),
        ("👍 👎", "👍👎"),
    ],
)
def test_near_repeats_of_notation(one, other):
    assert repeated([(one, other), (other, one)]) == [(one, other), (other, one)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Foo = 1", "foo = 1"),
        ("Match(x) = 1;", "match(x) = 1;"),
        ("select Name from users", "select name from users"),
        ("SELECT * FROM t WHERE a = 'AND'", "SELECT * FROM t WHERE a = 'and'"),
        ("Solve X^2=4", "solve x^2=4"),
        ("👍 👎", "👎👍"),
        ("x = 5;", "y = 5;"),
    ],
)
def test_what_counts_in_notation(one, other):
    assert served([(one, other)]) == []


@pytest.mark.parametrize("text", ["B<a", "N + 1 in statistics", 'Say "B  b" in French', "x = Mb"])
def test_spaces_around_symbols_do_not_count(text):
    assert repeated([(text, f"  {'   '.join(text.split())} ")])
