"""Fixtures of the tests of the semantic cache."""

from chroma_servers import chroma_server, collection, own_server, restartable_server

__all__ = ["chroma_server", "collection", "own_server", "restartable_server"]
