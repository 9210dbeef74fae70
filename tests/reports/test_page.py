"""A page says the same in both forms, and content stays content."""

from __future__ import annotations

import re

from hitl.reports import Gallery, Grid, Heading, Page, Picture, Words, as_html, as_markdown

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


def test_a_gallery_shows_each_picture_with_what_one_sees_in_it() -> None:
    small = [
        Picture(f"p{k}", f"<svg><text>{k}</text></svg>", f"sees {k} {NASTY}") for k in range(2)
    ]
    page = Page("t", "a", [PAGE.blocks[-1], Gallery(small)])

    html, text = as_html(page), as_markdown(page)

    assert ["gaps", "p0", "p1"] == [one.name for one in page.pictures]
    assert 2 == html.count('<figure class="small" role="img" aria-label="sees ')
    assert "<script" not in html
    assert "(p0.svg)" in text
    assert "(p1.svg)" in text


def test_sentences_in_a_table_may_break_and_figures_may_not() -> None:
    page = as_html(Page("t", "a", [Grid(("a",), [("81.2% (74.0% to 87.1%)",), ("word " * 10,)])]))

    assert "<td>81.2%" in page
    assert '<td class="long">word' in page


def test_markdown_keeps_text_text_and_tables_tables() -> None:
    page = as_markdown(PAGE)

    assert "<script" not in page
    assert r"\*\*bold\*\*" in page
    assert r"\[link\]" in page
    row = next(line for line in page.splitlines() if line.startswith("| 1 |"))
    assert 3 == len(re.findall(r"(?<!\\)\|", row))
    assert "(gaps.svg)" in page
    assert "*nothing here*" in page
