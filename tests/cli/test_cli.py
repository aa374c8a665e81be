"""The `toolops` command, as a user types it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta

import orjson
import pytest
from commands import assert_shown, complaint
from servers import wait_for

from toolops_plugins import Cache, Memory, Redis, ToolOps
from toolops_plugins.cache.invalidation_bus import Bus
from toolops_plugins.cli.doctor import VARIABLES, examine

pytestmark = pytest.mark.usefixtures("terminal")


@pytest.fixture
def run(toolops):
    return toolops


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = ['{"question": "a", "time": 1}'] * 2 + ["oops", '{"question": "b", "time": 9}']
    path.write_text("\n".join(lines))
    return path


# audit


def test_audit_prints_what_would_have_been_saved(run, log):
    code, out, err = run("audit", log, "--price", "0.5", "--latency", "2")
    assert (code, err) == (0, "")
    parts = (
        "question: question; time: time (guessed: time, question)",
        "a call costs 0.5 and takes 2 s",
        "hit rate 33.3% 1 call answered",
        "coalesced 1 in 1 burst",
        "calls made 3 2 1",
        "money 1.50 1.00 0.5",
        "waiting 6 s 6 s 0 s",
        "a 2 0.5",
        "1 line left out, since unreadable:\n 3: not JSON",
    )
    assert_shown(out, parts, blanks=" +")


def test_audit_prints_json(run, log):
    code, out, _ = run("audit", log, "--json", "--price", "0.5", "--top", "1")
    found = json.loads(out)
    assert code == 0
    assert found["source"] == {
        "file": str(log), "format": "jsonl", "fields": ["question"], "time": "time", "tool": None,
        "guessed": ["time", "question"],
    }  # fmt: skip
    assert (found["calls"], found["misses"], found["coalesced"], found["broken"]) == (3, 2, 1, 1)
    assert found["money"] == {"without": 1.5, "with": 1.0, "saved": 0.5}
    assert found["wasted"] == [{"question": "a", "asked": 2, "exact": True, "money": 0.5}]
    assert found["broken_lines"][0]["line"] == 3


def test_audit_reads_standard_input(run, monkeypatch):
    data = io.TextIOWrapper(io.BufferedReader(io.BytesIO(b'"a"\n"a"\n')))
    monkeypatch.setattr(sys, "stdin", data)
    code, out, _ = run("audit", "-", "--json")
    assert (code, json.loads(out)["answered"]) == (0, 1)


def test_audit_options_reach_the_replay(run, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("who,what,when\nA,x,0\na,X ,5\nb,y,6\na,x,100\n")
    options = ("--field", "who", "--field", "what", "--time", "when", "--json")
    for extra, misses in (
        ((), 4), (("--normalize",), 2), (("--normalize", "--ttl", "50"), 3),
        (("--normalize", "--ttl", "0"), 2), (("--normalize", "--max-items", "1"), 3),
    ):  # fmt: skip
        code, out, _ = run("audit", path, *options, *extra)
        assert (code, json.loads(out)["misses"]) == (0, misses), extra


def test_audit_shows_no_text_that_steers_the_terminal(run, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps("\x1b[2J[red]evil[/red]\n" * 60) + "\n")
    path.write_text(path.read_text() * 2)
    _, out, _ = run("audit", path)
    assert "\x1b" not in out
    assert "[red]evil[/red]" in out
    assert max(map(len, out.splitlines())) <= 80


def test_audit_counts_all_broken_lines_and_shows_ten(run, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('"a"\n' + "oops\n" * 25)
    code, out, _ = run("audit", path)
    assert code == 0
    assert "25 lines left out" in out
    assert [int(n) for n in re.findall(r"(\d+): not JSON", out)] == list(range(2, 12))
    assert "... and 15 more" in out


def test_audit_without_repeats_says_so(run, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('"a"\n"b"\n""\n')
    code, out, _ = run("audit", path)
    assert code == 0
    assert "No question was asked twice" in out
    assert "1 call with an empty question" in out


@pytest.mark.parametrize(
    ("data", "args", "text"),
    [
        (None, (), "No such file"),
        (b"", (), "nothing that can be read"),
        (b"\n\n", (), "nothing that can be read"),
        (b"oops\noops", ("--format", "jsonl"), "line 1: not JSON"),
        (b'{"question": 1}', ("--field", "x"), "no field 'x'; these are: question"),
        (b'{"a": 1, "b": 2}', (), "these are: a, b"),
        (b'{"question": 1, "t": "x"}', ("--time", "t"), "line 1: in 't': 'x' is no time"),
        (b'"a"', ("--price", "-1"), "--price"),
        (b'"a"', ("--price", "x"), "--price"),
        (b'"a"', ("--latency", "nan"), "--latency"),
        (b'"a"', ("--ttl", "-1"), "--ttl"),
        (b'"a"', ("--max-items", "0"), "--max-items"),
        (b'"a"', ("--format", "xml"), "--format"),
        (b'"a"', ("--bogus",), "--bogus"),
        (b'"a"', ("--redis", "http://u:hunter2@x"), "url"),
        ("x".encode("utf-16"), (), "UTF-16"),
        (b'{\n"a": [1]}', ("--format", "json"), "array"),
    ],
)
def test_bad_input_is_one_line_and_code_2(run, tmp_path, data, args, text):
    path = tmp_path / "log"
    if data is not None:
        path.write_bytes(data)
    code, line = complaint(run("audit", path, *args))
    assert code == 2
    assert text in line
    assert "hunter2" not in line


def test_unknown_commands_are_bad_input(run):
    assert complaint(run("bogus"))[0] == 2
    assert complaint(run("invalidate"))[0] == 2
    assert complaint(run("inspect"))[0] == 2


class Interrupted(io.RawIOBase):
    """Gives some lines, then Ctrl-C."""

    def __init__(self, lines):
        self.data = b'"a"\n' * lines

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.data:
            raise KeyboardInterrupt
        part = self.data[: len(buffer)]
        self.data = self.data[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def test_ctrl_c_ends_with_what_was_read(run, monkeypatch):
    source = io.TextIOWrapper(io.BufferedReader(Interrupted(1_000)))
    monkeypatch.setattr(sys, "stdin", source)
    code, out, err = run("audit", "-", "--json")
    found = json.loads(out)
    assert (code, err) == (130, "")
    assert (found["interrupted"], found["calls"]) == (True, 1_000)


def test_ctrl_c_before_anything_was_read_is_quiet(run, monkeypatch):
    source = io.TextIOWrapper(io.BufferedReader(Interrupted(1)))
    monkeypatch.setattr(sys, "stdin", source)
    code, out, err = run("audit", "-")
    assert (code, out, err.strip()) == (130, "", "toolops: stopped")


def test_a_closed_pipe_is_quiet(root, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f'"{i}"\n' * 2 for i in range(3_000)))
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [sys.executable, "-m", "toolops_plugins.cli", "audit", path, "--json", "--top", "3000"],
        cwd=root, stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert "Traceback" not in run.stderr
    assert run.returncode == 1


def test_the_progress_bar_is_for_terminals(run, log, monkeypatch):
    log.write_text('"a"\n' * 5_000)
    assert run("audit", log)[2] == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert "lines" in run("audit", log)[2]
    assert run("audit", log, "--no-progress")[2] == ""


def test_help_and_version(run):
    assert run()[0] == 0
    code, out, _ = run("--help")
    assert code == 0
    for command in ("audit", "doctor", "stats", "clear", "invalidate", "inspect"):
        assert re.search(rf"^  {command} +\w.*\.$", out, re.MULTILINE)
    assert run("--version")[0] == 0


# doctor


def test_doctor_is_content_without_redis(run):
    code, out, _ = run("doctor")
    assert code == 0
    assert "not configured" in out


def test_doctor_looks_at_redis_and_tells_no_secret(run, valkey, monkeypatch):
    monkeypatch.setenv("TOOLOPS_REDIS_URL", valkey.url)
    monkeypatch.setenv("TOOLOPS_SECRET", "hunter2")
    monkeypatch.setenv("TOOLOPS_REDIS_ULR", "hunter2")
    code, out, _ = run("doctor")
    assert code == 0
    for text in ("valkey 9", "round trip", "a key was written", "set; it is not shown"):
        assert text in out
    assert re.search(r"TOOLOPS_REDIS_ULR +is unknown", out)
    assert "hunter2" not in out


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("TOOLOPS_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0", "ConnectionError"),
        ("TOOLOPS_REDIS_URL", "http://:hunter2@x", "no known scheme"),
        ("TOOLOPS_MEMORY_TTL", "-3", "TOOLOPS_MEMORY_TTL: must be"),
    ],
)
def test_doctor_fails_where_something_configured_does(run, monkeypatch, name, value, text):
    monkeypatch.setenv(name, value)
    code, out, _ = run("doctor")
    assert code == 1
    assert "FAIL" in out
    assert text in out
    assert "hunter2" not in out


def test_doctor_sees_that_writing_is_forbidden(run, valkey, namespace):
    valkey.command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "&*", "+@read", "+ping", "+info")
    url = valkey.url.replace("redis://", "redis://reader:pw@")
    code, out, _ = run("doctor", "--redis-url", url, "--namespace", namespace)
    assert code == 1
    assert re.search(r"ok +reachable", out)
    assert re.search(r"FAIL write access +.*NoPermission", out)


def test_doctor_shows_no_password_of_a_chroma_server():
    environ = {"TOOLOPS_CHROMA_URL": "https://ann:hunter2@chroma.example:8000"}
    (found,) = [f.text for f in examine(environ) if f.name == "TOOLOPS_CHROMA_URL"]
    assert found == "https://***@chroma.example:8000"


def test_doctor_knows_every_variable(root):
    source = (root / "toolops_plugins" / "environment.py").read_text()
    assert set(re.findall(r'"(TOOLOPS_\w+)"', source)) == set(VARIABLES)


# What is kept in Redis


@dataclass
class Order:
    number: int


@pytest.fixture(params=["valkey", "valkey_cluster"])
def place(request, namespace):
    server = request.getfixturevalue(request.param)
    return "--redis-url", server.url, "--namespace", namespace


@pytest.fixture
def ops(place, namespace):
    with ToolOps(namespace, [Memory(), Redis(place[1], label="far * [away]")]) as ops:
        ops.codec.register(Order, name="order")
        yield ops


@pytest.fixture
def quote(ops):
    @ops.tool(cache=Cache(ttl=500, jitter=0, tags=["ticker:{ticker}"]), price=0.25)
    def quote(ticker):
        return {"ticker": ticker, "past": (1, 2), "delay": timedelta(seconds=3)}

    return quote


def test_stats_count_what_is_kept(run, place, quote):
    for ticker in "abc":
        quote(ticker)
    code, out, _ = run("stats", *place, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["whole"] is True
    shelf = found["tiers"]["far * [away]"]
    assert (shelf["entries"], shelf["tags"], shelf["tombstones"]) == (3, 3, 0)
    assert shelf["bytes"] > 300
    quote.invalidate("a")
    left = json.loads(run("stats", *place, "--json")[1])["tiers"]["far * [away]"]
    assert (left["entries"], left["tombstones"]) == (2, 1)
    assert shelf["seconds_left_at_most"] == {
        "60": 0, "600": 3, "3600": 0, "86400": 0, "more": 0,
    }  # fmt: skip
    code, out, _ = run("stats", *place)
    assert code == 0
    assert re.search(r"far \* \[away\] +2 ", out)


def test_stats_of_nothing(run, valkey, namespace):
    code, out, _ = run("stats", "--redis-url", valkey.url, "--namespace", namespace)
    assert (code, "Nothing is kept." in out) == (0, True)


def test_stats_tell_what_is_not_ours_and_stop_in_time(run, valkey, namespace):
    with valkey.client() as client:
        client.mset({f"toolops:{namespace}:junk{i}": "x" for i in range(3)})
        client.mset({f"other-{namespace}:{i}": "x" for i in range(5_000)})
        client.lpush(f"toolops:{namespace}:L2:{'0' * 64}", "a list")
    where = ("--redis-url", valkey.url, "--namespace", namespace)
    found = json.loads(run("stats", *where, "--json")[1])
    assert (found["foreign_keys"], found["tiers"], found["whole"]) == (4, {}, True)
    short = json.loads(run("stats", *where, "--json", "--seconds", "0")[1])
    assert short["whole"] is False
    assert "no time" in run("stats", *where, "--seconds", "0")[1]


def capture_published(monkeypatch):
    """Return what is broadcast from now on."""
    published = []
    true = Bus.publish

    def publish(bus, keys=(), tags=(), *, everything=False):
        published.append((list(keys), list(tags), everything))
        true(bus, keys, tags, everything=everything)

    monkeypatch.setattr(Bus, "publish", publish)
    return published


def test_clear_forgets_this_namespace_only(run, place, quote, monkeypatch):
    quote("a")
    published = capture_published(monkeypatch)
    code, out, _ = run("clear", *place[:3], place[3] + "x", "--yes")
    assert (code, "holds nothing" in out) == (0, True)
    assert (
        "a"
        in json.loads(run("inspect", *place, "--json", quote.key("a"))[1])["far * [away]"][
            "value"
        ].values()
    )
    code, out, _ = run("clear", *place, "--yes")
    assert code == 0
    assert "Cleared in far * [away] of namespace" in out
    assert json.loads(run("stats", *place, "--json")[1])["tiers"] == {}
    assert published == [([], [], True)] * 2


def test_clear_asks_first(run, place, quote, monkeypatch):
    quote("a")
    for answer, code in (("", 1), ("n\n", 1), ("y\n", 0)):
        assert json.loads(run("stats", *place, "--json")[1])["tiers"] != {}
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        assert run("clear", *place)[0] == code
    assert json.loads(run("stats", *place, "--json")[1])["tiers"] == {}


def test_invalidate_forgets_by_tag(run, place, quote, monkeypatch):
    quote("a"), quote("b")
    published = capture_published(monkeypatch)
    code, out, _ = run("invalidate", "ticker:a", "other", *place)
    assert code == 0
    assert "Invalidated ticker:a in far * [away]" in out
    assert "Nothing had the tag other in namespace" in out
    assert published == [([], ["ticker:a", "other"], False)]
    states = [
        json.loads(run("inspect", *place, "--json", quote.key(t))[1])["far * [away]"]["state"]
        for t in "ab"
    ]
    assert states == ["void", "fresh"]


def test_invalidate_says_that_nothing_had_the_tag(run, place, quote, monkeypatch):
    published = capture_published(monkeypatch)
    for empty in (True, False):
        if not empty:
            quote("a")
        code, out, _ = run("invalidate", "--tag", "ticker:b", "--tag", "ticker:b", *place)
        assert code == 1
        assert out.count("Nothing had the tag ticker:b in namespace") == out.count("\n") == 1
    assert published == [([], ["ticker:b", "ticker:b"], False)] * 2
    code, out, _ = run("invalidate", "--tag", "ticker:a", *place)
    assert (code, "Invalidated ticker:a" in out) == (0, True)
    assert run("invalidate", "ticker:a", *place)[0] == 1  # nothing has it any more


@pytest.mark.parametrize("tags", [(), ("",), ("--tag", "")])
def test_invalidate_needs_a_tag(run, tags):
    code, line = complaint(run("invalidate", *tags, "--redis-url", "redis://127.0.0.1:1"))
    assert code == 2
    assert "TAG: must name at least one tag" in line


def test_inspect_shows_what_is_there(run, place, ops, quote):
    quote("ACME")
    code, out, _ = run("inspect", quote.key("ACME"), *place, "--json")
    found = json.loads(out)["far * [away]"]
    assert code == 0
    assert found["value"] == {"ticker": "ACME", "past": [1, 2], "delay": "0:00:03"}
    assert (found["state"], found["kind"], found["price"]) == ("fresh", "value", 0.25)
    assert found["tags"] == ["ticker:ACME"]
    assert 490 < found["fresh_for"] <= 500
    assert found["bytes"] > 50
    code, out, _ = run("inspect", quote.key("ACME"), *place)
    assert code == 0
    assert '"ticker": "ACME"' in out
    quote.invalidate("ACME")
    found = json.loads(run("inspect", quote.key("ACME"), *place, "--json")[1])
    assert found["far * [away]"]["state"] == "deleted"


def test_inspect_shows_a_type_that_it_does_not_know_as_it_is_kept(run, place, ops):
    @ops.readonly
    def order(number):
        return Order(number)

    order(7)
    code, out, _ = run("inspect", order.key(7), *place, "--json")
    found = json.loads(out)["far * [away]"]
    assert (code, found["state"]) == (0, "fresh")
    assert orjson.dumps(found["value"]) == orjson.dumps({"~": ["@", "order", {"number": 7}]})


def test_inspect_shows_remembered_errors(run, place, ops):
    @ops.tool(cache=Cache(ttl=500, negative=ValueError, negative_ttl=300))
    def fail():
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        fail()
    found = json.loads(run("inspect", fail.key(), *place, "--json")[1])["far * [away]"]
    assert found["kind"] == "error"
    assert "no such thing" in json.dumps(found["value"])


def test_inspect_needs_the_secret(run, valkey, namespace, monkeypatch):
    with ToolOps(namespace, [Memory(), Redis(valkey.url)], secret="right") as ops:
        tool = ops.readonly(lambda: "treasure", name="t")
        tool()
        key = tool.key()
    where = ("--redis-url", valkey.url, "--namespace", namespace)
    for secret, state in (("wrong", "unreadable"), ("", "unreadable"), ("right", "fresh")):
        monkeypatch.setenv("TOOLOPS_SECRET", secret)
        code, out, _ = run("inspect", key, *where, "--json")
        assert (code, json.loads(out)["L2"]["state"]) == (0, state)
        assert ("treasure" in out) is (state == "fresh")


@pytest.mark.parametrize("encrypt", [True, "a key of its own"])
def test_inspect_says_encrypted_in_place_of_what_is(run, valkey, namespace, monkeypatch, encrypt):
    with ToolOps(namespace, [Redis(valkey.url, label="R")], secret="s", encrypt=encrypt) as ops:
        tool = ops.tool(cache=Cache(ttl=60, tags=["patient:ann"]), name="t")(lambda: "treasure")
        tool()
        key = tool.key()
    where = ("--redis-url", valkey.url, "--namespace", namespace)
    for secret in ("s", "", "wrong"):
        monkeypatch.setenv("TOOLOPS_SECRET", secret)
        code, text, _ = run("inspect", key, *where)
        assert code == 0
        found = json.loads(run("inspect", key, *where, "--json")[1])["R"]
        if secret == "s" and encrypt is True:
            assert (found["state"], found["value"]) == ("fresh", "encrypted")
            assert 50 < found["fresh_for"] <= 60
        else:
            assert found["state"] == ("unreadable" if secret == "wrong" else "encrypted")
        assert ("encrypted" in text) is (secret != "wrong")
        assert "treasure" not in text
        assert "patient" not in text
        assert run("stats", *where)[0] == 0


@pytest.mark.parametrize("encrypt", ["", "1"])
def test_with_the_secret_tags_are_invalidated_and_all_is_cleared(
    run, valkey, namespace, monkeypatch, encrypt
):
    monkeypatch.setenv("TOOLOPS_SECRET", "s")
    monkeypatch.setenv("TOOLOPS_ENCRYPT", encrypt)
    where = ("--redis-url", valkey.url, "--namespace", namespace)
    calls = []
    tiers = [Memory(), Redis(valkey.url, socket_timeout=10, connect_timeout=10)]
    with ToolOps(namespace, tiers, secret="s", encrypt=bool(encrypt)) as ops:

        @ops.tool(cache=Cache(ttl=60, tags=["all"]))
        def tool():
            calls.append(1)

        tool()
        assert ops._shared.bus.ready.wait(20)
        for command in (("invalidate", "all"), ("clear", "--yes")):
            before = len(calls)
            code, out, _ = run(*command, *where)
            assert (code, "in L2" in out) == (0, True), out
            wait_for(lambda before=before: tool() or len(calls) > before, "the news of it")


def test_commands_that_change_what_is_signed_need_its_secret(run, valkey, namespace, monkeypatch):
    where = ("--redis-url", valkey.url, "--namespace", namespace)
    with ToolOps(namespace, [Redis(valkey.url)], secret="right") as ops:
        tool = ops.tool(cache=Cache(ttl=60, tags=["all"]), name="t")(lambda: 1)
        tool()
        for secret, problem in (("wrong", "is not the one"), ("", "is needed")):
            monkeypatch.setenv("TOOLOPS_SECRET", secret)
            for command in (("invalidate", "all"), ("clear", "--yes")):
                code, _, err = run(*command, *where)
                assert (code, f"TOOLOPS_SECRET: {problem}" in err) == (2, True), err
    with ToolOps(f"{namespace}-plain", [Redis(valkey.url)]) as ops:
        ops.readonly(lambda: 1, name="t")()
    monkeypatch.setenv("TOOLOPS_SECRET", "right")
    where = ("--redis-url", valkey.url, "--namespace", f"{namespace}-plain")
    code, _, err = run("clear", "--yes", *where)
    assert (code, "written without a secret" in err) == (2, True), err


def test_encryption_is_switched_by_the_environment(run, monkeypatch):
    monkeypatch.setenv("TOOLOPS_SECRET", "s")
    monkeypatch.setenv("TOOLOPS_ENCRYPT", "hunter2")
    code, out, err = run("doctor")
    assert (code, "TOOLOPS_ENCRYPT: must be 1 or 0" in out) == (1, True)
    assert "hunter2" not in out + err
    monkeypatch.setenv("TOOLOPS_ENCRYPT", "1")
    assert run("doctor")[0] == 0
    assert ToolOps.from_env()._storage._cipher is not None


def test_inspect_of_garbage(run, valkey, namespace):
    where = ("--redis-url", valkey.url, "--namespace", namespace)
    keys = ["0" * 63 + digit for digit in "123"]
    name = f"toolops:{namespace}:L2:"
    valkey.command("SET", name + keys[0], b"\x80\x04garbage of pickles")
    valkey.command("LPUSH", name + keys[1], "x")
    for key, state, code in zip(
        keys, ("unreadable", "unreadable", "absent"), (0, 0, 1), strict=True
    ):
        found = run("inspect", key, *where, "--json")
        assert (found[0], json.loads(found[1])["L2"]["state"]) == (code, state)
        assert run("inspect", key, *where)[0] == code


def test_inspect_where_nothing_is_kept(run, valkey, namespace):
    where = ("--redis-url", valkey.url, "--namespace", namespace)
    code, out, _ = run("inspect", "0" * 64, *where)
    assert (code, "Nothing at all" in out) == (1, True)


@pytest.mark.parametrize("key", ["", "abc", "0" * 63, "0" * 66, "g" * 64, "0 " * 32])
def test_a_wrong_key_is_bad_input(run, key):
    code, line = complaint(run("inspect", key, "--redis-url", "redis://127.0.0.1:1"))
    assert code == 2
    assert "64 hexadecimal digits" in line


COMMANDS = [("stats",), ("clear", "--yes"), ("invalidate", "tag"), ("inspect", "0" * 64)]


@pytest.mark.parametrize("command", COMMANDS)
def test_redis_must_be_known(run, command):
    code, line = complaint(run(*command))
    assert code == 2
    assert "TOOLOPS_REDIS_URL" in line


@pytest.mark.parametrize("command", COMMANDS)
def test_redis_must_be_there(run, command):
    code, line = complaint(run(*command, "--redis-url", "redis://:hunter2@127.0.0.1:1"))
    assert code == 1
    assert "hunter2" not in line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_url_is_bad_input(run, command):
    code, line = complaint(run(*command, "--redis-url", "http://:hunter2@127.0.0.1:1"))
    assert code == 2
    assert "hunter2" not in line


def test_the_environment_says_where_redis_is(run, valkey, namespace, monkeypatch):
    monkeypatch.setenv("TOOLOPS_REDIS_URL", valkey.url)
    monkeypatch.setenv("TOOLOPS_NAMESPACE", namespace)
    assert json.loads(run("stats", "--json")[1])["namespace"] == namespace
    assert json.loads(run("stats", "--json", "--namespace", "x")[1])["namespace"] == "x"
