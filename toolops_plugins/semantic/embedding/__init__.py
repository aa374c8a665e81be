"""Embeddings of questions: adapters, models, batches and a cache."""

from toolops_plugins.semantic.embedding.models import MiniLM, WordLlama

__all__ = ["MiniLM", "WordLlama"]
