"""Events of every call, their statistics, and the sinks that receive them."""
