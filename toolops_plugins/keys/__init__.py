"""Keys: the identity of a call, as a digest of its function and arguments."""
