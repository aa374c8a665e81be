"""``with`` and ``async with`` for classes that can be closed."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

__all__ = ["Closing", "SyncClosing"]


class _SyncClosable(Protocol):
    def close(self) -> None: ...


class _Closable(_SyncClosable, Protocol):
    async def aclose(self) -> None: ...


class SyncClosing:
    """Mixin that closes the object at the end of a ``with`` block.

    For classes with ``close()``, which say whether threads may share the object.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self: _SyncClosable,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Closing(SyncClosing):
    """Mixin that closes the object at the end of a ``with`` or ``async with`` block.

    For classes with ``close()`` and ``aclose()``, which say whether threads and loops may share
    the object.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self: _Closable,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
