"""A report as data, and as Markdown or HTML: the same words, tables and pictures in both."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Heading:
    """What comes next."""

    text: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; every cell is text. Without rows, `empty` says why there is none."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str = "none"


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG document, and what one sees in it, for those who do not."""

    name: str
    svg: str
    alt: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """Small pictures of one kind: side by side where there is room, one below the other else."""

    pictures: Sequence[Picture]


_LONG = 34
"""Characters from which on a cell of a table is a sentence and no figure."""

Block = Words | Heading | Grid | Picture | Gallery


@dataclass(frozen=True, slots=True)
class Page:
    """A title, what it is about in one line, and its blocks."""

    title: str
    about: str
    blocks: Sequence[Block]

    @property
    def pictures(self) -> list[Picture]:
        """Every picture, those of galleries too, in their order."""
        found: list[Picture] = []
        for one in self.blocks:
            if isinstance(one, Picture):
                found.append(one)
            elif isinstance(one, Gallery):
                found += one.pictures
        return found


def as_markdown(page: Page) -> str:
    """CommonMark with tables; pictures as files of their names beside it."""
    parts = [f"# {_plain(page.title)}", _plain(page.about)]
    for block in page.blocks:
        match block:
            case Words(text):
                parts.append(_plain(text))
            case Heading(text):
                parts.append(f"## {_plain(text)}")
            case Grid(columns, rows, empty):
                parts.append(_grid(columns, rows) if rows else f"*{_plain(empty)}*")
            case Picture():
                parts.append(_linked(block))
            case Gallery(pictures):
                parts += [_linked(one) for one in pictures]
            case _ as never:
                assert_never(never)
    return "\n\n".join(parts) + "\n"


def as_html(page: Page) -> str:
    """One document that needs nothing else: no script, no request to anywhere."""
    return _DOCUMENT.format(
        title=html.escape(page.title),
        about=html.escape(page.about),
        body="\n".join(_html(block) for block in page.blocks),
    )


def _html(block: Block) -> str:
    match block:
        case Words(text):
            return f"<p>{html.escape(text)}</p>"
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Grid(columns, rows, empty):
            if not rows:
                return f"<p><em>{html.escape(empty)}</em></p>"
            head = "".join(f"<th>{html.escape(one)}</th>" for one in columns)
            body = "\n".join(
                "<tr>" + "".join(_html_cell(cell) for cell in row) + "</tr>" for row in rows
            )
            return (
                f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n'
                f"<tbody>{body}</tbody></table></div>"
            )
        case Picture():
            return _figure(block, "wide")
        case Gallery(pictures):
            inner = "\n".join(_figure(one, "small") for one in pictures)
            return f'<div class="gallery">\n{inner}\n</div>'
        case _ as never:
            assert_never(never)


def _figure(picture: Picture, size: str) -> str:
    start = max(picture.svg.find("<svg"), 0)
    return (
        f'<figure class="{size}" role="img" aria-label="{html.escape(picture.alt)}">'
        f"{picture.svg[start:]}</figure>"
    )


def _html_cell(cell: str) -> str:
    # Figures stay on one line; sentences may break.
    kind = ' class="long"' if len(cell) > _LONG else ""
    return f"<td{kind}>{html.escape(cell)}</td>"


def _linked(picture: Picture) -> str:
    return f"![{_plain(picture.alt)}]({picture.name}.svg)"


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(one) for one in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text if text == "---" else _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Text that Markdown takes for text: names come from policies and files."""
    flat = " ".join(text.split())
    for mark in "\\`*_[]<>#":
        flat = flat.replace(mark, f"\\{mark}" if mark in "\\`*_[]" else html.escape(mark))
    return flat


_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --faint: #5b6570; --line: #d5d9de; }}
@media (prefers-color-scheme: dark) {{ :root {{ --faint: #a9b2bc; --line: #454c55; }} }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto;
  padding: 0 1rem; overflow-wrap: break-word; }}
h1 {{ margin-bottom: 0; line-height: 1.2; }}
h2 {{ margin-top: 2.25rem; }}
p {{ max-width: 46rem; }}
.about {{ color: var(--faint); margin-top: .25rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: 1rem 0; font-size: .875rem;
  font-variant-numeric: tabular-nums; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .35rem .85rem .35rem 0; text-align: left;
  vertical-align: top; }}
th {{ font-weight: 600; }}
td {{ white-space: nowrap; }}
td.long {{ white-space: normal; min-width: 18rem; max-width: 32rem; }}
figure {{ margin: 1rem 0; background: #fff; border-radius: 4px;
  padding: .4rem; }}
figure svg {{ display: block; max-width: 100%; height: auto; }}
figure.wide svg {{ min-width: 35rem; }}
.gallery {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr));
  gap: 1rem; margin: 1rem 0; }}
.gallery figure {{ margin: 0; }}
.gallery figure svg {{ width: 100%; max-width: 34rem; }}
@media print {{ body {{ max-width: none; margin: 0; }} figure {{ break-inside: avoid; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="about">{about}</p>
{body}
</body>
</html>
"""
