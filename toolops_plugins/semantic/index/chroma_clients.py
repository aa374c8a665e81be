"""Helpers for Chroma's clients: the folder of one, its close, and its errors."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import Any

from toolops_plugins.errors import ConfigurationError
from toolops_plugins.semantic.index.chroma_server import MissingError

__all__ = ["close_clients", "folder_of_client", "is_absent"]


def close_clients(client: Any, given: Any, sessions: list[Any]) -> None:
    """Close connections to a server, but not the user's client."""
    if client is not None and client is not given:
        client.close()
    for session in sessions:
        session.close()


def folder_of_client(client: Any) -> tuple[str | None, bool]:
    """Return the folder of the user's client, if it has one, and whether it is shared."""
    try:
        settings = client.get_settings()
        implementation = str(settings.chroma_api_impl)
    except AttributeError as error:
        raise ConfigurationError("client", f"is no client of chromadb: {client!r}") from error
    if iscoroutinefunction(getattr(client, "heartbeat", None)):
        raise ConfigurationError(
            "client", "is asynchronous; give a chromadb.HttpClient, or the URL as `url`"
        )
    if implementation.rpartition(".")[2] not in ("RustBindingsAPI", "SegmentAPI"):
        return None, True
    return (settings.persist_directory if settings.is_persistent else None), False


def is_absent(error: BaseException | None) -> bool:
    """Return whether an error says that a collection does not exist."""
    # By name: an import of chromadb takes a second.
    return isinstance(error, MissingError) or type(error).__name__ == "NotFoundError"
