"""Placeholder while the real thing is written by the codec helper: only the name Payload counts."""
