"""The built-in guards, each in both directions: what they veto and what they let through."""

from __future__ import annotations

import pytest

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.semantic.guards import GUARDS, Guards, Traits, Veto

ALL = Guards(secret=b"a key")

VETOED = [
    ("Price for 2 adults and 3 children", "Price for 3 adults and 2 children"),
    ("Run 5 km in 30 minutes", "Run 30 km in 5 minutes"),
    ("meeting at 5pm", "meeting at 5am"),
    ("what is 20% of 80", "what is 20 of 80"),
    ("send $20", "send €20"),
    ("error E1042 on startup", "error E1043 on startup"),
    ("edit config.yaml", "edit config.json"),
    ("flight LH441 status", "flight LH414 status"),
    ("Is it safe with alcohol?", "Is it safe without alcohol?"),
    ("countries in the EU", "countries not in the EU"),
    ("pay before delivery", "pay after delivery"),
    ("how do I cancel my subscription", "how do I renew my subscription"),
    ("is the museum open on Monday", "is the museum open on Tuesday"),
    ("weather tomorrow in Rome", "weather yesterday in Rome"),
    ("cheapest hotel in Rome", "most expensive hotel in Rome"),
    ("Who is the wife of Obama", "Who is the husband of Obama"),
    ("best food for dogs", "best food for cats"),
    ("does coffee affect sleep", "does sleep affect coffee"),
    ("convert 10 miles to km", "convert 10 km to miles"),
    ("is python faster than java", "is java faster than python"),
    ("flights to Berlin", "flights from Berlin"),
    ("why is the sky blue", "when is the sky blue"),
    ("how long is the film", "how good is the film"),
    ("side effects of aspirin", "side effects of aspirin during pregnancy"),
    ("can I bring a dog", "can I bring a dog on the train"),
    ("form 1040 deadline", "from 1040 deadline"),
    ("what is his salary", "what is her salary"),
    ("what is the dose for adults", "what is the dose for children"),
    ("Can dogs eat grapes?", "Can dogs not eat grapes?"),
    ("how to enable dark mode", "how to disable dark mode"),
    ("capital of Austria", "capital of Australia"),
    ("How do I delete my card?", "How do I delete my cart?"),
    ("8 * 2", "8 / 2"),
    ("Kann ich 3 Tickets kaufen", "Kann ich 4 Tickets kaufen"),
    ("Ich möchte das Ticket stornieren", "Ich möchte das Ticket nicht stornieren"),
    ("minimum age to drive", "maximum age to drive"),
    ("I want to buy shares", "I want to sell shares"),
    ("Should I take it in the morning", "Should I take it in the evening"),
    ("lawyers in Boston", "lawyers in Austin"),
    ("How do I lock my account", "how do i unlock my account"),
    ("install node 18", "install node 20"),
    ("hotels for 10-20 people", "hotels for 10-30 people"),
    ("recipes with nuts", "recipes without nuts"),
    ("table for two", "table for three"),
    ("visa for France from India", "visa for India from France"),
    ("delete all files except logs", "delete all files"),
    ("what did Anna tell Ben", "what did Ben tell Anna"),
    ("which countries did France invade", "which countries invaded France"),
    ("switch the lights on and the heating off", "switch the lights off and the heating on"),
    ("learn C++", "learn C#"),
    ("Thanks for 4 tickets, where is my parcel?", "Where is my parcel?"),
]

PASSED = [
    ("What is the date of the final?", "when is the final"),
    ("What's the capital of France?", "whats the capital of france"),
    ("Could you please tell me the opening hours?", "opening hours"),
    ("How do I cancel my subscription?", "subscription cancellation"),
    ("How much does a ticket cost?", "what is the price of a ticket"),
    ("Is there a way to change my address?", "How can I change my address"),
    ("I need 2 tickets for March 5", "I need two tickets for 5 March"),
    ("50% off", "fifty percent off"),
    ("5pm today", "17:00 today"),
    ("1,000 users", "one thousand users"),
    ("I have lost my passport, what do I do?", "what should i do, I lost my passport"),
    ("why won't my card work", "my card doesn't work"),
    ("colour of the sky", "color of the sky"),
    ("recieve a package", "receive a package"),
    ("Hi there! how do I reset my password? Thanks!", "reset password"),
    ("weather forecast for Paris", "Paris weather forecast"),
    ("buy a car", "purchase an automobile"),
    ("kids movies", "movies for children"),
    ("How to set up a VPN?", "vpn setup"),
    ("who wrote Hamlet", "author of Hamlet"),
    ("What are the steps to bake bread?", "How do I bake bread?"),
    ("does it rain in june in Rome", "Rome June rain"),
    ("how tall is the Eiffel tower", "what is the height of the Eiffel Tower"),
    ("I can't log in", "i am unable to log in"),
    ("12 o'clock train to Oxford", "12:00 train to Oxford"),
    ("send the invoice to anna@example.com", "Please send the invoice to anna@example.com"),
    ("order number A-1042", "order number A1042"),
    ("is the shop not open on sunday", "is the store closed on Sunday"),
    ("when did world war 2 end", "When did World War II end?"),
    ("how many people live in Peru", "number of people living in Peru"),
    ("gpt-4 price", "GPT4 price"),
    ("was Caesar killed by Brutus", "did Brutus kill Caesar"),
    ("cancel my flight plz", "please cancel my flights"),
    ("what is twenty-five euros in dollars", "what is €25 in dollars"),
    ("wait for 2 hrs", "wait for 120 minutes"),
    ("what time does the bank open", "when does the bank open"),
    ("how do I repair a broken radio", "how do I repair a radio"),
    ("ihave lost my card", "I have lost my card"),
    ("My name is Anna Berg. Where is my parcel?", "Where is my parcel?"),
]


