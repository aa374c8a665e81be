"""Embeddings of questions: models, batches and the cache in front of them."""

from toolops_plugins.semantic.embedding.models import MiniLM, WordLlama

__all__ = ["MiniLM", "WordLlama"]
