"""The default of a tool that shares answers by meaning: strict at first, and open once it knows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import wait_for

from toolops_plugins import CallEvent, Semantic, SemanticCache, ToolOps

FRANCE = "What is the capital of France?"
TOPICS = (
    "my password", "my delivery address", "my newsletter", "my invoice", "my opening balance",
    "my parking permit", "my library card", "my gym contract", "my holiday", "my phone plan",
    "my insurance", "my train ticket", "my bike repair", "my dentist appointment", "my water meter",
)  # fmt: skip
WAYS = (
    "How do I change {}?", "how can I change {}", "Where is {} changed?",
    "Is there a way to change {}?", "I have to change {}, how does that work?",
    "I'd like {} to be changed.", "Help me, {} must be changed!", "Changing {}: where do I begin?",
    "Tell me the steps to change {}.", "I want to have {} changed, what now?",
    "Who can change {} for me?", "{} is wrong, I need to change it.",
)  # fmt: skip


class Desk:
    """A tool that knows the topic of each question, and the events of its calls."""

    def __init__(self, path: Path, **setting: Any) -> None:
        self.events: list[CallEvent] = []
        self.topics = {way.format(topic): topic for topic in TOPICS for way in WAYS}
        self.ops = ToolOps("desk", semantic=SemanticCache(path), sinks=[self.events.append])

        @self.ops.readonly(ttl=600, name="topic", semantic=Semantic(on="question", **setting))
        def topic_of(question: str) -> str:
            return self.topics.get(question, question)

        self.topic_of = topic_of

    def ask(self, question: str) -> bool:
        """Ask a question; return whether it was a hit."""
        self.topic_of(question)
        return self.events[-1].outcome == "hit"


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**setting: Any) -> Desk:
        made.append(Desk(tmp_path / str(len(made)), **setting))
        return made[-1]

    yield make
    for desk in made:
        desk.ops.close()


def test_the_start_is_strict(make: Callable[..., Desk]) -> None:
    desk = make()
    assert not desk.ask(FRANCE)
    # The same in another writing: in any language, from the first request on, however often.
    for marks in range(12):
        assert desk.ask(f"{' ' * marks}{FRANCE.lower()}{'?' * marks}")
    assert not desk.ask("Wie heißt die Hauptstadt von Frankreich?")
    assert desk.ask("  wie heißt die hauptstadt von frankreich!")
    assert not desk.ask("価格はいくらですか")
    assert desk.ask(" 価格はいくらですか。")
    # Other words are not served, however near they are: nobody knows yet what nearness is worth.
    for question in (
        "Which city is the capital of France?",
        "What is the capital of Spain?",
        "Wie heißt die Hauptstadt von Spanien?",
        "価格は高いですか",
    ):
        assert not desk.ask(question)


def test_a_threshold_takes_the_risk_from_the_first_request_on(make: Callable[..., Desk]) -> None:
    strict, near = make(), make(threshold=0.8)
    for desk in (strict, near):
        desk.ask(FRANCE)
    other = "Which city is the capital of France?"
    explained = near.topic_of.explain(other)
    assert (explained.policy, explained.details["threshold"]) == ("threshold", 0.8)
    assert near.ask(other)
    assert not strict.ask(other)
    assert not near.ask("What is the capital of Spain?")


def test_the_default_opens_as_it_learns_and_keeps_its_bound(make: Callable[..., Desk]) -> None:
    desk = make()
    order = list(desk.topics)
    random.Random(7).shuffle(order)
    hits, wrong, grounds = [], 0, set()
    for number, question in enumerate(order):
        if number == 120:  # labels are learned from in the background
            wait_for(lambda: desk.topic_of.explain(FRANCE).details.get("z"), "labels")
        answer = desk.topic_of(question)
        event = desk.events[-1]
        hits.append(event.outcome == "hit")
        wrong += answer != desk.topics[question]
        if hits[-1] and event.semantic is not None:
            grounds.add(event.semantic.get("basis", "learned"))
    assert sum(hits[:60]) < sum(hits[120:])
    assert "learned" in grounds
    assert wrong <= 1.5 * 0.01 * len(order)
