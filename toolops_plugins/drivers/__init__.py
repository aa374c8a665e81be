"""The two drivers of the path of a call: a thread and an event loop."""
