"""How good decisions and models are, with intervals; and whether a challenger may take over."""

from hitl.evaluation.cells import MEASURES
from hitl.evaluation.comparisons import holm
from hitl.evaluation.errors import BadArrays, BadLevel, UnknownMetric
from hitl.evaluation.estimators import METRICS, Estimate, Kind, PostStrata, estimate
from hitl.evaluation.gate import cannot_compare, judge
from hitl.evaluation.intervals import (
    CellTotal,
    Interval,
    clopper_pearson,
    gamma_limits,
    newcombe,
    share_limits,
    wilson,
)
from hitl.evaluation.measures import MACRO, Measure, evaluate
from hitl.evaluation.paired import Gain, gain_in_average_precision
from hitl.evaluation.ranking import average_precision
from hitl.evaluation.thresholds import Threshold, certify_precision, certify_recall
from hitl.evaluation.verdict import GateRules, Outcome, Reason, Verdict, VerdictDecision

__all__ = [
    "MACRO",
    "MEASURES",
    "METRICS",
    "BadArrays",
    "BadLevel",
    "CellTotal",
    "Estimate",
    "Gain",
    "GateRules",
    "Interval",
    "Kind",
    "Measure",
    "Outcome",
    "PostStrata",
    "Reason",
    "Threshold",
    "UnknownMetric",
    "Verdict",
    "VerdictDecision",
    "average_precision",
    "cannot_compare",
    "certify_precision",
    "certify_recall",
    "clopper_pearson",
    "estimate",
    "evaluate",
    "gain_in_average_precision",
    "gamma_limits",
    "holm",
    "judge",
    "newcombe",
    "share_limits",
    "wilson",
]
