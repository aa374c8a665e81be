"""A lock around large products of matrices, for which a fork waits.

Before a fork OpenBLAS stops its threads (``blas_thread_shutdown``, by ``pthread_atfork``). What
another thread is computing on them then never ends, nor sometimes the fork itself: seen with
OpenBLAS 0.3.31 for ``inv`` of 256 x 256 and a product of 20,000 x 256 on two cores. So whoever
computes what OpenBLAS may divide among threads holds this lock, and a fork waits until it is free.
"""

from __future__ import annotations

import os
import threading
from typing import Final

__all__ = ["BLAS_LOCK"]

BLAS_LOCK: Final = threading.RLock()
"""Hold it for computations of milliseconds only, and take no other lock meanwhile."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=BLAS_LOCK.acquire,
        after_in_parent=BLAS_LOCK.release,
        after_in_child=BLAS_LOCK.release,
    )
