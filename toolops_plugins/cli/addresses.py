"""Addresses that commands listen at."""

from __future__ import annotations

import ipaddress

__all__ = ["http_address", "is_loopback"]


def http_address(host: str, port: int) -> str:
    """Return the URL of a server, with the brackets that an IPv6 address needs."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
