"""The bounded policy, in rooms of its own."""

from toolops_plugins.semantic.bounded.learner import Bounded

__all__ = ["Bounded"]
