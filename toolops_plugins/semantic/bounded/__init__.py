"""The bounded policy: near questions served within a bound on wrong answers."""

from toolops_plugins.semantic.bounded.learner import Bounded

__all__ = ["Bounded"]
