"""How sources are read, and for how long what they held is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hitl.recipe.values import Strict
from hitl.records import Action


class ContentColumns(Strict):
    """Which column of the content source says what. None: the source does not have it."""

    item_id: str = "content_id"
    text: str = "text"
    language: str | None = "language"
    surface: str | None = "surface"
    market: str | None = None
    modality: str | None = None
    group: str | None = None
    created_at: str | None = "created_at"


class DecisionColumns(Strict):
    """Which column of the decision source says what.

    `probabilities` maps our category id to their column. `actions` maps their word for what was
    done to ours; a word that is not in it sets the row aside. `views_per_hour`: how many people see
    the item, at the moment of the decision; what more see comes up sooner.
    """

    item_id: str = "content_id"
    model_version: str = "model_version"
    decided_at: str = "created_at"
    action: str | None = "predicted_action"
    views_per_hour: str | None = None
    probabilities: dict[str, str] = Field(default_factory=dict)
    actions: dict[str, Action] = Field(
        default_factory=lambda: {
            "allow": Action.ALLOW,
            "review": Action.REVIEW,
            "block": Action.BLOCK,
            "remove": Action.BLOCK,
        }
    )


class Intake(Strict):
    """How sources are read.

    `shadow_models`: globs of model versions that only run along: on record, never acted on.
    """

    content: ContentColumns = ContentColumns()
    decisions: DecisionColumns = DecisionColumns()
    max_text_characters: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    rows_per_chunk: Annotated[int, Field(ge=1, le=200_000)] = 100_000
    shadow_models: tuple[str, ...] = ()


class RetentionRecipe(Strict):
    """For how long decisions are kept, and content that nobody was asked about (docs/retention.md).

    `keep_months`: whole months before the one that runs. Unset: everything is kept.
    """

    keep_months: Annotated[int, Field(ge=1, le=600)] | None = None
