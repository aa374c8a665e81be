"""`toolops dashboard`: its options, its port, and its end."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from commands import complaint
from servers import free_port, wait_for

pytest_plugins = ["commands"]

COMMAND = (sys.executable, "-m", "toolops_plugins.cli", "dashboard")


def test_a_ledger_must_be_named(toolops):
    code, text = complaint(toolops("dashboard"))
    assert code == 2
    assert "--ledger: is needed, or TOOLOPS_LEDGER" in text


def test_an_url_of_another_kind_is_refused(toolops):
    code, text = complaint(
        toolops("dashboard", "--ledger", "postgres://host", "--port", free_port())
    )
    assert code == 2
    assert "sqlite:///" in text


def test_a_used_port_is_named(toolops, ledger):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, text = complaint(toolops("dashboard", "--ledger", ledger, "--port", port))
    assert code == 1
    assert text.startswith(f"port {port} of 127.0.0.1 is in use: ")
    assert text.endswith("choose another by --port\n")


def test_an_address_of_another_machine_is_refused(ledger):
    # In a process of its own, since this one may not even look it up.
    options = ("--ledger", ledger, "--port", str(free_port()), "--host", "192.0.2.7")
    found = subprocess.run(
        [*COMMAND, *options], check=False, capture_output=True, text=True, timeout=40
    )
    assert found.returncode == 2
    assert found.stderr.startswith("toolops: --host: must be an address of this machine")
    assert found.stderr.count("\n") == 1


def test_ctrl_c_ends_it_cleanly(ledger):
    port = free_port()
    options = ["--ledger", ledger, "--port", str(port)]
    with subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_for(lambda: _answer(port, "/_stcore/health") == "ok", "the dashboard", 40)
            page = _answer(port, "/")
            hosts = ("localhost", "127.0.0.1", "evil.example")
            opened = [_open_websocket(port, host) for host in hosts]
            # It listens at the address that was asked for, and at no other.
            with (
                pytest.raises(ConnectionRefusedError),
                socket.create_connection(("127.0.0.2", port)),
            ):
                pass
        finally:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=40)
    assert "<title>" in page
    assert f"Dashboard: http://127.0.0.1:{port}" in out
    # The last one is a page that has given its own name this machine's address.
    assert opened == [101, 101, 403]
    (refused,) = err.splitlines()
    assert "evil.example" in refused
    assert process.returncode == 0


def _open_websocket(port, host):
    origin = f"{host}:{port}"
    headers = {"Host": origin, "Origin": f"http://{origin}", "Sec-WebSocket-Version": "13"}
    headers |= {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "A" * 22 + "==",
    }
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        client.request("GET", "/_stcore/stream", headers=headers)
        return client.getresponse().status


def _answer(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read().decode()
