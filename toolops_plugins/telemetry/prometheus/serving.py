"""Serve the metrics: as an ASGI or WSGI app to mount, or by a small server of their own."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, CollectorRegistry, multiprocess
from prometheus_client import make_wsgi_app as make_client_wsgi_app
from prometheus_client import start_http_server as start_client_server
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.telemetry.prometheus.metrics import is_multiprocess
from toolops_plugins.telemetry.prometheus.views import ViewRegistry

__all__ = [
    "PORT",
    "child_exit",
    "folder_registry",
    "make_asgi_app",
    "make_wsgi_app",
    "remove_dead_workers",
    "serve_registry",
    "start_http_server",
]

PORT = 9464
"""The default port."""

Message: TypeAlias = MutableMapping[str, Any]
ASGIApp: TypeAlias = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]

_FILES: Any = multiprocess  # its functions have no types
_LIVE_FILE = re.compile(r"gauge_live[a-z]*_(\d+)\.db")


def make_asgi_app(registry: CollectorRegistry | None = None) -> ASGIApp:
    """Return an ASGI app that answers every GET with the metrics, to be mounted.

    ``app.mount("/metrics", make_asgi_app())`` does so in FastAPI and Starlette. Under
    ``PROMETHEUS_MULTIPROC_DIR`` each worker shows the metrics of all, and the states of workers
    that have ended are left out. Encoding runs in a thread, so that the event loop goes on.

    Args:
        registry: The registry of the sinks. Under ``PROMETHEUS_MULTIPROC_DIR`` it is not used.
            Default: that of prometheus_client.
    """
    shown = _registry_to_show(registry)

    async def app(
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            raise ValueError(f"the metrics are served over http, not {scope['type']}")
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        status, answered, body = 405, [(b"allow", b"GET, HEAD")], b""
        if scope["method"] in ("GET", "HEAD"):
            arguments = (
                shown,
                ",".join(value for name, value in headers if name == b"accept"),
                ",".join(value for name, value in headers if name == b"accept-encoding"),
                parse_qs(scope.get("query_string", b"").decode("latin-1")).get("name[]"),
            )
            status = 200
            answered, body = await _run_in_thread(_encode, *arguments)
        message = await receive()
        if message["type"] != "http.request":  # the client has gone
            return
        await send({"type": "http.response.start", "status": status, "headers": answered})
        await send({"type": "http.response.body", "body": body})

    return app


def make_wsgi_app(registry: CollectorRegistry | None = None) -> Callable[..., Iterable[bytes]]:
    """Return a WSGI app that answers with the metrics; see :func:`make_asgi_app`."""
    app: Callable[..., Iterable[bytes]] = make_client_wsgi_app(_registry_to_show(registry))
    return app


def start_http_server(
    port: int = PORT, addr: str = "127.0.0.1", registry: CollectorRegistry | None = None
) -> tuple[WSGIServer, threading.Thread]:
    """Serve the metrics over HTTP, from a thread of this process.

    Of several workers only one can have the port: mount :func:`make_asgi_app` there, or run
    ``toolops serve-metrics`` beside them.

    Args:
        port: The port. 0: any free one, which is ``server.server_port``. Default 9464.
        addr: The address to listen at. Default 127.0.0.1: this host alone.
        registry: As for :func:`make_asgi_app`.

    Returns:
        The server and its thread: ``server.shutdown(); server.server_close(); thread.join()``.

    Raises:
        OSError: The address cannot be listened at.
    """
    return serve_registry(_registry_to_show(registry), port, addr)


def serve_registry(
    registry: CollectorRegistry, port: int, addr: str
) -> tuple[WSGIServer, threading.Thread]:
    """Serve what a registry holds; see :func:`start_http_server`."""
    server, thread = start_client_server(port, addr, registry)
    return server, thread


def child_exit(_server: object, worker: Any) -> None:
    """Forget the states of a gunicorn worker that has ended; import it into gunicorn.conf.py.

    Its counts stay, so that sums never fall.
    """
    _FILES.mark_process_dead(worker.pid)


def remove_dead_workers(folder: str | None = None) -> None:
    """Forget the states of all processes of this host that have ended.

    Only where all that write to the folder share this process's view of process numbers: not from
    another container.

    Args:
        folder: The folder. Default: PROMETHEUS_MULTIPROC_DIR.
    """
    place = Path(folder or os.environ["PROMETHEUS_MULTIPROC_DIR"])
    for file in place.iterdir():
        match = _LIVE_FILE.fullmatch(file.name)
        if match and not _is_alive(int(match[1])):
            with suppress(FileNotFoundError):  # another worker, which is scraped too, was faster
                _FILES.mark_process_dead(int(match[1]), str(place))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def folder_registry(folder: str, *, remove_dead: bool = False) -> CollectorRegistry:
    """Return a registry that shows what all processes have written to a folder.

    Args:
        folder: The folder.
        remove_dead: Whether to forget the states of processes that have ended before each scrape.

    Raises:
        ConfigurationError: It is no folder.
    """
    if not Path(folder).is_dir():
        raise ConfigurationError(
            "PROMETHEUS_MULTIPROC_DIR", f"must name a folder that exists, not {folder!r}"
        )
    # Of its own: one that also holds the metrics of this process would show them twice.
    return ViewRegistry(_Folder(folder, remove_dead=remove_dead))


class _Folder(Collector):
    """Collects the metrics in a folder."""

    def __init__(self, folder: str, *, remove_dead: bool) -> None:
        self._folder = folder
        self._remove_dead = remove_dead

    def collect(self) -> Iterable[Any]:
        if self._remove_dead:
            remove_dead_workers(self._folder)
        # The client fails on a file that a worker has just opened and not yet written to.
        files = [str(file) for file in Path(self._folder).glob("*.db") if _has_content(file)]
        metrics: Iterable[Any] = _FILES.MultiProcessCollector.merge(files)
        return metrics


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:  # it was removed just now
        return False


def _registry_to_show(registry: CollectorRegistry | None) -> CollectorRegistry:
    if is_multiprocess():
        return folder_registry(os.environ.get("PROMETHEUS_MULTIPROC_DIR", ""), remove_dead=True)
    return REGISTRY if registry is None else registry


def _encode(
    registry: Any, accept: str, accept_encoding: str, names: list[str] | None
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers and the body of an answer."""
    encode, content_type = choose_encoder(accept)
    body = encode(registry.restricted_registry(names) if names else registry)
    headers = [(b"content-type", content_type.encode())]
    if gzip_accepted(accept_encoding):
        body = gzip.compress(body)
        headers.append((b"content-encoding", b"gzip"))
    return headers, body


async def _run_in_thread(function: Callable[..., Any], *args: Any) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # a server on another kind of event loop
        return function(*args)
    return await asyncio.to_thread(function, *args)
