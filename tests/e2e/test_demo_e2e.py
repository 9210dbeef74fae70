"""The demo as a newcomer runs it: real servers, real answers, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from hitl.services.postgres import PostgresServer
from tests.e2e.running import HITL, as_json, hitl, processes_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_the_demo_shows_what_a_person_wants_to_see(
    demo: str, own: dict[str, str], environment: dict[str, str]
) -> None:
    assert f"export HITL_STATE={environment['HITL_STATE']}" in demo
    assert not Path(own["HITL_STATE"]).exists()
    for words in ("a synthetic stream", "Everything in it is invented", "before", "after"):
        assert words in demo
    for words in ("label by hand  http://127.0.0.1:", "Prefect        http://127.0.0.1:"):
        assert words in demo
    for name in ("learning_curve.png", "before_after.png"):
        picture = Path(environment["HITL_STATE"]) / "demo" / name
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_books_balance_to_the_last_one(demo: str, environment: dict[str, str]) -> None:
    found = {one["name"]: one for one in as_json(environment, "reconcile")}

    assert 12 == sum(one["right"] is not None for one in found.values())
    assert [] == [name for name, one in found.items() if not one["ok"]]
    # Who gets which task is a matter of timing, so labels, models and what lies in their bands
    # differ a little from run to run: of two rounds of 80, and of the 20 to be labelled by hand.
    labelled = found["items with labels = examples"]["left"]
    hand = sum(
        one["entries"]
        for one in as_json(environment, "queue", "stats")
        if one["state"] in ("waiting", "dispatched", "adjudicating")
    )
    assert 96 <= labelled <= 160
    assert 1 <= hand <= 20
    assert labelled + hand == found["picks = entries"]["left"]
    assert labelled + hand == found["tasks here = tasks in Label Studio"]["right"]


def test_every_step_can_be_repeated_by_hand(demo: str, environment: dict[str, str]) -> None:
    before = as_json(environment, "reconcile")
    hitl(environment, "collect", "--sweep")
    hitl(environment, "dispatch")
    hitl(environment, "freeze")
    hitl(environment, "train")
    hitl(environment, "rescore")
    hitl(environment, "measure")

    assert before == as_json(environment, "reconcile")
    assert "champion" in {one["state"] for one in as_json(environment, "models")}
    assert as_json(environment, "rejects")  # the stream has broken lines on purpose


def test_rollback_brings_the_champion_before_back(demo: str, environment: dict[str, str]) -> None:
    standing = {one["state"]: one["model_version"] for one in as_json(environment, "models")}

    refused = hitl(environment, "rollback", "--note", " ", code=1)
    hitl(environment, "rollback", "--note", "a drill")

    now = {one["state"]: one["model_version"] for one in as_json(environment, "models")}
    assert "needs a reason" in refused
    assert standing["champion"] != now["champion"]
    assert standing["retired"] == now["champion"]


def test_content_and_secrets_are_in_no_log(demo: str, environment: dict[str, str]) -> None:
    import pandas as pd

    state = Path(environment["HITL_STATE"])
    texts = pd.read_parquet(next((state / "demo").glob("**/content*.parquet")))["text"]
    canaries = [text for text in texts if len(text) > 60][:200]
    secrets = json.loads((state / "secrets.json").read_text())
    del secrets["state_id"]  # a name, part of a path

    written = "".join(
        path.read_text(errors="replace") for path in (state / "logs").rglob("*") if path.is_file()
    )

    assert written
    assert [] == [text for text in canaries if text in written]
    assert [] == [name for name, secret in secrets.items() if secret in written]


def test_down_leaves_no_process_and_up_brings_the_data_back(
    demo: str, environment: dict[str, str]
) -> None:
    before = as_json(environment, "queue", "stats")

    hitl(environment, "down")
    left = processes_of(environment)
    hitl(environment, "up", "--no-prefect")

    assert [] == left
    after = as_json(environment, "queue", "stats")
    assert [(x["state"], x["entries"]) for x in before] == [
        (x["state"], x["entries"]) for x in after
    ]


def test_ctrl_c_in_the_demo_leaves_nothing_running(
    demo: str, own: dict[str, str], environment: dict[str, str]
) -> None:
    answered = annotations(environment)
    running = subprocess.Popen(
        [HITL, "demo", "--rounds", "1", "--labels", "400", "--items", "1500", "--curve-seeds", "0"],
        env=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while annotations(environment) <= answered:  # then it is in the middle of the first round
        assert running.poll() is None
        time.sleep(0.5)

    os.killpg(running.pid, signal.SIGINT)
    time.sleep(0.5)
    os.killpg(running.pid, signal.SIGINT)  # as the impatient do
    rest, _ = running.communicate(timeout=180)

    assert 130 == running.returncode, rest
    assert "interrupted" in rest
    assert [] == processes_of(environment)


def annotations(environment: dict[str, str]) -> int:
    """How many annotations Label Studio holds."""
    server = PostgresServer.running(Path(environment["HITL_STATE"]))
    if server is None:
        return 0
    engine = create_engine(server.url("labelstudio"))
    try:
        with engine.connect() as connection:
            query = text("SELECT count(*) FROM task_completion")
            return int(connection.execute(query).scalar_one())
    except OperationalError:
        return 0
    finally:
        engine.dispose()
