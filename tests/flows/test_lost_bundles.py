"""A bundle that is lost, damaged, exchanged or moved stops nobody for good, and is never used."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine

from flows.deciding.bundles import BundleLost, load_registered
from flows.promote_champion import PromoteReport
from flows.rescore import rescore
from flows.train_challenger import TrainingNotRepeated
from hitl.policy import Policy
from hitl.records import ModelVersion
from hitl.training.bundle import MANIFEST, TENSORS
from tests.flows.models import (
    SEED,
    add_worse,
    champion_of,
    count,
    crown,
    judge,
    promote,
    record_of,
    train,
)
from tests.flows.worlds import fill, label_batch

pytestmark = pytest.mark.postgres


def with_champion(engine: Engine, folder: Path) -> tuple[Policy, ModelVersion]:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    train(engine, policy, folder)
    return policy, crown(engine, policy, folder)


def lose(folder: Path) -> None:
    shutil.rmtree(folder)


def leave_unfinished(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def damage(folder: Path) -> None:
    content = bytearray((folder / TENSORS).read_bytes())
    content[-1] ^= 1
    (folder / TENSORS).write_bytes(content)


def exchange(folder: Path) -> None:
    """By the whole bundle of another model."""
    other = next(one for one in folder.parent.iterdir() if one != folder)
    shutil.rmtree(folder)
    shutil.copytree(other, folder)


@pytest.mark.parametrize("happened", [lose, leave_unfinished, damage, exchange])
def test_without_the_champions_bundle_a_person_decides(
    engine: Engine, tmp_path: Path, happened: object
) -> None:
    policy, champion = with_champion(engine, tmp_path)
    newer = train(engine, policy, tmp_path, seed=SEED + 1).model_version
    assert callable(happened)
    happened(Path(record_of(engine, champion).path))

    report: PromoteReport = promote(engine, policy, tmp_path)

    assert ("insufficient", False) == (report.decision, report.promoted)
    assert f"nothing was compared: model {champion}" in report.reasons[0]
    assert "hitl train --snapshot" in report.reasons[0]
    assert champion == champion_of(engine, policy)
    with pytest.raises(BundleLost):
        rescore(engine, policy=policy)
    assert newer == crown(engine, policy, tmp_path)
    assert 1 == count(engine, "SELECT count(*) FROM promotions WHERE verdict_id IS NULL")


@pytest.mark.parametrize("happened", [lose, leave_unfinished, damage, exchange])
def test_training_again_makes_a_lost_bundle_to_the_byte(
    engine: Engine, tmp_path: Path, happened: object
) -> None:
    policy, champion = with_champion(engine, tmp_path)
    add_worse(engine, policy, like=champion)
    record = record_of(engine, champion)
    assert callable(happened)
    happened(Path(record.path))

    again = train(engine, policy, tmp_path)

    assert (champion, False, False) == (again.model_version, again.is_new, again.awaits_promotion)
    assert record.digest == load_registered(record).digest
    assert "refuse" == judge(engine, policy).decision


def test_what_an_interrupted_training_left_is_replaced(engine: Engine, tmp_path: Path) -> None:
    policy = fill(engine)
    label_batch(engine, policy, batch_id="b1")
    made = train(engine, policy, tmp_path)
    record = record_of(engine, made.model_version)
    elsewhere = tmp_path / "other"
    # The same name in another state folder, with what no row speaks of.
    left = elsewhere / "models" / made.model_version
    shutil.copytree(record.path, left)
    (left / MANIFEST).unlink()
    lose(Path(record.path))

    again = train(engine, policy, elsewhere)

    assert made.model_version == again.model_version
    assert str(left) == record_of(engine, made.model_version).path
    assert record.digest == load_registered(record_of(engine, made.model_version)).digest


def test_a_moved_state_folder_is_found_again(engine: Engine, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    policy, champion = with_champion(engine, before)
    before.rename(after)

    train(engine, policy, after)
    newer = train(engine, policy, after, seed=SEED + 1).model_version
    report = judge(engine, policy)

    assert str(after / "models" / champion) == record_of(engine, champion).path
    assert (newer, champion) == (report.model_version, report.champion_before)
    assert "nothing was compared" not in report.reasons[0]
    assert champion == rescore(engine, policy=policy).model_version


def test_a_training_that_comes_out_otherwise_now_is_refused(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, champion = with_champion(engine, tmp_path)
    record = record_of(engine, champion)
    lose(Path(record.path))
    monkeypatch.setattr("platform.python_version", lambda: "another")

    with pytest.raises(TrainingNotRepeated, match="another --seed"):
        train(engine, policy, tmp_path)

    assert not Path(record.path).exists()
