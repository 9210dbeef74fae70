"""The pictures are written, hold what they were given, and stand odd figures."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from flows.demo.pictures import (
    Bar,
    BeforeAfter,
    Line,
    before_after,
    draw_before_after,
    draw_learning_curve,
    learning_curve,
)
from flows.demo.stream import make_scene
from hitl import defaults
from hitl.evaluation import Measure
from hitl.policy import load_policy
from hitl.recipe import load_recipe
from tests.demo.test_demo_replay import played


def curve(name: str, *, height: float, width: float = 0.05) -> Line:
    mean = height + 0.1 * np.arange(4)
    return Line(name, [100, 200, 300, 400], mean, mean - width, mean + width)


def inked(path: Path) -> np.ndarray:
    """Where a picture is not white, (height, width)."""
    return (matplotlib.image.imread(path)[..., :3] < 0.97).any(axis=2)


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [
        draw_learning_curve(
            tmp_path / f"{k}.png",
            active=curve("chosen", height=0.4),
            random=curve("random", height=0.3),
            heading="a finding",
            note="where from",
        )
        for k in range(2)
    ]

    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("gap", [0.2, 0.01, 0.0, -0.2])
def test_nothing_runs_over_the_edge(tmp_path: Path, gap: float) -> None:
    path = draw_learning_curve(
        tmp_path / "deep" / "curve.png",
        active=curve("chosen", height=0.4 + gap),
        random=curve("random", height=0.4),
        heading="510 chosen labels reach what 1,000 random ones do",
        note="Synthetic stream. Replayed in memory with error-free answers; mean of 5 seeds.",
        production=0.35,
    )

    ink = inked(path)
    assert ink.any()
    assert not ink[:, -6:].any()
    assert not ink[:, :6].any()


def test_a_single_seed_has_a_line_and_no_band(tmp_path: Path) -> None:
    path = learning_curve(played(seeds=(1,)), tmp_path / "curve.png")

    assert inked(path).any()


def test_a_replay_is_drawn_with_its_finding(tmp_path: Path) -> None:
    assert inked(learning_curve(played(), tmp_path / "curve.png")).any()


def test_bars_stand_without_a_value_or_an_interval(tmp_path: Path) -> None:
    rows = [
        BeforeAfter("Hate", Bar(0.3, 0.2, 0.4), Bar(1.0, 0.9, 1.0)),
        BeforeAfter("Spam", Bar(None), Bar(0.5)),
    ]

    path = draw_before_after(
        tmp_path / "bars.png", precision=rows, recall=rows, heading="a finding", note="where from"
    )

    assert inked(path).any()
    assert not inked(path)[:, -6:].any()


def test_figures_of_two_models_become_bars(tmp_path: Path) -> None:
    scene = make_scene(
        tmp_path,
        policy=load_policy(defaults.folder() / "policy.toml"),
        recipe=load_recipe(defaults.folder() / "recipe.toml"),
        items=300,
        test_items=200,
    )

    def figure(metric: str, category: str, value: float) -> Measure:
        return Measure(metric, category, "", "", value, value - 0.1, value + 0.1, 9, 3, None, "")

    low = [figure("precision", "hate", 0.2), figure("average_precision", "macro", 0.3)]
    high = [figure("precision", "hate", 0.8), figure("average_precision", "macro", 0.7)]

    before = inked(before_after(low, low, scene, tmp_path / "a.png")).sum()
    after = inked(before_after(low, high, scene, tmp_path / "b.png")).sum()

    assert after > before
