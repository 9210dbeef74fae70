"""A page says the same in both forms, and content stays content."""

from __future__ import annotations

import re

from hitl.reports import Grid, Heading, Page, Picture, Words, as_html, as_markdown

NASTY = '<script>alert("x")</script> | **bold** [link](javascript:x) `code`'
PAGE = Page(
    f"Title {NASTY}",
    "about",
    [
        Heading("Gaps"),
        Words(NASTY),
        Grid(("a", "b"), [("1", NASTY), ("2", "plain")]),
        Grid(("a",), [], empty="nothing here"),
        Picture("gaps", '<?xml version="1.0"?>\n<svg><path d="M0"/></svg>', f"alt {NASTY}"),
    ],
)


def test_html_shows_names_and_runs_none_of_them() -> None:
    page = as_html(PAGE)

    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert "<?xml" not in page
    assert '<svg><path d="M0"/></svg>' in page
    assert "<em>nothing here</em>" in page
    assert 2 == page.count("<tr><td>")


def test_markdown_keeps_text_text_and_tables_tables() -> None:
    page = as_markdown(PAGE)

    assert "<script" not in page
    assert r"\*\*bold\*\*" in page
    assert r"\[link\]" in page
    row = next(line for line in page.splitlines() if line.startswith("| 1 |"))
    assert 3 == len(re.findall(r"(?<!\\)\|", row))
    assert "(gaps.svg)" in page
    assert "*nothing here*" in page
