"""Fixtures of the tests of the `toolops` command."""

from chroma_servers import chroma_server

__all__ = ["chroma_server"]
