"""The path of a call in threads, generated from ``calls.aio``."""

# Generated from ../aio by scripts/make_sync.py; edit that, then run `make sync`.
