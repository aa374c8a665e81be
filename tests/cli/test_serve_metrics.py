"""`toolops serve-metrics` as users run it: from a folder of processes, and from a ledger."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

import pytest
from commands import complaint
from ledger_data import fill_sqlite
from servers import free_port

CALLS = """
from toolops_plugins import ToolOps
from toolops_plugins.telemetry.prometheus import PrometheusSink
ops = ToolOps("shop", sinks=[PrometheusSink()])
for number in range(3):
    ops.call(abs, number, name="absolute")
"""


@contextmanager
def serve(*args: str, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run the command; yield it, its first line, and the address in that line."""
    command = [sys.executable, "-m", "toolops_plugins.cli", "serve-metrics", "--port=0", *args]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        yield process, line, re.search(r"http://\S+", line)[0]
    finally:
        process.kill()
        process.communicate()


def test_it_serves_a_folder_until_it_is_stopped(tmp_path):
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for _ in range(2):  # two processes, which have ended
        subprocess.run([sys.executable, "-c", CALLS], env={**os.environ, **environ}, check=True)
    with serve(**environ) as (process, line, url):
        assert line.startswith(f"Serving {tmp_path} at http://127.0.0.1:")
        text = urlopen(url).read().decode()
        assert 'outcome="bypass",tier="",tool="absolute"} 6.0' in text
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read().strip() == "toolops: stopped"


def test_it_serves_a_ledger(tmp_path):
    url = fill_sqlite(tmp_path / "ledger.db", now=time.time(), days=0.1)
    with serve("--ledger", url) as (_, line, address):
        assert "ledger.db" in line
        text = urlopen(address).read().decode()
        assert "toolops_ledger_up 1.0" in text
        assert "toolops_breaker_state{" in text


@pytest.mark.parametrize(
    ("args", "code", "part"),
    [
        ((), 2, "PROMETHEUS_MULTIPROC_DIR, TOOLOPS_LEDGER or TOOLOPS_REDIS_URL"),
        (("--multiproc-dir", "absent"), 2, "must name a folder that exists"),
        (("--multiproc-dir", ".", "--ledger", "sqlite:///a"), 2, "serve one of them"),
        (("--ledger", "nonsense"), 2, "sqlite:///file"),
        (("--port", "70000"), 2, "--port"),
    ],
)
def test_bad_input_is_told_in_one_line(toolops, args, code, part):
    found, line = complaint(toolops("serve-metrics", *args))
    assert found == code
    assert part in line


def test_a_port_in_use_is_told_in_one_line(toolops, tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = taken.getsockname()[1]
        code, line = complaint(
            toolops("serve-metrics", "--multiproc-dir", tmp_path, "--port", port)
        )
    assert code == 2
    assert f"{port} at 127.0.0.1 cannot be listened at: Address already in use" in line


def test_without_the_extra_it_says_what_to_install(toolops, tmp_path, monkeypatch):
    for name in list(sys.modules):
        if name.startswith("toolops_plugins.telemetry.prometheus"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("toolops_plugins.telemetry.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    code, line = complaint(toolops("serve-metrics", "--multiproc-dir", tmp_path))
    assert code == 2
    assert "pip install 'toolops-plugins[prometheus]'" in line
