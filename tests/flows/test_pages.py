"""Pages on disk, and names in drawings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from matplotlib.figure import Figure

from flows.model_report import ModelReport
from flows.reporting.drawing import as_svg, plain_name
from flows.reporting.pages import keep, write
from flows.rescore import NoChampion
from flows.steps import reports
from flows.weekly_report import WeeklyReport
from hitl.records import ModelVersion
from hitl.reports import Gallery, Page, Picture, Words, Work
from tests.builders import NOON, make_policy

SMALL = [Picture("a", "<svg/>", "x"), Picture("b", "<svg/>", "y")]
PAGE = Page("A title", "about", [Words("w"), Gallery(SMALL)])
WORK = Work(10, 1, 2, 3, 3, 0, 1, 2, 4.5)


def test_every_picture_lies_beside_its_page_and_no_draft_stays(tmp_path: Path) -> None:
    write(PAGE, tmp_path / "there", name="page")
    path = write(PAGE, tmp_path / "there", name="page")

    assert {"page.html", "page.md", "a.svg", "b.svg"} == {one.name for one in path.parent.iterdir()}


def test_what_was_kept_is_said_without_the_page_itself(tmp_path: Path) -> None:
    kept = keep(PAGE, tmp_path, name="page", subject="m1")

    assert ("m1", 2, kept.path.stat().st_size) == (kept.subject, kept.pictures, kept.size_bytes)


def make_world(folder: Path) -> Any:
    return SimpleNamespace(settings=SimpleNamespace(state_folder=folder), policy=make_policy())


def test_each_week_and_each_model_has_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weekly, model = WeeklyReport(PAGE, None, WORK, WORK, ()), ModelReport(PAGE, ModelVersion("m1"))
    monkeypatch.setattr(reports, "weekly_report", lambda *_, **__: weekly)
    monkeypatch.setattr(reports, "model_report", lambda *_, **__: model)

    week = reports.keep_weekly_page(make_world(tmp_path), end=NOON)
    champion = reports.keep_model_page(make_world(tmp_path))

    kept = tmp_path / "reports"
    assert kept / "weekly" / f"{NOON:%Y-%m-%d}" / "weekly.html" == week.path
    assert kept / "model" / "m1" / "model.html" == champion.path


def test_by_hand_a_week_has_today_in_it_and_what_is_kept_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, bool]] = []

    def report(*_: Any, end: Any, is_over: bool, **__: Any) -> WeeklyReport:
        asked.append((end, is_over))
        return WeeklyReport(PAGE, None, WORK, WORK, ())

    monkeypatch.setattr("flows.weekly_report.weekly_report", report)
    monkeypatch.setattr("flows.steps.clock.now", lambda: NOON)
    world = make_world(tmp_path)
    world.engine = world.recipe = SimpleNamespace(certify=None)

    reports.weekly_report(world)
    reports.keep_weekly_page(world)

    midnight = NOON.replace(hour=0, minute=0, second=0, microsecond=0)
    assert [(midnight + timedelta(days=1), False), (midnight, True)] == asked


def test_without_a_champion_no_page_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "model_report", lambda *_, **__: ModelReport(PAGE, None))

    with pytest.raises(NoChampion):
        reports.keep_model_page(make_world(tmp_path))
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("$x^2$ and $y$", "$x^2$ and $y$"),
        ("a $\\frac of it$", "a $\\frac of it$"),
        ("two\nlines\x01\u202eback", "two lines back"),
        ("n" * 50, "n" * 31 + "…"),
        ("<b>&", "&lt;b&gt;&amp;"),
    ],
)
def test_a_name_is_drawn_as_text(name: str, shown: str) -> None:
    figure = Figure()
    figure.text(0.5, 0.5, plain_name(name))

    assert f">{shown}</text>" in as_svg(figure)
