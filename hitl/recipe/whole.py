"""The recipe itself, and the file that it is read from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from hitl.config_files import BadConfigFile, check, fingerprint, read_toml
from hitl.recipe.intake import Intake, RetentionRecipe
from hitl.recipe.measuring import DriftRecipe, MeasureRecipe, RetrainRecipe
from hitl.recipe.models import CertifyRecipe, GateRecipe, TrainingRecipe
from hitl.recipe.reviewing import CollectRecipe, DispatchRecipe, QueueRecipe
from hitl.recipe.selection import SelectionRecipe, TwinsRecipe
from hitl.recipe.values import Strict


class BadRecipe(BadConfigFile):
    """The recipe file cannot be used as it is."""


class Recipe(Strict):
    """Everything that changes a result and is not a rule of the policy."""

    name: str = Field(default="default", min_length=1, max_length=40)
    intake: Intake = Intake()
    selection: SelectionRecipe = SelectionRecipe()
    retention: RetentionRecipe = RetentionRecipe()
    queue: QueueRecipe = QueueRecipe()
    twins: TwinsRecipe = TwinsRecipe()
    dispatch: DispatchRecipe = DispatchRecipe()
    collect: CollectRecipe = CollectRecipe()
    training: TrainingRecipe = TrainingRecipe()
    gate: GateRecipe = GateRecipe()
    certify: CertifyRecipe = CertifyRecipe()
    measure: MeasureRecipe = MeasureRecipe()
    drift: DriftRecipe = DriftRecipe()
    retrain: RetrainRecipe = RetrainRecipe()

    @model_validator(mode="after")
    def _nothing_goes_that_could_be_chosen(self) -> Self:
        months, days = self.retention.keep_months, self.selection.within_days
        if months is not None and (days is None or days > 28 * months):
            raise ValueError(
                f"retention.keep_months is {months}, and what is dropped must be no candidate any "
                f"more: set selection.within_days to at most {28 * months}"
            )
        return self

    @cached_property
    def recipe_id(self) -> str:
        """`name-fingerprint`; changes with any value of it."""
        return f"{self.name}-{fingerprint(self)}"


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        BadRecipe: names the file, each wrong key, and what to write instead.
    """
    return read_toml(path, Recipe, error=BadRecipe)


def recipe_from(body: dict[str, Any], *, where: str) -> Recipe:
    """A recipe from its stored body (`recipes.body`)."""
    return check(body, Recipe, where=where, error=BadRecipe)
