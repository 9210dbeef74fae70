"""Freezing is safe at any instruction: the same labels give one folder and one row."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from flows.freeze_snapshot import NothingToFreeze, freeze_snapshot
from hitl import datasets
from hitl.datasets import read_snapshot, side
from hitl.db import begin
from hitl.labels import resolve_entries
from hitl.policy import Policy
from hitl.recipe import Recipe
from hitl.records import Split
from tests.builders import add_policy
from tests.labels.builders import annotate, asked

pytestmark = pytest.mark.postgres

TRAINING_GROUP = next(
    f"g{k}"
    for k in range(100)
    if side(f"g{k}", measuring_fraction=Recipe().selection.measuring_fraction) is Split.TRAIN
)


def labelled(engine: Engine, count: int = 8) -> Policy:
    with begin(engine) as tx:
        policy, entries = asked(tx, [f"i{k}" for k in range(count)])
        for k, entry in enumerate(entries):
            annotate(tx, entry, {"hate": k % 2 == 0, "spam": False})
        # All on the training side, where picks of a deterministic strategy belong.
        tx.execute(text("UPDATE items SET group_id = :group"), {"group": TRAINING_GROUP})
        resolve_entries(tx, entries, policy)
    return policy


def snapshot_rows(engine: Engine) -> list[tuple[object, ...]]:
    with begin(engine) as tx:
        return [tuple(row) for row in tx.execute(text("SELECT * FROM snapshots"))]


def test_labels_become_a_snapshot_on_disk_and_a_row(engine: Engine, tmp_path: Path) -> None:
    policy = labelled(engine)

    report = freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path)

    found = read_snapshot(report.path)
    assert (8, 16, True) == (report.examples, report.labels, report.is_new)
    assert [f"i{k}" for k in range(8)] == [one.item_id for one in found.examples]
    (row,) = snapshot_rows(engine)
    assert (report.snapshot_id, policy.policy_id, str(report.path), 8, 16) == row[:5]


def test_the_same_labels_twice_are_one_snapshot(engine: Engine, tmp_path: Path) -> None:
    policy = labelled(engine)
    first = freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path)
    before = snapshot_rows(engine)

    again = freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path)

    assert first.snapshot_id == again.snapshot_id
    assert not again.is_new
    assert before == snapshot_rows(engine)
    assert [first.path] == list(tmp_path.iterdir())


def test_a_new_label_is_a_new_snapshot_and_the_old_one_stays(
    engine: Engine, tmp_path: Path
) -> None:
    policy = labelled(engine)
    first = freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path)
    before = read_snapshot(first.path)
    with begin(engine) as tx:
        entry = tx.execute(text("SELECT min(entry_id) FROM entries")).scalar_one()
        annotate(tx, entry, {"hate": False, "spam": True}, version=1)
        resolve_entries(tx, [entry], policy)

    second = freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path)

    assert first.snapshot_id != second.snapshot_id
    assert before == read_snapshot(first.path)
    assert 2 == len(snapshot_rows(engine))


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", ["write_snapshot", "record_snapshot"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_any_step_it_comes_out_the_same(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    policy = labelled(engine)
    real = getattr(datasets, step)

    def dies(*args: object, **named: object) -> None:
        if when == "after":
            real(*args, **named)
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(datasets, step, dies)
        freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path)
    report = freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path)

    assert 8 == len(read_snapshot(report.path).examples)
    assert [report.snapshot_id] == [row[0] for row in snapshot_rows(engine)]
    assert [report.path] == list(tmp_path.iterdir())


def test_a_snapshot_whose_folder_is_lost_is_made_again_from_its_labels(
    engine: Engine, tmp_path: Path
) -> None:
    policy = labelled(engine)
    first = freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path)
    kept = read_snapshot(first.path)
    first.path.rename(tmp_path.parent / f"lost-{tmp_path.name}")

    again = freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path)

    assert kept == read_snapshot(again.path)


def test_after_a_move_of_the_folder_the_row_says_where_the_files_are(
    engine: Engine, tmp_path: Path
) -> None:
    policy = labelled(engine)
    freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path / "before")

    again = freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path / "after")

    assert not again.is_new
    assert [str(again.path)] == [row[2] for row in snapshot_rows(engine)]


def test_nothing_labelled_says_what_to_do(engine: Engine, tmp_path: Path) -> None:
    with begin(engine) as tx:
        policy = add_policy(tx)

    with pytest.raises(NothingToFreeze, match="label some in Label Studio"):
        freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path)

    assert [] == list(tmp_path.iterdir())


def test_labelled_items_that_may_neither_train_nor_measure_are_counted(
    engine: Engine, tmp_path: Path
) -> None:
    policy = labelled(engine)
    with begin(engine) as tx:
        moved = next(
            f"g{k}" for k in range(100) if side(f"g{k}", measuring_fraction=0.25) is Split.TEST
        )
        tx.execute(
            text("UPDATE items SET group_id = :group WHERE item_id IN ('i0', 'i1')"),
            {"group": moved},
        )

    report = freeze_snapshot(engine, policy=policy, recipe=Recipe(), folder=tmp_path)

    assert (6, 0, 2) == (report.training_examples, report.test_examples, report.left_out)
