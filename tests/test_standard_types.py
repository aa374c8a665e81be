"""Types of the standard library that are told by name."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from toolops_plugins.standard_types import derives_from, standard_name

PATHS = (Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath)


@pytest.mark.parametrize("kind", [Decimal, Fraction, UUID, ZoneInfo, *PATHS])
def test_a_type_is_known_by_its_name(kind):
    assert standard_name(kind) == kind.__name__
    assert derives_from(kind, kind.__name__)
    own = type(kind.__name__, (), {"__module__": kind.__module__})
    assert not standard_name(own)
    assert not derives_from(own, kind.__name__)


def test_subclasses_and_other_types_are_not_told():
    class Meta(type):
        @property
        def __name__(cls):
            raise RuntimeError

    class Folder(type(Path())):
        pass

    assert [standard_name(kind) for kind in (Folder, str, Meta("Decimal", (), {}))] == ["", "", ""]
    assert derives_from(Folder, "PurePath")
