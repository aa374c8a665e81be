"""Questions that several tests ask."""

from __future__ import annotations

TEN_WAYS = [
    "What is the capital of France?",
    "what's the capital of France",
    "Tell me the capital of France, please.",
    "Hi, what is the capital of France?",
    "capital of France",
    "What is the capital city of France?",
    "Could you tell me what the capital of France is?",
    "Which city is the capital of France?",
    "waht is the captial of France",
    "I was wondering what the capital of France is. Thanks!",
]
