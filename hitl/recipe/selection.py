"""How a batch is put together, and what its near copies are to each other."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from hitl.recipe.values import Fraction, Strict

AUDIT = "audit"
"""The share that is always on. Its labels measure and never train; all others' only train."""

PROPOSALS = "proposals"
"""The share that checks what is proposed for near copies."""

ELUSION = "elusion"
"""The share of a look at a backlog, of items on the training side: they train as any other."""

ELUSION_APART = "elusion_apart"
"""The same on the measuring side: such a label says what was found in the backlog and neither
trains nor measures. Its item stays a candidate, so that the audit is drawn as if nobody had
looked (docs/adr/0015)."""

NEVER_TRAINED = (AUDIT, ELUSION_APART)

LEAST_AUDIT = 0.05


class ShareOfPlan(Strict):
    """One share of a batch: a strategy of `sampling.STRATEGIES` and its fraction.

    `category`: as if that category of the policy were all there is. While no model knows it, the
    share chooses by all of them.
    """

    name: str = Field(min_length=1, max_length=40)
    strategy: str
    fraction: Fraction
    category: str | None = None


class SelectionRecipe(Strict):
    """How a batch is put together.

    `audit_fraction` of the batch, one item at least, is drawn by chance on the measuring side (a
    fixed `measuring_fraction` of all groups, never trained on); the rest is chosen on the training
    side by `shares` (docs/adr/0005). `audit_floor` of the audit is spread evenly; the rest goes
    where answers narrow what the policy promises most (docs/adr/0014). 1: all of it evenly.

    While `waiting_limit` entries or more wait for a reviewer, no further batch is chosen: by its
    turn it would be of yesterday's model.

    `within_days`: an item is a candidate for so long from when its content came, so that the pool
    does not grow for ever. What measures reckons with it. Unset: for ever.
    """

    batch_size: Annotated[int, Field(ge=1, le=100_000)] = 200
    waiting_limit: Annotated[int, Field(ge=1)] = 1000
    audit_fraction: Fraction = 0.2
    audit_floor: Annotated[float, Field(ge=0.1, le=1.0, allow_inf_nan=False)] = 0.7
    measuring_fraction: Annotated[float, Field(ge=0.05, le=0.95)] = 0.25
    candidates_limit: Annotated[int, Field(ge=100)] = 200_000
    within_days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] | None = None
    shares: tuple[ShareOfPlan, ...] = (
        ShareOfPlan(name="uncertain", strategy="uncertain_diverse", fraction=1.0),
    )

    @property
    def within(self) -> timedelta | None:
        """`within_days` as a span of time."""
        return None if self.within_days is None else timedelta(days=self.within_days)

    @model_validator(mode="after")
    def _shares_fill_the_batch(self) -> Self:
        total = sum(share.fraction for share in self.shares)
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the fractions of shares add up to {total:g}; make them add up to 1")
        names = [share.name for share in self.shares]
        if self.audit_fraction < LEAST_AUDIT:
            raise ValueError(
                f"audit_fraction is {self.audit_fraction:g}, so little or nothing could ever be "
                f"measured; write at least {LEAST_AUDIT:g}"
            )
        if AUDIT in names:
            raise ValueError(f"a share is named {AUDIT!r}, which is the random one's; rename it")
        if PROPOSALS in names:
            raise ValueError(f"a share is named {PROPOSALS!r}, which checks proposals; rename it")
        for taken in (ELUSION, ELUSION_APART):
            if taken in names:
                raise ValueError(f"a share is named {taken!r}, which looks at backlogs; rename it")
        return self


class TwinsRecipe(Strict):
    """Near copies (docs/twins.md). Where `is_on`, one of them is reviewed for all.

    Texts are near copies from `least_similarity` on: the Jaccard similarity of their runs of four
    characters. Where `offers_labels`, what was said of one on the training side is proposed for the
    others there. Each offer is checked by a reviewer with the chance `audit_of_offers`, or with
    less where that would be more than `audits_an_answer` on average. Nothing is learned from
    proposals but where `trains_on_offers`.
    """

    is_on: bool = False
    least_similarity: Annotated[float, Field(ge=0.5, le=1.0, allow_inf_nan=False)] = 0.7
    offers_labels: bool = False
    audit_of_offers: Annotated[float, Field(ge=0.01, le=1.0, allow_inf_nan=False)] = 0.1
    audits_an_answer: Annotated[int, Field(ge=1, le=1000)] = 3
    trains_on_offers: bool = False

    @model_validator(mode="after")
    def _what_is_used_is_on(self) -> Self:
        if self.offers_labels and not self.is_on:
            raise ValueError("offers_labels needs is_on: set both, or neither")
        if self.trains_on_offers and not self.offers_labels:
            raise ValueError("trains_on_offers needs offers_labels: set both, or neither")
        return self
