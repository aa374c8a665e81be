"""The parts of the core that adapters use beside its public names."""

from __future__ import annotations

from toolops_plugins.callables.target import resolve
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.keys.signature import is_secret_name, signature_of

__all__ = ["fork_safe", "is_secret_name", "resolve", "signature_of"]
