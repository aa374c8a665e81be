"""The built distributions hold all that the installed package reads."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import orjson
import pytest


@pytest.fixture(scope="module")
def distributions(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def fresh_python(distributions, tmp_path_factory):
    """The interpreter of a new environment into which the wheel is installed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (wheel,) = distributions.glob("*.whl")
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-compile", str(wheel)], check=True)
    return python


def test_the_guards_of_an_installed_wheel_know_their_words(fresh_python, tmp_path):
    program = """
from toolops_plugins.semantic import guards
built_in = guards.Guards()
print(guards.__file__)
print(built_in.veto("How do I enable alerts?", "How do I disable alerts?").reason)
print(built_in.veto("whats the pirce of a ticket", "How much does a ticket cost?"))
"""
    # The dependencies of the package; editable installations beside them are not seen from here.
    dependencies = str(Path(orjson.__file__).parents[1])
    run = subprocess.run(
        [fresh_python, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": dependencies},
        capture_output=True,
        text=True,
        check=True,
    )
    place, opposite, same = run.stdout.splitlines()
    assert Path(place).is_relative_to(fresh_python.parents[1])
    assert opposite == '"enable" is the opposite of "disable"'
    assert same == "None"


def test_the_wheel_holds_the_files_of_the_widget(distributions):
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        folder = "toolops_plugins/telemetry/live"
        assert {f"{folder}/widget.js", f"{folder}/widget.css"} <= set(opened.namelist())


@pytest.mark.parametrize("lists", ["english/*", "languages/*.toml"])
def test_both_distributions_hold_every_word_list(distributions, root, lists):
    folder = root / "toolops_plugins" / "semantic" / "guards"
    expected = {str(path.relative_to(root)) for path in folder.glob(lists) if path.is_file()}
    assert expected
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        assert expected <= {name.partition("/")[2] for name in opened.getnames()}
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        assert expected <= set(opened.namelist())
