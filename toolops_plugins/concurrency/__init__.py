"""Threads, tasks, context variables and locks that survive a fork."""
