"""The reading of German, French, Spanish, Portuguese, Italian and Dutch, and its comparison."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from toolops_plugins.semantic.guards import Guards, Traits
from toolops_plugins.semantic.guards.languages import LANGUAGES, are_equal, read_content
from toolops_plugins.semantic.guards.languages.content import Content

SAME = """\
de|Wie schalte ich den Wecker aus?|Wie kann man den Wecker ausschalten?
de|Können Sie mir sagen, wie ich den Wecker ausschalte?|Wie schalte ich den Wecker aus?
de|Weißt du, wo der Bahnhof liegt?|Wo liegt der Bahnhof?
de|Wo finde ich im Zug Steckdosen?|Wo finde ich Steckdosen im Zug?
de|Hotels mit vier Sternen in Rom|Hotels mit 4 Sternen in Rom
de|Hotels mit 21 Zimmern|Hotels mit einundzwanzig Zimmern
de|Wo liegt die Straße?|Wo liegt die Strasse?
de|Welche Dokumente brauche ich denn?|Welches Dokument brauche ich?
fr|Quel temps fera-t-il demain à Lyon ?|Demain, quel temps fera-t-il à Lyon ?
fr|Bonjour, est-ce que le musée est ouvert le lundi ?|Le lundi, le musée est-il ouvert ?
fr|Comment est-ce que je peux bloquer ma carte ?|Comment bloquer ma carte ?
fr|Quel train part à 7 heures ?|Quels trains partent à sept heures ?
fr|Combien font soixante et onze euros ?|Combien font 71 euros ?
de|Wo kann ich meine Rechnungen finden?|Wo finde ich meine Rechnungen?
fr|Comment je résilie mon contrat ?|Comment résilier mon contrat ?
fr|Ou puis-je payer par cheque ?|Où puis-je payer par chèque ?
fr|Comment telecharger un releve ?|Comment télécharger un releve ?
fr|Merci de m'indiquer l'adresse du consulat d'Italie|Quelle est l'adresse du consulat d'Italie ?
es|¿Está abierto el museo los domingos?|¿El museo está abierto los domingos?
es|¿Cómo se cambia la rueda?|¿Cómo cambio la rueda?
es|¿Cuánto son treinta y dos dólares?|¿Cuánto son 32 dólares?
es|donde esta la parada de autobus|¿Dónde está la parada de autobús?
pt|Gostaria de saber qual é o preço do passe|Qual é o preço do passe?
pt|A que horas abre a farmácia ao sábado?|Ao sábado a que horas abre a farmácia?
pt|O que são os sintomas?|O que é o sintoma?
pt|Como eu faço para apagar a conta?|Como apagar a conta?
pt|Qual e o horario da biblioteca?|Qual é o horário da biblioteca?
it|Mi sa dire quanto costano i biglietti?|Quanto costa il biglietto?
it|È aperta la farmacia la domenica?|La farmacia è aperta la domenica?
it|A che ora apre il bar il sabato?|Il sabato a che ora apre il bar?
it|Come posso cancellare il profilo?|Come si cancella il profilo?
it|Quanto sono ventitré dollari?|Quanto sono 23 dollari?
nl|Kun je me vertellen wat de hoofdstad van Peru is?|Wat is de hoofdstad van Peru?
nl|Regent het nu in Gent?|Regent het in Gent nu?
nl|Hoe zet ik de wekker uit?|Hoe kan ik de wekker uitzetten?
nl|Ik wil weten hoeveel een kaartje kost|Hoeveel kost een kaartje?
nl|Welke trein rijdt er over vijfentwintig minuten?|Welke trein rijdt over 25 minuten?
es|¿Cuánto son doscientos euros en dólares?|¿Cuánto son 200 euros en dólares?
it|Quanto sono duecento euro in dollari?|Quanto sono 200 euro in dollari?
pt|Prezados senhores, como cancelo a reserva?|Como cancelo a reserva? Agradeço desde já
pt|O senhor poderia me dizer onde está o museu?|Onde está o museu?
nl|Geachte heer of mevrouw, hoe laat opent de winkel?|Hoe laat opent de winkel?
"""

OTHER = """\
es|¿Por qué es aburrido Juan?|¿Por qué está aburrido Juan?
es|¿Las tiendas son buenas?|¿Las tiendas están buenas?
es|¿Cuánto son doscientos euros?|¿Cuánto son doscientos cincuenta euros?
pt|O João é chato?|O João está chato?
nl|Beste restaurant in Gent?|Restaurant in Gent?
it|Quanto sono duecento euro?|Quanto sono trecento euro?
de|Beißt der Hund den Mann?|Beißt den Hund der Mann?
de|Hilft der Arzt dem Kind?|Hilft dem Arzt das Kind?
de|Was kostet Reis?|Was kostet die Reise?
de|Wie spät ist es in Rom?|Wie spät war es in Rom?
de|Ist er schnell?|Ist er schneller?
de|Wie zahle ich die Schafe?|Wie zähle ich die Schafe?
de|Wie bestelle ich ein Buch?|Wie bestellte ich ein Buch?
de|Wie viel verdiene ich als Lehrer?|Wie viel verdient man als Lehrer?
de|Ist ein Hund ein Wolf?|Ist ein Wolf ein Hund?
de|Geht er mit Ute ins Kino und mit Tom in die Bar?|Geht er mit Tom ins Kino und mit Ute in die Bar?
de|Lösche meinen Termin|Lösche meine Termine
de|Lösche den Termin|Lösche die Termine
de|Gehe ich ins Kino?|Gehe ich im Kino?
de|Wie sage ich bitte auf Japanisch?|Wie sage ich danke auf Japanisch?
de|Wie stelle ich den Ton an?|Wie stelle ich den Ton ab?
de|Wie lange ist Weißwein haltbar?|Wie lange ist Rotwein haltbar?
de|Wo ist die Leiter?|Wo ist der Leiter?
de|Wie buchen wir das?|Wie büchen wir das?
de|Sind Wale Fische?|Sind Fische Wale?
de|Wann kommt sie?|Wann kommen sie?
de|Gibt es nur in Berlin Züge?|Gibt es in Berlin nur Züge?
de|Sind Hunde im Haus und Katzen?|Sind Hunde und Katzen im Haus?
de|Sagen Sie mir, wie oft ich trainiere|Sagen Sie mir, wie oft man trainiert
de|Was kann ich trinken?|Was trinke ich?
de|Wo parke ich?|Wo kann ich parken?
fr|Tu payes ou tu manges ?|Tu payes où tu manges ?
fr|La piscine est-elle ouverte ce soir ?|La piscine est-elle ouverte le soir ?
fr|Le musée est-il ouvert lundi ?|Le musée est-il ouvert le lundi ?
fr|Combien font cent un euros ?|Combien font cent euros ?
fr|Comment change la loi ?|Comment changer la loi ?
fr|Qui voit Paul ?|Qui Paul voit-il ?
fr|Où est la clé dessus ?|Où est la clé dessous ?
fr|Combien pèse un livre ?|Combien pèse une livre ?
fr|Est-il ouvert ?|Est-elle ouverte ?
fr|Supprime mon alarme|Supprime mes alarmes
fr|La mère de Paul appelle Luc ?|La mère de Luc appelle Paul ?
fr|Le magasin ferme quand ?|Le magasin fermé quand ?
fr|Qui mange ici ?|Qui mangera ici ?
fr|Quand arrive-t-il ?|Quand arrivent-ils ?
fr|Je veux voir un film|Je ne veux pas voir un film
es|¿Cuántos dólares son 20 euros?|¿Cuántos euros son 20 dólares?
es|¿Puede pagar con tarjeta?|¿Pueden pagar con tarjeta?
es|¿Abre el museo el lunes?|¿Abre el museo los lunes?
es|¿Abre el museo el domingo?|¿Abre el museo los domingos?
es|¿El bebé tiene fiebre?|¿El bebe tiene fiebre?
es|¿Cómo se llama mi banco?|¿Cómo llamo mi banco?
es|¿Cuánto gano?|¿Cuánto gana?
es|¿Llega hoy?|¿Llegan hoy?
es|¿Dónde está mi hijo?|¿Dónde está mi hija?
es|¿Es un pez una ballena?|¿Es una ballena un pez?
es|¿Compré el billete?|¿Compre el billete?
es|Hablo con Ana|Habló con Ana
es|Pago el recibo|¿Pagó el recibo?
es|¿Hay foto de Ana en casa de Luis?|¿Hay foto de Luis en casa de Ana?
es|¿Puedo entrar?|¿Puede entrar?
pt|É mais barato em Lisboa do que aqui?|É mais barato do que em Lisboa aqui?
pt|Um voo para Lisboa|Um voo por Lisboa
pt|Onde ele mora?|Onde ela mora?
pt|Onde posso pagar?|Onde pode pagar?
pt|Ela pode vir?|Ela pôde vir?
pt|Cancele a reunião|Cancele as reuniões
it|Dov'è il capitale?|Dov'è la capitale?
it|Il museo è aperto domenica?|Il museo è aperto la domenica?
it|Ha prenotato?|Hanno prenotato?
it|È in ritardo?|Sono in ritardo?
it|Come si chiama il medico?|Come chiamo il medico?
it|Ho pagato la multa?|Ha pagato la multa?
it|Un treno da Roma|Un treno di Roma
it|Come è andata?|Come non è andata?
it|Andrà in banca?|Andò in banca?
it|Quanto costa?|Quanto costava?
it|Elimina la sveglia|Elimina le sveglie
nl|Waar staat zijn auto?|Waar staat de auto?
nl|Wanneer komt ze?|Wanneer komen ze?
nl|Waar is hij?|Waar is zij?
nl|Kan ik voor de les eten?|Kan ik na de les eten?
nl|Hoeveel weegt de bal?|Hoeveel weegt het bal?
nl|Hoeveel manen heeft Mars?|Hoeveel mannen heeft Mars?
nl|Ziet Jan Piet?|Ziet Piet Jan?
nl|Verwijder mijn wekker|Verwijder mijn wekkers
nl|Hoe zeg je dank je wel in het Frans?|Hoe zeg je alsjeblieft in het Frans?
nl|Hoe ver is het van Gent naar Luik?|Hoe ver is het van Luik naar Gent?
"""


ODD = (
    "| |?|,.!|-|'|''''|l'|-il|je|ich|wie ich|wie|como se|bitte|hola|merci, merci|von|de|de de|à|#"
    "|##|1|²|\ud800|\0|ein|wie ich kann|comment je|🙂|was ist die|was ist|a\n\nb|İ|ﬁ|wie kann ich"
    "|é \u0301|\u20e1"
)


def cases(table: str) -> list[tuple[str, ...]]:
    return [tuple(line.split("|")) for line in table.splitlines()]


def compare(language: str, one: str, other: str) -> bool:
    mine, numbers = read_content(one, language)
    its, its_numbers = read_content(other, language)
    return are_equal(mine, its) and are_equal(its, mine) and numbers == its_numbers


@pytest.mark.parametrize(("language", "one", "other"), cases(SAME))
def test_rewordings_are_equal(language, one, other):
    assert compare(language, one, other)


@pytest.mark.parametrize(("language", "one", "other"), cases(OTHER))
def test_other_questions_are_not_equal(language, one, other):
    assert not compare(language, one, other)


def test_a_reading_survives_json_and_digests_compare_as_words_do():
    digests = {}

    def digest(word: str) -> str:
        return digests.setdefault(word, f"{len(digests):x}")

    for language, one, other in [*cases(SAME), *cases(OTHER)]:
        mine, its = (
            Content.from_fields(read_content(text, language)[0].with_digests(digest).to_fields())
            for text in (one, other)
        )
        plain = [read_content(text, language)[0] for text in (one, other)]
        assert are_equal(mine, its) == are_equal(*plain)
        assert not set(mine.units) & set(plain[0].units)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
@pytest.mark.parametrize("text", ODD.split("|"))
def test_odd_texts_are_read(language, text):
    assert isinstance(read_content(text, language)[0], Content)


PIECES = """
' , . ? - de la le un el o a como wie ich kann 12 3,5 é ß \u0301 l' je -il si se 🙂 bitte hola quel
"""
texts = st.text(max_size=60) | st.lists(st.sampled_from(PIECES.split()), max_size=12).map(" ".join)


@example("Est-ce le poste ou la poste ?", "fr")
@given(texts, st.sampled_from(sorted(LANGUAGES)))
def test_every_text_is_read_and_equals_itself(text, language):
    reading, _ = read_content(text, language)
    assert are_equal(reading, reading) is bool(reading.units)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_text_with_accents_may_not_lose_those_that_make_another_word(language):
    tables = tables_of(language)
    for word in tables.get("accent_pairs", ()):
        bare, _ = read_content(f"xyz {word} abc", language)
        assert bare.folded == (), word


def tables_of(language):
    folder = files("toolops_plugins.semantic.guards.languages")
    return tomllib.loads(folder.joinpath(f"{language}.toml").read_text("utf-8"))


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_lists_are_sorted_and_unique(language):
    for name, table in tables_of(language).items():
        if name == "numbers":
            assert list(table["more"]) == sorted(table["more"])
            assert (len(table["units"]), len(table["tens"])) == (20, 8)
        else:
            assert list(table) == sorted(set(table)), name


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_form_belongs_to_one_word_only(language):
    tables = tables_of(language)
    for lines in (tables["forms"] + tables["agreement"], tables.get("verbs", [])):
        forms = [form for line in lines for form in line.split()]
        assert sorted(forms) == sorted(set(forms))


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_no_word_is_left_out_that_may_change_an_answer(language):
    tables = tables_of(language)
    left_out = {word for name in ("dropped", "copulas", "can") for word in tables.get(name, ())}
    left_out |= set(tables.get("one_article", ())) | set(tables.get("other_article", ()))
    for name in ("questions", "prepositions", "possessives", "genitives", "times"):
        assert not left_out & set(tables[name]), name


GUARD = Guards(secret=b"a key")


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (
            "Wie kann ich den Wecker bitte einschalten?",
            "Wie schalte ich den Wecker aus?",
            'the words differ: "einschalt" and "ausschalt"',
        ),
        (
            "Schlägt Bayern heute Dortmund?",
            "Schlägt Dortmund heute Bayern?",
            "the words agree, but not their order or their articles",
        ),
        ("Où est le poste ?", "Où est la poste ?", "the words agree, but not their order or"),
        ("Ist das Haus groß?", "Ist das Haus nicht groß?", 'only the candidate has "nicht"'),
    ],
)
def test_a_veto_names_the_difference(one, other, reason):
    assert reason in GUARD.verdicts(one, other)["unread"].reason
    assert GUARD.verdicts(one, Traits.from_json(GUARD.hash_traits(other)))["unread"] is not None


def test_questions_of_equal_content_are_equivalent_also_where_digests_are_stored():
    one, other = "Hola, ¿cuánto cuestan los billetes?", "¿Cuánto cuesta el billete?"
    assert GUARD.are_equivalent(one, other)
    assert GUARD.are_equivalent(one, Traits.from_json(GUARD.hash_traits(other)))
    assert "cuánto" not in GUARD.hash_traits(other)


def test_numbers_in_words_and_digits_are_compared():
    stored = "Zeige mir Hotels mit vier Sternen in Rom"
    assert GUARD.veto("Zeige mir Hotels mit 4 Sternen in Rom", stored) is None
    assert GUARD.veto("Zeige mir Hotels mit 5 Sternen in Rom", stored).guard == "numbers"
