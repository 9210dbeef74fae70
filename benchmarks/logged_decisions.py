"""A decision log in fortnights: what was there when, what each model decided, what is true of it.

`replayed` draws its audits and weighs them in memory, by the loop's own functions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.demo.real_log import real_scene
from flows.measuring.window import Slicing, known_counts
from flows.selecting.standing_for import Crowd, draw_audits
from hitl import datasets
from hitl.decisions import content_hash
from hitl.evaluation import EstimateTable, Kind, estimate_tables
from hitl.evaluation.audit import AuditDraw, levelled
from hitl.evaluation.window import FlagCounts
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import ModelVersion, Split
from hitl.selection import Candidates

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

FORTNIGHT = timedelta(days=14)
MEASURING = 0.9
METRICS = ("prevalence", "precision", "recall")
KINDS: tuple[Kind, ...] = ("certified", "descriptive")


@dataclass(frozen=True)
class Log:
    """N items by their ids, C categories, B batches, S surfaces.

    `joined` (N,) is the batch before which an item came; `gold` (N, C), NaN where its collection
    says nothing; `newest` (B, N, C) what any model said of it until then, NaN where none did;
    `said` (N, C) what each model said last. `surface` (N,) counts from 0.
    """

    policy: Policy
    recipe: Recipe
    content: pd.DataFrame
    decisions: pd.DataFrame
    ends: tuple[datetime, ...]
    item_ids: NDArray[Any]
    joined: IntArray
    surface: IntArray
    surfaces: tuple[str, ...]
    gold: FloatArray
    newest: FloatArray
    said: Mapping[ModelVersion, FloatArray]
    measures: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.item_ids)

    def decided(self, model: ModelVersion) -> NDArray[np.bool_]:
        """Which items a model decided on."""
        found: NDArray[np.bool_] = ~np.isnan(self.said[model]).all(axis=1)
        return found

    def truth_and_flags(self, model: ModelVersion) -> tuple[FloatArray, NDArray[np.bool_]]:
        """(N, C) each; NaN where nobody knows, or the model does not know the category."""
        said = self.said[model]
        thresholds = np.array([one.threshold for one in self.policy.category])
        flagged = np.where(np.isnan(said), 0.0, said) >= thresholds
        return np.where(np.isnan(said), np.nan, self.gold), flagged


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one model: (kinds, metrics, surfaces + 1, C) each; the first of a surface is all of it.
    NaN where a code stands."""

    value: FloatArray
    low: FloatArray
    high: FloatArray
    steady: NDArray[np.bool_]
    events: FloatArray
    code: NDArray[np.str_]
    naive: FloatArray
    naive_n: FloatArray


def read_log(source: Path, *, batch: int, floor: float) -> Log:
    """The log as the demo reads it, in fortnights; `batch` audits each, `floor` of them evenly.

    Every category's precision and recall are aimed at, on every surface alike. Nine groups of ten
    measure.
    """
    with tempfile.TemporaryDirectory(prefix="hitl-log-") as folder:
        scene = real_scene(source, Path(folder))
        content = pd.read_parquet(scene.content)
        decisions = pd.read_parquet(scene.decisions)
    categories = scene.policy.category_ids
    scores = [scene.recipe.intake.decisions.probabilities[one] for one in categories]
    policy = scene.policy.model_copy(
        update={
            "category": tuple(
                one.model_copy(update={"obligation": None}) for one in scene.policy.category
            )
        }
    )
    recipe = scene.recipe.model_copy(
        update={
            "selection": scene.recipe.selection.model_copy(
                update={
                    "batch_size": round(batch / 0.8),
                    "audit_fraction": 0.8,
                    "audit_floor": floor,
                    "measuring_fraction": MEASURING,
                }
            ),
            "certify": scene.recipe.certify.model_copy(update={"by": "surface"}),
        }
    )
    content = content.sort_values("content_id", ignore_index=True)
    decisions = decisions.sort_values(["created_at", "model_version"], ignore_index=True)
    first = content["created_at"].min()
    count = int((decisions["created_at"].max() - first) / FORTNIGHT) + 1
    ends = [first.to_pydatetime() + FORTNIGHT * (k + 1) for k in range(count)]
    edges = pd.DatetimeIndex(ends)
    content["batch"] = edges.searchsorted(content["created_at"])
    decisions["batch"] = edges.searchsorted(decisions["created_at"])
    row = pd.Series(np.arange(len(content)), index=content["content_id"])
    at, said_now = row[decisions["content_id"]].to_numpy(), decisions[scores].to_numpy(dtype=float)
    newest = np.full((count, len(content), len(categories)), np.nan)
    for k in range(count):
        newest[k] = newest[k - 1] if k else np.nan
        now = (decisions["batch"] == k).to_numpy()
        newest[k, at[now]] = said_now[now]
    said: dict[ModelVersion, FloatArray] = {}
    for version in sorted(set(decisions["model_version"])):
        mine = (decisions["model_version"] == version).to_numpy()
        said[ModelVersion(version)] = np.full((len(content), len(categories)), np.nan)
        said[ModelVersion(version)][at[mine]] = said_now[mine]
    surfaces, surface = np.unique(content["surface"].to_numpy(dtype=str), return_inverse=True)
    gold = scene.pool.gold[[scene.pool.row_of[one] for one in content["content_id"]]]

    return Log(
        policy=policy,
        recipe=recipe,
        content=content,
        decisions=decisions,
        ends=tuple(ends),
        item_ids=content["content_id"].to_numpy(dtype=object),
        joined=content["batch"].to_numpy(dtype=np.intp),
        surface=surface.astype(np.intp),
        surfaces=tuple(surfaces.tolist()),
        gold=gold,
        newest=newest,
        said=said,
        measures=measuring([content_hash(one) for one in content["text"]]),
    )


