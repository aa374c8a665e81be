"""The index of questions: in memory, and in Chroma."""
