"""Pivots in Postgres against the definition, whatever comes first and however often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text

from benchmarks.near_copies import different, shuffled, wave
from hitl import twins
from hitl.db import begin
from hitl.records import ItemId
from hitl.twins import Linked, Scheme, Signatures, store
from tests.builders import add_items
from tests.twins.brute import brute_pivots

pytestmark = pytest.mark.postgres

SCHEME = twins.text_scheme(0.7)


def clusters(tx: Connection) -> dict[str, int]:
    """Of each item its pivot."""
    rows = tx.execute(
        text("SELECT t.item_id, f.pivot_id FROM twin_items t JOIN twin_forms f USING (form_id)")
    )
    return {item_id: pivot_id for item_id, pivot_id in rows}


def by_definition(scheme: Scheme, items: dict[str, str]) -> dict[str, int]:
    signatures = twins.text_signatures(list(items.values()))
    pivots = brute_pivots(scheme, signatures)
    forms = twins.fingerprints.form_ids(scheme, signatures).tolist()
    return {item_id: pivots[form] for item_id, form in zip(items, forms, strict=True)}


def chunks(items: dict[str, str], size: int) -> Iterator[tuple[list[ItemId], Signatures]]:
    names = list(items)
    for start in range(0, len(names), size):
        part = names[start : start + size]
        made = twins.text_signatures([items[one] for one in part])
        yield [ItemId(one) for one in part], made


def crowd(seed: int, *, waves: int = 4, each: int = 40, others: int = 60) -> dict[str, str]:
    """Items by id: waves of near copies, and others, in an order by chance."""
    rng = np.random.default_rng(seed)
    texts = [one for _ in range(waves) for one in wave(rng, each, words=12)]
    texts += different(rng, others)
    return {f"i{k}": one for k, one in enumerate(shuffled(rng, texts))}


def add(tx: Connection, items: dict[str, str]) -> None:
    add_items(tx, dict(items))


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_chunks_of_any_size_give_the_clusters_of_the_definition(tx: Connection, size: int) -> None:
    items = crowd(size)
    add(tx, items)

    for part in chunks(items, size):
        twins.link(tx, SCHEME, *part)

    assert by_definition(SCHEME, items) == clusters(tx)


@pytest.mark.parametrize("seed", range(6))
def test_chains_that_hold_on_by_little_end_the_same_in_any_order(tx: Connection, seed: int) -> None:
    # Each is a slip away from the one before, so who is alike to whom is no equivalence.
    rng = np.random.default_rng(seed)
    texts = ["".join(rng.choice(list("abcdefgh"), size=30)) for _ in range(6)]
    for _ in range(150):
        one = texts[int(rng.integers(len(texts)))]
        place = int(rng.integers(len(one)))
        texts.append(one[:place] + str(rng.choice(list("xyz"))) + one[place + 1 :])
    items = {f"i{k}": one for k, one in enumerate(shuffled(rng, texts))}
    add(tx, items)

    moved = sum((twins.link(tx, SCHEME, *part) for part in chunks(items, 9)), Linked()).moved

    assert by_definition(SCHEME, items) == clusters(tx)
    assert moved > 0, "no pivot ever gave way, so this tests nothing"


def test_buckets_say_of_every_form_where_it_is_and_whether_it_is_a_pivot(tx: Connection) -> None:
    items = crowd(3)
    add(tx, items)
    for part in chunks(items, 20):
        twins.link(tx, SCHEME, *part)

    wrong = tx.execute(
        text(
            "SELECT count(*) FROM twin_buckets b FULL JOIN twin_forms f USING (form_id)"
            " WHERE b.is_pivot IS DISTINCT FROM (f.pivot_id = f.form_id)"
        )
    ).scalar_one()
    held, forms = tx.execute(
        text("SELECT (SELECT count(*) FROM twin_buckets), (SELECT count(*) FROM twin_forms)")
    ).one()

    assert 0 == wrong
    assert SCHEME.bands * forms == held


def test_linking_again_adds_nothing(tx: Connection) -> None:
    items = crowd(4)
    add(tx, items)
    [part] = chunks(items, 1000)
    first = twins.link(tx, SCHEME, *part)
    before = clusters(tx)

    again = twins.link(tx, SCHEME, *part)

    assert Linked() == again
    assert (len(items), before) == (first.items, clusters(tx))


def test_another_bar_is_another_scheme_and_shares_no_form(tx: Connection) -> None:
    items = crowd(5)
    add(tx, items)
    [part] = chunks(items, 1000)
    strict = twins.text_scheme(0.95)

    loose_forms = twins.link(tx, SCHEME, *part).forms
    strict_forms = twins.link(tx, strict, *part).forms

    of = text("SELECT count(DISTINCT pivot_id) FROM twin_forms WHERE scheme_id = :s")
    found = [
        tx.execute(of, {"s": twins.keep_scheme(tx, one)}).scalar_one() for one in (SCHEME, strict)
    ]
    assert loose_forms == strict_forms
    assert found[0] < found[1]


def test_many_at_once_end_with_the_clusters_of_one_alone(engine: Engine) -> None:
    items = crowd(6, waves=3, each=60, others=90)
    with begin(engine) as tx:
        add(tx, items)
    parts = list(chunks(items, 15))
    half = len(parts) // 2

    def work(given: Sequence[tuple[list[ItemId], Signatures]]) -> None:
        for part in given:
            with begin(engine) as tx:
                twins.link(tx, SCHEME, *part)

    # Two share the middle, so that an item is linked by both.
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, [parts[: half + 2], parts[half:], parts[::-1], parts[::2]]))

    with begin(engine) as tx:
        assert by_definition(SCHEME, items) == clusters(tx)


def test_what_is_not_linked_yet_is_read_once_in_the_order_of_ids(tx: Connection) -> None:
    items = {"a": "one thing", "b": "another thing", "c": "a third"}
    add(tx, items)
    add_items(tx, {"d": None})
    scheme_id = twins.keep_scheme(tx, SCHEME)
    twins.link(tx, SCHEME, [ItemId("b")], twins.text_signatures(["another thing"]))

    first = twins.unlinked(tx, scheme_id, after="", limit=1)
    rest = twins.unlinked(tx, scheme_id, after="a", limit=10)

    assert ([("a", "one thing")], [("c", "a third")]) == (first, rest)


def test_a_chunk_looks_its_buckets_up_and_reads_no_table_from_end_to_end(tx: Connection) -> None:
    items = crowd(7, waves=2, each=30, others=1500)
    add(tx, items)
    for part in chunks(items, 1000):
        twins.link(tx, SCHEME, *part)
    tx.execute(text("ANALYZE twin_buckets, twin_forms"))
    # As many as a chunk asks for: all that there are.
    asked = tx.execute(text("SELECT bucket, form_id FROM twin_buckets")).all()
    given = {"buckets": [row[0] for row in asked], "form_ids": [row[1] for row in asked]}

    for query in (store._PIVOTS_NEAR, store._MEMBERS_NEAR):
        used = {name: value for name, value in given.items() if f":{name}" in query}
        plan = "\n".join(tx.execute(text(f"EXPLAIN {query}"), used).scalars())
        assert "Seq Scan on twin_buckets" not in plan, plan
        assert "pk_twin_buckets" in plan, plan
