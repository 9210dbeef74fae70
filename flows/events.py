"""What the end of a step sets off, from its result alone."""

from __future__ import annotations

from typing import Any

LABELS_READY = "hitl.labels.ready"
SNAPSHOT_FROZEN = "hitl.snapshot.frozen"
CHALLENGER_TRAINED = "hitl.challenger.trained"
CHALLENGER_DECIDED = "hitl.challenger.decided"
CHAMPION_PROMOTED = "hitl.champion.promoted"
CHAMPION_DECIDED = "hitl.champion.decided"
CERTIFICATES_ISSUED = "hitl.certificates.issued"
CERTIFICATE_WITHDRAWN = "hitl.certificate.withdrawn"
DRIFT_ALARMED = "hitl.drift.alarmed"
RETRAIN_DECIDED = "hitl.retrain.decided"

_DECISIONS_A_BAR = 10  # while labels speak for training and something else does not


def events_after(name: str, result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What a step's result sets off. A snapshot or a challenger that stood before sets off nothing:

    the run that made it did, and the nightly schedule mends an event that was lost.
    """
    report = result["report"]
    if name == "collect_annotations" and result["new_labels"] >= result["retrain_after"]:
        # Answers come in by the minute. What was decided on nearly as many need not be again.
        if result["undecided"] < max(1, result["retrain_after"] // _DECISIONS_A_BAR):
            return []
        return [(LABELS_READY, {"labels": result["new_labels"]})]
    if name == "decide_retrain" and report["retrain"]:
        # Also of a decision that stood before: freezing twice leaves one snapshot.
        fired = [one["rule"] for one in report["reasons"] if one["fired"]]
        return [(RETRAIN_DECIDED, {"labels": report["new_labels"], "reasons": fired})]
    if name == "watch_drift" and (report["raised"] or report["lasting"]):
        told = {"raised": report["raised"], "lasting": report["lasting"]}
        return [(DRIFT_ALARMED, told | {"window_end": report["end"]})]
    if name == "freeze_snapshot" and report["is_new"]:
        return [(SNAPSHOT_FROZEN, {"snapshot_id": report["snapshot_id"]})]
    if name == "train_challenger" and report["is_new"]:
        return [(CHALLENGER_TRAINED, {"model_version": report["model_version"]})]
    if name == "shadow" and report["is_first"]:
        return [(CHALLENGER_DECIDED, {"model_version": report["model_version"]})]
    if name == "promote_champion" and report["promoted"]:
        return [(CHAMPION_PROMOTED, {"model_version": report["model_version"]})]
    if name == "rescore" and report["is_first"]:
        return [(CHAMPION_DECIDED, {"model_version": report["model_version"]})]
    if name == "monitor" and (gone := sum(one["is_withdrawn"] for one in report["watched"])):
        model_version = report["model_version"]
        return [(CERTIFICATE_WITHDRAWN, {"model_version": model_version, "certificates": gone})]
    if name == "certify" and any(one["is_new"] for one in report["found"]):
        return [(CERTIFICATES_ISSUED, {"model_version": report["model_version"]})]
    return []
