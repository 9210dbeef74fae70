"""What learning curves must show, cell by cell and over all cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sampling import Curve, Replay

PEER = "two-step k-means"


@dataclass(frozen=True)
class Row:
    """One cell's curves."""

    name: str
    bar: str
    played: Replay

    def gain(self, plan: str, against: str) -> tuple[float, float, float]:
        """Of area, in parts of what `against` has: mean, low, high."""
        base = float(self.played.area(against).mean[0])
        apart: Curve = self.played.area(plan, against=against)
        return tuple(float(x[0]) / base for x in (apart.mean, apart.low, apart.high))  # type: ignore[return-value]

    def has(self, plan: str) -> bool:
        return plan in self.played.plans

    @property
    def labels_share(self) -> float:
        """Labels that the default plan needs for random's last score, over random's."""
        last = float(self.played.curve("random").mean[-1])
        return self.played.labels_to_reach("default", last) / float(self.played.budgets[-1])

    @property
    def minutes_share(self) -> float:
        """Reviewer seconds to random's last score by worth per second, over the default plan's."""
        last = float(self.played.curve("random").mean[-1])
        wanted = [_seconds_to(self.played, plan, last) for plan in ("per second", "default")]
        return wanted[0] / wanted[1]

    def figures(self) -> dict[str, Any]:
        plans = {
            plan: {
                "curve": self.played.curve(plan).mean.round(5).tolist(),
                "area": float(self.played.area(plan).mean[0]),
                "against_random": self.gain(plan, "random"),
                "against_margin": self.gain(plan, "margin"),
            }
            for plan in self.played.plans
        }
        budgets = self.played.budgets.tolist()
        return {"cell": self.name, "bar": self.bar, "budgets": budgets, "plans": plans}

    def line(self) -> str:
        parts = [f"{self.name:42s} labels to random's last {self.labels_share:4.2f}"]
        for plan in self.played.plans:
            if plan == "random":
                parts.append(f"random {float(self.played.area(plan).mean[0]):.4f}")
                continue
            parts.append(f"{plan} {_shown(self.gain(plan, 'random'))}")
        parts.append(f"default - margin {_shown(self.gain('default', 'margin'))}")
        if self.has(PEER):
            parts.append(f"default - peer {_shown(self.gain('default', PEER))}")
        if self.has("per second"):
            parts.append(f"minutes by worth per second {self.minutes_share:.2f}")
        return "\n    ".join(parts)


def judge(rows: list[Row]) -> int:
    """Print each bar with what was found. 0 if all are met, 1 if one is missed."""
    met = [ok for bar in (_binary, _many, _benign, _islands) for ok in bar(rows)]
    return 0 if all(met) else 1


def _binary(rows: list[Row]) -> list[bool]:
    mine = [row for row in rows if row.bar == "binary"]
    if not mine:
        return []
    over = [row.gain("default", "random") for row in mine]
    margin = [row.gain("default", "margin") for row in mine]
    shares = [row.labels_share for row in mine]
    return [
        _say("binary: above random with confidence", min(g[1] for g in over), "> 0"),
        _say("binary: median area over random", float(np.median([g[0] for g in over])), ">= .08"),
        _say("binary: labels to random's last, median", float(np.median(shares)), "<= .50"),
        _say("binary: labels to random's last, worst", max(shares), "<= .70"),
        _say("binary: never below margin with confidence", min(g[2] for g in margin), ">= 0"),
    ]


def _many(rows: list[Row]) -> list[bool]:
    return [
        ok
        for row in rows
        if row.bar == "multi-label"
        for ok in (
            _say(f"{row.name}: above random", row.gain("default", "random")[1], "> 0"),
            _say(f"{row.name}: above margin", row.gain("default", "margin")[0], "> 0"),
        )
    ]


def _benign(rows: list[Row]) -> list[bool]:
    return [
        _say(f"{row.name}: not far below random", row.gain("default", "random")[0], ">= -.01")
        for row in rows
        if row.bar == "benign"
    ]


def _islands(rows: list[Row]) -> list[bool]:
    found = []
    for row in rows:
        if row.bar == "islands logreg":
            found += [
                _say(f"{row.name}: above random", row.gain("default", "random")[1], "> 0"),
                _say(f"{row.name}: above margin", row.gain("default", "margin")[1], "> 0"),
            ]
            if row.has(PEER):
                apart = float(row.played.area("default", against=PEER).mean[0])
                found.append(_say(f"{row.name}: area less the peer's", apart, ">= -.005"))
        if row.bar == "islands balanced":
            over = row.gain("default", "random")[2]
            found.append(_say(f"{row.name}: not below random with confidence", over, ">= 0"))
    return found


def _say(what: str, value: float, bar: str) -> bool:
    relation, number = bar.split()
    limit = float(number)
    met = {">": value > limit, ">=": value >= limit, "<=": value <= limit}[relation]
    print(f"{'met   ' if met else 'MISSED'} {what}: {value:+.4f} (bar {bar})")
    return bool(met)


def _shown(gain: tuple[float, float, float]) -> str:
    return f"{gain[0]:+.1%} [{gain[1]:+.1%}, {gain[2]:+.1%}]"


def _seconds_to(played: Replay, plan: str, score: float) -> float:
    """Reviewer seconds at which the mean curve first reaches `score`; NaN where it never does."""
    assert played.seconds is not None
    at = played.plans.index(plan)
    spent, curve = played.seconds[at].mean(axis=0), played.scores[at].mean(axis=0)
    reached = np.flatnonzero(curve >= score)
    if not len(reached):
        return float("nan")
    place = int(reached[0])
    if place == 0:
        return float(spent[0])
    part = (score - curve[place - 1]) / (curve[place] - curve[place - 1])
    return float(spent[place - 1] + part * (spent[place] - spent[place - 1]))
