"""Queries to a Chroma server, with a timeout.

Chroma's own clients have no timeout, and the asynchronous one stores the connections of all
instances and loops in one dictionary by the address of the loop. So queries are sent by httpx,
which Chroma itself uses, to the documented interface of the server (``/api/v2``). Everything else
uses Chroma's client.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from toolops_plugins.errors import ConfigurationError

__all__ = ["MissingError", "Queries", "Server"]

_CONNECT = 1.0  # seconds for a connection
_PATIENCE = 1.0  # seconds that close() waits for the loop of another thread
_LOOPS = 16  # event loops that keep connections


class MissingError(Exception):
    """The server has no such collection."""


class Server:
    """The address of a Chroma server.

    Args:
        url: ``http`` or ``https``, host, port (default 8000, with https 443) and optionally a path
            for a proxy. Tenant and database other than Chroma's defaults are given as in
            ``?tenant=acme&database=shop``.

    Raises:
        ConfigurationError: The URL is not of this form.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except (AttributeError, TypeError, ValueError):
            # Without details: the parser may take a part of a password for the port.
            raise ConfigurationError(
                "url", "is not a URL: must be like 'http://localhost:8000'"
            ) from None
        if parts.username or parts.password:
            raise ConfigurationError(
                "url",
                "must not carry credentials: give a chromadb.HttpClient with headers as `client`",
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("url", f"must be like 'http://localhost:8000', not {url!r}")
        options = parse_qs(parts.query)
        if unknown := options.keys() - {"tenant", "database"}:
            raise ConfigurationError("url", f"has an unknown option: {min(unknown)!r}")
        self.tenant = options.get("tenant", ["default_tenant"])[0]
        self.database = options.get("database", ["default_database"])[0]
        self.port = port or (443 if parts.scheme == "https" else 8000)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.base = urlunsplit(
            (parts.scheme, f"{host}:{self.port}", parts.path.rstrip("/"), "", "")
        )
        """The URL up to Chroma's own paths."""
        self.tls = parts.scheme == "https"

    def __str__(self) -> str:
        return self.base

    @property
    def root(self) -> str:
        """The URL up to ``/api``."""
        return self.base.removesuffix("/api/v2")

    def place(self, collection: str) -> str:
        """Return the URL of a collection, by name or id."""
        tenant, database = quote(self.tenant, safe=""), quote(self.database, safe="")
        return f"{self.root}/api/v2/tenants/{tenant}/databases/{database}/collections/{collection}"


class _Seat:
    """The connections of an event loop; all methods except :meth:`retire` run on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        import httpx  # noqa: PLC0415 - comes with chromadb

        self.loop = loop
        self.client = httpx.AsyncClient()
        self.released: Future[None] = Future()
        self._guard = self._release_with_loop()

    async def open(self) -> None:
        """Close the connections when the loop shuts down its asynchronous generators."""
        await self._guard.asend(None)

    def retire(self) -> None:
        """Close the connections; from any thread."""
        with suppress(RuntimeError):  # the loop is closed, and so are they
            self.loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        self._task = self.loop.create_task(self.shut())

    async def shut(self) -> None:
        """Close the connections."""
        with suppress(RuntimeError):  # the loop is shutting down and closes them
            await self._guard.aclose()

    async def _release_with_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            with suppress(Exception):  # a broken connection is closed already
                await self.client.aclose()
            if not self.released.done():
                self.released.set_result(None)


class Queries:
    """A sender of queries. Safe for any threads and event loops; each loop has own connections.

    Args:
        server: The server.
        timeout: Seconds for a query and its answer.
    """

    def __init__(self, server: Server, timeout: float) -> None:
        self._server = server
        self.timeout = timeout
        self.forget()

    def forget(self) -> None:
        """Drop all connections without closing them, in a forked child."""
        self._lock = threading.Lock()
        self._client: Any = None
        self._seats: dict[asyncio.AbstractEventLoop, _Seat] = {}

    def send(self, collection: str, question: dict[str, Any]) -> dict[str, Any]:
        """Return the server's answer.

        Args:
            collection: The collection's id.
            question: The body of the request.

        Raises:
            MissingError: There is no such collection.
            httpx.HTTPError: The server could not be reached in time, or refused.
        """
        import httpx  # noqa: PLC0415 - comes with chromadb

        with self._lock:
            if self._client is None:
                self._client = httpx.Client()
            client = self._client
        place = f"{self._server.place(collection)}/query"
        return _read(client.post(place, **_body(question), timeout=self._limits()))

    def beat(self) -> None:
        """Check that the server answers; raises like :meth:`send`."""
        import httpx  # noqa: PLC0415 - comes with chromadb

        # Loading certificates takes longer than the answer, and only TLS needs them.
        with httpx.Client(verify=self._server.tls) as client:
            client.get(f"{self._server.root}/api/v2/heartbeat", timeout=self._limits())

    def _limits(self) -> Any:
        """Return the timeouts of each step of a request."""
        import httpx  # noqa: PLC0415 - comes with chromadb

        return httpx.Timeout(self.timeout, connect=min(_CONNECT, self.timeout))

    async def asend(self, collection: str, question: dict[str, Any]) -> dict[str, Any]:
        """Like :meth:`send`."""
        seat = await self._seat()
        # httpx bounds each step of a request, but not their sum.
        async with asyncio.timeout(self.timeout):
            place = f"{self._server.place(collection)}/query"
            return _read(await seat.client.post(place, **_body(question), timeout=self._limits()))

    async def afind(self, name: str) -> tuple[str, Any]:
        """Return the id and the metadata of a collection; raises like :meth:`send`."""
        seat = await self._seat()
        async with asyncio.timeout(self.timeout):
            found = _read(await seat.client.get(self._server.place(name), timeout=self._limits()))
        return str(found["id"]), found.get("metadata")

    async def _seat(self) -> _Seat:
        loop = asyncio.get_running_loop()
        seat = self._seats.get(loop)
        if seat is not None and not seat.client.is_closed:
            return seat
        seat = _Seat(loop)
        with self._lock:
            for other in [other for other in self._seats if other.is_closed()]:
                del self._seats[other]
            while len(self._seats) >= _LOOPS:
                self._seats.pop(next(iter(self._seats))).retire()
            self._seats[loop] = seat
        await seat.open()
        return seat

    def close(self) -> None:
        """Close all connections, waiting up to a second for loops in other threads."""
        wait(self._clear(_current_loop()), timeout=_PATIENCE)

    async def aclose(self) -> None:
        """Like :meth:`close`, and wait for the connections of this loop."""
        own = self._seats.get(asyncio.get_running_loop())
        busy = [asyncio.wrap_future(each) for each in self._clear(own.loop if own else None)]
        if own is not None:
            await own.shut()
        if busy:
            await asyncio.wait(busy, timeout=_PATIENCE)

    def _clear(self, here: asyncio.AbstractEventLoop | None) -> list[Future[None]]:
        with self._lock:
            client, self._client = self._client, None
            seats, self._seats = list(self._seats.values()), {}
        if client is not None:
            client.close()
        for seat in seats:
            seat.retire()
        return [seat.released for seat in seats if seat.loop is not here and seat.loop.is_running()]


def _body(question: dict[str, Any]) -> dict[str, Any]:
    import orjson  # noqa: PLC0415 - comes with chromadb

    content = orjson.dumps(question, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = {"Content-Type": "application/json"}
    return {"content": content, "headers": headers}


def _read(response: Any) -> dict[str, Any]:
    import orjson  # noqa: PLC0415 - comes with chromadb

    if response.status_code == 404:
        raise MissingError(response.text)
    response.raise_for_status()
    found: dict[str, Any] = orjson.loads(response.content)
    return found


def _current_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
