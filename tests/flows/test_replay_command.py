"""`hitl replay`: its table, its JSON, its files, and how it refuses."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from typer.testing import CliRunner

from flows import cli
from flows.cli import app
from flows.replay_strategies import Replayed, Wanted, replay_strategies
from flows.replaying import report, results
from flows.replaying.errors import CannotWrite
from flows.replaying.labelled import Columns
from flows.replaying.pictures import draw
from sampling import Plan, Replay, Share
from sampling.comparison import compare
from tests.flows.labelled_items import make_items, write_items

QUICK = ("--seeds", "3", "--start", "20", "--batch", "10", "--rounds", "3")
CANARY = "quokka-canary-7731"


@pytest.fixture
def items(tmp_path: Path) -> Path:
    return write_items(tmp_path / "items.parquet")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    path = write_items(tmp_path_factory.mktemp("replay") / "items.parquet")
    return replay_strategies(
        Wanted(
            source=str(path),
            columns=Columns(labels=("red",)),
            seeds=4,
            start=20,
            batch=10,
            rounds=4,
        )
    )


def with_plans(found: Replayed, count: int, *, ends: float = 0.8, seeds: int = 4) -> Replayed:
    """The same with so many invented plans, whose curves end close together around `ends`."""
    names = ("random", *(f"strategy_{number:02d}" for number in range(count)))
    rng = np.random.default_rng(0)
    rise = np.linspace(0.2, ends, 5) + rng.normal(0.0, 0.004, size=(len(names), seeds, 1))
    rise[:, :, 0] = 0.2
    seconds = np.broadcast_to(60.0 * np.arange(1, 6), rise.shape)
    replay = Replay(names, tuple(range(seeds)), 20 + 10 * np.arange(5), rise, None, seconds)
    study = replace(
        found.study, plans={name: Plan((Share(name, "random", 1.0),)) for name in names}
    )
    return replace(found, replay=replay, comparison=compare(replay), study=study)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["replay", *arguments])


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """`hitl replay …` as the console script runs it: its exit code."""
    monkeypatch.setattr(sys, "argv", ["hitl", "replay", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def inked(path: Path) -> np.ndarray:
    """Where a picture is not white, (height, width)."""
    return (matplotlib.image.imread(path)[..., :3] < 0.97).any(axis=2)


def test_a_table_and_plain_sentences_say_what_was_found(items: Path) -> None:
    shown = run(str(items), "--label", "red", "--strategy", "margin", *QUICK)

    assert 0 == shown.exit_code, shown.output
    assert "one label of 600 items: 20 to start, 3 rounds of 10; 3 paired seeds" in shown.stdout
    assert "minutes of review: assumed: 2 s + words x 60 / 230 s" in shown.stdout
    last = shown.stdout.strip().splitlines()[-1]
    assert last.startswith(("margin learns fastest", "Nothing can be told", "random wins"))


def test_json_goes_to_standard_output_alone_and_repeats(items: Path) -> None:
    first, again = (run(str(items), "--label", "red", *QUICK, "--json") for _ in range(2))

    told = json.loads(first.stdout)
    assert ["random", "margin", "uncertain_diverse", "default"] == [
        one["name"] for one in told["plans"]
    ]
    assert first.stdout == again.stdout


def test_every_option_reaches_the_replay(tmp_path: Path) -> None:
    frame = make_items(600)
    path = write_items(
        tmp_path / "items.csv",
        frame.rename(columns={"text": "body"}),
        took=6.0,
        owner=[f"o{row // 2}" for row in range(600)],
        side=["test" if row % 3 == 0 else "train" for row in range(600)],
    )
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('name = "ours"\n[selection]\naudit_fraction = 0.5\n')

    shown = run(
        *(str(path), "--label", "kind", "--positive", "red", "--text", "body"),
        *("--seconds", "took", "--group", "owner", "--split", "side", "--strategy", "entropy"),
        *(
            "--plan",
            str(recipe),
            "--audits-measure",
            "--against",
            "entropy",
            "--head",
            "logreg",
            "--target",
            "0.5",
        ),
        *("--seed", "7", "--seeds", "2", "--start", "15", "--start-of-each", "2", "--batch", "5"),
        *("--rounds", "2", "--candidates", "150", "--jobs", "1", "--json"),
    )

    told = json.loads(shown.stdout)
    what = told["replayed"]
    assert "its split column" == what["held_out"]
    # Both of an owner are on the test side, or left out of the other.
    assert 200 == what["measured_on"]
    assert what["copies_of_test_left_out"] > 100
    assert (150, [7, 8], 15, 2, 5, 2) == (
        *(what["offered"], what["seeds"], what["start"]),
        *(what["start_of_each"], what["batch"], what["rounds"]),
    )
    assert ("logreg", "the file's column") == (what["head"], what["seconds"])
    assert "only measure" == what["audit_labels"]
    assert ("entropy", 0.5) == (told["against"], told["target"])
    assert ["random", "entropy", "ours"] == [one["name"] for one in told["plans"]]
    assert 0.5 == told["plans"][2]["shares"][-1]["fraction"]
    assert 2.5 == told["plans"][0]["minutes_spent"]["value"]
    assert told["plans"][0]["positives"]["value"] >= 2


def test_embeddings_make_the_text_column_needless(tmp_path: Path) -> None:
    frame = make_items(600).drop(columns="text")
    path = write_items(
        tmp_path / "items.parquet", frame, point=[[one, 0.5, -0.5] for one in frame.red]
    )

    shown = run(str(path), "--label", "red", "--embedding", "point", *QUICK, "--json")

    assert 0 == shown.exit_code, shown.output
    assert "embeddings of 3 dimensions" == json.loads(shown.stdout)["replayed"]["features"]


def test_a_folder_gets_the_figures_and_two_pictures_and_is_told_what_is_replaced(
    items: Path, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "found"
    asked = (str(items), "--label", "red", *QUICK, "--out", str(out))

    first, again = run(*asked), run(*asked)

    assert {"replay.json", "labels.png", "minutes.png"} == {one.name for one in out.iterdir()}
    assert 3 == first.stdout.count("wrote ")
    assert 3 == again.stdout.count("replaced ")
    assert inked(out / "labels.png").any()
    assert json.loads((out / "replay.json").read_text()) == json.loads(run(*asked, "--json").stdout)


def test_the_same_replay_draws_the_same_pictures(found: Replayed, tmp_path: Path) -> None:
    one, two = (draw(found, tmp_path / f"{k}.png", by_minutes=True) for k in range(2))

    assert one.read_bytes() == two.read_bytes()
    assert draw(found, tmp_path / "labels.png", by_minutes=False).read_bytes() != one.read_bytes()


@pytest.mark.parametrize("by_minutes", [False, True])
@pytest.mark.parametrize(
    ("plans", "ends", "seeds"),
    [(0, 0.8, 4), (1, 0.8, 1), (3, 1.0, 4), (6, 0.2, 4), (30, 0.999, 4)],
)
def test_nothing_runs_over_the_edge_however_many_plans(
    found: Replayed, tmp_path: Path, plans: int, ends: float, seeds: int, by_minutes: bool
) -> None:
    many = with_plans(found, plans, ends=ends, seeds=seeds)

    ink = inked(draw(many, tmp_path / "many.png", by_minutes=by_minutes))

    assert ink.any()
    for edge in (ink[:6], ink[-6:], ink[:, :6], ink[:, -6:]):
        assert not edge.any()


def test_the_table_says_which_plan_never_gets_there(found: Replayed) -> None:
    late = with_plans(found, 2)
    scores = late.replay.scores.copy()
    scores[1] = 0.1
    replay = replace(late.replay, scores=scores)

    rows = report.rows(replace(late, replay=replay, comparison=compare(replay)))

    labels, ratio, minutes = rows[-1][5:8]
    assert "strategy_00" == rows[-1][0]
    assert (None, "never", None) == (labels, ratio, minutes)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--label", "hate"), "no column 'hate'; name another with --label"),
        (("--label", "red", "--strategy", "margn"), "strategy 'margn' does not exist"),
        (("--label", "red", "--plan", "nowhere.toml"), "nowhere.toml: 1 thing(s) to mend"),
        (("--label", "red", "--rounds", "100"), "can be offered; take fewer"),
        (("--label", "red", "--out", "items.parquet/x"), "is a file or lies below one"),
    ],
    ids=lambda one: one[-1] if isinstance(one, tuple) else "",
)
def test_what_cannot_be_is_refused_in_one_message(
    items: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(items.parent)

    code = main(monkeypatch, str(items), *arguments)

    assert 1 == code
    error = capsys.readouterr().err
    assert error.startswith("refused:")
    assert said in error


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--label", "red", "--head", "forest"),
        ("--label", "red", "--seeds", "0"),
        ("--label", "red", "--rounds", "0"),
        ("--label", "red", "--jobs", "0"),
    ],
    ids=" ".join,
)
def test_values_that_mean_nothing_are_wrong_usage(items: Path, arguments: tuple[str, ...]) -> None:
    assert 2 == run(str(items), *arguments).exit_code


def test_nothing_that_is_printed_or_written_quotes_a_text(tmp_path: Path) -> None:
    frame = make_items()
    path = write_items(tmp_path / "items.parquet", text=frame.text + f" {CANARY}")

    shown = run(str(path), "--label", "kind", *QUICK, "--out", str(tmp_path / "found"))

    assert 0 == shown.exit_code, shown.output
    written = (tmp_path / "found" / "replay.json").read_text()
    assert CANARY not in shown.output + written
    assert not any(f'"{one}"' in written for one in ("plain", "blue", "red"))


def test_a_folder_that_is_taken_by_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "replay.json").mkdir()

    with pytest.raises(CannotWrite, match=r"replay\.json is a folder there"):
        results.ready(tmp_path)


def test_a_link_is_replaced_and_what_it_points_to_is_not(found: Replayed, tmp_path: Path) -> None:
    (tmp_path / "theirs.json").write_text("theirs")
    out = tmp_path / "found"
    results.ready(out)
    (out / "replay.json").symlink_to(tmp_path / "theirs.json")

    results.write(found, out)

    assert "theirs" == (tmp_path / "theirs.json").read_text()
    assert "theirs" != (out / "replay.json").read_text()
