"""Fixtures of the tests of the semantic cache."""

from chroma_servers import chroma_server, collection

__all__ = ["chroma_server", "collection"]
