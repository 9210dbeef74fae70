"""The recipe: what to do with content, from column names to the gate. Kept with results."""

from hitl.recipe.intake import ContentColumns, DecisionColumns, Intake, RetentionRecipe
from hitl.recipe.measuring import DriftRecipe, KnownAnswers, MeasureRecipe, RetrainRecipe
from hitl.recipe.models import CertifyRecipe, GateRecipe, TrainingRecipe
from hitl.recipe.reviewing import CollectRecipe, DispatchRecipe, Lane, LaneMatch, QueueRecipe
from hitl.recipe.selection import (
    AUDIT,
    ELUSION,
    ELUSION_APART,
    LEAST_AUDIT,
    NEVER_TRAINED,
    PROPOSALS,
    SelectionRecipe,
    ShareOfPlan,
    TwinsRecipe,
)
from hitl.recipe.whole import BadRecipe, Recipe, load_recipe, recipe_from

__all__ = [
    "AUDIT",
    "ELUSION",
    "ELUSION_APART",
    "LEAST_AUDIT",
    "NEVER_TRAINED",
    "PROPOSALS",
    "BadRecipe",
    "CertifyRecipe",
    "CollectRecipe",
    "ContentColumns",
    "DecisionColumns",
    "DispatchRecipe",
    "DriftRecipe",
    "GateRecipe",
    "Intake",
    "KnownAnswers",
    "Lane",
    "LaneMatch",
    "MeasureRecipe",
    "QueueRecipe",
    "Recipe",
    "RetentionRecipe",
    "RetrainRecipe",
    "SelectionRecipe",
    "ShareOfPlan",
    "TrainingRecipe",
    "TwinsRecipe",
    "load_recipe",
    "recipe_from",
]
