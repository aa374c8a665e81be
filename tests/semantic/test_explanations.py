"""Explanations as text, as a picture in a notebook, and as JSON."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from toolops_plugins import Explanation
from toolops_plugins.semantic.guards import Veto
from toolops_plugins.semantic.matches import Candidate

NASTY = '<script>alert("1")</script>\n\x1b[31m\ud800'


def candidate(question: str | None = "a?", similarity: float = 0.9, **more: Any) -> Candidate:
    return Candidate(question, similarity, {"numbers": None, "words": None}, "id", **more)


VETOED = Candidate(
    "Order 4711?",
    0.93,
    {"numbers": Veto("numbers", "4711 is not 4712"), "words": None},
    "id",
    "vetoed",
)
BY_THRESHOLD = Explanation(
    "Order 4712?", {"user": "'ann'"}, False, "vetoed", "threshold",
    {"threshold": 0.82, "alike_threshold": 0.25},
    [VETOED, candidate(similarity=0.5, outcome="below_threshold")], "desk",
)  # fmt: skip
BOUNDED = Explanation(
    "a?", "", False, "too_risky", "bounded",
    {"max_error": 0.02, "nearness": 2.5, "risk": 0.125, "z": 2.0, "theta": math.inf, "rho": 1.0},
    [candidate(outcome="too_risky"), candidate("b?", 0.7, outcome="doubted")],
)  # fmt: skip
COLD = Explanation(
    "a?", "", False, "cold", "bounded",
    {"max_error": 0.01, "unread": 0.25, "vouched": 0.0, "risk": 1.0, "theta": math.inf, "rho": 1.0,
     "spent": 0.01, "allowed": 0.1234, "audited": False, "labels_missing": 31},
    [candidate(outcome="cold")],
)  # fmt: skip


class Page(HTMLParser):
    """Elements in the order of their ends; fails on what is left open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)


def test_text_is_short_and_aligned():
    assert str(BY_THRESHOLD).splitlines() == [
        "desk: 'Order 4712?': a miss (threshold: vetoed)",
        "  A guard vetoes the nearest answer: the stored question asks something else.",
        "  scope            user='ann'",
        "  threshold        0.82",
        "  alike_threshold  0.25",
        "  0.930  vetoed   Order 4711?",
        "                  numbers: 4711 is not 4712",
        "  0.500  too far  a?",
    ]


def test_a_candidate_on_the_other_side_keeps_the_columns():
    pair = [candidate("a?", 0.9), candidate("b?", -0.1)]
    assert str(replace(BOUNDED, candidates=pair)).splitlines()[-2:] == [
        "   0.900  near  a?",
        "  -0.100  near  b?",
    ]


def test_a_console_shows_the_table():
    assert repr(BOUNDED) == str(BOUNDED)


def test_a_bound_is_told_in_per_cent_and_features_by_themselves():
    lines = str(BOUNDED).splitlines()
    assert "  max_error  2 %" in lines
    assert "  risk       12.5 %" in lines
    assert "  evidence   nearness 2.5" in lines
    assert "theta" not in str(BOUNDED)  # no score would do
    assert "needed: more than any, for now" in BOUNDED._repr_html_()
    known = replace(BOUNDED, details={**BOUNDED.details, "theta": 3.5})
    assert "  theta      3.5" in str(known).splitlines()
    assert "2; needed: 3.5" in known._repr_html_()


def test_a_cold_policy_says_what_it_waits_for_and_nothing_that_it_does_not_know():
    lines = str(COLD).splitlines()
    assert COLD.because.endswith("; 31 more are needed at least.")
    assert "  spent           0.01 expected wrong answers so far" in lines
    assert "  allowed         0.123 expected wrong answers by now" in lines
    assert "  evidence        unread 25 %, vouched 0 %" in lines
    assert not [line for line in lines if line.lstrip().startswith(("risk", "theta"))]
    page = " ".join(Page(COLD._repr_html_()).texts)
    assert "0.01 expected wrong answers so far; allowed by now: 0.123" in page
    assert "theta" not in page
    assert "100 %" not in page
    assert json.loads(COLD.to_json())["details"]["risk"] == 1.0


