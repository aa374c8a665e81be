"""The files of a checkout: no registry, no path of one machine, reasons, pins and pages."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

# Where a package came from differs from machine to machine, so no file records it.
REGISTRY = re.compile(
    r"""pypi\.org|pythonhosted\.org|--(?:extra-)?index-url|--find[-]links|registry\s*=\s*["']http"""
    r"""|/simple(?=["'/\s])|"resolved":\s*"http|/packages/[0-9a-f]{2}/[0-9a-f]{2}/"""
)
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|Users|root|work)/\w|\.pyenv[/]versions")
LOCKS = re.compile(
    r".*\.lock|Pipfile\.lock|package-lock\.json|pnpm-lock\.yaml|bun\.lockb|pylock\..*"
)
NOQA = re.compile(r"noqa\b(?!: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)* - \w)")
TYPE_IGNORE = re.compile(r"type: ignore\b(?!\[[a-z-]+(?:, [a-z-]+)*\]\s+# \w)")


@pytest.fixture(scope="module")
def files(root: Path) -> list[Path]:
    """Every file that is tracked, or would be by `git add .`."""
    # The clone may belong to another user, as in a container, and HOME holds no settings here.
    git = ["git", "-c", f"safe.directory={root}", "ls-files", "-z"]
    run = subprocess.run(
        [*git, "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in set(run.stdout.split("\0")) if (path := root / name).is_file()]


def lines(paths: list[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        text = path.read_bytes().decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            yield f"{path.name}:{number}: {line.strip()[:120]}", line


def test_no_file_records_a_registry(files):
    assert not [place for place, line in lines(files) if REGISTRY.search(line)]


def test_no_file_records_a_path_of_one_machine(files):
    assert not [place for place, line in lines(files) if MACHINE_PATH.search(line)]


def test_there_is_no_lock_file(files):
    assert not [path.name for path in files if LOCKS.fullmatch(path.name)]


def test_every_package_is_pinned_by_name_and_version_alone(root):
    pins = (root / "constraints.txt").read_text().splitlines()
    wrong = [pin for pin in pins if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[\w.!+]+", pin)]
    assert not wrong
    assert len(pins) > 20


def comments(paths: list[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        if path.suffix == ".py":
            for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
                if token.type == tokenize.COMMENT:
                    yield f"{path.name}:{token.start[0]}: {token.string}", token.string


def is_unexplained(comment: str) -> bool:
    return bool(NOQA.search(comment) or TYPE_IGNORE.search(comment))


def test_every_suppression_says_why(files):
    assert not [place for place, comment in comments(files) if is_unexplained(comment)]


@pytest.mark.parametrize(
    ("comment", "explained"),
    [
        ("# noqa", False),
        ("# noqa: BLE001", False),
        ("# noqa: BLE001 - a sink may raise anything", True),
        ("# noqa: S301, S403 - for a test", True),
        ("# type: ignore", False),
        ("# type: ignore[misc]", False),
        ("# type: ignore[misc]  # the stub is wrong", True),
    ],
)
def test_what_counts_as_saying_why(comment, explained):
    assert is_unexplained(comment) is not explained


def requirements(project: dict) -> Iterator[str]:
    yield from project["build-system"]["requires"]
    yield from project["project"].get("dependencies", [])
    for group in (
        *project["project"].get("optional-dependencies", {}).values(),
        *project.get("dependency-groups", {}).values(),
    ):
        yield from (each for each in group if isinstance(each, str))


def test_every_distribution_names_the_same_addresses(root):
    core = tomllib.loads((root / "pyproject.toml").read_text())["project"]["urls"]
    assert set(core) == {"Source", "Documentation", "Changelog", "Issues"}
    for path in root.glob("integrations/*/pyproject.toml"):
        urls = tomllib.loads(path.read_text())["project"]["urls"]
        folder = path.parent.relative_to(root)
        assert urls == {**core, "Source": f"{core['Source']}/tree/main/{folder}"}


def test_every_dependency_says_what_it_is_for(root):
    for path in (root / "pyproject.toml", *root.glob("integrations/*/pyproject.toml")):
        text = path.read_text()
        rows = text.splitlines()
        for requirement in requirements(tomllib.loads(text)):
            places = [n for n, line in enumerate(rows) if f'"{requirement}"' in line]
            assert places, requirement
            for row in places:
                assert "#" in rows[row] or rows[row - 1].strip().startswith("#"), requirement


def test_the_build_machines_run_what_a_developer_runs(root):
    run = (root / ".ci" / "run").read_text()
    assert re.findall(r"^make (\w+)", run, re.MULTILINE) == [
        "setup",
        "prometheus",
        "lint",
        "chromium",
        "test",
    ]
    workflow = (root / ".github" / "workflows" / "ci.yml").read_text()
    assert re.findall(r"^\s*- run: (.+)$", workflow, re.MULTILINE) == ["bash .ci/run"]
    versions = re.findall(
        r"Python :: (3\.\d+)", (root / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert re.findall(r'"(3\.\d+)"', workflow) == versions


def test_the_changelog_says_each_thing_once(root):
    """A union merge keeps both forms of a line that two branches have changed."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    latest = text.split("\n## ")[1]
    bullets = [" ".join(bullet.split())[:60] for bullet in re.split(r"\n- ", latest)[1:]]
    assert sorted(bullets) == sorted(set(bullets))
    sections = re.findall(r"^### (\w+)$", latest, re.MULTILINE)
    assert sections == [s for s in ("Added", "Changed", "Fixed", "Security") if s in sections]


@pytest.mark.parametrize(("name", "most"), [("README.md", 160), ("CONTRIBUTING.md", 120)])
def test_a_front_page_stays_short(root, name, most):
    assert len((root / name).read_text(encoding="utf-8").splitlines()) <= most


def test_every_page_of_the_docs_is_in_the_navigation(root):
    """A strict build fails for such a page too, but only where the docs are built."""
    navigation = (root / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"(\S+\.md)$", navigation, re.MULTILINE)
    assert len(listed) == len(set(listed))
    docs = root / "docs"
    pages = {str(page.relative_to(docs)) for page in docs.glob("**/*.md")}
    pages |= {f"notebooks/{path.stem}.md" for path in root.glob("notebooks/*.ipynb")}
    assert pages - set(listed) == set()


def public_names(root: Path, module: str) -> set[str]:
    """Return what a module lists as public, without importing it."""
    stem = root / module
    path = stem.with_suffix(".py") if stem.with_suffix(".py").exists() else stem / "__init__.py"
    (names,) = [
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return set(names)


@pytest.mark.parametrize(
    "module",
    [
        "toolops_plugins",
        "toolops_plugins/resilience",
        "toolops_plugins/testing",
        "integrations/langchain/langchain_toolops",
        "integrations/llama-index/llama_index/callbacks/toolops",
        "integrations/crewai/crewai_toolops",
    ],
)
def test_every_public_name_is_in_the_reference(root, module):
    pages = "".join(page.read_text() for page in (root / "docs" / "reference").glob("*.md"))
    entries = re.findall(r"^::: (\S+)$", pages, re.MULTILINE)
    assert "toolops_plugins.errors" in entries  # as a whole
    package = re.sub(r"integrations/[^/]+/", "", module).replace("/", ".")
    core = module.startswith("toolops_plugins")  # whose names stand under one of their paths
    listed = {entry.rpartition(".")[2] for entry in entries if core or entry.startswith(package)}
    missing = public_names(root, module) - listed - public_names(root, "toolops_plugins/errors")
    assert not missing, f"add `::: {package}.NAME` to a page in docs/reference"


def rooms(root: Path) -> dict[str, set[str]]:
    """Return the packages and root modules of the core, each with those that it imports."""
    package = root / "toolops_plugins"
    names = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    found: dict[str, set[str]] = {name: set() for name in names - {"__pycache__"}}
    for path in package.rglob("*.py"):
        room = path.relative_to(package).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                top, *inner = node.module.split(".")
                if top == "toolops_plugins":
                    imports = inner[:1] or [alias.name for alias in node.names]
                    # A public name, such as ToolOps, comes from the package itself.
                    found[room] |= {name if name in names else "__init__" for name in imports}
        found[room].discard(room)
    return found


def test_the_core_has_few_floors_and_no_circle(root):
    found = rooms(root)
    sorter = TopologicalSorter(found)
    floors: dict[str, int] = {}
    for room in sorter.static_order():  # a circle is a CycleError
        floors[room] = 1 + max((floors[other] for other in found[room]), default=0)
    assert 10 < max(floors.values()) <= 13


def test_the_root_of_the_core_is_small(root):
    assert len(list((root / "toolops_plugins").glob("*.py"))) <= 16


def test_the_contract_of_the_layers_is_short(root):
    tools = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    (layers,) = [c["layers"] for c in tools["importlinter"]["contracts"] if c["type"] == "layers"]
    assert 10 < len(layers) <= 16
