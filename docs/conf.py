"""How Sphinx makes the pages of docs/ into a site: `make docs`."""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent

project = "Modelwire"
author = "The Modelwire authors"
release = re.findall(r'__version__ = "(.+)"', (DOCS.parent / "src/modelwire/__init__.py").read_text())[0]
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_show_copyright = False
html_title = f"Modelwire {release}"
# Headings have the anchors that they have on a code host.
myst_heading_anchors = 4


def setup(app: Any) -> None:
    """What the pages need to be read both on a code host and on the site."""
    app.connect("source-read", _without_links_out)
    app.connect("source-read", _with_every_page)


def _without_links_out(_app: Any, name: str, source: list[str]) -> None:
    """The site has no files of the repository besides the pages: links to them become their text."""
    folder = (DOCS / name).parent

    def kept(match: re.Match[str]) -> str:
        target = match[2].partition("#")[0]
        outside = "://" not in target and not (folder / target).resolve().is_relative_to(DOCS)
        return match[1] if outside else match[0]

    source[0] = re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", kept, source[0])


def _with_every_page(_app: Any, name: str, source: list[str]) -> None:
    """A page that no list of the index names stands at its end."""
    if name == "index":
        named = set(source[0].splitlines())
        rest = [page.stem for page in sorted(DOCS.glob("*.md")) if page.stem not in named | {"index"}]
        if rest:
            source[0] += "\n```{toctree}\n:hidden:\n:caption: More\n\n" + "\n".join(rest) + "\n```\n"
