"""One resilience and caching core for AI agents."""
