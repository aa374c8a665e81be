"""Prometheus: a sink that counts calls, and ways to serve what it counts.

It needs the extra ``prometheus``. The core does not import this package.
"""

from __future__ import annotations

try:
    import prometheus_client as _client  # noqa: F401 - only to say what is missing
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "toolops_plugins.telemetry.prometheus needs prometheus-client:"
        " pip install 'toolops-plugins[prometheus]'",
        name=error.name,
    ) from error

from toolops_plugins.telemetry.prometheus.families import BUCKETS
from toolops_plugins.telemetry.prometheus.serving import (
    child_exit,
    folder_registry,
    make_asgi_app,
    make_wsgi_app,
    remove_dead_workers,
    serve_registry,
    start_http_server,
)
from toolops_plugins.telemetry.prometheus.sink import PrometheusSink

__all__ = [
    "BUCKETS",
    "PrometheusSink",
    "child_exit",
    "folder_registry",
    "make_asgi_app",
    "make_wsgi_app",
    "remove_dead_workers",
    "serve_registry",
    "start_http_server",
]
