"""One run for many callers: across threads, event loops and processes."""
