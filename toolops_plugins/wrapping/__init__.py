"""Wrapped functions: decorators, the planning of a policy, and the wrapper itself."""
