"""The soak itself: one round of it stands, and it hears of what is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hitl.db import begin
from tests.conftest import RunningLabelStudio
from tests.faults.killing import seed_of
from tests.faults.soak import Broken, Soak, soaking

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]


@pytest.fixture
def soak(
    label_studio_server: RunningLabelStudio,
    postgres_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Soak]:
    monkeypatch.setenv("HITL_TEST_POSTGRES", postgres_url)
    monkeypatch.setenv(
        "HITL_TEST_LABEL_STUDIO", f"{label_studio_server.url} {label_studio_server.token}"
    )
    with soaking(tmp_path, seed_of("soak")) as made:
        yield made


def test_a_round_with_every_step_cut_off_leaves_nothing_lost_or_doubled(soak: Soak) -> None:
    soak.round()

    assert soak.done["kills"] + soak.done["Postgres cuts"] >= 3
    assert 1 == soak.done["recoveries without a loss"]


def test_an_answer_that_is_gone_from_our_tables_is_heard_of(soak: Soak) -> None:
    soak.round()
    assert soak.storm.given, "nobody answered"
    with begin(soak.storm.engine) as tx:
        tx.exec_driver_sql("ALTER TABLE votes DISABLE TRIGGER ALL")
        tx.exec_driver_sql("ALTER TABLE annotations DISABLE TRIGGER ALL")
        tx.exec_driver_sql("DELETE FROM votes")

    with pytest.raises(Broken, match=r"lost|votes"):
        soak.recover()
