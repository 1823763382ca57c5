"""Pages of the documentation site: what lies in docs/, the README and those of the configs.

A hook of mkdocs. Links are those of the repository; here they become those of the site, and where
they lead to what is no page, the text alone.
"""

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\]\([^)]*\))*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/."""
    beside = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
    beside += [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("configs/**/README.md"))]
    for name in beside:
        files.append(File.generated(config, _page_of(name), content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to pages of the site."""
    here = _source_of(page.file.src_uri)

    def led(link: re.Match) -> str:
        picture, text, target = link.groups()
        if "](" in text:  # a picture that is a link
            text = LINK.sub(led, text)
        path, _, anchor = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return f"{picture}[{text}]({target})"
        source = os.path.normpath(PurePosixPath(here).parent / path)
        to = _page_of(source)
        if files.get_file_from_path(to) is None or to.endswith((".ipynb", ".json")):
            return text if text.startswith("`") else f"{text} (`{source}`)"
        way = os.path.relpath(to, PurePosixPath(page.file.src_uri).parent)
        return f"{picture}[{text}]({way}{'#' + anchor if anchor else ''})"

    # Not within code.
    parts = re.split(r"(^```.*?^```)", markdown, flags=re.M | re.S)
    return "".join(part if part.startswith("```") else LINK.sub(led, part) for part in parts)


def _page_of(source: str) -> str:
    """Where a file of the repository is on the site."""
    return "index.md" if source == "README.md" else source.removeprefix("docs/")


def _source_of(page: str) -> str:
    if page == "index.md":
        return "README.md"
    return page if (ROOT / page).is_file() else f"docs/{page}"
