"""`hitl report`: pages land where they were asked for, figures where a program asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from flows import steps
from flows.cli import app, report
from flows.fairness_report import FairnessReport
from flows.model_report import ModelReport
from flows.reporting.model_pictures import Pictured
from flows.weekly_report import WeeklyReport
from hitl.records import ModelVersion
from hitl.reports import Page, Picture, Words, Work

PAGE = Page("A title", "about it", [Words("None of it."), Picture("drawn", "<svg></svg>", "lines")])
WORK = Work(10, 1, 2, 3, 3, 0, 1, 2, 4.5)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    @contextmanager
    def world() -> Iterator[Any]:
        yield SimpleNamespace(settings=SimpleNamespace(state_folder=tmp_path))

    monkeypatch.setattr(report, "open_world", world)
    weekly = WeeklyReport(PAGE, ModelVersion("m1"), WORK, WORK, ())
    fairness = FairnessReport(PAGE, ModelVersion("m1"), 12, ())
    drawn = Pictured("hate", "test side", 9, 3, "too_few_events", (), (), PAGE.pictures)
    model = ModelReport(PAGE, ModelVersion("m1"), (drawn,))
    monkeypatch.setattr(steps, "weekly_report", lambda *_, **__: weekly)
    monkeypatch.setattr(steps, "model_report", lambda *_, **__: model)
    monkeypatch.setattr(steps, "fairness_report", lambda *_, **__: fairness)
    return tmp_path


@pytest.mark.parametrize("name", ["weekly", "fairness"])
def test_a_page_is_written_with_its_picture(state: Path, name: str) -> None:
    done = CliRunner().invoke(app, ["report", name])

    assert 0 == done.exit_code, done.output
    written = {one.name for one in (state / "reports").iterdir()}
    assert {f"{name}.html", f"{name}.md", "drawn.svg"} == written
    assert f"{name}.html" in done.output.replace("\n", "")


def test_a_model_s_page_lies_in_a_folder_of_the_model(state: Path) -> None:
    done = CliRunner().invoke(app, ["report", "model"])

    assert 0 == done.exit_code, done.output
    written = {one.name for one in (state / "reports" / "model" / "m1").iterdir()}
    assert {"model.html", "model.md", "drawn.svg"} == written


def test_a_folder_of_ones_own(state: Path) -> None:
    folder = state / "there"

    done = CliRunner().invoke(app, ["report", "fairness", "--folder", str(folder)])

    assert 0 == done.exit_code, done.output
    assert (folder / "fairness.md").read_text().startswith("# A title")
    assert not (state / "reports").exists()


def test_programs_get_figures_and_no_file(state: Path) -> None:
    weekly = json.loads(CliRunner().invoke(app, ["report", "weekly", "--json"]).output)
    fairness = json.loads(CliRunner().invoke(app, ["report", "fairness", "--json"]).output)
    model = json.loads(CliRunner().invoke(app, ["report", "model", "--json"]).output)

    assert 10 == weekly["work"]["decisions"]
    assert "page" not in weekly
    assert 12 == fairness["labels"]
    assert ("m1", ["too_few_events"]) == (
        model["model_version"], [one["code"] for one in model["pictured"]],
    )  # fmt: skip
    assert "svg" not in json.dumps(model)
    assert not (state / "reports").exists()
