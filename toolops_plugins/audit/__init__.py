"""The audit: replay a log of calls and report what caching would have saved."""
