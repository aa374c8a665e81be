"""The dashboard and the alerts of `deploy/`: every name is exported, and every query works.

Names are always checked. Where a Prometheus is found (PROMETHEUS, PATH, or `make prometheus`), it
scrapes a real process, and every query and rule is tried on it; elsewhere they are parsed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from servers import free_port, wait_for

from toolops_plugins import Cache, CircuitBreaker, Memory, RateLimit, Retry, ToolOps
from toolops_plugins.telemetry.events import CallEvent, CallStep, Notice
from toolops_plugins.telemetry.prometheus import PrometheusSink, start_http_server

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
BOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "toolops.json").read_text())
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    (f"{panel['title']} {target['refId']}", target["expr"], target["legendFormat"])
    for panel in PANELS
    for target in panel["targets"]
]
ALERT_QUERIES = [(rule.get("alert") or rule["record"], rule["expr"], "") for rule in RULES]
OF_PROMETHEUS = {"__name__", "job", "instance", "le", "alertstate", "alertname"}


def fill_in(query: str) -> str:
    """Return a query of the dashboard with values for Grafana's variables."""
    values = {
        "$__rate_interval": "10s",
        "$__range": "1m",
        "$namespace": ".*",
        "$tool": ".*",
    }
    for name, value in values.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


def selectors(query: str) -> Iterator[tuple[str, set[str]]]:
    """Yield every metric of a query, with the labels that its selector names."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(query), found.append)
    for node in found:
        if isinstance(node, promql_parser.VectorSelector):
            yield node.name, {matcher.name for matcher in node.matchers.matchers}


def groupings(query: str) -> set[str]:
    """Return the labels that a query aggregates by."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(query), found.append)
    labels: set[str] = set()
    for node in found:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            labels |= set(node.modifier.labels)
    return labels


