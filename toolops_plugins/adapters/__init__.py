"""The logic that the adapters of all frameworks share; no public interface.

An adapter translates between its framework and the runtime. What two of them would write in the
same words stands here, once; so each package knows its own framework and this room, and no other.
"""
