"""Linking what came in, chunk by chunk, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import Engine

from benchmarks.near_copies import different, wave
from flows.link_twins import link_twins
from hitl import twins
from hitl.db import begin
from hitl.recipe import Recipe, recipe_from
from hitl.twins import SchemeLine
from tests.builders import add_items

pytestmark = pytest.mark.postgres


def recipe_with(*, rows_per_chunk: int = 25, **changed: float) -> Recipe:
    body = {"intake": {"rows_per_chunk": rows_per_chunk}, "twins": {"is_on": True, **changed}}
    return recipe_from(body, where="test recipe")


def test_a_wave_is_one_cluster_and_strangers_are_many(engine: Engine) -> None:
    rng = np.random.default_rng(1)
    texts = wave(rng, 60) + different(rng, 40)
    with begin(engine) as tx:
        add_items(tx, {f"i{k:03d}": one for k, one in enumerate(texts)})
        add_items(tx, {"later": None})
    seen: list[int] = []

    report = link_twins(engine, recipe=recipe_with(), progress=seen.append)

    with begin(engine) as tx:
        [line] = twins.scheme_lines(tx)
    assert (100, [25] * 4) == (report.items, seen)
    assert SchemeLine(report.scheme, 100, report.forms, 41, 1, 60) == line


def test_only_what_came_since_is_linked(engine: Engine) -> None:
    rng = np.random.default_rng(2)
    with begin(engine) as tx:
        add_items(tx, {f"b{k}": one for k, one in enumerate(wave(rng, 10))})
    link_twins(engine, recipe=recipe_with())
    with begin(engine) as tx:
        add_items(tx, {f"a{k}": one for k, one in enumerate(different(rng, 5))})

    again = link_twins(engine, recipe=recipe_with())
    idle = link_twins(engine, recipe=recipe_with())

    assert (5, 0) == (again.items, idle.items)


def test_a_moved_bar_links_all_anew_beside_the_old(engine: Engine) -> None:
    rng = np.random.default_rng(3)
    with begin(engine) as tx:
        add_items(tx, {f"i{k}": one for k, one in enumerate(wave(rng, 10))})
    loose = link_twins(engine, recipe=recipe_with())

    strict = link_twins(engine, recipe=recipe_with(least_similarity=1.0))

    with begin(engine) as tx:
        lines = twins.scheme_lines(tx)
    assert [loose.scheme, strict.scheme] == [one.scheme for one in lines]
    assert (10, 10) == (loose.items, strict.items)
    assert 1 == lines[0].clusters < lines[1].clusters == lines[1].forms