@pytest.mark.parametrize(("question", "candidate"), VETOED)
def test_what_changes_the_answer_is_vetoed_from_both_sides_and_from_hashed_traits(
    question, candidate
):
    assert ALL.veto(question, candidate) is not None
    assert ALL.veto(candidate, question) is not None
    assert ALL.veto(question, Traits.from_json(ALL.hash_traits(candidate))) is not None


@pytest.mark.parametrize(("question", "candidate"), PASSED)
def test_other_words_for_the_same_question_pass_from_both_sides(question, candidate):
    assert ALL.veto(question, candidate) is None
    assert ALL.veto(candidate, question) is None


BY_GUARD = [
    ("numbers", "release notes of 3.11", "release notes of 3.12", "3.11"),
    ("numbers", "open report.csv", "open report.json", "reportcsv"),
    ("negation", "trains with wifi", "trains without wifi", "negated"),
    ("negation", "lock the door", "unlock the door", "opposite"),
    ("kind", "why does it rain", "when does it rain", "why"),
    ("kind", "what is the address of the clinic", "why is the clinic", "where"),
    ("order", "trains from Oslo to Bergen", "trains from Bergen to Oslo", "swapped"),
    ("order", "did Ajax beat Porto", "did Porto beat Ajax", "swapped"),
    ("order", "what is my limit", "what is your limit", "persons"),
    ("words", "hotels in Oslo", "hotels in Bergen", "oslo"),
    ("words", "vaccines", "vaccines for travellers", "travellers"),
]


@pytest.mark.parametrize(("guard", "question", "candidate", "named"), BY_GUARD)
def test_each_guard_vetoes_alone_says_why_and_can_be_switched_off(
    guard, question, candidate, named
):
    veto = Guards([guard]).veto(question, candidate)
    assert veto is not None
    assert veto.guard == guard
    assert named in veto.reason.replace(".csv", "csv")
    assert Guards([]).veto(question, candidate) is None
    others = Guards([name for name in GUARDS if name != guard])
    assert guard not in others.verdicts(question, candidate)


def test_the_reason_names_both_numbers():
    veto = ALL.veto("python 3.11", "python 3.12")
    assert veto == Veto("numbers", 'the numbers differ: "3.11" and "3.12"')


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("restaraunt near me", "restaurant near me"),
        ("chnage adress", "change address"),
        ("accomodation in Lisbon", "accommodation in Lisbon"),
        ("waht is teh wheather like", "what is the weather like"),
        ("wich vitamin helps", "which vitamin helps"),
        ("symtoms of malaria", "symptoms of malaria"),
    ],
)
def test_typing_errors_pass(typed, meant):
    assert ALL.veto(typed, meant) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("print the form", "print the farm"),
        ("a table of contents", "a cable of contents"),
        ("stationary bikes", "stationery bikes"),
        ("address of Mr Hansen in town", "address of Mr Hanson in town"),
        ("visit Slovakia", "visit Slovenia"),
        ("loan terms", "loans teams"),
        ("Henry VII", "Henry VIII"),
    ],
)
def test_real_words_and_names_are_no_typing_errors_of_one_another(one, other):
    assert ALL.veto(one, other) is not None


def test_near_words_pass_but_names_opposites_and_siblings_never_do():
    asked = []

    def near(one, other):
        asked.append((one, other))
        return True

    guards = Guards(near=near)
    assert guards.veto("mow the turf", "mow the sward") is None
    assert guards.veto("mow the sward", "mow the turf") is None
    assert asked == [("sward", "turf")]  # asked once, in one order
    assert Guards().veto("mow the turf", "mow the sward") is not None
    assert guards.veto("paint it red", "paint it blue") is not None
    assert guards.veto("raise the blind", "lower the blind") is not None
    assert guards.veto("fly to Quito today", "fly to Cuzco today") is not None


