"""Threads, tasks, context variables, and locks that work in a forked child."""
