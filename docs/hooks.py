"""MkDocs hooks: add the pages that stand outside `docs/`, and reject what needs another host.

The notebooks, the adapters' READMEs and the changelog keep their places in the repository. Their
links are relative to those places, so they are rewritten for the site.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

# MkDocs loads this file by its path, so that its neighbours cannot be found by name.
sys.path.insert(0, str(Path(__file__).parent))
from notebook_pages import markdown_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "integrations/langchain/README.md": "frameworks/langchain.md",
    "integrations/llama-index/README.md": "frameworks/llama-index.md",
    "integrations/crewai/README.md": "frameworks/crewai.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"\]\((?!\w+:|#|/)([^)#\s]+)(#[^)\s]*)?\)")
# A resource that a browser loads by itself, in contrast to a link that a reader follows.
EXTERNAL = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=["'](?:https?:)?//[^"']+"""
    r"""|<link\b[^>]*\bhref=["'](?:https?:)?//[^"']+|@import\s+(?:url\()?["']?(?:https?:)?//"""
)


def on_files(files: Any, config: Any) -> Any:
    """Add the adapters' READMEs, the changelog and the notebooks to the site's files."""
    for source, target in PAGES.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        target = f"notebooks/{path.stem}.md"
        files.append(File.generated(config, target, content=markdown_of(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page that stands elsewhere in the repository."""
    source = next((old for old, new in PAGES.items() if new == page.file.src_uri), None)
    if source is None:
        return markdown
    return LINK.sub(lambda match: _rewrite(match, source, page.file.src_uri), markdown)


def _rewrite(match: re.Match[str], source: str, target: str) -> str:
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
    if path == "README.md":
        path = "index.md"
    path = PAGES.get(path, path.removeprefix("docs/").replace(".ipynb", ".md"))
    relative = posixpath.relpath(path, posixpath.dirname(target) or ".")
    return f"]({relative}{match[2] or ''})"


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Raise where a page would load something from another host."""
    if found := EXTERNAL.search(output):
        raise PluginError(f"{page.file.src_uri} loads from another host: {found[0]}")
    return output
