"""`toolops audit --semantic`, as a user types it."""

from __future__ import annotations

import json
import sys
from functools import partial
from html.parser import HTMLParser
from itertools import islice
from xml.etree import ElementTree as ET

import matplotlib.image
import pytest
from commands import assert_shown, complaint, squeezed

from toolops_plugins.audit.semantic_replay import Replay

pytestmark = pytest.mark.usefixtures("terminal")

LINES = [
    ("How do I reset my password?", "reset"),
    ("how do i reset my password", "reset"),
    ("How do I reset my password?", "reset"),
    ("What does order 17 cost?", "cost of 17"),
    ("What does order 18 cost?", "cost of 18"),
    ("Where is the nearest shop?", "shop"),
]


@pytest.fixture
def run(toolops):
    return partial(toolops, "audit")


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [{"question": q, "intent": t, "tenant": "hunter2"} for q, t in LINES]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "oops\n")
    return path


def at(found, **what):
    (only,) = [s for s in found["settings"] if what.items() <= s.items()]
    return only


def test_it_counts_hits_and_wrong_answers(run, log):
    code, out, err = run(
        log, "--semantic", "--truth", "intent", "--price", "0.5", "--json", "--threshold", "0.8"
    )
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["source"] == {
        "file": str(log), "format": "jsonl", "question": "question", "truth": "intent",
        "scope": [], "guessed": ["question"],
    }  # fmt: skip
    assert found["assumed"]["threshold"] == 0.8
    assert found["assumed"]["alike_threshold"] is None
    assert (found["requests"], found["distinct"], found["truths"]) == (6, 5, 4)
    assert (found["broken"], found["broken_lines"][0]["line"]) == (1, 7)
    assert len(found["settings"]) == 7 + 7 + 3
    guarded = at(found, policy="threshold", threshold=0.8, guards=True)
    assert (guarded["hits"], guarded["exact"], guarded["wrong"]) == (2, 1, 0)
    assert (guarded["hit_rate"], guarded["saved_money"]) == (2 / 6, 1.0)
    bare = at(found, policy="threshold", threshold=0.8, guards=False)
    assert (bare["hits"], bare["wrong"]) == (3, 1)
    assert bare["wrong_of_all"]["share"] == 1 / 6
    assert bare["wrong_of_all"]["high"] == pytest.approx(0.5635, abs=1e-4)
    assert bare["wrong_of_hits"]["share"] == 1 / 3
    cold = at(found, policy="bounded", default=True)  # six questions teach nothing
    assert (cold["max_error"], cold["hits"], cold["exact"]) == (0.01, 2, 1)  # one is a repetition
    assert found["guards"] == {"numbers": {"vetoes": 1, "right": 1}}
    (veto,) = found["vetoed"]
    assert (veto["line"], veto["matched_line"], veto["guard"]) == (5, 4, "numbers")
    assert found["wrong"] == []
    assert len(found["advice"]) == 3
    assert not found["interrupted"]


def test_it_prints_tables_and_advice(run, log):
    code, out, err = run(log, "--semantic", "--truth", "intent", "--threshold", "0.8")
    assert (code, err) == (0, "")
    parts = (
        "question: question; truth: intent (guessed: question)",
        "6 requests, 5 distinct, 4 truths; order: as in the log",
        "0.8 (given) 33.3% 0.00% (0.00-39.0) 0.00% (0.00-65.8) 0.004",
        "0.8 50.0% 16.7% (3.01-56.4) 33.3% (6.15-79.2) 0.006",
        "numbers 1 1 100%",
        "0.01 (default) 33.3% 0.00% (0.00-39.0) 0.00% (0.00-65.8) 0.004",
        "For at most 2% wrong answers: the default (max_error=0.01) answers 33.3%",
        "what the guards vetoed first, under threshold=0.8",
        "1 line left out, since unreadable: 7: not JSON",
    )
    assert_shown(out, parts)


