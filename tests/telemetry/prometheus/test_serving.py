"""Ways to serve the metrics of one process: an ASGI app, a WSGI app, and a small server."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from urllib.request import urlopen

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from toolops_plugins import ToolOps
from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.prometheus import (
    PrometheusSink,
    folder_registry,
    make_asgi_app,
    make_wsgi_app,
    remove_dead_workers,
    start_http_server,
)


@pytest.fixture
def registry():
    registry = CollectorRegistry()
    ops = ToolOps("shop", sinks=[PrometheusSink(registry)])
    ops.call(abs, -1, name="absolute")
    return registry


@pytest.fixture
async def client(registry):
    transport = httpx.ASGITransport(make_asgi_app(registry))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client


async def test_the_asgi_app_answers_with_the_metrics(client):
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'toolops_calls_total{namespace="shop",outcome="bypass"' in answer.text
    assert list(text_string_to_metric_families(answer.text))


async def test_it_speaks_openmetrics_and_compresses_where_asked(client):
    accept = {"accept": "application/openmetrics-text; version=1.0.0", "accept-encoding": "gzip"}
    answer = await client.get("/metrics", headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text.endswith("# EOF\n")
    plain = await client.get("/metrics", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers


async def test_it_shows_single_metrics_where_asked(client):
    answer = await client.get("/metrics", params={"name[]": "toolops_calls_total"})
    assert {line.split("{")[0] for line in answer.text.splitlines() if line[0] != "#"} == {
        "toolops_calls_total"
    }


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_it_takes_no_other_method(client, method):
    assert (await client.request(method, "/metrics")).status_code == 405


async def test_a_websocket_is_refused(registry):
    with pytest.raises(ValueError, match="websocket"):
        await make_asgi_app(registry)({"type": "websocket"}, None, None)


async def test_a_client_that_has_gone_gets_nothing(registry):
    async def receive():
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "headers": []}
    await make_asgi_app(registry)(scope, receive, pytest.fail)


def test_the_wsgi_app_answers_with_the_metrics(registry):
    heads = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_ACCEPT_ENCODING": "gzip"}
    body = b"".join(make_wsgi_app(registry)(environ, lambda *head: heads.append(head)))
    assert heads[0][0] == "200 OK"
    assert b"toolops_calls_total" in gzip.decompress(body)


def test_the_server_serves_on_this_host_alone(registry):
    server, thread = start_http_server(0, registry=registry)
    try:
        assert server.server_address[0] == "127.0.0.1"
        with urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
            assert b"toolops_calls_total" in answer.read()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="PROMETHEUS_MULTIPROC_DIR"):
        folder_registry(str(tmp_path / "absent"))


def test_a_sink_of_several_processes_needs_the_folder(tmp_path):
    program = "from toolops_plugins.telemetry.prometheus import *; PrometheusSink()"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "absent")},
        capture_output=True,
        text=True,
        check=False,
    )
    last = run.stderr.splitlines()[-1]
    assert "ConfigurationError" in last
    assert "PROMETHEUS_MULTIPROC_DIR" in last
    assert "must name a folder" in last


def test_states_of_ended_processes_are_removed_and_others_stay(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = [
        f"gauge_livemax_{ended.pid}.db",
        f"gauge_livesum_{os.getpid()}.db",
        "gauge_livemin_1.db",  # somebody else's process, which may not be signalled
        f"counter_{ended.pid}.db",
        "notes.txt",
    ]
    for name in names:
        (tmp_path / name).touch()
    remove_dead_workers(str(tmp_path))
    assert {file.name for file in tmp_path.iterdir()} == set(names[1:])


def test_a_file_that_a_worker_has_just_opened_spoils_no_scrape(tmp_path):
    program = "from prometheus_client import Counter; Counter('calls_total', 'calls').inc()"
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environ, check=True)
    (tmp_path / "counter_1.db").touch()
    registry = folder_registry(str(tmp_path), remove_dead=True)
    assert registry.get_sample_value("calls_total") == 1
