"""The guards bite: in a thread and on a loop, and also where the library swallows the error.

No packet leaves this machine even if a guard is broken: every address is a number of TEST-NET-1
(RFC 5737), and every socket is bound to the loopback interface, from where the kernel has no way
there.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from pathlib import Path

import guards
import pytest

pytest_plugins = ["pytester"]

OUTSIDE = ("192.0.2.1", 9)
HERE = ("127.0.0.1", 0)


@pytest.fixture
def noted():
    """Take the offences of this test for granted, and give them to it."""
    yield guards.offences
    guards.offences.clear()


@pytest.fixture
def offence(noted):
    """Return the one offence of this test."""

    def take():
        (only,) = noted
        noted.clear()
        return only

    return take


def bound(kind):
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(HERE)
    return sock


@pytest.mark.parametrize("reach", ["connect", "connect_ex"])
def test_a_connection_outside_is_refused(offence, reach):
    with (
        bound(socket.SOCK_STREAM) as sock,
        pytest.raises(guards.NetworkForbiddenError, match=r"192\.0\.2\.1"),
    ):
        getattr(sock, reach)(OUTSIDE)
    assert "socket.connect" in offence()


def test_a_datagram_outside_is_refused(offence):
    with bound(socket.SOCK_DGRAM) as sock:
        with pytest.raises(guards.NetworkForbiddenError):
            sock.sendto(b"x", OUTSIDE)
        assert "socket.sendto" in offence()
        with pytest.raises(guards.NetworkForbiddenError):
            sock.sendmsg([b"x"], [], 0, OUTSIDE)
        assert "socket.sendmsg" in offence()


@pytest.mark.parametrize("host", [OUTSIDE[0], "::ffff:192.0.2.1", "2001:db8::1", b"192.0.2.1"])
def test_looking_up_a_host_outside_is_refused(offence, host):
    with pytest.raises(guards.NetworkForbiddenError):
        socket.getaddrinfo(host, 9, flags=socket.AI_NUMERICHOST)
    assert "socket.getaddrinfo" in offence()


async def test_an_event_loop_is_refused_too(offence):
    with pytest.raises(guards.NetworkForbiddenError):
        await asyncio.open_connection(*OUTSIDE, local_addr=HERE)
    offence()
    loop = asyncio.get_running_loop()
    with pytest.raises(guards.NetworkForbiddenError):
        await loop.getaddrinfo(OUTSIDE[0], 9, flags=socket.AI_NUMERICHOST)
    offence()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=HERE)
    try:
        transport.sendto(b"x", OUTSIDE)  # a transport hands its errors to the loop's handler
        assert "socket.sendto" in offence()
    finally:
        transport.close()


def test_another_thread_is_refused_too(offence):
    caught = []

    def body():
        with bound(socket.SOCK_STREAM) as sock:
            try:
                sock.connect(OUTSIDE)
            except guards.NetworkForbiddenError as error:
                caught.append(error)

    thread = threading.Thread(target=body, name="sneak")
    thread.start()
    thread.join()
    assert len(caught) == 1
    assert "in sneak" in offence()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.8.9.10", "::1", None, b"localhost"]
)
def test_this_machine_may_be_reached(noted, host):
    assert guards.is_local(host)
    socket.getaddrinfo(host, 9)
    assert not noted


async def test_a_server_on_this_machine_may_be_reached(noted, tmp_path):
    async def echo(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    for start, connect in (
        (asyncio.start_server(echo, "127.0.0.1", 0), asyncio.open_connection),
        (asyncio.start_unix_server(echo, tmp_path / "s"), asyncio.open_unix_connection),
    ):
        async with await start as server:
            name = server.sockets[0].getsockname()
            reader, writer = await connect(*(name if isinstance(name, tuple) else (name,)))
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            writer.close()
            await writer.wait_closed()
    assert not noted


INNER = """
import asyncio, os, socket, threading, pathlib
import pytest

release = threading.Event()

def test_swallows_the_network():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        try:
            sock.connect(("192.0.2.1", 9))
        except RuntimeError:
            pass

async def test_swallows_blocking():
    from toolops_plugins.clock import SYSTEM_CLOCK
    try:
        SYSTEM_CLOCK.sleep(0.001)
    except Exception:
        pass

async def test_swallows_waiting():
    import toolops_plugins.clock as ours
    code = compile("def wait(event): event.wait(0.001)", ours.__file__, "exec")
    exec(code, names := {})
    try:
        names["wait"](release)
    except Exception:
        pass

@pytest.mark.allow_blocking("the marker is what this is about")
async def test_may_block():
    from toolops_plugins.clock import SYSTEM_CLOCK
    SYSTEM_CLOCK.sleep(0.001)

def test_leaves_a_thread():
    threading.Thread(target=release.wait, name="orphan").start()

@pytest.mark.allow_leaks("the marker is what this is about")
def test_may_leave_a_thread():
    threading.Thread(target=release.wait).start()

async def test_leaves_a_task():
    task = asyncio.create_task(asyncio.Event().wait(), name="orphan task")
    release.task = task

@pytest.mark.allow_leaks("the marker is what this is about")
async def test_may_leave_a_task():
    release.task = asyncio.create_task(asyncio.Event().wait())

def test_is_isolated():
    assert not list(pathlib.Path.home().iterdir())
    assert not [name for name in os.environ if name.startswith("TOOLOPS_")]

@pytest.fixture(scope="session", autouse=True)
def let_them_go():
    yield
    release.set()
"""


def run_inside(pytester, monkeypatch, text):
    # In a process of its own, since what it does would be noted in this one too.
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
    pytester.makepyfile(text)
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (here, here.parent))))
    monkeypatch.setenv("TOOLOPS_NAMESPACE", "somebody")
    without = ("randomly", "xdist", "langsmith_plugin", "codspeed")
    options = [part for name in without for part in ("-p", f"no:{name}")]
    return pytester.runpytest_subprocess("-p", "guards", *options)


def test_an_offence_fails_the_test_even_where_it_was_swallowed(pytester, monkeypatch):
    result = run_inside(pytester, monkeypatch, INNER)
    lines = [
        "FAILED *::test_swallows_the_network*",
        "socket.connect to ('192.0.2.1', 9), in MainThread, at",
        "FAILED *::test_swallows_blocking*",
        "Blocking call to time.sleep, in MainThread, at",
        "FAILED *::test_swallows_waiting*",
        "Blocking call to Condition.wait, in MainThread, at",
        "ERROR *::test_leaves_a_thread*",
        "left threads behind: *'orphan'*",
        "ERROR *::test_leaves_a_task*",
        "left tasks behind: *name='orphan task'*",
    ]
    result.stdout.fnmatch_lines_random(lines)
    result.assert_outcomes(passed=6, failed=3, errors=2)


def test_a_marker_without_a_reason_is_refused(pytester, monkeypatch):
    reasons = ("", "()", "(' ')")
    tests = [
        f"@pytest.mark.allow_leaks{reason}\ndef test_{n}(): pass\n"
        for n, reason in enumerate(reasons)
    ]
    result = run_inside(pytester, monkeypatch, "import pytest\n" + "".join(tests))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*::test_{n}: allow_leaks needs a reason" for n in range(3)])
