"""Texts that no list was made for, and what must hold of them: nothing of ours ever raises.

:func:`make_texts` draws texts from all of Unicode, and :func:`check_forms` reads every word of the
word lists with every ending that the stemmer knows. Run as a program, it reads 200,000 texts and
all forms in pairs, which takes half an hour: ``python tests/odd_texts.py --seed 7``. The cache is
asked about a tenth of them.
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import string
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import toolops_plugins.semantic.guards as room
from toolops_plugins import Cache, Policy, Semantic, SemanticCache, ToolOps
from toolops_plugins.errors import EmbeddingError
from toolops_plugins.semantic.embedding.cached import Embeddings
from toolops_plugins.semantic.embedding.embedders import embedder_of
from toolops_plugins.semantic.guards import GUARDS, Guards, Traits
from toolops_plugins.semantic.guards.stems import forms_of, is_real, key, stem, without_un

__all__ = ["ENDINGS", "LISTED", "SHORT", "check_cache", "check_forms", "check_texts", "make_texts"]

ENDINGS = [
    *("", "s", "es", "ies", "ing", "ings", "ed", "ied", "er", "est", "ly", "ness", "ment", "ion"),
    *("ions", "able", "less", "ful", "y", "e", "ee", "is", "ys", "our", "iz", "ize", "ate", "'s"),
]
SHORT = [
    "".join(each) for n in (1, 2) for each in itertools.product(string.ascii_lowercase, repeat=n)
]
LISTED = sorted(
    {
        word
        for folder in (files(room), files(room) / "english")
        for file in folder.iterdir()
        if file.name.endswith((".py", ".txt", ".toml"))
        for word in re.findall(r"[a-z]+", file.read_text("utf-8"))
    }
)

_RANGES = (
    (0x20, 0x7E), (0x00, 0x1F), (0x7F, 0xA0), (0xA1, 0x24F), (0x300, 0x36F), (0x370, 0x52F),
    (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xEFF), (0x1100, 0x11FF), (0x1E00, 0x1FFF),
    (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20CF), (0x2100, 0x218F), (0x2190, 0x22FF),
    (0x2460, 0x24FF), (0x2600, 0x27BF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0xD800, 0xDFFF), (0xE000, 0xE0FF), (0xFB00, 0xFB4F), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF),
    (0xFFF0, 0xFFFF), (0x10000, 0x1047F), (0x1D400, 0x1D7FF), (0x1F1E6, 0x1F1FF),
    (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0xE0000, 0xE01EF), (0x0, 0x10FFFF),
)  # fmt: skip
_PIECES = (
    "not", "n't", "don\u2019t", "cannot", "never", "no", "without", "0", "-0", "007", "1e999",
    "1/0", "99/99/9999", "31.02.2024", "25:61", "12:00am", "\u0663\u066b\u0661\u0664", "½", "²³",
    "Ⅷ", "一百二十", "१२३", "9" * 5_000, "1,2,3", "1.2.3.4", "--5", "+49 30", "$5", "5€", "100%",
    "‰", "≤", "!=", "==", "<=", "&&", "||", "C++", "C#", "a+b", "x²", "H₂O", "√2", "∞", "NaN",
    "inf", "http://a.b/c?d=e&f#g", "a@b.c", "/usr/bin/env", "C:\\x", "--force", "-f", "{}", "[[",
    "<b>", "'", '"', "`", "\u2019s", "...", "?!", "👍", "👎", "👨\u200d👩\u200d👧",
    "🏳\ufe0f\u200d🌈", "🇩🇪", "e\u0301", "\u0301", "\u200d", "\u200b", "\ufeff", "\u202e", "\x00",
    "\ud800", "\udfff", "\ud83d\ude00", "\U0010ffff", "İ", "\u0131", "ß", "\u017f", "ﬁ", "ǆ", "Σς",
    "a dozen", "half", "one hundred and", "third", "twenty-first", "million", "tomorrow", "Monday",
    "from", "to", "than", "vs", "and", "or", "all", "any", "my", "your", "please", "thanks", "hi",
)  # fmt: skip
_SPACES = (
    *(" ",) * 4, "", "\t", "\n", "\r\n", "\u00a0", "\u2009", "\u3000", "-", ", ", ". ", "'"
)  # fmt: skip


def _draw_letters(draw: random.Random, size: int) -> str:
    low, high = draw.choice(_RANGES)
    return "".join(chr(draw.randint(low, high)) for _ in range(size))


def _draw_form(draw: random.Random) -> str:
    word = draw.choice(("", "", "un", "re", "non")) + draw.choice(
        SHORT if draw.random() < 0.1 else LISTED
    )
    word += draw.choice(ENDINGS)
    return draw.choice((word, word, word.title(), word.upper()))


def _draw_sentence(draw: random.Random) -> str:
    parts: list[str] = []
    for _ in range(draw.randint(0, 12)):
        kind = draw.random()
        if kind < 0.6:
            parts.append(_draw_form(draw))
        elif kind < 0.8:
            parts.append(draw.choice(_PIECES))
        else:
            parts.append(_draw_letters(draw, draw.randint(1, 6)))
        parts.append(draw.choice(_SPACES))
    return "".join(parts) + draw.choice(("", "?", ".", "!", "\u061f", "\uff1f"))


def _change(draw: random.Random, text: str) -> str:
    """Return a text that differs a little, so that pairs are near."""
    at, way = draw.randint(0, len(text)), draw.randint(0, 7)
    if way == 0:
        return text[:at] + text[at + 1 :]
    if way == 1:
        return text[:at] + _draw_letters(draw, 1) + text[at:]
    if way == 2:
        return draw.choice((text.upper(), text.lower(), text.swapcase(), text.title()))
    if way == 3:
        return text + draw.choice(_SPACES) + draw.choice(_PIECES)
    if way == 4:
        return draw.choice(_PIECES) + draw.choice(_SPACES) + text
    if way == 5:
        return " ".join(reversed(text.split()))
    if way == 6:
        return text + draw.choice(ENDINGS)
    return text[::-1]


def make_texts(seed: int, count: int) -> Iterator[str]:
    """Yield texts from all of Unicode; about every second one is close to that before it.

    Args:
        seed: Makes the same texts again.
        count: The number of texts.
    """
    draw = random.Random(seed)
    text = ""
    for number in range(count):
        kind = draw.random()
        if number % 10_000 == 5_000 % max(count, 1):
            text = draw.choice(
                ("a ", "\x00", "É", "\ud800", "9", "👍", _draw_sentence(draw) or "x")
            )
            text = text * (1_000_000 // len(text))
        elif len(text) > 10_000:
            text = _draw_sentence(draw)
        elif kind < 0.45:
            text = _change(draw, text)[:10_000]
        elif kind < 0.75:
            text = _draw_sentence(draw)
        elif kind < 0.95:
            text = _draw_letters(draw, draw.choice((0, 1, 2, 3, 10, 40, 401)))
        elif kind < 0.97:
            text = draw.choice(_SPACES) * draw.randint(0, 9)
        elif kind < 0.98:
            text = draw.choice(string.punctuation) * draw.randint(1, 500)
        else:
            text = " ".join(_draw_sentence(draw) for _ in range(draw.randint(2, 40)))
        yield text


class Guarded:
    """Guards, plain and with digests, that keep what failed inside them."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.guards = Guards(secret=b"a key", on_failure=self.note)

    def note(self, stage: str, error: Exception) -> None:
        """Remember a failure that the guards answered with a veto."""
        self.failures.append(f"{stage}: {error!r}")

    def check(self, one: str, other: str) -> None:
        """Read two texts in every way there is.

        Raises:
            AssertionError: Something raised inside, or does not fit.
        """
        guards = self.guards
        veto, alike = guards.weigh(one, other)
        assert guards.veto(one, other) == veto
        assert guards.are_equivalent(one, other) is alike
        verdicts = guards.verdicts(one, other)
        assert tuple(verdicts) == GUARDS
        assert (veto is None) is all(each is None for each in verdicts.values())
        assert guards.veto(one, one) is None
        hashed = guards.hash_traits(other)
        hashed.encode()
        restored = Traits.from_json(hashed)
        assert restored.to_json() == hashed
        guards.weigh(one, restored)
        plain = guards.traits(one)
        assert Traits.from_json(plain.to_json()) == plain
        assert not self.failures, self.failures


