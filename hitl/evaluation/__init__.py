"""How good decisions and models are, with intervals; and whether a challenger may take over."""

from hitl.evaluation.backlog import (
    BacklogCertificate,
    alpha_of_look,
    certify_backlog,
    draw_needed,
    most_violating,
)
from hitl.evaluation.bands import (
    Band,
    Shortfall,
    certify_band,
    confidence_of_attempt,
    labels_to_certify,
    thin,
)
from hitl.evaluation.cells import MEASURES
from hitl.evaluation.certificates_kept import Promise, certificates_kept
from hitl.evaluation.comparisons import benjamini_hochberg, holm, mcnemar_mid_p
from hitl.evaluation.curves import OperatingPoint, PrecisionRecall, precision_recall
from hitl.evaluation.drift import Stability, TwoSets, shifted_shares, stability, two_sets
from hitl.evaluation.episodes import Episode, Followed, follow, windows_between
from hitl.evaluation.errors import BadArrays, BadLevel, UnknownMetric
from hitl.evaluation.estimators import estimate
from hitl.evaluation.fairness import GAP_METRICS, Gap, Part, gaps, gaps_of
from hitl.evaluation.forecast import Forecast, days_needed, forecast_labels
from hitl.evaluation.gate import cannot_compare, judge
from hitl.evaluation.identity_terms import speaks_of
from hitl.evaluation.intervals import (
    CellTotal,
    Interval,
    clopper_pearson,
    gamma_limits,
    newcombe,
    share_limits,
    wilson,
)
from hitl.evaluation.live import live_reasons, no_live_reason
from hitl.evaluation.measures import MACRO, Measure, evaluate
from hitl.evaluation.metrics import METRICS, Estimate, Kind, PostStrata
from hitl.evaluation.narrowing import Bought, bought
from hitl.evaluation.paired import Gain, gain_in_average_precision
from hitl.evaluation.paired_rates import RATES, PromisedRate, RateChange, could_show, rate_change
from hitl.evaluation.post_strata import usable_counts
from hitl.evaluation.ranking import average_precision
from hitl.evaluation.reliability_bins import Bin, reliability
from hitl.evaluation.retraining import (
    NEWEST_MODELS,
    Expected,
    Measured,
    RetrainDecision,
    RetrainRule,
    RetrainRules,
    Standing,
    Why,
    decide_retraining,
    expected_gain,
)
from hitl.evaluation.reviewer_error import Corrected, Rate, without_reviewer_error
from hitl.evaluation.sequential import Watch, last_bets, watch_rate
from hitl.evaluation.shifts import (
    About,
    Confusion,
    Scores,
    Shift,
    ShiftKind,
    embedding_shift,
    label_shift,
    mix_shift,
    score_shift,
    together,
)
from hitl.evaluation.tables import EstimateTable, estimate_tables
from hitl.evaluation.thresholds import Threshold, certify_precision, certify_recall
from hitl.evaluation.verdict import (
    GateRules,
    Outcome,
    Reason,
    Verdict,
    VerdictDecision,
    verdict_of,
)

__all__ = [
    "GAP_METRICS",
    "MACRO",
    "MEASURES",
    "METRICS",
    "NEWEST_MODELS",
    "RATES",
    "About",
    "BacklogCertificate",
    "BadArrays",
    "BadLevel",
    "Band",
    "Bin",
    "Bought",
    "CellTotal",
    "Confusion",
    "Corrected",
    "Episode",
    "Estimate",
    "EstimateTable",
    "Expected",
    "Followed",
    "Forecast",
    "Gain",
    "Gap",
    "GateRules",
    "Interval",
    "Kind",
    "Measure",
    "Measured",
    "OperatingPoint",
    "Outcome",
    "Part",
    "PostStrata",
    "PrecisionRecall",
    "Promise",
    "PromisedRate",
    "Rate",
    "RateChange",
    "Reason",
    "RetrainDecision",
    "RetrainRule",
    "RetrainRules",
    "Scores",
    "Shift",
    "ShiftKind",
    "Shortfall",
    "Stability",
    "Standing",
    "Threshold",
    "TwoSets",
    "UnknownMetric",
    "Verdict",
    "VerdictDecision",
    "Watch",
    "Why",
    "alpha_of_look",
    "average_precision",
    "benjamini_hochberg",
    "bought",
    "cannot_compare",
    "certificates_kept",
    "certify_backlog",
    "certify_band",
    "certify_precision",
    "certify_recall",
    "clopper_pearson",
    "confidence_of_attempt",
    "could_show",
    "days_needed",
    "decide_retraining",
    "draw_needed",
    "embedding_shift",
    "estimate",
    "estimate_tables",
    "evaluate",
    "expected_gain",
    "follow",
    "forecast_labels",
    "gain_in_average_precision",
    "gamma_limits",
    "gaps",
    "gaps_of",
    "holm",
    "judge",
    "label_shift",
    "labels_to_certify",
    "last_bets",
    "live_reasons",
    "mcnemar_mid_p",
    "mix_shift",
    "most_violating",
    "newcombe",
    "no_live_reason",
    "precision_recall",
    "rate_change",
    "reliability",
    "score_shift",
    "share_limits",
    "shifted_shares",
    "speaks_of",
    "stability",
    "thin",
    "together",
    "two_sets",
    "usable_counts",
    "verdict_of",
    "watch_rate",
    "wilson",
    "windows_between",
    "without_reviewer_error",
]
