"""The two drivers that run flows: in the calling thread, and on an event loop."""
