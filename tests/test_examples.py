"""Every example in the docstrings, the Markdown files and `examples/` runs as it stands.

An example that cannot run here says so and why: `<!-- skip: next "needs a provider's key" -->`.
"""

from __future__ import annotations

import importlib
import re
import runpy
from contextlib import suppress
from pathlib import Path
from unittest import SkipTest

import pytest
from availability import can_run
from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.example import NotEvaluated
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

ROOT = Path(__file__).resolve().parents[1]


class ModuleDocument(PythonDocStringDocument):
    """A module under its full name; Sybil's own takes a namespace package for no package."""

    def import_document(self, example):
        path = Path(self.path)
        project = next(each for each in path.parents if (each / "pyproject.toml").exists())
        name = ".".join(path.relative_to(project).with_suffix("").parts)
        module = importlib.import_module(name.removesuffix(".__init__"))
        self.namespace.update(vars(module))
        self.pop_evaluator(self.import_document)
        raise NotEvaluated


STAYING = pytest.mark.allow_leaks("the threads of CrewAI's event bus stay")
MARKDOWN = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()])
DOCSTRINGS = Sybil(parsers=[DocTestParser()], document_types={".py": ModuleDocument})
PAGES = [
    path
    for pattern in ("*.md", "deploy/*.md", "docs/**/*.md", "integrations/*/*.md")
    for path in ROOT.glob(pattern)
]
MODULES = [*ROOT.glob("toolops_plugins/**/*.py"), *ROOT.glob("integrations/*/*/**/*.py")]


def documents():
    for sybil, paths in ((MARKDOWN, PAGES), (DOCSTRINGS, MODULES)):
        for path in filter(can_run, sorted(paths)):
            document = sybil.parse(path)
            if list(document.examples()):
                marks = [STAYING] if "crewai" in str(path.relative_to(ROOT)) else []
                yield pytest.param(document, id=str(path.relative_to(ROOT)), marks=marks)


pytestmark = [
    # LlamaIndex's workflows look at all attributes of an agent, deprecated ones of pydantic too.
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning"),
    # Python's own import system, about how the package crewai.rag arranges its modules.
    pytest.mark.filterwarnings("ignore:Cannot set an attribute on 'crewai:ImportWarning"),
    # Agents and crews of CrewAI read their own deprecated fields.
    pytest.mark.filterwarnings(r"ignore:.*deprecated:DeprecationWarning:crewai\..*"),
]


@pytest.mark.parametrize("document", list(documents()))
def test_examples_run(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for example in document.examples():
        with suppress(SkipTest):  # this one only, for the reason that stands beside it
            example.evaluate()


PROGRAMS = [
    pytest.param(path, id=path.stem, marks=[STAYING] if "crewai" in path.stem else [])
    for path in filter(can_run, sorted(ROOT.glob("examples/*_*.py")))
]


# In this process, whose other tests import the frameworks anyway.
@pytest.mark.parametrize("path", PROGRAMS)
def test_a_program_runs_and_asks_once(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path))
    monkeypatch.setenv("CREWAI_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("CREWAI_TRACING_ENABLED", "false")
    monkeypatch.setenv("CREWAI_TESTING", "true")
    assert 20 <= len(path.read_text(encoding="utf-8").splitlines()) <= 60
    runpy.run_path(str(path), run_name="__main__")
    printed = capsys.readouterr().out
    assert printed.count("It is on its way: order 4711 is in Leipzig.") == 2
    model, tool, total = re.findall(r"^(\S.*?)  +\d+ +50\.0% ", printed, re.MULTILINE)
    assert (tool, total) == ("find_order", "total"), model


def test_the_readme_has_examples(root):
    assert list(MARKDOWN.parse(root / "README.md").examples())
