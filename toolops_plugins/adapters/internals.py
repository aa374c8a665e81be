"""The parts of the core that adapters use beside its public names."""

from __future__ import annotations

from toolops_plugins import check
from toolops_plugins.callables.definitions import (
    class_name,
    code_digest,
    is_importable,
    uses_digest,
)
from toolops_plugins.callables.digests import short_digest
from toolops_plugins.callables.target import resolve
from toolops_plugins.calls.context import REFRESH
from toolops_plugins.concurrency.fork_locks import fork_safe
from toolops_plugins.keys.canonical import Canon
from toolops_plugins.keys.identity_tokens import IDENTITIES
from toolops_plugins.keys.signature import is_secret_name, signature_of
from toolops_plugins.policy.faults import callee_failed
from toolops_plugins.telemetry.events import Outcome

__all__ = [
    "IDENTITIES",
    "REFRESH",
    "Canon",
    "Outcome",
    "callee_failed",
    "check",
    "class_name",
    "code_digest",
    "fork_safe",
    "is_importable",
    "is_secret_name",
    "resolve",
    "short_digest",
    "signature_of",
    "uses_digest",
]
