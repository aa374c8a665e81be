"""Facts about the function that a user wraps: its name, definition and kind."""
