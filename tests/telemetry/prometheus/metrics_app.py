"""An app of several workers with one tool, as WSGI and as ASGI; tests start it."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs

from toolops_plugins import Cache, CircuitBreaker, ToolOps
from toolops_plugins.telemetry.prometheus import (
    PrometheusSink,
    gauges,
    make_asgi_app,
    make_wsgi_app,
)

gauges._PERIOD = 0.05  # seconds, so that no test waits long
ops = ToolOps("shop", sinks=[PrometheusSink()])


@ops.tool(name="quote", cache=Cache(ttl=600), breaker=CircuitBreaker(window=4), price=0.25)
def quote(symbol: str) -> str:
    if symbol == "bad":
        raise ConnectionError
    return symbol


def answer(query: str) -> bytes:
    """Call the tool with the query's symbol, if it has one; return the worker's number."""
    for symbol in parse_qs(query).get("symbol", []):
        try:
            quote(symbol)
        except Exception:
            return b"error"
    return str(os.getpid()).encode()


_wsgi_metrics = make_wsgi_app()
_asgi_metrics = make_asgi_app()


def wsgi(environ: dict[str, Any], start_response: Any) -> Any:
    if environ["PATH_INFO"] == "/metrics":
        return _wsgi_metrics(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer(environ["QUERY_STRING"])]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] == "/metrics":
        await _asgi_metrics(scope, receive, send)
        return
    body = answer(scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
