"""What is measured beside the labels, what counts as drift, and when to train anew."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from hitl.recipe.values import Strict


class KnownAnswers(Strict):
    """How reviewers did on items whose answer was known and hidden from them, in one category.

    Of `violating` items they said `found` violate; of `innocent` ones, `cleared` do not.
    """

    category: str
    violating: Annotated[int, Field(ge=1)]
    found: Annotated[int, Field(ge=0)]
    innocent: Annotated[int, Field(ge=1)]
    cleared: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _parts_of_what_was_asked(self) -> Self:
        if self.found > self.violating or self.cleared > self.innocent:
            raise ValueError(
                f"{self.category}: found may be {self.violating} at most, and cleared "
                f"{self.innocent}; they are parts of what was asked"
            )
        return self


class MeasureRecipe(Strict):
    """What `hitl measure` and the fairness page know beside the labels (docs/measurement.md).

    `identity_terms`: a name for each group of people, and the words that speak of it. None are
    shipped: which words matter, and in which languages, is for those who know the people to say.
    `known_answers`: by these prevalence is corrected for reviewers' errors.
    """

    identity_terms: dict[str, tuple[str, ...]] = Field(default_factory=dict, max_length=100)
    known_answers: tuple[KnownAnswers, ...] = ()

    @model_validator(mode="after")
    def _words_are_words(self) -> Self:
        for name, words in self.identity_terms.items():
            if not name.strip() or not words or not all(word.strip() for word in words):
                raise ValueError(
                    f"identity_terms {name!r} has no words, or an empty one; list some, or leave "
                    "it out"
                )
        named = [one.category for one in self.known_answers]
        for category in named:
            if named.count(category) > 1:
                raise ValueError(f"known_answers has category {category!r} twice; add them up")
        return self


class DriftRecipe(Strict):
    """When what comes in counts as another kind than before (docs/monitoring.md).

    The last `window_days` are compared with the `reference_days` before them; with fewer than
    `least_items` in either nothing is said. Without drift, a false alarm comes in a year of daily
    looks with chance `alpha` at most. `psi_bar`: a smaller shift is no alarm, however sure.
    An alarm that goes on for `windows_in_a_row` windows that share no decision is a reason to
    train. Embeddings are compared every `embeddings_every_days` (0: never), at most
    `embedding_items` before and after.
    """

    reference_days: Annotated[int, Field(ge=1, le=365)] = 28
    window_days: Annotated[int, Field(ge=1, le=90)] = 7
    least_items: Annotated[int, Field(ge=40)] = 100
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    psi_bar: Annotated[float, Field(ge=0.0, le=5.0)] = 0.1
    windows_in_a_row: Annotated[int, Field(ge=1, le=20)] = 2
    embeddings_every_days: Annotated[int, Field(ge=0, le=90)] = 7
    embedding_items: Annotated[int, Field(ge=100, le=2000)] = 1000


class RetrainRecipe(Strict):
    """When a new model is trained (docs/monitoring.md), where flows are deployed.

    New labels are a reason from `training.retrain_after_labels` and `share_of_training` of what
    the newest model learned from, if a learning curve promises `least_gain` of average precision
    or there is none yet. Alarms, another policy and a model older than `most_days` are reasons by
    themselves. Between two trainings pass `cool_down_hours`.
    """

    share_of_training: Annotated[float, Field(ge=0.0, le=10.0)] = 0.1
    least_gain: Annotated[float, Field(ge=0.0, le=0.5)] = 0.005
    most_days: Annotated[float, Field(gt=0.0, le=3650.0)] = 30.0
    cool_down_hours: Annotated[float, Field(ge=0.0, le=8760.0)] = 24.0
