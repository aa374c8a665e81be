"""A slow, flaky, priced HTTP service on this machine, for the demo and for trying things by hand.

Every answer takes its time and is charged for. Some calls fail with 503 and Retry-After, on some
the connection is reset, and a few hang for seconds. What happens to the n-th call with a question
is drawn from the seed, the question and n, so that it does not depend on who else is calling.

    python examples/service.py --port 8000
    curl 'http://127.0.0.1:8000/answer?q=why'
    curl 'http://127.0.0.1:8000/bill'
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PRICE = 0.002  # money for each call that is worked on, as providers charge: also where it is late
RETRY_AFTER = 1  # seconds; the header knows whole ones only


@dataclass(frozen=True)
class Manners:
    """How the service behaves.

    Args:
        seed: Makes it repeatable.
        pace: Factor on every duration; 0 makes it answer at once.
        busy: Share of calls that are refused with 503.
        reset: Share of calls whose connection is reset, after the work was done and charged.
        hang: Share of calls that take eight seconds longer.
    """

    seed: int = 1
    pace: float = 1.0
    busy: float = 0.05
    reset: float = 0.03
    hang: float = 0.01


@dataclass
class Bill:
    """What the service has counted. All access is under ``lock``."""

    calls: int = 0
    money: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Handler(BaseHTTPRequestHandler):
    """Answers GET /answer?q=... and GET /bill; POST /bill?pay begins a new bill."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Service

    def do_GET(self) -> None:
        """Answer a question, or tell the bill."""
        url = urlsplit(self.path)
        if url.path == "/bill":
            with self.server.bill.lock:
                bill = {"calls": self.server.bill.calls, "money": self.server.bill.money}
            self._send(200, bill)
        elif url.path == "/answer":
            self._answer(parse_qs(url.query).get("q", [""])[0])
        else:
            self._send(404, {"error": "GET /answer?q=... or /bill"})

    def do_POST(self) -> None:
        """Begin a new bill: what was asked before is forgotten, and counted again from one."""
        self.server.bill = Bill()
        self._send(200, {})

    def _answer(self, question: str) -> None:
        manners, bill = self.server.manners, self.server.bill
        with bill.lock:
            bill.calls += 1
            bill.asked[question] += 1
            count = bill.asked[question]
        fate = random.Random(  # noqa: S311 - repeatable is the point
            hashlib.sha256(f"{manners.seed}:{count}:{question}".encode()).digest()
        )
        draw = fate.random()
        if draw < manners.busy:
            time.sleep(0.02 * manners.pace)
            wait = str(RETRY_AFTER if manners.pace else 0)
            self._send(503, {"error": "busy"}, {"Retry-After": wait})
            return
        seconds = fate.lognormvariate(-0.9, 0.4)  # median 0.4 s, 95% within 0.8 s
        seconds += 8.0 * (fate.random() < manners.hang)
        with bill.lock:
            bill.money += PRICE
        time.sleep(seconds * manners.pace)
        if draw < manners.busy + manners.reset:
            # Lingering for no time makes closing send a reset.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.rfile.close()  # it holds the socket open
            self.connection.close()
            self.close_connection = True
            return
        digest = hashlib.sha256(question.encode()).hexdigest()[:8]
        self._send(200, {"question": question, "answer": f"answer {digest}"})

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


class Service(ThreadingHTTPServer):
    """The server; it listens on 127.0.0.1 only.

    Args:
        manners: How it behaves.
        port: Where. Default 0: any free port.
    """

    request_queue_size = 256
    daemon_threads = True

    def __init__(self, manners: Manners, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.manners = manners
        self.bill = Bill()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that hung up: those that ran out of patience do."""
        if not isinstance(sys.exception(), OSError | ValueError):
            super().handle_error(request, client_address)


def _stop_with_input(service: Service) -> None:
    sys.stdin.read()
    service.shutdown()


def main() -> None:
    """Serve until the end of standard input or Ctrl-C, and say where on standard output."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=8000, help="0 takes any free port")
    parser.add_argument("--seed", type=int, default=Manners.seed)
    parser.add_argument("--pace", type=float, default=Manners.pace, help="factor on durations")
    parser.add_argument("--child", action="store_true", help="end when standard input does")
    given = parser.parse_args()
    service = Service(Manners(seed=given.seed, pace=given.pace), given.port)
    if given.child:
        # Whoever started this may be gone at any time, and then nobody else would end it.
        threading.Thread(target=_stop_with_input, args=(service,), daemon=True).start()
    print(service.url, flush=True)
    try:
        service.serve_forever(0.05)
    except KeyboardInterrupt:
        pass
    finally:
        service.server_close()


if __name__ == "__main__":
    main()
