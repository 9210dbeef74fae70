"""`hitl strategies` names what a recipe may write, and says what each is."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from flows.cli import app
from sampling import DRAWS, STRATEGIES


def test_every_strategy_is_listed_with_a_sentence_of_its_own() -> None:
    found = json.loads(CliRunner().invoke(app, ["strategies", "--json"]).stdout)

    assert list(STRATEGIES) == [one["strategy"] for one in found]
    assert set(DRAWS) == {one["strategy"] for one in found if one["measures"]}
    assert len(found) == len({one["chooses"] for one in found if len(one["chooses"]) > 20})
