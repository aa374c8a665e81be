"""The cache: entries, the tiers that store them, and the lookup through all tiers."""
