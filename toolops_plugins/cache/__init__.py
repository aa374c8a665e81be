"""Cached results: the entry, the tiers that keep it, and the ordered walk through them."""
