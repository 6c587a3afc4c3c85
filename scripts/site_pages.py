"""Hook of MkDocs: pages that lie outside of docs/, or are made, and links between all of them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "inputs/wbf-madgraph/README.md": "inputs/wbf-madgraph.md",
    "inputs/wh-smeft/README.md": "inputs/wh-smeft.md",
    "docker-images/docker-madminer-physics/README.md": "docker-images/docker-madminer-physics.md",
}
"""Where pages of the repository are on the site."""

MADE = REPOSITORY / "build" / "reference"
"""Where scripts/reference_pages.py has put pages, before."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s:]+)(#[^)]*)?\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages from outside."""
    for source, target in OUTSIDE.items():
        text = (REPOSITORY / source).read_text("utf-8")
        files.append(File.generated(config, target, content=text))
    for made in sorted(MADE.iterdir()):
        files.append(File.generated(config, made.name, abs_src_path=str(made)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to where their targets are on the site.

    A link to a file of the repository that is no page becomes its name.
    """
    here = page.file.src_uri
    source = next((name for name, uri in OUTSIDE.items() if uri == here), f"docs/{here}")

    def moved(link: re.Match[str]) -> str:
        mark, words, target, anchor = link[1], link[2], link[3], link[4] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        # Of a notebook, the page that is made of it is shown.
        path = path.replace("docs/notebook.ipynb", "docs/notebook.md")
        uri = OUTSIDE.get(path, path.removeprefix("docs/") if path.startswith("docs/") else "")
        if not uri:
            if not (REPOSITORY / path).exists():
                return link[0]
            return words if words.startswith("`") else f"{words} (`{path}`)"
        return f"{mark}[{words}]({posixpath.relpath(uri, posixpath.dirname(here) or '.')}{anchor})"

    return LINK.sub(moved, markdown)
