"""Brings the measurements into the site: pages link to files outside of ``docs/``.

On a code host ``../bench/results/demo.json`` leads to the file. The site holds copies
of linked files under ``files/``, and its links lead there.
"""

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(((?:\.\./)+bench/[^)#\s]+)\)")
COPIES = "files"


def linked_files(text: str, page: str) -> dict[str, Path]:
    """Return the files of the repository that a page links to, by the link's text.

    Args:
        text: Markdown.
        page: Path of the page below ``docs/``.

    Raises:
        FileNotFoundError: A link leads to no file.
    """
    folder = (REPOSITORY / "docs" / page).parent
    found = {link: (folder / link).resolve() for link in LINK.findall(text)}
    for link, path in found.items():
        if not path.is_file():
            raise FileNotFoundError(f"docs/{page} links to {link}: no such file")
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a copy of each linked file to the site."""
    for page in list(files.documentation_pages()):
        for path in linked_files(page.content_string, page.src_uri).values():
            name = f"{COPIES}/{path.relative_to(REPOSITORY)}"
            if files.get_file_from_path(name) is None:
                # Markdown would become a page; the site shows its source.
                name = name.replace(".md", ".txt")
                files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Point links to files of the repository at their copies."""
    del config, files
    folder = Path(page.file.src_uri).parent
    for link, path in linked_files(markdown, page.file.src_uri).items():
        copy = f"{COPIES}/{path.relative_to(REPOSITORY)}".replace(".md", ".txt")
        markdown = markdown.replace(f"]({link})", f"]({os.path.relpath(copy, folder)})")
    return markdown
