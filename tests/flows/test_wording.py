"""How pages say a figure."""

from __future__ import annotations

from dataclasses import replace

from flows.reporting.wording import as_share
from hitl.evaluation.measurements import Measurement

STEADY = Measurement(
    metric="recall", category="hate", slice_name="", slice_value="", kind="descriptive", value=0.84,
    low=0.52, high=0.91, n=60, n_effective=40.0, code=None, method="gmover",
)  # fmt: skip


def test_a_figure_is_told_with_its_interval_and_that_it_is_unstable() -> None:
    assert "84.0% (52.0% to 91.0%)" == as_share(STEADY)
    assert "84.0% (52.0% to 91.0%), unstable" == as_share(replace(STEADY, unstable=True))


def test_a_code_stands_in_place_of_a_number() -> None:
    without = replace(STEADY, value=None, low=None, high=None, code="too_few_events")

    assert "too_few_events" == as_share(without)
    assert "-" == as_share(None)
