"""Types of the standard library, told by name, without the import of their modules.

A value of such a type exists only where its module has been imported, by whoever made the value. To
import all of these modules takes a tenth of the time of importing this package, and most programs
need none.
"""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["PATHS", "derives_from", "standard_name"]

PATHS: Final = frozenset(
    ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
)
"""Names of the classes of paths."""
_MODULES: Final = {
    "Decimal": "decimal",
    "Fraction": "fractions",
    "UUID": "uuid",
    "ZoneInfo": "zoneinfo",
    **dict.fromkeys(PATHS, "pathlib"),
}
_name_of = type.__dict__["__name__"].__get__  # a metaclass may have a __name__ of its own


def standard_name(kind: type) -> str:
    """Return the name of exactly this type if it is one of this module's, else ""."""
    name: str = _name_of(kind)
    module = _MODULES.get(name)
    if module is not None and getattr(sys.modules.get(module), name, None) is kind:
        return name
    return ""


def derives_from(kind: type, name: str) -> bool:
    """Return whether a type is, or derives from, the type of this name."""
    base = getattr(sys.modules.get(_MODULES[name]), name, None)
    return base is not None and issubclass(kind, base)