def test_a_near_that_fails_is_as_if_nothing_were_near():
    def near(one, other):
        raise RuntimeError

    assert Guards(near=near).veto("mow the turf", "mow the sward") is not None


def test_a_users_guard_is_asked_and_one_that_fails_has_vetoed():
    def veto_capitals(question, candidate):
        return Veto("shouting", "loud") if question.isupper() else None

    def fail(question, candidate):
        raise KeyError("gone")

    guards = Guards(["numbers", veto_capitals])
    assert guards.custom
    assert guards.veto("HELLO", "hello") == Veto("shouting", "loud")
    assert guards.verdicts("hello", "hello") == {"numbers": None, "veto_capitals": None}
    veto = Guards([fail]).veto("a", "a")
    assert veto is not None
    assert veto.guard == "fail"
    assert "failed" in veto.reason
    assert "KeyError" in veto.reason
    assert not Guards().custom


def test_users_guards_are_not_asked_about_hashed_candidates():
    guards = Guards([lambda question, candidate: Veto("no", "no")])
    assert guards.veto("a", Traits.from_json(guards.hash_traits("a"))) is None


async def _waits(question, candidate):
    return None


class _Waits:
    async def __call__(self, question, candidate):
        return None


@pytest.mark.parametrize("wrong", ["numbers", 7, ["nubmers"], [7], [_waits], [_Waits()]])
def test_what_is_no_list_of_guards_is_refused(wrong):
    with pytest.raises(ConfigurationError) as caught:
        Guards(wrong)
    assert caught.value.parameter == "guards"


def test_hashed_traits_hold_no_word_and_depend_on_the_secret():
    text = "Refund order A-1042 for Marta in Lisbon, 250 euros"
    hashed = Guards(secret=b"one").hash_traits(text)
    for word in ("refund", "1042", "marta", "lisbon", "250", "euro"):
        assert word not in hashed.lower()
    assert hashed != Guards(secret=b"two").hash_traits(text)
    assert hashed == Guards(secret=b"one").hash_traits(text)


def test_hashed_traits_without_a_secret_hold_no_word_and_are_the_same_everywhere():
    hashed = Guards().hash_traits("hotels in Oslo")
    assert "oslo" not in hashed.lower()
    assert hashed == Guards().hash_traits("hotels in Oslo")
    assert Guards().veto("hotels in Oslo", Traits.from_json(hashed)) is None
    assert Guards().veto("hotels in Bergen", Traits.from_json(hashed)) is not None


def test_a_veto_on_hashed_traits_names_the_words_of_the_question_only():
    veto = ALL.veto("hotels in Oslo", Traits.from_json(ALL.hash_traits("hotels in Bergen")))
    assert veto is not None
    assert "bergen" not in veto.reason.lower()


def test_what_is_lost_with_hashed_traits_is_typing_errors_and_nearness():
    hashed = Traits.from_json(ALL.hash_traits("photos of Libson"))
    assert ALL.veto("photos of Lisbon", hashed) is not None
    assert ALL.veto("photos of Lisbon", "photos of Libson") is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"hashed": true}', '{"words": 3}'])
def test_what_is_no_traits_is_a_value_error(text):
    with pytest.raises(ValueError):
        Traits.from_json(text)


@pytest.mark.parametrize(
    ("one", "other", "vetoed"),
    [
        ("Wie ist das Wetter in Rom", "Wie ist das Wetter in Bonn", False),
        ("Wie ist das Wetter am 3. Mai", "Wie ist das Wetter am 4. Mai", True),
        ("je veux un billet", "je ne veux pas un billet", True),
        ("¿Puedo cambiar mi clave sin tarjeta?", "¿Puedo cambiar mi clave con tarjeta?", True),
        ("明日の天気は", "昨日の天気は", False),
        ("注文 1042 の状況", "注文 1043 の状況", True),
        ("какая погода 5 мая", "какая погода 6 мая", True),
    ],
)
def test_without_unread_only_numbers_and_negations_are_judged_in_other_languages(
    one, other, vetoed
):
    guards = Guards([name for name in GUARDS if name != "unread"])
    assert (guards.veto(one, other) is not None) == vetoed


def test_a_long_text_is_compared_as_a_whole():
    text = "Summarise: " + "the quick brown fox jumps. " * 200
    assert ALL.veto(text, text.upper().replace(" ", "  ")) is None
    assert ALL.veto(text, text + "not") is not None
    assert Guards(["words"]).veto(text, text + "not") is not None
    assert ALL.veto(text, "Summarise") is not None
    assert ALL.veto(text, Traits.from_json(ALL.hash_traits(text))) is None
    assert ALL.veto(text + "\ud800", text + "\udfff") is not None
