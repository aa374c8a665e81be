"""Notices of adapters about calls that go past the cache."""

from __future__ import annotations

from toolops_plugins.runtime import ToolOps

__all__ = ["warn_of_untold_end"]


def warn_of_untold_end(ops: ToolOps, name: str) -> None:
    """Tell, once for each name, that a stream is not kept, since it may have been cut.

    Args:
        ops: The runtime.
        name: The name under which the stream is counted.
    """
    emitter = ops._emitter  # noqa: SLF001 - of this package
    emitter.warn(name, "end_untold", started=ops.clock.time(), namespace=ops.namespace)
