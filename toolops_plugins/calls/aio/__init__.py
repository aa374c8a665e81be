"""The path of a call as coroutine functions, from which ``calls.sync`` is generated.

Edit the modules of this package only, then run ``make sync``. ``make lint`` compares both.
"""
