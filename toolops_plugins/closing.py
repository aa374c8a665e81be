"""``with`` and ``async with`` for what can be closed."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

__all__ = ["Closing"]


class _Closable(Protocol):
    def close(self) -> None: ...

    async def aclose(self) -> None: ...


class Closing:
    """Closes at the end of a ``with`` or ``async with`` block, with or without an error.

    For classes that have ``close()`` and ``aclose()``, which decide about threads and loops.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self: _Closable,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self: _Closable,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
