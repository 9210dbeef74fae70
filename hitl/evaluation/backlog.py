"""When a backlog has been searched enough: shown by a random look at what nobody reviewed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom

from hitl.evaluation.arrays import level
from hitl.evaluation.errors import BadLevel


@dataclass(frozen=True, slots=True)
class BacklogCertificate:
    """Whether enough of what violates has been found, and by how little it might be less.

    `found` includes what the random look found and what was found beside it; `missed_at_most` is
    the most that may still lie in what nobody has seen, with `confidence` for this look.
    `recall_at_least` is what that proves; it is certified where it reaches `at_least`.
    """

    found: int
    missed_at_most: int
    recall_at_least: float
    at_least: float
    confidence: float
    look: int

    @property
    def is_certified(self) -> bool:
        return self.recall_at_least >= self.at_least


def alpha_of_look(look: int, *, alpha: float = 0.05) -> float:
    """What the k-th look may err: four fifths at the first, then halves of the rest.

    The sum over all looks is at most `alpha`, so that looking again until it suits does not make
    a false certificate likelier.
    """
    level("alpha", alpha)
    if look < 1:
        raise BadLevel("look", look, "1 or more")
    return 0.8 * alpha if look == 1 else 0.2 * alpha * 0.5 ** (look - 1)


def most_violating(seen: int, drawn: int, of: int, *, alpha: float) -> int:
    """The most violating items among `of` that seeing no more than `seen` in `drawn` allows.

    Drawn evenly without replacement; the exact upper limit of level 1 - `alpha`.

    Raises:
        BadLevel: more seen than drawn, or more drawn than there are.

    Source: inversion of the hypergeometric tail, as in Callaghan and Müller-Hansen (2020).
    """
    level("alpha", alpha)
    if not 0 <= seen <= drawn:
        raise BadLevel("seen", seen, f"a count from 0 to the {drawn} drawn")
    if drawn > of:
        raise BadLevel("drawn", drawn, f"at most the {of} that there are")
    low, high = seen, of - (drawn - seen)
    # The tail falls as there are more: halve the stretch in which it falls to alpha.
    while low < high:
        middle = (low + high + 1) // 2
        if float(hypergeom.cdf(seen, of, middle, drawn)) > alpha:
            low = middle
        else:
            high = middle - 1
    return low


def certify_backlog(
    *,
    found_before: int,
    unreviewed: int,
    drawn: int,
    violating_in_draw: int,
    at_least: float,
    look: int = 1,
    alpha: float = 0.05,
    lost: int = 0,
    found_since: int = 0,
    taken_back: int = 0,
    unanswered: int | None = None,
) -> BacklogCertificate:
    """Has `at_least` that share of what violates in a backlog been found?

    By an elusion sample: `drawn` of the `unreviewed` items, evenly at random, and reviewed. What a
    model estimates of the rest proves nothing; here it is not even asked.

    The draw says one thing: with confidence 1 - alpha, at most K of the `unreviewed` violate. That
    holds whatever is reviewed between the draw and now, and however that was chosen, because
    neither what was unreviewed then nor what was drawn from it moves. So whatever of these K was
    found since, in the draw or beside it, is found; only the others can be missed. An answer that
    a drawn item lacks is counted as violating: K never falls with more of them, so who is lost,
    and why, cannot make a certificate false. They are not found either.

    Args:
        found_before: violating items among what was reviewed before the draw.
        unreviewed: items that nobody had reviewed when the draw was made, the drawn included.
        violating_in_draw: of the drawn, those that were found to violate.
        look: how often this has been tried on this backlog, this time included.
        lost: of the drawn, those without an answer.
        found_since: violating items found after the draw among the unreviewed, the drawn left out.
        taken_back: items that were reviewed before the draw and have no answer any more; each
            counts as one that violates and is missed.
        unanswered: of the `unreviewed`, those that nobody has answered until now, the lost
            included; no more than these can be missed. None: not known.

    Raises:
        BadLevel: impossible counts.
    """
    level("at_least", at_least)
    for name, count in (
        ("found_before", found_before), ("lost", lost), ("found_since", found_since),
        ("taken_back", taken_back), ("violating_in_draw", violating_in_draw),
    ):  # fmt: skip
        if count < 0:
            raise BadLevel(name, count, "0 or more")
    if found_since > unreviewed - drawn:
        raise BadLevel("found_since", found_since, "no more than were unreviewed and not drawn")
    spent = alpha_of_look(look, alpha=alpha)
    most = most_violating(violating_in_draw + lost, drawn, unreviewed, alpha=spent)
    found = found_before + violating_in_draw + found_since
    missed = max(most - violating_in_draw - found_since, 0)
    if unanswered is not None:
        missed = min(missed, unanswered)
    missed += taken_back
    recall = found / (found + missed) if found + missed else 1.0
    return BacklogCertificate(found, missed, recall, at_least, 1.0 - spent, look)


def draw_needed(
    *, found_before: int, unreviewed: int, expected_violating: int, at_least: float,
    look: int = 1, alpha: float = 0.05, power: float = 0.8,
) -> int | None:  # fmt: skip
    """The smallest draw that certifies with chance `power` if the rest is as expected; None: none.

    For planning only. Draws grow by a twentieth each, so it is at most that much too large.
    """
    level("power", power)
    for drawn in _sizes(unreviewed):
        seen = int(hypergeom.ppf(power, unreviewed, min(expected_violating, unreviewed), drawn))
        if certify_backlog(
            found_before=found_before, unreviewed=unreviewed, drawn=drawn,
            violating_in_draw=seen, at_least=at_least, look=look, alpha=alpha,
        ).is_certified:  # fmt: skip
            return drawn
    return None


def _sizes(most: int) -> list[int]:
    """From few to all, each a twentieth more than the one before."""
    if most < 1:
        return []
    steps = np.geomspace(1, most, max(2, int(np.log(most) / np.log(1.05)) + 2))
    return sorted({round(float(one)) for one in steps} | {most})