def check_texts(seed: int, count: int, tell: Callable[[str], None] = str) -> list[str]:
    """Read texts by the guards and the embedder; return what failed, at most twenty.

    Args:
        seed: Of the texts.
        count: Their number.
        tell: Called with the progress.
    """
    guarded, embeddings = Guarded(), Embeddings(embedder_of(None), cache_items=0)
    before, found = "", list[str]()
    for number, text in enumerate(make_texts(seed, count)):
        try:
            guarded.check(text, before)
            guarded.check(before, text)
            with suppress(EmbeddingError):
                x = embeddings.one(text)
                assert x.shape == (256,)
                assert abs(float(x @ x) - 1.0) < 1e-3 or not x.any()
        except Exception as error:
            found.append(f"{error!r}\n  one   {text[:300]!a}\n  other {before[:300]!a}")
            guarded.failures.clear()
            if len(found) >= 20:
                break
        before = text
        if number % 10_000 == 9_999:
            tell(f"{number + 1} texts, {len(found)} faults")
    return found


def check_cache(seed: int, count: int, folder: Path, **options: Any) -> list[str]:
    """Ask a tool whose answers are found by meaning; return what failed, at most twenty.

    Args:
        seed: Of the texts.
        count: Their number.
        folder: Of the index.
        options: Of the semantic cache.
    """
    notices: list[Any] = []

    class Sink:
        def on_call(self, event: Any) -> None: ...

        def on_notice(self, notice: Any) -> None:
            notices.append(notice)

    found: list[str] = []
    semantic = SemanticCache(folder, max_items=500, **options)
    policy = Policy(cache=Cache(ttl=60.0), semantic=Semantic(on="question"))
    made: list[str] = []
    with ToolOps("odd", semantic=semantic, sinks=[Sink()]) as ops:

        @ops.tool(policy=policy)
        def ask(question: str) -> list[int]:
            made.append(question)
            return [len(question)]

        for text in make_texts(seed, count):
            made.clear()
            try:
                assert isinstance(ask(text), list)
                assert len(made) <= 1
                semantic.explain(text)
            except Exception as error:
                found.append(f"{error!r}\n  question {text[:300]!a}")
            if notices:
                found.append(f"{notices[0]}\n  question {text[:300]!a}")
                notices.clear()
            if len(found) >= 20:
                return found
        semantic.flush()
    found += [str(notice) for notice in notices]
    return found


