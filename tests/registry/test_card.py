"""The card says what it was told, in one order, and lets nobody write its page."""

from __future__ import annotations

import random
from dataclasses import replace

from hitl.registry import CardFacts, render
from tests.builders import NOON
from tests.registry.builders import make_figure

FACTS = CardFacts(
    model_version="community-1",
    state="champion",
    policy_id="community@1-abc",
    policy_title="Community rules",
    categories=[("Hate", "Attacks a group.")],
    recipe_id="default-abc",
    seed=7,
    snapshot_id="s1",
    trained_at=NOON,
    counts={"examples": 100},
    figures=[make_figure()],
)


def test_a_figure_shows_its_interval_and_a_code_stands_in_place_of_a_value() -> None:
    few = make_figure(category="spam", value=None, low=None, high=None, code="too_few_events")

    card = render(replace(FACTS, figures=[few, make_figure()]))

    assert [
        "| average_precision | hate | 0.812 | 0.750 to 0.860 | 200 | 30 | bootstrap |",
        "| average_precision | spam | (too_few_events) |  | 200 | 30 | bootstrap |",
    ] == [line for line in card.splitlines() if line.startswith("| average_precision")]


def test_the_order_of_figures_does_not_matter_and_macro_leads() -> None:
    figures = [
        make_figure(category=category, slice_name=name, slice_value=value)
        for category in ("hate", "macro", "spam")
        for name, value in (("", ""), ("language", "en"), ("language", "id"))
    ]
    shuffled = random.Random(1).sample(figures, len(figures))

    card = render(replace(FACTS, figures=shuffled))

    assert render(replace(FACTS, figures=figures)) == card
    rows = [line for line in card.splitlines() if "average_precision" in line]
    assert "| average_precision | macro |" == rows[0][:29]
    assert "| language id | average_precision | spam |" == rows[-1][:42]


def test_a_data_note_stands_above_everything_else() -> None:
    card = render(replace(FACTS, data_note="All content was made by a generator."))

    assert "> **Note on the data.** All content was made by a generator." == card.splitlines()[2]
    assert "Note on the data" not in render(FACTS)


def test_words_of_people_cannot_break_the_page() -> None:
    card = render(
        replace(
            FACTS,
            note="line one\n\n# A heading | <script>alert(1)</script>",
            categories=[("A | B", "two\nlines")],
            decision="keep",
            reasons=["first\n- second"],
        )
    )

    assert "| Note | line one # A heading \\| &lt;script>alert(1)&lt;/script> |" in card
    assert "| A \\| B | two lines |" in card
    assert "- first - second" in card
    assert 1 == sum(line.startswith("# ") for line in card.splitlines())


def test_what_did_not_happen_yet_is_said_so() -> None:
    card = render(replace(FACTS, state="challenger", figures=[]))

    assert "None: nothing was measured yet." in card
    assert "Not judged yet." in card
    assert "Champion since" not in card


def test_the_limits_and_the_use_are_always_there() -> None:
    card = render(FACTS)

    assert "## Intended use" in card
    assert "without a certificate" in card
    assert card.index("## Gate") < card.index("## Limits")
    assert card.endswith("\n")