def test_a_hit_within_the_bound_says_what_vouches_for_it():
    served = replace(COLD, served=True, reason="served", details={"max_error": 0.01, "risk": 0.001})
    reasons = {
        basis: replace(served, details={**served.details, "basis": basis})
        for basis in ("repeated", "vouched")
    }
    assert "The bound allows the risk" in served.because
    assert "the same but for its writing" in reasons["repeated"].because
    assert "match every word" in reasons["vouched"].because
    assert "basis" not in str(reasons["vouched"])


def test_long_lists_and_questions_are_cut():
    many = replace(BOUNDED, question="x" * 500, candidates=[candidate("y" * 500)] * 16)
    text = str(many)
    assert "... and 11 more" in text
    assert max(map(len, text.splitlines())) < 120
    assert "... and 8 more" in many._repr_html_()
    # The one that is served is always among those shown.
    far = [*[candidate(outcome="vetoed")] * 15, candidate("z?", outcome="served")]
    served = replace(BOUNDED, served=True, reason="served", candidates=far)
    assert "z?" in str(served)
    assert "z?" in served._repr_html_()


@pytest.mark.parametrize(
    "reason",
    [
        "exact", "served", "below_threshold", "vetoed", "nothing_near", "too_risky", "audited",
        "cold", "unconfirmed", "judge", "invalidated", "too_long", "unavailable",
    ],
)  # fmt: skip
def test_each_reason_is_a_sentence(reason):
    assert re.fullmatch(r"[A-Z].*\.", replace(BOUNDED, reason=reason).because)


def test_a_reason_or_detail_that_nobody_knows_yet_is_shown_as_it_is():
    new = replace(
        BOUNDED, reason="budget_spent", policy="another", details={"budget": 0.5, "mode": "strict"},
        candidates=[candidate(outcome="budget_spent")],
    )  # fmt: skip
    assert new.because == "budget_spent"
    for shown in (str(new), new._repr_html_()):
        for word in ("budget_spent", "budget spent", "mode", "strict", "another"):
            assert word in shown


def test_html_is_whole_and_shows_what_the_text_does():
    for explanation in (BY_THRESHOLD, BOUNDED, replace(BOUNDED, candidates=[], details={})):
        page = Page(explanation._repr_html_())
        text = " ".join(page.texts)
        assert explanation.because in text
        assert explanation.reason in text
        for each in explanation.candidates:
            assert each.question in text
    shown = BY_THRESHOLD._repr_html_()
    assert "width:93.0%" in shown  # the bar of similarity
    assert 'left:82.0%" title="threshold 0.82"' in shown
    assert 'title="numbers: 4711 is not 4712"' in shown
    assert "12.5 %; bound: 2 %" in BOUNDED._repr_html_()
    assert "\n" not in shown  # Markdown ends HTML at an empty line
    # In the colours of the page, light or dark.
    assert not re.search(r"[{;\s]background: #?(fff|white)", shown)


def test_nothing_that_users_write_reaches_the_page_or_the_terminal_raw():
    veto = Veto(NASTY, NASTY)
    nasty = Explanation(
        NASTY, {NASTY: NASTY}, False, "vetoed", "threshold", {"threshold": 0.5, "word": NASTY},
        [Candidate(NASTY, 0.9, {NASTY: veto}, "id", "vetoed")], NASTY, NASTY, NASTY,
    )  # fmt: skip
    page = nasty._repr_html_()
    page.encode()
    assert "script" not in Page(page).tags
    assert "\x1b" not in str(nasty)
    assert "\x1b" not in page
    assert json.loads(nasty.to_json())["question"] == NASTY


def test_json_is_plain():
    found = json.loads(BOUNDED.to_json(indent=2))
    assert found == BOUNDED.to_dict()
    assert found["details"]["theta"] is None
    assert found["because"] == BOUNDED.because
    assert found["candidates"][0] == {
        "question": "a?", "similarity": 0.9, "outcome": "too_risky",
        "guards": {"numbers": None, "words": None}, "id": "id",
    }  # fmt: skip
    assert json.loads(BY_THRESHOLD.to_json())["candidates"][0]["guards"] == {
        "numbers": "4711 is not 4712",
        "words": None,
    }


@pytest.mark.parametrize(
    "scope", ["", None, ["a", 1, {"b": (2.5, math.nan)}], {"k": object()}, {1, 2}]
)
def test_any_scope_is_shown(scope):
    explanation = replace(BOUNDED, scope=scope)
    assert json.loads(explanation.to_json())["reason"] == "too_risky"
    assert ("scope" in str(explanation)) is bool(scope)
    Page(explanation._repr_html_())
