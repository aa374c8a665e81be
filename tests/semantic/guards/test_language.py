"""The language of a text is told where it is certain, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from toolops_plugins.semantic.guards.language import language_of


@pytest.mark.parametrize(
    "text",
    [
        "How do I cancel my order?",
        "where is my package",
        "Lost password",
        "Can I top up?",
        "What is the weather like in São Paulo tomorrow?",
        "Which house plants are non-toxic to cats?",
        "What's 25% of 260?",
        "Show me running shoes under $80",
        "I bought a café table, but it hasn't arrived",
        "wher is my pakage it was suposed to arive yestrday",
        "Is there a difference between C++ and C#?",
        "Why does my transfer say it is pending?",
        "How do I put on a tyre?",
    ],
)
def test_english(text):
    assert language_of(text) == "en"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Wie kann ich meine Karte sperren?"),
        ("de", "Wann kommt mein Paket an?"),
        ("de", "Was war in Rom"),
        ("fr", "Comment annuler ma commande ?"),
        ("fr", "Quelle est la météo à Lyon ?"),
        ("es", "¿Dónde está mi paquete?"),
        ("es", "quiero abrir una cuenta"),
        ("pt", "Onde está a minha encomenda?"),
        ("pt", "quero abrir uma conta"),
        ("it", "Come annullo il mio ordine?"),
        ("it", "quanto costa un biglietto"),
        ("nl", "Hoe annuleer ik mijn bestelling?"),
        ("nl", "ik wil een rekening openen"),
    ],
)
def test_other_languages(language, text):
    assert language_of(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "👍",
        "42",
        "hotel",
        "a + b",
        "x^2 + 3x - 4 = 0",
        "E = mc²",
        "status != open",
        "price < 100",
        "git show 9fae21c --stat",
        "rm -rf /tmp/cache",
        "kubectl get pods",
        "SELECT name FROM users WHERE age > 18",
        "select name from users where age > 18",
        "print(x); y = 2",
        "for (int i = 0; i < n; i++) { sum += i; }",
        "if a == b: return True",
        "/etc/nginx/nginx.conf",
        "https://example.com/orders/new",
        "support@example.com",
        "translate 'perro'",
        "Translate these lyrics from Welsh into Korean",
        "What does perro mean?",
        "How do you spell colour?",
        'Rewrite this sentence: "The dog sleeps."',
        "Cancel mi pedido please",
        "How do I cancel? ¿Cómo cancelo mi pedido?",
        "Как отменить заказ?",
        "取消订单",
        "注文をキャンセルするには?",
        "주문을 취소하고 싶어요",
        "كيف ألغي طلبي؟",
        "Πώς ακυρώνω την παραγγελία μου;",
        "मैं अपना ऑर्डर कैसे रद्द करूँ?",
        "\ud800 lone",
    ],
)
def test_uncertain(text):
    assert language_of(text) == ""


def test_related_languages_are_not_taken_for_their_neighbours():
    for text in ("Com puc cancel·lar la meva comanda?", "Hvordan annullerer jeg min ordre?"):
        assert language_of(text) not in {"en", "de", "nl", "es", "fr", "it", "pt"}


def test_questions_of_a_bank_are_english(data_dir):
    lines = (data_dir / "banking77.jsonl").read_text("utf-8").splitlines()[:3_000]
    languages = [language_of(json.loads(line)["question"]) for line in lines]
    assert languages.count("en") > 0.995 * len(languages)


def test_plain_english_loads_no_model(root):
    program = """
import sys
from toolops_plugins.semantic.guards import Guards
Guards().weigh("How do I cancel my order?", "Can I cancel an order that I have placed?")
print("py3langid" in sys.modules)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"


def test_without_py3langid_only_english_is_told(monkeypatch):
    from toolops_plugins.semantic.guards import language

    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    monkeypatch.setattr(language, "_identifier", language._Identifier())
    assert language_of("How do I cancel my order?") == "en"
    assert language_of("Wie kann ich meine Karte sperren?") == ""


async def test_on_an_event_loop_the_model_is_loaded_in_a_thread(monkeypatch, tmp_path):
    from toolops_plugins import SemanticCache
    from toolops_plugins.semantic.guards import language

    threads: list[threading.Thread] = []

    class Identifier(language._Identifier):
        def load(self):
            threads.append(threading.current_thread())
            return super().load()

    monkeypatch.setattr(language, "_identifier", Identifier())
    async with SemanticCache(tmp_path) as cache:
        await cache.aput("How do I cancel my order?", "by mail")
        assert await cache.afind("how can I cancel my order") is not None
        assert not threads
        await cache.aput("Où est mon colis ?", "ici")
        assert await cache.afind("ou est mon colis") is not None
    assert threads
    assert threading.current_thread() not in threads
