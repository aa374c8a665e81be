"""Guards: vetoes on pairs of texts, whatever their embeddings say."""

from __future__ import annotations

from toolops_plugins.semantic.guards.builtin import Veto
from toolops_plugins.semantic.guards.guards import GUARDS, Guard, Guards, prepare
from toolops_plugins.semantic.guards.traits import Traits

__all__ = ["GUARDS", "Guard", "Guards", "Traits", "Veto", "prepare"]
