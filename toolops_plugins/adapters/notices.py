"""Notices of adapters about calls that go past the cache."""

from __future__ import annotations

from toolops_plugins.runtime import ToolOps

__all__ = ["warn_of_changed_request", "warn_of_local_value", "warn_of_untold_end"]


def warn_of_untold_end(ops: ToolOps, name: str) -> None:
    """Tell, once for each name, that a stream is not kept, since it may have been cut.

    Args:
        ops: The runtime.
        name: The name under which the stream is counted.
    """
    _warn(ops, name, "end_untold")


def warn_of_changed_request(ops: ToolOps, name: str) -> None:
    """Tell, once for each name, that what others have changed on the way is not kept.

    Args:
        ops: The runtime.
        name: The name of the model or tool.
    """
    _warn(ops, name, "request_changed")


def warn_of_local_value(ops: ToolOps, name: str, place: str) -> None:
    """Tell, once for each name, that answers are shared within this process only.

    Args:
        ops: The runtime.
        name: The name under which the model's calls are counted.
        place: The class and the field that hold the value.
    """
    _warn(ops, name, "process_local", place)


def _warn(ops: ToolOps, name: str, reason: str, error: str = "") -> None:
    emitter = ops._emitter  # noqa: SLF001 - of this package
    emitter.warn(name, reason, started=ops.clock.time(), namespace=ops.namespace, error=error)
