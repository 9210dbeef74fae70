"""Backlog certificates: worked limits, and how often one is false."""

from __future__ import annotations

import numpy as np
import pytest

from hitl.evaluation import (
    BacklogCertificate,
    BadLevel,
    alpha_of_look,
    certify_backlog,
    draw_needed,
    most_violating,
)


@pytest.mark.parametrize(
    ("seen", "drawn", "of", "most"),
    [(0, 300, 10_000, 97), (1, 300, 10_000, 155), (2, 500, 8000, 98), (0, 1000, 9000, 25)],
)
def test_the_limit_has_the_worked_values(seen: int, drawn: int, of: int, most: int) -> None:
    assert most == most_violating(seen, drawn, of, alpha=0.05)


def test_a_draw_of_everything_leaves_no_doubt() -> None:
    assert 7 == most_violating(7, 50, 50, alpha=0.05)
    assert 0 == most_violating(0, 0, 0, alpha=0.05)
    assert 20 == most_violating(0, 0, 20, alpha=0.05)


def test_the_looks_together_err_no_more_than_one_may() -> None:
    spent = [alpha_of_look(k) for k in range(1, 60)]

    assert spent[:3] == pytest.approx([0.04, 0.005, 0.0025])
    assert sum(spent) <= 0.05 + 1e-12
    assert alpha_of_look(1, alpha=0.1) == pytest.approx(0.08)


def test_a_certificate_counts_what_the_look_itself_found() -> None:
    found = certify_backlog(
        found_before=195, unreviewed=9000, drawn=3000, violating_in_draw=1, at_least=0.9
    )

    assert 196 == found.found
    assert found.recall_at_least == pytest.approx(196 / (196 + found.missed_at_most))
    assert found.is_certified


def test_false_certificates_are_as_rare_as_promised() -> None:
    rng = np.random.default_rng(11)
    false = 0
    for seen in rng.hypergeometric(125, 8990, 300, size=4000).tolist():
        one = certify_backlog(
            found_before=885, unreviewed=9115, drawn=300, violating_in_draw=seen, at_least=0.9
        )
        # What the look finds is found: of 1,010 in all, a certificate needs 909.
        false += one.is_certified and 885 + seen < 909

    assert 0 < false / 4000 <= 0.04 + 2 * np.sqrt(0.04 * 0.96 / 4000)


def test_looking_again_until_it_suits_is_paid_for() -> None:
    rng = np.random.default_rng(12)
    false = 0
    for _ in range(1000):
        unreviewed, hidden, found = 9110, 120, 890
        for look in range(1, 7):
            seen = int(rng.hypergeometric(hidden, unreviewed - hidden, 300))
            one = certify_backlog(
                found_before=found, unreviewed=unreviewed, drawn=300, violating_in_draw=seen,
                at_least=0.9, look=look,
            )  # fmt: skip
            # Of the 1,010, as many as now are found; a certificate is false below nine tenths.
            if one.is_certified:
                false += (found + seen) < 0.9 * 1010
                break
            found, unreviewed, hidden = found + seen, unreviewed - 300, hidden - seen

    assert false / 1000 <= 0.05


def test_nothing_anywhere_is_certified_only_after_a_look_at_all() -> None:
    assert certify_backlog(
        found_before=0, unreviewed=10, drawn=10, violating_in_draw=0, at_least=0.9
    ).is_certified
    assert not certify_backlog(
        found_before=0, unreviewed=10, drawn=9, violating_in_draw=0, at_least=0.9
    ).is_certified


def certified(**changed: int) -> BacklogCertificate:
    given = {
        "found_before": 180, "unreviewed": 9000, "drawn": 3000, "violating_in_draw": 1,
    } | changed  # fmt: skip
    return certify_backlog(**given, at_least=0.9)


def test_a_lost_answer_counts_as_violating_and_as_missed() -> None:
    plain, lost, seen = certified(), certified(lost=2), certified(violating_in_draw=3)

    assert plain.found == lost.found == 181
    # As many may violate as if the two did; and nobody has found them.
    assert seen.missed_at_most + 2 == lost.missed_at_most
    assert lost.recall_at_least < seen.recall_at_least < 1


def test_what_is_found_beside_the_draw_is_found_and_missed_no_more() -> None:
    plain, more = certified(), certified(found_since=4)

    assert (plain.found + 4, plain.missed_at_most - 4) == (more.found, more.missed_at_most)
    assert 0 == certified(found_since=1000).missed_at_most


def test_an_answer_that_was_taken_back_may_be_a_violation() -> None:
    assert certified().missed_at_most + 3 == certified(taken_back=3).missed_at_most


def test_no_more_is_missed_than_nobody_has_answered() -> None:
    assert certified().missed_at_most > 2
    assert 2 == certified(unanswered=2).missed_at_most
    assert 1.0 == certified(unanswered=0).recall_at_least
    assert 5 == certified(unanswered=2, taken_back=3).missed_at_most


def test_the_planned_draw_certifies_four_times_in_five_where_the_forecast_is_right() -> None:
    needed = draw_needed(found_before=900, unreviewed=9000, expected_violating=30, at_least=0.9)
    assert needed is not None
    rng = np.random.default_rng(13)

    def success(drawn: int) -> float:
        seen, times = np.unique(rng.hypergeometric(30, 8970, drawn, size=4000), return_counts=True)
        held = [
            certify_backlog(
                found_before=900, unreviewed=9000, drawn=drawn, violating_in_draw=one, at_least=0.9
            ).is_certified
            for one in seen.tolist()
        ]
        return float(times[held].sum() / 4000)

    assert success(needed) >= 0.8 - 3 * np.sqrt(0.8 * 0.2 / 4000)
    assert success(needed * 4 // 5) < 0.8


def test_only_a_census_shows_what_is_nearly_everything() -> None:
    assert draw_needed(
        found_before=10, unreviewed=100, expected_violating=100, at_least=0.999
    ) == 100  # fmt: skip
    assert draw_needed(found_before=0, unreviewed=0, expected_violating=0, at_least=0.9) is None


@pytest.mark.parametrize(
    "counts",
    [
        {"found_before": -1, "unreviewed": 10, "drawn": 5, "violating_in_draw": 0},
        {"found_before": 1, "unreviewed": 10, "drawn": 11, "violating_in_draw": 0},
        {"found_before": 1, "unreviewed": 10, "drawn": 5, "violating_in_draw": 6},
        {"found_before": 1, "unreviewed": 10, "drawn": 5, "violating_in_draw": 2, "lost": 4},
        {"found_before": 1, "unreviewed": 10, "drawn": 5, "violating_in_draw": 2, "lost": -1},
        {"found_before": 1, "unreviewed": 10, "drawn": 5, "violating_in_draw": 0, "found_since": 6},
        {"found_before": 1, "unreviewed": 10, "drawn": 5, "violating_in_draw": 0, "taken_back": -1},
    ],
)
def test_impossible_counts_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(BadLevel):
        certify_backlog(**counts, at_least=0.9)
