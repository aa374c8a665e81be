"""What tests of the semantic cache share."""

from chroma_servers import chroma_server, collection

__all__ = ["chroma_server", "collection"]