class Shop:
    """A process with a runtime whose every metric has moved, and that serves them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sink = PrometheusSink(self.registry)

        def broken(event: CallEvent) -> None:
            raise ValueError

        self.ops = ToolOps("shop", [Memory()], sinks=[self.sink, broken])
        self.server, self._thread = start_http_server(0, registry=self.registry)

        @self.ops.tool(
            name="quote",
            cache=Cache(ttl=60),
            price=0.5,
            retry=Retry(attempts=2, wait=0.0),
            breaker=CircuitBreaker(window=4, name="service"),
            rate_limit=RateLimit("1000/s"),
        )
        def quote(symbol: str) -> str:
            if symbol == "bad":
                raise ConnectionError
            return symbol

        self.quote = quote

    def move(self, number: int = 0) -> None:
        """Let every metric move."""
        self.quote(str(number // 2))
        details = {"model": "gpt-9", "input_tokens": 10, "saved_output_tokens": 3}
        bound = {"spent": 1.0, "allowed": 2.0, "max_error": 0.01}
        event = CallEvent("ask", "miss", 0.2, namespace="shop", attempts=2, worked=0.1, price=0.1)
        for verdict in ("served", "vetoed"):
            semantic = {"verdict": verdict, **bound}
            self.sink.on_call(
                event._replace(semantic=semantic, details=details, reason="too_large")
            )
        self.sink.on_call(
            CallEvent("ask", "rejected", 0.1, namespace="shop", reason="circuit_open")
        )
        self.sink.on_call(CallEvent("ask", "refresh", 0.1, namespace="shop"))
        hit = CallEvent("ask", "hit", 0.1, namespace="shop", tier="semantic", saved_price=0.1)
        self.sink.on_call(hit._replace(saved_latency=0.4))
        self.sink.on_step(CallStep("limit_wait", 1, 0.1, name="ask", namespace="shop"))
        self.sink.on_notice(Notice("too_large", "ask", namespace="shop"))

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()
        self.ops.close()


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    shop = Shop()
    for number in range(4):
        shop.move(number)
    yield shop
    shop.stop()


@pytest.fixture(scope="module")
def exported(shop: Shop) -> dict[str, set[str]]:
    """The labels of every metric that the process shows, by its name."""
    found: dict[str, set[str]] = {
        "up": set(),
        "toolops_ledger_up": set(),  # only `toolops serve-metrics --ledger` has it
        "toolops_semantic_entries": {"namespace"},  # and only a runtime with an index this one
    }
    with urlopen(f"http://127.0.0.1:{shop.server.server_port}/metrics") as answer:
        text = answer.read().decode()
    for metric in text_string_to_metric_families(text):
        for sample in metric.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    for rule in RULES:
        if "record" in rule:
            found[rule["record"]] = {"namespace"}
    return found


# Names


@pytest.mark.parametrize(("title", "query", "legend"), [*QUERIES, *ALERT_QUERIES])
def test_every_name_in_a_query_is_exported(exported, title, query, legend):
    query = fill_in(query)
    labels: set[str] = set()
    used = list(selectors(query))
    assert used
    for name, matched in used:
        assert name in exported, f"{name} is not exported"
        assert matched <= exported[name] | OF_PROMETHEUS
        labels |= exported[name] | OF_PROMETHEUS
    grouped = groupings(query)
    assert grouped <= labels
    assert set(re.findall(r"{{(\w+)}}", legend)) <= (grouped or labels)


def test_every_metric_is_on_the_dashboard(exported):
    shown = {name for _, query, _ in QUERIES for name, _ in selectors(fill_in(query))}
    bases = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in shown}
    metrics = {
        re.sub(r"_(bucket|sum|count|created)$", "", name)
        for name in exported
        if name.startswith("toolops_") and not name.endswith("_created")
    }
    assert metrics - bases == {"toolops_ledger_up"}


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if "alert" in rule], ids=lambda r: r["alert"]
)
def test_an_alert_says_what_is_wrong_by_labels_that_it_has(exported, rule):
    texts = " ".join(rule["annotations"].values())
    assert set(rule["annotations"]) == {"summary", "description"}
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    named = set(re.findall(r"\$labels\.(\w+)", texts))
    assert named <= (groupings(rule["expr"]) or {"namespace", "instance"})


def test_the_dashboard_is_whole():
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, f"{panel['title']} lies upon another panel"
        taken |= cells
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"


def test_what_grafana_loads_fits_together():
    sources = yaml.safe_load(
        (DEPLOY / "grafana" / "provisioning" / "datasources" / "toolops.yml").read_text()
    )
    providers = yaml.safe_load(
        (DEPLOY / "grafana" / "provisioning" / "dashboards" / "toolops.yml").read_text()
    )
    assert sources["datasources"][0]["type"] == "prometheus"
    path = providers["providers"][0]["options"]["path"]
    assert path in (DEPLOY / "README.md").read_text()


def test_prometheus_loads_the_alerts():
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert config["rule_files"] == [ALERTS.name]
    assert config["scrape_configs"][0]["job_name"] == "toolops"


# On a real Prometheus


def binary(name: str) -> str | None:
    """Return the path of prometheus or promtool, or None."""
    built = DEPLOY.parent / "build" / "prometheus" / name
    chosen = os.environ.get("PROMETHEUS")
    if chosen:
        return str(Path(chosen).with_name(name))
    return str(built) if built.is_file() else shutil.which(name)


class Prometheus:
    """A real Prometheus that scrapes one process every tenth of a second."""

    def __init__(self, program: str, folder: Path, target: int) -> None:
        self.port = free_port()
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "100ms", "evaluation_interval": "200ms"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{target}"]
        shutil.copy(ALERTS, folder)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
            )

    def ask(self, path: str, **arguments: Any) -> Any:
        if self._process.poll() is not None:
            raise AssertionError(self._log.read_text()[-2000:])
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(arguments)}"
        with urlopen(url, timeout=20) as answer:
            return json.load(answer)["data"]

    def query(self, query: str) -> list[Any]:
        return self.ask("query", query=query)["result"]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def prometheus(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus | None]:
    """A Prometheus that has seen every metric move; None: there is none on this machine."""
    program = binary("prometheus")
    if program is None:
        yield None
        return
    server = Prometheus(program, tmp_path_factory.mktemp("prometheus"), shop.server.server_port)
    stopping = threading.Event()

    def keep_moving() -> None:
        number = 0
        while not stopping.wait(0.05):
            shop.move(number)
            number += 1

    mover = threading.Thread(target=keep_moving)
    mover.start()
    try:
        wait_for(lambda: server.query("rate(toolops_calls_total[10s]) > 0"), "two scrapes", 60)
        yield server
    finally:
        stopping.set()
        mover.join()
        server.stop()


def test_every_query_of_the_dashboard_gives_something(prometheus):
    empty = []
    for title, template, _ in QUERIES:
        query = fill_in(template)
        promql_parser.parse(query)
        if prometheus is not None and not prometheus.query(query):
            empty.append(title)
    # Nothing is a day old, no breaker is open, and there is no semantic index.
    assert set(empty) <= {"Hit rate, and a day before B", "Circuit breakers A", "Entries B"}


def test_every_rule_is_evaluated(prometheus):
    for _, query, _ in ALERT_QUERIES:
        promql_parser.parse(query)
    if prometheus is None:
        return

    def rules() -> dict[str, Any]:
        groups = prometheus.ask("rules")["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    def state(alert: str) -> str:
        return rules()[alert]["state"]

    wait_for(lambda: state("ToolOpsSinkDropsEvents") == "firing", "the alert of a broken sink")
    found = rules()
    assert len(found) == len(RULES)
    assert not {name: rule for name, rule in found.items() if rule["health"] != "ok"}
    assert state("ToolOpsBreakerOpen") == "inactive"
    assert state("ToolOpsTargetDown") == "inactive"


@pytest.mark.parametrize("name", ["alerts_test.yml", "hit_rate_test.yml"])
def test_alerts_fire_when_they_should(name):
    cases = yaml.safe_load((DEPLOY / "prometheus" / name).read_text())
    for case in cases["tests"]:
        for tried in case.get("promql_expr_test", []):
            promql_parser.parse(tried["expr"])
        for series in case["input_series"]:
            promql_parser.parse(series["series"])
    promtool = binary("promtool")
    if promtool is not None:
        command = [promtool, "test", "rules", name]
        subprocess.run(command, cwd=DEPLOY / "prometheus", check=True, capture_output=True)
