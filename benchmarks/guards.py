"""The time that guards take for a pair of texts that they have not seen.

    python benchmarks/guards.py [--pairs 100000] [--odd 1000]

Reads `banking77.jsonl` in TOOLOPS_DATA, or in `../shared/data` beside the repository. Figures are
microseconds of processor time of one thread, with the tables of the word lists built before, as
opening an index does. "Both new" takes each question once, with its nearest neighbour; "16 nearest"
pairs random questions with their nearest neighbours, so that many texts are known. The odd texts
are about 400 characters long, the longest that guards read word by word, and no word of one is
known. Garbage is not collected meanwhile.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import string
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from time import process_time_ns

import numpy as np
import wordllama

from toolops_plugins.semantic.guards import Guards, prepare
from toolops_plugins.semantic.guards.language import language_of
from toolops_plugins.semantic.guards.lexicon import word_set

ROOT = Path(__file__).resolve().parents[1]
LENGTH = 400
Pairs = Iterator[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=100_000, help="pairs of banking77")
    parser.add_argument("--odd", type=int, default=1_000, help="pairs of each kind of odd texts")
    given = parser.parse_args()
    prepare()
    language_of("Wie komme ich von hier zum Bahnhof?")  # loads the statistics of languages
    random.seed(7)
    gc.disable()  # as timeit does: a collection takes longer than any pair
    print(f"{'texts':24} {'mean':>7} {'p99':>7} {'worst':>7}  us a pair")
    questions = read_questions()
    near = neighbours(questions)
    report("banking77, both new", both_new(questions, near))
    report("banking77, 16 nearest", islice(sixteen_nearest(questions, near), given.pairs))
    for name, make in odd_texts().items():
        report(name, ((make(), make()) for _ in range(given.odd)))
        report(f"{name}, near", (near_pair(make) for _ in range(given.odd)))


def report(name: str, pairs: Pairs) -> None:
    guards = Guards()
    times = []
    for question, candidate in pairs:
        start = process_time_ns()
        guards.weigh(question, candidate)
        times.append((process_time_ns() - start) / 1_000)
    mean, p99 = sum(times) / len(times), float(np.percentile(times, 99))
    print(f"{name:24} {mean:7.1f} {p99:7.1f} {max(times):7.1f}", flush=True)


def read_questions() -> list[str]:
    folder = Path(os.environ.get("TOOLOPS_DATA") or ROOT.parent / "shared" / "data")
    with (folder / "banking77.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line)["question"] for line in lines]


def neighbours(questions: list[str]) -> np.ndarray:
    """Return the indices of the 16 nearest other questions of each."""
    # Without cache_dir its loader does not find the tokenizer in the package.
    package = str(Path(wordllama.__file__).parent)
    model = wordllama.WordLlama.load(cache_dir=package, disable_download=True)
    vectors = model.embed(questions, norm=True).astype(np.float32)
    found = []
    for at in range(0, len(vectors), 500):
        similar = vectors[at : at + 500] @ vectors.T
        similar[np.arange(len(similar)), np.arange(at, at + len(similar))] = -1
        nearest = np.argpartition(-similar, 16, axis=1)[:, :16]
        order = np.argsort(np.take_along_axis(-similar, nearest, axis=1), axis=1)
        found.append(np.take_along_axis(nearest, order, axis=1))
    return np.concatenate(found)


def both_new(questions: list[str], near: np.ndarray) -> Pairs:
    used: set[int] = set()
    for one in random.sample(range(len(questions)), len(questions)):
        other = next((int(place) for place in near[one] if place not in used), None)
        if one not in used and other is not None:
            used.update((one, other))
            yield questions[one], questions[other]


def sixteen_nearest(questions: list[str], near: np.ndarray) -> Pairs:
    for one in random.sample(range(len(questions)), len(questions)):
        for other in near[one]:
            yield questions[one], questions[other]


def odd_texts() -> dict[str, Callable[[], str]]:
    words = sorted(word_set("words.txt"))
    pick = random.choice
    small = "and or not no never all any both only some without but so the a to of in on from"
    numbers = "one two twenty hundred thousand and half quarter past to dozen million third"
    polite = "hi hello thanks please sorry help if you have a minute sure not good day question new"

    def letters(low: int, high: int) -> str:
        return "".join(random.choices(string.ascii_lowercase, k=random.randint(low, high)))

    def repeat() -> str:
        return f"{pick(words)} " * 80

    return {
        "one word repeated": lambda: repeat()[:LENGTH],
        "many commas": fill_with(lambda: pick(("please, ", "card, ", "no, ", ",", ",,,"))),
        "numbers": fill_with(lambda: f"{random.randrange(10 ** random.randint(1, 7))} "),
        "number words": fill_with(lambda: f"{pick(numbers.split())} "),
        "unknown words": fill_with(lambda: f"{letters(3, 11)} "),
        "long unknown words": fill_with(lambda: f"{letters(12, 30)} "),
        "typing errors": fill_with(lambda: f"{misspell(pick(words))} "),
        "real words": fill_with(lambda: f"{pick(words)} "),
        "words without spaces": fill_with(lambda: f"{pick(words)}{pick(words)}{pick(words)} "),
        "names": fill_with(lambda: f"{letters(3, 11).capitalize()} "),
        "joined words": fill_with(lambda: letters(4, 4) + pick("-_./'@")),
        "small words": fill_with(lambda: f"{pick(small.split())} "),
        "courtesies": fill_with(lambda: pick(polite.split()) + pick((" ", " ", ", ", ". "))),
        "any characters": fill_with(lambda: chr(random.choice((32, random.randrange(33, 0x2FFF))))),
    }


def fill_with(piece: Callable[[], str]) -> Callable[[], str]:
    """Return a function that fills a text with pieces."""

    def fill() -> str:
        text = ""
        while len(text) < LENGTH:
            text += piece()
        return text[:LENGTH]

    return fill


def misspell(word: str) -> str:
    at = random.randrange(1, max(len(word) - 1, 2))
    changed = word[at : at + 1]
    other = random.choice((changed * 2, "", random.choice(string.ascii_lowercase)))
    return word[:at] + other + word[at + 1 :]


def near_pair(make: Callable[[], str]) -> tuple[str, str]:
    """Return a text, and the same with another word in place of one."""
    text = make()
    words = text.split(" ")
    words[random.randrange(len(words))] = "umbrella"
    return text, " ".join(words)[:LENGTH]


if __name__ == "__main__":
    main()