def check_forms(words: list[str], tell: Callable[[str], None] = str) -> list[str]:
    """Read words with every ending, alone and in a pair with every other ending.

    Args:
        words: The words.
        tell: Called with the progress.
    """
    found: list[str] = []
    guarded = Guarded()
    guards = guarded.guards
    for number, word in enumerate(words):
        forms = [word + ending for ending in ENDINGS]
        try:
            for form in forms:
                for ask in (stem, key, is_real, without_un, forms_of):
                    ask(form)
                assert guards.veto(form, form) is None, form
            for one, other in itertools.combinations(forms, 2):
                guards.weigh(one, other)
            assert not guarded.failures, guarded.failures
        except Exception as error:
            found.append(f"{word!r}: {error!r}")
            guarded.failures.clear()
            if len(found) >= 20:
                break
        if number % 1_000 == 999:
            tell(f"{number + 1} words, {len(found)} faults")
    return found


def _report(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)  # noqa: T201 - a program


def main() -> int:
    """Read all texts and all forms; return 1 if anything raised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--words", type=int, default=len(LISTED))
    chosen = parser.parse_args()
    _report(f"seed {chosen.seed}: {chosen.texts} texts, {chosen.words} words")
    found = check_texts(chosen.seed, chosen.texts, _report)
    _report("texts read; now the cache")
    for options in ({}, {"store_text": False}, {"secret": "a secret"}, {"max_error": 0.05}):
        with tempfile.TemporaryDirectory() as folder:
            count = chosen.texts // (40 if options else 10)
            found += check_cache(chosen.seed, count, Path(folder), **options)
            _report(f"cache with {options} asked; {len(found)} faults")
    words = random.Random(chosen.seed).sample(LISTED, min(chosen.words, len(LISTED)))
    found += check_forms(words, _report)
    for fault in found:
        _report(fault)
    _report(f"{len(found)} faults with seed {chosen.seed}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
