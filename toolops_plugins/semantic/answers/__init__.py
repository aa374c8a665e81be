"""The agreement of two answers in free text."""