def measuring(groups: Sequence[str]) -> NDArray[np.bool_]:
    """Which items of these groups measure."""
    parts = datasets.sides(groups, measuring_fraction=MEASURING)
    return np.array([one is Split.TEST for one in parts])


def seed_of(run: int, batch: int) -> int:
    return 1000 * run + batch


def replayed(log: Log, *, run: int) -> dict[ModelVersion, Figures]:
    """Draw every fortnight's audit, answer it with the gold, and measure each model."""
    rule = log.recipe.selection
    wanted = round(rule.batch_size * rule.audit_fraction)
    row_of = {name: k for k, name in enumerate(log.item_ids.tolist())}
    free = log.measures.copy()
    names = np.array(log.surfaces, dtype=object)[log.surface]
    draws: list[AuditDraw] = []
    rows: list[int] = []
    batches: list[int] = []
    chances: list[float] = []
    for number, end in enumerate(log.ends):
        there = np.flatnonzero(free & (log.joined <= number))
        nothing = np.zeros(len(there), dtype=np.int64)
        candidates = Candidates(
            log.item_ids[there], log.item_ids[there], log.newest[number, there],
            nothing.astype(bool), nothing.astype(bool), nothing, names[there], end,
        )  # fmt: skip
        crowd = Crowd(candidates, np.arange(len(there)), nothing.astype(bool))
        made = draw_audits(
            crowd, log.policy, limit=wanted, floor=rule.audit_floor, seed=seed_of(run, number)
        )
        draws.append(AuditDraw(len(there), len(made.picks), len(made.picks), **made.draw))
        for pick in made.picks:
            rows.append(row_of[pick.item_id])
            batches.append(number)
            chances.append(float(pick.inclusion_probability or 0.0))
        free[rows] = False
    at = np.array(rows, dtype=np.intp)
    counts = levelled(
        draws, batch=np.array(batches), epoch=log.joined[at], chance=np.array(chances)
    )
    return {
        model: _figures(log, model, at, counts.weight, counts.variance, counts.most)
        for model in log.said
    }


def _figures(
    log: Log,
    model: ModelVersion,
    at: IntArray,
    weight: FloatArray,
    variance: FloatArray,
    most: FloatArray,
) -> Figures:
    decided = log.decided(model)
    mine = decided[at]
    rows = at[mine]
    truth, flagged = log.truth_and_flags(model)
    asked = list(zip(log.policy.category_ids, truth[rows].T, flagged[rows].T, strict=True))
    known = ~np.isnan(log.said[model][decided])
    counts = FlagCounts(
        items=np.ones(int(decided.sum())),
        flags=np.where(known, flagged[decided], np.nan),
        columns={"surface": np.array(log.surfaces, dtype=object)[log.surface[decided]]},
        counted_one_in=1,
    )
    tables: list[list[list[EstimateTable]]] = [[[] for _ in METRICS] for _ in KINDS]
    everything = np.ones(len(rows), dtype=np.bool_)
    for slicing in (
        Slicing("", ("",), np.zeros(len(rows), dtype=np.int64), everything),
        Slicing("surface", log.surfaces, log.surface[rows].astype(np.int64), everything),
    ):
        strata = known_counts(counts, slicing, asked, log.policy)
        for k, kind in enumerate(KINDS):
            made = estimate_tables(
                METRICS,
                truth=truth[rows],
                flagged=flagged[rows],
                inclusion_probability=1.0 / weight[mine],
                variance_weight=variance[mine],
                groups=slicing.group,
                size=len(slicing.values),
                kind=kind,
                post_strata=strata if kind == "descriptive" else None,
                largest_weight=float(most[log.joined[decided]].max()),
            )
            for m, table in enumerate(made):
                tables[k][m].append(table)

    def stacked(name: str) -> NDArray[Any]:
        return np.array(
            [
                [np.concatenate([getattr(one, name) for one in both]) for both in of_kind]
                for of_kind in tables
            ]
        )

    return Figures(
        stacked("value"), stacked("low"), stacked("high"), ~stacked("unstable"),
        stacked("n_events"), stacked("code"), *shares(log, model, rows),
    )  # fmt: skip


def shares(log: Log, model: ModelVersion, rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """The plain share among these items, and of how many: (metrics, surfaces + 1, C) each."""
    truth, flagged = log.truth_and_flags(model)
    found = np.full((len(METRICS), len(log.surfaces) + 1, truth.shape[1]), np.nan)
    of = np.zeros_like(found)
    for place in range(len(log.surfaces) + 1):
        here = rows if place == 0 else rows[log.surface[rows] == place - 1]
        known, yes, flag = ~np.isnan(truth[here]), truth[here] == 1.0, flagged[here]
        for m, (part, whole) in enumerate(
            ((yes, known), (yes & flag, known & flag), (yes & flag, yes))
        ):
            total = of[m, place] = whole.sum(axis=0)
            found[m, place] = np.where(total > 0, part.sum(axis=0) / np.maximum(total, 1), np.nan)
    return found, of
