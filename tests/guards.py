"""A pytest plugin that fails a test which reaches out, blocks an event loop, or leaves work behind.

- Reach the network. An audit hook refuses every connection, datagram and name lookup that is not
  for this machine, in every thread and on every event loop. Subprocesses are not watched.
- Block an event loop from inside the library (`allow_blocking(reason)` takes a test out).
- Leave a thread or a task behind (`allow_leaks(reason)` takes a test out).
- See the developer's own settings: HOME is an empty folder, and no TOOLOPS_ variable is set.

The library turns trouble with a cache into a miss, so an exception raised here might never
surface. So each offence is also written down, and fails the test in which it was noticed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import ipaddress
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from typing import Any

import blockbuster.blockbuster
import pytest

MARKERS = {
    "allow_blocking": "the library may block the event loop here",
    "allow_leaks": "threads or tasks may outlive this test",
}
GRACE = 1.0  # seconds that a thread or a task has to end by itself; only a failing test waits them
OURS = (
    "toolops_plugins",
    "langchain_toolops",
    "llama_index.callbacks.toolops",
    "crewai_toolops",
)

_BUSTER = pytest.StashKey[blockbuster.blockbuster.BlockBuster]()
_THREADS = pytest.StashKey[set[threading.Thread]]()

offences: list[str] = []
"""What was noticed since the last look."""


class NetworkForbiddenError(RuntimeError):
    """A test tried to reach something outside this machine."""


class BlockedLoopError(blockbuster.blockbuster.BlockingError):
    """The library blocked an event loop."""

    def __init__(self, function: str) -> None:
        super().__init__(function)
        note(str(self))


def note(offence: str) -> None:
    """Write an offence down, with the place where it happened."""
    stack = "".join(traceback.format_stack(limit=12)[:-2])
    offences.append(f"{offence}, in {threading.current_thread().name}, at\n{stack}")


def report() -> None:
    """Fail the running test if there were offences; they are forgotten then."""
    found = offences[:]
    offences.clear()
    if found:
        pytest.fail("\n".join(found), pytrace=False)


# The network


def is_local(host: Any) -> bool:
    """Return whether a host, as a name or a number, is this machine without asking anybody."""
    if isinstance(host, bytes | bytearray):
        host = host.decode("ascii", "replace")
    if host is None or host in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _watch_network(event: str, args: tuple[Any, ...]) -> None:
    # Called for every audited event of the interpreter, so the common case must be short.
    if not event.startswith("socket."):
        return
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        sock, target = args
        if target is None or sock.family == socket.AF_UNIX:
            return
        host = target[0] if isinstance(target, tuple) else target
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = target = args[0]
    elif event == "socket.getnameinfo":
        target = args[0]
        host = target[0]
    else:
        return
    if not is_local(host):
        note(f"{event} to {target!r}")
        raise NetworkForbiddenError(f"{event} to {target!r}: tests stay on this machine")


# The event loop


def _make_buster() -> blockbuster.blockbuster.BlockBuster:
    # Made but not executed: a package that does not import is a failed test, not a failed plugin.
    found = [importlib.util.find_spec(name) for name in OURS]
    ours = [importlib.util.module_from_spec(spec) for spec in found if spec is not None]
    buster = blockbuster.blockbuster.BlockBuster(ours)
    # A short critical section is no blocking, and whether a lock is held for that instant is
    # chance. Waiting for another thread is: that is what conditions and joins do.
    del buster.functions["threading.Lock.acquire"]
    del buster.functions["threading.Lock.acquire_lock"]
    for owner, name in ((threading.Condition, "wait"), (threading.Thread, "join")):
        buster.functions[f"{owner.__name__}.{name}"] = blockbuster.blockbuster.BlockBusterFunction(
            owner,
            name,
            scanned_modules=ours,
            can_block_functions=[("threading.py", {"start"})],
        )
    for function in buster.functions.values():
        # The library imports on first use, and which test comes first is chance too; so is who
        # first prints a traceback.
        function.can_block_in("<frozen importlib._bootstrap>", "_find_and_load")
        function.can_block_in("linecache.py", "updatecache")
        # It asks a semaphore without waiting, though that goes through a condition.
        function.can_block_in("concurrent/futures/thread.py", "_adjust_thread_count")
        # Where log lines go is the application's choice; pytest's go to a file.
        function.can_block_in("logging/__init__.py", "handle")
    return buster


# Threads and tasks


def _await_threads(threads: Iterable[threading.Thread]) -> list[threading.Thread]:
    """Return the threads that are still alive after a while."""
    deadline = time.monotonic() + GRACE
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in threads if thread.is_alive()]


def _running() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon}


@pytest.fixture
async def _no_tasks_left() -> AsyncIterator[None]:
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=GRACE)
    if left:
        pytest.fail(f"left tasks behind: {sorted(map(repr, left))}", pytrace=False)


@pytest.fixture(autouse=True)
def _watch_tasks(request: pytest.FixtureRequest) -> None:
    # Autouse fixtures come first, so this one is taken down last: after those that close things.
    node = request.node
    if node.get_closest_marker("asyncio") and not node.get_closest_marker("allow_leaks"):
        request.getfixturevalue("_no_tasks_left")


# The environment


def _isolate() -> Callable[[], None]:
    """Give this process an empty HOME and a silent environment; return what undoes it."""
    patch = pytest.MonkeyPatch()
    home = tempfile.mkdtemp(prefix="toolops-home-")
    for name in os.environ:
        # TOOLOPS_DATA is no setting of the library: it tells the tests where the data lies.
        if name.startswith(("TOOLOPS_", "XDG_")) and name != "TOOLOPS_DATA":
            patch.delenv(name)
    patch.setenv("HOME", home)
    # Containers set it, and then each worker and each subprocess compiles every module again.
    patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    patch.setattr(sys, "dont_write_bytecode", False)
    for name in ("TELEMETRY", "TRACKING", "VERSION_CHECK"):
        patch.setenv(f"CREWAI_DISABLE_{name}", "true")
    patch.setenv("CREWAI_TRACING_ENABLED", "false")
    patch.setenv("CREWAI_TESTING", "true")  # no question to whoever sits at the terminal
    patch.setenv("ANONYMIZED_TELEMETRY", "False")  # chromadb
    patch.setenv("OTEL_SDK_DISABLED", "true")

    def undo() -> None:
        patch.undo()
        shutil.rmtree(home, ignore_errors=True)

    return undo


# The hooks


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}(reason): {meaning}")
    config.add_cleanup(_isolate())
    # Who asks for the loop of a thread without one (LlamaIndex's asyncio_run) is told that there is
    # none, as from Python 3.14 on, and gets no loop that nobody closes.
    asyncio.set_event_loop(None)
    blockbuster.blockbuster.BlockingError = BlockedLoopError
    config.stash[_BUSTER] = _make_buster()
    sys.addaudithook(_watch_network)  # cannot be taken out again; the process ends with the run


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    unexplained = [
        f"{item.nodeid}: {marker.name} needs a reason"
        for item in items
        for marker in item.iter_markers()
        if marker.name in MARKERS and not (marker.args and str(marker.args[0]).strip())
    ]
    if unexplained:
        raise pytest.UsageError("\n".join(unexplained))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    item.stash[_THREADS] = _running()  # those of the fixtures included
    buster = item.config.stash[_BUSTER]
    if not item.get_closest_marker("allow_blocking"):
        buster.activate()
    try:
        yield
    finally:
        buster.deactivate()
    report()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    yield
    report()
    if _THREADS in item.stash and not item.get_closest_marker("allow_leaks"):
        left = _await_threads(_running() - item.stash[_THREADS])
        if left:
            pytest.fail(f"left threads behind: {sorted(t.name for t in left)}", pytrace=False)
