"""A choice that was cut short goes on from what its parts had answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sampling import Plan, Share
from sampling.partition import choose_partitioned
from sampling.partitions import parts
from sampling.partitions.shards import Shard
from sampling.partitions.work import fingerprint
from tests.sampling.pools_in_parts import Watched, as_arrays, make_candidates

PLAN = Plan(
    (
        Share("diverse", "uncertain_diverse", 0.6),
        Share("k_center", "k_center", 0.2),
        Share("random", "random", 0.2),
    )
)

# The driver, dying once it was given so many answers and had kept them.
DRIVER = """
import os, signal, sys
from pathlib import Path
from sampling.partition import choose_partitioned
from sampling.partitions import parts
from sampling.partitions.work import Here
from tests.sampling.test_partition_restart import PLAN, shards_in

class Dying:
    answers = 0
    def each(self, task, calls, common):
        for answer in Here().each(task, calls, common):
            yield answer
            Dying.answers += 1
            if Dying.answers == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)

parts.ROWS_PER_PART = 100
folder = Path(sys.argv[1])
choose_partitioned(PLAN, shards_in(folder), limit=20, seed=1, client=Dying(), work=folder / "work")
"""


def shards_in(folder: Path) -> list[Shard]:
    names = ("ids", "probabilities", "embeddings")
    return [
        Shard(**{name: str(place / f"{name}.npy") for name in names})
        for place in sorted(folder.glob("[0-9]"))
    ]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS_PER_PART", 100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    as_arrays(tmp_path, make_candidates(600), (350,))
    return tmp_path


def asked_for(folder: Path, *, work: Path | None, seed: int = 1) -> tuple[list[str], Sequence[str]]:
    watched = Watched()
    found = choose_partitioned(
        PLAN, shards_in(folder), limit=20, seed=seed, client=watched, work=work
    )
    return [f"{task} {first}" for task, first in watched.asked], found.item_ids


@pytest.mark.parametrize("answers", [1, 8, 20])
def test_after_a_kill_only_what_is_missing_is_asked_again(folder: Path, answers: int) -> None:
    all_asked, expected = asked_for(folder, work=None)

    ended = subprocess.run(
        [sys.executable, "-c", DRIVER, str(folder), str(answers)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
    )
    again, found = asked_for(folder, work=folder / "work")

    assert -signal.SIGKILL == ended.returncode, ended.stderr.decode()
    assert len(all_asked) - answers == len(again)
    assert set(again) < set(all_asked)
    assert expected == found


def test_what_is_done_is_not_asked_again(folder: Path) -> None:
    _asked, expected = asked_for(folder, work=folder / "work")

    assert ([], expected) == asked_for(folder, work=folder / "work")


def test_another_seed_is_another_choice(folder: Path) -> None:
    first, expected = asked_for(folder, work=folder / "work")
    second, other = asked_for(folder, work=folder / "work", seed=2)

    assert expected != other
    assert {one for one in first if "survey" in one} <= set(second)


def test_a_half_written_or_lost_answer_is_asked_again(folder: Path) -> None:
    _asked, expected = asked_for(folder, work=folder / "work")
    kept = sorted((folder / "work").glob("scan-*.arrow"))
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    kept[1].unlink()

    again, found = asked_for(folder, work=folder / "work")

    assert ["scan", "scan"] == [one.split()[0] for one in again]
    assert expected == found


def test_a_changed_shard_is_asked_anew_and_the_other_is_not(folder: Path) -> None:
    asked_for(folder, work=folder / "work")
    changed = folder / "1" / "probabilities.npy"
    np.save(changed, 1.0 - np.load(changed))
    os.utime(changed, (1, 1))

    again, found = asked_for(folder, work=folder / "work")

    surveyed = {int(one.split()[1]) for one in again if one.startswith("survey")}
    assert {350, 450, 550} == surveyed
    assert asked_for(folder, work=None)[1] == found


def test_nothing_is_left_where_no_folder_was_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))

    asked_for(folder, work=None)

    assert [] == list((tmp_path / "tmp").iterdir())


def test_equal_questions_have_one_fingerprint_and_others_another() -> None:
    rows = np.arange(6, dtype=np.intp)
    asked = ("scan", rows, (1.5, None, b"key"))

    assert fingerprint(asked) == fingerprint(("scan", rows.copy(), (1.5, None, b"key")))
    for other in (
        ("scan", rows.reshape(2, 3), (1.5, None, b"key")),
        ("scan", rows.astype(np.int32), (1.5, None, b"key")),
        ("scan", rows, (1.5, None, b"key", None)),
        ("scan", rows, 1.5, None, b"key"),
        ("scan", rows, (1.5, "None", b"key")),
        ("scan", rows, (1.5, None, "key")),
    ):
        assert fingerprint(asked) != fingerprint(other)
    with pytest.raises(TypeError, match="object has no fingerprint"):
        fingerprint(object())
