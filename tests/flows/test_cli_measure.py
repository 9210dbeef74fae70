"""What `hitl measure` prints: metric by metric, by slices, codes, and who answers."""

from __future__ import annotations

import pytest

from flows.cli.figures import lines, show_measured
from flows.measure import MeasureReport
from hitl.evaluation.measurements import Measurement
from hitl.evaluation.window import Response
from hitl.records import ModelVersion
from tests.builders import NOON


def make_figure(metric: str = "recall", **changed: object) -> Measurement:
    fields: dict[str, object] = {
        "category": "hate", "slice_name": "", "slice_value": "", "kind": "descriptive",
        "value": 0.5, "low": 0.4, "high": 0.6, "n": 40, "n_effective": 31.7, "code": None,
        "method": "wilson-neff",
    }  # fmt: skip
    return Measurement(metric=metric, **(fields | changed))  # type: ignore[arg-type]


def make_report(*found: Measurement, cells: tuple[Response, ...] = ()) -> MeasureReport:
    name = ModelVersion("m1")
    return MeasureReport(NOON, NOON, 10, 9, 0, 1, {name: found}, {name: cells})


def test_metrics_are_grouped_in_one_order_and_named_once() -> None:
    metrics = ("recall", "prevalence_views", "prevalence")
    found = [make_figure(metric, category=c) for c in ("hate", "spam") for metric in metrics]

    assert [
        ("violates", "hate"), ("", "spam"), ("violates, by views", "hate"), ("", "spam"),
        ("recall", "hate"), ("", "spam"),
    ] == [line[:2] for line in lines(found, by=False)]  # fmt: skip


def test_a_code_stands_where_the_value_would() -> None:
    [line] = lines(
        [make_figure(value=None, low=None, high=None, code="too_few_events", n_effective=None)],
        by=False,
    )

    assert ("too_few_events", "-", "-", 40, None) == line[2:7]


def test_small_shares_keep_their_digits() -> None:
    [line] = lines([make_figure(value=0.0123, low=0.0101, high=0.1)], by=False)

    assert ("1.23%", "1.01%", "10.0%") == line[2:5]


@pytest.mark.parametrize("kind", ["descriptive", "certified"])
@pytest.mark.parametrize("unstable", [False, True])
def test_it_says_why_a_descriptive_interval_is_the_certified_one(
    kind: str, unstable: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    report = make_report(make_figure(kind=kind, unstable=unstable))

    show_measured(report, kind=kind, by="")

    said = "so the certified one stands there" in " ".join(capsys.readouterr().out.split())
    assert said == (unstable and kind == "descriptive")


def test_a_slice_is_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    report = make_report(
        make_figure(), make_figure(slice_name="language", slice_value="d[e]", n=7),
        make_figure(kind="certified", n=99),
    )  # fmt: skip

    show_measured(report, kind="descriptive", by="language")
    by_language = capsys.readouterr().out
    show_measured(report, kind="descriptive", by="market")

    assert "d[e]" in by_language
    assert "99" not in by_language
    assert "nothing is known by market" in capsys.readouterr().out


def test_who_does_not_answer_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    some = Response(0.3, 0.5, "en", "posts", 40, 20, 0.625)

    show_measured(make_report(make_figure(), cells=(some,)), kind="descriptive", by="")
    told = capsys.readouterr().out
    show_measured(make_report(make_figure()), kind="descriptive", by="")

    assert "0.3 to 0.5" in told
    assert "50.0%" in told
    assert "x 1.60" in told
    assert "who answers" not in capsys.readouterr().out
