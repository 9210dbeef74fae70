"""Examples to a calibrated model, and the model on disk. torch lives in this room only."""

from hitl.training.bundle import Bundle
from hitl.training.calibration import CalibratedBy
from hitl.training.errors import BadBundle, BadExample, BadRecipe, NothingToLearn
from hitl.training.fit import fit
from hitl.training.model import Model, TextModel, load, probabilities_for
from hitl.training.prior import Prior, learn_prior
from hitl.training.recipe import FeatureRecipe, TrainingRecipe

__all__ = [
    "BadBundle",
    "BadExample",
    "BadRecipe",
    "Bundle",
    "CalibratedBy",
    "FeatureRecipe",
    "Model",
    "NothingToLearn",
    "Prior",
    "TextModel",
    "TrainingRecipe",
    "fit",
    "learn_prior",
    "load",
    "probabilities_for",
]