def test_without_a_truth_it_shows_pairs_to_look_at(run, log):
    code, out, _ = run(log, "--semantic", "--threshold", "0.8")
    text = squeezed(out)
    assert code == 0
    assert "wrong, of" not in text
    assert "how do i reset my password ~ How do I reset my password?" in text
    assert "What does order 18 cost? ~ What does order 17 cost? x numbers:" in text
    assert "read the pairs" in text
    assert "the default is replayed, max_error=0.01" in text
    found = json.loads(run(log, "--semantic", "--json")[1])
    assert "wrong" not in found["settings"][0]
    assert {setting["policy"] for setting in found["settings"]} == {"threshold"}
    assert found["served"][0]["line"] == 2
    assert found["guards"]["numbers"] == {"vetoes": 1, "right": None}
    assert json.loads(run(log, "--semantic", "--json", "--top", "0")[1])["served"] == []


def test_what_is_far_apart_leaves_nothing_to_read(run, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('"How do I pay?"\n"Snow fell in the night."\n')
    code, out, _ = run(path, "--semantic")
    assert code == 0
    assert "No two of these questions are as near as" in squeezed(out)


def test_other_fields_belong_to_the_scope_and_are_not_shown(run, log):
    fields = ("--on", "question", "--field", "tenant", "--truth", "intent")
    code, out, err = run(log, "--semantic", *fields, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["source"]["scope"] == ["tenant"]
    assert found["distinct"] == 5
    assert "hunter2" not in out + err
    assert "hunter2" not in run(log, "--semantic", *fields)[1]


def test_orders_and_limit_reach_the_replay(run, log):
    found = json.loads(run(log, "--semantic", "--json", "--orders", "3", "--limit", "4")[1])
    assert found["assumed"]["orders"] == [0, 1, 2]
    assert found["requests"] == 4
    assert found["settings"][0]["requests"] == 4
    assert "first 4 questions" in found["warnings"][0]
    assert json.loads(run(log, "--semantic", "--json", "--limit", "0")[1])["requests"] == 6


def test_bounds_are_those_that_were_asked_for(run, log):
    options = ("--truth", "intent", "--max-error", "0.1", "--max-error", "0.03")
    found = json.loads(run(log, "--semantic", "--json", *options)[1])
    bounds = [s["max_error"] for s in found["settings"] if s["policy"] == "bounded"]
    assert bounds == [0.01, 0.03, 0.1]  # the default is always there
    assert len(found["advice"]) == 2


# own embedders


def test_an_embedder_of_ones_own(run, log, tmp_path, monkeypatch):
    (tmp_path / "own_embedder.py").write_text(
        "def letters(texts):\n"
        "    return [[text.lower().count(c) + 1 for c in 'abcdefgh'] for text in texts]\n"
        "def broken(texts):\n"
        "    raise OSError('key hunter2 is no key')\n"
    )
    (tmp_path / "own_broken.py").write_text("raise OSError('key hunter2 is no key')\n")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    found = json.loads(run(log, "--semantic", "--json", "--embedder", "own_embedder:letters")[1])
    assert found["assumed"]["embedder"] == "callable:own_embedder.letters"
    assert found["assumed"]["threshold"] == 0.95
    assert found["assumed"]["alike_threshold"] == 0.8
    assert found["settings"][0]["calibrated"]
    assert not found["settings"][0]["default"]
    judged = json.loads(run(log, "--semantic", "--json", "--truth", "intent")[1])
    assert judged["assumed"]["max_error"] == 0.01
    assert [each["max_error"] for each in judged["settings"] if each["default"]] == [0.01]
    assert "calibrated threshold: 0.82, and 0.25" in squeezed(run(log, "--semantic")[1])
    for name, text in (
        ("bogus", "--embedder: must be wordllama, chroma or module:attribute, not 'bogus'"),
        ("no_such_module:x", "--embedder: there is no module 'no_such_module'"),
        ("own_embedder:x", "--embedder: own_embedder has no 'x'"),
        ("own_embedder:__name__", "--embedder: is 'wordllama' or 'chroma' by name"),
        ("own_broken:x", "--embedder: importing own_broken failed: OSError"),
    ):
        code, line = complaint(run(log, "--semantic", "--embedder", name))
        assert code == 2
        assert line.startswith(text)
        assert "hunter2" not in line
    code, line = complaint(run(log, "--semantic", "--embedder", "own_embedder:broken"))
    assert code == 1
    assert line == "the embedder failed with OSError\n"
    assert sys.path == path


# bad input


@pytest.mark.parametrize(
    ("data", "args", "text"),
    [
        (None, ("--truth", "intent"), "--truth: needs --semantic"),
        (None, ("--on", "intent"), "--on: needs --semantic"),
        (None, ("--plot", "x.png"), "--plot: needs --semantic"),
        (None, ("--max-error", "0.1"), "--max-error: needs --semantic"),
        (None, ("--limit", "5"), "--limit: needs --semantic"),
        (None, ("--semantic", "--ttl", "5"), "--ttl: does not go with --semantic"),
        (None, ("--semantic", "--redis", "redis://u:hunter2@x"), "--redis: does not go with"),
        (None, ("--semantic", "--truth", "x"), "--truth: there is no field 'x'; these are: quest"),
        (
            None,
            ("--semantic", "--truth", "tenant"),
            "--truth: 'tenant' has the same value in all 6",
        ),
        (
            None,
            ("--semantic", "--truth", "question"),
            "--truth: 'question' is the field of the question",
        ),
        (None, ("--semantic", "--truth", "intent", "--max-error", "2"), "--max-error: must lie"),
        (None, ("--semantic", "--max-error", "0.1"), "--max-error: needs --truth"),
        (None, ("--semantic", "--threshold", "0"), "--threshold: must lie between"),
        (None, ("--semantic", "--plot", "x.gif"), "--plot: x.gif: must end in .png or .html"),
        (None, ("--semantic", "--plot", "/no/x.png"), "--plot: /no/x.png: there is no folder /no"),
        (None, ("--semantic", "--price", "-1"), "--price"),
        (b"", ("--semantic",), "nothing that can be read"),
        (
            b'{"q": ""}\n{"q": 5}',
            ("--semantic", "--field", "q"),
            "FILE: contains no question (1 with",
        ),
        (b'{"q": "a"}\n{"q": 5}', ("--semantic", "--field", "q", "--truth", "t"), "no field 't'"),
    ],
)
def test_bad_input_is_one_line_and_code_2(run, log, data, args, text):
    if data is not None:
        log.write_bytes(data)
    code, line = complaint(run(log, *args))
    assert code == 2
    assert text in line
    assert "hunter2" not in line


def test_missing_extras_are_named(run, log, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, line = complaint(run(log, "--semantic", "--plot", "x.png"))
    assert code == 2
    assert 'pip install "toolops-plugins[plot]"' in line
    monkeypatch.setitem(sys.modules, "numpy", None)
    code, line = complaint(run(log, "--semantic"))
    assert code == 2
    assert 'pip install "toolops-plugins[semantic]"' in line


# pictures


class Page(HTMLParser):
    """Takes a page apart, and minds that every tag is closed."""

    EMPTY = frozenset(["meta", "br"])

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.links = [], [], "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize(
    ("truth", "tables"),
    [
        (("--truth", "intent", "--threshold", "0.8"), 4), (("--truth", "intent"), 4),
        (("--threshold", "0.8"), 5), ((), 5),
    ],
)  # fmt: skip
def test_pictures_are_drawn(run, log, tmp_path, truth, tables):
    rows = [{"question": "<b>&evil; $x$</b>", "intent": "<i>"}] * 2
    log.write_text(log.read_text() + "".join(json.dumps(row) + "\n" for row in rows))
    png, page = tmp_path / "x.png", tmp_path / "X.HTML"
    args = (log, "--semantic", *truth)
    code, out, err = run(*args, "--plot", png, "--plot", page)
    assert (code, err) == (0, "")
    assert out == run(*args)[1]
    picture = matplotlib.image.imread(png)
    height, width, _ = picture.shape
    assert (width, height) == (1260, 840)
    assert picture[..., :3].min() < 0.3  # not a white one
    text = page.read_text()
    found = Page(text)
    assert found.tags.count("svg") == 1
    assert found.tags.count("table") == tables
    assert "b" not in found.tags
    assert "i" not in found.tags
    assert all(link.startswith("#") for link in found.links)  # nothing is fetched
    assert "What does order" in found.text or truth
    svg = text[text.index("<svg") : text.index("</svg>") + 6]
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    before = png.read_bytes(), text
    run(*args, "--plot", png, "--plot", page)
    assert (png.read_bytes(), page.read_text()) == before


def test_a_picture_that_cannot_be_written_does_not_cost_the_result(run, log, tmp_path):
    folder = tmp_path / "x.png"
    args = (log, "--semantic", "--json", "--plot")
    code, line = complaint(run(*args, tmp_path / "no" / "x.png"))
    assert code == 2
    assert "there is no folder" in line
    folder.symlink_to(tmp_path / "gone" / "x.png")
    code, out, err = run(*args, folder)
    assert (code, json.loads(out)["requests"]) == (2, 6)
    assert "No such file" in err


# Ctrl-C and the progress bar


def test_the_progress_bar_is_for_terminals(run, log, monkeypatch):
    assert run(log, "--semantic")[2] == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert "questions" in run(log, "--semantic")[2]
    assert run(log, "--semantic", "--no-progress")[2] == ""


def test_ctrl_c_ends_it(run, log, monkeypatch):
    stream = Replay._stream

    def interrupt(self, order, vectors, turn, tell):
        stream(self, order, vectors, turn, tell)
        raise KeyboardInterrupt

    monkeypatch.setattr(Replay, "_stream", interrupt)
    code, out, err = run(log, "--semantic", "--json", "--orders", "2")
    assert (code, err) == (130, "")
    assert json.loads(out)["interrupted"]

    def at_once(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Replay, "_stream", at_once)
    code, out, err = run(log, "--semantic", "--json")
    assert (code, out, err.strip()) == (130, "", "toolops: stopped")


# real questions


def test_real_questions(run, data_dir, tmp_path):
    path = tmp_path / "bank.jsonl"
    with (data_dir / "banking77.jsonl").open() as file:
        path.write_text("".join(islice(file, 500)))
    options = ("--truth", "intent", "--threshold", "0.8", "--json")
    code, out, _ = run(path, "--semantic", *options)
    found = json.loads(out)
    assert code == 0
    assert (found["requests"], found["truths"]) == (500, 77)
    for guards in (True, False):
        of = [s for s in found["settings"] if s["policy"] == "threshold"]
        row = [s for s in of if s["guards"] is guards]
        hits, wrong = [s["hits"] for s in row], [s["wrong"] for s in row]
        assert hits == sorted(hits, reverse=True)
        assert wrong == sorted(wrong, reverse=True)
        assert 0 < wrong[3] < hits[3] / 5
    assert all(0.5 < pair["similarity"] <= 1 for pair in found["wrong"])
    matched = [pair["matched_line"] for pair in found["wrong"]]
    assert (
        0
        < len(matched)
        == len(set(matched))
        <= at(found, policy="threshold", threshold=0.8, guards=True)["wrong"]
    )
    vetoes = sum(each["vetoes"] for each in found["guards"].values())
    assert vetoes >= sum(each["right"] for each in found["guards"].values()) > 0
    assert "of 8 min 20 s" in found["advice"][0]
