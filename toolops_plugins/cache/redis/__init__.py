"""The Redis tier."""

from toolops_plugins.cache.redis.tier import Redis

__all__ = ["Redis"]
