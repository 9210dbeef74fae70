"""Pages on disk: each file whole or not at all, so that a reader never meets half of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hitl.reports import Page, as_html, as_markdown

SEED = 20_231
"""Of the resamples behind pages: one for all, so that the same rows give the same bytes."""


@dataclass(frozen=True, slots=True)
class PageWritten:
    """Where a page lies; `subject` is what it is about, such as a week or a model version."""

    subject: str
    path: Path
    pictures: int
    size_bytes: int


def write(page: Page, folder: Path, *, name: str) -> Path:
    """The page as HTML and Markdown with its pictures beside it; gives the HTML's path.

    Safe to repeat: the same page gives the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{one.name}.svg": one.svg for one in page.pictures}
    files |= {f"{name}.md": as_markdown(page), f"{name}.html": as_html(page)}
    for file, content in files.items():
        draft = folder / f".{file}"
        draft.write_text(content, encoding="utf-8")
        draft.replace(folder / file)
    return folder / f"{name}.html"


def keep(page: Page, folder: Path, *, name: str, subject: str) -> PageWritten:
    """`write`, and what came of it."""
    path = write(page, folder, name=name)
    return PageWritten(subject, path, len(page.pictures), path.stat().st_size)
