"""Several workers, as in production: one scrape of any of them shows what all have counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from servers import free_port, wait_for

HERE = Path(__file__).parent
SHOP = {"namespace": "shop", "tool": "quote"}


class Workers:
    """A server of two workers, in a process group of its own.

    Args:
        kind: "gunicorn", whose workers are forked, or "uvicorn", whose workers are spawned and of
            which nobody is told that they ended.
        folder: Where the workers keep their metrics.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder / "metrics"
        self.folder.mkdir()
        self.port = free_port()
        self.calls: Counter[str] = Counter()
        listen = f"127.0.0.1:{self.port}"
        command = {
            "gunicorn": [
                "gunicorn", "metrics_app:wsgi", "--workers=2", f"--bind={listen}", "--preload",
                f"--config={HERE / 'gunicorn.conf.py'}", "--worker-tmp-dir", str(folder),
            ],
            "uvicorn": [
                "uvicorn", "metrics_app:asgi", "--workers=2", f"--port={self.port}",
                "--log-level=warning",
            ],
        }[kind]  # fmt: skip
        self.log = folder / "log"
        paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=folder,
                env={
                    **os.environ,
                    "PROMETHEUS_MULTIPROC_DIR": str(self.folder),
                    "PYTHONPATH": os.pathsep.join(paths),
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def get(self, path: str) -> str:
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text()[-2000:])
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def call(self, symbol: str) -> str:
        """Make one call in any worker; return the worker's number."""
        worker = self.get(f"/?symbol={symbol}")
        self.calls[symbol] += 1
        return worker

    def workers(self, count: int = 2) -> set[str]:
        """Call until so many workers have answered; return their numbers."""
        found: set[str] = set()

        def all_answered() -> bool:
            found.add(self.call("a"))
            return len(found) >= count

        wait_for(all_answered, "an answer of each worker")
        return found

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Scrape any worker; return the values by name and labels."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        for metric in text_string_to_metric_families(self.get("/metrics")):
            for sample in metric.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                assert key not in found, "a series is shown twice"
                found[key] = sample.value
        return found

    def value(self, name: str, /, **labels: str) -> float | None:
        return self.samples().get((name, tuple(sorted(labels.items()))))

    def total(self, name: str) -> float:
        return sum(value for (found, _), value in self.samples().items() if found == name)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="module", params=["gunicorn", "uvicorn"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workers]:
    workers = Workers(request.param, tmp_path_factory.mktemp(request.param))
    try:
        wait_for(lambda: workers.get("/"), "the server's answer", 60)
        yield workers
    finally:
        workers.stop()


def test_counts_of_all_workers_add_up(server):
    server.workers()
    for _ in range(5):
        server.call("b")
    calls = sum(server.calls.values())
    assert server.total("toolops_calls_total") == calls
    assert server.total("toolops_call_duration_seconds_count") == calls
    samples = server.samples()
    runs = sum(
        value
        for (name, labels), value in samples.items()
        if name == "toolops_calls_total" and dict(labels)["outcome"] in ("miss", "error")
    )
    assert samples["toolops_spent_cost_total", tuple(sorted(SHOP.items()))] == runs * 0.25


def test_states_of_all_workers_are_shown(server):
    server.workers()
    entries = {"namespace": "shop", "tier": "L1"}
    wait_for(lambda: server.value("toolops_entries", **entries) >= 2, "the entries of both")
    assert server.value("toolops_tier_up", **entries) == 1

    def state(name: str) -> float | None:
        return server.value("toolops_breaker_state", namespace="shop", breaker="quote", state=name)

    wait_for(lambda: state("closed") == 1, "the states")
    assert state("open") == 0
    while server.call("bad") == "error":
        if state("open"):
            break
    assert state("open") == 1


def test_what_ended_workers_counted_stays_and_their_states_go(server):
    ended = min(server.workers())
    wait_for(lambda: any(server.folder.glob(f"gauge_live*_{ended}.db")), "its states")
    before = server.total("toolops_calls_total")
    os.kill(int(ended), signal.SIGKILL)

    def is_forgotten() -> bool:
        server.samples()
        return not list(server.folder.glob(f"gauge_live*_{ended}.db"))

    wait_for(is_forgotten, "the end of its states", 30)
    assert list(server.folder.glob(f"counter_{ended}.db"))
    assert server.total("toolops_calls_total") >= before
